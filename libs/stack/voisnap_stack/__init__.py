"""The voisnap command: run the whole platform on one machine."""

"""The people at the other end of the simulated carriers: what they say, hear and do."""

"""Telephone calls that are handed over to somebody: by the agent's own decision, or because the API asks for it."""

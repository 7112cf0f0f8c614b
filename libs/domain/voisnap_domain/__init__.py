"""Pure nouns and rules of the platform."""

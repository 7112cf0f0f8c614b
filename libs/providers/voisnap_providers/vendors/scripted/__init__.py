"""A language model that says what a script tells it: for tests and demos that must be the same every time."""

"""Events that a service gave up, for operators to see and repeat."""

"""The transports: how the bytes of a connection travel."""

"""Written conversations over messaging networks: one message in, the agent's answers out. Nothing lives in memory between two messages."""

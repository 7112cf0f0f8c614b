"""People of a tenant: who they are, what they may do, and how they are invited."""

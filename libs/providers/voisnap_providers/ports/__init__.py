"""What the platform asks of a provider, one module a kind: a capability struct, the values that flow and a Protocol."""

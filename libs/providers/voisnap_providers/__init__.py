"""Provider ports, registry and vendors."""

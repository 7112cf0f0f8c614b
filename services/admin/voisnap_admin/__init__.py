"""The Admin service: who may use the platform, within which limits. It alone writes tenants; the others follow its events."""

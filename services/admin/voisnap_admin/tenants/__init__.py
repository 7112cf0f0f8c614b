"""Tenants: the customers of the platform, their plan and their limits."""

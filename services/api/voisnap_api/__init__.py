"""The Main API and its worker."""

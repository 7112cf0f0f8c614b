"""Opening an account with a tenant of its own, where the installation lets strangers in."""

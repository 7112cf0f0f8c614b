"""Second factors of a log-in: authenticator apps, passkeys and recovery codes."""

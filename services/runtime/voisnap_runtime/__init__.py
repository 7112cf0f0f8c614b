"""Live sessions: hubs, media and conversation."""

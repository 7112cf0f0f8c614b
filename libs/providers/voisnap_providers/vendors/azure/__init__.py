"""Azure's speech recogniser and voices."""

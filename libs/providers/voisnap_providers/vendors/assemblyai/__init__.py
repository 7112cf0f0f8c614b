"""AssemblyAI's streaming transcription."""

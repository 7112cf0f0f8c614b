"""Speech and language on this machine: Moonshine (ears), hibari (voice), MiniLM (meaning). No network, English only."""

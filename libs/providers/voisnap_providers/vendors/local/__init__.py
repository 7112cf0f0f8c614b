"""Speech and language on this machine: Moonshine (ears), hibari (voice), MiniLM (meaning), SmolLM2 (phrasing). No network, English only."""

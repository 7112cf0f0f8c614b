"""Audio arithmetic without network: every module is one idea and is imported by its own name."""

"""Reading a finished conversation without a large model: rules, word lists, and sentences compared by meaning."""

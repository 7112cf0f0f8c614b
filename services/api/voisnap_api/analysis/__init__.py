"""What is found out about a conversation after it ended."""

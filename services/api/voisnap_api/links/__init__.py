"""Links in mails that are good once."""

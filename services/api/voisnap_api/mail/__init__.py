"""Mails to people: an outbox in the database that the worker sends, or that stays readable where no mail server is set up."""

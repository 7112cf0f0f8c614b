"""Telephone calls that are handed over to somebody."""

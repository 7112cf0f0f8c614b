"""Recordings that carriers make of what is said after a call was handed over."""

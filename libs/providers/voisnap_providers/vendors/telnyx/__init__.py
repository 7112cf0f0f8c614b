"""Telnyx: calls by Call Control, their sound by media streaming."""

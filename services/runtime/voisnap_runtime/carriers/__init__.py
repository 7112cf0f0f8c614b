"""Telephone calls: the carriers' media sockets, as callers of live sessions."""

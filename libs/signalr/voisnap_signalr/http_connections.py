"""Connections without a socket (Server-Sent Events, long polling): what they are between their requests."""

import asyncio
from typing import Any

from .negotiate import NegotiatedConnection, Transport
from .requests import Refused
from .transports.inbox import Inbox
from .transports.long_polling import LongPollingWire


class HttpConnection:
    """One such connection, from its first post or get on.

    `transport` is chosen by the first get. `serving` is the session's task once there is one; `polls` is set for long
    polling only.
    """

    def __init__(self, promised: NegotiatedConnection, user: Any, *, inbox_bytes: int, now: float) -> None:
        self.promised = promised
        self.user = user
        self.inbox = Inbox(max_bytes=inbox_bytes)
        self.transport: Transport | None = None
        self.polls: LongPollingWire | None = None
        self.serving: asyncio.Task[None] | None = None
        self._requests = 0
        self._idle_since = now

    def choose(self, transport: Transport) -> None:
        """Raises `Refused` when the connection has another transport already, or two event streams."""
        if self.transport is None:
            self.transport = transport
        elif self.transport is not transport:
            raise Refused(400, "the connection has another transport")
        elif transport is Transport.SERVER_SENT_EVENTS:
            raise Refused(409, "the connection is open already")

    def hold(self) -> None:
        """A get has begun."""
        self._requests += 1

    def let_go(self, *, now: float) -> None:
        """A get has ended."""
        self._requests -= 1
        self._idle_since = now

    def is_abandoned(self, *, now: float, after_s: float) -> bool:
        """Whether no get has been there for that long."""
        return self._requests == 0 and now - self._idle_since >= after_s

    def end(self, *, is_lost: bool) -> None:
        """No request comes any more; the session ends by itself."""
        if is_lost:
            self.inbox.lose()
        else:
            self.inbox.finish()
        if self.polls is not None and is_lost:
            self.polls.abandon()

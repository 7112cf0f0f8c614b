"""What the pipeline and a transport know of each other."""

from enum import StrEnum
from typing import Protocol

import msgspec
from voisnap_media.pcm import Pcm

SINK_RATE = 16000
"""Hz of the caller's audio."""
SOURCE_RATE = 24000
"""Hz of the agent's audio."""


class TransportState(StrEnum):
    """States of a transport. `DISCONNECTED` may become `CONNECTED` again; `FAILED` and `CLOSED` are the end."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class LinkQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How well packets travel, counted since the start."""

    packets_received: int = 0
    packets_lost: int = 0
    """Packets of the caller that never came or came too late."""
    jitter_ms: float = 0.0
    """Interarrival jitter of the caller's packets (RFC 3550 §6.4.1)."""
    packets_sent: int = 0
    remote_packets_lost: int = 0
    """Packets of ours that the caller says he missed."""
    round_trip_ms: float | None = None
    """Last measured round trip, None before the first report."""


class AudioSink(Protocol):
    """Who listens to the caller. Both calls are synchronous and must return within a fraction of a millisecond."""

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        """The caller's next sound at 16 kHz, in order; `arrived_at` is the event loop's clock."""
        ...

    def dtmf(self, digit: str) -> None:
        """A key was pressed: one of `0123456789*#ABCD`."""
        ...


class AudioSource(Protocol):
    """Who speaks to the caller."""

    def pull(self) -> Pcm | None:
        """Exactly 20 ms at 24 kHz, or None when there is nothing to play. What is pulled counts as heard."""
        ...


class Transport(Protocol):
    """One caller's audio connection."""

    @property
    def state(self) -> TransportState:
        """Where the connection stands."""
        ...

    def send(self, audio: Pcm | None) -> None:
        """The next 20 ms for the caller, called by the pacer on every beat; None when nothing is to be played.

        Never blocks and never raises for network reasons: what cannot be sent is dropped.
        """
        ...

    async def close(self) -> None:
        """End the connection; afterwards no task and no socket of it is left. May be called twice."""
        ...

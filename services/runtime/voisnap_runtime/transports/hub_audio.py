"""A caller's audio over the hub connection itself: raw PCM in both directions, no packets and no negotiation.

In: 16 kHz, 16-bit, mono, frames of any length. Out: 24 kHz, one call of `AudioReceived` for each 20 ms, as the shared pacer beats.
Everything is synchronous: a frame goes from the socket to the ear, and from the mouth to the socket's buffer, without a task or a queue.
"""

from collections.abc import Callable
from typing import Protocol

from voisnap_media.pcm import Pcm

from .hub_line import HubLine
from .port import SINK_RATE, AudioSink, LinkQuality, TransportState

MAX_AHEAD_SECONDS = 2.0
"""Audio that may come earlier than in real time: what a network held back comes at once. More is dropped."""


class TooFast(Exception):
    """Audio came faster than in real time for too long; this frame was dropped."""


class AudioSender(Protocol):
    """The part of a hub connection that carries audio."""

    def send(self, target: str, *arguments: object) -> None: ...


class HubAudio(HubLine):
    """One caller's audio over a hub connection (`Transport`). `clock` is the event loop's."""

    def __init__(self, connection: AudioSender, sink: AudioSink, *, clock: Callable[[], float]) -> None:
        super().__init__()
        self._connection = connection
        self._sink = sink
        self._clock = clock
        self._ahead = 0.0
        self._arrived = clock()
        self._frames_in = 0
        self._frames_out = 0
        self.dropped = 0
        """Frames that came too fast."""

    def receive(self, data: bytes) -> None:
        """Take a frame of little-endian samples. Raises ValueError for an odd number of bytes, TooFast when it is dropped."""
        audio = Pcm.from_bytes(data, SINK_RATE)
        now = self._clock()
        # How far the caller's audio is ahead of the clock; silence in between brings it back to zero, never below.
        ahead = max(0.0, self._ahead - (now - self._arrived)) + len(data) / (2 * SINK_RATE)
        if ahead > MAX_AHEAD_SECONDS:
            self.dropped += 1
            raise TooFast
        self._ahead = ahead
        self._arrived = now
        if not data or self._state is not TransportState.CONNECTED:
            return
        self._frames_in += 1
        self._sink.feed(audio, now)

    def send(self, audio: Pcm | None) -> None:
        """JSON carries the bytes as base64, MessagePack as they are; silence is not sent."""
        if audio is not None and self._state is TransportState.CONNECTED:
            self._frames_out += 1
            self._connection.send("AudioReceived", audio.to_bytes())

    def quality(self) -> LinkQuality:
        """Frames that came and went; a hub loses none."""
        return LinkQuality(packets_received=self._frames_in, packets_sent=self._frames_out)

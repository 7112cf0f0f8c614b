"""A call's media socket as the carrier runs it: it connects to the platform, sends 20 ms of the telephone every 20 ms, and plays what comes
back at the pace of the telephone."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum

import msgspec
import numpy as np
from voisnap_media.pcm import Samples
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from voisnap_simulator.faults import Faults

from .playout import Playout
from .sound import Coder, Decoder, bytes_per_frame, silence_of
from .wires import Audio, Clear, Frame, Mark, Untaken, Wire

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 1.0
MAX_MESSAGE = 4 * 1024 * 1024
MAX_OUTGOING = 500
"""Frames for a platform that takes none: 10 s, then the socket counts as broken."""

Note = Callable[..., None]


class Gone(StrEnum):
    """How a stream ended."""

    UNREACHED = "unreached"
    """The socket was never opened."""
    CLOSED = "closed"
    """The platform closed it in order."""
    LOST = "lost"
    """It broke."""
    STOPPED = "stopped"
    """The carrier ended it: the call is over, or does something else."""


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How and why a stream ended; `code` is the WebSocket's or the handshake's status."""

    how: Gone
    code: int = 0
    reason: str = ""


class Stream:
    """One media socket. It is attached to a call, which gives it the telephone's sound and takes its own, 20 ms each; `run` does the rest."""

    def __init__(
        self, wire: Wire, url: str, *, headers: Mapping[str, str], faults: Faults, note: Note, plays: bool = True
    ) -> None:
        self._wire, self._url, self._headers = wire, url, dict(headers)
        self._faults, self._note, self._plays = faults, note, plays
        self._random = random.Random(faults.seed)  # noqa: S311 - faults of a test are repeatable
        self._coder, self._decoder = Coder(wire.heard), Decoder(wire.spoken)
        size = bytes_per_frame(wire.spoken)
        self._size = size
        self._playout: Playout[object] = Playout(
            size, silence_of(wire.spoken), round(wire.buffered_seconds * 50) * size
        )
        self._outgoing: deque[tuple[float, Frame]] = deque()
        self._due = 0.0
        self._more = asyncio.Event()
        self._stop = asyncio.Event()
        self._is_open = self._is_stuck = False
        self._opened_at = 0.0
        self._broken: StreamEnd | None = None
        self._held: Frame | None = None

    # The telephone's side, every 20 ms ---------------------------------------------------------------------------

    def exchange(self, frame: Samples) -> Samples | None:
        """20 ms of the telephone; what it hears meanwhile."""
        if not self._is_open:
            return None
        self._say(self._wire.media(self._coder.coded(frame)))
        payload, reached = self._playout.tick()
        for mark in reached:
            self._queue(self._wire.reached(mark))
        if payload is None or not self._plays:
            return None
        return self._decoder.frame(payload)

    def key(self, digit: str) -> None:
        """A key was pressed."""
        if self._is_open:
            self._queue(self._wire.key(digit))

    @property
    def is_playing(self) -> bool:
        """Whether anything is left to play."""
        return self._playout.waiting_bytes > 0

    def drop(self) -> None:
        """The socket breaks without a word."""
        if self._is_open:
            self._note("media.dropped")
            self._broken = StreamEnd(how=Gone.LOST, code=1006, reason="dropped")
            self._stop.set()

    def stop(self) -> None:
        """The carrier ends the stream; `run` returns soon."""
        self._stop.set()

    # The platform's side ------------------------------------------------------------------------------------------

    async def run(self) -> StreamEnd:
        """Connect, and carry until one side ends it. Does not raise for anything the platform does."""
        if self._stop.is_set():
            return StreamEnd(how=Gone.STOPPED)
        if self._faults.hands_over:
            self._note("stream.handed", url=self._url, headers=self._headers, wire=self._wire.described())
            await self._stop.wait()
            return StreamEnd(how=Gone.STOPPED)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                socket = await connect(
                    self._url,
                    additional_headers=self._headers,
                    compression=None,
                    ping_interval=None,
                    max_size=MAX_MESSAGE,
                    open_timeout=None,
                    close_timeout=CLOSE_SECONDS,
                    proxy=None,
                    user_agent_header="voisnap-simulator",
                )
        except TimeoutError:
            return StreamEnd(how=Gone.UNREACHED, reason="no answer")
        except InvalidHandshake as error:
            response = getattr(error, "response", None)
            return StreamEnd(how=Gone.UNREACHED, code=getattr(response, "status_code", 0), reason="handshake refused")
        except (OSError, InvalidURI, ValueError) as error:
            return StreamEnd(how=Gone.UNREACHED, reason=type(error).__name__)
        self._opened_at = self._due = loop.time()
        for words in self._wire.opening():
            self._queue(words)
        self._is_open = True
        tasks = [
            asyncio.create_task(work)
            for work in (self._write(socket), self._read(socket), self._break(socket), self._stopped())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ends = [task.result() for task in tasks if task in done]
            end = self._broken or next((one for one in ends if one is not None), StreamEnd(how=Gone.STOPPED))
            self._is_open = False
            if end.how is Gone.STOPPED and not self._is_stuck:
                with suppress(ConnectionClosed, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        for _, frame in self._outgoing:
                            await socket.send(frame)
                        for words in self._wire.closing():
                            await socket.send(words)
            return end
        finally:
            self._is_open = False
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            with suppress(Exception):
                if self._is_stuck or self._broken:
                    socket.transport.abort()
                else:
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await socket.close()

    async def _write(self, socket: ClientConnection) -> StreamEnd:
        loop = asyncio.get_running_loop()
        try:
            while True:
                while not self._outgoing:
                    self._more.clear()
                    await self._more.wait()
                due, frame = self._outgoing[0]
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                self._outgoing.popleft()
                await socket.send(frame)
        except ConnectionClosed as closed:
            return _end_of(closed)

    async def _read(self, socket: ClientConnection) -> StreamEnd:
        try:
            async for frame in socket:
                if self._is_stuck:
                    await asyncio.Event().wait()
                if (end := self._take(frame)) is not None:
                    return end
        except ConnectionClosed as closed:
            return _end_of(closed)
        return StreamEnd(how=Gone.CLOSED, code=socket.close_code or 1000)

    async def _break(self, socket: ClientConnection) -> StreamEnd:
        """The faults that come at a moment."""
        faults = self._faults
        moments = sorted(moment for moment in (faults.drop_at, faults.half_open_at) if moment is not None)
        for moment in moments:
            await asyncio.sleep(max(0.0, self._opened_at + moment - asyncio.get_running_loop().time()))
            if moment == faults.drop_at:
                self._note("media.dropped")
                socket.transport.abort()
                return StreamEnd(how=Gone.LOST, code=1006, reason="dropped")
            self._is_stuck = True
            self._note("media.half_open")
        await asyncio.Event().wait()
        raise AssertionError

    async def _stopped(self) -> StreamEnd:
        await self._stop.wait()
        return StreamEnd(how=Gone.STOPPED)

    def _take(self, frame: Frame) -> StreamEnd | None:
        match self._wire.take(frame):
            case Audio(data=data):
                if not self._playout.put(data):
                    self._note("media.overflow")
            case Mark(label=label):
                if self._playout.mark(label):
                    self._queue(self._wire.reached(label))
            case Clear():
                marks = self._playout.clear()
                self._note("media.cleared", marks=len(marks))
                for words in self._wire.cleared(marks):
                    self._queue(words)
            case Untaken(why=why, answer=answer, ends=ends):
                self._note("media.untaken", why=why)
                if answer is not None:
                    self._queue(answer)
                if ends:
                    return StreamEnd(how=Gone.LOST, code=1008, reason=why)
        return None

    def _say(self, frame: Frame) -> None:
        """A frame of the telephone's sound, with the line's faults."""
        if self._faults.loss and self._random.random() < self._faults.loss:
            return
        delay = self._random.random() * self._faults.jitter_ms / 1000 if self._faults.jitter_ms else 0.0
        if self._wire.is_ordered or not delay:
            self._queue(frame, delay)
        elif self._held is None and self._random.random() < 0.2:  # Telnyx promises no order
            self._held = frame
        else:
            self._queue(frame, delay)
            if self._held is not None:
                self._queue(self._held, 0.0)
                self._held = None

    def _queue(self, frame: Frame, delay: float = 0.0) -> None:
        if self._is_stuck:
            return
        if len(self._outgoing) >= MAX_OUTGOING:
            self._broken = StreamEnd(how=Gone.LOST, code=1006, reason="the platform takes nothing")
            self._stop.set()
            return
        self._due = max(self._due, asyncio.get_running_loop().time() + delay)
        self._outgoing.append((self._due, frame))
        self._more.set()


def _end_of(closed: ConnectionClosed) -> StreamEnd:
    code = closed.rcvd.code if closed.rcvd else 1006
    in_order = closed.rcvd is not None and code in (1000, 1001, 1005)
    return StreamEnd(
        how=Gone.CLOSED if in_order else Gone.LOST, code=code, reason=closed.rcvd.reason if closed.rcvd else ""
    )


def loudness(frame: Samples) -> float:
    """Root mean square of a frame, 1.0 full scale."""
    return float(np.sqrt(np.mean(np.square(frame.astype(np.float32))))) / 32768

"""Recordings on their way to object storage: segments while the call runs, one file when it is over.

    recordings/<tenant>/<conversation>/seg-00003-000000000-4000.mp3     the first 4000 ms
    recordings/<tenant>/<conversation>.mp3                              composed at the end, segments deleted

A segment's name carries its generation, the millisecond of the call at which it begins, and its milliseconds, so that whoever finds the
segments of a call can compose them without knowing more than the session's plan. Each process that a call goes on in writes a generation of
its own: what lies between them is silence, and what an earlier process still wrote after a later one had begun is left out. While object
storage is away, segments wait in the spool folder and are put later.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
from prometheus_client import Counter
from voisnap_domain.conversations import RecordingInfo
from voisnap_domain.sessions import WRITTEN_CHANNELS, SessionPlan
from voisnap_kit import log
from voisnap_kit.backoff import Backoff
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import (
    AGENT_RATE,
    CALLER_RATE,
    RecordedSegment,
    Recorder,
    RecordingFormat,
    RecordingSettings,
    SegmentEncoder,
    envelope,
)
from voisnap_providers.ports.blobs import BlobInfo, Blobs

_log = log.get(__name__)

PUT_SECONDS = 5.0
ENCODING_NICENESS = 10
_POLL_SECONDS = 1.0

GAP_MS = 40
"""A shorter hole between two segments is none: clocks and encoders round."""

OVERLAP_MS = 1000
"""How far a segment may reach into those of a later process: their clocks differ."""

_SILENCE_MS = 20_000
"""Silence is encoded in pieces of this length."""

_SPOOLED = Counter("voisnap_recording_segments_spooled_total", "Segments that object storage did not take at once")


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """An encoded stretch of a recording: of which process, when in the call, how long, both in milliseconds."""

    generation: int
    start: int
    milliseconds: int
    data: bytes


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A hole of so many milliseconds."""

    milliseconds: int


class StoredSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment in object storage."""

    key: str
    generation: int
    start: int
    milliseconds: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.start + self.milliseconds


class LateRecording(Exception):
    """Object storage did not take everything within the budget; it is being put and composed in the background."""


def settings_of(plan: SessionPlan) -> RecordingSettings | None:
    """How a session is recorded, or None when it is not."""
    config = plan.agent.config
    if not config.recording.enabled or config.hipaa_compliant or plan.channel in WRITTEN_CHANNELS:
        return None
    return RecordingSettings(format=RecordingFormat(config.recording.format.value), stereo=config.recording.stereo)


def key_of(plan: SessionPlan) -> str:
    """Where the finished recording lies."""
    return f"{_folder(plan)}.{plan.agent.config.recording.format.value}"


def expected(plan: SessionPlan, *, seconds: float) -> RecordingInfo:
    """A recording that is late: where it will lie. Its size is 0 until it is composed."""
    return RecordingInfo(
        key=key_of(plan), format=plan.agent.config.recording.format.value, duration_seconds=seconds, size_bytes=0
    )


def _folder(plan: SessionPlan) -> str:
    return f"recordings/{plan.tenant_id}/{plan.conversation_id}"


def _segment_key(plan: SessionPlan, segment: Segment) -> str:
    extension = plan.agent.config.recording.format.value
    return f"{_folder(plan)}/seg-{segment.generation:05d}-{segment.start:09d}-{segment.milliseconds}.{extension}"


def _stored(blob: BlobInfo) -> StoredSegment:
    name = blob.key.rsplit("/", 1)[1].split(".", 1)[0]
    _, generation, start, milliseconds = name.split("-")
    return StoredSegment(
        key=blob.key,
        generation=int(generation),
        start=int(start),
        milliseconds=int(milliseconds),
        size_bytes=blob.size_bytes,
    )


def timeline(segments: Iterable[StoredSegment]) -> tuple[StoredSegment | Silence, ...]:
    """The segments of a call in the order they are heard, with silence where none is."""
    line: list[StoredSegment | Silence] = []
    position = 0
    for segment in _without_ghosts(sorted(segments, key=lambda s: (s.generation, s.start))):
        if segment.start - position >= GAP_MS:
            line.append(Silence(milliseconds=segment.start - position))
            position = segment.start
        line.append(segment)
        position += segment.milliseconds
    return tuple(line)


def _without_ghosts(ordered: Sequence[StoredSegment]) -> tuple[StoredSegment, ...]:
    """Without what a process wrote that did not know yet that the call goes on elsewhere."""
    kept: list[StoredSegment] = []
    later: int | None = None
    for index in range(len(ordered) - 1, -1, -1):
        segment = ordered[index]
        if kept and kept[-1].generation != segment.generation:
            later = kept[-1].start if later is None else min(later, kept[-1].start)
        if later is None or segment.end <= later + OVERLAP_MS:
            kept.append(segment)
    return tuple(reversed(kept))


def _stand_back() -> None:
    """On a full core calls go first: a segment may be encoded late, a frame may not. Threads have a priority of their own on Linux only."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ENCODING_NICENESS)


class Recordings:
    """All recordings of a process: the encoding thread, the way to object storage and the spool."""

    def __init__(self, blobs: Blobs, *, spool: Path, threads: int = 1) -> None:
        self._blobs = blobs
        self._spool = spool / "recordings"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="recording", initializer=_stand_back)
        self._unfinished: dict[str, SessionPlan] = {}
        self._wake = asyncio.Event()

    def open(self, plan: SessionPlan, *, generation: int = 1) -> "RecordingWriter | None":
        """Start the recording of a session, or None when its agent wants none. `generation` rises with each process it goes on in."""
        settings = settings_of(plan)
        return None if settings is None else RecordingWriter(self, plan, settings, generation)

    async def encode(self, encoder: SegmentEncoder, taken: RecordedSegment) -> bytes:
        """The bytes of a segment, encoded in the worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, encoder.encode, taken)

    async def put(self, plan: SessionPlan, segment: Segment) -> None:
        """Store a segment, or spool it when object storage does not take it."""
        if not segment.data:
            return
        key = _segment_key(plan, segment)
        try:
            async with asyncio.timeout(PUT_SECONDS):
                await self._blobs.put(key, segment.data)
        except Exception as error:  # whatever ails the store, the segment must not be lost
            _SPOOLED.inc()
            _log.warning("recording.segment_spooled", key=key, error=repr(error))
            await asyncio.to_thread(_save, self._spool / key, segment.data)
            self._wake.set()

    async def compose(self, plan: SessionPlan, *, elapsed: float = 0.0) -> RecordingInfo | None:
        """Make one file of a session's segments and delete them; None when there is nothing.

        Safe to repeat: a file that is there already stays, and `elapsed` is its duration in seconds as far as known. Raises LateRecording
        while segments wait in this machine's spool.
        """
        settings = settings_of(plan)
        if settings is None:
            return None
        if await asyncio.to_thread(_is_filled, self._spool / _folder(plan)):
            raise LateRecording(plan.conversation_id)
        stored = await self._blobs.list(f"{_folder(plan)}/")
        key = key_of(plan)
        composed = await self._blobs.head(key)
        if composed is not None:
            await self._blobs.delete(tuple(blob.key for blob in stored))
            return RecordingInfo(
                key=key, format=settings.format.value, duration_seconds=elapsed, size_bytes=composed.size_bytes
            )
        if not stored:
            return None
        line = timeline(_stored(blob) for blob in stored)
        size = await self._blobs.put_stream(key, self._composed(line, settings))
        await self._blobs.delete(tuple(blob.key for blob in stored))
        seconds = sum(part.milliseconds for part in line) / 1000
        _log.info("recording.composed", conversation_id=plan.conversation_id, seconds=seconds, bytes=size)
        return RecordingInfo(key=key, format=settings.format.value, duration_seconds=seconds, size_bytes=size)

    def finish_later(self, plan: SessionPlan) -> None:
        """Compose this one in the background, once its segments are all stored."""
        self._unfinished[plan.conversation_id] = plan
        self._wake.set()

    async def run(self) -> None:
        """Put what was spooled and compose what is late, until cancelled."""
        backoff = Backoff(first=0.5, cap=30.0)
        self._wake.set()  # what an earlier process left
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
            except Exception as error:
                pause = backoff.next()
                _log.warning("recording.still_late", error=repr(error), retry_in=round(pause, 1))
                await asyncio.sleep(pause)
                self._wake.set()
            else:
                backoff.reset()

    async def close(self) -> None:
        """Let the encoding thread finish what it does."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def _catch_up(self) -> None:
        for path in await asyncio.to_thread(_files, self._spool):
            data = await asyncio.to_thread(path.read_bytes)
            async with asyncio.timeout(PUT_SECONDS):
                await self._blobs.put(path.relative_to(self._spool).as_posix(), data)
            await asyncio.to_thread(_remove, path, self._spool)
        for conversation_id, plan in tuple(self._unfinished.items()):
            await self.compose(plan)
            del self._unfinished[conversation_id]

    async def _composed(
        self, line: Sequence[StoredSegment | Silence], settings: RecordingSettings
    ) -> AsyncGenerator[bytes]:
        silences = [
            await asyncio.get_running_loop().run_in_executor(self._threads, _silence, part.milliseconds, settings)
            if isinstance(part, Silence)
            else ()
            for part in line
        ]
        segments_size = sum(part.size_bytes for part in line if isinstance(part, StoredSegment))
        around = envelope(settings, segments_size + sum(len(piece) for silence in silences for piece in silence))
        if around.header:
            yield around.header
        for part, silence in zip(line, silences, strict=True):
            for piece in silence:
                yield piece
            if isinstance(part, StoredSegment):
                async for piece in self._blobs.read(part.key):
                    yield piece
        if around.trailer:
            yield around.trailer


class RecordingWriter:
    """The recording of one session: `recorder` takes the sound, `run` stores segments, `finish` makes the file.

    Of a call that goes on here `begin` says when; one that goes on elsewhere is not finished, `leave` stores what there is.
    """

    def __init__(
        self, recordings: Recordings, plan: SessionPlan, settings: RecordingSettings, generation: int = 1
    ) -> None:
        self.recorder = Recorder(settings)
        self._recordings = recordings
        self._plan = plan
        self._generation = generation
        self._began = 0.0
        self._taken = 0.0
        self._encoder = SegmentEncoder(settings)
        self._one_at_a_time = asyncio.Lock()

    def begin(self, *, at: float) -> None:
        """The first frame belongs `at` seconds of the call."""
        self._began = at

    @property
    def seconds(self) -> float:
        """Where in the call the recording stands."""
        return self._began + self.recorder.seconds

    async def leave(self, *, budget: float) -> None:
        """Store what there is within `budget` seconds, or later; somebody else makes the file."""
        work = asyncio.ensure_future(self._store(last=True))
        await asyncio.wait({work}, timeout=budget)

    async def run(self) -> None:
        """Store segments as they fill, until cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            while self.recorder.segment_due:
                await self._store(last=False)

    async def finish(self, *, budget: float) -> tuple[RecordingInfo | None, bool]:
        """The finished recording, and whether it is late: then it gets composed in the background, under the key given here.

        `budget` in seconds. None when nothing was recorded.
        """
        work = asyncio.ensure_future(self._finish())
        done, _ = await asyncio.wait({work}, timeout=budget)
        if done and work.exception() is None:
            return work.result(), False
        error = work.exception() if done else None
        _log.warning("recording.late", conversation_id=self._plan.conversation_id, error=repr(error))
        if done:
            self._recordings.finish_later(self._plan)
        else:
            work.add_done_callback(self._finished_late)
        if not self.seconds:
            return None, True
        return expected(self._plan, seconds=self.seconds), True

    async def _finish(self) -> RecordingInfo | None:
        await self._store(last=True)
        return await self._recordings.compose(self._plan, elapsed=self.seconds)

    async def _store(self, *, last: bool) -> None:
        async with self._one_at_a_time:
            while not last or self.recorder.segment_due:
                taken = self.recorder.take_segment()
                if taken is None:
                    return
                await self._put(taken)
            await self._put(self.recorder.take_last())

    async def _put(self, taken: RecordedSegment) -> None:
        start = self._began + self.recorder.lost_seconds + self._taken
        self._taken += taken.seconds
        segment = Segment(
            generation=self._generation,
            start=round(start * 1000),
            milliseconds=round(taken.seconds * 1000),
            data=await self._recordings.encode(self._encoder, taken),
        )
        await self._recordings.put(self._plan, segment)

    def _finished_late(self, work: "asyncio.Future[RecordingInfo | None]") -> None:
        if work.cancelled() or work.exception() is not None:
            self._recordings.finish_later(self._plan)


def _silence(milliseconds: int, settings: RecordingSettings) -> tuple[bytes, ...]:
    """Encoded silence, as it stands between two segments."""
    whole, rest = divmod(milliseconds, _SILENCE_MS)
    pieces = [_silent(_SILENCE_MS, settings)] * whole if whole else []
    return (*pieces, _silent(rest, settings)) if rest else tuple(pieces)


def _silent(milliseconds: int, settings: RecordingSettings) -> bytes:
    nothing = RecordedSegment(
        number=1,
        caller=Pcm(np.zeros(milliseconds * CALLER_RATE // 1000, np.int16), CALLER_RATE),
        agent=Pcm(np.zeros(milliseconds * AGENT_RATE // 1000, np.int16), AGENT_RATE),
        last=True,
    )
    return SegmentEncoder(settings).encode(nothing)


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("seg-*") if path.suffix != ".partial")


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _remove(path: Path, root: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty yet
        for folder in path.parents:
            if folder == root:
                return
            folder.rmdir()

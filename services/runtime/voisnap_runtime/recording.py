"""Recordings on their way to object storage: segments while the call runs, one file when it is over.

    recordings/<tenant>/<conversation>/seg-00001-04000.mp3     the first 4000 ms
    recordings/<tenant>/<conversation>.mp3                     composed at the end, segments deleted

A segment's name carries its number and its milliseconds, so that whoever finds the segments of a lost call can compose them without knowing
more than the session's plan. While object storage is away, segments wait in the spool folder and are put later.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from prometheus_client import Counter
from voisnap_domain.conversations import RecordingInfo
from voisnap_domain.sessions import SessionPlan
from voisnap_kit import log
from voisnap_kit.backoff import Backoff
from voisnap_media.recorder import Recorder, RecordingFormat, RecordingSettings, SegmentEncoder, envelope
from voisnap_providers.ports.blobs import BlobInfo, Blobs

_log = log.get(__name__)

PUT_SECONDS = 5.0
_POLL_SECONDS = 1.0

_SPOOLED = Counter("voisnap_recording_segments_spooled_total", "Segments that object storage did not take at once")


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """An encoded stretch of a recording."""

    number: int
    milliseconds: int
    data: bytes


class LateRecording(Exception):
    """Object storage did not take everything within the budget; it is being put and composed in the background."""


def settings_of(plan: SessionPlan) -> RecordingSettings | None:
    """How a session is recorded, or None when it is not."""
    config = plan.agent.config
    if not config.recording.enabled or config.hipaa_compliant:
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
    return f"{_folder(plan)}/seg-{segment.number:05d}-{segment.milliseconds}.{extension}"


def _milliseconds_of(key: str) -> int:
    return int(key.rsplit("-", 1)[1].split(".", 1)[0])


class Recordings:
    """All recordings of a process: the encoding thread, the way to object storage and the spool."""

    def __init__(self, blobs: Blobs, *, spool: Path, threads: int = 1) -> None:
        self._blobs = blobs
        self._spool = spool / "recordings"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="recording")
        self._unfinished: dict[str, SessionPlan] = {}
        self._wake = asyncio.Event()

    def open(self, plan: SessionPlan) -> "RecordingWriter | None":
        """Start the recording of a session, or None when its agent wants none."""
        settings = settings_of(plan)
        return None if settings is None else RecordingWriter(self, plan, settings)

    async def encode(self, encoder: SegmentEncoder, recorder: Recorder, *, last: bool) -> Segment | None:
        """The next segment that is due, encoded in the worker thread."""
        taken = recorder.take_last() if last else recorder.take_segment()
        if taken is None:
            return None
        data = await asyncio.get_running_loop().run_in_executor(self._threads, encoder.encode, taken)
        return Segment(number=taken.number, milliseconds=round(taken.seconds * 1000), data=data)

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
        segments = await self._blobs.list(f"{_folder(plan)}/")
        key = key_of(plan)
        composed = await self._blobs.head(key)
        if composed is not None:
            await self._blobs.delete(tuple(segment.key for segment in segments))
            return RecordingInfo(
                key=key, format=settings.format.value, duration_seconds=elapsed, size_bytes=composed.size_bytes
            )
        if not segments:
            return None
        around = envelope(settings, sum(segment.size_bytes for segment in segments))
        size = await self._blobs.put_stream(key, self._composed(segments, around.header, around.trailer))
        await self._blobs.delete(tuple(segment.key for segment in segments))
        seconds = sum(_milliseconds_of(segment.key) for segment in segments) / 1000
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

    async def _composed(self, segments: tuple[BlobInfo, ...], header: bytes, trailer: bytes) -> AsyncGenerator[bytes]:
        if header:
            yield header
        for segment in segments:
            async for part in self._blobs.read(segment.key):
                yield part
        if trailer:
            yield trailer


class RecordingWriter:
    """The recording of one session: `recorder` takes the sound, `run` stores segments, `finish` makes the file."""

    def __init__(self, recordings: Recordings, plan: SessionPlan, settings: RecordingSettings) -> None:
        self.recorder = Recorder(settings)
        self._recordings = recordings
        self._plan = plan
        self._encoder = SegmentEncoder(settings)
        self._one_at_a_time = asyncio.Lock()

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
        if not self.recorder.seconds:
            return None, True
        return expected(self._plan, seconds=self.recorder.seconds), True

    async def _finish(self) -> RecordingInfo | None:
        await self._store(last=True)
        return await self._recordings.compose(self._plan, elapsed=self.recorder.seconds)

    async def _store(self, *, last: bool) -> None:
        async with self._one_at_a_time:
            while not last or self.recorder.segment_due:
                segment = await self._recordings.encode(self._encoder, self.recorder, last=False)
                if segment is None:
                    return
                await self._recordings.put(self._plan, segment)
            segment = await self._recordings.encode(self._encoder, self.recorder, last=True)
            if segment is not None:
                await self._recordings.put(self._plan, segment)

    def _finished_late(self, work: "asyncio.Future[RecordingInfo | None]") -> None:
        if work.cancelled() or work.exception() is not None:
            self._recordings.finish_later(self._plan)


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

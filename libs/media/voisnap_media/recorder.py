"""The recording of a call, made while it runs: never a whole call in memory, and playable up to a crash.

Three steps, each in its own place. `Recorder.write` keeps 20 ms of both sides and is called on the event loop; it costs
two copies. `SegmentEncoder.encode` turns a stretch of several seconds into bytes and belongs into a worker thread.
`envelope` says which bytes go around all segments when the call is over.

The bytes of the segments, one after the other, play: MP3 frames follow each other, an OGG stream goes on page by page,
WAV segments are bare samples that get their header at the end. What a crash leaves plays too, and a call that another
process resumes appends the segments of a new encoder.
"""

import io
import struct
from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction

import av
import msgspec
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from voisnap_media.pcm import Pcm, Samples
from voisnap_media.resample import Resampler, ThreeHalves

CALLER_RATE = 16000
AGENT_RATE = 24000
FRAME_MS = 20
MAX_HEADER = 44
"""Bytes in the longest header `envelope` makes."""

_CALLER_FRAME = CALLER_RATE * FRAME_MS // 1000
_AGENT_FRAME = AGENT_RATE * FRAME_MS // 1000
_WAV_SIZE_LIMIT = 0xFFFFFFFF


class RecordingFormat(StrEnum):
    """File formats an agent may ask for."""

    MP3 = "mp3"
    WAV = "wav"
    OGG = "ogg"

    @property
    def media_type(self) -> str:
        """The type for HTTP."""
        return {"mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg"}[self.value]


class RecordingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the recording is to be. In stereo the caller is left and the agent right; mono mixes both."""

    format: RecordingFormat = RecordingFormat.MP3
    stereo: bool = True
    rate: int = 24000
    segment_seconds: float = 4.0

    @property
    def channels(self) -> int:
        """Number of channels in the file."""
        return 2 if self.stereo else 1


class RecordedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of both sides, of equal duration, not yet encoded."""

    number: int
    """Counts from 1."""
    caller: Pcm
    agent: Pcm
    last: bool

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.agent.seconds


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What goes before the first and after the last segment."""

    header: bytes
    trailer: bytes = b""


class Recorder:
    """Gathers both sides 20 ms at a time into a buffer of fixed size.

    Whoever owns it takes the segment as soon as `segment_due`. If nobody takes it, the buffer holds two segments and
    then the oldest is lost, counted in `lost_seconds`: a recording never makes a process grow.
    """

    def __init__(self, settings: RecordingSettings, *, first_number: int = 1) -> None:
        self.settings = settings
        self.seconds = 0.0
        """Duration of everything written."""
        self.lost_seconds = 0.0
        self._number = first_number
        self._per_segment = max(1, round(settings.segment_seconds * 1000 / FRAME_MS))
        self._room = 2 * self._per_segment
        self._caller: Samples = np.zeros(self._room * _CALLER_FRAME, np.int16)
        self._agent: Samples = np.zeros(self._room * _AGENT_FRAME, np.int16)
        self._held = 0
        self._frames = 0

    @property
    def segment_due(self) -> bool:
        """Whether a whole segment waits."""
        return self._held >= self._per_segment

    def write(self, caller: Pcm | None, agent: Pcm | None) -> None:
        """The next 20 ms of the caller (16 kHz) and the agent (24 kHz); None is silence.

        A shorter frame ends in silence and a longer one is cut, so that both sides stay aligned. Raises `ValueError`
        for another rate.
        """
        if not self._room:
            return
        if self._held == self._room:
            self._lose_oldest()
        _put(self._caller, self._held, _CALLER_FRAME, caller, CALLER_RATE)
        _put(self._agent, self._held, _AGENT_FRAME, agent, AGENT_RATE)
        self._held += 1
        self._frames += 1
        self.seconds = self._frames * FRAME_MS / 1000

    def take_segment(self) -> RecordedSegment | None:
        """The next whole segment, or None when none is due."""
        return self._taken(self._per_segment, last=False) if self.segment_due else None

    def take_last(self) -> RecordedSegment:
        """Everything left at the end of the call, possibly nothing; the encoder needs it to close the stream.

        The buffer is gone then, and what is written afterwards is dropped.
        """
        last = self._taken(self._held, last=True)
        self._room = 0
        self._caller = self._agent = np.zeros(0, np.int16)
        return last

    def _taken(self, frames: int, *, last: bool) -> RecordedSegment:
        caller, agent = frames * _CALLER_FRAME, frames * _AGENT_FRAME
        segment = RecordedSegment(
            number=self._number,
            caller=Pcm(self._caller[:caller].copy(), CALLER_RATE),
            agent=Pcm(self._agent[:agent].copy(), AGENT_RATE),
            last=last,
        )
        self._number += 1
        self._drop(frames)
        return segment

    def _lose_oldest(self) -> None:
        self.lost_seconds += self._per_segment * FRAME_MS / 1000
        self._drop(self._per_segment)

    def _drop(self, frames: int) -> None:
        for buffer, size in ((self._caller, _CALLER_FRAME), (self._agent, _AGENT_FRAME)):
            buffer[: (self._held - frames) * size] = buffer[frames * size : self._held * size].copy()
        self._held -= frames


def _put(buffer: Samples, index: int, size: int, audio: Pcm | None, rate: int) -> None:
    start = index * size
    if audio is None:
        buffer[start : start + size] = 0
        return
    if audio.rate != rate:
        raise ValueError(f"the recorder takes {rate} Hz on this side, got {audio.rate} Hz")
    count = min(size, len(audio))
    buffer[start : start + count] = audio.samples[:count]
    buffer[start + count : start + size] = 0


class SegmentEncoder:
    """One encoder stream whose bytes are cut into segments. Feed segments in order, one thread at a time."""

    def __init__(self, settings: RecordingSettings) -> None:
        self.settings = settings
        in_blocks = settings.rate * 2 == CALLER_RATE * 3
        self._caller = ThreeHalves(CALLER_RATE) if in_blocks else Resampler(CALLER_RATE, settings.rate)
        self._agent = Resampler(AGENT_RATE, settings.rate)
        self._owed = 0
        self._left: Samples = np.zeros(0, np.int16)
        self._right: Samples = np.zeros(0, np.int16)
        self._stream = _STREAMS[settings.format](settings)

    def encode(self, segment: RecordedSegment) -> bytes:
        """The bytes of this segment; those of the last one end the stream. CPU work, no waiting."""
        self._owed += round(segment.seconds * self.settings.rate)
        self._left = np.concatenate([self._left, self._caller.process(segment.caller).samples])
        self._right = np.concatenate([self._right, self._agent.process(segment.agent).samples])
        if segment.last:
            count = self._owed
            self._left = _fit(np.concatenate([self._left, self._caller.finish().samples]), count)
            self._right = _fit(np.concatenate([self._right, self._agent.finish().samples]), count)
        else:
            count = min(len(self._left), len(self._right), self._owed)
        block = self._interleaved(self._left[:count], self._right[:count])
        self._left, self._right = self._left[count:], self._right[count:]
        self._owed -= count
        encoded = self._stream.encode(block) if count else b""
        return encoded + self._stream.finish() if segment.last else encoded

    def _interleaved(self, left: Samples, right: Samples) -> NDArray[np.int16]:
        if self.settings.stereo:
            return np.column_stack([left, right])
        # Only one of the two usually speaks, so both keep their loudness; together they are limited, not wrapped.
        mixed = left.astype(np.int32) + right.astype(np.int32)
        return np.clip(mixed, -32768, 32767).astype(np.int16)[:, None]


def _fit(samples: Samples, count: int) -> Samples:
    return samples[:count] if len(samples) >= count else np.pad(samples, (0, count - len(samples)))


def envelope(settings: RecordingSettings, segments_size: int) -> Envelope:
    """What surrounds `segments_size` bytes of segments to make a file."""
    if settings.format is not RecordingFormat.WAV:
        return Envelope(header=b"")
    block = settings.channels * 2
    size = min(segments_size, _WAV_SIZE_LIMIT - MAX_HEADER)
    header = b"RIFF" + struct.pack("<I", size + MAX_HEADER - 8) + b"WAVE"
    header += b"fmt " + struct.pack(
        "<IHHIIHH", 16, 1, settings.channels, settings.rate, settings.rate * block, block, 16
    )
    return Envelope(header=header + b"data" + struct.pack("<I", size))


class _WavStream:
    """Bare little-endian samples; the header comes with the envelope."""

    def __init__(self, settings: RecordingSettings) -> None:
        del settings

    def encode(self, block: NDArray[np.int16]) -> bytes:
        return block.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        return b""


class _ContainerStream:
    """An encoder and its container from PyAV, whose output is collected whenever it is asked for."""

    def __init__(self, settings: RecordingSettings, container: str, codec: str, bitrate: int) -> None:
        self._output = io.BytesIO()
        self._rate = settings.rate
        self._layout = "stereo" if settings.stereo else "mono"
        # Options: no header that only a seek back could complete, no bits borrowed from a frame that may be lost.
        options = {"write_xing": "0", "id3v2_version": "0"} if container == "mp3" else {"page_duration": "500000"}
        self._container = av.open(self._output, "w", format=container, options=options)
        stream = self._container.add_stream(codec, rate=settings.rate, layout=self._layout)
        if not isinstance(stream, AudioStream):
            raise TypeError(f"{codec} is not an audio codec")
        stream.bit_rate = bitrate
        # Halves what MP3 costs and quarters Opus; a call's speech at this bit rate gains nothing that is heard from more.
        if codec == "libmp3lame":
            stream.options = {"reservoir": "0", "compression_level": "7"}
        else:
            stream.options = {"application": "audio", "compression_level": "4"}
        self._stream = stream
        self._samples = 0

    def encode(self, block: NDArray[np.int16]) -> bytes:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self._samples
        frame.time_base = Fraction(1, self._rate)
        self._samples += len(block)
        self._container.mux(self._stream.encode(frame))
        return self._collected()

    def finish(self) -> bytes:
        if self._samples:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        del self._stream, self._container  # an encoder is large, and whoever holds us may do so for a while
        return self._collected()

    def _collected(self) -> bytes:
        written = self._output.getvalue()
        self._output.seek(0)
        self._output.truncate()
        return written


class _Mp3Stream(_ContainerStream):
    """Constant bit rate, so that a player knows the length of a file without an index.

    LAME starts with 1105 samples that are not in the sound. The first frame holds nothing else, so it is left out:
    file and call differ by less than 50 ms.
    """

    def __init__(self, settings: RecordingSettings) -> None:
        super().__init__(settings, "mp3", "libmp3lame", 32000 * settings.channels)
        self._started = False

    def _collected(self) -> bytes:
        written = super()._collected()
        if self._started or not written:
            return written
        self._started = True
        return written[_mp3_frame_size(written) :]


def _mp3_frame_size(data: bytes) -> int:
    """Bytes in the MPEG-1 or MPEG-2 layer III frame at the start of `data` (ISO 11172-3 §2.4.1.3, 13818-3 §2.4.2.3)."""
    version1 = (data[1] >> 3) & 3 == 3
    bitrates = _MPEG1_KBITS if version1 else _MPEG2_KBITS
    rate = (44100, 48000, 32000)[(data[2] >> 2) & 3] // {3: 1, 2: 2, 0: 4}[(data[1] >> 3) & 3]
    padding = (data[2] >> 1) & 1
    return (144 if version1 else 72) * bitrates[data[2] >> 4] * 1000 // rate + padding


_MPEG1_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class _OggStream(_ContainerStream):
    """Opus in OGG: its header tells players what to leave out at both ends, so the length is exact."""

    def __init__(self, settings: RecordingSettings) -> None:
        # Below this, stereo Opus folds both sides into one.
        super().__init__(settings, "ogg", "libopus", 32000 * settings.channels)


_Stream = _WavStream | _ContainerStream
_STREAMS: dict[RecordingFormat, Callable[[RecordingSettings], _Stream]] = {
    RecordingFormat.MP3: _Mp3Stream,
    RecordingFormat.WAV: _WavStream,
    RecordingFormat.OGG: _OggStream,
}

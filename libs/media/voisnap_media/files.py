"""Whole sounds in files: WAV, MP3, OGG and whatever else FFmpeg reads."""

import wave
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from voisnap_media.pcm import Pcm


class UnreadableSound(ValueError):
    """The file holds no sound that can be read; the text names the file."""


def read(
    source: Path | BinaryIO,
    rate: int | None = None,
    *,
    most_seconds: float | None = None,
    format: str | None = None,
) -> Pcm:
    """A whole file as one channel (several are mixed), at `rate` or at its own; no more of it than `most_seconds`, give or take a frame.

    What a stranger has sent is read with its `format` (one of FFmpeg's), never guessed: some formats are lists of other files and addresses.

    Raises `OSError` when the file cannot be opened and `UnreadableSound` when it holds no sound.
    """
    return _read(source, rate, "mono", most_seconds, format)[0]


def read_stereo(source: Path | BinaryIO, rate: int | None = None) -> tuple[Pcm, Pcm]:
    """Left and right channel of a file; a file with one channel gives it twice. Raises as `read` does."""
    left, right = _read(source, rate, "stereo")
    return left, right


def _read(
    source: Path | BinaryIO,
    rate: int | None,
    layout: str,
    most_seconds: float | None = None,
    format: str | None = None,
) -> tuple[Pcm, ...]:
    try:
        with av.open(str(source) if isinstance(source, Path) else source, "r", format=format) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                raise UnreadableSound(f"{_name(source)} holds no sound")
            wanted = rate or stream.rate
            resampler = AudioResampler(format="s16", layout=layout, rate=wanted)
            parts: list[np.ndarray] = []
            length = 0
            for frame in container.decode(stream):
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray())
                    length += part.samples
                if most_seconds is not None and length >= most_seconds * wanted:
                    break
            parts += [part.to_ndarray() for part in resampler.resample(None)]
    except OSError:
        raise
    except FFmpegError as error:
        raise UnreadableSound(f"{_name(source)} cannot be read as sound: {error}") from error
    channels = 1 if layout == "mono" else 2
    interleaved = np.concatenate(parts, axis=1)[0] if parts else np.zeros(0, np.int16)
    return tuple(Pcm(np.ascontiguousarray(interleaved[index::channels]), wanted) for index in range(channels))


def write_wav(path: Path, *channels: Pcm) -> None:
    """A 16-bit WAV file of one or more channels of equal rate; shorter channels end in silence."""
    if not channels or len({channel.rate for channel in channels}) != 1:
        raise ValueError("a WAV file needs at least one channel, and one rate for all")
    interleaved = np.zeros((max(len(channel) for channel in channels), len(channels)), "<i2")
    for index, channel in enumerate(channels):
        interleaved[: len(channel), index] = channel.samples
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(channels[0].rate)
        file.writeframes(interleaved.tobytes())


def duration_seconds(source: Path | BinaryIO) -> float:
    """How long the sound in a file plays, by decoding it: right for files cut off by a crash too."""
    return read(source).seconds


def _name(source: Path | BinaryIO) -> str:
    return str(source) if isinstance(source, Path) else "the stream"

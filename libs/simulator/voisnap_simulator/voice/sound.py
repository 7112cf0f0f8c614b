"""Sound as the simulated network carries it inside: frames of 20 ms at 16 kHz."""

from collections.abc import Iterable

import numpy as np
from voisnap_media import g711
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.resample import Resampler, resample
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat

RATE = 16_000
FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
SILENCE: Samples = np.zeros(FRAME, np.int16)


def mixed(frames: Iterable[Samples | None]) -> Samples | None:
    """Several frames at once; None when there are none."""
    heard = [frame for frame in frames if frame is not None]
    if len(heard) < 2:
        return heard[0] if heard else None
    total = np.sum([frame.astype(np.int32) for frame in heard], axis=0)
    return np.clip(total, -32768, 32767).astype(np.int16)


def tone(hertz: Iterable[float], seconds: float, amplitude: float = 0.25) -> Samples:
    """Sine tones, all at once, with soft edges."""
    count = round(RATE * seconds)
    moments = np.arange(count) / RATE
    waves = [np.sin(2 * np.pi * one * moments) for one in hertz]
    sound = np.sum(waves, axis=0) * amplitude
    edge = min(count // 2, RATE // 200)
    if edge:
        ramp = np.linspace(0.0, 1.0, edge)
        sound[:edge] *= ramp
        sound[-edge:] *= ramp[::-1]
    return np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)


def framed(sound: Samples) -> list[Samples]:
    """Whole frames, the last one filled with silence."""
    short = -len(sound) % FRAME
    whole = np.concatenate([sound, np.zeros(short, np.int16)]) if short else sound
    return [whole[at : at + FRAME] for at in range(0, len(whole), FRAME)]


def at_line_rate(audio: Pcm) -> Samples:
    """A whole sound of any rate at 16 kHz."""
    return resample(audio, RATE).samples


class Coder:
    """One direction of a stream: frames of the line to the stream's bytes, 20 ms at a time."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._resampler = Resampler(RATE, form.rate)
        self.size = form.rate * FRAME_MS // 1000
        # The filter answers 1 to 3 ms late: filled once, a whole frame is always there.
        self._waiting = np.zeros(0 if form.rate == RATE else form.rate * 4 // 1000, np.int16)

    def coded(self, frame: Samples) -> bytes:
        """The next 20 ms."""
        fresh = self._resampler.process(Pcm(frame, RATE)).samples
        waiting = np.concatenate([self._waiting, fresh]) if len(self._waiting) else fresh
        if len(waiting) < self.size:
            waiting = np.concatenate([waiting, np.zeros(self.size - len(waiting), np.int16)])
        now, self._waiting = waiting[: self.size], waiting[self.size :]
        return encoded(Pcm(now, self._form.rate), self._form)


class Decoder:
    """The other direction: the stream's bytes, 20 ms at a time, to frames of the line."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._resampler = Resampler(form.rate, RATE)
        self._waiting = np.zeros(0 if form.rate == RATE else RATE * 4 // 1000, np.int16)

    def frame(self, payload: bytes) -> Samples:
        """The next frame."""
        fresh = self._resampler.process(decoded(payload, self._form)).samples
        waiting = np.concatenate([self._waiting, fresh]) if len(self._waiting) else fresh
        if len(waiting) < FRAME:
            waiting = np.concatenate([waiting, np.zeros(FRAME - len(waiting), np.int16)])
        now, self._waiting = waiting[:FRAME], waiting[FRAME:]
        return now


def bytes_per_frame(form: AudioFormat) -> int:
    """Bytes of 20 ms."""
    return form.rate * FRAME_MS // 1000 * (2 if form.codec is AudioCodec.L16 else 1)


def silence_of(form: AudioFormat) -> bytes:
    """The byte that silence is filled up with."""
    return {AudioCodec.PCMU: b"\xff", AudioCodec.PCMA: b"\xd5", AudioCodec.L16: b"\0"}[form.codec]


def encoded(sound: Pcm, form: AudioFormat) -> bytes:
    """Sound of the stream's rate in its codec."""
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_encode(sound)
        case AudioCodec.PCMA:
            return g711.alaw_encode(sound)
        case AudioCodec.L16:
            return sound.to_bytes()


def decoded(payload: bytes, form: AudioFormat) -> Pcm:
    """The reverse of `encoded`."""
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_decode(payload)
        case AudioCodec.PCMA:
            return g711.alaw_decode(payload)
        case AudioCodec.L16:
            return Pcm.from_bytes(payload, form.rate)

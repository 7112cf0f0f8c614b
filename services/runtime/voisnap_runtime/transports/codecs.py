"""The codecs of a WebRTC call behind one shape: 24 kHz goes out, 16 kHz comes in."""

from collections.abc import Callable
from typing import Protocol

from voisnap_media import g711
from voisnap_media.opus import OpusDecoder, OpusEncoder, OpusError, packet_ms
from voisnap_media.pcm import Pcm
from voisnap_media.resample import Resampler

from voisnap_runtime.transports.port import SINK_RATE, SOURCE_RATE
from voisnap_runtime.transports.sdp import Codec

FRAME_MS = 20
OPUS_BITRATE, OPUS_COMPLEXITY = 32000, 1
"""Complexity 1 takes 54 µs a frame of speech, 5 takes 110. On the local voice both are 5.6 dB off in log spectrum, and 0 is 6.2."""
MAX_CONCEALED = 5
"""Lost packets that are made up for; a longer loss is left as silence for the clock to count."""


class SpeechEncoder(Protocol):
    """The agent's frames to packets."""

    def encode(self, audio: Pcm) -> bytes:
        """One packet for 20 ms at 24 kHz."""
        ...

    def restart(self) -> None:
        """A new talk spurt begins after silence that was not sent."""
        ...

    def expect_loss(self, percent: int) -> None:
        """The share of packets the caller says he misses."""
        ...


class SpeechDecoder(Protocol):
    """The caller's packets to sound."""

    def decode(self, payload: bytes) -> Pcm:
        """The sound of a packet at 16 kHz. Raises `ValueError` for a broken one."""
        ...

    def conceal(self, lost: int, following: bytes) -> Pcm:
        """What to play for `lost` packets before `following`."""
        ...


class OpusSpeechEncoder:
    """Opus at 24 kHz mono."""

    def __init__(self) -> None:
        self._encoder = OpusEncoder(SOURCE_RATE, bitrate=OPUS_BITRATE, complexity=OPUS_COMPLEXITY)
        self._loss = 0

    def encode(self, audio: Pcm) -> bytes:
        return self._encoder.encode(audio)

    def restart(self) -> None:
        self._encoder.reset()

    def expect_loss(self, percent: int) -> None:
        if percent != self._loss:
            self._loss = percent
            self._encoder.expect_loss(percent)


class OpusSpeechDecoder:
    """Opus straight to 16 kHz mono, with in-band correction of the last lost packet."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder(SINK_RATE)

    def decode(self, payload: bytes) -> Pcm:
        return self._decoder.decode(payload)

    def conceal(self, lost: int, following: bytes) -> Pcm:
        try:
            ms = packet_ms(following)
            guessed = [self._decoder.conceal(ms) for _ in range(min(lost, MAX_CONCEALED) - 1)]
            return Pcm.concat([*guessed, self._decoder.recover(following, ms)])
        except OpusError:
            return Pcm.silence(SINK_RATE, FRAME_MS * min(lost, MAX_CONCEALED))


class G711SpeechEncoder:
    """μ-law or A-law at 8 kHz."""

    def __init__(self, encode: Callable[[Pcm], bytes]) -> None:
        self._encode = encode
        self._resampler = Resampler(SOURCE_RATE, g711.RATE)

    def encode(self, audio: Pcm) -> bytes:
        return self._encode(self._resampler.process(audio))

    def restart(self) -> None:
        self._resampler = Resampler(SOURCE_RATE, g711.RATE)

    def expect_loss(self, percent: int) -> None:
        """G.711 has nothing to add."""
        del percent


class G711SpeechDecoder:
    """μ-law or A-law from 8 kHz."""

    def __init__(self, decode: Callable[[bytes], Pcm]) -> None:
        self._decode = decode
        self._resampler = Resampler(g711.RATE, SINK_RATE)

    def decode(self, payload: bytes) -> Pcm:
        return self._resampler.process(self._decode(payload))

    def conceal(self, lost: int, following: bytes) -> Pcm:
        ms = len(following) * 1000 / g711.RATE
        return self._resampler.process(Pcm.silence(g711.RATE, ms * min(lost, MAX_CONCEALED)))


def encoder_for(codec: Codec) -> SpeechEncoder:
    """The encoder of an accepted codec."""
    match codec.name:
        case "opus":
            return OpusSpeechEncoder()
        case "pcmu":
            return G711SpeechEncoder(g711.mulaw_encode)
        case "pcma":
            return G711SpeechEncoder(g711.alaw_encode)
        case _:
            raise ValueError(f"{codec.name} carries no speech")


def decoder_for(codec: Codec) -> SpeechDecoder:
    """The decoder of an accepted codec."""
    match codec.name:
        case "opus":
            return OpusSpeechDecoder()
        case "pcmu":
            return G711SpeechDecoder(g711.mulaw_decode)
        case "pcma":
            return G711SpeechDecoder(g711.alaw_decode)
        case _:
            raise ValueError(f"{codec.name} carries no speech")

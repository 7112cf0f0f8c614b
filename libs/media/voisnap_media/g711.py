"""Telephone companding: ITU-T G.711 μ-law and A-law by table, bit-exact.

Both directions are one numpy look-up (about 1 µs for 20 ms), which is as fast as C code per frame and needs no module
that newer Pythons have dropped. `take` with wrapping leaves out the check of indices that cannot be wrong.
"""

import numpy as np
from numpy.typing import NDArray

from voisnap_media.pcm import Pcm

RATE = 8000
MULAW_SILENCE = 0xFF
"""The μ-law code of zero."""
ALAW_SILENCE = 0xD5
"""The A-law code of the smallest positive step, which stands for zero."""


def _mulaw_encoding() -> NDArray[np.uint8]:
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64) >> 2
    biased = np.minimum(np.abs(linear), 8158) + 33
    segment = np.floor(np.log2(biased)).astype(np.int64) - 5
    code = (segment << 4) | ((biased >> (segment + 1)) & 0x0F)
    return (code ^ np.where(linear < 0, 0x7F, 0xFF)).astype(np.uint8)


def _mulaw_decoding() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int64) << 3) + 0x84) << ((code >> 4) & 7).astype(np.int64)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _alaw_encoding() -> NDArray[np.uint8]:
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64) >> 3
    magnitude = np.where(linear >= 0, linear, -linear - 1)
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 4, 0)
    step = np.where(segment < 2, 1, segment)
    code = (segment << 4) | ((magnitude >> step) & 0x0F)
    return (code ^ np.where(linear >= 0, 0xD5, 0x55)).astype(np.uint8)


def _alaw_decoding() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = ((code >> 4) & 7).astype(np.int64)
    base = (code & 0x0F).astype(np.int64) << 4
    magnitude = np.where(segment == 0, base + 8, (base + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_MULAW_CODES, _MULAW_SAMPLES = _mulaw_encoding(), _mulaw_decoding()
_ALAW_CODES, _ALAW_SAMPLES = _alaw_encoding(), _alaw_decoding()


def mulaw_encode(audio: Pcm) -> bytes:
    """One byte a sample. Raises `ValueError` unless the sound has 8 kHz."""
    return _codes(audio, _MULAW_CODES)


def mulaw_decode(data: bytes | bytearray | memoryview) -> Pcm:
    """8 kHz sound, one sample a byte."""
    return Pcm(_MULAW_SAMPLES.take(np.frombuffer(data, dtype=np.uint8), mode="wrap"), RATE)


def alaw_encode(audio: Pcm) -> bytes:
    """One byte a sample. Raises `ValueError` unless the sound has 8 kHz."""
    return _codes(audio, _ALAW_CODES)


def alaw_decode(data: bytes | bytearray | memoryview) -> Pcm:
    """8 kHz sound, one sample a byte."""
    return Pcm(_ALAW_SAMPLES.take(np.frombuffer(data, dtype=np.uint8), mode="wrap"), RATE)


def _codes(audio: Pcm, table: NDArray[np.uint8]) -> bytes:
    if audio.rate != RATE:
        raise ValueError(f"G.711 carries 8000 Hz, got {audio.rate} Hz")
    return table.take(audio.samples.view(np.uint16), mode="wrap").tobytes()

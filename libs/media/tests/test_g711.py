import numpy as np
import pytest
from voisnap_media import g711
from voisnap_media.pcm import Pcm

pytestmark = pytest.mark.unit

EVERY_SAMPLE = Pcm(np.arange(-32768, 32768).astype(np.int16), 8000)


def mulaw_by_definition(sample: int) -> int:
    """ITU-T G.711 table 2, walked segment by segment on 14-bit magnitudes."""
    value = sample >> 2
    sign = 0x7F if value < 0 else 0xFF
    magnitude = min(abs(value), 8158) + 33
    segment = next(s for s in range(8) if magnitude < 64 << s)
    return (((segment << 4) | ((magnitude >> (segment + 1)) & 15)) ^ sign) & 0xFF


def alaw_by_definition(sample: int) -> int:
    """ITU-T G.711 table 1, on 13-bit magnitudes, even bits inverted."""
    value = sample >> 3
    sign = 0xD5 if value >= 0 else 0x55
    magnitude = value if value >= 0 else -value - 1
    segment = next(s for s in range(8) if magnitude < 32 << s)
    step = max(segment, 1)
    return ((segment << 4) | ((magnitude >> step) & 15)) ^ sign


def test_mulaw_codes_follow_the_definition_for_every_sample():
    assert list(g711.mulaw_encode(EVERY_SAMPLE)) == [mulaw_by_definition(s) for s in range(-32768, 32768)]


def test_alaw_codes_follow_the_definition_for_every_sample():
    assert list(g711.alaw_encode(EVERY_SAMPLE)) == [alaw_by_definition(s) for s in range(-32768, 32768)]


def test_known_codes():
    assert g711.mulaw_encode(Pcm.silence(8000, 1)) == bytes([g711.MULAW_SILENCE] * 8)
    assert g711.alaw_encode(Pcm.silence(8000, 1)) == bytes([g711.ALAW_SILENCE] * 8)
    assert g711.mulaw_decode(bytes([0x00, 0x80, 0xFF])).samples.tolist() == [-32124, 32124, 0]
    assert g711.alaw_decode(bytes([0xD5, 0x55, 0xAA, 0x2A])).samples.tolist() == [8, -8, 32256, -32256]


@pytest.mark.parametrize(
    ("encode", "decode"), [(g711.mulaw_encode, g711.mulaw_decode), (g711.alaw_encode, g711.alaw_decode)]
)
def test_every_code_survives_a_round_trip(encode, decode):
    codes = bytes(range(256))
    again = encode(decode(codes))
    # μ-law has two codes for zero, which decode to the same sample.
    assert [a for a, b in zip(again, codes, strict=True) if a != b] in ([], [0xFF])


def test_the_error_stays_within_half_a_step():
    back = g711.mulaw_decode(g711.mulaw_encode(EVERY_SAMPLE)).samples.astype(int)
    error = np.abs(back - EVERY_SAMPLE.samples.astype(int))
    assert error[np.abs(EVERY_SAMPLE.samples.astype(int)) < 32000].max() <= 516


def test_another_rate_is_refused():
    with pytest.raises(ValueError, match="16000"):
        g711.mulaw_encode(Pcm.silence(16000, 20))

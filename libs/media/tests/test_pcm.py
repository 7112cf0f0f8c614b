import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_media.pcm import SILENCE_DBFS, Pcm

pytestmark = pytest.mark.unit


@given(st.binary(max_size=400).filter(lambda data: len(data) % 2 == 0))
def test_bytes_come_back_unchanged(data: bytes):
    assert Pcm.from_bytes(data, 16000).to_bytes() == data


def test_an_odd_number_of_bytes_is_refused():
    with pytest.raises(ValueError, match="even"):
        Pcm.from_bytes(b"abc", 8000)


def test_bytes_are_little_endian():
    assert Pcm.from_bytes(b"\x01\x00\x00\x80", 8000).samples.tolist() == [1, -32768]


def test_duration_follows_rate():
    sound = Pcm.silence(24000, 20)
    assert len(sound) == 480
    assert sound.duration_ms == 20
    assert sound.seconds == pytest.approx(0.02)


def test_slice_takes_the_part_between_two_moments_and_stays_inside():
    sound = Pcm(np.arange(1600, dtype=np.int16), 16000)
    assert sound.slice(10, 20).samples.tolist() == list(range(160, 320))
    assert len(sound.slice(90, 500)) == 160
    assert len(sound.slice(-10, 10)) == 160
    assert len(sound.slice(50, 20)) == 0


def test_concat_keeps_order_and_refuses_mixed_rates():
    first, second = Pcm(np.array([1, 2], np.int16), 8000), Pcm(np.array([3], np.int16), 8000)
    assert Pcm.concat([first, second]).samples.tolist() == [1, 2, 3]
    assert len(Pcm.concat([], rate=8000)) == 0
    with pytest.raises(ValueError, match="16000"):
        Pcm.concat([first, Pcm.silence(16000, 1)])
    with pytest.raises(ValueError, match="no rate"):
        Pcm.concat([])


def test_loudness_of_full_scale_square_and_silence():
    assert Pcm(np.full(100, -32768, np.int16), 8000).rms_dbfs() == pytest.approx(0.0)
    assert Pcm.silence(8000, 20).rms_dbfs() == SILENCE_DBFS
    assert Pcm.empty(8000).rms_dbfs() == SILENCE_DBFS
    assert Pcm(np.full(100, 3277, np.int16), 8000).rms_dbfs() == pytest.approx(-20.0, abs=0.01)


def test_floats_round_trip_and_clip():
    sound = Pcm(np.array([-32768, -1, 0, 1, 32767], np.int16), 16000)
    assert Pcm.from_float32(sound.as_float32(), 16000).same_as(sound)
    assert Pcm.from_float32(np.array([2.0, -2.0]), 16000).samples.tolist() == [32767, -32768]


def test_gain_clips_instead_of_wrapping():
    assert Pcm(np.array([20000, -20000, 100], np.int16), 8000).gain(2).samples.tolist() == [32767, -32768, 200]

from pathlib import Path

import numpy as np
import pytest
from voisnap_media import files
from voisnap_media.pcm import Pcm

pytestmark = pytest.mark.unit


def ramp(rate: int) -> Pcm:
    return Pcm(np.arange(-8000, 8000, dtype=np.int16), rate)


def test_a_wav_comes_back_to_the_sample(tmp_path: Path):
    files.write_wav(tmp_path / "a.wav", ramp(16000))
    assert files.read(tmp_path / "a.wav").same_as(ramp(16000))
    assert files.duration_seconds(tmp_path / "a.wav") == 1.0


def test_stereo_keeps_the_sides_apart_and_pads_the_shorter(tmp_path: Path):
    files.write_wav(tmp_path / "a.wav", ramp(16000), Pcm.silence(16000, 500))
    left, right = files.read_stereo(tmp_path / "a.wav")
    assert left.same_as(ramp(16000))
    assert len(right) == len(left)
    assert not right.samples.any()


def test_reading_at_another_rate_keeps_the_duration(tmp_path: Path):
    files.write_wav(tmp_path / "a.wav", ramp(16000))
    sound = files.read(tmp_path / "a.wav", 24000)
    assert sound.rate == 24000
    assert sound.seconds == pytest.approx(1.0, abs=0.01)


def test_missing_and_broken_files_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "nothing.wav")
    (tmp_path / "text.wav").write_text("no sound here")
    with pytest.raises(files.UnreadableSound, match=r"text\.wav"):
        files.read(tmp_path / "text.wav")


def test_channels_of_different_rates_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="one rate"):
        files.write_wav(tmp_path / "a.wav", ramp(16000), ramp(8000))

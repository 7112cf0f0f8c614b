import math
import os
from pathlib import Path

import numpy as np
import pytest
from voisnap_media import files
from voisnap_media.smart_turn import RATE, WINDOW, SmartTurn, log_mel

pytestmark = pytest.mark.media

SPEECH = Path(__file__).parent / "data" / "go_forward_ten_meters.wav"


@pytest.fixture(scope="module")
def model() -> SmartTurn:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("MODELS_DIR") or cache / "voisnap" / "models")
    return SmartTurn.load(folder / "smart-turn" / "smart-turn-v3.2-cpu.onnx")


def tone(hertz: float, seconds: float, level: float = 8000.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.int16)


def mel(hertz: float) -> float:
    return 3 * hertz / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def hertz(mels: float) -> float:
    return mels * 200 / 3 if mels < 15 else 1000 * 6.4 ** ((mels - 15) / 27)


def slow_column(samples: np.ndarray, frame: int) -> np.ndarray:
    """One column of Whisper's log-mel, without its dynamic range limit, by the textbook in double precision."""
    whole = np.concatenate([np.zeros(max(0, WINDOW - len(samples))), samples[-WINDOW:] / 32768])
    whole = (whole - whole.mean()) / np.sqrt(whole.var() + 1e-7)
    piece = np.pad(whole, 200, mode="reflect")[frame * 160 : frame * 160 + 400] * np.hanning(401)[:400]
    power = np.abs(np.fft.fft(piece)[:201]) ** 2
    edges = [hertz(mel(8000) * step / 81) for step in range(82)]
    column = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for line in range(201):
            at = line * 40.0
            height = min((at - low) / (middle - low), (high - at) / (high - middle))
            total += max(0.0, height) * 2 / (high - low) * power[line]
        column.append(math.log10(max(total, 1e-10)))
    return np.array(column)


@pytest.mark.parametrize("seconds", [0.7, 8.0, 11.3])
def test_the_spectrogram_is_whispers(seconds: float):
    rng = np.random.default_rng(1)
    samples = (tone(440, seconds) // 4 + rng.normal(0, 500, int(seconds * RATE))).astype(np.int16)
    features = log_mel(samples)
    assert features.shape == (80, 800)
    assert features.dtype == np.float32
    for frame in (0, 790, 799):
        wanted = slow_column(samples, frame)
        ours = features[:, frame] * 4 - 4
        loud = wanted > ours.min() + 0.1
        np.testing.assert_allclose(ours[loud], wanted[loud], atol=2e-3)


def test_a_person_who_finished_is_heard_to_have_finished(model: SmartTurn):
    speech = files.read(SPEECH, RATE).samples
    assert model.chance(speech) > 0.9


def test_only_the_last_eight_seconds_count(model: SmartTurn):
    speech = files.read(SPEECH, RATE).samples
    last = np.concatenate([np.zeros(WINDOW - len(speech), np.int16), speech])
    assert model.chance(np.concatenate([tone(440, 5.0), last])) == pytest.approx(model.chance(speech), abs=1e-4)


def test_a_second_asking_at_the_same_time_gets_its_own_answer(model: SmartTurn):
    speech = files.read(SPEECH, RATE).samples
    alone = [model.chance(speech), model.chance(tone(300, 1.0))]
    assert [model.chance(speech), model.chance(tone(300, 1.0))] == alone
    assert alone[0] != alone[1]


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(160, np.int16), np.full(WINDOW, 32767, np.int16)])
def test_silence_and_overload_have_an_answer(model: SmartTurn, samples: np.ndarray):
    assert 0.0 <= model.chance(samples) <= 1.0


def test_other_weights_are_refused(tmp_path: Path):
    broken = tmp_path / "smart-turn.onnx"
    broken.write_bytes(b"not weights")
    with pytest.raises(ValueError, match="is not the smart-turn network"):
        SmartTurn.load(broken)
    with pytest.raises(FileNotFoundError):
        SmartTurn.load(tmp_path / "absent.onnx")

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from threadpoolctl import threadpool_info
from voisnap_media import files
from voisnap_media.endpointing import GateSettings, SpeechEnded, SpeechGate, SpeechStarted
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import NARROW_RATE, NARROW_WINDOW, WINDOW, VadModel, VadState
from voisnap_media.vad_network import VadNetwork, read_weights

pytestmark = pytest.mark.media

SPEECH = Path(__file__).parent / "data" / "go_forward_ten_meters.wav"


@pytest.fixture(scope="module")
def weights() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("MODELS_DIR") or cache / "voisnap" / "models")
    return folder / "silero-vad" / "silero_vad.onnx"


@pytest.fixture(scope="module")
def model(weights: Path) -> VadModel:
    return VadModel.load(weights)


def windows_of(audio: Pcm) -> np.ndarray:
    floats = audio.as_float32()
    return floats[: len(floats) // WINDOW * WINDOW].reshape(-1, WINDOW)


def chances(model: VadModel, audio: Pcm) -> list[float]:
    state = VadState()
    return [float(model.probabilities(window[None], [state])[0]) for window in windows_of(audio)]


def test_a_human_voice_is_heard_from_start_to_end(model: VadModel):
    speech = files.read(SPEECH, 16000)
    quiet = Pcm.silence(16000, 1000)
    gate = SpeechGate(GateSettings(silence_duration_ms=640))
    events = [event for chance in chances(model, Pcm.concat([quiet, speech, quiet])) for event in gate.feed(chance)]
    started = next(event for event in events if isinstance(event, SpeechStarted))
    ended = [event for event in events if isinstance(event, SpeechEnded)]
    assert 1000 <= started.at_ms <= 1000 + 1300
    assert len(ended) == 1
    assert ended[0].voiced_ms > 700
    assert ended[0].at_ms <= 1000 + speech.duration_ms


def test_silence_noise_and_tones_are_not_speech(model: VadModel):
    random = np.random.default_rng(7)
    noise = Pcm((random.normal(0, 600, 32000)).astype(np.int16), 16000)
    tone = Pcm((8000 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)).astype(np.int16), 16000)
    for sound in (Pcm.silence(16000, 2000), noise, tone):
        gate = SpeechGate()
        assert not [event for chance in chances(model, sound) for event in gate.feed(chance)]


def test_a_batch_says_what_single_runs_say(model: VadModel):
    speech = windows_of(files.read(SPEECH, 16000))[:60]
    streams = [speech, speech[::-1].copy(), np.zeros_like(speech)]
    batch_states, single_states = [VadState() for _ in streams], [VadState() for _ in streams]
    for index in range(len(speech)):
        together = model.probabilities(np.stack([stream[index] for stream in streams]), batch_states)
        alone = [
            model.probabilities(stream[index][None], [state])[0]
            for stream, state in zip(streams, single_states, strict=True)
        ]
        np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_network_says_what_its_makers_says(model: VadModel, weights: Path):
    """Each window is preceded by the last 64 samples of the one before, and the state goes in and out."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    theirs = ort.InferenceSession(weights.read_bytes(), options, providers=["CPUExecutionProvider"])
    speech = windows_of(files.read(SPEECH, 16000))[20:60]
    hidden, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for window in speech:
        inputs = {"input": np.concatenate([context, window])[None], "state": hidden, "sr": np.array(16000)}
        chance, hidden = theirs.run(None, inputs)
        context = window[-64:]
        expected.append(float(chance[0, 0]))
    state = VadState()
    heard = [float(model.probabilities(window[None], [state])[0]) for window in speech]
    np.testing.assert_allclose(heard, expected, atol=1e-5)
    assert max(heard) > 0.9


@pytest.mark.parametrize("level", [0.01, 0.3, 1.0])
def test_a_telephones_sound_is_judged_as_by_its_makers_network_for_8_khz(model: VadModel, weights: Path, level: float):
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    theirs = ort.InferenceSession(weights.read_bytes(), options, providers=["CPUExecutionProvider"])
    speech = resample(files.read(SPEECH, 16000), NARROW_RATE).as_float32()
    noise = np.random.default_rng(3).standard_normal(len(speech)).astype(np.float32) * np.float32(0.1)
    sounds = (np.stack([speech, noise, speech[::-1]]) * np.float32(level)).clip(-1, 1)
    states = [VadState() for _ in sounds]
    hidden, context, heard = np.zeros((2, 3, 128), np.float32), np.zeros((3, 32), np.float32), []
    for start in range(0, sounds.shape[1] - NARROW_WINDOW, NARROW_WINDOW):
        windows = np.ascontiguousarray(sounds[:, start : start + NARROW_WINDOW])
        inputs = {"input": np.concatenate([context, windows], axis=1), "state": hidden, "sr": np.array(NARROW_RATE)}
        expected, hidden = theirs.run(None, inputs)
        context = windows[:, -32:]
        heard.append(model.probabilities(windows, states))
        np.testing.assert_allclose(heard[-1], expected[:, 0], atol=1e-4)
    assert np.max(heard, axis=0)[0] > (0.9 if level > 0.1 else 0.1)


def test_a_stream_does_not_change_its_rate_unless_it_begins_anew(model: VadModel):
    state = VadState()
    model.probabilities(np.zeros((1, WINDOW), np.float32), [state])
    with pytest.raises(ValueError, match="another rate"):
        model.probabilities(np.zeros((1, NARROW_WINDOW), np.float32), [state])
    state.reset()
    model.probabilities(np.zeros((1, NARROW_WINDOW), np.float32), [state])


def test_a_reset_stream_starts_like_a_new_one(model: VadModel):
    speech = windows_of(files.read(SPEECH, 16000))[30:50]
    state = VadState()
    model.probabilities(speech[0][None], [state])
    state.reset()
    fresh = VadState()
    for window in speech:
        assert model.probabilities(window[None], [state]) == model.probabilities(window[None], [fresh])


def test_no_streams_cost_nothing_and_wrong_shapes_are_refused(model: VadModel):
    assert len(model.probabilities(np.zeros((0, WINDOW), np.float32), [])) == 0
    with pytest.raises(ValueError, match="shape"):
        model.probabilities(np.zeros((2, WINDOW), np.float32), [VadState()])


@pytest.mark.parametrize("level", [1e-4, 0.03, 1.0])
def test_any_sound_in_a_batch_is_judged_as_by_its_makers_network(model: VadModel, weights: Path, level: float):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    theirs = ort.InferenceSession(weights.read_bytes(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(3)
    states = [VadState() for _ in range(5)]
    hidden, context = np.zeros((2, 5, 128), np.float32), np.zeros((5, 64), np.float32)
    for _ in range(20):
        windows = (random.standard_normal((5, WINDOW)) * level).clip(-1, 1).astype(np.float32)
        inputs = {"input": np.concatenate([context, windows], axis=1), "state": hidden, "sr": np.array(16000)}
        expected, hidden = theirs.run(None, inputs)
        context = windows[:, -64:]
        np.testing.assert_allclose(model.probabilities(windows, states), expected[:, 0], atol=1e-4)


def minutes_of_everything(seconds: int) -> np.ndarray:
    """[streams, windows, 512]: speech, silence, noise, clipped and offset sound in turns, each stream begins with another one."""
    random = np.random.default_rng(11)
    speech = files.read(SPEECH, 16000).as_float32()
    length = len(speech)
    sounds = [
        speech,
        np.zeros(length, np.float32),
        (speech * 40).clip(-1, 32767 / 32768),
        (random.standard_normal(length) * 0.02).astype(np.float32) + speech * 0.1,
        np.where(np.arange(length) // 40 % 2, 1.0, -1.0).astype(np.float32),
        (speech * 1e-3).round(4).astype(np.float32) + np.float32(0.25),
    ]
    windows = seconds * 16000 // WINDOW
    rows = [np.resize(np.concatenate(sounds[row:] + sounds[:row]), windows * WINDOW) for row in range(len(sounds))]
    return np.stack(rows).reshape(len(sounds), windows, WINDOW)


def test_minutes_of_speech_silence_and_clipped_sound_are_judged_as_by_its_makers_network(
    model: VadModel, weights: Path
):
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    theirs = ort.InferenceSession(weights.read_bytes(), options, providers=["CPUExecutionProvider"])
    sounds = minutes_of_everything(20)
    count = len(sounds)
    states = [VadState() for _ in sounds]
    hidden, context = np.zeros((2, count, 128), np.float32), np.zeros((count, 64), np.float32)
    ours, expected = [], []
    for windows in np.ascontiguousarray(sounds.transpose(1, 0, 2)):
        inputs = {"input": np.concatenate([context, windows], axis=1), "state": hidden, "sr": np.array(16000)}
        chance, hidden = theirs.run(None, inputs)
        context = windows[:, -64:]
        expected.append(chance[:, 0])
        ours.append(model.probabilities(windows, states))
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert np.isfinite(ours).all()
    assert np.max(ours) > 0.9
    assert np.min(ours) < 0.05


@pytest.mark.parametrize(("element", "kind"), [(b"\x10\x01", b"\x10\x0a"), (b"\x10\x01", b"\x10\x03")])
def test_half_floats_and_quantised_weights_are_refused(weights: Path, tmp_path: Path, element: bytes, kind: bytes):
    other = tmp_path / "other.onnx"
    other.write_bytes(weights.read_bytes().replace(element, kind))
    with pytest.raises(ValueError, match="32-bit floats"):
        VadModel.load(other)


def test_a_cut_file_and_damaged_weights_are_refused(weights: Path, tmp_path: Path):
    other = tmp_path / "other.onnx"
    whole = weights.read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="no ONNX file"):
        VadModel.load(other)
    found = read_weights(whole)
    found["decoder.rnn.bias_ih"][3] = np.nan
    with pytest.raises(ValueError, match=r"bias_ih is damaged"):
        VadNetwork(found)


def test_threads_that_judge_at_the_same_time_do_not_disturb_each_other(model: VadModel):
    sounds = minutes_of_everything(4)

    def judged(stream: int) -> list[float]:
        state = VadState()
        return [float(model.probabilities(window[None], [state])[0]) for window in sounds[stream]]

    alone = [judged(stream) for stream in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(judged, range(4)))
    assert together == alone


def test_products_of_the_process_run_in_the_thread_that_asks(model: VadModel):
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_another_network_is_refused(weights: Path, tmp_path: Path):
    other = tmp_path / "other.onnx"
    other.write_bytes(weights.read_bytes().replace(b"encoder.3.reparam_conv", b"encoder.9.reparam_conv"))
    with pytest.raises(ValueError, match=r"encoder\.3"):
        VadModel.load(other)


def test_a_broken_file_is_named(tmp_path: Path):
    broken = tmp_path / "silero_vad.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"silero_vad\.onnx"):
        VadModel.load(broken)

"""Are the tones of machines and networks found, named rightly, and never found in speech?"""

from pathlib import Path

import numpy as np
import pytest
from voisnap_media import files, g711
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.tones import WINDOW, LineSignal, LineTones, Tone, ToneDetector

pytestmark = pytest.mark.media

SPEECH = Path(__file__).parent / "data" / "go_forward_ten_meters.wav"
RATE = 16000


def beep(*hertz: float, ms: float, level: float = 0.1) -> np.ndarray:
    times = np.arange(round(ms * 16)) / RATE
    sound = sum(level * np.sin(2 * np.pi * one * times) for one in hertz)
    edge = np.minimum(1.0, np.arange(len(times)) / 80)
    return sound * edge * edge[::-1]


def quiet(ms: float) -> np.ndarray:
    return np.zeros(round(ms * 16))


def noisy(sound: np.ndarray, *, below: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """White noise `below` dB under a tone of that level."""
    power = level * 2**-0.5 * 10 ** (-below / 20)
    return sound + np.random.default_rng(seed).normal(0, power, len(sound))


def tones_in(sound: np.ndarray) -> list[Tone]:
    detector = ToneDetector()
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float32)
    found = [detector.take(window, 32.0 * number) for number, window in enumerate(windows, 1)]
    return [tone for tone in (*found, detector.end()) if tone is not None]


def signals_in(sound: np.ndarray) -> list[tuple[LineSignal, float]]:
    detector, line = ToneDetector(), LineTones()
    told = []
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float32)
    for number, window in enumerate(windows, 1):
        if tone := detector.take(window, 32.0 * number):
            line.take(tone)
        if not detector.sounds and (signal := line.now(32.0 * number)):
            told.append((signal, 32.0 * number))
    return told


@pytest.mark.parametrize("hertz", [400, 440, 850, 1000, 1400, 2000, 2600])
@pytest.mark.parametrize("ms", [230, 500, 900])
def test_a_beep_is_found_with_its_pitch_and_place(hertz: float, ms: float):
    for start in (1000, 1011, 1023):
        (tone,) = tones_in(noisy(np.concatenate([quiet(start), beep(hertz, ms=ms), quiet(400)]), below=15))
        assert tone.hertz == pytest.approx(hertz, abs=12)
        assert tone.start_ms == pytest.approx(start, abs=45)
        assert tone.end_ms == pytest.approx(start + ms, abs=45)


def test_a_beep_over_a_telephone_is_found():
    sound = np.concatenate([quiet(500), beep(1000, ms=400), quiet(500)])
    line = resample(Pcm.from_float32(sound, RATE), 8000)
    heard = resample(g711.mulaw_decode(g711.mulaw_encode(line)), RATE)
    (tone,) = tones_in(heard.as_float32())
    assert tone.hertz == pytest.approx(1000, abs=5)


def test_what_is_no_steady_tone_is_not_found():
    times = np.arange(RATE) / RATE
    rng = np.random.default_rng(0)
    others = [
        beep(1000, ms=100),
        beep(300, ms=500),
        beep(3000, ms=500),
        beep(1000, ms=500, level=0.001),
        beep(697, 1209, ms=500),
        np.sin(2 * np.pi * (800 * times + 400 * times**2)) * 0.1,
        np.sign(np.sin(2 * np.pi * 440 * times)) * 0.1,
        rng.normal(0, 0.1, RATE),
        np.concatenate([beep(600 + 150 * note, ms=120) for note in range(8)]),
    ]
    assert [tones_in(other) for other in others] == [[]] * len(others)


def test_a_human_voice_is_no_tone():
    voice = files.read(SPEECH, RATE).as_float32()
    for speed in np.linspace(0.7, 1.4, 15):
        places = np.arange(0, len(voice) - 1, speed)
        assert tones_in(np.interp(places, np.arange(len(voice)), voice)) == []


def test_a_beep_is_told_when_it_is_over():
    ((signal, at),) = signals_in(np.concatenate([quiet(300), beep(850, ms=400), quiet(800)]))
    assert signal is LineSignal.BEEP
    assert at == pytest.approx(860, abs=64)


def test_the_signals_of_the_network_are_told_apart():
    out_of_service = np.concatenate([beep(950, ms=330), beep(1400, ms=330), beep(1800, ms=330), quiet(1000)])
    ringing = np.concatenate([beep(440, 480, ms=2000), quiet(1000)])
    european = np.concatenate([beep(425, ms=1000), quiet(1000)])
    busy = np.concatenate([beep(425, ms=480), quiet(480)] * 4)
    assert [signal for signal, _ in signals_in(out_of_service)] == [LineSignal.OUT_OF_SERVICE]
    assert [signal for signal, _ in signals_in(ringing)] == [LineSignal.RINGING]
    assert [signal for signal, _ in signals_in(european)] == [LineSignal.RINGING]
    assert [signal for signal, _ in signals_in(busy)][2:] == [LineSignal.BUSY, LineSignal.BUSY]

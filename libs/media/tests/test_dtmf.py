"""Are keys heard as people and networks send them, and nothing else for a key?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from voisnap_media import files, g711
from voisnap_media.dtmf import HIGH_HZ, KEYS, LOW_HZ, DtmfDetector, ToneBank
from voisnap_media.pcm import Pcm

pytestmark = pytest.mark.media

SPEECH = Path(__file__).parent / "data" / "go_forward_ten_meters.wav"


class Phone:
    """Presses keys; deterministic by seed."""

    def __init__(self, rate: int, seed: int = 0) -> None:
        self.rate = rate
        self.random = np.random.default_rng(seed)

    def press(self, key: str, ms: float, *, dbfs: float = -20, twist: float = 0, off: float = 0) -> np.ndarray:
        index = KEYS.index(key)
        times = np.arange(round(ms * self.rate / 1000)) / self.rate
        low, high = LOW_HZ[index // 4] * (1 + off), HIGH_HZ[index % 4] * (1 + off)
        start = self.random.uniform(0, 2 * np.pi, 2)
        level = 10 ** (dbfs / 20)
        return level * (
            np.sin(2 * np.pi * low * times + start[0])
            + 10 ** (twist / 20) * np.sin(2 * np.pi * high * times + start[1])
        )

    def quiet(self, ms: float) -> np.ndarray:
        return np.zeros(round(ms * self.rate / 1000))

    def noisy(self, sound: np.ndarray, *, below: float, dbfs: float = -20) -> np.ndarray:
        """White noise `below` dB under two tones of `dbfs`."""
        return sound + self.random.normal(0, 10 ** ((dbfs - below) / 20), len(sound))


def heard(sound: np.ndarray, rate: int, *, packet_ms: int = 20) -> str:
    samples = Pcm.from_float32(sound, rate).samples
    detector = DtmfDetector(rate)
    size = rate * packet_ms // 1000
    return "".join(detector.feed(samples[at : at + size]) for at in range(0, len(samples), size))


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("ms", [45, 60, 100, 400])
def test_every_key_is_heard_once_however_long_it_is_pressed(rate: int, ms: int):
    phone = Phone(rate)
    dialled = KEYS * 3
    presses = [np.concatenate([phone.press(key, ms), phone.quiet(phone.random.uniform(50, 90))]) for key in dialled]
    assert heard(np.concatenate([phone.quiet(37), *presses]), rate) == dialled


@pytest.mark.parametrize("packet_ms", [10, 20, 30, 60])
def test_packets_of_any_length_make_no_difference(packet_ms: int):
    phone = Phone(16000)
    dialled = "0123456789"
    sound = [np.concatenate([phone.press(key, 50), phone.quiet(60)]) for key in dialled]
    assert heard(np.concatenate(sound), 16000, packet_ms=packet_ms) == dialled


@pytest.mark.parametrize("ms", [45, 100])
def test_noise_five_decibels_below_is_no_hindrance(ms: int):
    phone = Phone(16000)
    dialled = KEYS * 4
    sound = np.concatenate([np.concatenate([phone.press(key, ms), phone.quiet(120)]) for key in dialled])
    assert heard(phone.noisy(sound, below=5), 16000) == dialled


@pytest.mark.parametrize(
    ("twist", "off"), [(-8, 0.0), (6, 0.0), (0, 0.015), (0, -0.015)], ids=["low", "high", "sharp", "flat"]
)
def test_uneven_and_mistuned_keys_within_the_standard_are_heard(twist: float, off: float):
    phone = Phone(16000)
    sound = [np.concatenate([phone.press(key, 80, twist=twist, off=off), phone.quiet(80)]) for key in KEYS]
    assert heard(np.concatenate(sound), 16000) == KEYS


def test_loud_and_faint_keys_are_heard():
    phone = Phone(16000)
    for dbfs in (-7, -38):
        sound = [np.concatenate([phone.press(key, 70, dbfs=dbfs), phone.quiet(70)]) for key in KEYS]
        assert heard(np.concatenate(sound), 16000) == KEYS


@pytest.mark.parametrize(
    ("encode", "decode"),
    [(g711.mulaw_encode, g711.mulaw_decode), (g711.alaw_encode, g711.alaw_decode)],
    ids=["mu-law", "A-law"],
)
def test_telephone_companding_is_no_hindrance(encode: Callable[[Pcm], bytes], decode: Callable[[bytes], Pcm]):
    phone = Phone(8000)
    sound = np.concatenate([np.concatenate([phone.press(key, 60), phone.quiet(60)]) for key in KEYS])
    assert heard(decode(encode(Pcm.from_float32(sound, 8000))).as_float32(), 8000) == KEYS


def test_a_gap_of_forty_milliseconds_parts_presses_and_one_of_ten_does_not():
    phone = Phone(16000)
    two = [phone.press("5", 80), phone.quiet(40), phone.press("5", 80), phone.quiet(100)]
    one = [phone.press("5", 80), phone.quiet(10), phone.press("5", 80), phone.quiet(100)]
    assert heard(np.concatenate(two * 20), 16000) == "55" * 20
    assert heard(np.concatenate(one * 20), 16000) == "5" * 20


def test_what_is_no_key_is_not_heard_as_one():
    phone = Phone(16000)
    times = np.arange(16000) / 16000

    def tones(*hertz: float) -> np.ndarray:
        return sum(0.1 * np.sin(2 * np.pi * one * times) for one in hertz)

    others = [
        tones(697),
        tones(350, 440),
        tones(440, 480),
        tones(950),
        tones(1400),
        tones(697, 770),
        tones(697, 1209, 1477),
        tones(730, 1270),
        tones(770, 1336) * 1e-2,
        tones(770) + 0.02 * tones(1336),
        phone.random.normal(0, 0.1, 16000),
        phone.quiet(1000),
        np.concatenate([phone.press("5", 10), phone.quiet(100)] * 8),
    ]
    assert [heard(np.concatenate([other, phone.quiet(100)]), 16000) for other in others] == [""] * len(others)


def test_a_human_voice_presses_no_key():
    voice = files.read(SPEECH, 16000).as_float32()
    for speed in np.linspace(0.7, 1.4, 15):
        places = np.arange(0, len(voice) - 1, speed)
        assert heard(np.interp(places, np.arange(len(voice)), voice), 16000) == ""


def test_music_of_harmonic_notes_presses_no_key():
    rng = np.random.default_rng(3)
    times = np.arange(int(0.3 * 16000)) / 16000
    pieces = []
    for _ in range(120):
        notes = 110 * 2 ** (rng.integers(0, 40, rng.integers(1, 4)) / 12)
        chord = sum(
            np.sin(2 * np.pi * note * harmonic * times) / harmonic
            for note in notes
            for harmonic in range(1, int(7500 / note))
        )
        pieces.append(0.1 * chord * np.exp(-3 * times))
    assert heard(np.concatenate(pieces), 16000) == ""


def test_many_streams_are_judged_at_once_like_each_alone():
    phone = Phone(16000)
    bank = ToneBank(16000)
    blocks = np.stack([phone.press(key, 16) for key in KEYS] + [phone.quiet(16)]).astype(np.float32)
    together = bank.measure(blocks)
    assert together.key.tolist() == [*range(16), -1]
    for index in range(len(blocks)):
        alone = bank.measure(blocks[index : index + 1])
        assert alone.key[0] == together.key[index]
        assert alone.tones[0] == pytest.approx(together.tones[index], rel=1e-4)


def test_a_rate_without_room_for_the_tones_is_refused():
    with pytest.raises(ValueError, match="11025 Hz"):
        ToneBank(11025)
    with pytest.raises(ValueError, match="2000 Hz"):
        DtmfDetector(2000)

"""Is a played voice found in what a microphone hears, and another voice not? With a person's recording."""

from pathlib import Path

import numpy as np
import pytest
from voisnap_media import echo, files, g711
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample

pytestmark = pytest.mark.media

SPEECH = Path(__file__).parent / "data" / "go_forward_ten_meters.wav"
FROM_MS = 900
"""Where the person in the recording begins to speak."""


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """The person's voice at 16 kHz, with room before and after."""
    return np.concatenate([np.zeros(16000), files.read(SPEECH, 16000).samples.astype(float), np.zeros(16000)])


def room(seconds: float, direct_db: float, seed: int = 1) -> np.ndarray:
    """How a room answers a click: dies away in so many seconds, the direct sound so much louder than all the rest."""
    rng = np.random.default_rng(seed)
    tail = rng.normal(0, 1, 6400) * 10 ** (-3 * np.arange(6400) / 16000 / seconds)
    tail[:48] = 0
    answer = tail * 10 ** (-direct_db / 20) / np.sqrt(np.square(tail).sum())
    answer[0] = 1.0
    return answer


def telephone(sound: np.ndarray) -> np.ndarray:
    narrow = resample(Pcm(np.clip(sound, -32768, 32767).astype(np.int16), 16000), 8000)
    return resample(g711.mulaw_decode(g711.mulaw_encode(narrow)), 16000).samples.astype(float)


def matches(heard: np.ndarray, played: np.ndarray, **options: float) -> list[echo.Match]:
    """One look every 64 ms where there is something to hear."""
    found = []
    for end in range(1900 * 16, 3600 * 16, 64 * 16):
        piece = heard[end - echo.HEARD_MS * 16 : end]
        if np.sqrt(np.square(piece).mean()) < 30:
            continue
        where = played[:end][-echo.PLAYED * 4 :]
        where = np.concatenate([np.zeros(echo.PLAYED * 4 - len(where)), where])
        found.append(
            echo.match(
                echo.reduced(piece.astype(np.int16), 16000), echo.reduced(where.astype(np.int16), 16000), **options
            )
        )
    assert len(found) > 8
    return found


def late(sound: np.ndarray, ms: float, attenuation_db: float) -> np.ndarray:
    moved = np.concatenate([np.zeros(round(ms * 16)), sound])[: len(sound)]
    return moved * 10 ** (-attenuation_db / 20)


@pytest.mark.parametrize("ms", [80, 200, 400])
@pytest.mark.parametrize("attenuation_db", [6, 20])
def test_an_echo_is_found_with_its_delay_however_faint(voice: np.ndarray, ms: float, attenuation_db: float):
    found = matches(late(voice, ms, attenuation_db), voice)
    assert np.median([one.likeness for one in found]) > 0.95
    assert np.median([one.delay_ms for one in found]) == pytest.approx(ms, abs=1)


@pytest.mark.parametrize(("seconds", "direct_db"), [(0.25, 6), (0.5, 0)])
def test_an_echo_through_a_room_and_a_telephone_is_found(voice: np.ndarray, seconds: float, direct_db: float):
    heard = telephone(np.convolve(late(voice, 150, 10), room(seconds, direct_db))[: len(voice)])
    found = matches(heard, voice)
    assert np.median([one.likeness for one in found]) > 0.55
    assert np.quantile([one.likeness for one in found], 0.2) > 0.45


def test_another_voice_is_not_found(voice: np.ndarray):
    places = np.arange(0, len(voice) - 1, 0.8)
    other = np.interp(places, np.arange(len(voice)), voice)[2000 : 2000 + len(voice)]
    assert np.quantile([one.likeness for one in matches(other, voice)], 0.9) < 0.4


def test_loudness_shows_somebody_who_speaks_over_the_echo(voice: np.ndarray):
    places = np.arange(0, len(voice) - 1, 0.8)
    other = np.interp(places, np.arange(len(voice)), voice)
    other = np.concatenate([other, np.zeros(len(voice))])[: len(voice)]
    alone = matches(late(voice, 150, 12), voice, usual_ms=150)
    usual = max(one.loudness for one in alone)
    both = matches(late(voice, 150, 12) + other, voice, usual_ms=150)
    assert sum(one.loudness > 2 * usual for one in both) > len(both) / 3


def test_silence_matches_nothing():
    silence, sound = np.zeros(echo.HEARD, np.float32), np.ones(echo.PLAYED, np.float32)
    assert echo.match(silence, sound) == echo.NO_MATCH
    noise = np.random.default_rng(0).normal(0, 100, echo.HEARD).astype(np.float32)
    assert echo.match(noise, np.zeros(echo.PLAYED, np.float32)) == echo.NO_MATCH


def test_both_rates_are_reduced_alike():
    times = np.arange(24000) / 24000
    tone = (5000 * np.sin(2 * np.pi * 500 * times)).astype(np.int16)
    slower = (5000 * np.sin(2 * np.pi * 500 * np.arange(16000) / 16000)).astype(np.int16)
    one, other = echo.reduced(tone, 24000) / 6, echo.reduced(slower, 16000) / 4
    assert len(one) == len(other) == 4000
    assert np.abs(one - other).max() < 250


def test_wrong_lengths_and_rates_are_refused():
    with pytest.raises(ValueError, match="expected 768 and 3168"):
        echo.match(np.zeros(10, np.float32), np.zeros(echo.PLAYED, np.float32))
    with pytest.raises(ValueError, match="22050 Hz is no multiple"):
        echo.reduced(np.zeros(100, np.int16), 22050)

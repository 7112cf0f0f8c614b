"""Minutes of speech, at several pitches: no telephone key, no beep and no tone is ever found in it."""

from collections.abc import Callable

import numpy as np
import pytest
from voisnap_media.dtmf import DtmfDetector
from voisnap_media.pcm import Pcm
from voisnap_media.tones import WINDOW, ToneDetector

pytestmark = pytest.mark.media

TEXTS = (
    "The quick brown fox jumps over the lazy dog while seven wizards mix a potion of rare herbs.",
    "Our opening hours are Monday to Friday from eight to six, and Saturday from nine until one.",
    "Please dial one for sales, two for support, or stay on the line for the next available person.",
    "My number is five five five, oh one two three, and my name is Theodore Ellington Moore.",
    "You owe us nothing; we will mail you a new one by Tuesday morning, free of charge.",
    "Are you sure you want to cancel your reservation for two on the evening of the thirty first?",
    "Whenever winter weather worsens, we warn everyone who drives over the mountain road.",
    "Ooh, that is lovely! Hmm, let me see. Ah, yes, I found it, row three, seat eleven.",
    "The bank on Main Street, next to the old library, closes early during the summer.",
    "I am calling about the invoice you sent me last week, it seems there is a mistake in it.",
)


@pytest.fixture(scope="module")
def speech(say: Callable[..., Pcm]) -> np.ndarray:
    """Nearly a minute of speech at 16 kHz."""
    return Pcm.concat(say(text) for text in TEXTS).samples


@pytest.mark.parametrize("pitch", [0.8, 1.0, 1.25])
def test_speech_holds_no_key_and_no_tone(speech: np.ndarray, pitch: float):
    places = np.arange(0, len(speech) - 1, pitch)
    voice = np.interp(places, np.arange(len(speech)), speech).astype(np.int16)
    assert len(voice) > 40 * 16000
    assert DtmfDetector(16000).feed(voice) == ""
    detector = ToneDetector()
    windows = voice[: len(voice) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float32) / 32768
    assert [tone for window in windows if (tone := detector.take(window, 0.0))] == []

"""Are keys that we press by sound heard as those keys, on every kind of line?"""

import numpy as np
import pytest
from voisnap_media import g711
from voisnap_media.dtmf import KEYS, DtmfDetector
from voisnap_media.key_tones import GAP_MS, TONE_MS, WAIT_MS, key_tones
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample

pytestmark = pytest.mark.media


def heard(sound: Pcm) -> str:
    return DtmfDetector(sound.rate).feed(np.concatenate([sound.samples, np.zeros(sound.rate // 10, np.int16)]))


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_every_key_is_heard_as_often_as_it_is_pressed(rate: int) -> None:
    assert heard(resample(key_tones(KEYS + "1122*##", rate), 8000)) == KEYS + "1122*##"


def test_keys_survive_the_telephones_codecs() -> None:
    tones = key_tones(KEYS, 8000)
    assert heard(g711.mulaw_decode(g711.mulaw_encode(tones))) == KEYS
    assert heard(g711.alaw_decode(g711.alaw_encode(tones))) == KEYS


def test_the_tones_are_as_loud_as_a_telephones() -> None:
    tone = key_tones("5", 8000).slice(10, TONE_MS - 10)
    spectrum = np.abs(np.fft.rfft(tone.samples / 32768 * np.hanning(len(tone)))) * 4 / len(tone)
    low, high = spectrum[: 1000 * len(tone) // 8000].max(), spectrum[1000 * len(tone) // 8000 :].max()
    assert 20 * np.log10(low) == pytest.approx(-12, abs=1)
    assert 20 * np.log10(high) == pytest.approx(-10, abs=1)
    assert np.abs(key_tones(KEYS, 8000).samples).max() < 20000


def test_a_w_waits_and_small_letters_are_keys() -> None:
    assert len(key_tones("w1", 8000)) == (WAIT_MS + TONE_MS + GAP_MS) * 8
    assert heard(key_tones("ww1wd", 8000)) == "1D"
    assert len(key_tones("", 8000)) == 0


@pytest.mark.parametrize("keys", ["12E", "1 2", "+49", "٣", "1" * 65])
def test_what_is_no_key_is_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="key"):
        key_tones(keys, 8000)

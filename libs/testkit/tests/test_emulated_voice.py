"""What emulators speak with keeps its promises: every sign has its time, every encoding its length."""

import numpy as np
import pytest
from voisnap_media.g711 import mulaw_decode
from voisnap_media.pcm import Pcm
from voisnap_testkit.emulated_voice import Speech, ToneVoice, encoded

pytestmark = pytest.mark.unit

TEXT = " Hello there. It costs — well — $12! "


async def test_every_sign_has_its_time_and_the_words_have_theirs():
    speech = await ToneVoice().say(TEXT)
    signs = speech.signs()
    assert "".join(sign.sign for sign in signs) == TEXT
    moments = [moment for sign in signs for moment in (sign.start, sign.end)]
    assert moments == sorted(moments)
    assert moments[-1] <= speech.audio.seconds + 0.001
    for word, (first, end) in zip(speech.words, speech.places(), strict=True):
        assert TEXT[first:end] == word.word
        assert (signs[first].start, signs[end - 1].end) == (
            pytest.approx(word.start, abs=0.001),
            pytest.approx(word.end, abs=0.001),
        )


async def test_nothing_to_say_is_silence_with_the_text():
    speech = await ToneVoice().say("...")
    assert (len(speech.audio), speech.words) == (0, ())
    assert "".join(sign.sign for sign in speech.signs()) == "..."


async def test_speed_shortens():
    slow, fast = [await ToneVoice().say("Hello there.", speed=speed) for speed in (1.0, 1.2)]
    assert fast.audio.seconds == pytest.approx(slow.audio.seconds / 1.2, rel=0.01)


def test_encodings_have_the_length_of_their_kind_and_sound_alike():
    speech = Speech(text="x", audio=Pcm(np.full(2400, 6000, np.int16), 24000), words=())
    assert len(encoded(speech.audio, "pcm_s16le", 16000)) == 3200
    wav = encoded(speech.audio, "wav", 24000)
    assert (wav[:4], len(wav)) == (b"RIFF", 44 + 4800)
    assert Pcm.from_bytes(wav[44:], 24000).same_as(speech.audio)
    assert np.median(mulaw_decode(encoded(speech.audio, "mulaw", 8000)).samples) == pytest.approx(6000, rel=0.05)
    with pytest.raises(ValueError, match="8000 Hz"):
        encoded(speech.audio, "alaw", 24000)

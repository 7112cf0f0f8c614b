"""Bytes of a voice in any split become chunks of whole words with their times."""

import re
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.pcm_stream import Pace, Paces, PcmDecoder, SpokenText
from voisnap_providers.ports.tts import SpeechChunk

pytestmark = pytest.mark.unit

RATE = 24000
TEXT = "Hello there. Your order costs $12, is that right?"


def wav(samples: np.ndarray, *, rate: int = RATE, size: int | None = None, extra: bytes = b"", bits: int = 16) -> bytes:
    data = samples.astype("<i2").tobytes()
    fmt = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, bits)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + extra
    return (
        b"RIFF"
        + struct.pack("<I", 36)
        + b"WAVE"
        + chunks
        + b"data"
        + struct.pack("<I", len(data) if size is None else size)
        + data
    )


def decoded(data: bytes, cuts: list[int], decoder: PcmDecoder) -> Pcm:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return Pcm.concat([decoder.decode(data[a:b]) for a, b in pairwise(edges)], decoder.rate)


def tone(text: str, *, ms_per_char: float = 60) -> tuple[Pcm, list[tuple[int, int, float, float]]]:
    """Words sound, spaces are silent; and where each word lies in the text and in the sound."""
    per_char = ms_per_char / 1000
    samples = np.zeros(round(len(text) * per_char * RATE), np.int16)
    times = []
    for match in re.finditer(r"\S+", text):
        start, end = match.start() * per_char, match.end() * per_char
        samples[round(start * RATE) : round(end * RATE)] = 8000
        times.append((match.start(), match.end(), start, end))
    return Pcm(samples, RATE), times


def spoken(text: SpokenText, audio: Pcm, *, ms: float = 70) -> list[SpeechChunk]:
    chunks = []
    for start in np.arange(0, audio.duration_ms, ms):
        chunks += text.add(audio.slice(float(start), float(start) + ms))
    return [*chunks, *text.finish()]


def placed(chunks: list[SpeechChunk]) -> list[tuple[str, float, float]]:
    """Every word with its times since the first sample."""
    since, found = 0.0, []
    for chunk in chunks:
        found += [(word.word, since + word.start, since + word.end) for word in chunk.words]
        since += chunk.audio.seconds
    return found


def require_sound_chunks(chunks: list[SpeechChunk], text: str, audio: Pcm) -> None:
    assert " ".join(chunk.text for chunk in chunks) == " ".join(text.split())
    assert Pcm.concat([chunk.audio for chunk in chunks]).same_as(audio)
    for chunk in chunks:
        moments = [moment for word in chunk.words for moment in (word.start, word.end)]
        assert moments == sorted(moments)
        assert moments[0] >= 0
        assert moments[-1] <= chunk.audio.seconds + 1e-9
        assert all(word.end > word.start for word in chunk.words)


@given(st.lists(st.integers(0, 4000), max_size=12), st.sampled_from(["raw", "wav", "streamed wav", "with more"]))
def test_any_split_gives_the_same_samples(cuts: list[int], form: str):
    samples = np.arange(1, 900, dtype=np.int16)
    data = {
        "raw": samples.astype("<i2").tobytes(),
        "wav": wav(samples) + b"LIST" + struct.pack("<I", 4) + b"INFO",
        "streamed wav": wav(samples, size=0xFFFFFFFF),
        "with more": wav(samples, extra=b"fact" + struct.pack("<I", 4) + b"\0\0\0\0"),
    }[form]
    assert np.array_equal(decoded(data, cuts, PcmDecoder(RATE, provider="x")).samples, samples)


def test_the_rate_of_a_file_counts():
    decoder = PcmDecoder(RATE, provider="x")
    assert decoder.decode(wav(np.ones(10, np.int16), rate=16000)).rate == 16000


@pytest.mark.parametrize("data", [wav(np.ones(10, np.int16), bits=8), b"RIFF" + bytes(5000)])
def test_a_file_that_holds_no_16_bit_mono_sound_is_refused(data: bytes):
    with pytest.raises(ProviderError, match="no 16-bit mono sound") as caught:
        PcmDecoder(RATE, provider="x").decode(data)
    assert not caught.value.retryable


@pytest.mark.parametrize("ms", [7, 70, 400, 5000])
def test_told_times_are_kept_and_no_sample_is_lost(ms: float):
    audio, times = tone(TEXT)
    text = SpokenText(TEXT, provider="x", measured=True)
    for told in times:
        text.timed(*told)
    chunks = spoken(text, audio, ms=ms)
    require_sound_chunks(chunks, TEXT, audio)
    for (word, start, end), (first, last, told_start, told_end) in zip(placed(chunks), times, strict=True):
        assert word == TEXT[first:last]
        assert (start, end) == (pytest.approx(told_start, abs=0.001), pytest.approx(told_end, abs=0.001))


def test_times_of_single_signs_make_words_even_when_a_word_is_told_in_two_parts():
    audio, _ = tone(TEXT)
    text = SpokenText(TEXT, provider="x", measured=True)
    chunks = []
    for at in range(len(TEXT)):
        text.timed(at, at + 1, at * 0.06, at * 0.06 + 0.06)
        chunks += text.add(audio.slice(at * 60, at * 60 + 60))
    chunks += text.finish()
    require_sound_chunks(chunks, TEXT, audio)
    assert placed(chunks)[1][1:] == (pytest.approx(0.36, abs=0.001), pytest.approx(0.72, abs=0.001))


def test_words_leave_as_soon_as_they_are_spoken():
    audio, times = tone(TEXT)
    text = SpokenText(TEXT, provider="x", measured=True)
    for told in times:
        text.timed(*told)
    assert text.add(audio.slice(0, 250)) == ()
    (first,) = text.add(audio.slice(250, 400))
    assert first.text == "Hello"


def test_a_chunk_ends_with_its_sentence():
    audio, times = tone("One. Two. Three.")
    text = SpokenText("One. Two. Three.", provider="x", measured=True)
    for told in times:
        text.timed(*told)
    assert [chunk.text for chunk in [*text.add(audio), *text.finish()]] == ["One.", "Two.", "Three."]


def test_words_without_times_lie_between_their_neighbours():
    audio, times = tone(TEXT)
    text = SpokenText(TEXT, provider="x", measured=True)
    for first, end, start, _ in (times[0], times[4], times[8]):
        text.timed(first, end, start)
    chunks = spoken(text, audio)
    require_sound_chunks(chunks, TEXT, audio)
    assert placed(chunks)[4][1] == pytest.approx(times[4][2], abs=0.001)


@pytest.mark.parametrize("ms_per_char", [30, 60, 100])
@pytest.mark.parametrize("ms", [20, 300, 9000])
def test_estimates_follow_the_voice_once_its_pace_is_known(ms_per_char: float, ms: float):
    audio, times = tone(TEXT, ms_per_char=ms_per_char)
    pace = Pace()
    for _ in range(12):
        chunks = spoken(SpokenText(TEXT, provider="x", pace=pace), audio, ms=ms)
        require_sound_chunks(chunks, TEXT, audio)
    worst = max(abs(start - told[2]) for (_, start, _), told in zip(placed(chunks), times, strict=True))
    assert worst < 8 * ms_per_char / 1000


def test_estimates_know_silence_in_front_and_that_speed_changes_the_pace():
    audio, _ = tone(TEXT, ms_per_char=40)
    audio = Pcm.concat([Pcm.silence(RATE, 800), audio])
    pace = Pace()
    chunks = spoken(SpokenText(TEXT, provider="x", pace=pace, speed=1.5), audio)
    require_sound_chunks(chunks, TEXT, audio)
    assert placed(chunks)[0][1] == pytest.approx(0.8, abs=0.02)
    slow = Pace()
    spoken(SpokenText(TEXT, provider="x", pace=slow), tone(TEXT, ms_per_char=60)[0])
    assert pace.seconds == pytest.approx(slow.seconds, rel=0.05)


def test_a_pause_near_a_comma_is_where_the_clause_ends_however_fast_the_voice_is():
    slow, fast = tone("Hello there,", ms_per_char=70)[0], tone("how may I help you", ms_per_char=40)[0]
    audio = Pcm.concat([slow, Pcm.silence(RATE, 250), fast])
    chunks = spoken(SpokenText("Hello there, how may I help you", provider="x"), audio)
    _, (_, _, comma), (word, start, _), *_ = placed(chunks)
    assert (word, start) == ("how", pytest.approx(slow.seconds + 0.25, abs=0.02))
    assert comma == pytest.approx(slow.seconds, abs=0.02)


def test_promised_times_that_stay_away_are_estimated():
    audio, _ = tone(TEXT)
    text = SpokenText(TEXT, provider="x", measured=True)
    early = text.add(audio.slice(0, 1400))
    assert early == ()
    assert text.add(audio.slice(1400, 2000)) != ()


@pytest.mark.parametrize("audio", [Pcm.empty(RATE), Pcm.silence(RATE, 900), Pcm(np.full(9000, 3, np.int16), RATE)])
def test_success_without_sound_is_a_failure_that_may_be_retried(audio: Pcm):
    text = SpokenText(TEXT, provider="x")
    text.add(audio)
    with pytest.raises(ProviderError, match="no sound") as caught:
        text.finish()
    assert caught.value.retryable


@pytest.mark.parametrize("nothing", ["", "  ", "...", "😀", "—", "**"])
def test_nothing_to_say_is_told_and_fails_nothing(nothing: str):
    text = SpokenText(nothing, provider="x")
    assert not text.is_speakable
    assert text.finish() == ()


def test_signs_that_no_document_may_hold_are_not_sent():
    assert SpokenText("Hel\x00lo \x08\x07 the\x7fre.", provider="x").sent == "Hello there."


def test_signs_for_readers_are_not_sent_but_stay_in_the_text():
    written = "**Hi** 😀 there — see [our site](https://voisnap.ai/x), `now`! 🎉"
    text = SpokenText(written, provider="x")
    assert text.sent == "Hi there — see our site, now!"
    audio, _ = tone(text.sent)
    chunks = spoken(text, audio)
    assert " ".join(chunk.text for chunk in chunks) == written
    assert [word.word for chunk in chunks for word in chunk.words] == [
        "**Hi**",
        "there",
        "see",
        "[our",
        "site](https://voisnap.ai/x),",
        "`now`!",
    ]


@given(
    st.text(alphabet="ab1. ,!\n—😀*_[](\x00", max_size=60),
    st.lists(st.integers(1, 9000), min_size=1, max_size=20),
    st.floats(0.02, 0.2),
)
def test_whatever_is_written_comes_out_once_with_all_its_audio(written: str, sizes: list[int], pace: float):
    text = SpokenText(written, provider="x", pace=Pace())
    if not text.is_speakable:
        return
    chunks, parts = [], []
    for size in sizes:
        parts.append(Pcm((np.arange(size) % 480 * 20 * (np.arange(size) % 4800 > 900)).astype(np.int16), RATE))
        chunks += text.add(parts[-1])
    parts.append(Pcm(np.full(round(pace * RATE), 900, np.int16), RATE))
    chunks += [*text.add(parts[-1]), *text.finish()]
    require_sound_chunks(chunks, written, Pcm.concat(parts))


def test_the_paces_of_many_voices_are_forgotten_oldest_first():
    paces = Paces()
    paces.of("first").learn(0.12)
    learned = paces.of("first").seconds
    assert learned > Pace().seconds
    for number in range(499):
        paces.of(str(number))
    assert paces.of("first").seconds == learned
    for number in range(500):
        paces.of(f"more {number}")
    assert paces.of("first").seconds == Pace().seconds

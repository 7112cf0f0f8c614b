"""The scripted recogniser: its words, when they come, and that nothing was heard where nothing was said."""

import asyncio

import pytest
from voisnap_media.pcm import Pcm
from voisnap_providers.vendors.scripted.stt import ScriptedStt, ScriptedSttStream
from voisnap_testkit.fakes_speech import listening

pytestmark = pytest.mark.unit

SECOND = Pcm.silence(16000, 1000)


async def results(stream: ScriptedSttStream) -> list[tuple[str, bool, int]]:
    await stream.aclose()
    async with asyncio.timeout(1):
        return [(found.text, found.is_final, found.utterance) async for found in stream]


async def test_the_words_come_one_by_one_and_all_at_the_flush():
    stream = ScriptedStt().open(listening(language="en", model="one two three four"))
    for _ in range(10):
        stream.push(Pcm.silence(16000, 70))
    stream.flush()
    assert await results(stream) == [("one", False, 0), ("one two", False, 0), ("one two three four", True, 0)]


async def test_a_turn_without_audio_is_no_words():
    stream = ScriptedStt().open(listening(language="en"))
    stream.push(SECOND)
    stream.reset()
    stream.flush()
    stream.push(SECOND)
    stream.flush()
    finals = [found for found in await results(stream) if found[1]]
    assert finals == [("", True, 0), ("Hello there.", True, 1)]


async def test_words_lie_inside_the_audio_of_their_turn():
    stream = ScriptedStt().open(listening(language="en", model="one two"))
    stream.push(SECOND)
    stream.flush()
    stream.push(SECOND)
    stream.flush()
    await stream.aclose()
    second = [found async for found in stream if found.is_final][1]
    assert [(word.start_time, word.end_time) for word in second.words] == [(1.0, 1.5), (1.5, 2.0)]
    assert second.audio_seconds == 1.0


async def test_another_rate_is_refused_and_unread_results_do_not_pile_up():
    stream = ScriptedStt().open(listening(language="en"))
    with pytest.raises(ValueError, match="16000 Hz"):
        stream.push(Pcm.silence(8000, 20))
    for _ in range(1000):
        stream.flush()
    kept = await results(stream)
    assert len(kept) == 255
    assert kept[-1] == ("", True, 999)

"""Final words asked for by silence: times without it, and which result answers. In virtual time."""

import asyncio

import pytest
from voisnap_domain.conversations import Word
from voisnap_providers.errors import ProviderError
from voisnap_providers.live_stt import Heard
from voisnap_providers.vendors.silence_finals import AFTER_FINAL_SECONDS, MOST_SILENT, SilenceFinals

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SECOND = bytes(32000)


def finals() -> SilenceFinals:
    return SilenceFinals(silence=1.0, patience=1.2, provider="any")


def heard(text: str, start: float, end: float, *, is_final: bool = True) -> Heard:
    word = Word(word=text, start_time=start, end_time=end, confidence=0.9)
    return Heard(text=text, is_final=is_final, words=(word,) if text else (), until=end)


async def test_times_come_out_as_if_no_silence_had_been_inserted():
    results = finals()
    reader = results.results()
    found = []
    for said in range(3):
        results.carried(SECOND)
        assert results.ask() == SECOND
        since = said * 2.0  # at the vendor, a second of silence follows each second of audio
        results.put(heard("yes", since + 0.2, since + 0.9))
        found.append(await anext(reader))
    assert [(one.words[0].start_time, one.words[0].end_time) for one in found] == [
        pytest.approx((said + 0.2, said + 0.9)) for said in range(3)
    ]
    assert all(one.answers_finalise for one in found)


async def test_a_word_that_reaches_into_our_silence_ends_where_it_begins():
    results = finals()
    results.carried(SECOND)
    results.ask()
    results.put(heard("yes", 0.5, 1.4))
    assert (await anext(results.results())).words[0].end_time == 1.0


async def test_an_earlier_segment_does_not_answer_and_the_open_one_does():
    results = finals()
    reader = results.results()
    results.carried(SECOND * 3)
    results.put(heard("two", 2.0, 2.8, is_final=False))
    results.ask()
    results.put(heard("one", 0.0, 1.0))
    results.put(heard("two", 2.0, 2.9, is_final=False))
    results.put(heard("two", 2.0, 2.9))
    answers = [(await anext(reader)).answers_finalise for _ in range(4)]
    assert answers == [False, False, False, True]


async def test_silence_is_answered_after_a_while_but_not_while_words_are_open():
    results = finals()
    reader = results.results()
    loop = asyncio.get_running_loop()
    results.carried(SECOND)
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.5)  # somebody waits already when the words are asked for
    asked_at = loop.time()
    results.ask()
    answer = await waiting
    assert (answer.text, answer.is_final, answer.answers_finalise, answer.until) == ("", True, True, 1.0)
    assert loop.time() - asked_at == pytest.approx(1.2)

    results.carried(SECOND)
    results.put(heard("open", 2.2, 2.6, is_final=False))
    await anext(reader)
    results.ask()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(reader), 10)


async def test_after_words_that_end_early_one_more_segment_is_waited_for_only_shortly():
    results = finals()
    reader = results.results()
    results.carried(SECOND * 3)
    results.ask()
    results.put(heard("early", 0.2, 0.9))
    asked_at = asyncio.get_running_loop().time()
    assert not (await anext(reader)).answers_finalise
    assert (await anext(reader)).answers_finalise
    assert asyncio.get_running_loop().time() - asked_at == pytest.approx(AFTER_FINAL_SECONDS)


async def test_a_connection_that_never_says_anything_is_given_up():
    results = finals()
    reader = results.results()
    for _ in range(MOST_SILENT - 1):
        results.carried(SECOND * 2)
        results.ask()
        assert (await anext(reader)).text == ""
    results.carried(SECOND * 2)
    results.ask()
    with pytest.raises(ProviderError) as caught:
        await anext(reader)
    assert caught.value.retryable


async def test_short_noises_and_words_in_between_keep_it():
    results = finals()
    reader = results.results()
    for said in range(MOST_SILENT * 2):
        results.carried(SECOND[:8000] if said % 2 else SECOND * 2)
        if not said % 2:
            results.put(heard("word", 0.0, 0.1))
            await anext(reader)
        results.ask()
        assert (await anext(reader)).answers_finalise

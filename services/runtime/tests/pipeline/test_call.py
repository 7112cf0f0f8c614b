"""Whole conversations in virtual time."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from voisnap_domain.agents import FirstMessageMode, Interruption, SilenceDetection, Transcription, Voice
from voisnap_domain.conversations import Speaker
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import Recorder, RecordingFormat, RecordingSettings
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LlmDelta, LlmRequest, TextDelta
from voisnap_providers.ports.stt import Transcript
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_runtime.pipeline.events import (
    AgentStateChanged,
    AudioCleared,
    Fault,
    FaultCode,
    TranscriptionUpdated,
    Warned,
)
from voisnap_testkit.fakes_speech import FakeStt, FakeSttStream, FakeTts, ScriptedLlm, spoken

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
STORY = "Once upon a time there was a baker. He baked bread every single day of his life."


class HangingLlm(ScriptedLlm):
    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        await asyncio.Event().wait()
        yield TextDelta(text="never")


class FailingLlm(ScriptedLlm):
    """Fails so many times, then answers by script."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        if self.failures:
            self.failures -= 1
            raise ProviderError("no quota", provider="fake", kind="llm", retryable=False)
        async for delta in super().answer(request):
            yield delta


def noise(seconds: float) -> Pcm:
    rng = np.random.default_rng(7)
    return Pcm(rng.normal(0, 4000, int(seconds * 16000)).astype(np.int16), 16000)


async def test_a_call_that_is_forgotten_is_free_without_a_collection_and_ignores_what_it_is_told(lines, agent):
    line = await lines(agent())
    line.says("Hello there.")
    await line.until_turns(2)
    await line.hang_up()
    call = line.call
    parts = [weakref.ref(part) for part in (call._ear, call._conversation, call._conversation.mouth, call._hearing)]
    gc.disable()
    try:
        call.forget()
        await line.close()
        assert [part() for part in parts] == [None] * len(parts)
    finally:
        gc.enable()
    call.feed(noise(0.02), line.now)
    call.dtmf("1")
    call.hold()
    call.release()
    assert call.pull() is None
    assert not call.is_quiet


# --- plain turns


async def test_a_question_is_answered_aloud(lines):
    line = await lines()
    await line.wait(0.5)
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, "We are open from nine to five.")]
    assert [turn.sequence for turn in line.turns] == [1, 2]
    assert np.abs(line.received).max() > 5000
    states = [event.state.value for event in line.of(AgentStateChanged)]
    assert states == ["thinking", "speaking", "listening"]


async def test_the_times_of_turns_are_those_of_the_line(lines):
    line = await lines()
    await line.wait(1.0)
    duration = line.says("what are your hours")
    await line.until_turns(2)
    user, agent = line.turns
    assert user.start_time == pytest.approx(1.0 - 0.3, abs=0.05)  # the fake spreads words over its pre-roll, too
    assert user.end_time == pytest.approx(1.0 + duration, abs=0.35)
    first_sound = np.flatnonzero(line.received)[0] / 24000
    assert agent.start_time == pytest.approx(first_sound, abs=0.03)
    assert agent.words[0].word == "We"
    assert agent.end_time - agent.start_time == pytest.approx(len(agent.text) * 0.06, abs=0.05)
    assert all(a.end_time <= b.start_time + 1e-6 for a, b in zip(agent.words, agent.words[1:], strict=False))


async def test_the_waterfall_adds_up_and_names_the_parts(lines):
    llm = ScriptedLlm({"prompt": "pace: first 100ms, token 1ms\notherwise -> Yes."})
    line = await lines(llm=llm, stt=FakeStt(delay_ms=30, partials=False))
    await line.wait(0.5)
    line.says("hello there")
    await line.until_turns(2)
    assert line.turns[0].latency is None
    latency = line.turns[1].latency
    assert latency is not None
    assert latency.endpointing_ms == pytest.approx(700, abs=1)
    assert latency.stt_ms == pytest.approx(30, abs=5)
    assert latency.llm_ms == pytest.approx(100, abs=5)
    assert latency.tts_ms == pytest.approx(40, abs=5)
    assert latency.platform_ms <= 25
    parts = latency.endpointing_ms + latency.stt_ms + latency.llm_ms + latency.tts_ms + latency.platform_ms
    assert latency.total_ms == pytest.approx(parts, abs=0.5)


async def test_the_transcript_is_shown_as_it_comes(lines):
    line = await lines()
    await line.wait(0.3)
    line.says("could you tell me the address please")
    await line.until_turns(2)
    shown = [(event.sequence, event.text, event.is_final) for event in line.of(TranscriptionUpdated)]
    users = [text for sequence, text, is_final in shown if sequence == 1 and not is_final]
    assert users
    assert all("could you tell me the address please".startswith(text) for text in users)
    assert all(
        event.start_time <= event.end_time <= at + 1e-6
        for event, at in zip(line.events, line.event_times, strict=True)
        if isinstance(event, TranscriptionUpdated)
    )
    assert (1, "could you tell me the address please", True) in shown
    assert shown[-1] == (2, "Our address is twelve Main Street.", True)


async def test_the_opening_is_spoken_first_with_its_disclosure(lines, agent):
    config = agent(
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
        first_message="Hello {{name|there}}, I am {{agentName}}.",
        ai_disclosure_message="This is an AI.",
    )
    line = await lines(config)
    await line.until_turns(1)
    assert line.spoken_turns == [(AGENT, "This is an AI. Hello there, I am Aria.")]
    assert line.turns[0].start_time < 0.1


async def test_an_unknown_variable_is_empty_and_warned_about(lines, agent):
    line = await lines(
        agent(first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST, first_message="Hello {{nmae}}!")
    )
    await line.until_turns(1)
    assert line.spoken_turns == [(AGENT, "Hello !")]
    assert [event.text for event in line.of(Warned)] == ["The variable nmae has no value."]


async def test_the_model_gets_what_was_heard_so_far(lines):
    llm = ScriptedLlm()
    line = await lines(llm=llm)
    await line.wait(0.3)
    line.says("what are your hours")
    await line.until_turns(2)
    line.says("and your address")
    await line.until_turns(4)
    contents = [message.content for message in llm.requests[-1].messages[1:]]
    assert contents == ["what are your hours", "We are open from nine to five.", "and your address"]


async def test_a_long_utterance_is_one_turn(lines):
    text = " ".join(f"word{number}" for number in range(60))
    line = await lines()
    line.says(text)
    await line.until_turns(2)
    assert line.turns[0].text == text
    assert line.turns[0].end_time > 20


async def test_silence_inside_a_turn_that_is_shorter_than_the_setting_does_not_end_it(lines):
    line = await lines()
    line.says("my name is")
    line.sounds(Pcm.silence(16000, 500))
    line.says("john smith and i need the address")
    await line.until_turns(2)
    assert line.turns[0].text == "my name is john smith and i need the address"


# --- interruptions


async def test_barge_in_silences_the_agent_and_the_history_holds_what_was_heard(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    spoke_at = line.now
    line.says("what are your hours")
    await line.until_turns(2)
    agent = line.turns[1]
    assert agent.interrupted
    assert STORY.startswith(agent.text)
    assert 0 < len(agent.text) < len(STORY) / 2
    assert agent.text.split()[-1] == agent.words[-1].word
    assert len(line.of(AudioCleared)) == 1
    silent_from = int((spoke_at + 0.2) * 24000)
    assert not line.received[silent_from : silent_from + 4800].any()
    await line.until_turns(4)
    assert line.spoken_turns[2:] == [(USER, "what are your hours"), (AGENT, "We are open from nine to five.")]
    assert [turn.sequence for turn in line.turns] == [1, 2, 3, 4]
    assert line.call.quality().interruptions == 1


async def test_an_agent_that_is_cut_before_its_first_word_has_said_nothing(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    line.says("what are your hours")
    await line.until_turns(3)
    assert line.spoken_turns == [
        (USER, "tell me a long story"),
        (USER, "what are your hours"),
        (AGENT, "We are open from nine to five."),
    ]
    assert [turn.sequence for turn in line.turns] == [1, 2, 3]
    taken_back = [event for event in line.of(TranscriptionUpdated) if event.speaker is AGENT and not event.text]
    assert [(event.sequence, event.is_final) for event in taken_back] == [(2, True)]


async def test_the_heard_words_match_the_frames_that_left(lines):
    line = await lines()
    line.says("tell me a long story")
    began = await line.until_state("speaking")
    await line.wait(1.3)
    line.says("stop please stop it now")
    await line.until_turns(2)
    heard = np.flatnonzero(line.received)
    duration = (heard[-1] - heard[0]) / 24000
    expected = [word for word, end in words_at(STORY) if end - 0.06 * len(word) / 2 <= duration]
    assert [word.word for word in line.turns[1].words] == expected
    assert line.turns[1].start_time == pytest.approx(began, abs=0.03)


def words_at(text: str) -> list[tuple[str, float]]:
    """Words with the time each ends, at the pace of the fake voice."""
    ends, position = [], 0
    for word in text.split():
        position = text.index(word, position) + len(word)
        ends.append((word, position * 0.06))
    return ends


@pytest.mark.parametrize("sound", ["cough", "uh-huh", "okay"])
async def test_a_noise_or_a_backchannel_lets_the_agent_go_on_at_the_exact_sample(lines, sound):
    undisturbed = await lines()
    undisturbed.says("tell me a long story")
    await undisturbed.until_turns(2)
    undisturbed_seconds = undisturbed.now
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.sounds(noise(0.25)) if sound == "cough" else line.says(sound, ms_per_char=70)
    await line.until_turns(2)
    assert line.spoken_turns == undisturbed.spoken_turns
    assert not line.turns[1].interrupted
    assert not line.of(AudioCleared)
    assert voiced(line.received) == pytest.approx(voiced(undisturbed.received), abs=24000 * 0.03)
    assert line.now > undisturbed_seconds + 0.4


def voiced(samples: np.ndarray) -> int:
    return int((samples != 0).sum())


async def test_a_short_word_with_meaning_cuts_however_short(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.says("stop", ms_per_char=60)
    await line.until_turns(4)
    assert line.turns[1].interrupted
    assert line.turns[2].text == "stop"


async def test_interruptions_switched_off_let_the_agent_finish_and_then_answer(lines, agent):
    line = await lines(agent(interruption=Interruption(enabled=False)))
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(0.5)
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.spoken_turns == [
        (USER, "tell me a long story"),
        (AGENT, STORY),
        (USER, "what are your hours"),
        (AGENT, "We are open from nine to five."),
    ]


async def test_a_yes_over_the_last_words_is_an_answer(lines):
    line = await lines(llm=ScriptedLlm({"prompt": "when: yes -> Booked.\notherwise -> Shall I book it for you?"}))
    line.says("a table for two")
    await line.until_state("speaking")
    await line.wait(1.1)
    line.says("yes", ms_per_char=80)
    await line.until_turns(4)
    assert line.spoken_turns[1:] == [(AGENT, "Shall I book it for you?"), (USER, "yes"), (AGENT, "Booked.")]


async def test_a_caller_who_goes_on_before_the_reply_is_heard_gets_one_reply_to_all_of_it(lines):
    llm = ScriptedLlm({"prompt": "pace: first 600ms, token 1ms\notherwise -> All right."})
    line = await lines(llm=llm)
    line.says("my name is")
    await line.until_state("thinking")
    await line.wait(0.2)
    line.says("john smith the second")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "my name is john smith the second"), (AGENT, "All right.")]
    assert [message.content for message in llm.requests[-1].messages[1:]] == ["my name is john smith the second"]
    assert not line.of(AudioCleared)


async def test_a_cough_before_the_reply_delays_it_and_does_not_cancel_it(lines):
    llm = ScriptedLlm({"prompt": "pace: first 600ms, token 1ms\notherwise -> All right."})
    line = await lines(llm=llm)
    line.says("book a table")
    await line.until_state("thinking")
    await line.wait(0.2)
    line.sounds(noise(0.25))
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "book a table"), (AGENT, "All right.")]
    assert len(llm.requests) == 1


async def test_twenty_interruptions_in_a_row_all_work(lines):
    line = await lines()
    line.says("tell me a long story")
    for number in range(20):
        await line.until_state("speaking")
        await line.wait(0.6)
        line.says("another long story please")
        await line.until_turns(2 * (number + 1))
    assert all(turn.interrupted for turn in line.turns if turn.speaker is AGENT)
    assert [turn.sequence for turn in line.turns] == list(range(1, 41))


# --- silence, ends


async def test_silence_is_asked_about_and_then_ended_as_idle(lines):
    line = await lines()
    reason = await line.ended()
    assert reason is EndReason.IDLE_TIMEOUT
    texts = [turn.text for turn in line.turns]
    assert texts[0] == "Are you still there?"
    assert "Goodbye" in texts[-1]
    assert line.turns[0].start_time == pytest.approx(8.05, abs=0.1)
    assert line.turns[-1].start_time == pytest.approx(15.05, abs=0.1)


async def test_silence_passes_without_any_packets(lines):
    line = await lines()
    line.packets_come = False
    assert await line.ended() is EndReason.IDLE_TIMEOUT
    assert line.turns[0].start_time == pytest.approx(8.05, abs=0.15)


async def test_packets_that_stop_in_the_middle_of_a_word_end_the_turn(lines):
    line = await lines()
    line.says("what are your hours")
    await line.wait(0.9)
    line.packets_come = False
    await line.until_turns(2)
    assert line.turns[0].speaker is USER


async def test_an_answer_to_the_prompt_goes_on_with_the_call(lines, agent):
    line = await lines(agent(silence_detection=SilenceDetection(timeout_seconds=3)))
    await line.until_turns(1)
    line.says("yes what are your hours")
    await line.until_turns(3)
    assert line.turns[2].text == "We are open from nine to five."


async def test_speaking_during_the_idle_goodbye_keeps_the_call(lines):
    line = await lines()
    await line.until(lambda: any("haven't" in event.text for event in line.of(TranscriptionUpdated)))
    line.says("wait what are your hours")
    await line.until(lambda: line.turns[-1:] and "nine to five" in line.turns[-1].text)
    assert line.turns[-3].interrupted


async def test_the_maximum_duration_ends_the_call_with_a_word(lines, agent):
    line = await lines(agent(max_duration_seconds=30, max_idle_time_seconds=60))
    reason = await line.ended()
    assert reason is EndReason.MAX_DURATION
    assert "time limit" in line.turns[-1].text
    assert line.now <= 31


async def test_an_end_phrase_of_the_agent_ends_the_call_after_it_was_heard(lines, agent):
    line = await lines(agent(end_call_phrases=("Nine to FIVE!",)))
    line.says("what are your hours")
    assert await line.ended() is EndReason.AGENT_ENDED
    assert line.turns[-1].text == "We are open from nine to five."
    assert not line.turns[-1].interrupted


async def test_an_end_phrase_of_the_caller_ends_the_call_after_the_reply(lines, agent):
    line = await lines(agent(end_call_phrases=("have a good day",)))
    line.says("thanks have a good day")
    assert await line.ended() is EndReason.USER_ENDED
    assert [turn.speaker for turn in line.turns] == [USER, AGENT]


async def test_the_model_can_end_the_call(lines):
    line = await lines()
    line.says("let me leave")
    assert await line.ended() is EndReason.AGENT_ENDED
    assert line.turns[-1].text == "Goodbye then!"


async def test_a_hang_up_while_the_agent_speaks_keeps_what_was_heard(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    assert await line.hang_up() is EndReason.USER_ENDED
    assert line.turns[-1].interrupted
    assert STORY.startswith(line.turns[-1].text)
    assert line.call.pull() is None


async def test_a_hang_up_while_the_caller_speaks_keeps_the_last_words(lines):
    line = await lines()
    line.says("please call me back tomorrow")
    await line.wait(1.8)
    await line.hang_up()
    assert line.spoken_turns == [(USER, "please call me back tomorrow")]


async def test_a_cancelled_call_leaves_nothing_behind(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(0.5)
    await line.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert len(line.vad) == 0
    assert [turn.sequence for turn in line.turns] == [1, 2]


# --- keys


async def test_keys_are_a_turn(lines):
    line = await lines(llm=ScriptedLlm({"prompt": "when: 1 2 3 -> Got one two three.\notherwise -> What?"}))
    for digit in "123":
        line.call.dtmf(digit)
        await line.wait(0.3)
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "Pressed 1 2 3."), (AGENT, "Got one two three.")]


async def test_a_pound_key_ends_the_input_at_once_and_a_key_interrupts(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(0.5)
    line.call.dtmf("5")
    line.call.dtmf("#")
    await line.until_turns(4)
    assert line.turns[1].interrupted
    assert line.turns[2].text == "Pressed 5."


async def test_keys_are_ignored_when_switched_off(lines, agent):
    line = await lines(agent(dtmf_enabled=False))
    line.call.dtmf("1")
    await line.wait(3)
    assert not line.turns


# --- providers that fail


async def test_a_failing_model_is_apologised_for_and_the_call_goes_on(lines):
    line = await lines(llm=FailingLlm(2))
    line.says("what are your hours")
    await line.until_turns(2)
    fault = line.of(Fault)[0]
    assert (fault.code, fault.recoverable) == (FaultCode.LLM_PROVIDER_ERROR, True)
    assert "trouble" in line.turns[1].text
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.turns[3].text == "We are open from nine to five."


async def test_a_model_that_says_nothing_does_not_leave_the_caller_in_silence(lines):
    line = await lines(llm=ScriptedLlm({"prompt": "when: nothing of this -> x"}))
    line.says("what are your hours")
    await line.until_turns(2)
    assert "trouble" in line.turns[1].text


async def test_a_hanging_model_is_given_up(lines):
    line = await lines(llm=HangingLlm())
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.of(Fault)[0].code == FaultCode.LLM_PROVIDER_ERROR
    assert line.turns[1].start_time < 11


async def test_a_hanging_recogniser_is_apologised_for(lines):
    line = await lines(stt=FakeStt(delay_ms=60_000))
    line.says("what are your hours")
    await line.until_turns(1)
    fault = line.of(Fault)[0]
    assert (fault.code, fault.recoverable) == (FaultCode.STT_PROVIDER_TIMEOUT, True)
    assert "didn't catch" in line.turns[0].text


class BreakingStt(FakeStt):
    """A recogniser whose connection breaks instead of the first finals."""

    def __init__(self, breaks: int) -> None:
        super().__init__(delay_ms=30)
        self.breaks = breaks

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> FakeSttStream:
        stream = BreakingStream(self, settings.language)
        self.streams.append(stream)
        return stream


class BreakingStream(FakeSttStream):
    async def _iterate(self) -> AsyncGenerator[Transcript]:
        async for transcript in super()._iterate():
            if transcript.is_final and self._owner.breaks:
                self._owner.breaks -= 1
                raise ProviderError("gone", provider="fake", kind="stt", retryable=True)
            yield transcript


async def test_a_recogniser_that_breaks_hears_the_turn_again_and_nothing_is_lost(lines):
    stt = BreakingStt(1)
    line = await lines(stt=stt)
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, "We are open from nine to five.")]
    assert not line.of(Fault)
    assert line.turns[0].end_time == pytest.approx(19 * 0.06, abs=0.8)
    assert len(stt.streams) == 2


async def test_a_recogniser_that_keeps_breaking_is_apologised_for_once_a_turn(lines):
    stt = BreakingStt(2)
    line = await lines(stt=stt)
    line.says("what are your hours")
    await line.until_turns(1)
    assert "didn't catch" in line.turns[0].text
    assert len(line.of(Fault)) == 1
    line.says("what are your hours")
    await line.until_turns(3)
    assert line.turns[2].text == "We are open from nine to five."
    assert len(stt.streams) == 3


async def test_a_recogniser_that_fails_for_good_ends_the_call(lines):
    line = await lines(stt=FakeStt(error=ProviderError("no key", provider="fake", kind="stt", retryable=False)))
    line.says("what are your hours")
    assert await line.ended() is EndReason.ERROR
    assert line.of(Fault)[-1].recoverable is False


async def test_a_bug_in_what_the_callers_voice_leads_to_ends_his_call(lines, monkeypatch):
    line = await lines()
    monkeypatch.setattr(FakeSttStream, "push", lambda self, audio: 1 / 0)
    line.says("what are your hours")
    await line.until(lambda: line.call._ended.done(), within=2.0)
    assert await line.ended() is EndReason.ERROR
    assert len(line.vad) == 0


async def test_a_voice_that_fails_twice_ends_the_call(lines):
    line = await lines(tts=FakeTts(error=ProviderError("mute", provider="fake", kind="tts", retryable=True)))
    line.says("what are your hours")
    await line.until(lambda: bool(line.of(Warned)))
    await line.until_state("listening")
    line.says("hello are you there")
    assert await line.ended() is EndReason.ERROR
    fault = line.of(Fault)[-1]
    assert (fault.code, fault.recoverable) == (FaultCode.TTS_PROVIDER_ERROR, False)
    assert [turn.text for turn in line.turns] == ["what are your hours", "hello are you there"]


async def test_another_voice_rate_is_resampled(lines):
    line = await lines(tts=FakeTts(sample_rate=16000))
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.turns[1].end_time - line.turns[1].start_time == pytest.approx(30 * 0.06, abs=0.05)


class HumInPieces(FakeTts):
    """A voice that hums one long note and hands it out in pieces of 100 ms."""

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        rate = self.capabilities.sample_rate
        note = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.int16)
        for piece in range(10):
            audio = Pcm(note[piece * rate // 10 : (piece + 1) * rate // 10], rate)
            yield SpeechChunk(audio=audio, text=text if piece == 0 else "", words=())


async def test_a_voice_of_another_rate_does_not_click_where_its_pieces_meet(lines):
    line = await lines(tts=HumInPieces(sample_rate=16000))
    line.says("what are your hours")
    await line.until_turns(2)
    sounding = np.flatnonzero(line.received)
    hum = line.received[sounding[0] + 60 : sounding[-1] - 60].astype(int)
    assert len(hum) == pytest.approx(24000, abs=200)
    assert np.abs(np.diff(hum, 2)).max() < 130
    told = [event.text for event in line.of(TranscriptionUpdated) if event.speaker is AGENT and not event.is_final]
    assert len(told) == len(set(told))


# --- facts


async def test_usage_is_metered(lines):
    line = await lines()
    line.says("what are your hours")
    await line.until_turns(2)
    usage = line.call.usage()
    assert usage.llm.provider == "scripted"
    assert usage.llm.output_tokens == 7
    assert usage.tts.characters == len("We are open from nine to five.")
    assert 1.0 < usage.stt.audio_seconds < 3.0


async def test_the_recording_lines_up_both_sides_and_lasts_as_long_as_the_call(lines):
    recorder = Recorder(RecordingSettings(format=RecordingFormat.WAV, segment_seconds=60))
    line = await lines(recorder=recorder)
    await line.wait(1.0)
    line.says("what are your hours")
    await line.until_turns(2)
    await line.hang_up()
    recorded = recorder.take_last()
    assert recorder.seconds == pytest.approx(line.now, abs=0.06)
    caller_starts = np.flatnonzero(recorded.caller.samples)[0] / 16000
    assert caller_starts == pytest.approx(1.0, abs=0.06)
    agent_starts = np.flatnonzero(recorded.agent.samples)[0] / 24000
    assert agent_starts == pytest.approx(line.turns[1].start_time, abs=0.04)
    wanted = spoken("what are your hours").samples
    start = np.flatnonzero(recorded.caller.samples)[0]
    assert np.array_equal(recorded.caller.samples[start : start + 16000], wanted[:16000])

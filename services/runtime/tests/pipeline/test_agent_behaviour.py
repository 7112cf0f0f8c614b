"""What an agent's configuration promises about its conversations, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import numpy as np
import pytest
from voisnap_domain.agents import (
    Endpointing,
    EndpointingProvider,
    Fillers,
    FirstMessageMode,
    Interruption,
    Sensitivity,
    SilenceDetection,
    Transcription,
    TranscriptionProvider,
    Voice,
)
from voisnap_domain.conversations import Speaker
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LlmDelta, LlmRequest
from voisnap_providers.ports.stt import SttCapabilities
from voisnap_providers.ports.tts import SpeechChunk
from voisnap_runtime.pipeline.events import (
    AgentStateChanged,
    AudioCleared,
    Fault,
    FaultCode,
    TranscriptionUpdated,
    Warned,
)
from voisnap_testkit.fakes_speech import FakeStt, FakeTts, ScriptedLlm, spoken

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
STORY = "Once upon a time there was a baker. He baked bread every single day of his life."
HOURS = "We are open from nine to five."


def paced(first_ms: int, reply: str = "All right.") -> ScriptedLlm:
    """A model that takes so long for its first word."""
    return ScriptedLlm({"prompt": f"pace: first {first_ms}ms, token 1ms\notherwise -> {reply}"})


def noise(seconds: float) -> Pcm:
    rng = np.random.default_rng(7)
    return Pcm(rng.normal(0, 4000, int(seconds * 16000)).astype(np.int16), 16000)


def agent_texts(line) -> list[str]:
    return [turn.text for turn in line.turns if turn.speaker is AGENT]


class TurnEnd:
    """A turn detector that always says the same."""

    provider = "fake"

    def __init__(self, chance: float | None) -> None:
        self.answer = chance
        self.asked: list[float] = []

    async def warm(self) -> None: ...

    async def chance(self, turn: Pcm) -> float | None:
        self.asked.append(turn.seconds)
        await asyncio.sleep(0.03)
        return self.answer

    async def aclose(self) -> None: ...


# --- the first words


async def test_an_agent_that_waits_says_nothing_before_its_caller(lines, agent):
    line = await lines(agent(first_message_mode=FirstMessageMode.WAIT_FOR_USER))
    await line.wait(7)
    assert not line.received.any()
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, HOURS)]


async def test_an_agent_that_waits_discloses_at_once_all_the_same(lines, agent):
    line = await lines(agent(ai_disclosure_message="I am an AI."))
    await line.until_turns(1)
    assert line.spoken_turns == [(AGENT, "I am an AI.")]


async def test_a_disclosure_that_was_interrupted_comes_again_before_the_answer(lines, agent):
    line = await lines(agent(ai_disclosure_message="Just so you know, you are speaking with an AI assistant."))
    await line.until_state("speaking")
    await line.wait(1.0)
    line.says("what are your hours")
    await line.until_turns(3)
    assert line.turns[0].interrupted
    assert line.turns[2].text == f"Just so you know, you are speaking with an AI assistant. {HOURS}"
    line.says("and the address")
    await line.until_turns(5)
    assert line.turns[4].text == "Our address is twelve Main Street."


async def test_a_disclosure_heard_before_the_interruption_is_not_repeated(lines, agent):
    config = agent(
        ai_disclosure_message="I am an AI.",
        first_message="Hello there, this is the office of Doctor Smith, how can I help you?",
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
    )
    line = await lines(config)
    await line.until(lambda: any("Hello" in event.text for event in line.of(TranscriptionUpdated)))
    await line.wait(0.5)
    line.says("what are your hours")
    await line.until_turns(3)
    assert line.turns[0].text.startswith("I am an AI. Hello")
    assert line.turns[2].text == HOURS


# --- the last words


@pytest.mark.parametrize("said", ["Well Good-bye then!", "thats all GOOD BYE"])
async def test_the_caller_ends_the_call_with_a_phrase_however_it_is_spelled(lines, agent, said):
    line = await lines(agent(end_call_phrases=("Goodbye",)))
    line.says(said)
    assert await line.ended() is EndReason.USER_ENDED
    assert [turn.speaker for turn in line.turns] == [USER, AGENT]
    assert not line.turns[-1].interrupted


async def test_saying_goodbye_together_does_not_keep_the_call_up(lines, agent):
    llm = ScriptedLlm(
        {"prompt": "otherwise -> Thank you for calling Bright Smile Dental today, goodbye and take care."}
    )
    line = await lines(agent(end_call_phrases=("goodbye",)), llm=llm)
    line.says("that was all goodbye")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.says("bye bye thank you")
    assert await line.ended() is EndReason.USER_ENDED
    assert not line.turns[-1].interrupted


async def test_a_phrase_that_is_put_off_does_not_end_the_call(lines, agent):
    line = await lines(agent(end_call_phrases=("goodbye",)))
    line.says("please do not say goodbye yet")
    await line.until_turns(2)
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.turns[3].text == HOURS


async def test_time_running_out_is_said_before_it_has_run_out(lines, agent):
    line = await lines(agent(max_duration_seconds=120, max_idle_time_seconds=60))

    async def chat() -> None:
        while line.reason is None:
            line.says("tell me about it")
            await line.wait(12)

    chatting = asyncio.create_task(chat())
    reason = await line.ended()
    chatting.cancel()
    assert reason is EndReason.MAX_DURATION
    warnings = [turn for turn in line.turns if turn.speaker is AGENT and "half a minute" in turn.text]
    assert len(warnings) == 1
    assert 90 <= warnings[0].start_time <= 96
    assert "time limit" in line.turns[-1].text
    assert line.now <= 121


async def test_a_short_call_is_warned_shortly_before(lines, agent):
    line = await lines(agent(max_duration_seconds=30, max_idle_time_seconds=60))
    assert await line.ended() is EndReason.MAX_DURATION
    warning = next(turn for turn in line.turns if "left" in turn.text)
    assert warning.start_time == pytest.approx(20.05, abs=0.2)


async def test_the_warning_goes_before_an_answer_when_the_caller_gives_no_pause(lines, agent):
    config = agent(max_duration_seconds=60, max_idle_time_seconds=60, silence_detection=SilenceDetection(enabled=False))
    line = await lines(config)
    await line.wait(42)
    line.says("tell me something about the opening hours of your office please", ms_per_char=80)
    await line.until_turns(2)
    assert line.turns[1].text == f"We have only a few seconds left. {HOURS}"


# --- the end of a turn


@pytest.mark.parametrize(
    ("chance", "silence"), [(0.9, 0.25), (0.1, 1.4), (None, 0.7)], ids=["likely", "unlikely", "nobody knows"]
)
async def test_semantic_endpointing_waits_by_how_the_turn_sounded(lines, agent, chance, silence):
    endpointing = Endpointing(provider=EndpointingProvider.SEMANTIC, silence_duration_ms=700, utterance_end_ms=1400)
    detector = TurnEnd(chance)
    line = await lines(agent(endpointing=endpointing), turn_end=detector, stt=FakeStt())
    ends = line.says("what are your hours")
    thinking = await line.until_state("thinking")
    assert thinking - ends == pytest.approx(silence, abs=0.05)
    assert detector.asked[0] == pytest.approx(ends, abs=0.5)
    await line.until_turns(2)
    assert line.turns[1].text == HOURS


async def test_an_open_word_is_waited_out_whatever_it_sounded_like(lines, agent):
    endpointing = Endpointing(provider=EndpointingProvider.SEMANTIC, silence_duration_ms=700, utterance_end_ms=1400)
    line = await lines(agent(endpointing=endpointing), turn_end=TurnEnd(0.95))
    line.says("i need the")
    line.sounds(Pcm.silence(16000, 1000))
    line.says("address please")
    await line.until_turns(2)
    assert line.turns[0].text == "i need the address please"


async def test_a_question_about_a_silence_that_is_over_is_taken_back(lines, agent):
    class Busy(TurnEnd):
        taken_back = 0

        async def chance(self, turn):
            if len(self.asked) > 1:
                return await super().chance(turn)
            self.asked.append(0.0)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.taken_back += 1
                raise

    endpointing = Endpointing(provider=EndpointingProvider.SEMANTIC, silence_duration_ms=700, utterance_end_ms=1400)
    detector = Busy(0.9)
    line = await lines(agent(endpointing=endpointing), turn_end=detector, stt=FakeStt())
    seconds = line.says("what are") + line.sounds(Pcm.silence(16000, 300)) + line.says("your hours")
    await line.wait(seconds)
    assert (len(detector.asked), detector.taken_back) == (1, 1)


class EndpointingStt(FakeStt):
    """A recogniser that says itself when an utterance is over: with the prepared words."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=False, endpoints=True)

    def open(self, settings, *, keyterms=()):
        stream = super().open(settings, keyterms=keyterms)
        put = stream._put
        stream._put = lambda transcript, *, delay: put(_ending(transcript), delay=delay)
        return stream


def _ending(transcript):
    return msgspec.structs.replace(transcript, ends_utterance=transcript.is_prepared)


async def test_stt_endpointing_follows_the_recogniser(lines, agent):
    endpointing = Endpointing(provider=EndpointingProvider.STT, utterance_end_ms=1000)
    line = await lines(agent(endpointing=endpointing), stt=EndpointingStt())
    ends = line.says("what are your hours")
    assert await line.until_state("thinking") - ends == pytest.approx(0.22, abs=0.05)
    await line.until_turns(2)


async def test_stt_endpointing_without_a_word_from_the_recogniser_waits_for_words_that_stay(lines, agent):
    endpointing = Endpointing(provider=EndpointingProvider.STT, utterance_end_ms=1000)
    line = await lines(agent(endpointing=endpointing), stt=FakeStt())
    ends = line.says("what are your hours")
    assert 1.0 <= await line.until_state("thinking") - ends <= 1.2


async def test_pauses_in_a_phone_number_do_not_end_the_turn_and_its_end_does(lines, agent):
    ask = "What is your phone number?"
    line = await lines(agent(first_message=ask, first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST))
    await line.until_turns(1)
    for group in ("four one five", "five five five"):
        line.says(group)
        line.sounds(Pcm.silence(16000, 1200))
    line.says("oh one double two")
    await line.until_turns(3)
    assert line.turns[1].text == "four one five five five five oh one double two"
    assert line.turns[2].latency is not None
    assert line.turns[2].latency.endpointing_ms == pytest.approx(700, abs=1)


async def test_another_answer_to_the_question_is_not_waited_for(lines, agent):
    ask = "What is your phone number?"
    line = await lines(agent(first_message=ask, first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST))
    await line.until_turns(1)
    line.says("why do you need that")
    await line.until_turns(3)
    assert line.turns[2].latency is not None
    assert line.turns[2].latency.endpointing_ms == pytest.approx(700, abs=1)


# --- being interrupted


@pytest.mark.parametrize(("language", "sound"), [("es-ES", "si claro"), ("de", "ja genau"), ("hi-IN", "haan ji")])
async def test_backchannels_of_the_callers_language_do_not_interrupt(lines, agent, language, sound):
    transcription = Transcription(provider=TranscriptionProvider.LOCAL, language=language)
    line = await lines(agent(transcription=transcription))
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.says(sound, ms_per_char=70)
    await line.until_turns(2)
    assert line.turns[1].text == STORY
    assert not line.turns[1].interrupted


@pytest.mark.parametrize("sensitivity", [Sensitivity.LOW, Sensitivity.MEDIUM])
async def test_a_second_of_noise_lets_the_agent_go_on_at_the_exact_sample(lines, agent, sensitivity):
    line = await lines(agent(interruption=Interruption(sensitivity=sensitivity)))
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.sounds(noise(1.0))
    await line.until_turns(2)
    assert line.turns[1].text == STORY
    assert not line.turns[1].interrupted
    assert not line.of(AudioCleared)


async def test_after_long_noise_the_agent_says_the_rest_from_the_start_of_the_sentence(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until(lambda: any("He baked" in event.text for event in line.of(TranscriptionUpdated)))
    await line.wait(0.8)
    line.sounds(noise(2.5))
    await line.until_turns(3)
    cut, again = line.turns[1:]
    assert cut.interrupted
    assert cut.text.startswith("Once upon a time there was a baker. He baked")
    assert again.text == "He baked bread every single day of his life."


async def test_a_farewell_that_noise_cut_is_said_and_ends_the_call(lines):
    line = await lines(
        llm=ScriptedLlm({"prompt": "otherwise -> It was a pleasure to talk to you. Until next time! [end]"})
    )
    line.says("that was all")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.sounds(noise(2.0))
    assert await line.ended() is EndReason.AGENT_ENDED
    assert line.turns[-1].text == "It was a pleasure to talk to you. Until next time!"


async def test_of_a_reply_that_was_not_all_written_only_whole_sentences_are_said_again(lines):
    llm = ScriptedLlm({"prompt": f"pace: first 10ms, token 250ms\notherwise -> {STORY}"})
    line = await lines(llm=llm)
    line.says("tell me about it")
    await line.until_state("speaking")
    await line.wait(0.5)
    line.sounds(noise(1.6))
    await line.until_turns(3)
    assert line.turns[1].interrupted
    assert line.turns[2].text == "Once upon a time there was a baker."


@pytest.mark.parametrize(("sensitivity", "cuts"), [(Sensitivity.LOW, False), (Sensitivity.MEDIUM, True)])
async def test_how_soon_a_word_cuts_depends_on_the_sensitivity(lines, agent, sensitivity, cuts):
    line = await lines(agent(interruption=Interruption(sensitivity=sensitivity)))
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.says("perhaps tomorrow would be better", ms_per_char=90)
    await line.wait(0.34)
    assert bool(line.of(AudioCleared)) is cuts
    await line.until_turns(4)
    assert line.turns[1].interrupted


async def test_speech_that_begins_with_a_gap_lets_no_sound_slip_out(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    spoke_at = line.now
    line.sounds(noise(0.03))
    line.sounds(Pcm.silence(16000, 130))
    line.says("what are your hours")
    await line.until_turns(2)
    silent_from = int((spoke_at + 0.1) * 24000)
    assert not line.received[silent_from : silent_from + 12000].any()


# --- replies begun early


async def test_a_likely_reply_is_begun_while_the_silence_passes(lines):
    gains = []
    for partials in (False, True):
        line = await lines(llm=paced(300), stt=FakeStt(delay_ms=30, partials=partials))
        ends = line.says("book a table")
        await line.until_state("speaking")
        gains.append(line.now - ends)
        await line.close()
    usual, early = gains
    assert usual == pytest.approx(0.7 + 0.03 + 0.3 + 0.04, abs=0.04)
    assert early == pytest.approx(0.7 + 0.03, abs=0.04)


async def test_a_reply_begun_in_vain_leaves_no_trace(lines):
    llm = ScriptedLlm()
    tts = FakeTts(delay_ms=40)
    line = await lines(llm=llm, tts=tts)
    line.says("what are your hours")
    line.sounds(Pcm.silence(16000, 500))
    line.says("and tell me the address")
    await line.until_turns(2)
    assert len(llm.requests) >= 2
    assert line.spoken_turns[0] == (USER, "what are your hours and tell me the address")
    assert len(agent_texts(line)) == 1
    assert [message.content for message in llm.requests[-1].messages[1:]] == [
        "what are your hours and tell me the address"
    ]
    states = [event.state.value for event in line.of(AgentStateChanged)]
    assert states == ["thinking", "speaking", "listening"]
    assert not line.of(AudioCleared)
    assert line.call.quality().interruptions == 0
    assert tts.spoken[0] == HOURS
    assert line.call.usage().llm.input_tokens > 0


async def test_what_was_begun_in_vain_is_counted_and_told_apart(lines, caplog):
    caplog.set_level("INFO")
    line = await lines()
    line.says("what are your hours")
    line.sounds(Pcm.silence(16000, 500))
    line.says("and tell me the address")
    await line.until_turns(2)
    await line.hang_up()
    assert any("call.drafts_dropped" in record.getMessage() for record in caplog.records)


class HesitantStt(FakeStt):
    """A recogniser whose prepared words are not its final ones."""

    def open(self, settings, *, keyterms=()):
        stream = super().open(settings, keyterms=keyterms)
        put = stream._put
        stream._put = lambda transcript, *, delay: put(
            msgspec.structs.replace(transcript, text="long story") if transcript.is_prepared else transcript,
            delay=delay,
        )
        return stream


async def test_a_reply_to_other_words_than_the_final_ones_is_not_used(lines):
    line = await lines(stt=HesitantStt())
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, HOURS)]


async def test_a_reply_begun_early_that_fails_is_made_anew(lines):
    llm = FailingOnce()
    line = await lines(llm=llm)
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.turns[1].text == HOURS
    assert not line.of(Fault)


class FailingOnce(ScriptedLlm):
    failed = False

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        if not self.failed:
            self.failed = True
            raise ProviderError("busy", provider="fake", kind="llm", retryable=True)
        async for delta in super().answer(request):
            yield delta


async def test_a_wish_to_end_in_a_reply_begun_in_vain_does_not_end_the_call(lines):
    line = await lines()
    line.says("let me leave")
    line.sounds(Pcm.silence(16000, 500))
    line.says("but first what are your hours")
    await line.until_turns(2)
    line.says("and the address")
    await line.until_turns(4)
    assert line.turns[3].text == "Our address is twelve Main Street."


# --- fillers


async def test_a_slow_model_is_bridged_by_one_filler(lines, agent):
    config = agent(fillers=Fillers(delay_ms=1000, phrases=("Let me look that up.",)))
    line = await lines(config, llm=paced(3000), stt=FakeStt(delay_ms=30, partials=False))
    line.says("book a table")
    thinking = await line.until_state("thinking")
    began = await line.until_state("speaking")
    assert began - thinking == pytest.approx(1.03 + 0.04, abs=0.05)
    await line.until_turns(2)
    assert line.spoken_turns[1] == (AGENT, "Let me look that up. All right.")
    latency = line.turns[1].latency
    assert latency is not None
    assert latency.llm_ms == pytest.approx(3000, abs=30)
    assert latency.total_ms == pytest.approx(3770, abs=60)
    states = [event.state.value for event in line.of(AgentStateChanged)]
    assert states == ["thinking", "speaking", "thinking", "speaking", "listening"]


async def test_a_second_filler_comes_after_a_longer_wait_and_no_third(lines, agent):
    config = agent(fillers=Fillers(delay_ms=1000, phrases=("One moment.", "Just a second.")))
    line = await lines(config, llm=paced(7500), stt=FakeStt(partials=False))
    line.says("book a table")
    await line.until_turns(2)
    assert line.turns[1].text == "One moment. Just a second. All right."


async def test_a_quick_reply_needs_no_filler(lines, agent):
    line = await lines(agent(fillers=Fillers(delay_ms=1000)), llm=paced(800))
    line.says("book a table")
    await line.until_turns(2)
    assert line.turns[1].text == "All right."


async def test_a_reply_whose_voice_is_on_its_way_needs_no_filler(lines, agent):
    line = await lines(
        agent(fillers=Fillers(delay_ms=1000)),
        llm=paced(800),
        tts=FakeTts(delay_ms=600),
        stt=FakeStt(partials=False),
    )
    line.says("book a table")
    await line.until_turns(2)
    assert line.turns[1].text == "All right."


async def test_fillers_can_be_switched_off(lines, agent):
    line = await lines(agent(fillers=Fillers(enabled=False)), llm=paced(6000))
    line.says("book a table")
    await line.until_turns(2)
    assert line.turns[1].text == "All right."


@pytest.mark.parametrize(
    ("language", "said"), [("fr-FR", "Un instant, s'il vous plaît. All right."), ("ja", "All right.")]
)
async def test_our_own_fillers_are_the_languages(lines, agent, language, said):
    transcription = Transcription(provider=TranscriptionProvider.LOCAL, language=language)
    line = await lines(agent(transcription=transcription), llm=paced(3500))
    line.says("une table pour deux")
    await line.until_turns(2)
    assert line.turns[1].text == said


async def test_what_the_agent_says_by_itself_is_in_its_language(lines, agent):
    transcription = Transcription(provider=TranscriptionProvider.LOCAL, language="de-DE")
    line = await lines(agent(transcription=transcription, max_duration_seconds=30, max_idle_time_seconds=60))
    assert await line.ended() is EndReason.MAX_DURATION
    assert agent_texts(line)[-2:] == [
        "Wir haben nur noch wenige Sekunden.",
        "Es tut mir leid, die Zeit für dieses Gespräch ist zu Ende. Auf Wiederhören.",
    ]


async def test_a_caller_who_goes_on_over_a_filler_gets_one_reply_to_both(lines, agent):
    llm = paced(4000)
    line = await lines(agent(fillers=Fillers(delay_ms=1000, phrases=("Let me look that up for you now.",))), llm=llm)
    line.says("book a table")
    await line.until_state("speaking")
    await line.wait(0.5)
    line.says("for two people please")
    await line.until_turns(4)
    assert line.turns[1].interrupted
    assert "Let me look that up for you now.".startswith(line.turns[1].text)
    assert line.turns[2].text == "for two people please"
    assert line.turns[3].text.endswith("All right.")
    contents = [message.content for message in llm.requests[-1].messages[1:]]
    assert contents == ["book a table", line.turns[1].text, "for two people please"]


# --- providers that fail


class Hanging(ScriptedLlm):
    """Hangs so many times, then answers."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        if self.times:
            self.times -= 1
            await asyncio.Event().wait()
        async for delta in super().answer(request):
            yield delta


async def test_a_model_that_hangs_is_bridged_apologised_for_and_asked_again(lines):
    line = await lines(llm=Hanging(2), stt=FakeStt(partials=False))
    for number in (1, 2):
        line.says("what are your hours")
        await line.until_turns(2 * number)
        text = line.turns[-1].text
        assert text.startswith("One moment, please.") or text.startswith("Just a second.")
        assert "trouble" in text
    faults = line.of(Fault)
    assert [(fault.code, fault.recoverable) for fault in faults] == [(FaultCode.LLM_PROVIDER_ERROR, True)] * 2
    line.says("what are your hours")
    await line.until_turns(6)
    assert line.turns[5].text == HOURS


class BreakingTts(FakeTts):
    """A voice that breaks off after the first chunk of a longer text, once."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks = 1

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        whole = [chunk async for chunk in super().speak(text, voice)]
        if self.breaks and len(text.split()) > 3:
            self.breaks = 0
            half = whole[0].words[2].end
            cut = whole[0].audio.slice(0, round(half * 1000))
            yield SpeechChunk(audio=cut, text=" ".join(text.split()[:3]), words=whole[0].words[:3])
            raise ProviderError("gone", provider="fake", kind="tts", retryable=True)
        for chunk in whole:
            yield chunk


async def test_a_voice_that_breaks_off_says_the_rest_of_the_sentence(lines):
    line = await lines(tts=BreakingTts(), stt=FakeStt(partials=False))
    line.says("what are your hours")
    await line.until_turns(2)
    assert line.turns[1].text == HOURS
    assert not line.of(Warned)


# --- keys


async def test_as_many_keys_as_were_asked_for_end_the_input_at_once(lines, agent):
    config = agent(
        first_message="Please enter your four digit code.", first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST
    )
    line = await lines(config)
    await line.until_turns(1)
    for digit in "1234":
        await line.wait(0.2)
        line.call.dtmf(digit)
    pressed = line.now
    await line.until_turns(2)
    assert line.turns[1].text == "Pressed 1 2 3 4."
    assert line.now - pressed < 0.5


async def test_keys_in_the_sound_itself_are_heard_too(lines):
    moments = np.arange(int(0.1 * 16000)) / 16000
    tone = 6000 * (np.sin(2 * np.pi * 770 * moments) + np.sin(2 * np.pi * 1336 * moments))
    line = await lines()
    line.sounds(Pcm(tone.astype(np.int16), 16000))
    await line.until_turns(2)
    assert line.turns[0].text == "Pressed 5."


# --- privacy


async def test_no_word_of_a_call_is_logged(lines, agent, caplog):
    config = agent(hipaa_compliant=True, end_call_phrases=("nine to five",))
    line = await lines(config, llm=FailingOnce())
    line.says("my secret diagnosis what are your hours")
    await line.ended()
    assert line.turns[0].text == "my secret diagnosis what are your hours"
    logged = " ".join(record.getMessage() for record in caplog.records)
    assert "diagnosis" not in logged
    assert "nine" not in logged


async def test_a_call_whose_reply_is_spoken_leaves_the_early_reply_no_task(lines):
    line = await lines()
    line.says("what are your hours")
    line.sounds(Pcm.silence(16000, 500))
    line.sounds(spoken("and more"))
    await line.wait(2.3)
    await line.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

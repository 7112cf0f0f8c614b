"""Calls that go on after a gap: in another process, or when the caller's line is there again."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest
from voisnap_domain.agents import Fillers, FirstMessageMode
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_providers.ports.llm import LlmRequest
from voisnap_runtime.pipeline.events import TranscriptionUpdated, Warned
from voisnap_runtime.pipeline.prompt import Script
from voisnap_runtime.pipeline.resuming import restart_of
from voisnap_testkit.fakes_speech import FakeStt, ScriptedLlm

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
CUT_OFF = "Sorry, we were cut off."
STORY = "Once upon a time there was a baker. He baked bread every single day of his life."
SCRIPT = Script(system="x", disclosure="", first_message="Hello!", silence_message="Still there?", unknown=())


def turn(sequence: int, speaker: Speaker, text: str, **changes: Any) -> Turn:
    """A turn of five seconds."""
    made = Turn(
        sequence=sequence,
        speaker=speaker,
        text=text,
        start_time=sequence * 5.0,
        end_time=sequence * 5.0 + 4,
        confidence=1.0,
    )
    return msgspec.structs.replace(made, **changes)


def as_wire(snapshot: CallSnapshot) -> CallSnapshot:
    """What another process reads."""
    return msgspec.json.decode(msgspec.json.encode(snapshot), type=CallSnapshot)


async def broken_off(line, *, seamless: bool = False, gap: float = 2.0) -> Resumption:
    """What is left of a call whose process is killed now."""
    snapshot = as_wire(line.call.snapshot())
    turns = tuple(line.turns)
    await line.close()
    return Resumption(turns=turns, snapshot=snapshot, elapsed=snapshot.elapsed + gap, seamless=seamless)


def contents(request: LlmRequest) -> list[str]:
    """What the model was told, the prompt aside."""
    return [message.content for message in request.messages[1:]]


async def test_the_sentence_that_was_cut_is_kept_as_heard_and_said_again(lines):
    first = await lines()
    first.says("tell me a long story")
    await first.until(lambda: any("He baked" in event.text for event in first.of(TranscriptionUpdated)))
    await first.wait(0.6)
    resumption = await broken_off(first)
    assert resumption.snapshot.agent is not None
    assert resumption.snapshot.agent.interrupted
    heard = resumption.snapshot.agent.text
    assert heard.startswith("Once upon a time there was a baker. He baked")
    line = await lines(resume=resumption)
    await line.until_turns(2)
    cut, again = line.turns
    assert (cut.sequence, cut.text, cut.interrupted) == (2, heard, True)
    assert (again.sequence, again.text) == (3, f"{CUT_OFF} He baked bread every single day of his life.")
    assert again.start_time == pytest.approx(resumption.elapsed, abs=0.1)
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.turns[-1].text == "We are open from nine to five."


async def test_a_turn_that_waited_for_its_answer_is_answered(lines):
    first = await lines(llm=ScriptedLlm({"prompt": "pace: first 3000ms, token 1ms\notherwise -> Never heard."}))
    first.says("what are your hours")
    await first.until_state("thinking")
    await first.wait(0.5)
    resumption = await broken_off(first)
    assert resumption.snapshot.user is not None
    assert not resumption.snapshot.user.interrupted
    llm = ScriptedLlm()
    line = await lines(resume=resumption, llm=llm)
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, f"{CUT_OFF} We are open from nine to five.")]
    assert line.turns[0].start_time < 1.0
    assert [made.sequence for made in line.turns] == [1, 2]
    assert contents(llm.requests[0]) == ["what are your hours"]


async def test_a_question_on_record_that_nobody_answered_is_answered_and_told_once(lines):
    llm = ScriptedLlm()
    turns = (turn(1, AGENT, "Hello!"), turn(2, USER, "what are your hours"))
    line = await lines(resume=Resumption(turns=turns, elapsed=20), llm=llm)
    await line.until_turns(1)
    assert line.turns[0].text == f"{CUT_OFF} We are open from nine to five."
    assert line.turns[0].sequence == 3
    assert contents(llm.requests[0]) == ["Hello!", "what are your hours"]


async def test_a_caller_who_was_speaking_is_asked_to_say_it_again(lines):
    first = await lines()
    first.says("could you tell me whether you are open on sundays and what it costs")
    await first.wait(2.5)
    resumption = await broken_off(first)
    assert resumption.snapshot.user is not None
    assert resumption.snapshot.user.interrupted
    line = await lines(resume=resumption)
    await line.until_turns(2)
    assert line.turns[0].text == resumption.snapshot.user.text
    assert line.spoken_turns[1] == (AGENT, f"{CUT_OFF} Could you say that again?")


async def test_between_two_turns_the_caller_is_asked_to_go_on(lines):
    first = await lines()
    first.says("what are your hours")
    await first.until_turns(2)
    await first.wait(1)
    resumption = await broken_off(first)
    line = await lines(resume=resumption)
    await line.until_turns(1)
    assert line.spoken_turns == [(AGENT, f"{CUT_OFF} Please go on.")]
    assert line.turns[0].sequence == 3


async def test_a_seamless_hand_over_is_not_heard(lines):
    first = await lines()
    first.says("what are your hours")
    await first.until_turns(2)
    assert not first.call.is_quiet
    await first.until(lambda: first.call.is_quiet)
    assert first.now - first.turns[-1].end_time == pytest.approx(0.2, abs=0.06)
    resumption = await broken_off(first, seamless=True, gap=0.1)
    llm = ScriptedLlm()
    line = await lines(resume=resumption, llm=llm)
    await line.wait(2)
    assert not line.received.any()
    line.says("and the address")
    await line.until_turns(2)
    assert [made.sequence for made in line.turns] == [3, 4]
    assert contents(llm.requests[0]) == ["what are your hours", "We are open from nine to five.", "and the address"]


async def test_a_call_is_not_quiet_while_anything_is_going_on(lines):
    line = await lines()
    line.says("what are your hours")
    await line.wait(0.3)
    quiet: list[tuple[float, bool]] = []
    while len(line.turns) < 2:
        quiet.append((line.now, line.call.is_quiet))
        await line.wait(0.02)
    assert not any(is_quiet for _, is_quiet in quiet)


async def test_right_after_a_prompt_a_call_is_not_quiet(lines):
    line = await lines()
    await line.until_turns(1)
    assert line.turns[0].text == "Are you still there?"
    assert not line.call.is_quiet
    await line.wait(0.25)
    assert line.call.is_quiet


async def test_a_greeting_that_nobody_heard_is_said(lines, agent):
    config = agent(first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST)
    line = await lines(config, resume=Resumption(elapsed=1.5))
    await line.until_turns(1)
    assert line.spoken_turns == [(AGENT, "Hello, how can I help?")]


async def test_a_disclosure_that_was_cut_is_said_whole(lines, agent):
    config = agent(ai_disclosure_message="You are speaking with an artificial intelligence, just so you know.")
    first = await lines(config)
    await first.until_state("speaking")
    await first.wait(1.5)
    resumption = await broken_off(first)
    assert not resumption.snapshot.disclosed
    line = await lines(config, resume=resumption)
    await line.until_turns(2)
    assert config.ai_disclosure_message in line.turns[1].text


async def test_a_disclosure_that_was_heard_is_not_repeated(lines, agent):
    config = agent(ai_disclosure_message="I am an AI.")
    first = await lines(config)
    await first.until_turns(1)
    resumption = await broken_off(first)
    assert resumption.snapshot.disclosed
    line = await lines(config, resume=resumption)
    line.says("what are your hours")
    await line.until(lambda: any("nine" in made.text for made in line.turns))
    assert not any("AI" in made.text for made in line.turns)


async def test_variables_and_the_time_left_carry_over(lines, agent):
    config = agent(max_duration_seconds=60, max_idle_time_seconds=60, variables={"name": "Ada"})
    config = msgspec.structs.replace(config, system_prompt_template="Talk to {{name}}.\notherwise -> Yes.")
    llm = ScriptedLlm()
    resumption = Resumption(turns=(turn(1, USER, "hi"), turn(2, AGENT, "Yes.")), elapsed=50.0, seamless=True)
    line = await lines(config, resume=resumption, llm=llm)
    line.says("hello")
    await line.until(lambda: bool(llm.requests))
    assert llm.requests[0].messages[0].content.endswith("Talk to Ada.\notherwise -> Yes.")
    assert await line.ended() is EndReason.MAX_DURATION
    assert 5.0 < line.now <= 10.3


async def test_a_warning_that_was_given_is_not_repeated(lines, agent):
    config = agent(max_duration_seconds=60, max_idle_time_seconds=60)
    was = CallSnapshot(elapsed=48.0, warned=True)
    line = await lines(
        config, resume=Resumption(turns=(turn(1, USER, "hi"),), snapshot=was, elapsed=50.0, seamless=True)
    )
    assert await line.ended() is EndReason.MAX_DURATION
    assert not any("left" in made.text for made in line.turns)


async def test_a_farewell_that_was_cut_is_said_and_the_call_ends(lines):
    first = await lines()
    first.says("let me leave")
    await first.until_state("speaking")
    await first.wait(0.4)
    resumption = await broken_off(first)
    line = await lines(resume=resumption)
    assert await line.ended() is EndReason.AGENT_ENDED
    assert line.turns[-1].text == f"{CUT_OFF} Goodbye then!"


async def test_a_gap_does_not_warn_of_the_same_thing_twice(lines, agent):
    config = agent(ai_disclosure_message="Hello {{nmae}}.")
    line = await lines(config, resume=Resumption(turns=(turn(1, USER, "hi"),), elapsed=9))
    await line.wait(1)
    assert not line.of(Warned)


async def test_a_second_gap_does_not_record_the_same_words_twice(lines):
    first = await lines()
    first.says("tell me a long story")
    await first.until_state("speaking")
    await first.wait(1.0)
    resumption = await broken_off(first)
    second = await lines(resume=resumption)
    await second.wait(0.02)
    assert [made.sequence for made in second.turns] == [2]
    third = await lines(
        resume=Resumption(
            turns=(*resumption.turns, *second.turns), snapshot=resumption.snapshot, elapsed=resumption.elapsed + 3
        )
    )
    await third.until_turns(1)
    assert third.turns[0].sequence == 3
    assert not third.turns[0].interrupted


async def test_a_second_gap_before_the_first_was_spoken_of_loses_nothing(lines):
    first = await lines()
    first.says("tell me a long story")
    await first.until_state("speaking")
    await first.wait(1.0)
    resumption = await broken_off(first)
    second = await lines(resume=resumption)
    await second.wait(0.02)
    again = await broken_off(second)
    third = await lines(resume=msgspec.structs.replace(again, turns=(*resumption.turns, *again.turns)))
    await third.until_turns(1)
    assert third.turns[0].text == f"{CUT_OFF} {STORY}"


async def test_a_second_gap_in_the_words_about_the_first_says_them_once(lines):
    first = await lines()
    first.says("tell me a long story")
    await first.until_state("speaking")
    await first.wait(1.0)
    resumption = await broken_off(first)
    second = await lines(resume=resumption)
    await second.until_state("speaking")
    await second.wait(1.0)
    again = await broken_off(second)
    third = await lines(resume=msgspec.structs.replace(again, turns=(*resumption.turns, *again.turns)))
    await third.until_turns(2)
    assert [made.text for made in third.turns] == ["Sorry, we were cut", f"{CUT_OFF} {STORY}"]


async def test_a_call_that_has_not_gone_on_yet_stands_where_it_stood(lines):
    first = await lines()
    first.says("tell me a long story")
    await first.until_state("speaking")
    await first.wait(1.0)
    resumption = await broken_off(first)
    second = await lines(resume=resumption, connected=False)
    assert second.call.snapshot() == resumption.snapshot


async def test_what_the_agent_had_asked_for_is_still_known(lines):
    asked = (turn(1, AGENT, "What is your phone number?"),)
    line = await lines(resume=Resumption(turns=asked, elapsed=20, seamless=True))
    line.says("four one five")
    line.sounds(Pcm.silence(16000, 1200))
    line.says("five five five")
    await line.until_turns(2)
    assert line.turns[0].text == "four one five five five five"


# --- how to go on, by table

CASES: dict[str, tuple[Resumption, dict[str, Any]]] = {
    "nothing was said": (Resumption(), {"says": "Hello!"}),
    "an answer that had begun to be written is made anew": (
        Resumption(
            turns=(turn(1, USER, "hours?"),),
            snapshot=CallSnapshot(agent=turn(2, AGENT, "We are"), unwritten=True),
        ),
        {"words": "hours?", "preface": CUT_OFF, "agent": turn(2, AGENT, "We are")},
    ),
    "a snapshot that is older than the record": (
        Resumption(
            turns=(turn(1, USER, "hours?"), turn(2, AGENT, "Nine.")),
            snapshot=CallSnapshot(agent=turn(2, AGENT, "Ni"), rest="ne."),
        ),
        {"says": f"{CUT_OFF} Please go on."},
    ),
    "a snapshot that is older than the caller's turn": (
        Resumption(
            turns=(turn(1, USER, "hours?"), turn(2, AGENT, "Nine.")),
            snapshot=CallSnapshot(user=turn(1, USER, "hours?")),
        ),
        {"says": f"{CUT_OFF} Please go on."},
    ),
    "a caller whose answer nobody heard": (
        Resumption(turns=(turn(1, AGENT, "Hello!"), turn(2, USER, "hours?")), snapshot=CallSnapshot()),
        {"words": "hours?", "preface": CUT_OFF},
    ),
    "a farewell that was heard out": (
        Resumption(
            turns=(turn(1, USER, "bye"), turn(2, AGENT, "Goodbye!")),
            snapshot=CallSnapshot(ending=EndReason.USER_ENDED),
        ),
        {},
    ),
    "a silent moment": (Resumption(turns=(turn(1, USER, "hi"),), seamless=True), {}),
    "between two sentences": (
        Resumption(snapshot=CallSnapshot(agent=turn(1, AGENT, "There was a baker."), rest="He baked bread.")),
        {"says": f"{CUT_OFF} He baked bread.", "agent": turn(1, AGENT, "There was a baker.")},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_how_to_go_on(name):
    resumption, expected = CASES[name]
    restart = restart_of(resumption, SCRIPT, greets=True)
    found = {field: value for field, value in msgspec.structs.asdict(restart).items() if value and field != "asked"}
    assert found == expected


# --- a caller who is away for a while


async def test_a_held_agent_goes_on_at_the_exact_sample(lines):
    undisturbed = await lines()
    undisturbed.says("tell me a long story")
    await undisturbed.until_turns(2)
    await undisturbed.close()
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.call.hold()
    line.packets_come = False
    await line.wait(0.02)
    before = len(line.frames)
    await line.wait(6.0)
    assert all(frame is None for frame in line.frames[before:])
    line.call.release()
    line.packets_come = True
    await line.until_turns(2)
    assert line.spoken_turns == undisturbed.spoken_turns
    assert not line.turns[1].interrupted
    assert (line.received != 0).sum() == pytest.approx((undisturbed.received != 0).sum(), abs=24000 * 0.03)


async def test_silence_does_not_count_while_the_caller_is_away(lines, agent):
    line = await lines(agent(max_idle_time_seconds=15))
    await line.wait(5)
    line.call.hold()
    await line.wait(30)
    assert not line.turns
    line.call.release()
    await line.until_turns(1)
    assert line.turns[0].text == "Are you still there?"
    assert line.turns[0].start_time == pytest.approx(38.05, abs=0.1)


async def test_the_maximum_duration_counts_while_the_caller_is_away(lines, agent):
    line = await lines(agent(max_duration_seconds=40, max_idle_time_seconds=60))
    line.call.hold()
    assert await line.ended() is EndReason.MAX_DURATION
    assert line.now == pytest.approx(40.3, abs=0.4)
    assert not np.any(line.received)


async def test_words_said_before_the_line_broke_are_answered_when_it_is_back(lines):
    line = await lines(stt=FakeStt(delay_ms=30))
    line.says("what are your hours")
    await line.wait(1.1)
    line.packets_come = False
    line.call.hold()
    await line.wait(5)
    assert not line.received.any()
    line.call.release()
    line.packets_come = True
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "what are your hours"), (AGENT, "We are open from nine to five.")]


async def test_nobody_needs_a_filler_who_is_away(lines, agent):
    llm = ScriptedLlm({"prompt": "pace: first 4000ms, token 1ms\notherwise -> All right."})
    line = await lines(agent(fillers=Fillers(delay_ms=1000)), llm=llm)
    line.says("book a table")
    await line.until_state("thinking")
    line.call.hold()
    await line.wait(6)
    line.call.release()
    await line.until_turns(2)
    assert line.turns[1].text == "All right."


async def test_a_caller_who_comes_back_speaking_interrupts(lines):
    line = await lines()
    line.says("tell me a long story")
    await line.until_state("speaking")
    await line.wait(1.0)
    line.call.hold()
    line.call.hold()
    await line.wait(1.0)
    line.call.release()
    await asyncio.sleep(0)
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.turns[1].interrupted
    assert line.turns[3].text == "We are open from nine to five."

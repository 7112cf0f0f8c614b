"""An outbound call that somebody, or something, answers: the whole call in virtual time, the last tests with real speech and models."""

from typing import Any

import msgspec
import numpy as np
import pytest
from voisnap_domain.agents import FirstMessageMode, VoicemailAction, VoicemailDetection
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.conversations import Speaker
from voisnap_domain.sessions import Caller, Channel, Direction, EndReason
from voisnap_media.dtmf import DtmfDetector
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import VadModel
from voisnap_runtime.pipeline.events import Warned
from voisnap_runtime.pipeline.prompt import SCREENED
from voisnap_testkit.fakes_speech import ScriptedLlm

pytestmark = [pytest.mark.media, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER
OPENING = "Hi, this is Aria from Bright Smile."
MESSAGE = "This is {{agentName}} for {{ firstName | you }}. Please call us back."
GREETING = "Hi, you have reached Anna. I am not available right now, so please leave a message after the tone."


def beep(ms: int = 400, hertz: float = 1000) -> Pcm:
    times = np.arange(ms * 16) / 16000
    return Pcm((6000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16), 16000)


def sounded(line: Any) -> list[float]:
    """When the agent was heard, in seconds: the frames that are not silent."""
    return [
        number * 0.02
        for number, frame in enumerate(line.frames)
        if frame is not None and np.abs(frame.samples).max() > 300
    ]


@pytest.fixture
async def dialled(lines, agent):
    """`await dialled(action=…)`: a phone call that we placed, just answered."""

    async def connect(
        action: VoicemailAction = VoicemailAction.LEAVE_MESSAGE,
        *,
        channel: Channel = Channel.PHONE,
        direction: Direction = Direction.OUTBOUND,
        metadata: dict[str, Any] | None = None,
        message: str | None = MESSAGE,
        parts: dict[str, Any] | None = None,
        caller: Caller | None = None,
        **changes: Any,
    ) -> Any:
        config = agent(
            **{
                "first_message": OPENING,
                "first_message_mode": FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
                "voicemail_detection": VoicemailDetection(enabled=True, action=action, message=message),
            }
            | changes
        )
        line = await lines(config)
        plan = msgspec.structs.replace(
            line.call._conversation._plan,
            channel=channel,
            direction=direction,
            metadata=metadata or {},
            caller=caller or Caller(),
        )
        await line.close()
        return await lines(plan=plan, **(parts or {}))

    return connect


async def test_a_person_is_greeted_half_a_second_after_hello(dialled):
    line = await dialled()
    await line.wait(0.8)
    assert not sounded(line)
    over = line.now + line.says("Hello?")
    assert await line.until_state("speaking") - over < 0.75
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "Hello?"), (AGENT, OPENING)]
    line.says("what are your hours")
    await line.until_turns(4)
    assert line.turns[3].text == "We are open from nine to five."


async def test_an_agent_that_waits_for_its_caller_answers_what_was_said(dialled):
    line = await dialled(first_message_mode=FirstMessageMode.WAIT_FOR_USER)
    await line.wait(0.5)
    line.says("Hello, what are your hours?")
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, "Hello, what are your hours?"), (AGENT, "We are open from nine to five.")]


SCREENING = "Hi, if you record your name and reason for calling, I'll see if this person is available."


FRIDAY = "Hello, this is Aria. I'm calling about your appointment on Friday."


@pytest.mark.parametrize(
    ("language", "role", "metadata", "introduction"),
    [
        ("en-US", None, {"callPurpose": "your appointment on Friday."}, FRIDAY),
        (
            "en-US",
            "receptionist",
            {"callPurpose": " your\nappointment ", "onBehalfOf": "Bright Smile Dental."},
            "Hello, this is Aria, receptionist. I'm calling for Bright Smile Dental. I'm calling about your appointment.",
        ),
        ("de", None, {"callPurpose": "Ihren Termin"}, "Guten Tag, hier ist Aria. Es geht um Folgendes: Ihren Termin."),
        ("pl", None, {"callPurpose": 7}, "Hello, this is Aria. I'd like to speak with you, please put me through."),
    ],
)
async def test_call_screening_is_told_who_calls_and_why_and_then_whoever_joins_is_talked_to(
    dialled, agent, language, role, metadata, introduction
):
    config = agent()
    transcription = msgspec.structs.replace(config.transcription, language=language)
    persona = msgspec.structs.replace(config.persona, role=role)
    line = await dialled(metadata=metadata, transcription=transcription, persona=persona)
    await line.wait(0.7)
    line.says(SCREENING)
    await line.until_turns(2)
    assert line.spoken_turns == [(USER, SCREENING), (AGENT, introduction)]
    await line.wait(3.0)
    line.says("Hello, what are your hours?")
    await line.until_turns(4)
    assert line.turns[3].text == "We are open from nine to five."
    assert SCREENED.format(introduction=introduction) in line.call._conversation._script.system


async def test_behind_a_call_screening_nothing_is_said_until_somebody_comes_and_he_is_greeted(dialled):
    line = await dialled(metadata={"callPurpose": "your appointment on Friday"})
    await line.wait(0.7)
    line.says(SCREENING)
    await line.until_turns(2)
    line.says("Thanks. Stay on the line.")
    await line.wait(25.0)
    assert [text for speaker, text in line.spoken_turns if speaker is AGENT] == [FRIDAY]
    spoken = len(sounded(line))
    await line.wait(1.0)
    assert len(sounded(line)) == spoken
    line.says("Hello?")
    await line.until(lambda: any(turn.text == OPENING for turn in line.turns))
    line.says("what are your hours")
    await line.until(lambda: line.turns[-1].text == "We are open from nine to five.")
    assert not any(turn.interrupted for turn in line.turns)
    assert "Thanks. Stay on the line." in " ".join(text for speaker, text in line.spoken_turns if speaker is USER)


async def test_a_call_screening_that_asks_again_is_told_the_same_again(dialled):
    line = await dialled(metadata={"callPurpose": "your appointment on Friday"})
    await line.wait(0.7)
    line.says(SCREENING)
    await line.until_turns(2)
    await line.wait(1.0)
    line.says("Sorry, I didn't catch that. What is this regarding?")
    await line.until_turns(4)
    assert [text for speaker, text in line.spoken_turns if speaker is AGENT] == [FRIDAY, FRIDAY]


async def test_the_key_that_connects_is_pressed_once_and_whoever_answers_is_greeted(dialled):
    line = await dialled()
    await line.wait(0.7)
    line.says("To be connected, please press 5.")
    await line.wait(6.0)
    heard = Pcm.concat([frame or Pcm.silence(24000, 20) for frame in line.frames])
    assert DtmfDetector(8000).feed(resample(heard, 8000).samples) == "5"
    assert line.spoken_turns == []
    line.says("Hello?")
    await line.until(lambda: any(turn.text == OPENING for turn in line.turns))


@pytest.mark.parametrize(
    ("direction", "promise", "end"),
    [
        (Direction.OUTBOUND, "I'm sorry for the trouble. You won't get any more calls from us. Goodbye.", True),
        (Direction.INBOUND, "I'm sorry for the trouble. You won't get any more calls from us.", False),
    ],
)
async def test_who_wants_no_more_calls_is_told_that_he_gets_none(dialled, direction, promise, end):
    line = await dialled(direction=direction, caller=Caller(phone_number="+14155550100"))
    if direction is Direction.OUTBOUND:
        line.says("Hello?")
    await line.until(lambda: any(turn.text == OPENING for turn in line.turns))
    line.says("Please stop calling me.")
    await line.until(lambda: line.turns[-1].text == promise)
    if end:
        assert await line.ended() is EndReason.AGENT_ENDED
        return
    line.says("what are your hours")
    await line.until(lambda: line.turns[-1].text == "We are open from nine to five.")


async def test_somebody_who_says_nothing_is_greeted_in_the_end(dialled):
    line = await dialled()
    assert 3.4 < await line.until_state("speaking") < 4.0


async def test_a_machine_gets_the_message_after_its_beep_and_is_hung_up_on(dialled):
    line = await dialled(metadata={"firstName": "Anna"})
    await line.wait(0.7)
    over = line.now + line.says(GREETING)
    await line.wait(over - line.now + 1.0)
    assert not sounded(line)
    beeped = line.now + line.sounds(beep())
    assert await line.ended() is EndReason.VOICEMAIL
    spoken = sounded(line)
    assert beeped <= spoken[0] <= beeped + 0.5
    assert [speaker for speaker, _ in line.spoken_turns] == [USER, AGENT]
    assert line.turns[1].text == "This is Aria for Anna. Please call us back."
    assert not line.turns[1].interrupted
    assert line.now - spoken[-1] < 1.0


async def test_a_machine_without_a_beep_gets_the_message_after_a_silence(dialled):
    line = await dialled(message=None, ai_disclosure_message="You hear an AI assistant.")
    await line.wait(0.7)
    over = line.now + line.says(GREETING)
    assert await line.ended() is EndReason.VOICEMAIL
    assert sounded(line)[0] == pytest.approx(over + 2.5, abs=0.3)
    assert line.turns[-1].text.startswith("You hear an AI assistant. Hello, this is Aria.")


async def test_a_noise_on_the_machines_side_does_not_interrupt_the_message(dialled):
    line = await dialled()
    line.says(GREETING)
    await line.wait(7.0)
    line.sounds(beep())
    await line.until_state("speaking")
    await line.wait(0.3)
    line.says("Message recording now")
    assert await line.ended() is EndReason.VOICEMAIL
    assert not line.turns[-1].interrupted


async def test_an_agent_that_hangs_up_on_machines_does_so_without_a_word(dialled):
    line = await dialled(VoicemailAction.HANG_UP)
    await line.wait(0.7)
    line.says(GREETING)
    assert await line.ended(within=8) is EndReason.VOICEMAIL
    assert not sounded(line)
    assert line.spoken_turns[0][0] is USER
    assert len(line.turns) == 1


async def test_an_agent_may_talk_to_machines(dialled):
    line = await dialled(VoicemailAction.CONTINUE)
    await line.wait(0.7)
    line.says(GREETING)
    await line.until(lambda: any(turn.text == OPENING for turn in line.turns))


async def test_a_machine_that_said_hello_first_is_left_its_message(dialled):
    line = await dialled()
    await line.wait(0.5)
    line.says("Hello.")
    await line.until_state("speaking")
    line.says("I can not come to the phone, please leave a message after the beep.")
    await line.wait(6.0)
    line.sounds(beep())
    assert await line.ended() is EndReason.VOICEMAIL
    assert line.turns[-1].text == "This is Aria for you. Please call us back."


async def test_a_number_out_of_service_is_hung_up_on(dialled):
    line = await dialled()
    await line.wait(0.5)
    for hertz in (950, 1400, 1800):
        line.sounds(beep(330, hertz))
    assert await line.ended(within=5) is EndReason.DISCONNECTED
    assert not sounded(line)


async def test_a_fax_is_known_by_its_tone_and_told_nothing(dialled):
    line = await dialled()
    await line.wait(0.5)
    line.sounds(beep(3000, 2100))
    assert await line.ended(within=6) is EndReason.DISCONNECTED
    assert not sounded(line)


async def test_inbound_calls_and_browsers_are_not_screened_unless_asked_for(dialled):
    for changes in ({"direction": Direction.INBOUND}, {"channel": Channel.WEBRTC}):
        line = await dialled(**changes)
        assert await line.until_state("speaking") < 0.5
    line = await dialled(channel=Channel.WEBRTC, direction=Direction.INBOUND, metadata={"voicemailDetection": True})
    await line.wait(1.0)
    assert not sounded(line)


async def test_a_message_with_an_unknown_variable_is_warned_of(dialled):
    line = await dialled(message="Hello {{nobody}}.")
    await line.wait(0.1)
    assert any("nobody" in event.text for event in line.of(Warned))


# --- real speech, real voice detector, real recogniser


@pytest.fixture
async def real(dialled, inline_registry):
    """`line, say = await real()`."""
    model = VadModel.load(inline_registry.settings.models_dir / "silero-vad" / "silero_vad.onnx")
    voice = inline_registry.tts("local")
    line = await dialled(parts={"stt": inline_registry.stt("local"), "llm": ScriptedLlm(), "voice_model": model})

    async def say(text: str) -> Pcm:
        heart = msgspec.structs.replace(line.call._conversation._plan.agent.config.voice, voice_id="heart")
        return resample(Pcm.concat([chunk.audio async for chunk in voice.speak(text, heart)]), 16000)

    return line, say


async def test_a_real_greeting_and_a_beep_are_answered_with_the_message(real):
    line, say = real
    await line.wait(0.6)
    over = line.now + line.sounds(await say(GREETING))
    line.sounds(Pcm.silence(16000, 900))
    beeped = over + 0.9 + line.sounds(beep(350, 850))
    assert await line.ended() is EndReason.VOICEMAIL
    assert beeped <= sounded(line)[0] <= beeped + 0.5
    assert "leave a message" in line.turns[0].text.lower()
    assert line.turns[1].text == "This is Aria for you. Please call us back."


async def test_a_real_hello_is_greeted(real):
    line, say = real
    await line.wait(0.6)
    hello = await say("Hello?")
    over = line.now + float(np.flatnonzero(np.abs(hello.samples) > 300)[-1]) / 16000
    line.sounds(hello)
    assert await line.until_state("speaking") - over < 0.95
    await line.until_turns(2)
    assert [speaker for speaker, _ in line.spoken_turns] == [USER, AGENT]
    assert "hello" in line.turns[0].text.lower()


async def test_the_carriers_word_for_the_end_of_a_greeting_lets_the_message_begin(dialled):
    line = await dialled(message="Please call us back.")
    await line.wait(0.7)
    over = line.now + line.says(GREETING)
    await line.wait(over - line.now + 0.2)
    line.call.note_answerer(AnsweredBy.MACHINE_BEEP)
    assert await line.ended() is EndReason.VOICEMAIL
    assert sounded(line)[0] == pytest.approx(over + 0.2, abs=0.3)


async def test_a_fax_is_hung_up_on(dialled):
    line = await dialled()
    await line.wait(0.5)
    line.call.note_answerer(AnsweredBy.FAX)
    assert await line.ended() is EndReason.DISCONNECTED
    assert not sounded(line)


async def test_who_answered_counts_though_it_was_told_before_the_conversation(lines, agent, dialled):
    line = await dialled()
    plan = line.call._conversation._plan
    await line.close()
    early = await lines(plan=plan, connected=False)
    early.call.note_answerer(AnsweredBy.FAX)
    await early.connect()
    assert await early.ended() is EndReason.DISCONNECTED

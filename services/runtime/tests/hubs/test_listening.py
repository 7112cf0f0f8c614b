"""Listening in over VoiceHub: who may, what is heard, and when it ends."""

import base64

import msgspec
import numpy as np
import pytest
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.sessions import listening

pytestmark = pytest.mark.hub

READER = {"scopes": ("hub", "conversations:read"), "user": "usr_9"}


@pytest.fixture
def listen(voice, gallery):
    """`listen(**claims)`: a connection to listen with."""

    def connect(**claims):
        return voice(READER | claims, agentId="")

    return connect


async def talking(house, client):
    await client.until("SessionStarted", keep=True)
    call = house.calls[SessionId("call_1")]
    await call.running.wait()
    return call


def samples(audio: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(audio), "<i2")


def loud(count: int, level: int) -> np.ndarray:
    return np.full(count, level, np.int16)


async def test_both_sides_are_heard_mixed_and_events_are_told(house, voice, listen):
    async with voice() as client, listen() as listener:
        call = await talking(house, client)
        joined = await listener.ask("JoinAsListenerAsync", "conv_1")
        assert joined == {
            "conversationId": "conv_1",
            "sessionId": "call_1",
            "agentId": "agt_1",
            "agentName": "Example agent",
            "channel": "phone",
            "sides": "mixed",
        }
        source, transport = house.pacer.pairs[id(call)]
        assert source is call
        for _ in range(8):
            caller = base64.b64encode(loud(320, 1000).tobytes()).decode()
            await client.ask("SendAudioAsync", caller)
        for _ in range(5):
            transport.send(Pcm(loud(480, 5000), 24000))
        heard = samples(await listener.until("AudioReceived"))
        assert len(heard) == 2400
        assert 5900 < np.median(heard) < 6100
        assert len(samples(await client.until("AudioReceived"))) == 480

        call.notify(call_events.AgentStateChanged(state=call_events.AgentState.SPEAKING))
        call.notify(call_events.AudioCleared())
        assert await listener.until("AgentStateChanged") == {"state": "speaking"}
        assert await listener.until("AudioCleared") is None

        call.done.set_result(EndReason.AGENT_ENDED)
        over = await listener.until("ListeningEnded")
        assert (over["conversationId"], over["reason"]) == ("conv_1", "agent_ended")


async def test_each_side_can_be_heard_for_itself(house, voice, listen):
    async with voice() as client, listen() as listener:
        call = await talking(house, client)
        await listener.ask("JoinAsListenerAsync", "conv_1", "both")
        for _ in range(8):
            await client.ask("SendAudioAsync", base64.b64encode(loud(320, 1000).tobytes()).decode())
        for frame in (Pcm(loud(480, 5000), 24000), None, None, None, None):
            house.pacer.pairs[id(call)][1].send(frame)
        sides = {}
        for _ in range(2):
            heard = await listener.until("ListenerAudioReceived")
            sides[heard["speaker"]] = samples(heard["audio"])
        assert 900 < np.median(sides["user"]) < 1100
        assert sides["agent"][:480].tolist() == [5000] * 480
        assert not sides["agent"][480:].any()


async def test_who_stops_listening_costs_nothing_any_more(house, voice, listen, gallery):
    async with voice() as client, listen() as listener:
        call = await talking(house, client)
        plain = house.pacer.pairs[id(call)][1]
        await listener.ask("JoinAsListenerAsync", "conv_1")
        assert house.pacer.pairs[id(call)][1] is not plain
        await listener.ask("StopListeningAsync")
        await listener.ask("StopListeningAsync")
        assert len(gallery) == 0
        assert house.pacer.pairs[id(call)][1] is plain
        await listener.ask("JoinAsListenerAsync", "conv_1", "agent")
    assert len(gallery) == 0


@pytest.mark.parametrize(
    ("claims", "conversation", "sides", "message"),
    [
        ({}, "conv_7", None, "No conversation with ID conv_7 is in progress"),
        ({"tenant": "ten_2"}, "conv_1", None, "No conversation with ID conv_1 is in progress"),
        ({"environment": "sandbox"}, "conv_1", None, "No conversation with ID conv_1 is in progress"),
        ({}, "conv_1", "left", "takes 'mixed', 'user', 'agent' or 'both'"),
    ],
)
async def test_nobody_hears_what_is_not_his(
    house, voice, listen, error_of, claims, conversation, sides, message, monkeypatch
):
    monkeypatch.setattr("voisnap_runtime.hubs.listening.ACCEPT_SECONDS", 0.1)
    async with voice() as client, listen(**claims) as listener:
        call = await talking(house, client)
        plain = house.pacer.pairs[id(call)][1]
        assert message in await error_of(listener, "JoinAsListenerAsync", conversation, sides)
        assert house.pacer.pairs[id(call)][1] is plain


async def test_without_the_scope_a_connection_without_an_agent_is_refused(listen, refused):
    async with listen(scopes=("hub",)) as client:
        error = await refused(client)
    assert (error["code"], error["message"]) == ("AGENT_NOT_FOUND", "The agentId parameter is missing.")


async def test_a_caller_cannot_listen_to_others_on_the_same_connection(house, voice, gallery, error_of):
    async with voice(READER) as client:
        await talking(house, client)
        assert "holds a call of its own" in await error_of(client, "JoinAsListenerAsync", "conv_1")


async def test_a_listener_cannot_talk(listen, error_of):
    async with listen() as listener:
        assert "no session" in await error_of(listener, "SendAudioAsync", "AAAA")
        assert "no session" in await error_of(listener, "EndSessionAsync")


async def test_a_supervisor_whispers_to_the_agent(house, chat, pen, listen, error_of):
    supervisor = ("hub", "conversations:read", "conversations:write")
    async with chat() as client, listen(scopes=supervisor) as listener, listen() as reader:
        await client.until("SessionStarted")
        assert "Nobody is listened to" in await error_of(listener, "WhisperAsync", "Offer a discount.")
        await listener.ask("JoinAsListenerAsync", "conv_1")
        await reader.ask("JoinAsListenerAsync", "conv_1")
        assert "conversations:write" in await error_of(reader, "WhisperAsync", "Hang up.")
        assert "1 to 500 characters" in await error_of(listener, "WhisperAsync", "x" * 501)
        for _ in range(25):
            await listener.ask("WhisperAsync", "Offer a discount.")
        await client.ask("SendMessageAsync", "How much?")
        pen.write("Ten, for you.")
        pen.finish()
        await client.until("MessageReceived", where=lambda message: message["isFinal"])
        heard = await listener.until("Transcription", where=lambda said: said["speaker"] == "agent" and said["isFinal"])
        assert heard["text"] == "Ten, for you."
    assert pen.prompts[0].count("tells you: Offer a discount.") == 20
    assert "Hang up" not in pen.prompts[0]


async def test_conversations_in_hipaa_mode_are_not_overheard(house, voice, planner, listen, error_of):
    make = planner._plan

    def plan(**changes):
        made = make(**changes)
        config = msgspec.structs.replace(made.agent.config, hipaa_compliant=True)
        return msgspec.structs.replace(made, agent=msgspec.structs.replace(made.agent, config=config))

    planner._plan = plan
    async with voice() as client, listen() as listener:
        call = await talking(house, client)
        assert "HIPAA" in await error_of(listener, "JoinAsListenerAsync", "conv_1")
        assert house.pacer.pairs[id(call)][1].state == "connected"


async def test_so_many_listen_to_one_conversation_and_no_more(house, voice, listen, gallery, reception, error_of):
    async with voice() as client, listen() as listener:
        await talking(house, client)
        for number in range(listening.MAX_LISTENERS):
            request = listening.ListenIn(
                listener=f"l{number}",
                conversation_id="conv_1",
                tenant_id="ten_1",
                environment=house.calls[SessionId("call_1")].plan.environment,
            )
            await house.bus.tell(listening.LISTEN_SUBJECT, msgspec.msgpack.encode(request))
        assert "Too many people" in await error_of(listener, "JoinAsListenerAsync", "conv_1")
        assert len(gallery) == listening.MAX_LISTENERS

"""VoiceHub over a real socket: sessions that begin at the hub, audio both ways, keys, hanging up, coming back."""

import asyncio
import base64
import gc
import itertools
import json
import weakref
from contextlib import AsyncExitStack

import httpx
import numpy as np
import pytest
from voisnap_domain.errors import Conflict, Forbidden, Invalid, LimitReached, TooManyRequests
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_kit.bus import NoResponders
from voisnap_media.pcm import Pcm
from voisnap_proto.events import SessionEnded, SessionStarted
from voisnap_runtime.pipeline import events as call_events
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.hub


def encoded(samples: np.ndarray) -> str:
    return base64.b64encode(samples.astype("<i2").tobytes()).decode()


async def talking(house, client, number: int = 1):
    """Until the call of a client's session runs."""
    await client.until("SessionStarted", keep=True)
    call = house.calls[SessionId(f"call_{number}")]
    await call.running.wait()
    return call


async def test_a_caller_with_an_agent_id_gets_a_session_of_his_own(house, voice, planner):
    async with voice(metadata='{"order":"A-1"}', language="es-MX", version="draft") as client:
        started = await client.until("SessionStarted")
        assert started == {
            "sessionId": "call_1",
            "conversationId": "conv_1",
            "agentId": "agt_1",
            "agentName": "Example agent",
            "channel": "phone",
            "startedAt": started["startedAt"],
            "resumed": False,
            "audio": {"inputSampleRate": 16000, "outputSampleRate": 24000},
        }
        await house.calls[SessionId("call_1")].running.wait()

    asked = planner.asked[0]
    assert (asked.agent_id, asked.user_id, asked.scopes) == ("agt_1", "usr_1", ("hub",))
    assert (asked.metadata, asked.language, asked.version) == ({"order": "A-1"}, "es-MX", "draft")


async def test_audio_goes_to_the_call_as_it_comes_whatever_its_length(house, voice):
    ramp = np.arange(1200, dtype=np.int16)
    async with voice() as client:
        call = await talking(house, client)
        for piece in (ramp[:1], ramp[1:321], ramp[321:]):
            await client.ask("SendAudioAsync", encoded(piece))
        await client.ask("SendAudioAsync", "")

    assert [len(audio) for audio in call.fed] == [1, 320, 879]
    assert {audio.rate for audio in call.fed} == {16000}
    assert np.array_equal(np.concatenate([audio.samples for audio in call.fed]), ramp)


async def test_the_agent_is_heard_as_base64_of_24_khz_samples(house, voice):
    ramp = np.arange(480, dtype=np.int16)
    async with voice() as client:
        call = await talking(house, client)
        source, transport = house.pacer.pairs[id(call)]
        assert source is call
        transport.send(None)
        transport.send(Pcm(ramp, 24000))
        heard = await client.until("AudioReceived")

    assert np.array_equal(np.frombuffer(base64.b64decode(heard), "<i2"), ramp)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (base64.b64encode(b"abc").decode(), "even number of bytes, got 3"),
        ("not base64!", "must be a base64 string"),
        ("AAA", "must be a base64 string"),
        ({"data": "AAAA"}, "must be a base64 string"),
        (12, "must be a base64 string"),
        (None, "must be a base64 string"),
        ([1, 2], "must be a base64 string"),
    ],
)
async def test_audio_that_cannot_be_used_is_refused_and_the_session_goes_on(house, voice, error_of, audio, message):
    async with voice() as client:
        call = await talking(house, client)
        assert message in await error_of(client, "SendAudioAsync", audio)
        error = await client.until("Error")
        assert (error["code"], error["recoverable"]) == ("INVALID_AUDIO", True)
        await client.ask("SendAudioAsync", encoded(np.zeros(320, np.int16)))

    assert len(call.fed) == 1
    assert "Error" not in [name for name, _ in client.seen]


async def test_audio_faster_than_in_real_time_is_dropped_and_said_once(house, voice):
    second = encoded(np.zeros(16000, np.int16))
    async with voice() as client:
        call = await talking(house, client)
        answers = []
        for _ in range(10):
            try:
                await client.ask("SendAudioAsync", second)
            except AssertionError as error:
                answers.append(str(error))
        errors = [value for name, value in client.seen if name == "Error"]

    assert len(answers) == 8
    assert all("faster than in real time" in answer for answer in answers)
    assert sum(audio.seconds for audio in call.fed) == 2
    assert [error["code"] for error in errors] == ["AUDIO_TOO_FAST"]


async def test_keys_are_the_twelve_of_a_telephone(house, voice, error_of):
    async with voice() as client:
        call = await talking(house, client)
        for digit in "0123456789*#":
            await client.ask("SendDtmfAsync", digit)
            call.notify(call_events.KeyReceived(digit=digit))
            assert await client.until("DtmfReceived") == {"digit": digit}
        for wrong in ("A", "12", "", "٣"):
            assert "one of 0-9, * and #" in await error_of(client, "SendDtmfAsync", wrong)
        assert "Failed to invoke" in await error_of(client, "SendDtmfAsync", 5)

    assert call.digits == list("0123456789*#")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "user_ended"),
        (("transfer_complete",), "transfer_complete"),
        (("timeout",), "timeout"),
        (("?",), "user_ended"),
    ],
)
async def test_hanging_up_ends_session_and_connection_and_is_on_record(house, voice, arguments, reason):
    async with voice() as client:
        await talking(house, client)
        live = house.sessions.get(SessionId("call_1"))
        await client.invoke("EndSessionAsync", *arguments)
        ended = await client.until("SessionEnded")
        with pytest.raises(AssertionError, match="closed"):
            await client.until("Error")
    await live.over()
    await house.relay.drained(timeout=2)

    assert (ended["sessionId"], ended["conversationId"], ended["reason"]) == ("call_1", "conv_1", reason)
    assert [type(event) for event in house.events] == [SessionStarted, SessionEnded]
    assert (house.events[1].reason.value, house.events[1].plan.channel.value) == (reason, "phone")
    assert (await house.store.get(SessionId("call_1"))).state is SessionState.ENDED
    assert house.store.tenants["ten_1"] == {}


async def test_an_ended_session_and_its_hub_are_free_without_a_collection(house, voice):
    gc.disable()
    try:
        async with voice() as client:
            call = await talking(house, client)
            live = house.sessions.get(SessionId("call_1"))
            connection = live._audience.connection
            parts = [weakref.ref(part) for part in (live._audience, connection)]
            await client.invoke("EndSessionAsync")
            await client.until("SessionEnded")
        await live.over()
        del live, call, connection
        async with asyncio.timeout(5):
            while any(part() is not None for part in parts):  # noqa: ASYNC110 - nothing tells that an object is free
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_events_of_the_call_are_told(house, voice, make_turn):
    async with voice() as client:
        call = await talking(house, client)
        call.notify(call_events.AgentStateChanged(state=call_events.AgentState.THINKING))
        call.say(1, "Hello!")
        call.notify(call_events.AudioCleared())
        assert await client.until("AgentStateChanged") == {"state": "thinking"}
        assert (await client.until("TurnCompleted"))["turnId"] == "turn_01"
        assert await client.until("AudioCleared") is None


async def test_after_a_loss_the_session_is_there_for_its_user(house, voice, left_alone):
    async with voice() as client:
        call = await talking(house, client)
    live = house.sessions.get(SessionId("call_1"))
    await left_alone(live)

    async with voice(sessionId="call_1") as again:
        started = await again.until("SessionStarted")
        assert (started["resumed"], started["conversationId"]) == (True, "conv_1")
        await again.ask("SendAudioAsync", encoded(np.zeros(320, np.int16)))
        house.pacer.pairs[id(call)][1].send(Pcm(np.zeros(480, np.int16), 24000))
        await again.until("AudioReceived")
    assert len(call.fed) == 1


async def test_of_two_connections_to_one_session_the_newer_one_has_it(house, voice):
    async with voice() as stale:
        call = await talking(house, stale)
        async with voice(sessionId="call_1") as fresh:
            assert (await fresh.until("SessionStarted"))["resumed"] is True
            error = await stale.until("Error")
            assert (error["code"], error["recoverable"]) == ("SESSION_TAKEN_OVER", False)
            with pytest.raises(AssertionError, match="closed"):
                await stale.until("SessionEnded")
            call.notify(call_events.AudioCleared())
            await fresh.until("AudioCleared")
            assert house.sessions.get(SessionId("call_1")).is_watched


async def test_of_many_connections_that_claim_a_session_at_once_exactly_one_has_it(house, voice):
    async with voice() as first, AsyncExitStack() as stack:
        call = await talking(house, first)
        clients = await asyncio.gather(*(stack.enter_async_context(voice(sessionId="call_1")) for _ in range(5)))
        waiting = {asyncio.create_task(client.until("Error")): client for client in (first, *clients)}
        for told in itertools.islice(asyncio.as_completed(waiting), 5):
            assert (await told)["code"] == "SESSION_TAKEN_OVER"
        (last,) = [task for task in waiting if not task.done()]
        last.cancel()
        await asyncio.gather(last, return_exceptions=True)
        call.notify(call_events.AudioCleared())
        await waiting[last].until("AudioCleared")
    assert len(house.calls) == 1


async def test_a_resume_token_opens_the_session_without_its_id(house, voice):
    async with voice() as client:
        await talking(house, client)
        answer = await client.ask("RequestReconnectionAsync")
        assert (answer["sessionId"], answer["retryWindowSeconds"]) == ("call_1", 30)
        assert await client.ask("RequestReconnectionAsync") == answer
        async with voice(resumeToken=answer["resumeToken"]) as again:
            assert (await again.until("SessionStarted"))["resumed"] is True


@pytest.mark.parametrize(
    ("claims", "query"),
    [
        ({}, {"sessionId": "call_9"}),
        ({"user": "usr_2"}, {"sessionId": "call_1"}),
        ({"tenant": "ten_2"}, {"sessionId": "call_1"}),
        ({"environment": "sandbox"}, {"sessionId": "call_1"}),
        ({"agent": "agt_2"}, {"sessionId": "call_1", "agentId": ""}),
        ({"session_id": "call_2"}, {"sessionId": "call_1"}),
        ({}, {"sessionId": "call_1", "agentId": "agt_2"}),
        ({}, {"sessionId": "wrtc_1", "agentId": ""}),
        ({}, {"resumeToken": "res_tok_unknown"}),
    ],
)
async def test_a_session_of_somebody_else_cannot_be_resumed_and_goes_on(house, voice, refused, claims, query):
    await house.open()
    async with voice() as client:
        call = await talking(house, client)
        async with voice(claims, **query) as other:
            assert (await refused(other))["code"] == "RECONNECT_FAILED"
        call.notify(call_events.AudioCleared())
        await client.until("AudioCleared")


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"jti": "jti_1"}, None),
        ({"jti": "jti_2"}, "RECONNECT_FAILED"),
        ({"jti": "jti_2", "session_id": "call_1"}, None),
        ({"jti": "jti_2", "session_id": "call_2"}, "RECONNECT_FAILED"),
        ({"user": "usr_1", "session_id": "call_1"}, "RECONNECT_FAILED"),
    ],
    ids=["same token", "other token", "made for it", "made for another", "made by a person for it"],
)
async def test_a_session_opened_with_a_token_of_an_api_key_belongs_to_that_token(house, voice, refused, claims, code):
    key = {"user": "key_1"}
    async with voice(key) as client:
        call = await talking(house, client)
        assert house.sessions.get(SessionId("call_1")).plan.caller.user_id == "key_1:jti_1"
        async with voice(key | claims, sessionId="call_1") as other:
            if code is None:
                assert (await other.until("SessionStarted"))["resumed"] is True
            else:
                assert (await refused(other))["code"] == code
                call.notify(call_events.AudioCleared())
                await client.until("AudioCleared")


async def test_an_ended_session_cannot_be_resumed(house, voice, refused):
    async with voice() as client:
        call = await talking(house, client)
        live = house.sessions.get(SessionId("call_1"))
        call.done.set_result(EndReason.AGENT_ENDED)
        assert (await client.until("SessionEnded"))["reason"] == "agent_ended"
    await live.over()
    async with voice(sessionId="call_1") as late:
        assert (await refused(late))["code"] == "RECONNECT_FAILED"


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Conflict("Agent agt_1 is draft.", code="agent-inactive"), "AGENT_INACTIVE"),
        (Forbidden("This account is suspended.", code="tenant-suspended"), "AUTH_FAILED"),
        (Invalid((), detail="/language: must be a tag"), "INVALID_REQUEST"),
        (TooManyRequests("More than 10 connections a minute."), "SESSION_LIMIT_REACHED"),
        (Conflict("The voice is not set up.", code="provider-not-configured"), "PROVIDER_NOT_CONFIGURED"),
    ],
)
async def test_refusals_of_the_api_are_told_in_the_hubs_codes(house, voice, planner, refused, refusal, code):
    planner.refusal = refusal
    async with voice() as client:
        error = await refused(client)
    assert (error["code"], error["message"]) == (code, refusal.detail)
    assert house.store.sessions == {}


async def test_while_parts_of_the_platform_are_away_the_client_is_asked_to_come_back(house, voice, planner, refused):
    planner.refusal = NoResponders("nobody answers")
    async with voice() as client:
        assert (await refused(client, recoverable=True))["code"] == "INTERNAL_ERROR"
    planner.refusal = None
    async with voice() as client:
        await talking(house, client, number=2)
        house.store.away = True
        async with voice(sessionId="call_2") as again:
            assert (await refused(again, recoverable=True))["code"] == "INTERNAL_ERROR"
        house.store.away = False
        async with voice(sessionId="call_2") as again:
            assert (await again.until("SessionStarted"))["resumed"] is True


@pytest.mark.parametrize(
    ("claims", "query", "code"),
    [
        ({}, {"agentId": "agt_2"}, "AGENT_NOT_FOUND"),
        ({"tenant": "ten_2"}, {}, "AGENT_NOT_FOUND"),
        ({"environment": "sandbox"}, {}, "AGENT_NOT_FOUND"),
        ({"agent": "agt_2"}, {}, "AUTH_FAILED"),
        ({"session_id": "call_7"}, {}, "AUTH_FAILED"),
        ({}, {"metadata": "[1,2]"}, "INVALID_REQUEST"),
        ({}, {"metadata": "{"}, "INVALID_REQUEST"),
        ({}, {"metadata": '"text"'}, "INVALID_REQUEST"),
        ({}, {"metadata": json.dumps({"note": "x" * 16_384})}, "INVALID_REQUEST"),
    ],
)
async def test_what_a_token_or_a_query_is_not_good_for_is_refused(house, voice, refused, claims, query, code):
    async with voice(claims, **query) as client:
        assert (await refused(client))["code"] == code
    assert house.store.sessions == {}


async def test_metadata_of_16_kib_is_taken(voice, planner):
    metadata = {"note": "ü" * 8_000}
    async with voice(metadata=json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))) as client:
        await client.until("SessionStarted")
    assert planner.asked[0].metadata == metadata


async def test_a_token_for_one_agent_names_the_agent(voice, planner):
    async with voice({"agent": "agt_1"}, agentId="") as client:
        await client.until("SessionStarted")
    assert planner.asked[0].agent_id == "agt_1"


async def test_a_plan_and_a_node_allow_so_many_sessions(house, voice, planner, refused):
    planner.changes = {"max_concurrent": 1}
    async with voice() as first:
        await talking(house, first)
        async with voice() as second:
            error = await refused(second)
            assert (error["code"], "allows 1 sessions" in error["message"]) == ("SESSION_LIMIT_REACHED", True)
        planner.changes = {}
        async with voice() as third:
            await third.until("SessionStarted")
            async with voice() as fourth:
                assert (await refused(fourth))["code"] == "SESSION_LIMIT_REACHED"


@pytest.mark.parametrize("hub", ["voice", "chat"])
async def test_a_full_node_turns_new_sessions_away_before_they_connect_and_lets_old_ones_in(
    house, voice, room, port, keys, connect_hub, hub
):
    async with voice() as client:
        await talking(house, client)
        room.is_full = True
        with pytest.raises(InvalidStatus) as refusal:
            async with connect_hub(port, {"agentId": "agt_1", "access_token": keys.token()}, hub=hub):
                pass
        assert refusal.value.response.status_code == 503
        assert refusal.value.response.headers["Retry-After"] == "2"
        async with voice(sessionId="call_1") as again:
            assert (await again.until("SessionStarted"))["resumed"] is True


async def test_a_node_that_becomes_full_goes_on_with_calls_that_have_no_socket(house, room, port, keys):
    query = {"agentId": "agt_1", "access_token": keys.token(user="key_1")}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/hubs/chat", params=query) as http:
        negotiated = await http.post("/negotiate", params={**query, "negotiateVersion": "1"})
        http.cookies.clear()  # as Python's clients and pages of other sites
        query["id"] = negotiated.json()["connectionToken"]
        await http.get("", params=query)
        await http.post("", params=query, content='{"protocol":"json","version":1}\x1e')
        answers = (await http.get("", params=query)).text
        while "SessionStarted" not in answers:
            answers += (await http.get("", params=query)).text
        room.is_full = True
        query["access_token"] = keys.token(user="key_1", jti="jti_2")  # renewed in the middle of the connection

        ping = await http.post("", params=query, content='{"type":6}\x1e')
        poll = asyncio.create_task(http.get("", params=query))
        end = await http.post("", params=query, content='{"type":1,"target":"EndSessionAsync","arguments":[]}\x1e')

        assert (ping.status_code, end.status_code) == (200, 200)
        assert (await poll).status_code == 200
        assert (await http.delete("", params=query)).status_code == 202


async def test_without_a_store_nothing_is_opened(house, voice, refused):
    house.store.away = True
    async with voice() as client:
        assert (await refused(client))["code"] == "SESSION_LIMIT_REACHED"
    house.store.away = False
    assert house.store.sessions == {}


@pytest.mark.parametrize("token", ["", "nonsense", "vsnp_live_0123456789abcdef"])
async def test_without_a_valid_token_the_handshake_is_401(port, connect_hub, token):
    with pytest.raises(InvalidStatus) as refusal:
        async with connect_hub(port, {"agentId": "agt_1", "access_token": token}, hub="voice"):
            pass
    assert refusal.value.response.status_code == 401


async def test_a_limit_that_was_reached_is_told(house, voice, planner, refused):
    planner.refusal = LimitReached("The plan allows 3 sessions at a time.", code="session-limit-reached")
    async with voice() as client:
        error = await refused(client)
    assert error == {
        "code": "SESSION_LIMIT_REACHED",
        "message": "The plan allows 3 sessions at a time.",
        "recoverable": False,
    }

"""WebRtcHub over a real socket: who may come in, what is said, what is refused."""

import asyncio
import contextlib
from datetime import timedelta

import httpx
import msgspec
import pytest
from voisnap_domain.conversations import Speaker
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_domain.tenants import Environment
from voisnap_kit.redis import Redis
from voisnap_kit.tokens import InvalidToken, verify
from voisnap_runtime.hubs.auth import user_of
from voisnap_runtime.hubs.connection_tokens import RedisConnectionTokens
from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.sessions.neighbours import SessionYielded, Yielding, YieldSession, yield_session_at
from voisnap_signalr import ConnectionInUseError, NegotiatedConnection
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.hub

OFFER = {"sdp": "v=0", "type": "offer"}


@pytest.fixture
def hub(port, keys, connect_hub):
    """A connection to the session of `token`, as a user of its tenant unless told otherwise."""

    def open_hub(token: str = "wrtc_tok_1", **claims):  # noqa: S107
        return connect_hub(port, f"sessionToken={token}&access_token={keys.token(**claims)}")

    return open_hub


@pytest.fixture
async def session(house):
    return await house.open()


async def connected(house, client) -> tuple:
    """Bring the media of a client's session up: its call and its transport."""
    await client.invoke("SendOfferAsync", OFFER)
    await client.until("SdpAnswerReceived")
    house.transports[-1].become("connected")
    call = next(iter(house.calls.values()))
    await call.running.wait()
    return call, house.transports[-1]


async def test_a_caller_with_token_and_session_token_is_let_in(house, session, hub):
    async with hub() as client:
        started = await client.until("SessionStarted")

    assert started == {
        "sessionId": "wrtc_1",
        "conversationId": "conv_1",
        "agentId": "agt_1",
        "agentName": "Example agent",
        "channel": "webrtc",
        "startedAt": started["startedAt"],
        "resumed": False,
        "audio": {"inputSampleRate": 16000, "outputSampleRate": 24000},
    }
    assert started["startedAt"].endswith("Z")
    assert (await house.store.get(session.plan.session_id)).state is SessionState.CONNECTING


@pytest.mark.parametrize(
    "query",
    [
        "sessionToken=wrtc_tok_1",
        "sessionToken=wrtc_tok_1&access_token=nonsense",
        "sessionToken=wrtc_tok_1&access_token=vsnp_live_0123456789abcdef",
    ],
)
async def test_without_a_valid_jwt_the_handshake_is_401(session, port, connect_hub, query):
    with pytest.raises(InvalidStatus) as refusal:
        async with connect_hub(port, query):
            pass
    assert refusal.value.response.status_code == 401


@pytest.mark.parametrize("claims", [{"scopes": ("agents:read",)}, {"minutes": -20}, {"environment": "production"}])
async def test_a_token_without_the_hub_scope_or_out_of_date_is_401(session, hub, claims):
    with pytest.raises(InvalidStatus) as refusal:
        async with hub(**claims):
            pass
    assert refusal.value.response.status_code == 401


@pytest.mark.parametrize(
    ("token", "claims"),
    [
        ("", {}),
        ("wrtc_tok_unknown", {}),
        ("wrtc_tok_1", {"tenant": "ten_2"}),
        ("wrtc_tok_1", {"environment": "sandbox"}),
        ("wrtc_tok_1", {"agent": "agt_2"}),
        ("wrtc_tok_1", {"session_id": "wrtc_2"}),
    ],
)
async def test_a_session_token_opens_only_for_whom_it_was_made(house, session, hub, token, claims, refused):
    async with hub(token, **claims) as client:
        assert (await refused(client))["code"] == "AUTH_FAILED"

    assert (await house.store.get(session.plan.session_id)).state is SessionState.CREATED


async def test_an_expired_session_token_is_refused(house, session, hub, refused):
    house.store.tokens["wrtc_tok_1"] = (session.plan.session_id, house.clock())

    async with hub() as client:
        assert (await refused(client))["code"] == "AUTH_FAILED"


async def test_a_second_connection_at_the_same_time_is_refused_and_the_first_goes_on(house, session, hub, refused):
    async with hub() as first:
        await first.until("SessionStarted")
        async with hub() as second:
            assert (await refused(second))["code"] == "AUTH_FAILED"
        await connected(house, first)


async def test_after_the_loss_of_the_first_connection_the_next_one_resumes_the_session(house, session, hub, left_alone):
    async with hub() as first:
        await first.until("SessionStarted")
        call, _ = await connected(house, first)
    await left_alone(house.sessions.get(session.plan.session_id))

    async with hub() as second:
        assert (await second.until("SessionStarted"))["resumed"] is True
        call.notify(call_events.AudioCleared())
        await second.until("AudioCleared")


async def test_an_ended_session_cannot_be_resumed(house, session, hub, refused):
    at = house.clock()
    await house.store.change(
        session.plan.session_id, lambda s: s.moved(SessionState.ENDED, reason=EndReason.TIMEOUT, at=at)
    )

    async with hub() as client:
        assert (await refused(client))["code"] == "RECONNECT_FAILED"


@pytest.mark.parametrize(("answer", "code"), [(Yielding.WATCHED, "AUTH_FAILED"), (Yielding.ENDING, "RECONNECT_FAILED")])
async def test_a_session_that_its_node_does_not_give_away_cannot_be_resumed_here(
    house, session, hub, refused, answer, code
):
    async def yield_session(request):
        return SessionYielded(outcome=answer)

    await house.bus.respond(yield_session_at(NodeId("node_b")), "node_b", YieldSession, yield_session)
    until = house.clock() + timedelta(minutes=1)
    await house.store.change(session.plan.session_id, lambda s: s.claimed(NodeId("node_b"), lease_until=until))

    async with hub() as client:
        assert (await refused(client))["code"] == code


async def test_a_session_whose_node_is_silent_is_taken_over(house, session, hub):
    until = house.clock() + timedelta(minutes=1)
    await house.store.change(session.plan.session_id, lambda s: s.claimed(NodeId("node_b"), lease_until=until))

    async with hub() as client:
        await client.until("SessionStarted")
    assert (await house.store.get(session.plan.session_id)).owner == "node_a"


async def test_a_full_node_says_so(house, make_plan, hub, refused):
    for number in (1, 2, 3):
        await house.open(make_plan(number), token=f"wrtc_tok_{number}")
    async with hub("wrtc_tok_1") as first, hub("wrtc_tok_2") as second:
        await first.until("SessionStarted")
        await second.until("SessionStarted")
        async with hub("wrtc_tok_3") as third:
            assert (await refused(third))["code"] == "SESSION_LIMIT_REACHED"


async def test_offer_and_candidates_are_exchanged_in_an_order_that_browsers_accept(house, session, hub):
    early = {"candidate": "candidate:7 1 udp 1 10.0.0.1 5000 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    async with hub() as client:
        await client.invoke("SendIceCandidateAsync", early)
        await client.invoke("SendOfferAsync", OFFER)
        answer = await client.until("SdpAnswerReceived")
        assert answer == {"sdp": "v=0 answered", "type": "answer"}
        ours = await client.until("IceCandidateReceived")
        assert ours["candidate"].startswith("candidate:1")
        assert (ours["sdpMid"], ours["sdpMLineIndex"]) == ("0", 0)
        await client.invoke("SendIceCandidateAsync", {**early, "usernameFragment": "abcd"})
        await client.invoke("SendIceCandidateAsync", {"candidate": "", "sdpMid": "0", "sdpMLineIndex": 0})
        await client.answered(4)

    assert house.transports[0].candidates == [
        (early["candidate"], "0", 0),
        (early["candidate"], "0", 0),
        ("", "0", 0),
    ]


async def test_a_second_offer_renegotiates(house, session, hub):
    async with hub() as client:
        await client.invoke("SendOfferAsync", OFFER)
        await client.until("SdpAnswerReceived")
        await client.invoke("SendOfferAsync", {"sdp": "v=0 again", "type": "offer"})
        assert (await client.until("SdpAnswerReceived"))["sdp"] == "v=0 again answered"

    assert house.transports[0].offers == ["v=0", "v=0 again"]


@pytest.mark.parametrize(
    ("target", "argument", "message"),
    [
        ("SendOfferAsync", {"sdp": "v=0", "type": "answer"}, "of type 'offer', not 'answer'"),
        ("SendOfferAsync", {"sdp": "nonsense", "type": "offer"}, "this is no SDP"),
        ("SendOfferAsync", "v=0", "Failed to invoke 'SendOfferAsync'"),
    ],
)
async def test_wrong_arguments_are_answered_with_a_clear_text_and_the_session_goes_on(
    house, session, hub, target, argument, message
):
    async with hub() as client:
        await client.until("SessionStarted")
        await client.invoke(target, argument)
        with pytest.raises(AssertionError, match=message):
            await client.until("SdpAnswerReceived")
        await connected(house, client)


async def test_candidates_before_an_offer_are_bounded(house, session, hub):
    candidate = {"candidate": "candidate:7 1 udp 1 10.0.0.1 5000 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    async with hub() as client:
        for _ in range(65):
            await client.invoke("SendIceCandidateAsync", candidate)
        with pytest.raises(AssertionError, match="Too many candidates"):
            await client.answered(65)


async def test_what_happens_in_the_call_is_told_as_documented(house, session, hub, make_turn):
    async with hub() as client:
        call, _ = await connected(house, client)
        call.notify(call_events.AgentStateChanged(state=call_events.AgentState.THINKING))
        call.notify(
            call_events.TranscriptionUpdated(
                sequence=1,
                speaker=Speaker.USER,
                text="Hi",
                is_final=False,
                confidence=0.91234,
                start_time=0.51239,
                end_time=1.0,
            )
        )
        call.say(1, "Hello!")
        call.notify(call_events.AudioCleared())
        call.notify(
            call_events.Fault(code=call_events.FaultCode.LLM_PROVIDER_ERROR, message="No answer.", recoverable=True)
        )
        error = await client.until("Error", keep=True)

    assert [name for name, _ in client.seen[-5:]] == [
        "AgentStateChanged",
        "Transcription",
        "TurnCompleted",
        "AudioCleared",
        "Error",
    ]
    told = dict(client.seen)
    assert told["AgentStateChanged"] == {"state": "thinking"}
    assert told["Transcription"] == {
        "turnId": "turn_01",
        "speaker": "user",
        "text": "Hi",
        "isFinal": False,
        "confidence": 0.912,
        "startTime": 0.512,
        "endTime": 1.0,
    }
    assert told["TurnCompleted"]["turnId"] == "turn_01"
    assert told["TurnCompleted"]["latency"] == {
        "totalMs": 700.0,
        "endpointingMs": 500.0,
        "sttMs": 20.0,
        "llmMs": 80.0,
        "ttsMs": 80.0,
        "platformMs": 20.0,
    }
    assert error == {"code": "LLM_PROVIDER_ERROR", "message": "No answer.", "recoverable": True}


async def test_a_client_that_comes_back_before_its_loss_was_noticed_gets_its_session(
    house, session, port, keys, connect_hub
):
    query = f"sessionToken=wrtc_tok_1&access_token={keys.token()}"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def negotiated() -> str:
            """As a browser does: its cookie jar holds what the server set."""
            answer = await http.post(f"/hubs/webrtc/negotiate?negotiateVersion=1&{query}")
            return f"{query}&id={answer.json()['connectionToken']}"

        async with connect_hub(port, await negotiated()) as stale:
            await stale.until("SessionStarted")
            async with connect_hub(port, await negotiated()) as fresh:
                assert (await fresh.until("SessionStarted"))["resumed"] is True
                assert (await stale.until("Error"))["code"] == "SESSION_TAKEN_OVER"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "user_ended"),
        (("user_ended",), "user_ended"),
        (("timeout",), "timeout"),
        (("transfer_complete",), "transfer_complete"),
        (("bored",), "user_ended"),
        ((None,), "user_ended"),
    ],
)
async def test_hanging_up_is_confirmed_by_session_ended_and_the_end_of_the_connection(
    house, session, hub, arguments, reason
):
    async with hub() as client:
        await connected(house, client)
        await client.invoke("EndSessionAsync", *arguments)
        ended = await client.until("SessionEnded")
        await client.answered(2)
        with pytest.raises(AssertionError, match="closed"):
            await client.until("Error")

    assert ended["reason"] == reason
    assert (ended["sessionId"], ended["conversationId"]) == ("wrtc_1", "conv_1")
    assert ended["durationSeconds"] >= 0
    assert ended["endedAt"].endswith("Z")


async def test_after_the_end_nothing_can_be_invoked(house, session, hub):
    async with hub() as client:
        call, _ = await connected(house, client)
        call.done.set_result(EndReason.AGENT_ENDED)
        assert (await client.until("SessionEnded"))["reason"] == "agent_ended"
        with contextlib.suppress(Exception):
            await client.invoke("SendOfferAsync", OFFER)

    assert len(house.transports) == 1


async def test_a_reconnection_token_opens_the_session_after_a_loss(house, session, hub, left_alone):
    async with hub() as client:
        await client.invoke("RequestReconnectionAsync")
        answer = await client.answered(1)
    assert (answer["sessionId"], answer["retryWindowSeconds"]) == ("wrtc_1", 30)
    await left_alone(house.sessions.get(SessionId("wrtc_1")))

    async with hub(answer["resumeToken"]) as client:
        assert (await client.until("SessionStarted"))["resumed"] is True


async def test_a_reconnection_token_takes_over_from_a_connection_that_only_seems_alive(house, session, hub):
    async with hub() as stale:
        call, _ = await connected(house, stale)
        await stale.invoke("RequestReconnectionAsync")
        token = (await stale.answered(2))["resumeToken"]

        async with hub(token) as fresh:
            assert (await fresh.until("SessionStarted"))["resumed"] is True
            with pytest.raises(AssertionError, match="closed"):
                await stale.until("SessionEnded")
            await asyncio.sleep(0)
            call.notify(call_events.AudioCleared())
            await fresh.until("AudioCleared")

    assert house.sessions.get(session.plan.session_id) is not None


async def test_a_negotiated_connection_opens_once_on_any_process(redis_url):
    promised = NegotiatedConnection(connection_id="id", connection_token="secret", hub="/hubs/webrtc")
    async with await Redis.open(redis_url) as one, await Redis.open(redis_url) as other:
        here, there = RedisConnectionTokens(one), RedisConnectionTokens(other)
        assert await here.issue(promised, ttl_s=15)

        assert await there.claim("secret") == promised
        with pytest.raises(ConnectionInUseError):
            await here.claim("secret")
        await there.release("secret")
        assert await here.claim("secret") is None
        assert await here.claim("unknown") is None


async def test_the_user_of_a_token_is_bound_as_the_token_says(keys):
    claims = verify(keys.token(agent="agt_1", session_id="wrtc_1", environment="sandbox"), keys.signer.keys())

    assert msgspec.to_builtins(user_of(claims)) == {
        "account": "usr_1",
        "tenant_id": "ten_1",
        "environment": Environment.SANDBOX.value,
        "scopes": ["hub"],
        "agent_id": "agt_1",
        "session_id": "wrtc_1",
        "token_id": "jti_1",
    }
    with pytest.raises(InvalidToken):
        verify("a.b.c", keys.signer.keys())

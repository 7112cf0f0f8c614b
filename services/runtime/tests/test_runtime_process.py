"""The whole runtime on real servers: a session is opened over NATS, a caller comes over WebRtcHub and WebRTC, and everything is told."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from voisnap_domain.sessions import EndReason
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_proto.requests import END_SESSION, OPEN_SESSION, EndSession, OpenSession, SessionEnding, SessionOpened
from voisnap_runtime.app import open_runtime
from voisnap_runtime.settings import RuntimeSettings

pytestmark = pytest.mark.media

MODELS = Path.home() / ".cache" / "voisnap" / "models"


@pytest.fixture
def settings(redis_url, nats_url, jwks_url, tmp_path):
    if not (MODELS / "silero-vad").is_dir():
        pytest.fail("the speech models are not there: voisnap models fetch")
    (tmp_path / "blobs").mkdir()
    return RuntimeSettings(
        redis_url=redis_url,
        nats_url=nats_url,
        jwks_url=jwks_url,
        blobs_url=f"file://{tmp_path}/blobs",
        models_dir=MODELS,
        spool_dir=tmp_path / "spool",
        public_url="http://127.0.0.1:8080",
        node_id="node_a",
    )


@pytest.fixture
async def runtime(settings, served):
    async with open_runtime(settings) as running, served(running.app) as port:
        yield running, port


async def test_a_call_from_its_opening_to_its_recording(
    runtime, hub, media, bus, published, spoken_plan, token, tmp_path
):
    running, port = runtime
    opened = await bus.request(OPEN_SESSION, OpenSession(plan=spoken_plan), SessionOpened)

    async with hub(port, opened.session_token, token) as client:
        started = await client.until("SessionStarted")
        assert (started["sessionId"], started["conversationId"]) == ("wrtc_1", "conv_1")
        assert (started["agentName"], started["channel"], started["resumed"]) == ("Example agent", "webrtc", False)
        assert started["audio"] == {"inputSampleRate": 16000, "outputSampleRate": 24000}
        async with media(client):
            said = await client.until("Transcription", where=lambda t: t["isFinal"] and t["speaker"] == "agent")
            assert "Aria" in said["text"]
            assert said["turnId"] == "turn_01"
            await client.invoke("EndSessionAsync", "user_ended")
            ended = await client.until("SessionEnded")
    hung_up = asyncio.get_running_loop().time()
    assert (ended["conversationId"], ended["reason"]) == ("conv_1", "user_ended")

    events = [await asyncio.wait_for(published.get(), 3) for _ in range(3)]
    assert asyncio.get_running_loop().time() - hung_up < 3
    assert [type(event) for event in events] == [SessionStarted, TurnFinished, SessionEnded]
    _, turn, end = events
    assert "Aria" in turn.turn.text
    assert (end.reason, end.turns) == (EndReason.USER_ENDED, 1)
    assert end.duration_seconds == pytest.approx(ended["durationSeconds"])
    assert end.recording.duration_seconds == pytest.approx(end.duration_seconds, abs=0.2)
    recording = tmp_path / "blobs" / end.recording.key
    assert recording.stat().st_size == end.recording.size_bytes
    live = running.sessions.get(spoken_plan.session_id)
    if live is not None:
        await asyncio.wait_for(live.over(), 2)


async def test_another_tenant_cannot_use_the_session_token(runtime, hub, bus, spoken_plan, signer):
    _, port = runtime
    opened = await bus.request(OPEN_SESSION, OpenSession(plan=spoken_plan), SessionOpened)
    stranger = signer.sign(
        subject="usr_2",
        tenant_id="ten_2",
        environment="live",
        role="TenantOwner",
        scopes=frozenset({"hub"}),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=15),
        token_id="jti_2",
    )

    async with hub(port, opened.session_token, stranger) as client:
        error = await client.until("Error")

    assert (error["code"], error["recoverable"]) == ("AUTH_FAILED", False)


async def test_a_session_is_ended_over_the_bus(runtime, hub, media, bus, spoken_plan, token):
    _, port = runtime
    opened = await bus.request(OPEN_SESSION, OpenSession(plan=spoken_plan), SessionOpened)

    async with hub(port, opened.session_token, token) as client, media(client):
        await client.until("Transcription")
        request = EndSession(session_id=spoken_plan.session_id, reason=EndReason.TRANSFER_COMPLETE)
        answer = await bus.request(END_SESSION, request, SessionEnding)
        ended = await client.until("SessionEnded")

    assert answer.found
    assert ended["reason"] == "transfer_complete"


async def test_a_process_that_stops_ends_its_calls_properly_and_in_time(
    runtime, hub, media, bus, published, spoken_plan, token
):
    running, port = runtime
    opened = await bus.request(OPEN_SESSION, OpenSession(plan=spoken_plan), SessionOpened)

    async with hub(port, opened.session_token, token) as client, media(client):
        await client.until("Transcription")
        before = asyncio.get_running_loop().time()
        await running.drain()
        assert asyncio.get_running_loop().time() - before < 3.5
        ended = await client.until("SessionEnded")

    assert ended["reason"] == "node_lost"
    events = [await asyncio.wait_for(published.get(), 3)]
    while not isinstance(events[-1], SessionEnded):
        events.append(await asyncio.wait_for(published.get(), 3))
    end = events[-1]
    assert [type(event) for event in events[:-1]] == [SessionStarted, *[TurnFinished] * end.turns]
    assert end.recording is not None

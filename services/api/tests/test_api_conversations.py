"""Conversations: stored from events, read over HTTP in the documented shapes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_api.conversations import subscribers, usecases
from voisnap_api.conversations.records import opened_at
from voisnap_domain.agents import Recording
from voisnap_domain.conversations import RecordingInfo
from voisnap_domain.costs import LlmUsage, Usage
from voisnap_domain.ids import ConversationId
from voisnap_domain.sessions import EndReason
from voisnap_kit.bus import Meta
from voisnap_providers.errors import ProviderError
from voisnap_testkit.finished_calls import AGENT_TURN, NOW, USER_TURN, Call

pytestmark = pytest.mark.slice

SEED_FIELDS = [
    "id",
    "agentId",
    "agentName",
    "channel",
    "status",
    "direction",
    "startedAt",
    "endedAt",
    "durationSeconds",
    "caller",
    "metadata",
    "cost",
    "analysis",
    "recording",
    "tags",
    "outcome",
]


async def store(api, call: Call, **ended: Any) -> None:
    await api.tell(call.started)
    await api.tell(call.turn(AGENT_TURN))
    await api.tell(call.turn(USER_TURN))
    await api.tell(call.ended(**ended))


async def read(api, url: str, tenant_id: str = "ten_a") -> Any:
    answer = await api.client.get(url, headers=api.token(tenant_id))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_finished_conversation_has_the_documented_shape(api):
    await api.follow()
    call = Call()
    await store(api, call)
    conversation = await read(api, call.url)
    assert set(SEED_FIELDS) <= set(conversation)
    assert conversation["cost"] == {
        "totalUsd": 0.23974,
        "llmUsd": 0.0108,
        "ttsUsd": 0.1872,
        "sttUsd": 0.00774,
        "telephonyUsd": 0.034,
    }
    start = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    expected = {
        "id": call.id,
        "agentId": "agt_1",
        "agentName": "Aria",
        "channel": "webrtc",
        "status": "completed",
        "direction": "inbound",
        "startedAt": start,
        "durationSeconds": 227,
        "caller": {"phoneNumber": None, "country": None},
        "metadata": {"customerId": "cust_1", "campaignId": None},
        "analysis": None,
        "tags": [],
        "outcome": None,
    }
    assert {key: conversation[key] for key in expected} == expected
    expires = (NOW.replace(hour=0, minute=0, second=0) + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert conversation["recording"] == {
        "available": True,
        "durationSeconds": 227,
        "format": "mp3",
        "expiresAt": expires,
    }


async def test_messages_and_transcript(api):
    await api.follow()
    call = Call()
    await store(api, call)
    messages = await read(api, f"{call.url}/messages")
    at = (NOW + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert messages["conversationId"] == call.id
    assert [set(message) for message in messages["messages"]] == [
        {"id", "role", "content", "timestamp", "durationMs"}
    ] * 2
    assert messages["messages"][1] == {
        "id": "msg_02",
        "role": "user",
        "content": "Hi.",
        "timestamp": at,
        "durationMs": 2600,
    }
    transcript = await read(api, f"{call.url}/transcript")
    assert (transcript["language"], transcript["durationSeconds"]) == ("en-US", 227)
    assert transcript["turns"][0]["id"] == "turn_01"
    assert transcript["turns"][0]["words"][1] == {
        "word": "Thanks",
        "startTime": 0.5,
        "endTime": 0.82,
        "confidence": 0.98,
    }
    assert transcript["turns"][1]["words"] == []


async def test_costs_sum_up_and_come_from_the_catalogue(api):
    await api.follow()
    call = Call()
    await store(api, call)
    costs = await read(api, f"{call.url}/costs")
    breakdown = costs["breakdown"]
    assert breakdown["llm"] == {
        "provider": "openai",
        "model": "gpt-4o",
        "inputTokens": 1840,
        "outputTokens": 620,
        "cost": 0.0108,
    }
    assert breakdown["telephony"] == {"provider": "twilio", "minutes": 4, "cost": 0.034}
    assert breakdown["stt"]["audioSeconds"] == 108
    assert costs["total"] == round(sum(part["cost"] for part in breakdown.values()), 6)
    assert costs["currency"] == "USD"


async def test_prices_are_those_of_the_day(api):
    await api.follow()
    old = Call(started_at=datetime(2024, 7, 20, tzinfo=UTC))
    usage = Usage(llm=LlmUsage(provider="openai", model="gpt-4o", input_tokens=1_000_000))
    await store(api, old, usage=usage, recording=None)
    assert (await read(api, f"{old.url}/costs"))["total"] == 0, "gpt-4o is listed from November 2026 on"


async def test_running_conversation_is_readable(api):
    await api.follow()
    call = Call()
    await api.tell(call.started)
    await api.tell(call.turn(AGENT_TURN))
    conversation = await read(api, call.url)
    assert (conversation["status"], conversation["endedAt"], conversation["durationSeconds"]) == (
        "in_progress",
        None,
        None,
    )
    assert conversation["recording"] == {
        "available": False,
        "durationSeconds": None,
        "format": None,
        "expiresAt": None,
        "reason": "processing",
    }
    assert len((await read(api, f"{call.url}/messages"))["messages"]) == 1
    assert (await read(api, f"{call.url}/costs"))["total"] == 0


async def test_events_out_of_order_and_twice_give_the_same_conversation(api):
    await api.follow()
    straight, mixed = Call(), Call()
    await store(api, straight)
    for event_id, event in (
        ("e4", mixed.ended()),
        ("e3", mixed.turn(USER_TURN)),
        ("e2", mixed.turn(AGENT_TURN)),
        ("e1", mixed.started),
    ):
        await api.bus.publish(event, event_id=event_id, tenant_id="ten_a")
    await api.bus.settle()
    await api.tell(mixed.turn(AGENT_TURN), event_id="e5")
    await api.tell(mixed.started, event_id="e6")
    different = {"id", "sessionId"}
    first, second = await read(api, straight.url), await read(api, mixed.url)
    assert {k: v for k, v in first.items() if k not in different} == {
        k: v for k, v in second.items() if k not in different
    }
    assert len((await read(api, f"{mixed.url}/messages"))["messages"]) == 2
    assert api.bus.dead == []


async def test_end_without_its_turns_waits_and_at_last_completes_with_a_warning(api, monkeypatch):
    monkeypatch.setattr("voisnap_api.conversations.subscribers._BACKOFF", (0.0,))
    monkeypatch.setattr("voisnap_api.conversations.subscribers.PATIENCE", 4)
    await api.follow()
    call = Call()
    await api.tell(call.started)
    await api.tell(call.ended())
    conversation = await read(api, call.url)
    assert conversation["status"] == "abandoned"
    assert conversation["warnings"] == ["2 of 2 turns were lost"]


async def test_an_end_that_failed_for_long_without_the_database_still_waits_for_its_turns(api):
    handlers = []

    class Bus:
        async def subscribe(self, _consumer, _subjects, handler, **_options):
            handlers.append(handler)

    await subscribers.subscribe(Bus(), api.database)
    call = Call()

    async def deliver(event, event_id):
        at = datetime.now(UTC)
        meta = Meta(event_id=event_id, tenant_id=event.tenant_id, subject="", delivery=40, published_at=at)
        await handlers[0](event, meta)

    with pytest.raises(usecases.NotYet):
        await deliver(call.ended(), "e4")
    await deliver(call.started, "e1")
    await deliver(call.turn(USER_TURN), "e2")
    await deliver(call.turn(AGENT_TURN), "e3")
    await deliver(call.ended(), "e4")
    conversation = await read(api, call.url)
    assert (conversation["status"], conversation["warnings"]) == ("completed", [])


@pytest.mark.parametrize(
    ("reason", "turns", "status"),
    [
        (EndReason.USER_ENDED, (AGENT_TURN, USER_TURN), "completed"),
        (EndReason.USER_ENDED, (AGENT_TURN,), "abandoned"),
        (EndReason.AGENT_ENDED, (AGENT_TURN,), "completed"),
        (EndReason.NODE_LOST, (AGENT_TURN, USER_TURN), "failed"),
    ],
)
async def test_status_follows_from_the_end(api, reason, turns, status):
    await api.follow()
    call = Call()
    await api.tell(call.started)
    for turn in turns:
        await api.tell(call.turn(turn))
    await api.tell(call.ended(reason=reason, turns=len(turns)))
    conversation = await read(api, call.url)
    assert (conversation["status"], conversation["endReason"]) == (status, reason.value)


async def test_hipaa_conversation_keeps_nothing_that_was_said(api):
    await api.follow()
    call = Call(hipaa_compliant=True)
    await store(api, call)
    assert (await read(api, call.url))["status"] == "completed"
    assert (await read(api, f"{call.url}/messages"))["messages"] == []
    assert (await read(api, f"{call.url}/transcript"))["turns"] == []
    refused = await api.client.get(f"{call.url}/recording", headers=api.token("ten_a"))
    assert (refused.status_code, "hipaa" in refused.json()["detail"]) == (404, True)
    async with api.database.transaction_as_system() as tx:
        stored = await tx.all(
            str, "SELECT text || words::text || coalesce(latency::text, '') FROM turns ORDER BY sequence"
        )
    assert "Hi" not in "".join(stored)
    assert "Thanks" not in "".join(stored)


async def test_list_filters_and_pages(api):
    await api.follow()
    first = Call(started_at=NOW - timedelta(days=3))
    second = Call(started_at=NOW - timedelta(days=1))
    running = Call()
    await store(api, first, duration_seconds=30.0)
    await store(api, second, reason=EndReason.NODE_LOST)
    await api.tell(running.started)
    await api.client.post(f"{first.url}/tags", json={"tags": ["billing", "vip"]}, headers=api.token("ten_a"))
    await api.client.put(f"{first.url}/outcome", json={"outcome": "resolved"}, headers=api.token("ten_a"))

    async def ids(query: str) -> list[str]:
        return [item["id"] for item in (await read(api, f"/api/v1/conversations?{query}"))["data"]]

    day = (NOW - timedelta(days=1)).strftime("%Y-%m-%d")
    exact = (NOW - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await ids("") == [running.id, second.id, first.id]
    assert await ids("sortOrder=asc") == [first.id, second.id, running.id]
    assert await ids(f"dateFrom={day}") == [running.id, second.id]
    assert await ids(f"dateTo={exact}") == [first.id]
    assert await ids(f"dateFrom={day}&dateTo={day}") == [second.id]
    assert await ids("status=failed") == [second.id]
    assert await ids("tags=vip,billing") == [first.id]
    assert await ids("outcome=resolved") == [first.id]
    assert await ids("minDuration=100") == [second.id]
    assert await ids("channel=phone") == []
    assert await ids("agentId=agt_1&direction=inbound&page=2&pageSize=2") == [first.id]
    assert (await read(api, "/api/v1/conversations?pageSize=2"))["totalPages"] == 2
    for query in ("channel=smoke", "dateFrom=yesterday", "minDuration=-1", "sortBy=mood"):
        answer = await api.client.get(f"/api/v1/conversations?{query}", headers=api.token("ten_a"))
        assert answer.status_code == 422, query


async def test_tags_and_outcome(api):
    await api.follow()
    call = Call()
    await store(api, call)
    headers = api.token("ten_a")
    await api.client.post(f"{call.url}/tags", json={"tags": ["b", "a"]}, headers=headers)
    tagged = await api.client.post(f"{call.url}/tags", json={"tags": ["a", "c", "c"]}, headers=headers)
    assert tagged.json()["tags"] == ["b", "a", "c"]
    assert (await api.client.delete(f"{call.url}/tags/a", headers=headers)).status_code == 204
    body = {"outcome": "resolved", "notes": "Billing question answered."}
    outcome = await api.client.put(f"{call.url}/outcome", json=body, headers=headers)
    assert (outcome.json()["outcome"], outcome.json()["tags"]) == ("resolved", ["b", "c"])
    assert (await api.client.post(f"{call.url}/tags", json={"tags": [""]}, headers=headers)).status_code == 422


async def test_another_tenant_sees_nothing(api):
    await api.follow()
    call = Call()
    await store(api, call)
    headers = api.token("ten_b")
    for path in ("", "/messages", "/transcript", "/costs", "/recording"):
        assert (await api.client.get(call.url + path, headers=headers)).status_code == 404
    assert (await api.client.post(f"{call.url}/tags", json={"tags": ["x"]}, headers=headers)).status_code == 404
    assert (await api.client.delete(call.url, headers=headers)).status_code == 404
    assert (await read(api, "/api/v1/conversations", "ten_b"))["total"] == 0


async def test_recording_plays_whole_and_in_parts_without_a_credential(api):
    await api.follow()
    call = Call()
    await store(api, call)
    audio = bytes(range(20))
    api.blobs.objects[f"recordings/ten_a/{call.id}.mp3"] = audio
    link = await read(api, f"{call.url}/recording")
    assert set(link) == {"url", "format", "durationSeconds", "expiresAt"}
    assert (link["format"], link["durationSeconds"]) == ("mp3", 227)
    assert link["url"].startswith(f"http://127.0.0.1:8080/api/v1/recordings/ten_a/{call.id}.mp3?token=")
    whole = await api.client.get(link["url"])
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, audio, "audio/mpeg")
    assert (whole.headers["content-length"], whole.headers["accept-ranges"]) == ("20", "bytes")
    for asked, status, content, content_range in (
        ("bytes=0-4", 206, audio[:5], "bytes 0-4/20"),
        ("bytes=15-", 206, audio[15:], "bytes 15-19/20"),
        ("bytes=-3", 206, audio[-3:], "bytes 17-19/20"),
        ("bytes=5-999", 206, audio[5:], "bytes 5-19/20"),
        ("bytes=20-", 416, b"", "bytes */20"),
        ("pages=1-2", 200, audio, None),
    ):
        part = await api.client.get(link["url"], headers={"Range": asked})
        assert (part.status_code, part.content, part.headers.get("content-range")) == (status, content, content_range)
    head = await api.client.head(link["url"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "20", b"")


async def test_tampered_and_expired_links_are_refused(api, monkeypatch):
    await api.follow()
    call, other = Call(), Call()
    await store(api, call)
    for one in (call, other):
        api.blobs.objects[f"recordings/ten_a/{one.id}.mp3"] = b"audio"
    url = (await read(api, f"{call.url}/recording"))["url"]
    base, _, token = url.partition("?token=")
    expires, _, signature = token.partition(".")
    wrong = (
        f"{base}?token={int(expires) + 1}.{signature}",
        f"{base}?token={expires}.{'A' + signature[1:] if signature[0] != 'A' else 'B' + signature[1:]}",
        f"{base}?token={expires}.",
        f"{base}?token=",
        f"{base}?token=²³.x",
        url.replace(call.id, other.id),
    )
    for address in wrong:
        assert (await api.client.get(address)).status_code in {404, 422}, address
    assert (await api.client.get(base)).status_code == 422
    later = datetime.now(UTC) + timedelta(minutes=61)
    monkeypatch.setattr("voisnap_api.recordings.routes.utc_now", lambda: later)
    assert (await api.client.get(url)).status_code == 404


@pytest.mark.parametrize(
    ("config", "ended", "reason"),
    [
        ({"recording": Recording(enabled=False)}, {"recording": None}, "disabled"),
        ({}, None, "processing"),
        ({}, {"recording": None}, "not_recorded"),
    ],
)
async def test_missing_recording_says_why(api, config, ended, reason):
    await api.follow()
    call = Call(**config)
    await api.tell(call.started)
    if ended is not None:
        await api.tell(call.turn(AGENT_TURN))
        await api.tell(call.ended(turns=1, **ended))
    answer = await api.client.get(f"{call.url}/recording", headers=api.token("ten_a"))
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/recording-not-available")
    assert reason in answer.json()["detail"]


async def test_a_late_recording_is_still_processing_until_it_is_composed(api):
    await api.follow()
    call = Call()
    key = f"recordings/ten_a/{call.id}.mp3"
    late = RecordingInfo(key=key, format="mp3", duration_seconds=227.4, size_bytes=0)
    await store(api, call, recording=late, warnings=("recording-late",))
    answer = await api.client.get(f"{call.url}/recording", headers=api.token("ten_a"))
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/recording-not-available")
    assert "(processing)" in answer.json()["detail"]
    api.blobs.objects[key] = b"audio"
    assert (await api.client.get((await read(api, f"{call.url}/recording"))["url"])).content == b"audio"


async def test_expired_recording_says_so(api):
    await api.follow()
    call = Call(started_at=NOW - timedelta(days=100))
    await store(api, call)
    answer = await api.client.get(f"{call.url}/recording", headers=api.token("ten_a"))
    assert "expired" in answer.json()["detail"]
    recording = (await read(api, call.url))["recording"]
    assert (recording["available"], recording["reason"]) == (False, "expired")


async def test_delete_removes_transcript_and_recording(api):
    await api.follow()
    call, running = Call(), Call()
    await store(api, call)
    await api.tell(running.started)
    folder = f"recordings/ten_a/{call.id}"
    other = f"{folder}X.mp3"
    keys = (f"{folder}.mp3", f"{folder}/seg-00001-4000.mp3", f"{folder}/seg-00002-1500.mp3", other)
    api.blobs.objects |= dict.fromkeys(keys, b"audio")
    headers = api.token("ten_a")
    assert (await api.client.delete(running.url, headers=headers)).status_code == 409
    assert (await api.client.delete(call.url, headers=headers)).status_code == 204
    assert (await api.client.get(call.url, headers=headers)).status_code == 404
    assert list(api.blobs.objects) == [other]
    async with api.database.transaction_as_system() as tx:
        assert await tx.one(int, "SELECT count(*) FROM turns") == 0


async def test_delete_removes_a_recording_that_was_never_linked(api):
    await api.follow()
    call = Call()
    await store(api, call, recording=None)
    folder = f"recordings/ten_a/{call.id}"
    api.blobs.objects |= {f"{folder}.ogg": b"audio", f"{folder}/seg-00001-4000.ogg": b"audio"}
    assert (await api.client.delete(call.url, headers=api.token("ten_a"))).status_code == 204
    assert api.blobs.objects == {}


async def test_a_recording_is_deleted_only_when_its_conversation_is_gone(api, monkeypatch):
    await api.follow()
    call = Call()
    await store(api, call)
    kept: list[int] = []

    async def delete(_keys):
        async with api.database.transaction_as_system() as tx:
            kept.append(await tx.one(int, "SELECT count(*) FROM conversations"))

    monkeypatch.setattr(api.blobs, "delete", delete)
    assert (await api.client.delete(call.url, headers=api.token("ten_a"))).status_code == 204
    assert kept == [0]


@pytest.mark.parametrize(
    ("retryable", "status", "retry_after", "slug"),
    [(True, 503, "1", "temporarily-unavailable"), (False, 502, None, "provider-failed")],
)
async def test_delete_while_storage_is_away_changes_nothing_and_works_later(api, retryable, status, retry_after, slug):
    await api.follow()
    call = Call()
    await store(api, call)
    key = f"recordings/ten_a/{call.id}.mp3"
    api.blobs.objects[key] = b"audio"
    api.blobs.error = ProviderError("s3://inner refused AKIA", provider="s3-inner", kind="blobs", retryable=retryable)
    headers = api.token("ten_a")
    refused = await api.client.delete(call.url, headers=headers)
    assert (refused.status_code, refused.headers.get("retry-after")) == (status, retry_after)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith(f"/{slug}")
    assert "inner" not in refused.text
    api.blobs.error = None
    assert len((await read(api, f"{call.url}/messages"))["messages"]) == 2
    assert key in api.blobs.objects
    assert (await api.client.delete(call.url, headers=headers)).status_code == 204
    assert api.blobs.objects == {}


async def test_an_id_names_its_partition(api):
    await api.follow()
    call = Call()
    await api.tell(call.started)
    assert abs(opened_at(call.id) - datetime.now(UTC)) < timedelta(minutes=1)
    assert opened_at("conv_01HXDEF456GHI").year == 2024
    assert opened_at("conv_1").year == opened_at("nonsense").year == 1970
    month = datetime.now(UTC).strftime("conversations_%Y_%m")
    async with api.database.transaction_as_system() as tx:
        assert await tx.one(str, "SELECT tableoid::regclass::text FROM conversations") == month


async def test_an_id_that_is_no_ulid_is_kept_too(api):
    await api.follow()
    call = Call()
    call.plan = msgspec.structs.replace(call.plan, conversation_id=ConversationId("conv_test"))
    call.id, call.url = ConversationId("conv_test"), "/api/v1/conversations/conv_test"
    await store(api, call)
    assert (await read(api, call.url))["status"] == "completed"

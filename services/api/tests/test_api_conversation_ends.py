"""What comes after a conversation: its analysis, its outcome, sums over many, and its end for good."""

from datetime import timedelta
from typing import Any

import pytest
from voisnap_api.auth.scopes import Role
from voisnap_api.conversations import usecases
from voisnap_api.conversations.reconcilers import expired_recordings
from voisnap_api.conversations.records import AnalysisSummary
from voisnap_api.periods import ALWAYS, Period, period
from voisnap_domain.agents import Recording
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import AgentId, ConversationId, TenantId
from voisnap_domain.sessions import Channel, EndReason
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Caller, begin_as_system
from voisnap_testkit.finished_calls import AGENT_TURN, NOW, USER_TURN, Call

pytestmark = pytest.mark.slice

ANALYSIS = AnalysisSummary(
    sentiment="positive",
    sentiment_score=0.81,
    intent="billing_inquiry",
    summary="Customer called about a charge.",
    custom_fields={"resolution_status": "resolved"},
)


async def tell(api, call: Call, **ended: Any) -> None:
    for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended(**ended)):
        await api.tell(event)


async def read(api, url: str) -> Any:
    answer = await api.client.get(url, headers=api.token("ten_a"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def analyse(api, id: str, outcome: str | None = "resolved", analysis: AnalysisSummary = ANALYSIS) -> bool:
    system = Caller.system(TenantId("ten_a"), Environment.LIVE)
    async with begin_as_system(api.database, system) as work:
        return await usecases.store_analysis(work, ConversationId(id), analysis, outcome)


async def test_an_analysis_shows_in_the_conversation_and_sets_its_outcome(api):
    await api.follow()
    call = Call()
    await tell(api, call)
    assert await analyse(api, call.id)
    found = await read(api, call.url)
    assert found["analysis"] == {
        "sentiment": "positive",
        "sentimentScore": 0.81,
        "intent": "billing_inquiry",
        "summary": "Customer called about a charge.",
        "customFields": {"resolution_status": "resolved"},
    }
    assert found["outcome"] == "resolved"
    await analyse(api, call.id, "escalated")
    assert (await read(api, call.url))["outcome"] == "escalated"


async def test_a_message_left_to_a_machine_is_no_resolved_conversation_with_or_without_an_analysis(api):
    await api.follow()
    call = Call()
    await tell(api, call, reason=EndReason.VOICEMAIL)
    assert (await read(api, call.url))["outcome"] == "voicemail"
    await analyse(api, call.id, None)
    assert (await read(api, call.url))["outcome"] == "voicemail"


@pytest.mark.parametrize("put_first", [True, False])
async def test_an_outcome_that_was_put_wins_over_every_analysis(api, put_first):
    await api.follow()
    call = Call()
    await tell(api, call)
    if not put_first:
        await analyse(api, call.id)
    put = await api.client.put(f"{call.url}/outcome", json={"outcome": "won"}, headers=api.token("ten_a"))
    assert put.json()["outcome"] == "won"
    await analyse(api, call.id)
    found = await read(api, call.url)
    assert (found["outcome"], found["analysis"]["intent"]) == ("won", "billing_inquiry")


async def test_an_analysis_waits_for_the_end_and_is_refused_after_deletion_and_of_hipaa_calls(api):
    await api.follow()
    running, gone, secret = Call(), Call(), Call(hipaa_compliant=True)
    with pytest.raises(usecases.NotYet):
        await analyse(api, running.id)
    await api.tell(running.started)
    with pytest.raises(usecases.NotYet):
        await analyse(api, running.id)
    await tell(api, gone)
    assert (await api.client.delete(gone.url, headers=api.token("ten_a"))).status_code == 204
    with pytest.raises(NotFound):
        await analyse(api, gone.id)
    await tell(api, secret)
    assert not await analyse(api, secret.id)
    found = await read(api, secret.url)
    assert (found["analysis"], found["outcome"]) == (None, None)


async def test_a_deleted_conversation_stays_deleted_whatever_is_told_later(api):
    await api.follow()
    call = Call()
    await tell(api, call)
    headers = api.token("ten_a", user_id="usr_9")
    assert (await api.client.delete(call.url, headers=headers)).status_code == 204
    await tell(api, call)
    assert (await api.client.get(call.url, headers=headers)).status_code == 404
    assert api.bus.dead == []
    async with api.database.transaction_as_system() as tx:
        assert await tx.one(int, "SELECT count(*) FROM turns") == 0
    log = (await read(api, f"/api/v1/audit-log?targetId={call.id}"))["data"]
    assert [(entry["action"], entry["actor"]["id"]) for entry in log] == [("conversation.deleted", "usr_9")]
    assert log[0]["requestId"].startswith("req_")


async def test_sums_over_an_agents_conversations(api):
    await api.follow()
    first = Call(started_at=NOW - timedelta(days=40))
    second = Call(channel=Channel.WEBCHAT)
    third, others = Call(), Call(agent_id="agt_2")
    await tell(api, first, duration_seconds=30.5)
    await tell(api, second, reason=EndReason.NODE_LOST, duration_seconds=100.0)
    await api.tell(third.started)
    await tell(api, others)
    await analyse(api, first.id, "resolved")
    await analyse(api, second.id, "escalated", AnalysisSummary(sentiment_score=0.2))

    async def stats(wanted: Period):
        system = Caller.system(TenantId("ten_a"), Environment.LIVE)
        async with begin_as_system(api.database, system) as work:
            return await usecases.stats(work, AgentId("agt_1"), wanted)

    always = await stats(ALWAYS)
    assert (always.conversations, always.timed, always.duration_seconds) == (3, 2, 130.5)
    assert always.by_channel == {"webrtc": 2, "webchat": 1}
    assert always.by_outcome == {"resolved": 1, "escalated": 1}
    assert always.by_status == {"completed": 1, "failed": 1, "in_progress": 1}
    assert always.sentiment_score == pytest.approx(0.505)
    listed = (await read(api, "/api/v1/conversations?agentId=agt_1"))["data"]
    assert float(always.cost_usd) == pytest.approx(sum(one["cost"]["totalUsd"] for one in listed), abs=1e-9)
    recent = await stats(period((NOW - timedelta(days=2)).strftime("%Y-%m-%d"), None))
    assert (recent.conversations, recent.by_outcome) == (2, {"escalated": 1})
    none = await stats(period(None, "2001-01-01"))
    assert (none.conversations, none.by_channel, none.cost_usd, none.sentiment_score) == (0, {}, 0, None)


async def test_recordings_are_deleted_at_the_end_of_their_retention(api):
    await api.follow()
    old = Call(started_at=NOW - timedelta(days=31), recording=Recording(storage_retention_days=30))
    last_day = Call(started_at=NOW - timedelta(days=29), recording=Recording(storage_retention_days=30))
    lost = Call(started_at=NOW - timedelta(days=400))
    await tell(api, old)
    await tell(api, last_day)
    await tell(api, lost, recording=None)
    folder = "recordings/ten_a"
    api.blobs.objects |= dict.fromkeys(
        (f"{folder}/{old.id}.mp3", f"{folder}/{lost.id}/seg-00001-4000.mp3", f"{folder}/{last_day.id}.mp3"), b"audio"
    )
    reconciler = expired_recordings(api.database, api.blobs)
    api.blobs.error = ConnectionError("storage is away")
    await reconciler.run_once()
    assert len(api.blobs.objects) == 3
    api.blobs.error = None
    await reconciler.run_once()
    assert list(api.blobs.objects) == [f"{folder}/{last_day.id}.mp3"]
    assert reconciler.last is not None
    assert reconciler.last.recordings == 2
    await reconciler.run_once()
    assert reconciler.last.recordings == 0
    assert (await read(api, old.url))["recording"]["reason"] == "expired"
    assert (await read(api, last_day.url))["recording"]["available"] is True
    assert len((await read(api, f"{old.url}/messages"))["messages"]) == 2


async def test_every_reading_of_a_hipaa_conversation_is_noted_and_of_no_other(api):
    await api.follow()
    secret, usual = Call(hipaa_compliant=True), Call()
    await tell(api, secret)
    await tell(api, usual)
    reader = api.token("ten_a", user_id="usr_reader")
    for path in ("", "/messages", "/transcript", "/costs"):
        for call in (secret, usual):
            assert (await api.client.get(f"{call.url}{path}", headers=reader)).status_code == 200
    assert (await api.client.get("/api/v1/conversations", headers=reader)).json()["total"] == 2
    log = (await read(api, "/api/v1/audit-log?action=conversation.read"))["data"]
    assert {(entry["target"]["id"], entry["actor"]["id"]) for entry in log} == {(secret.id, "usr_reader")}
    assert [entry["detail"]["part"] for entry in log] == ["list", "costs", "transcript", "messages", "conversation"]


async def test_archived_conversations_leave_the_lists_and_come_back(api):
    await api.follow()
    call, other = Call(), Call()
    await tell(api, call)
    await tell(api, other)
    headers = api.token("ten_a")

    async def listed(query: str = "") -> set[str]:
        return {one["id"] for one in (await read(api, f"/api/v1/conversations?{query}"))["data"]}

    for _ in range(2):
        archived = await api.client.post(f"{call.url}/archive", headers=headers)
        assert (archived.status_code, archived.json()["archivedAt"] is not None) == (200, True)
    assert await listed() == {other.id}
    assert await listed("archived=true") == {call.id}
    assert await listed("archived=all") == {call.id, other.id}
    assert (await read(api, call.url))["id"] == call.id
    back = await api.client.post(f"{call.url}/unarchive", headers=headers)
    assert back.json()["archivedAt"] is None
    assert await listed() == {call.id, other.id}
    log = (await read(api, f"/api/v1/audit-log?targetId={call.id}"))["data"]
    assert [entry["action"] for entry in log] == ["conversation.unarchived", "conversation.archived"]
    assert (await api.client.post("/api/v1/conversations/conv_none/archive", headers=headers)).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "dateFrom=2026-06-01T00:00",
        "dateFrom=2026-06-01T00:00:00.123456Z",
        "dateFrom=2026-06-01T00:00:00%2B02:00",
        "dateFrom=2026-06-01T00:00:00+02:00",
        "dateTo=9999-12-31",
    ],
)
async def test_dates_in_iso_8601_are_taken(api, query):
    answer = await api.client.get(f"/api/v1/conversations?{query}", headers=api.token("ten_a"))
    assert answer.status_code == 200, answer.text


async def test_a_shown_time_finds_its_conversation(api):
    await api.follow()
    call = Call(started_at=NOW + timedelta(microseconds=400_000))
    await tell(api, call)
    shown = (await read(api, call.url))["startedAt"]
    found = await read(api, f"/api/v1/conversations?dateFrom={shown}&dateTo={shown}")
    assert [one["id"] for one in found["data"]] == [call.id]
    shown = (await read(api, call.url))["durationSeconds"]
    found = await read(api, f"/api/v1/conversations?minDuration={shown}&maxDuration={shown}")
    assert found["total"] == 1


@pytest.mark.parametrize(
    "query",
    [
        "dateFrom=01.06.2026",
        "dateFrom=2026-6-1",
        "dateFrom=2026-06-01T25:00:00Z",
        "dateFrom=2026-06-01T00:00:00Z&dateTo=2026-05-01",
        "minDuration=1.5",
        "maxDuration=-1",
        "maxDuration=1000001",
        "archived=maybe",
        "sortBy=cost",
        "sortOrder=up",
        "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsIlx1MDAwMCJd",
        "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiYSJd",
        "sortBy=durationSeconds&cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsImEiXQ",
        "pageSize=101",
        "page=0",
    ],
)
async def test_wrong_queries_are_refused_with_the_parameter_named(api, query):
    answer = await api.client.get(f"/api/v1/conversations?{query}", headers=api.token("ten_a"))
    assert answer.status_code == 422, answer.text
    named = {part.partition("=")[0] for part in query.split("&")}
    assert {fault["pointer"].lstrip("?") for fault in answer.json()["errors"]} <= named


async def test_lists_walk_by_cursor_and_by_page_alike(api):
    await api.follow()
    calls = [Call(started_at=NOW - timedelta(minutes=number)) for number in range(5)]
    for call in calls:
        await api.tell(call.started)
    walked, cursor = [], ""
    while cursor is not None:
        page = await read(api, f"/api/v1/conversations?pageSize=2{cursor}")
        assert (page["total"], page["totalPages"]) == (5, 3)
        walked += [one["id"] for one in page["data"]]
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    paged = [
        one["id"]
        for number in (1, 2, 3)
        for one in (await read(api, f"/api/v1/conversations?pageSize=2&page={number}"))["data"]
    ]
    assert walked == paged == [call.id for call in calls]


async def test_who_may_not_delete_conversations_is_refused(api):
    await api.follow()
    call = Call()
    await tell(api, call)
    refused = await api.client.delete(call.url, headers=api.token("ten_a", role=Role.TENANT_USER))
    assert (refused.status_code, (await read(api, call.url))["id"]) == (403, call.id)


@pytest.mark.parametrize(
    ("method", "path", "body", "pointers"),
    [
        ("POST", "tags", {"tags": []}, ["/tags"]),
        ("POST", "tags", {"tags": ["a" * 100]}, []),
        ("POST", "tags", {"tags": ["a" * 101, " ", "a,b", "a\nb", "fine"]}, [f"/tags/{n}" for n in range(4)]),
        ("POST", "tags", {"tags": [f"t{n}" for n in range(50)]}, []),
        ("POST", "tags", {"tags": [f"t{n}" for n in range(51)]}, ["/tags"]),
        ("POST", "tags", {"tags": "vip"}, ["/tags"]),
        ("PUT", "outcome", {"outcome": "x" * 100, "notes": "n" * 2000}, []),
        ("PUT", "outcome", {"outcome": "x" * 101, "notes": "n" * 2001}, ["/outcome", "/notes"]),
        ("PUT", "outcome", {"notes": "n"}, ["/outcome"]),
    ],
)
async def test_tags_and_outcomes_have_limits_also_while_the_conversation_goes_on(api, method, path, body, pointers):
    await api.follow()
    call = Call()
    await api.tell(call.started)
    answer = await api.client.request(method, f"{call.url}/{path}", json=body, headers=api.token("ten_a"))
    assert answer.status_code == (422 if pointers else 200), answer.text
    if pointers:
        assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers
        assert ((await read(api, call.url))["tags"], (await read(api, call.url))["outcome"]) == ([], None)
    else:
        shown = await read(api, call.url)
        assert (len(shown["tags"]), shown["outcomeNotes"]) in {(1, None), (50, None), (0, "n" * 2000)}

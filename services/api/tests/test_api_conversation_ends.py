"""What comes after a conversation: its analysis, its outcome, sums over many, and its end for good."""

from datetime import timedelta
from typing import Any

import pytest
from voisnap_api.conversations import usecases
from voisnap_api.conversations.records import AnalysisSummary
from voisnap_api.periods import ALWAYS, Period, period
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

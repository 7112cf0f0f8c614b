"""Transfers over HTTP, with a runtime that answers, and what it tells of them afterwards."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_api.call_transfers import subscribers, usecases
from voisnap_api.call_transfers.usecases import NotYet
from voisnap_api.carrier_webhooks.usecases import call_of, note_progress, remember_call
from voisnap_domain.agents import AgentConfig, AgentSnapshot, Llm, Persona, Transcription, Voice
from voisnap_domain.calls import CallPhase, CarrierLeg, TransferMode, TransferStage
from voisnap_domain.conversations import CallQuality
from voisnap_domain.costs import Usage
from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_proto.events import CallTransferChanged, SessionEnded, SessionStarted
from voisnap_proto.requests import TRANSFER_SESSION, TransferBegun, TransferSession
from voisnap_providers.ports.carrier import CallProgress

pytestmark = pytest.mark.slice

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SALES = "+14155550123"
STAGES = (TransferStage.INITIATED, TransferStage.RINGING, TransferStage.ANSWERED, TransferStage.ACCEPTED)


def plan_of(channel: Channel = Channel.PHONE) -> SessionPlan:
    config = AgentConfig(
        name="Aria",
        persona=Persona(name="Aria"),
        voice=Voice(provider="local", voice_id="heart"),  # pyright: ignore[reportArgumentType] # decoded form of the wire
        llm=Llm(provider="local", model="brain"),  # pyright: ignore[reportArgumentType]
        transcription=Transcription(provider="local"),  # pyright: ignore[reportArgumentType]
        system_prompt_template="You are Aria.",
    )
    plan = SessionPlan(
        session_id=SessionId(new_id("call")),
        conversation_id=ConversationId(new_id("conv")),
        tenant_id=TenantId("ten_a"),
        environment=Environment.LIVE,
        channel=channel,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=1, config=config),
        created_at=AT,
        leg=CarrierLeg(provider="twilio", account="platform", number="+14155550100")
        if channel is Channel.PHONE
        else None,
    )
    return msgspec.json.decode(msgspec.json.encode(plan), type=SessionPlan)


@pytest.fixture
async def begun(api: Any) -> SessionPlan:
    """A telephone call that goes on."""
    await api.follow()
    await subscribers.subscribe(api.bus, api.database)
    return await begin_call(api)


async def begin_call(api: Any, channel: Channel = Channel.PHONE) -> SessionPlan:
    plan = plan_of(channel)
    await api.tell(
        SessionStarted(
            tenant_id=plan.tenant_id,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            node_id=NodeId("node_1"),
            plan=plan,
            started_at=AT,
        )
    )
    return plan


async def end_call(api: Any, plan: SessionPlan) -> None:
    await api.tell(
        SessionEnded(
            tenant_id=plan.tenant_id,
            environment=plan.environment,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            plan=plan,
            started_at=AT,
            ended_at=AT + timedelta(seconds=60),
            duration_seconds=60.0,
            reason=EndReason.TRANSFER_COMPLETE,
            turns=0,
            usage=Usage(),
            quality=CallQuality(),
            recording=None,
        )
    )


def changed(plan: SessionPlan, stage: TransferStage, *, after: float = 0.0, **changes: Any) -> CallTransferChanged:
    event = CallTransferChanged(
        tenant_id=plan.tenant_id,
        environment=plan.environment,
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        agent_id=plan.agent.agent_id,
        transfer_id="xfer_1",
        stage=stage,
        mode=TransferMode.WARM,
        to=SALES,
        name="Sales",
        requested_by="agent",
        at=AT + timedelta(seconds=after),
        reason="Bread.",
    )
    return msgspec.structs.replace(event, **changes)


async def runtime(api: Any, answer: Any) -> list[TransferSession]:
    asked: list[TransferSession] = []

    async def transfer(request: TransferSession) -> TransferBegun:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await api.bus.respond(TRANSFER_SESSION, "runtime", TransferSession, transfer)
    return asked


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


async def test_a_call_is_handed_over_and_its_course_can_be_read(api: Any, begun: SessionPlan) -> None:
    headers = api.token("ten_a")
    asked = await runtime(api, TransferBegun(found=True, transfer_id="xfer_1"))
    url = f"/api/v1/conversations/{begun.conversation_id}"
    body = {"target": "Sales", "mode": "warm", "summary": "Wants bread.", "ringSeconds": 20}
    answer = await api.client.post(f"{url}/transfer", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "transferId": "xfer_1",
        "conversationId": begun.conversation_id,
        "status": "initiated",
    }
    assert asked == [
        TransferSession(
            session_id=begun.session_id,
            to="",
            name="Sales",
            mode=TransferMode.WARM,
            summary="Wants bread.",
            ring_seconds=20,
        )
    ]
    for to in ({"phoneNumber": SALES}, {"sipUri": "sip:desk@pbx.example"}):
        assert (await api.client.post(f"{url}/transfer", json=to, headers=headers)).status_code == 202
    assert [(one.to, one.mode) for one in asked[1:]] == [(SALES, None), ("sip:desk@pbx.example", None)]
    for place, stage in enumerate((*STAGES, TransferStage.RETURNED)):
        cause = "refused" if stage is TransferStage.RETURNED else ""
        await api.tell(changed(begun, stage, after=place, cause=cause))
    listed = await api.client.get(f"{url}/transfers", headers=headers)
    assert listed.json() == {
        "conversationId": begun.conversation_id,
        "transfers": [
            {
                "id": "xfer_1",
                "conversationId": begun.conversation_id,
                "mode": "warm",
                "target": "Sales",
                "destination": SALES,
                "requestedBy": "agent",
                "reason": "Bread.",
                "status": "returned",
                "cause": "refused",
                "startedAt": "2026-03-02T12:00:00Z",
                "answeredAt": "2026-03-02T12:00:02Z",
                "endedAt": "2026-03-02T12:00:04Z",
            }
        ],
    }


async def test_events_may_come_twice_and_in_any_order(api: Any, begun: SessionPlan) -> None:
    stages = (*STAGES, TransferStage.COMPLETED)
    events = [changed(begun, stage, after=place) for place, stage in enumerate(stages)]
    for event in (events[4], events[2], events[0], events[3], events[1], *events):
        await api.tell(event)
    url = f"/api/v1/conversations/{begun.conversation_id}/transfers"
    (transfer,) = (await api.client.get(url, headers=api.token("ten_a"))).json()["transfers"]
    assert (transfer["status"], transfer["cause"]) == ("completed", None)
    assert [transfer[name][-3:-1] for name in ("startedAt", "answeredAt", "endedAt")] == ["00", "02", "04"]


async def test_only_telephone_calls_that_go_on_can_be_handed_over(api: Any, begun: SessionPlan) -> None:
    headers = api.token("ten_a")
    asked = await runtime(api, TransferBegun(found=False))
    browser = await begin_call(api, Channel.WEBRTC)

    async def refused(plan: SessionPlan, **more: Any) -> tuple[int, str]:
        url = f"/api/v1/conversations/{plan.conversation_id}/transfer"
        return problem(await api.client.post(url, json={"target": "Sales"}, headers=more.get("headers", headers)))

    assert await refused(browser) == (409, "not-transferable")
    assert asked == []
    assert await refused(begun) == (409, "not-transferable")
    assert len(asked) == 1
    assert await refused(begun, headers=api.token("ten_b")) == (404, "not-found")
    assert await refused(begun, headers=api.token("ten_a", environment=Environment.SANDBOX)) == (
        404,
        "not-found",
    )
    reads = api.token("ten_a", scopes=frozenset({"conversations:read"}))
    assert (await refused(begun, headers=reads))[0] == 403
    await end_call(api, begun)
    assert await refused(begun) == (409, "not-transferable")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Conflict("…", code="transfer-in-progress"), (409, "transfer-in-progress")),
        (NotFound("target", "x", code="transfer-target-not-found"), (404, "transfer-target-not-found")),
        (None, (503, "node-full")),
    ],
)
async def test_what_the_runtime_refuses_is_told(
    api: Any, begun: SessionPlan, fault: Any, expected: tuple[int, str]
) -> None:
    if fault is not None:
        await runtime(api, fault)
    url = f"/api/v1/conversations/{begun.conversation_id}/transfer"
    answer = await api.client.post(url, json={"target": "Sales"}, headers=api.token("ten_a"))
    assert problem(answer) == expected


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {""}),
        ({"target": "Sales", "phoneNumber": SALES}, {""}),
        ({"phoneNumber": "415-555"}, {"/phoneNumber"}),
        ({"phoneNumber": "+19005550123"}, {"/phoneNumber"}),
        ({"sipUri": "mailto:x@y"}, {"/sipUri"}),
        ({"target": "", "summary": "x" * 601, "ringSeconds": 4}, {"/target", "/summary", "/ringSeconds"}),
        ({"target": "Sales", "mode": "hot"}, {"/mode"}),
    ],
)
async def test_every_wrong_field_is_named(api: Any, begun: SessionPlan, body: Any, pointers: set[str]) -> None:
    url = f"/api/v1/conversations/{begun.conversation_id}/transfer"
    answer = await api.client.post(url, json=body, headers=api.token("ten_a"))
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == pointers


async def test_nobody_is_handed_over_to_a_country_that_nobody_allowed(api: Any, begun: SessionPlan) -> None:
    headers = api.token("ten_a")
    asked = await runtime(api, TransferBegun(found=True, transfer_id="xfer_1"))
    url = f"/api/v1/conversations/{begun.conversation_id}/transfer"
    answer = await api.client.post(url, json={"phoneNumber": "+33142685300"}, headers=headers)
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [
        ("/phoneNumber", "country-not-allowed")
    ]
    assert asked == []
    settings = {"allowedCountries": ["FR"]}
    allowed = await api.client.put("/api/v1/outbound-calls/settings", json=settings, headers=headers)
    assert allowed.status_code == 200
    assert (await api.client.post(url, json={"phoneNumber": "+33142685300"}, headers=headers)).status_code == 202


async def test_what_comes_before_its_conversation_waits_and_what_comes_after_it_is_dropped(api: Any) -> None:
    plan = plan_of()
    caller = Caller.system(plan.tenant_id, plan.environment)
    late = changed(plan, TransferStage.INITIATED)
    async with begin(api.database, caller) as work:
        await usecases.note(work, late)
    early = changed(plan, TransferStage.INITIATED, at=datetime.now(UTC))
    with pytest.raises(NotYet):
        async with begin(api.database, caller) as work:
            await usecases.note(work, early)


async def test_transfers_go_with_their_conversation(api: Any, begun: SessionPlan) -> None:
    await api.tell(changed(begun, TransferStage.COMPLETED))
    await end_call(api, begun)
    headers = api.token("ten_a")
    url = f"/api/v1/conversations/{begun.conversation_id}"
    assert (await api.client.delete(url, headers=headers)).status_code == 204
    assert (await api.client.get(f"{url}/transfers", headers=headers)).status_code == 404


def cold(plan: SessionPlan, stage: TransferStage, **changes: Any) -> CallTransferChanged:
    return changed(plan, stage, mode=TransferMode.COLD, **changes)


async def leg(api: Any, plan: SessionPlan, *phases: CallPhase) -> None:
    """The carrier tells what becomes of the call to whom a caller was handed over, as the desk of webhooks takes it."""
    whose = Caller.system(plan.tenant_id, plan.environment)
    async with begin_as_system(api.database, whose) as work:
        whom = {"provider": "twilio", "account": "platform", "session_id": plan.session_id}
        async with begin(api.database, whose) as own:
            await remember_call(own, **whom, call_id="CA1")
        call = await call_of(work, **whom, call_id="CA2", attempt_id="xfer_1")
    assert call is not None
    for phase in phases:
        async with begin(api.database, whose) as work:
            await note_progress(work, call, CallProgress(call_id="CA2", phase=phase))
            await usecases.note_leg(work, call)


@pytest.mark.parametrize("order", ["before", "between", "after", "twice"])
async def test_whether_anybody_answered_a_cold_transfer_is_told_whenever_the_carrier_says_so(
    api: Any, begun: SessionPlan, order: str
) -> None:
    async def carrier_says() -> None:
        await leg(api, begun, CallPhase.RINGING, CallPhase.NO_ANSWER, CallPhase.RINGING)

    if order == "before":
        await carrier_says()
    await api.tell(cold(begun, TransferStage.INITIATED))
    if order in ("between", "twice"):
        await carrier_says()
    await api.tell(cold(begun, TransferStage.COMPLETED, after=3))
    if order in ("after", "twice"):
        await carrier_says()
    await api.tell(cold(begun, TransferStage.COMPLETED, after=3))
    (shown,) = await transfers(api, begun)
    assert (shown["status"], shown["cause"], shown["answeredAt"]) == ("failed", "no_answer", None)


async def test_a_cold_transfer_that_was_answered_says_when(api: Any, begun: SessionPlan) -> None:
    await api.tell(cold(begun, TransferStage.INITIATED))
    await api.tell(cold(begun, TransferStage.COMPLETED, after=3))
    await leg(api, begun, CallPhase.ANSWERED, CallPhase.COMPLETED)
    (shown,) = await transfers(api, begun)
    assert (shown["status"], shown["cause"]) == ("completed", None)
    assert shown["answeredAt"] is not None


async def test_what_a_carrier_says_of_a_warm_transfers_call_is_left_to_the_runtime(
    api: Any, begun: SessionPlan
) -> None:
    await api.tell(changed(begun, TransferStage.RINGING))
    await leg(api, begun, CallPhase.ANSWERED, CallPhase.FAILED)
    (shown,) = await transfers(api, begun)
    assert (shown["status"], shown["answeredAt"]) == ("ringing", None)


async def transfers(api: Any, plan: SessionPlan) -> Any:
    url = f"/api/v1/conversations/{plan.conversation_id}/transfers"
    return (await api.client.get(url, headers=api.token("ten_a"))).json()["transfers"]

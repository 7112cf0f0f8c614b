"""Calls that are placed: asked for over HTTP, dialled once by the worker, and brought to their ends by what carriers and runtime tell."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_api.outbound_calls import store, subscribers
from voisnap_api.outbound_calls.dialling import MOST_PUT_OFFS, Dialler
from voisnap_api.outbound_calls.hours import first_allowed
from voisnap_api.outbound_calls.records import CallSettings
from voisnap_api.phone_numbers import store as numbers
from voisnap_api.phone_numbers.records import LineSource, LineStatus, PhoneLine
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.conversations import CallQuality
from voisnap_domain.costs import Usage
from voisnap_domain.errors import DomainError, LimitReached
from voisnap_domain.ids import AgentId, NodeId, PhoneNumberId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
from voisnap_proto.events import AnswererDetected, CallProgressed, CallsDeclined, SessionEnded, SessionStarted
from voisnap_proto.requests import END_SESSION, EndSession, OpenSession, SessionEnding, SessionOpened
from voisnap_providers.carriers import Carrier, CarrierUrls
from voisnap_providers.errors import DialUncertain, ProviderError, ProviderUnconfigured
from voisnap_providers.ports.carrier import Dial, MachineDetection
from voisnap_providers.ports.numbers import NumberFeature

pytestmark = pytest.mark.slice

CALLS = "/api/v1/outbound-calls"
OURS, THEIRS = "+4930901820", "+4915112345678"
T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
RINGING, ANSWERED, COMPLETED = CallPhase.RINGING, CallPhase.ANSWERED, CallPhase.COMPLETED


class Killed(BaseException):
    """The process died here."""


class Switchboard:
    """A carrier that counts. `answers` are what it does at each dial, then it takes the call; it keeps the promise of the port that a call
    is asked for once an attempt, unless it `repeats`."""

    def __init__(self) -> None:
        self.dialled: list[Dial] = []
        self.hung_up: list[str] = []
        self.answers: list[Exception | type[Killed]] = []
        self.away = False
        self.unconfigured = False

    async def dial(self, order: Dial) -> str:
        self.dialled.append(order)
        if self.answers:
            answer = self.answers.pop(0)
            raise answer() if isinstance(answer, type) else answer
        return f"CA-{order.attempt_id}"

    async def hang_up(self, call_id: str) -> None:
        if self.away:
            raise ProviderError("away", provider="twilio", kind="carrier", retryable=True)
        self.hung_up.append(call_id)

    async def carrier(self, work: Any, provider: str, account: str, environment: Environment) -> Carrier:
        if self.unconfigured:
            raise ProviderUnconfigured("no account")
        return Carrier(provider=provider, account=None, webhooks=None, control=self)  # type: ignore[arg-type]

    @property
    def rung(self) -> dict[str, int]:
        """How often each attempt was dialled."""
        return {
            attempt: len(list(group))
            for attempt, group in itertools.groupby(sorted(order.attempt_id for order in self.dialled))
        }


class Desk:
    """An API, a worker at a clock of its own, a carrier and a runtime."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.now = T0
        self.carrier = Switchboard()
        self.ended: list[EndSession] = []
        self.refusals: list[DomainError] = []
        self.headers = api.token("ten_a")
        self.agent: dict[str, Any] = {}
        self.provider = "twilio"
        self.dialler = self.worker()

    def worker(self) -> Dialler:
        """Another worker process."""
        urls = CarrierUrls("https://voice.example.com")
        return Dialler(self.api.database, self.api.bus, self.carrier, urls, clock=lambda: self.now)

    async def begin(self, provider: str = "twilio", **agent: Any) -> None:
        self.provider = provider
        await self.api.start_runtime(self.opens)
        await subscribers.subscribe(self.api.bus, self.api.database, clock=lambda: self.now)

        async def end(request: EndSession) -> SessionEnding:
            self.ended.append(request)
            return SessionEnding(found=True)

        await self.api.bus.respond(END_SESSION, "runtime", EndSession, end)
        self.agent = await self.api.add_agent(self.headers, **agent)
        await self.add_number(self.agent["id"], OURS)
        await self.add_number(None, "+14155550999", country="US")  # so that calls to the United States are allowed

    def opens(self, request: OpenSession) -> SessionOpened:
        """What the runtime says to a session; tokens are of their sessions."""
        if self.refusals:
            raise self.refusals.pop()
        return SessionOpened(
            session_id=request.plan.session_id,
            conversation_id=request.plan.conversation_id,
            session_token=f"token of {request.plan.session_id}",
            expires_at=self.now + timedelta(minutes=5),
            ice_servers=(),
            node_id=NodeId("node_1"),
        )

    async def add_number(self, agent_id: str | None, number: str, **changes: Any) -> PhoneLine:
        values: dict[str, Any] = {
            "id": PhoneNumberId(new_id("num")),
            "tenant_id": TenantId("ten_a"),
            "environment": Environment.LIVE,
            "phone_number": number,
            "provider": self.provider,
            "account": "platform",
            "provider_id": "PN1",
            "country": "DE",
            "capabilities": (NumberFeature.VOICE,),
            "agent_id": None if agent_id is None else AgentId(agent_id),
            "source": LineSource.PURCHASE,
            "status": LineStatus.ACTIVE,
            "created_at": T0,
            "updated_at": T0,
        }
        line = PhoneLine(**(values | changes))
        async with self.api.database.transaction_as_system() as tx:
            await numbers.insert(tx, line)
        return line

    async def post(self, path: str = "", **body: Any) -> Any:
        body = {"agentId": self.agent["id"], **body}
        return await self.api.client.post(f"{CALLS}{path}", json=body, headers=self.headers)

    async def place(self, **body: Any) -> str:
        """A call that is due now; its id."""
        answer = await self.post(**{"toNumber": THEIRS, **body})
        assert answer.status_code == 201, answer.text
        await self.make_due(answer.json()["id"])
        return answer.json()["id"]

    async def attempts(self) -> list[tuple[str, str | None]]:
        """What is kept of attempts: their ids, and the tokens of streams."""
        async with self.api.database.transaction_as_system() as tx:
            found = await tx.all(
                dict,
                "SELECT jsonb_build_object('id', id, 'token', stream_token) FROM dial_attempts ORDER BY planned_at",
            )
        return [(one["id"], one["token"]) for one in found]

    async def make_due(self, call_id: str) -> None:
        """The API has the wall's clock; the worker under test has ours."""
        async with self.api.database.transaction_as_system() as tx:
            await tx.exec("UPDATE outbound_calls SET due_at = %(at)s WHERE id = %(id)s", at=self.now, id=call_id)

    async def get(self, call_id: str) -> dict[str, Any]:
        answer = await self.api.client.get(f"{CALLS}/{call_id}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def cancel(self, call_id: str) -> Any:
        return await self.api.client.post(f"{CALLS}/{call_id}/cancel", headers=self.headers)

    async def target_warnings(self) -> list[tuple[str, str]]:
        """What the agent says of its targets."""
        found = await self.api.client.get(f"/api/v1/agents/{self.agent['id']}", headers=self.headers)
        told = [(one["pointer"], one["code"]) for one in found.json()["warnings"]]
        return [one for one in told if one[0].startswith("/transfer")]

    async def settings(self, **body: Any) -> Any:
        return await self.api.client.put(f"{CALLS}/settings", json=body, headers=self.headers)

    async def work(self, worker: Dialler | None = None) -> None:
        """One round of a worker."""
        worker = worker or self.dialler
        await worker.place_due()
        await worker.settle()
        await worker.look_after_due()
        await worker.settle()

    async def pass_time(self, *, seconds: float, step: float = 10) -> None:
        """Rounds of the worker while time passes."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:
            self.now = min(until, self.now + timedelta(seconds=step))
            await self.work()

    # What the others tell

    @property
    def plan(self) -> Any:
        return self.api.opened[-1].plan

    async def tells(self, phase: CallPhase, *, call_id: str | None = None, order: Dial | None = None) -> None:
        order = order or self.carrier.dialled[-1]
        await self.api.tell(
            CallProgressed(
                tenant_id=TenantId("ten_a"),
                environment=Environment.LIVE,
                session_id=self.plan.session_id,
                provider=self.provider,
                account="platform",
                call_id=call_id or f"CA-{order.attempt_id}",
                phase=phase,
                at=self.now,
                attempt_id=order.attempt_id,
            )
        )

    async def talks(self) -> None:
        plan = self.plan
        await self.api.tell(
            SessionStarted(
                tenant_id=plan.tenant_id,
                session_id=plan.session_id,
                conversation_id=plan.conversation_id,
                node_id=NodeId("node_1"),
                plan=plan,
                started_at=self.now,
            )
        )

    async def says_goodbye(self, reason: EndReason = EndReason.AGENT_ENDED, *, seconds: float = 60) -> None:
        plan, started = self.plan, self.now
        self.now += timedelta(seconds=seconds)
        await self.api.tell(
            SessionEnded(
                tenant_id=plan.tenant_id,
                environment=plan.environment,
                session_id=plan.session_id,
                conversation_id=plan.conversation_id,
                plan=plan,
                started_at=started,
                ended_at=self.now,
                duration_seconds=seconds,
                reason=reason,
                turns=0,
                usage=Usage(),
                quality=CallQuality(),
                recording=None,
            )
        )

    async def is_suspended(self) -> None:
        async with self.api.database.transaction_as_system() as tx:
            await tx.exec(
                "INSERT INTO tenants VALUES ('ten_a', 'A', 'a', 'suspended', 'professional', '{}', %(at)s)", at=self.now
            )

    async def is_answered(self) -> None:
        await self.tells(RINGING)
        self.now += timedelta(seconds=5)
        await self.tells(ANSWERED)
        await self.talks()


@pytest.fixture
async def desk(api: Any) -> AsyncIterator[Desk]:
    made = Desk(api)
    await made.begin()
    yield made
    await made.dialler.aclose()


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def pointers(answer: Any) -> set[str]:
    assert answer.status_code == 422, answer.text
    return {error["pointer"] for error in answer.json()["errors"]}


# --- one call, from end to end


async def test_a_call_is_placed_talks_and_ends_in_the_documented_shape(desk):
    metadata = {"campaignId": "cmp_7", "customer": {"name": "Ada"}}
    answer = await desk.post(toNumber=THEIRS, metadata=metadata)
    assert answer.status_code == 201, answer.text
    call = answer.json()
    assert set(call) >= {
        *(
            "id",
            "agentId",
            "fromNumber",
            "toNumber",
            "status",
            "direction",
            "scheduledFor",
            "initiatedAt",
            "connectedAt",
        ),
        *("endedAt", "durationSeconds", "conversationId", "metadata", "endReason", "retryCount", "createdAt"),
    }
    assert call["id"].startswith("obc_")
    assert answer.headers["location"] == f"{CALLS}/{call['id']}"
    assert (call["status"], call["direction"], call["fromNumber"], call["retryCount"]) == (
        "queued",
        "outbound",
        OURS,
        0,
    )
    await desk.make_due(call["id"])

    await desk.work()
    (order,) = desk.carrier.dialled
    plan = desk.plan
    assert (order.callee, order.caller, order.ring_seconds) == (THEIRS, OURS, 30)
    assert order.target.token == f"token of {plan.session_id}"
    assert order.target.url == "wss://voice.example.com/carriers/twilio/media"
    assert f"session={plan.session_id}&attempt={order.attempt_id}" in order.events_url
    assert f"session={plan.session_id}" in (order.target.resume_url or "")
    assert (plan.channel, plan.direction, plan.metadata) == (Channel.PHONE, Direction.OUTBOUND, metadata)
    assert (plan.caller.phone_number, plan.caller.country) == (THEIRS, "DE")
    assert (plan.leg.attempt_id, plan.leg.provider, plan.leg.account, plan.leg.number) == (
        order.attempt_id,
        "twilio",
        "platform",
        OURS,
    )
    initiated = await desk.get(call["id"])
    assert (initiated["status"], initiated["initiatedAt"], initiated["conversationId"]) == (
        "initiating",
        "2026-03-02T12:00:00Z",
        None,
    )

    await desk.tells(RINGING)
    assert (await desk.get(call["id"]))["status"] == "ringing"
    await desk.is_answered()
    talking = await desk.get(call["id"])
    assert (talking["status"], talking["conversationId"]) == ("in_progress", plan.conversation_id)
    assert (talking["connectedAt"], talking["durationSeconds"]) == ("2026-03-02T12:00:05Z", None)

    await desk.says_goodbye(seconds=62)
    await desk.tells(COMPLETED)
    ended = await desk.get(call["id"])
    assert (ended["status"], ended["endReason"], ended["endedAt"]) == (
        "completed",
        "agent_ended",
        "2026-03-02T12:01:07Z",
    )
    assert (ended["durationSeconds"], ended["nextAttemptAt"], ended["metadata"]) == (62, None, metadata)
    await desk.pass_time(seconds=600, step=60)
    assert (len(desk.carrier.dialled), desk.carrier.hung_up, desk.ended) == (1, [], [])
    assert await desk.get(call["id"]) == ended


async def test_events_may_come_twice_and_in_any_order(desk):
    call_id = await desk.place()
    await desk.work()
    await desk.says_goodbye()
    for _ in range(2):
        for phase in (COMPLETED, ANSWERED, RINGING, CallPhase.INITIATED):
            await desk.tells(phase)
        await desk.talks()
    for _ in range(100):
        await desk.tells(COMPLETED)
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], call["durationSeconds"]) == ("completed", "agent_ended", 60)
    await desk.pass_time(seconds=120, step=30)
    assert await desk.get(call_id) == call
    assert (desk.carrier.hung_up, len(desk.carrier.dialled)) == ([], 1)


@pytest.mark.parametrize(
    ("phase", "status", "reason"),
    [
        (CallPhase.BUSY, "busy", "busy"),
        (CallPhase.FAILED, "failed", "carrier_failed"),
        (CallPhase.NO_ANSWER, "no_answer", "no_answer"),
    ],
)
async def test_who_is_not_reached_leaves_no_session_waiting(desk, phase, status, reason):
    call_id = await desk.place()
    await desk.work()
    await desk.tells(RINGING)
    await desk.tells(phase)
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], call["connectedAt"], call["durationSeconds"]) == (
        status,
        reason,
        None,
        None,
    )
    await desk.work()
    assert [(end.session_id, end.reason) for end in desk.ended] == [(desk.plan.session_id, EndReason.TIMEOUT)]
    await desk.pass_time(seconds=60)
    assert (len(desk.ended), desk.carrier.hung_up, len(desk.carrier.dialled)) == (1, [], 1)


async def test_who_does_not_answer_is_called_again_as_often_as_was_asked(desk):
    call_id = await desk.place(maxRetries=2, retryDelayMinutes=5)
    for number in (1, 2):
        await desk.work()
        await desk.tells(CallPhase.NO_ANSWER)
        waiting = await desk.get(call_id)
        assert (waiting["status"], waiting["retryCount"], waiting["endedAt"]) == ("scheduled", number, None)
        desk.now += timedelta(minutes=5) - timedelta(seconds=1)
        await desk.work()
        assert len(desk.carrier.dialled) == number
        desk.now += timedelta(seconds=1)
    await desk.work()
    await desk.tells(CallPhase.NO_ANSWER)
    call = await desk.get(call_id)
    assert (call["status"], call["retryCount"], call["endReason"]) == ("no_answer", 2, "no_answer")
    await desk.pass_time(seconds=1200, step=300)
    assert list(desk.carrier.rung.values()) == [1, 1, 1]
    assert len({order.events_url for order in desk.carrier.dialled}) == 3


async def test_an_event_of_an_earlier_attempt_changes_nothing_of_the_next(desk):
    call_id = await desk.place(maxRetries=1, retryDelayMinutes=1)
    await desk.work()
    (first,) = desk.carrier.dialled
    await desk.tells(CallPhase.NO_ANSWER)
    desk.now += timedelta(minutes=1)
    await desk.work()
    for phase in (CallPhase.BUSY, ANSWERED, CallPhase.NO_ANSWER):
        await desk.tells(phase, order=first)
    assert (await desk.get(call_id))["status"] == "initiating"
    await desk.work()
    assert (desk.carrier.hung_up, len(desk.carrier.dialled)) == ([], 2)


@pytest.mark.parametrize(
    ("action", "status"), [("leave_message", "voicemail"), ("hang_up", "no_answer"), ("continue", "no_answer")]
)
async def test_a_machine_is_voicemail_when_a_message_was_left(api, action, status):
    desk = Desk(api)
    await desk.begin(voicemailDetection={"enabled": True, "action": action, "message": "Please call back."})
    assert (await desk.settings(machineDetection="greeting")).status_code == 200
    call_id = await desk.place()
    await desk.work()
    assert desk.carrier.dialled[0].detection is MachineDetection.GREETING
    await desk.is_answered()
    for answered_by in (AnsweredBy.MACHINE, AnsweredBy.MACHINE_BEEP):
        await desk.api.tell(
            AnswererDetected(
                tenant_id=TenantId("ten_a"),
                environment=Environment.LIVE,
                session_id=desk.plan.session_id,
                attempt_id=desk.carrier.dialled[0].attempt_id,
                answered_by=answered_by,
                at=desk.now,
            )
        )
    await desk.says_goodbye(EndReason.VOICEMAIL, seconds=8)
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], call["answeredBy"]) == (status, "voicemail", "machine_beep")


async def test_an_agent_that_wants_to_know_of_no_machines_is_told_of_none(api):
    desk = Desk(api)
    await desk.begin(voicemailDetection={"enabled": False})
    await desk.settings(machineDetection="answer", defaultRingSeconds=45)
    await desk.place()
    await desk.work()
    assert (desk.carrier.dialled[0].detection, desk.carrier.dialled[0].ring_seconds) == (MachineDetection.OFF, 45)


# --- cancelling


async def test_a_call_that_waits_is_cancelled_and_never_placed(desk):
    call_id = await desk.place(scheduledFor=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    answer = await desk.cancel(call_id)
    assert (answer.status_code, answer.json()["status"], answer.json()["endReason"]) == (200, "cancelled", "cancelled")
    await desk.work()
    assert desk.carrier.dialled == []
    assert (await desk.cancel(call_id)).json() == await desk.get(call_id)


async def test_a_call_that_rings_is_hung_up(desk):
    call_id = await desk.place(maxRetries=3)
    await desk.work()
    await desk.tells(RINGING)
    assert (await desk.cancel(call_id)).json()["status"] == "cancelled"
    desk.now = datetime.now(UTC)  # the API said so by the wall's clock
    await desk.work()
    assert desk.carrier.hung_up == [f"CA-{desk.carrier.dialled[0].attempt_id}"]
    assert [end.session_id for end in desk.ended] == [desk.plan.session_id]
    for phase in (CallPhase.CANCELED, CallPhase.NO_ANSWER, ANSWERED):
        await desk.tells(phase)
    await desk.pass_time(seconds=60)
    assert (await desk.get(call_id))["status"] == "cancelled"
    assert (len(desk.carrier.hung_up), len(desk.carrier.dialled)) == (1, 1)


async def test_a_call_that_is_cancelled_while_the_carrier_is_asked_is_hung_up_then(desk):
    call_id = await desk.place()
    dial = desk.carrier.dial

    async def slowly(order: Dial) -> str:
        assert (await desk.cancel(call_id)).status_code == 200
        return await dial(order)

    desk.carrier.dial = slowly
    await desk.dialler.place_due()
    await desk.dialler.settle()
    desk.now = datetime.now(UTC)
    await desk.work()
    assert (len(desk.carrier.hung_up), (await desk.get(call_id))["status"]) == (1, "cancelled")
    assert await desk.attempts() == [(desk.carrier.dialled[0].attempt_id, None)]


async def test_hanging_up_is_tried_until_it_works(desk):
    call_id = await desk.place()
    await desk.work()
    await desk.tells(RINGING)
    await desk.cancel(call_id)
    desk.now, desk.carrier.away = datetime.now(UTC), True
    await desk.work()
    assert desk.carrier.hung_up == []
    desk.carrier.away = False
    await desk.pass_time(seconds=10, step=1)
    assert len(desk.carrier.hung_up) == 1


async def test_a_call_that_was_answered_or_is_over_can_not_be_cancelled(desk):
    call_id = await desk.place()
    await desk.work()
    await desk.is_answered()
    assert slug(await desk.cancel(call_id)) == (409, "call-in-progress")
    await desk.says_goodbye()
    assert slug(await desk.cancel(call_id)) == (409, "call-ended")
    assert slug(await desk.cancel("obc_none")) == (404, "not-found")


# --- exactly one dial


STEPS = ("intend", "prepare", "open", "asked", "dial", "dialled")


async def killed_at(desk: Desk, step: str, *, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of a worker that dies right before or right after a step."""
    worker = desk.worker()
    places: dict[str, tuple[Any, str]] = {
        "intend": (worker, "_take"),
        "prepare": (worker, "_prepare"),
        "open": (desk.api.bus, "request"),
        "asked": (worker, "_say_asked"),
        "dial": (desk.carrier, "dial"),
        "dialled": (worker, "_dialled"),
    }
    owner, name = places[step]
    done = getattr(owner, name)

    async def dies(*args: Any, **named: Any) -> Any:
        if not before:
            await done(*args, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies, raising=True)
        try:
            await worker.place_due()
            await worker.settle()
        except Killed:
            pass


@pytest.mark.parametrize("provider", ["twilio", "vonage", "telnyx"])
async def test_a_worker_that_dies_at_any_step_leaves_one_dial_and_a_call_that_ends(api, monkeypatch, provider):
    """Of every step right before and right after; then other workers go on, and the carrier rings whom it was told to."""
    desk = Desk(api)
    await desk.begin(provider)
    reached = {("dial", False), ("dialled", True), ("dialled", False)}
    unknown = {("asked", False), ("dial", True)}
    for at in itertools.product(STEPS, (True, False)):
        desk.carrier.dialled, desk.carrier.hung_up = [], []
        desk.ended, desk.api.opened = [], []
        call_id = await desk.place()
        await killed_at(desk, at[0], before=at[1], monkeypatch=monkeypatch)
        assert len(desk.carrier.dialled) == (at in reached), at
        if at in reached:
            await desk.tells(RINGING)
        await desk.pass_time(seconds=240)
        call, rung = await desk.get(call_id), desk.carrier.rung
        assert len(rung) <= 1, at
        assert set(rung.values()) <= {1}, at
        if at in reached:  # a telephone rings, and no second one does
            assert (call["status"], len(rung)) == ("no_answer", 1), at
            assert desk.carrier.hung_up == [f"CA-{desk.carrier.dialled[0].attempt_id}"], at
        elif at in unknown and provider != "telnyx":  # perhaps it was asked: it is not asked again
            assert (call["status"], call["endReason"], rung) == ("failed", "dial_uncertain", {}), at
        else:  # it was not asked, or does a command once: another worker asks
            assert (call["status"], call["endReason"], len(rung)) == ("failed", "carrier_silent", 1), at
        waiting = {opened.plan.session_id for opened in desk.api.opened}
        assert {end.session_id for end in desk.ended} >= waiting, at


async def test_an_uncertain_dial_is_known_by_its_events(desk):
    desk.carrier.answers = [DialUncertain("no answer", provider="twilio")]
    call_id = await desk.place()
    await desk.work()
    assert (await desk.get(call_id))["status"] == "initiating"
    await desk.tells(CallPhase.INITIATED)
    await desk.is_answered()
    await desk.pass_time(seconds=300, step=30)
    assert (await desk.get(call_id))["status"] == "in_progress"
    await desk.says_goodbye()
    await desk.tells(COMPLETED)
    assert ((await desk.get(call_id))["status"], len(desk.carrier.dialled)) == ("completed", 1)


async def test_an_uncertain_dial_without_events_fails_and_one_that_comes_late_is_hung_up(desk):
    desk.carrier.answers = [DialUncertain("no answer", provider="twilio")]
    call_id = await desk.place(maxRetries=3)
    await desk.work()
    await desk.pass_time(seconds=120)
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], len(desk.carrier.dialled)) == ("failed", "dial_uncertain", 1)
    assert (len(desk.ended), desk.carrier.hung_up) == (1, [])
    await desk.tells(RINGING, call_id="CA-late")
    await desk.work()
    assert desk.carrier.hung_up == ["CA-late"]
    assert await desk.get(call_id) == call


async def test_a_carrier_that_does_a_command_once_is_asked_again_soon_and_not_later(api):
    desk = Desk(api)
    await desk.begin("telnyx")
    desk.carrier.answers = [DialUncertain("no answer", provider="telnyx")] * 2
    call_id = await desk.place()
    await desk.work()
    await desk.pass_time(seconds=24)
    assert len(desk.carrier.dialled) == 1
    await desk.pass_time(seconds=2)
    first, second = desk.carrier.dialled
    assert first == second
    await desk.pass_time(seconds=100)
    assert (len(desk.carrier.dialled), (await desk.get(call_id))["endReason"]) == (2, "dial_uncertain")


async def test_a_worker_that_slept_before_its_dial_does_not_dial(desk, monkeypatch):
    call_id = await desk.place()
    worker = desk.worker()
    asked = worker._say_asked

    async def sleeps(*args: Any) -> Any:
        found = await asked(*args)
        desk.now += timedelta(seconds=11)
        return found

    monkeypatch.setattr(worker, "_say_asked", sleeps)
    await worker.place_due()
    await worker.settle()
    assert desk.carrier.dialled == []
    await desk.pass_time(seconds=20)
    assert (len(desk.carrier.dialled), (await desk.get(call_id))["status"]) == (1, "initiating")


async def test_a_worker_that_slept_before_it_said_so_leaves_the_call_to_whoever_took_it(desk, monkeypatch):
    call_id = await desk.place()
    sleeper, asleep, woken = desk.worker(), asyncio.Event(), asyncio.Event()
    prepare = sleeper._prepare

    async def sleeps(*args: Any) -> Any:
        found = await prepare(*args)
        asleep.set()
        await woken.wait()
        return found

    monkeypatch.setattr(sleeper, "_prepare", sleeps)
    await sleeper.place_due()
    await asleep.wait()
    desk.now += timedelta(seconds=31)
    await desk.work()
    await desk.work()
    assert len(desk.carrier.dialled) == 1, await desk.get(call_id)
    order = desk.carrier.dialled[0]
    ended = len(desk.ended)
    woken.set()
    await sleeper.settle()
    assert desk.carrier.dialled == [order]
    assert desk.ended[ended].session_id == desk.plan.session_id  # which it has opened for nobody
    assert (await desk.get(call_id))["status"] == "initiating"


async def test_workers_at_the_same_moment_place_a_call_once_and_fill_no_slot_twice(desk, monkeypatch):
    await desk.settings(maxConcurrent=2)
    for number in range(10, 16):
        await desk.place(toNumber=f"+49151123456{number}")
    first, second = desk.worker(), desk.worker()
    count, counted, others_are_done = store.count_placed, asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any) -> int:
        found = await count(*args)
        if not counted.is_set():
            counted.set()
            await others_are_done.wait()
        return found

    monkeypatch.setattr(store, "count_placed", slowly)
    placing = asyncio.create_task(first.place_due())
    await counted.wait()
    await second.place_due()
    others_are_done.set()
    await placing
    await first.settle()
    await second.settle()
    assert list(desk.carrier.rung.values()) == [1, 1]


async def test_events_that_come_late_after_an_outage_count(desk):
    call_id = await desk.place()
    await desk.work()
    answered_at = desk.now + timedelta(seconds=5)
    desk.now += timedelta(minutes=5)
    await desk.work()
    later, desk.now = desk.now, answered_at
    await desk.tells(ANSWERED)
    await desk.talks()
    desk.now = later
    await desk.pass_time(seconds=20)
    call = await desk.get(call_id)
    assert (call["status"], call["connectedAt"]) == ("in_progress", "2026-03-02T12:00:05Z")
    assert desk.carrier.hung_up == []


# --- what keeps a call from being placed


async def test_a_slot_is_free_for_each_call_of_a_tenant_and_no_more(desk):
    await desk.settings(maxConcurrent=2)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    ids = [await desk.place(toNumber=f"+49151123456{number}", scheduledFor=soon) for number in range(10, 14)]
    await desk.work()
    assert len(desk.carrier.dialled) == 2
    assert sorted([(await desk.get(id))["status"] for id in ids]) == ["initiating", "initiating", "queued", "queued"]
    await desk.tells(CallPhase.BUSY)
    await desk.work()
    assert len(desk.carrier.dialled) == 3


@pytest.mark.parametrize(
    ("to_number", "moment"),
    [
        (THEIRS, "2026-03-03T08:00:00Z"),
        ("+14155550100", "2026-03-03T17:00:00Z"),
        ("+80012345678", "2026-03-03T00:00:00Z"),
    ],
    ids=["Berlin", "San Francisco", "nowhere"],
)
async def test_people_are_called_by_their_own_clocks(desk, to_number, moment):
    hours = {"timezone": "Asia/Tokyo", "days": [{"day": "tuesday", "from": "09:00", "to": "12:00"}]}
    assert (await desk.settings(callingHours=hours)).status_code == 200
    call_id = await desk.place(toNumber=to_number)
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["nextAttemptAt"], desk.carrier.dialled) == ("scheduled", moment, [])
    desk.now = datetime.fromisoformat(moment) - timedelta(seconds=1)
    await desk.work()
    assert desk.carrier.dialled == []
    desk.now += timedelta(seconds=1)
    await desk.work()
    assert len(desk.carrier.dialled) == 1


SAN_FRANCISCO, TORONTO, TOLL_FREE = "+14155550100", "+14165550100", "+18005550100"


@pytest.mark.parametrize(
    ("to_number", "asked_at", "called_at"),
    [
        (SAN_FRANCISCO, "2026-03-02T15:59:59Z", "2026-03-02T16:00:00Z"),
        (SAN_FRANCISCO, "2026-03-03T04:59:59Z", "2026-03-03T04:59:59Z"),
        (SAN_FRANCISCO, "2026-03-03T05:00:00Z", "2026-03-03T16:00:00Z"),
        (TOLL_FREE, "2026-03-02T12:00:00Z", "2026-03-02T22:00:00Z"),
        (TORONTO, "2026-03-07T23:00:00Z", "2026-03-08T14:00:00Z"),
        (THEIRS, "2026-03-02T02:00:00Z", "2026-03-02T02:00:00Z"),
    ],
    ids=["before eight", "before nine", "at nine", "many zones", "Canadian weekend", "no such law"],
)
async def test_people_are_called_when_their_law_lets_them_be(desk, to_number, asked_at, called_at):
    desk.now = datetime.fromisoformat(asked_at)
    await desk.settings(allowedCountries=["CA"])
    call_id = await desk.place(toNumber=to_number)
    await desk.work()
    call, waits = await desk.get(call_id), asked_at != called_at
    if waits:
        assert (call["status"], call["nextAttemptAt"], call["waitsFor"]) == ("scheduled", called_at, "calling_hours")
    assert len(desk.carrier.dialled) == (not waits)
    desk.now = datetime.fromisoformat(called_at)
    await desk.work()
    assert len(desk.carrier.dialled) == 1


async def test_whoever_says_so_calls_at_other_hours_than_the_law_has(desk):
    desk.now = datetime.fromisoformat("2026-03-02T12:00:00Z")
    call_id = await desk.place(toNumber=SAN_FRANCISCO)
    await desk.work()
    assert (await desk.get(call_id))["waitsFor"] == "calling_hours"
    always = {"timezone": "UTC", "days": [{"day": "monday", "from": "00:00", "to": "24:00"}]}
    await desk.settings(callingHours=always)
    await desk.work()
    assert (await desk.get(call_id))["nextAttemptAt"] == "2026-03-02T16:00:00Z", "both hours hold"
    await desk.settings(statutoryHours=False)
    await desk.work()
    assert (len(desk.carrier.dialled), (await desk.get(call_id))["waitsFor"]) == (1, None)


async def test_who_is_called_again_is_called_within_the_hours(desk):
    desk.now = datetime.fromisoformat("2026-03-03T04:50:00Z")
    call_id = await desk.place(toNumber=SAN_FRANCISCO, maxRetries=1, retryDelayMinutes=15)
    await desk.work()
    await desk.tells(CallPhase.NO_ANSWER)
    call = await desk.get(call_id)
    told = (call["status"], call["retryCount"], call["nextAttemptAt"], call["waitsFor"])
    assert told == ("scheduled", 1, "2026-03-03T16:00:00Z", "calling_hours")


async def test_a_call_outside_of_the_hours_says_so_at_once(desk):
    """By the wall's clock: hours that are never today's."""
    day = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    after = day[(datetime.now(UTC).weekday() + 3) % 7]
    await desk.settings(callingHours={"timezone": "UTC", "days": [{"day": after, "from": "10:00", "to": "11:00"}]})
    call = (await desk.post(toNumber=THEIRS)).json()
    assert (call["status"], call["waitsFor"]) == ("scheduled", "calling_hours")
    assert call["nextAttemptAt"] > call["createdAt"]
    await desk.work()
    assert desk.carrier.dialled == []
    await desk.settings()
    await desk.make_due(call["id"])
    await desk.work()
    assert len(desk.carrier.dialled) == 1


async def test_the_sandbox_calls_at_any_hour(desk):
    settings = CallSettings()
    moment = datetime.fromisoformat("2026-03-02T12:00:00Z")
    assert first_allowed(settings, Environment.SANDBOX, SAN_FRANCISCO, moment) == moment
    assert first_allowed(settings, Environment.LIVE, SAN_FRANCISCO, moment) != moment


async def test_what_changed_between_the_plan_and_the_dial_counts(desk, monkeypatch):
    async def list_number() -> None:
        answer = await desk.api.client.post("/api/v1/do-not-call", json={"phoneNumber": THEIRS}, headers=desk.headers)
        assert answer.status_code == 201

    for happens, end in (
        (list_number, ("cancelled", "do_not_call")),
        (desk.is_suspended, ("failed", "tenant_suspended")),
    ):
        call_id = await desk.place(toNumber=THEIRS if happens is list_number else "+4915112345679")
        worker = desk.worker()
        asked = worker._say_asked

        async def late(*args: Any, asked: Any = asked, happens: Any = happens) -> Any:
            await happens()
            return await asked(*args)

        monkeypatch.setattr(worker, "_say_asked", late)
        await desk.work(worker)
        await desk.work()
        call = await desk.get(call_id)
        assert (call["status"], call["endReason"], desk.carrier.dialled) == (*end, [])
        assert {one.session_id for one in desk.ended} == {opened.plan.session_id for opened in desk.api.opened}


@pytest.mark.parametrize(
    ("provider", "status"), [("twilio", "initiating"), ("vonage", "initiating"), ("telnyx", "ringing")]
)
async def test_a_call_rings_when_its_carrier_says_so_or_will_never_say_more(api, provider, status):
    desk = Desk(api)
    await desk.begin(provider)
    call_id = await desk.place()
    await desk.work()
    await desk.tells(CallPhase.INITIATED)
    assert (await desk.get(call_id))["status"] == status
    await desk.tells(CallPhase.RINGING)
    assert (await desk.get(call_id))["status"] == "ringing"


async def test_a_carrier_is_not_asked_again_for_a_suspended_tenant(api):
    desk = Desk(api)
    await desk.begin("telnyx")
    desk.carrier.answers = [DialUncertain("no answer", provider="telnyx")]
    call_id = await desk.place()
    await desk.work()
    await desk.is_suspended()
    await desk.pass_time(seconds=130)
    assert (len(desk.carrier.dialled), (await desk.get(call_id))["endReason"]) == (1, "dial_uncertain")


async def test_two_workers_share_attempts_that_are_due_and_look_after_each_once(desk, monkeypatch):
    """200 calls that nobody answers: at each moment no more slots than there are, at the end each looked after by one of them."""
    await desk.settings(maxConcurrent=64)
    rows = [{"toNumber": f"+49151123{number:05d}"} for number in range(200)]
    assert (await desk.post("/batch", calls=rows)).status_code == 200
    async with desk.api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE outbound_calls SET due_at = %(at)s", at=desk.now)
    workers = (desk.worker(), desk.worker())
    looked: dict[int, list[str]] = {0: [], 1: []}
    for index, worker in enumerate(workers):
        look = worker._look_after

        async def noted(due: Any, look: Any = look, index: int = index) -> None:
            looked[index].append(due.id)
            await look(due)

        monkeypatch.setattr(worker, "_look_after", noted)

    async def placed() -> int:
        async with desk.api.database.transaction_as_system() as tx:
            return await tx.one(int, "SELECT count(*) FROM outbound_calls WHERE status IN ('initiating', 'ringing')")

    dialled = 0
    while dialled < 200:
        while await placed() < min(64, 200 - dialled):
            await asyncio.gather(*(worker.place_due() for worker in workers))
            assert await placed() <= 64
            await asyncio.gather(*(worker.settle() for worker in workers))
        dialled = len(desk.carrier.dialled)
        if dialled < 200:
            async with desk.api.database.transaction_as_system() as tx:
                await tx.exec(
                    "UPDATE outbound_calls SET status = 'no_answer' WHERE status IN ('initiating', 'ringing')"
                )
    assert set(desk.carrier.rung.values()) == {1}
    assert len({order.callee for order in desk.carrier.dialled}) == 200
    desk.now += timedelta(seconds=200)
    await asyncio.gather(*(worker.look_after_due() for worker in workers))
    assert len(looked[0]) == len(looked[1]) == 100
    assert len({*looked[0], *looked[1]}) == 200


async def test_attempts_of_a_worker_that_died_are_looked_after_by_another(desk, monkeypatch):
    await desk.place()
    await desk.work()
    desk.now += timedelta(seconds=100)
    dead, other = desk.worker(), desk.worker()

    async def dies(due: Any) -> None:
        raise Killed

    monkeypatch.setattr(dead, "_look_after", dies)
    with pytest.raises(Killed):
        await dead.look_after_due()
    assert (await other.look_after_due()).attempts == 0
    desk.now += timedelta(seconds=15)
    assert (await other.look_after_due()).attempts == 1


async def test_who_says_in_a_call_that_he_wants_none_is_not_called_again(desk):
    call_id = await desk.place(maxRetries=3)
    await desk.work()
    await desk.is_answered()
    declined = CallsDeclined(
        tenant_id=TenantId("ten_a"),
        environment=Environment.LIVE,
        session_id=desk.plan.session_id,
        conversation_id=desk.plan.conversation_id,
        phone_number=THEIRS,
    )
    for _ in range(2):
        await desk.api.tell(declined)
    listed = await desk.api.client.get(f"/api/v1/do-not-call/{THEIRS}", headers=desk.headers)
    assert (listed.json()["source"], listed.json()["reason"]) == ("call", "Asked for it in a call.")
    await desk.says_goodbye()
    assert (await desk.get(call_id))["status"] == "completed"
    assert slug(await desk.post(toNumber=THEIRS)) == (409, "number-on-do-not-call-list")
    await desk.api.tell(msgspec.structs.replace(declined, phone_number="anonymous"))
    assert desk.api.bus.dead == []


async def test_a_number_that_came_onto_the_list_meanwhile_is_not_called(desk):
    call_id = await desk.place()
    listed = await desk.api.client.post("/api/v1/do-not-call", json={"phoneNumber": THEIRS}, headers=desk.headers)
    assert listed.status_code == 201, listed.text
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], desk.carrier.dialled) == ("cancelled", "do_not_call", [])


async def test_a_call_whose_agent_was_switched_off_fails_and_says_so(desk):
    call_id = await desk.place()
    off = await desk.api.client.post(f"/api/v1/agents/{desk.agent['id']}/deactivate", headers=desk.headers)
    assert off.status_code == 200
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], desk.carrier.dialled) == ("failed", "agent_inactive", [])


async def test_a_call_without_an_account_at_its_carrier_fails_and_says_so(desk):
    desk.carrier.unconfigured = True
    call_id = await desk.place(maxRetries=3)
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"]) == ("failed", "provider_not_configured")


async def test_a_call_that_finds_no_room_waits_for_it(api):
    desk = Desk(api)
    desk.refusals = [LimitReached("full", code="node-full"), LimitReached("full", code="session-limit-reached")]
    await desk.begin()
    call_id = await desk.place()
    for seconds in (5, 10):
        await desk.work()
        call = await desk.get(call_id)
        assert (call["status"], call["nextAttemptAt"]) == ("queued", f"2026-03-02T12:00:{seconds:02d}Z")
        assert desk.carrier.dialled == []
        desk.now += timedelta(seconds=5)
    await desk.work()
    assert ((await desk.get(call_id))["status"], len(desk.carrier.dialled)) == ("initiating", 1)
    assert await desk.attempts() == [
        (desk.carrier.dialled[0].attempt_id, None)
    ]  # nothing is kept of those that asked nobody


async def test_a_call_that_the_plan_has_no_money_for_fails_and_says_so(api):
    desk = Desk(api)
    desk.refusals = [LimitReached("spent", code="spend-limit-reached")]
    await desk.begin()
    call_id = await desk.place(maxRetries=3)
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], desk.carrier.dialled) == ("failed", "spend_limit_reached", [])


async def test_a_carrier_without_time_is_asked_later_with_growing_pauses_and_not_for_ever(desk):
    full = ProviderError("429", provider="twilio", kind="carrier", retryable=True, retry_after=30)
    desk.carrier.answers = [full] * (MOST_PUT_OFFS + 1)
    call_id = await desk.place()
    await desk.work()
    assert (await desk.get(call_id))["nextAttemptAt"] == "2026-03-02T12:00:30Z"
    await desk.pass_time(seconds=29)
    assert len(desk.carrier.dialled) == 1
    await desk.pass_time(seconds=3600, step=30)
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], len(desk.carrier.dialled)) == (
        "failed",
        "carrier_refused",
        MOST_PUT_OFFS + 1,
    )
    assert set(desk.carrier.rung.values()) == {1}


async def test_a_number_that_can_not_be_dialled_is_not_tried_again(desk):
    desk.carrier.answers = [ProviderError("no such number", provider="twilio", kind="carrier", retryable=False)]
    call_id = await desk.place(maxRetries=3)
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"]) == ("failed", "carrier_refused")
    await desk.pass_time(seconds=60)
    assert (len(desk.carrier.dialled), len(desk.ended)) == (1, 1)


async def test_no_call_is_stuck_whatever_does_not_come(desk):
    call_id = await desk.place()
    await desk.work()
    await desk.is_answered()
    await desk.tells(COMPLETED)
    await desk.pass_time(seconds=130)
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"]) == ("completed", "disconnected")
    silent = await desk.place()
    await desk.work()
    await desk.pass_time(seconds=110)
    call = await desk.get(silent)
    assert (call["status"], call["endReason"]) == ("failed", "carrier_silent")
    assert len(desk.carrier.hung_up) == 1
    handed_over = await desk.place()
    await desk.work()
    await desk.is_answered()
    await desk.says_goodbye(EndReason.TRANSFER_COMPLETE)
    await desk.pass_time(seconds=600, step=60)
    assert ((await desk.get(handed_over))["status"], len(desk.carrier.hung_up)) == ("completed", 1)


# --- asking


WRONG_CALLS: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"toNumber": "0170 1234567"}, {"/toNumber"}),
    ({"toNumber": "+1415"}, {"/toNumber"}),
    ({"toNumber": OURS}, {"/toNumber"}),
    ({"toNumber": None}, {"/toNumber"}),
    ({"fromNumber": "12"}, {"/fromNumber"}),
    ({"fromNumber": "+14155559999"}, {"/fromNumber"}),
    ({"maxRetries": -1}, {"/maxRetries"}),
    ({"maxRetries": 4}, {"/maxRetries"}),
    ({"retryDelayMinutes": 0}, {"/retryDelayMinutes"}),
    ({"retryDelayMinutes": 10_081}, {"/retryDelayMinutes"}),
    ({"scheduledFor": "tomorrow"}, {"/scheduledFor"}),
    ({"scheduledFor": "2020-01-01T00:00:00Z"}, {"/scheduledFor"}),
    ({"scheduledFor": "2099-01-01T00:00:00Z"}, {"/scheduledFor"}),
    ({"metadata": []}, {"/metadata"}),
    ({"metadata": {"x": "y" * 16_400}, "toNumber": "1"}, {"/metadata", "/toNumber"}),
    ({"priority": 1}, {"/priority"}),
)


async def test_every_wrong_field_is_named(desk):
    for change, wrong in WRONG_CALLS:
        assert pointers(await desk.post(**{"toNumber": THEIRS, **change})) == wrong, change


COSTLY = ("+19005550123", "+448448790000", "+447000000000", "+447640123456", "+882161234567", "+979123456789")


async def test_numbers_that_cost_and_countries_that_nobody_allowed_are_not_called(desk):
    for number in COSTLY:
        answer = await desk.post(toNumber=number)
        assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [
            ("/toNumber", "number-not-allowed")
        ]
    abroad = "+18765550123"  # Jamaica, which dials like the United States
    batch = await desk.post("/batch", calls=[{"toNumber": THEIRS}, {"toNumber": abroad}, {"toNumber": COSTLY[0]}])
    assert pointers(batch) == {"/calls/2/toNumber"}
    batch = await desk.post("/batch", calls=[{"toNumber": THEIRS}, {"toNumber": abroad}])
    assert [(one["pointer"], one["code"]) for one in batch.json()["errors"]] == [
        ("/calls/1/toNumber", "country-not-allowed")
    ]
    assert (await desk.settings(allowedCountries=["*"])).status_code == 200
    assert pointers(await desk.post(toNumber=abroad)) == {"/toNumber"}, "the platform pays"
    assert (await desk.settings(allowedCountries=["JM"])).json()["allowedCountries"] == ["JM"]
    call_id = await desk.place(toNumber=abroad)
    await desk.settings()
    await desk.work()
    call = await desk.get(call_id)
    assert (call["status"], call["endReason"], desk.carrier.dialled) == ("failed", "country_not_allowed", [])
    own = await desk.add_number(desk.agent["id"], "+4930901899", account="pcred_1")
    await desk.settings(allowedCountries=["*"])
    assert (await desk.post(toNumber=abroad, fromNumber=own.phone_number)).status_code == 201
    assert pointers(await desk.settings(allowedCountries=["jm", "US", "XX"])) == {
        "/allowedCountries/0",
        "/allowedCountries/2",
    }


async def test_an_agent_has_no_targets_to_hand_callers_over_to_that_it_could_not_call_either(api):
    desk = Desk(api)
    numbers = {"Home": "+493012345678", "Premium": "+19005550123", "Abroad": "+33142685300"}
    targets = [{"name": name, "phoneNumber": number} for name, number in numbers.items()]
    await desk.begin(transfer={"targets": [*targets, {"name": "Desk", "sipUri": "sip:desk@pbx.example"}]})
    await desk.place()
    await desk.work()
    assert [target.name for target in desk.plan.agent.config.transfer.targets] == ["Home", "Desk"]
    premium, abroad = (
        ("/transfer/targets/1/phoneNumber", "number-not-allowed"),
        ("/transfer/targets/2/phoneNumber", "country-not-allowed"),
    )
    assert await desk.target_warnings() == [premium, abroad]
    await desk.settings(allowedCountries=["FR"])
    assert await desk.target_warnings() == [premium]
    await desk.place(toNumber="+4915112345679")
    await desk.work()
    assert [target.name for target in desk.plan.agent.config.transfer.targets] == ["Home", "Abroad", "Desk"]
    await desk.dialler.aclose()


async def test_agents_of_this_installation_are_not_called(desk):
    theirs = "+4930901777"
    waiting = await desk.place(toNumber=theirs)
    await desk.add_number(None, theirs, tenant_id="ten_b")
    answer = await desk.post(toNumber=theirs)
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [("/toNumber", "number-not-allowed")]
    await desk.work()
    call = await desk.get(waiting)
    assert (call["status"], call["endReason"], desk.carrier.dialled) == ("failed", "number_not_allowed", [])
    async with desk.api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE phone_numbers SET trunk_id = 'trk_1' WHERE phone_number = %(number)s", number=theirs)
    assert (await desk.post(toNumber=theirs)).status_code == 201, "people answer there"


async def test_limits_are_taken_at_their_ends(desk):
    for change in ({"maxRetries": 0, "retryDelayMinutes": 1}, {"maxRetries": 3, "retryDelayMinutes": 10_080}):
        answer = await desk.post(toNumber=THEIRS, **change)
        assert answer.status_code == 201
        assert {name: answer.json()[name] for name in change} == change
    soon = datetime.now(UTC) + timedelta(days=364)
    for moment, status in ((soon, "scheduled"), (datetime.now(UTC) - timedelta(hours=23), "queued")):
        answer = await desk.post(toNumber=THEIRS, scheduledFor=moment.isoformat())
        assert (answer.status_code, answer.json()["status"]) == (201, status)
        assert answer.json()["scheduledFor"] == moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    naive = await desk.post(toNumber=THEIRS, scheduledFor=soon.replace(tzinfo=None).isoformat())
    assert naive.json()["scheduledFor"] == soon.isoformat(timespec="seconds").replace("+00:00", "Z")


async def test_who_may_not_call_is_told_why(desk):
    post, client = desk.post, desk.api.client
    assert slug(await post(agentId="agt_none", toNumber=THEIRS)) == (404, "agent-not-found")
    numberless = await desk.api.add_agent(desk.headers)
    assert slug(await post(agentId=numberless["id"], toNumber=THEIRS)) == (409, "no-phone-number")
    draft = await client.post(f"/api/v1/agents/{desk.agent['id']}/duplicate", json={}, headers=desk.headers)
    assert slug(await post(agentId=draft.json()["id"], toNumber=THEIRS)) == (409, "agent-inactive")
    silent = await desk.api.add_agent(desk.headers, channels={"phone": {"enabled": False}})
    assert slug(await post(agentId=silent["id"], toNumber=THEIRS)) == (409, "channel-disabled")
    await client.post("/api/v1/do-not-call", json={"phoneNumber": THEIRS}, headers=desk.headers)
    assert slug(await post(toNumber=THEIRS)) == (409, "number-on-do-not-call-list")
    second = await desk.add_number(desk.agent["id"], "+14155550177")
    assert (await post(toNumber="+14155550100", fromNumber=second.phone_number)).json()["fromNumber"] == "+14155550177"


async def test_a_request_that_is_sent_again_makes_no_second_call(desk):
    headers = desk.headers | {"Idempotency-Key": "k1"}
    body = {"agentId": desk.agent["id"], "toNumber": THEIRS}
    answers = [await desk.api.client.post(CALLS, json=body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (await desk.api.client.get(CALLS, headers=desk.headers)).json()["total"] == 1


async def test_a_batch_is_taken_whole_and_names_what_must_not_be_called(desk):
    await desk.api.client.post("/api/v1/do-not-call", json={"phoneNumber": "+14155550101"}, headers=desk.headers)
    rows = [
        {"toNumber": "+14155550100", "metadata": {"name": "Ada", "campaignId": "other"}},
        {"toNumber": "+14155550101"},
        {"toNumber": "+14155550102", "scheduledFor": (datetime.now(UTC) + timedelta(days=2)).isoformat()},
    ]
    answer = await desk.post("/batch", calls=rows, metadata={"campaignId": "cmp_1"}, maxRetries=1)
    assert answer.status_code == 200, answer.text
    batch = answer.json()
    assert (batch["created"], batch["refused"]) == (2, 1)
    assert [row["status"] for row in batch["results"]] == ["queued", None, "scheduled"]
    assert [row["error"] and row["error"]["code"] for row in batch["results"]] == [
        None,
        "number-on-do-not-call-list",
        None,
    ]
    first = await desk.get(batch["results"][0]["id"])
    assert (first["metadata"], first["maxRetries"]) == ({"campaignId": "other", "name": "Ada"}, 1)
    listed = await desk.api.client.get(f"{CALLS}?batchId={batch['batchId']}", headers=desk.headers)
    assert listed.json()["total"] == 2
    rows[0]["toNumber"] = rows[2]["toNumber"]
    rows[1]["toNumber"] = "x"
    assert pointers(await desk.post("/batch", calls=rows)) == {"/calls/1/toNumber", "/calls/2/toNumber"}
    assert (await desk.api.client.get(CALLS, headers=desk.headers)).json()["total"] == 2


async def test_a_batch_has_a_thousand_rows_at_most(desk):
    def rows(count: int) -> list[dict[str, str]]:
        return [{"toNumber": f"+1415{number:07d}"} for number in range(1_000_000, 1_000_000 + count)]

    assert pointers(await desk.post("/batch", calls=[])) == {"/calls"}
    assert pointers(await desk.post("/batch", calls=rows(1001))) == {"/calls"}
    answer = await desk.post("/batch", calls=rows(1000))
    assert (answer.status_code, answer.json()["created"]) == (200, 1000)


async def test_lists_are_filtered_and_paged(desk):
    client, headers = desk.api.client, desk.headers
    ids = []
    for number in range(5):
        metadata = {"campaignId": "cmp_1"} if number < 3 else {}
        answer = await desk.post(toNumber=f"+1415555010{number}", metadata=metadata)
        ids.append(answer.json()["id"])
    await desk.cancel(ids[0])

    async def found(query: str) -> list[str]:
        answer = await client.get(f"{CALLS}?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [ids.index(call["id"]) for call in answer.json()["data"]]

    today = datetime.now(UTC).date()
    assert await found("") == [4, 3, 2, 1, 0]
    assert await found("campaignId=cmp_1") == [2, 1, 0]
    assert await found("campaignId=cmp_1&status=queued") == [2, 1]
    assert await found("status=cancelled") == [0]
    assert await found("toNumber=%2B14155550103") == [3]
    assert await found("toNumber=+14155550103") == [3]
    assert await found(f"agentId={desk.agent['id']}") == [4, 3, 2, 1, 0]
    assert await found("agentId=agt_other") == []
    assert await found(f"dateFrom={today}&dateTo={today}") == [4, 3, 2, 1, 0]
    assert await found(f"dateFrom={today + timedelta(days=1)}") == []
    assert await found("page=2&pageSize=2") == [2, 1]
    assert await found("sortBy=createdAt&sortOrder=asc&pageSize=3") == [0, 1, 2]
    assert (await client.get(f"{CALLS}?sortBy=price", headers=headers)).status_code == 422
    assert (await client.get(f"{CALLS}?status=ringed", headers=headers)).status_code == 422
    for order in ("desc", "asc"):
        seen, cursor = [], ""
        while cursor is not None:
            query = f"sortOrder={order}&pageSize=2{cursor and '&cursor=' + cursor}"
            page = (await client.get(f"{CALLS}?{query}", headers=headers)).json()
            seen += [ids.index(call["id"]) for call in page["data"]]
            assert page["total"] == 5
            cursor = page["nextCursor"]
        assert seen == sorted(range(5), reverse=order == "desc")
    assert (await client.get(f"{CALLS}?cursor=x", headers=headers)).status_code == 422


# --- settings


async def test_settings_have_defaults_and_are_replaced_whole(desk):
    client, headers = desk.api.client, desk.headers
    defaults = {"callingHours": None, "maxConcurrent": 10, "defaultRingSeconds": 30, "machineDetection": "off"}
    defaults |= {"allowedCountries": [], "statutoryHours": True}
    assert (await client.get(f"{CALLS}/settings", headers=headers)).json() == defaults
    hours = {
        "timezone": "Europe/Berlin",
        "days": [
            {"day": "monday", "from": "00:00", "to": "24:00"},
            {"day": "friday", "from": "08:30", "to": "12:00"},
            {"day": "friday", "from": "13:00", "to": "17:45"},
        ],
    }
    wanted = {"callingHours": hours, "maxConcurrent": 3, "defaultRingSeconds": 20, "machineDetection": "answer"}
    wanted |= {"allowedCountries": ["FR", "*"], "statutoryHours": False}
    for body, kept in ((wanted, wanted), ({"maxConcurrent": 1}, defaults | {"maxConcurrent": 1})):
        assert (await desk.settings(**body)).json() == kept
        assert (await client.get(f"{CALLS}/settings", headers=headers)).json() == kept
    sandbox = desk.api.token("ten_a", environment=Environment.SANDBOX)
    for stranger in (sandbox, desk.api.token("ten_b")):
        assert (await client.get(f"{CALLS}/settings", headers=stranger)).json() == defaults


def hours_of(**day: Any) -> dict[str, Any]:
    return {"callingHours": {"timezone": "UTC", "days": [{"day": "monday", "from": "09:00", "to": "18:00", **day}]}}


WRONG_SETTINGS: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"maxConcurrent": 0}, {"/maxConcurrent"}),
    ({"maxConcurrent": 1001}, {"/maxConcurrent"}),
    ({"defaultRingSeconds": 4}, {"/defaultRingSeconds"}),
    ({"defaultRingSeconds": 121}, {"/defaultRingSeconds"}),
    ({"machineDetection": "yes"}, {"/machineDetection"}),
    (hours_of(day="someday"), {"/callingHours/days/0/day"}),
    (hours_of(**{"from": "9:00"}), {"/callingHours/days/0/from"}),
    (hours_of(**{"from": "24:01", "to": "25:00"}), {"/callingHours/days/0/from", "/callingHours/days/0/to"}),
    (hours_of(**{"from": "18:00"}), {"/callingHours/days/0/to"}),
    ({"callingHours": {"timezone": "Mars/Base", "days": []}}, {"/callingHours/days"}),
    ({"callingHours": {"timezone": "UTC"}}, {"/callingHours/days"}),
)


async def test_every_wrong_setting_is_named(desk):
    for body, wrong in WRONG_SETTINGS:
        assert pointers(await desk.settings(**body)) == wrong, body


async def test_settings_at_their_ends_are_taken(desk):
    for body in ({"maxConcurrent": 1000, "defaultRingSeconds": 5}, {"maxConcurrent": 1, "defaultRingSeconds": 120}):
        assert (await desk.settings(**body)).status_code == 200
    wrong = hours_of()
    wrong["callingHours"]["timezone"] = "Europe/Atlantis"
    assert pointers(await desk.settings(**wrong)) == {"/callingHours/timezone"}


# --- the do-not-call list


async def test_the_list_is_kept(desk):
    client, headers = desk.api.client, desk.headers
    url = "/api/v1/do-not-call"
    added = await client.post(url, json={"phoneNumber": THEIRS, "reason": "asked", "source": "crm"}, headers=headers)
    assert (added.status_code, added.json()["source"], added.json()["reason"]) == (201, "crm", "asked")
    again = await client.post(url, json={"phoneNumber": THEIRS, "reason": "other"}, headers=headers)
    assert again.json() == added.json()
    batch = {"phoneNumbers": [THEIRS, "+14155550100", "+14155550101", "+14155550100"], "reason": "robinson"}
    assert (await client.post(f"{url}/import", json=batch, headers=headers)).json() == {"added": 2, "alreadyListed": 2}
    listed = (await client.get(f"{url}?source=import", headers=headers)).json()
    assert (listed["total"], {one["reason"] for one in listed["data"]}) == (2, {"robinson"})
    assert (await client.get(f"{url}?search=14155", headers=headers)).json()["total"] == 2
    page = (await client.get(f"{url}?pageSize=2", headers=headers)).json()
    rest = (await client.get(f"{url}?pageSize=2&cursor={page['nextCursor']}", headers=headers)).json()
    assert {one["phoneNumber"] for one in page["data"] + rest["data"]} == set(batch["phoneNumbers"])
    assert (await client.get(f"{url}/{THEIRS}", headers=headers)).json() == added.json()
    assert (await client.delete(f"{url}/{THEIRS}", headers=headers)).status_code == 204
    for method in ("GET", "DELETE"):
        assert slug(await client.request(method, f"{url}/{THEIRS}", headers=headers)) == (404, "not-found")
    assert (await desk.post(toNumber=THEIRS)).status_code == 201


WRONG_ENTRIES: tuple[tuple[str, dict[str, Any], set[str]], ...] = (
    ("", {"phoneNumber": "1"}, {"/phoneNumber"}),
    ("", {"phoneNumber": THEIRS, "reason": ""}, {"/reason"}),
    ("", {"phoneNumber": THEIRS, "reason": "x" * 501}, {"/reason"}),
    ("", {"phoneNumber": THEIRS, "source": "Our CRM"}, {"/source"}),
    ("/import", {"phoneNumbers": []}, {"/phoneNumbers"}),
    ("/import", {"phoneNumbers": [THEIRS] * 10_001}, {"/phoneNumbers"}),
    ("/import", {"phoneNumbers": [THEIRS, "x", "y"]}, {"/phoneNumbers/1", "/phoneNumbers/2"}),
)


async def test_what_is_no_entry_of_the_list_is_refused(desk):
    for path, body, wrong in WRONG_ENTRIES:
        answer = await desk.api.client.post(f"/api/v1/do-not-call{path}", json=body, headers=desk.headers)
        assert pointers(answer) == wrong
    assert (await desk.api.client.get("/api/v1/do-not-call", headers=desk.headers)).json()["total"] == 0


async def test_calls_are_counted_by_their_own_policy(start_api: Callable[..., Any]):
    async with start_api(rate_limit_factor=1) as api:
        key = {"Authorization": f"Bearer {await api.add_key()}"}
        answers = [await api.client.post(CALLS, json={}, headers=key) for _ in range(31)]
        assert {answer.status_code for answer in answers[:30]} == {422}
        assert answers[0].headers["x-ratelimit-policy"] == "outbound-calls"
        assert answers[30].status_code == 429


# --- tests of agents


async def test_a_live_test_by_phone_is_a_call_that_the_test_follows(desk):
    url = f"/api/v1/agents/{desk.agent['id']}"
    await desk.settings(
        maxConcurrent=5,
        callingHours={"timezone": "Europe/Berlin", "days": [{"day": "sunday", "from": "10:00", "to": "11:00"}]},
    )
    paused = await desk.api.client.post(f"{url}/deactivate", headers=desk.headers)
    assert paused.status_code == 200, paused.text
    body = {"channel": "phone", "phoneNumber": THEIRS, "metadata": {"customer": "Ada"}}
    answer = await desk.api.client.post(f"{url}/test", json=body, headers=desk.headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "initiated"), answer.text
    place = answer.headers["location"]

    async def told() -> dict[str, Any]:
        return (await desk.api.client.get(place, headers=desk.headers)).json()

    before = await told()
    assert (before["status"], before["conversationId"], before["simulated"]) == ("initiated", "", False)
    await desk.make_due(before["outboundCallId"])
    await desk.work()
    (order,) = desk.carrier.dialled  # on a Monday, by an inactive agent
    assert (order.caller, order.callee) == (OURS, THEIRS)
    assert desk.plan.metadata == {"customer": "Ada", "testSessionId": answer.json()["testSessionId"]}
    await desk.is_answered()
    assert ((await told())["status"], (await told())["conversationId"]) == ("in_progress", desk.plan.conversation_id)
    await desk.says_goodbye()
    assert (await told())["status"] == "completed"
    call = await desk.get(before["outboundCallId"])
    assert (call["status"], call["metadata"]["customer"]) == ("completed", "Ada")


async def test_a_live_test_calls_nobody_who_must_not_be_called(desk):
    url = f"/api/v1/agents/{desk.agent['id']}/test"
    body = {"channel": "phone", "phoneNumber": THEIRS}
    await desk.api.client.post("/api/v1/do-not-call", json={"phoneNumber": THEIRS}, headers=desk.headers)
    answer = await desk.api.client.post(url, json=body, headers=desk.headers)
    assert slug(answer) == (409, "number-on-do-not-call-list")
    answer = await desk.api.client.post(url, json=body | {"phoneNumber": OURS}, headers=desk.headers)
    assert pointers(answer) == {"/phoneNumber"}
    without = desk.api.token("ten_a", scopes=frozenset({"agents:read", "agents:write"}))
    assert slug(await desk.api.client.post(url, json=body, headers=without)) == (403, "missing-scope")
    listed = await desk.api.client.get(url + "s", headers=desk.headers)
    assert listed.json()["total"] == 0


async def test_a_call_for_which_no_test_asked_keeps_to_its_hours_and_an_active_agent(desk):
    await desk.settings(
        callingHours={"timezone": "Europe/Berlin", "days": [{"day": "sunday", "from": "10:00", "to": "11:00"}]}
    )
    await desk.place(metadata={"testSessionId": "test_1"})
    await desk.work()
    assert desk.carrier.dialled == []
    await desk.api.client.post(f"/api/v1/agents/{desk.agent['id']}/deactivate", headers=desk.headers)
    assert slug(await desk.post(toNumber=THEIRS, metadata={"testSessionId": "test_1"})) == (409, "agent-inactive")

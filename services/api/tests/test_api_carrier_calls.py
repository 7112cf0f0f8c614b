"""Calls that come in over carriers: signed webhooks, the session that answers, and what becomes of it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twilio.request_validator import RequestValidator
from voisnap_api.carrier_webhooks import clients, desk
from voisnap_api.carrier_webhooks.reconcilers import Forgotten, old_carrier_calls
from voisnap_api.carrier_webhooks.refusals import TEXTS, Refusal, spoken
from voisnap_api.carrier_webhooks.usecases import remember_call
from voisnap_api.phone_numbers import store as numbers
from voisnap_api.phone_numbers.records import LineSource, LineStatus, PhoneLine
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import AgentId, PhoneNumberId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason
from voisnap_domain.tenants import Environment, Tenant, TenantStatus, UsageLimits
from voisnap_kit.bus import NoResponders
from voisnap_kit.ids import new_id
from voisnap_kit.postgres import DatabaseUnavailable
from voisnap_kit.work import Caller, begin
from voisnap_proto.events import AnswererDetected, CallProgressed, TenantCreated
from voisnap_proto.requests import (
    END_SESSION,
    NOTE_ANSWERER,
    NOTE_TRANSFER_CALL,
    READMIT_SESSION,
    AnswererNoted,
    EndSession,
    NoteAnswerer,
    NoteTransferCall,
    ReadmitSession,
    SessionEnding,
    SessionReadmitted,
    TransferCallNoted,
)
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.ports.carrier import AnswerDocument, StreamTarget, WebhookRequest
from voisnap_providers.ports.numbers import NumberFeature
from voisnap_providers.vendors.telnyx import state
from voisnap_testkit import telnyx_carrier, twilio_carrier, vonage_carrier
from voisnap_testkit.carrier_end import DeskEnd
from voisnap_testkit.scripted_http import Answer, ScriptedServer, scripted_server
from voisnap_testkit.telnyx_carrier import TelnyxDesk
from voisnap_testkit.twilio_carrier import TwilioDesk
from voisnap_testkit.vonage_carrier import VonageDesk

pytestmark = pytest.mark.slice

PUBLIC = "https://voice.example.com"
NUMBER, CALLER = "+4930901820", "+14155550100"
DESKS: dict[str, type[Any]] = {"twilio": TwilioDesk, "vonage": VonageDesk, "telnyx": TelnyxDesk}
CALLS = {"twilio": twilio_carrier.CALL, "vonage": vonage_carrier.CALL, "telnyx": telnyx_carrier.CALL}
TENANT = Tenant(
    id=TenantId("ten_a"),
    name="A",
    slug="a",
    status=TenantStatus.ACTIVE,
    plan="professional",
    agency_id=None,
    billing_mode="self_billed",
    usage_limits=UsageLimits(),
    owner=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def telnyx() -> Iterator[ScriptedServer]:
    """Telnyx's API, which takes every command."""
    with scripted_server() as server:
        server.plays(Answer({"data": {"result": "ok"}}))
        yield server


@pytest.fixture
def environ(private_key: str, telnyx: ScriptedServer) -> dict[str, str]:
    """The platform's accounts with all three."""
    return {
        "TWILIO_ACCOUNT_SID": twilio_carrier.ACCOUNT,
        "TWILIO_AUTH_TOKEN": twilio_carrier.AUTH_TOKEN,
        "VONAGE_API_KEY": vonage_carrier.API_KEY,
        "VONAGE_API_SECRET": "s",
        "VONAGE_APPLICATION_ID": vonage_carrier.APPLICATION,
        "VONAGE_PRIVATE_KEY": private_key,
        "VONAGE_SIGNATURE_SECRET": vonage_carrier.SIGNATURE_SECRET,
        "TELNYX_API_KEY": "KEY1",
        "TELNYX_PUBLIC_KEY": telnyx_carrier.PUBLIC_KEY,
        "TELNYX_CONNECTION_ID": "7267",
        "TELNYX_BASE_URL": telnyx.url,
    }


class Line:
    """One carrier's end, posting to an API under test."""

    def __init__(self, api: Any, provider: str, account: str = "platform") -> None:
        self.api = api
        self.provider = provider
        self.account = account
        self.call_id = CALLS[provider]
        self._ids = itertools.count(1)

    def desk(self, address: str = "voice") -> Any:
        """Its end that posts to an address; events of all of them are numbered together."""
        desk: DeskEnd = DESKS[self.provider](url=f"{PUBLIC}/api/v1/carriers/{self.provider}/{self.account}/{address}")
        if isinstance(desk, TelnyxDesk):
            desk._ids = self._ids
        return desk

    async def post(self, request: WebhookRequest, *, to: str | None = None) -> httpx.Response:
        """As it was signed, or to another address."""
        address = urlsplit(to or request.url)
        path = f"{address.path}?{address.query}" if address.query else address.path
        return await self.api.client.request(
            request.method, path, content=request.body, headers={**request.headers, "host": "elsewhere.example"}
        )

    async def rings(self, caller: str = CALLER, callee: str = NUMBER, **changes: Any) -> httpx.Response:
        call_id = changes.get("call_id", self.call_id)
        at = changes.get("at", now())
        return await self.post(self.desk().inbound(call_id=call_id, caller=caller, callee=callee, at=at))

    async def tells(self, phase: CallPhase, address: str = "events", **changes: Any) -> httpx.Response:
        call_id = changes.get("call_id", self.call_id)
        return await self.post(self.desk(address).progress(call_id=call_id, phase=phase, at=now()))

    def stream(self, answer: httpx.Response) -> StreamTarget | None:
        return self.desk().stream_of(document(answer))

    def said(self, answer: httpx.Response) -> str | None:
        return self.desk().said_of(document(answer))


def document(answer: httpx.Response) -> AnswerDocument:
    return AnswerDocument(body=answer.content, content_type=answer.headers["content-type"], status=answer.status_code)


def now() -> float:
    return datetime.now(UTC).timestamp()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voisnap_api.carrier_webhooks.clients._PAUSES", (0.0, 0.0))
    monkeypatch.setattr("voisnap_api.carrier_webhooks.desk._EXPECT_SECONDS", 0.0)
    monkeypatch.setattr("voisnap_api.carrier_webhooks.desk._SETTLE_SECONDS", 0.0)


@pytest.fixture
async def api(start_api: Callable[..., Any], environ: dict[str, str]) -> AsyncIterator[Any]:
    async with start_api(environ=environ, public_url=PUBLIC) as started:
        yield started


async def add_number(api: Any, provider: str, agent_id: str | None, **changes: Any) -> PhoneLine:
    """A number of a tenant at a carrier."""
    values: dict[str, Any] = {
        "id": PhoneNumberId(new_id("num")),
        "tenant_id": TenantId("ten_a"),
        "environment": Environment.LIVE,
        "phone_number": NUMBER,
        "provider": provider,
        "account": "platform",
        "provider_id": "PN1",
        "country": "DE",
        "capabilities": (NumberFeature.VOICE,),
        "agent_id": None if agent_id is None else AgentId(agent_id),
        "source": LineSource.PURCHASE,
        "status": LineStatus.ACTIVE,
        "created_at": datetime.now(UTC),
        "updated_at": datetime.now(UTC),
    }
    line = PhoneLine(**(values | changes))
    async with api.database.transaction_as_system() as tx:
        await numbers.insert(tx, line)
    return line


async def rows(api: Any, sql: str, **named: Any) -> list[dict[str, Any]]:
    async with api.database.transaction_as_system() as tx:
        return await tx.all(dict, f"SELECT to_jsonb(found) FROM ({sql}) found", **named)  # noqa: S608


async def calls(api: Any) -> list[dict[str, Any]]:
    return await rows(api, "SELECT * FROM carrier_calls ORDER BY id")


async def ready(api: Any, provider: str, **config: Any) -> tuple[Line, dict[str, Any]]:
    """A carrier that rings an active agent's number, and a runtime that takes the call."""
    agent = await api.add_agent(api.token("ten_a"), **config)
    await add_number(api, provider, agent["id"])
    await api.start_runtime()
    return Line(api, provider), agent


@pytest.mark.parametrize("provider", DESKS)
async def test_a_call_is_connected_to_a_session_of_the_numbers_agent(api, telnyx, provider):
    line, agent = await ready(api, provider)
    answer = await line.rings()
    assert answer.status_code == 200, answer.text
    (opened,) = api.opened
    plan = opened.plan
    assert (plan.channel, plan.direction, plan.agent.agent_id) == (Channel.PHONE, Direction.INBOUND, agent["id"])
    assert (plan.caller.phone_number, plan.caller.country) == (CALLER, "US")
    assert plan.metadata == {"from": CALLER, "to": NUMBER}
    assert plan.leg is not None
    assert (plan.leg.provider, plan.leg.account, plan.leg.number, plan.leg.call_id) == (
        provider,
        "platform",
        NUMBER,
        line.call_id,
    )
    resume = f"{PUBLIC}/api/v1/carriers/{provider}/platform/resume?session={plan.session_id}"
    stream = line.stream(answer)
    if provider == "telnyx":
        (asked,) = telnyx.asked
        assert asked.path.endswith("/actions/answer")
        assert asked.body["stream_url"] == "wss://voice.example.com/carriers/telnyx/media"
        assert state.read(asked.body["client_state"]).stream["token"] == "wrtc_tok_secret"
    else:
        assert stream is not None
        assert (stream.url, stream.token, stream.resume_url) == (
            f"wss://voice.example.com/carriers/{provider}/media",
            "wrtc_tok_secret",
            resume,
        )
    (kept,) = await calls(api)
    assert (kept["tenant_id"], kept["environment"], kept["call_id"]) == ("ten_a", "live", line.call_id)
    assert kept["session_id"] == plan.session_id
    assert "wrtc_tok_secret" not in str(kept)


@pytest.mark.parametrize("provider", DESKS)
async def test_nothing_is_believed_that_this_carrier_has_not_signed_for_this_account(api, telnyx, provider):
    line, _ = await ready(api, provider)
    signed = line.desk().inbound(call_id=line.call_id, caller=CALLER, callee=NUMBER, at=now())
    signature = {
        "twilio": "x-twilio-signature",
        "vonage": "authorization",
        "telnyx": "telnyx-signature-ed25519",
    }[provider]

    def without(*names: str) -> WebhookRequest:
        kept = {name: value for name, value in signed.headers.items() if name not in names}
        return msgspec.structs.replace(signed, headers=kept)

    head, dot, tail = signed.headers[signature].rpartition(".")
    forged = msgspec.structs.replace(signed, headers={**signed.headers, signature: f"{head}{dot}AAAA{tail[4:]}"})
    other_body = msgspec.structs.replace(signed, body=signed.body.replace(b"0100", b"0199"))
    refused = [forged, other_body, msgspec.structs.replace(signed, method="GET", body=b"")]
    if provider == "twilio":
        refused += [without(signature), msgspec.structs.replace(signed, url=f"{signed.url}?session=call_other")]
    else:
        refused.append(line.desk().inbound(call_id=line.call_id, caller=CALLER, callee=NUMBER, at=now() - 3600))
    seen = set()
    for request in refused:
        answer = await line.post(request)
        seen.add((answer.status_code, answer.json()["type"], answer.json()["detail"]))
    elsewhere = f"{PUBLIC}/api/v1/carriers"
    for address in (
        f"{elsewhere}/{provider}/simulator/voice",
        f"{elsewhere}/{provider}/pcred_01J/voice",
        f"{elsewhere}/{provider}/somebody/voice",
        f"{elsewhere}/deepgram/platform/voice",
    ):
        answer = await line.post(without(signature, "authorization") if provider == "telnyx" else forged, to=address)
        seen.add((answer.status_code, answer.json()["type"], answer.json()["detail"]))
    ((status, slug, _),) = seen
    assert (status, slug.rpartition("/")[2]) == (403, "bad-signature")
    unsigned = await line.post(without(signature))
    assert unsigned.status_code == (503 if provider == "vonage" else 403), "Vonage asks again where it failed to sign"
    assert (api.opened, await calls(api), telnyx.asked) == ([], [], [])


@pytest.mark.parametrize("provider", [*DESKS, "deepgram"])
async def test_what_is_not_signed_at_all_costs_no_look_into_the_database(api, monkeypatch, provider):
    def opened(*_: Any, **__: Any) -> None:
        pytest.fail("a transaction was begun")

    monkeypatch.setattr("voisnap_api.carrier_webhooks.desk.begin_as_system", opened)
    for address in ("platform/voice", "somebody/events", "pcred_01J/resume"):
        answer = await api.client.post(f"/api/v1/carriers/{provider}/{address}", json={"CallSid": "CA1"})
        assert answer.status_code == (503 if provider == "vonage" else 403)


@pytest.mark.parametrize("provider", DESKS)
async def test_a_call_that_is_asked_for_again_gets_the_same_answer_and_no_second_session(api, telnyx, provider):
    line, _ = await ready(api, provider)
    request = line.desk().inbound(call_id=line.call_id, caller=CALLER, callee=NUMBER, at=now())
    answers = await asyncio.gather(*(line.post(request) for _ in range(4)))
    answers.append(await line.post(request))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(api.opened) == 1
    if provider == "telnyx":
        assert len({str(asked.body) for asked in telnyx.asked}) == 1, "one command, by its id"
        before = len(telnyx.asked)
        await line.post(request)
        assert len(telnyx.asked) == before
    else:
        assert line.stream(answers[-1]) == line.stream(answers[0])


async def test_a_request_that_died_over_a_call_is_taken_over_by_the_next(api):
    line, _ = await ready(api, "twilio")
    await line.rings()
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE carrier_calls SET answer = NULL, claimed_at = now() - interval '1 minute'")
    again = await line.rings()
    assert line.stream(again) is not None
    assert len(api.opened) == 2
    (kept,) = await calls(api)
    assert kept["session_id"] == api.opened[1].plan.session_id


REFUSALS = {
    "an unknown number": ("not in service", "en-US"),
    "no agent": ("not available", "en-US"),
    "inactive": ("nicht erreichbar", "de-DE"),
    "channel off": ("nicht erreichbar", "de-DE"),
    "suspended": ("nicht erreichbar", "de-DE"),
    "spent": ("nicht erreichbar", "de-DE"),
    "busy": ("alle Leitungen belegt", "de-DE"),
    "full": ("alle Leitungen belegt", "de-DE"),
    "nobody": ("alle Leitungen belegt", "de-DE"),
    "not set up": ("nicht entgegennehmen", "de-DE"),
    "bus away": ("nicht entgegennehmen", "de-DE"),
    "database away": ("can't take your call", "en-US"),
}
INNER = ("agent", "session", "node", "tenant", "database", "limit", "suspended", "configured", "error")


async def arrange(api: Any, why: str, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call fail for a reason."""
    german = {"transcription": {"provider": "deepgram", "model": "nova-2", "language": "de-DE"}}
    headers = api.token("ten_a")
    agent = await api.add_agent(headers, **german)
    if why != "an unknown number":
        await add_number(api, provider, None if why == "no agent" else agent["id"])
    codes = {
        "busy": LimitReached("No more.", code="session-limit-reached"),
        "full": LimitReached("No more.", code="node-full"),
        "not set up": ProviderUnconfigured("It needs DEEPGRAM_API_KEY."),
    }

    def refuse(_request: Any) -> Any:
        raise codes[why]

    if why != "nobody":
        await api.start_runtime(refuse if why in codes else None)
    match why:
        case "inactive":
            await api.client.post(f"/api/v1/agents/{agent['id']}/deactivate", headers=headers)
        case "channel off":
            await api.client.patch(
                f"/api/v1/agents/{agent['id']}", json={"channels": {"phone": {"enabled": False}}}, headers=headers
            )
        case "suspended" | "spent":
            limits = UsageLimits(monthly_spend_limit_cents=100 if why == "spent" else None)
            async with api.database.transaction_as_system() as tx:
                await tx.exec(
                    "INSERT INTO spend VALUES ('ten_a', 'live', date_trunc('month', now()), 'openai', 'platform', 5)"
                )
            tenant = msgspec.structs.replace(
                TENANT, usage_limits=limits, status=TenantStatus.SUSPENDED if why == "suspended" else TENANT.status
            )
            await api.follow()
            await api.tell(TenantCreated(tenant_id=TENANT.id, tenant=tenant))
        case "bus away":
            api.bus.away = True
        case "database away":

            async def gone(*_args: Any) -> None:
                raise DatabaseUnavailable("gone")

            monkeypatch.setattr("voisnap_api.carrier_webhooks.desk.phone_numbers.line_of", gone)


@pytest.mark.parametrize("why", REFUSALS)
async def test_a_call_that_is_not_taken_is_told_why_in_the_agents_language(api, monkeypatch, telnyx, why):
    words, language = REFUSALS[why]
    for provider in DESKS:
        if provider == "twilio":
            await arrange(api, why, provider, monkeypatch)
        elif why not in ("an unknown number", "database away"):
            await add_number(api, provider, None if why == "no agent" else (await agents_of(api))[0])
        line = Line(api, provider)
        answer = await line.rings()
        assert answer.status_code == 200, answer.text
        if provider == "telnyx":
            answered, spoken = telnyx.asked
            assert line.said(answer) is None
            assert answered.path.endswith("/actions/answer")
            said, spoken_in = spoken.body["payload"], spoken.body["language"]
        else:
            said = line.said(answer) or ""
            spoken_in = language if language in answer.text else ""
        assert words in said
        assert spoken_in == language
        assert not any(inner in said.lower() for inner in INNER)
    assert await calls(api) == []


async def agents_of(api: Any) -> list[str]:
    listed = await api.client.get("/api/v1/agents", headers=api.token("ten_a"))
    return [agent["id"] for agent in listed.json()["data"]]


def test_every_language_has_every_sentence():
    assert {frozenset(texts) for texts in TEXTS.values()} == {frozenset(TEXTS["en"])}
    for refusal in Refusal:
        assert spoken(refusal, "de-AT") == (spoken(refusal, "de")[0], "de-AT")
        assert spoken(refusal, "eu-ES") == (spoken(refusal, "en-GB")[0], "en-US")
    assert all(0 < len(text) < 200 for texts in TEXTS.values() for text in texts.values())


async def test_a_refused_call_at_telnyx_is_hung_up_when_it_has_heard_why(api, telnyx):
    line = Line(api, "telnyx")
    await line.rings()
    kept = telnyx.asked[-1].body["client_state"]
    desk = line.desk()
    spoken_event = desk.event("call.speak.ended", now(), call_id=line.call_id, client_state=kept, status="completed")
    assert (await line.post(spoken_event)).status_code == 200
    assert telnyx.asked[-1].path.endswith("/actions/hangup")


async def test_telnyx_is_asked_to_post_again_while_it_takes_no_orders(api, telnyx):
    line, _ = await ready(api, "telnyx")
    telnyx.plays(Answer({"errors": []}, 500))
    request = line.desk().inbound(call_id=line.call_id, caller=CALLER, callee=NUMBER, at=now())
    assert (await line.post(request)).status_code == 503
    telnyx.plays(Answer({"data": {"result": "ok"}}))
    assert (await line.post(request)).status_code == 200
    assert len(api.opened) == 1
    assert telnyx.asked[-1].path.endswith("/actions/answer")


class Runtime:
    """What a runtime process is asked beyond opening sessions."""

    def __init__(self) -> None:
        self.ended: list[EndSession] = []
        self.noted: list[NoteAnswerer] = []
        self.readmitted: list[ReadmitSession] = []
        self.transfers: list[NoteTransferCall] = []
        self.token: str | None = "wrtc_tok_second"

    async def listen(self, bus: Any) -> None:
        async def end(request: EndSession) -> SessionEnding:
            self.ended.append(request)
            return SessionEnding(found=True)

        async def note(request: NoteAnswerer) -> AnswererNoted:
            self.noted.append(request)
            return AnswererNoted(found=True)

        async def readmit(request: ReadmitSession) -> SessionReadmitted:
            self.readmitted.append(request)
            return SessionReadmitted(session_token=self.token)

        async def note_transfer(request: NoteTransferCall) -> TransferCallNoted:
            self.transfers.append(request)
            return TransferCallNoted(found=True)

        await bus.respond(END_SESSION, "runtime", EndSession, end)
        await bus.respond(NOTE_TRANSFER_CALL, "runtime", NoteTransferCall, note_transfer)
        await bus.respond(NOTE_ANSWERER, "runtime", NoteAnswerer, note)
        await bus.respond(READMIT_SESSION, "runtime", ReadmitSession, readmit)


@pytest.fixture
async def runtime(api: Any) -> Runtime:
    made = Runtime()
    await made.listen(api.bus)
    return made


OF_THE_AGENT = 2
"""Events of an agent that is made and activated."""


def told(api: Any, kind: type[Any]) -> list[Any]:
    return [event for event in api.bus.published if isinstance(event, kind)]


@pytest.mark.parametrize("provider", DESKS)
async def test_what_becomes_of_a_call_is_told_once_in_order_and_its_end_ends_the_session(api, runtime, provider):
    line, _ = await ready(api, provider)
    await line.rings()
    session_id = api.opened[0].plan.session_id
    phases = [CallPhase.ANSWERED, CallPhase.COMPLETED, CallPhase.ANSWERED, CallPhase.INITIATED]
    for phase in phases:
        assert (await line.tells(phase)).status_code == 200
    end = line.desk("events").progress(call_id=line.call_id, phase=CallPhase.COMPLETED, at=now())
    answers = await asyncio.gather(*(line.post(end) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    await api.published(OF_THE_AGENT + 2)
    assert [(one.phase, one.session_id) for one in told(api, CallProgressed)] == [
        (CallPhase.ANSWERED, session_id),
        (CallPhase.COMPLETED, session_id),
    ]
    assert runtime.ended == [EndSession(session_id=session_id, reason=EndReason.USER_ENDED)]
    (kept,) = await calls(api)
    assert (kept["phase"], kept["answer"], kept["ended_at"] is None) == ("completed", None, False)
    assert kept["seconds"] == (None if provider == "telnyx" else 42)
    over = await line.rings()
    assert over.status_code == 200
    assert len(api.opened) == 1


async def test_events_of_calls_that_nobody_knows_do_nothing(api, runtime):
    for provider in DESKS:
        line = Line(api, provider)
        desk = line.desk("events")
        assert (await line.tells(CallPhase.COMPLETED)).status_code == 200
        assert (await line.post(desk.machine(call_id=line.call_id, at=now()))).status_code == 200
        assert (await line.post(desk.unrelated(call_id=line.call_id, at=now()))).status_code == 200
        nonsense = await line.post(desk.nonsense(at=now()))
        assert nonsense.status_code in (200, 400)
    assert (api.bus.published, runtime.ended, runtime.noted, await calls(api)) == ([], [], [], [])


@pytest.mark.parametrize("provider", DESKS)
async def test_a_call_of_ours_is_known_by_its_attempt_before_the_dial_returns(api, runtime, provider):
    line = Line(api, provider)
    whose = {"provider": provider, "account": "platform", "session_id": "call_1", "attempt_id": "att_1"}
    async with begin(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        await remember_call(work, **whose)
    events = "events?session=call_1&attempt=att_1"
    await line.tells(CallPhase.INITIATED, events)
    async with begin(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        await remember_call(work, **whose, call_id=line.call_id)
    assert (await line.post(line.desk(events).machine(call_id=line.call_id, at=now()))).status_code == 200
    assert (await line.post(line.desk(events).machine(call_id=line.call_id, at=now()))).status_code == 200
    await line.tells(CallPhase.NO_ANSWER, events)
    await api.published(3)
    assert [(one.phase, one.attempt_id) for one in told(api, CallProgressed)] == [
        (CallPhase.INITIATED, "att_1"),
        (CallPhase.NO_ANSWER, "att_1"),
    ]
    (detected,) = told(api, AnswererDetected)
    assert (detected.answered_by, detected.attempt_id) == (AnsweredBy.MACHINE, "att_1")
    assert runtime.noted == [NoteAnswerer(session_id=SessionId("call_1"), answered_by=AnsweredBy.MACHINE)]
    assert [one.reason for one in runtime.ended] == [EndReason.DISCONNECTED]
    (kept,) = await calls(api)
    assert (kept["call_id"], kept["phase"], kept["answered_by"]) == (line.call_id, "no_answer", "machine")


@pytest.mark.parametrize("provider", DESKS)
async def test_a_call_to_somebody_who_takes_over_is_told_to_the_transfer_and_ends_no_session(
    api, runtime, telnyx, provider
):
    line, _ = await ready(api, provider)
    await line.rings()
    session_id = api.opened[0].plan.session_id
    theirs = Line(api, provider)
    theirs.call_id = f"{line.call_id}x"
    address = f"events?session={session_id}&attempt=xfer_1"
    whose = {"session_id": session_id, "attempt_id": "xfer_1", "call_id": theirs.call_id}
    asked = len(telnyx.asked)
    await theirs.tells(CallPhase.INITIATED, address)
    desk = theirs.desk(address)
    assert (await theirs.post(desk.machine(call_id=theirs.call_id, at=now()))).status_code == 200
    if provider == "telnyx":
        stopped = desk.event("streaming.stopped", now(), call_id=theirs.call_id)
        assert (await theirs.post(stopped)).status_code == 200
    await theirs.tells(CallPhase.COMPLETED, address)
    assert runtime.transfers == [
        NoteTransferCall(**whose, phase=CallPhase.INITIATED),
        NoteTransferCall(**whose, answered_by=AnsweredBy.MACHINE),
        NoteTransferCall(**whose, phase=CallPhase.COMPLETED),
    ]
    await api.published(OF_THE_AGENT + 3)
    assert {one.attempt_id for one in told(api, CallProgressed)} == {"xfer_1"}
    assert (runtime.ended, runtime.noted, runtime.readmitted) == ([], [], [])
    assert len(telnyx.asked) == asked
    main, leg = await calls(api)
    assert (main["is_main"], main["ended_at"], leg["is_main"], leg["phase"]) == (True, None, False, "completed")


def lost(line: Line, session_id: str) -> WebhookRequest:
    """The carrier asks what comes next of a call whose media are lost."""
    desk = line.desk(f"resume?session={session_id}")
    match desk:
        case VonageDesk():
            event = desk.event("leg-of-the-socket", "disconnected", now())
            return desk.posted({**event, "to": "wss://x", "headers": {"call_id": line.call_id}}, at=now())
        case TelnyxDesk():
            return desk.event("streaming.failed", now(), call_id=line.call_id, failure_reason="connection_lost")
        case _:
            return desk.progress(call_id=line.call_id, phase=CallPhase.ANSWERED, at=now())


@pytest.mark.parametrize("provider", DESKS)
async def test_a_call_whose_media_are_lost_goes_on_while_its_session_lives(api, runtime, telnyx, provider, monkeypatch):
    line, _ = await ready(api, provider)
    await line.rings()
    session_id = api.opened[0].plan.session_id
    request = lost(line, session_id)
    answer = await line.post(request)
    assert answer.status_code == 200, answer.text
    assert [one.session_id for one in runtime.readmitted] == [session_id]
    again = await line.post(request)
    assert (again.status_code, again.content) == (200, answer.content), "it may not have read the first answer"
    assert len(runtime.readmitted) == (1 if provider == "telnyx" else 2), "and Telnyx is told once"
    stream = line.stream(answer)
    if provider == "telnyx":
        assert state.read(telnyx.asked[-1].body["client_state"]).stream["token"] == "wrtc_tok_second"
    else:
        assert stream is not None
        assert (stream.token, stream.resume_url) == ("wrtc_tok_second", line.desk(f"resume?session={session_id}")._url)
    asked = len(telnyx.asked)
    runtime.token = None
    over = await line.post(lost(line, session_id))
    assert over.status_code == 200
    assert over.content == (b"" if provider != "twilio" else over.content)
    assert ("<Hangup" in over.text) is (provider == "twilio")
    assert len(telnyx.asked) == asked, "a call that was handed over is left alone"
    api.bus._responders.clear()
    monkeypatch.setitem(desk.RESUME_SECONDS, provider, 0.0)
    nobody = await line.post(lost(line, session_id))
    if provider == "telnyx":
        assert nobody.status_code == 503
    else:
        assert "can't take your call" in (line.said(nobody) or "")


@pytest.mark.parametrize(("patience", "resumed"), [(4.0, True), (3.0, False)])
async def test_a_call_waits_for_the_only_process_of_the_runtime_to_be_started_again(api, patience, resumed):
    runtime, waited = Runtime(), 0.0

    async def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        if waited >= 3.8:
            await runtime.listen(api.bus)

    asked = clients.readmit(api.bus, SessionId("call_1"), patience=patience, sleep=sleep)
    if resumed:
        assert await asked == "wrtc_tok_second"
    else:
        with pytest.raises(NoResponders):
            await asked
    assert len(runtime.readmitted) == (1 if resumed else 0)


@pytest.mark.parametrize("provider", DESKS)
async def test_a_caller_who_withholds_his_number_is_taken_all_the_same(api, provider):
    line, _ = await ready(api, provider)
    assert (await line.rings("anonymous")).status_code == 200
    plan = api.opened[0].plan
    assert (plan.caller.phone_number, plan.metadata) == (None, {"to": NUMBER})


async def test_what_no_carrier_posts_is_refused_before_it_is_read(api):
    line, _ = await ready(api, "twilio")
    path = "/api/v1/carriers/twilio/platform/voice"
    large = await api.client.post(path, content=b"x" * 70_000)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(7):
            yield b"x" * 10_000

    chunked = await api.client.post(path, content=parts())
    assert (large.status_code, chunked.status_code) == (413, 413)
    assert (await api.client.put(path, content=b"")).status_code == 405
    assert (await api.client.post("/api/v1/carriers/twilio/platform/elsewhere")).status_code == 404
    assert (await api.client.get(path)).status_code == 403
    signed = line.desk().inbound(call_id=line.call_id, caller=CALLER, callee=NUMBER, at=now())
    lying = {
        **signed.headers,
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "http",
        "forwarded": "host=evil",
    }
    assert (await line.post(msgspec.structs.replace(signed, headers=lying))).status_code == 200


async def test_a_number_whose_webhook_is_asked_with_get_is_answered_too(api):
    line, _ = await ready(api, "twilio")
    fields = {"CallSid": line.call_id, "From": CALLER, "To": NUMBER, "CallStatus": "ringing", "Direction": "inbound"}
    url = f"{PUBLIC}/api/v1/carriers/twilio/platform/voice?{urlencode(fields)}"
    signature = RequestValidator(twilio_carrier.AUTH_TOKEN).compute_signature(url, {})
    request = WebhookRequest(method="GET", url=url, headers={"x-twilio-signature": signature}, body=b"")
    answer = await line.post(request)
    assert line.stream(answer) is not None
    tampered = msgspec.structs.replace(request, url=url.replace("1820", "1821"))
    assert (await line.post(tampered)).status_code == 403
    assert len(api.opened) == 1


async def test_the_resume_of_a_call_of_ours_is_found_by_its_session_before_the_dial_returns(api, runtime):
    line = Line(api, "vonage")
    async with begin(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        await remember_call(
            work, provider="vonage", account="platform", session_id=SessionId("call_1"), attempt_id="att_1"
        )
    answer = await line.post(lost(line, "call_1"))
    stream = line.stream(answer)
    assert stream is not None
    assert (stream.token, stream.call_id) == ("wrtc_tok_second", line.call_id)
    assert (await calls(api))[0]["call_id"] == line.call_id


async def test_old_notes_are_forgotten(api):
    line, _ = await ready(api, "telnyx")
    await line.rings()
    await line.rings(call_id="v3:other", at=now())
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE carrier_events SET seen_at = now() - interval '4 days' WHERE event_id LIKE '%%1'")
        await tx.exec("UPDATE carrier_calls SET created_at = now() - interval '401 days' WHERE call_id = 'v3:other'")
    reconciler = old_carrier_calls(api.database)
    await reconciler.run_once()
    assert reconciler.last == Forgotten(events=1, calls=1)
    assert [one["call_id"] for one in await calls(api)] == [line.call_id]


@pytest.mark.parametrize("provider", DESKS)
async def test_a_recording_that_the_carrier_has_is_noted_once_for_its_session(api, telnyx, provider):
    line, _ = await ready(api, provider)
    await line.rings()
    session_id = api.opened[0].plan.session_id
    recording_id = {"twilio": "RE" + "1" * 32}.get(provider, "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0")
    desk = line.desk(f"recording?session={session_id}&attempt=xfer_1")
    request = desk.recorded(recording_id, call_id=line.call_id, at=now())
    answers = [await line.post(request) for _ in range(3)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 3
    (kept,) = await rows(api, "SELECT * FROM call_recordings")
    assert (kept["recording_id"], kept["session_id"], kept["tenant_id"]) == (recording_id, session_id, "ten_a")
    assert (kept["state"], kept["seconds"], kept["due_at"] is None) == ("saved", 12.0, False)
    strange = line.desk("recording?session=call_nobody")
    other = strange.recorded(recording_id[:-1] + "2", call_id=f"{line.call_id}x", at=now())
    assert (await line.post(other)).status_code == 200
    assert len(await rows(api, "SELECT * FROM call_recordings")) == 1


def handed_over(line: Line, theirs: Line, session_id: str, phase: CallPhase) -> list[WebhookRequest]:
    """What the carrier posts of the call to somebody whom a caller was handed over to; last what it asks."""
    address = f"?session={session_id}&attempt=xfer_1"
    match line.desk(f"resume{address}"):
        case TwilioDesk() as desk:
            fields = desk._common(line.call_id) | {"CallStatus": "in-progress", "Direction": "inbound"}
            word = {CallPhase.NO_ANSWER: "no-answer"}.get(phase, phase.value)
            dialled = {"DialCallStatus": word, "DialCallSid": theirs.call_id, "DialCallDuration": "42"}
            told = theirs.desk(f"events{address}").progress(call_id=theirs.call_id, phase=phase, at=now())
            return [
                told,
                desk.posted(fields | (dialled if phase is CallPhase.COMPLETED else dict(list(dialled.items())[:2]))),
            ]
        case VonageDesk() as desk:
            return [desk.progress(call_id=theirs.call_id, phase=phase, at=now())]
        case _:
            kept = state.written(state.CallState(transfer_of=line.call_id, attempt_id="xfer_1"))
            request = theirs.desk("voice").progress(call_id=theirs.call_id, phase=phase, at=now())
            data = json.loads(request.body)["data"]
            more = {name: value for name, value in data["payload"].items() if name != "call_control_id"}
            desk = theirs.desk("voice")
            return [desk.event(data["event_type"], now(), call_id=theirs.call_id, **more | {"client_state": kept})]


@pytest.mark.parametrize("provider", DESKS)
async def test_a_caller_whom_nobody_takes_over_is_told_so(api, runtime, telnyx, provider):
    line, _ = await ready(api, provider)
    await line.rings()
    runtime.token = None  # the conversation is over with the transfer
    session_id = api.opened[0].plan.session_id
    theirs = Line(api, provider)
    theirs.call_id = f"{line.call_id[:-1]}9"
    asked = len(telnyx.asked)
    requests = handed_over(line, theirs, session_id, CallPhase.NO_ANSWER)
    for request in (*requests, *requests):
        answer = await line.post(request)
        assert answer.status_code == 200, answer.text
    if provider == "telnyx":
        paths = [one.path.rpartition("/")[2] for one in telnyx.asked[asked:]]
        assert paths == ["answer", "speak"]
        assert "nobody is available" in telnyx.asked[-1].body["payload"]
        over = theirs.desk("voice").event(
            "call.speak.ended", now(), call_id=line.call_id, client_state=telnyx.asked[-1].body["client_state"]
        )
        assert (await line.post(over)).status_code == 200
        assert telnyx.asked[-1].path.endswith(f"{line.call_id}/actions/hangup")
    else:
        assert "nobody is available" in (line.said(answer) or "")
    _, leg = await calls(api)
    assert (leg["call_id"], leg["is_main"], leg["phase"], leg["attempt_id"]) == (
        theirs.call_id,
        False,
        "no_answer",
        "xfer_1",
    )
    assert runtime.ended == []


@pytest.mark.parametrize("provider", DESKS)
async def test_whoever_took_a_caller_over_is_a_line_of_its_own_and_ends_nothing(api, runtime, telnyx, provider):
    line, _ = await ready(api, provider)
    await line.rings()
    runtime.token = None
    session_id = api.opened[0].plan.session_id
    theirs = Line(api, provider)
    theirs.call_id = f"{line.call_id[:-1]}9"
    for phase in (CallPhase.ANSWERED, CallPhase.COMPLETED, CallPhase.ANSWERED):
        requests = handed_over(line, theirs, session_id, phase)
        for request in requests[: 1 if phase is CallPhase.ANSWERED else None]:
            answer = await line.post(request)
            assert answer.status_code == 200, answer.text
            assert not any(word in answer.text for word in ("<Say", "talk"))
    _, leg = await calls(api)
    assert (leg["call_id"], leg["phase"], leg["answered_at"] is None) == (theirs.call_id, "completed", False)
    assert leg["seconds"] == (None if provider == "telnyx" else 42)
    assert (runtime.ended, runtime.readmitted) == ([], [])

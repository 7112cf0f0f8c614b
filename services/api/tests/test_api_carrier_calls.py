"""Calls that come in over carriers: signed webhooks, the session that answers, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from voisnap_api.phone_numbers import store as numbers
from voisnap_api.phone_numbers.records import LineSource, LineStatus, PhoneLine
from voisnap_domain.calls import CallPhase
from voisnap_domain.ids import AgentId, PhoneNumberId, TenantId
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
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
DOCUMENTS = ("twilio", "vonage")
"""Carriers that are told by documents what to do with a call."""


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

    def desk(self, address: str = "voice") -> DeskEnd:
        return DESKS[self.provider](url=f"{PUBLIC}/api/v1/carriers/{self.provider}/{self.account}/{address}")

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
        return await tx.all(dict, f"SELECT to_jsonb(found) FROM ({sql}) found", **named)


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

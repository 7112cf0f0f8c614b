"""The carriers' own libraries as clients and judges of the simulated carriers' calls."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
import pytest
import telnyx
from telnyx.lib.webhook_verification import verify_webhook_signature
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client as TwilioClient
from voisnap_providers.ports.carrier import InboundCall
from vonage_jwt.verify_jwt import verify_signature
from vonage_voice.models.responses import CallInfo, CallList, CreateCallResponse

pytestmark = [pytest.mark.conformance, pytest.mark.asyncio(loop_scope="module")]

OURS, SOMEBODY = "+14155550199", "+12125550123"
HANGS_UP = {"ringSeconds": 0.02, "greeting": "Hello?", "script": "[hang up]"}
STAYS = {"ringSeconds": 0.02, "greeting": "Hello?", "script": "[silence 60]"}


class _Rewritten(TwilioHttpClient):
    def __init__(self, url: str) -> None:
        super().__init__(timeout=5)
        self._url = url

    def request(self, method: str, url: str, *arguments: object, **more: object):
        return super().request(method, f"{self._url}/{url.partition('://')[2].partition('/')[2]}", *arguments, **more)


async def _describe(network: Any, behaviour: dict[str, Any]) -> None:
    answer = await network.http.put(f"/simulator/telephones/{SOMEBODY}", json={"behaviour": behaviour})
    answer.raise_for_status()


def _twilio(network: Any, token: str = "") -> TwilioClient:
    account = network.world.account("twilio")
    http = _Rewritten(account.option("base_url"))
    return TwilioClient(account.option("account_sid"), token or account.secret("auth_token"), http_client=http)


async def test_twilios_library_dials_asks_redirects_and_ends(network: Any) -> None:
    client = _twilio(network)
    await _describe(network, STAYS)
    events = f"{network.platform.url}/api/v1/carriers/twilio/simulator/events"

    def dial() -> Any:
        return client.calls.create(
            to=SOMEBODY,
            from_=OURS,
            twiml="<Response><Pause length='60'/></Response>",
            status_callback=events,
            status_callback_event=["initiated", "ringing", "answered", "completed"],
            timeout=10,
        )

    call = await asyncio.to_thread(dial)
    assert (call.status, call.direction, call.to, call._from) == ("queued", "outbound-api", SOMEBODY, OURS)
    await network.platform.until(lambda: len(network.platform.raw) == 3)
    live = await asyncio.to_thread(client.calls(call.sid).fetch)
    assert (live.status, live.start_time is not None, live.end_time) == ("in-progress", True, None)
    assert [one.sid for one in await asyncio.to_thread(client.calls.list, status="in-progress")] == [call.sid]
    moved = "<Response><Say>One moment.</Say><Pause length='60'/></Response>"
    await asyncio.to_thread(client.calls(call.sid).update, twiml=moved)
    await asyncio.to_thread(client.calls(call.sid).update, status="completed")
    await network.platform.until(lambda: len(network.platform.raw) == 4)
    over = await asyncio.to_thread(client.calls(call.sid).fetch)
    assert (over.status, int(over.duration) >= 0, float(over.price) < 0) == ("completed", True, True)
    validator = RequestValidator(network.world.account("twilio").secret("auth_token"))
    statuses = []
    for request in network.platform.raw:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        assert validator.validate(request.url, fields, request.headers["x-twilio-signature"])
        statuses.append((fields["CallStatus"], fields["SequenceNumber"]))
    assert statuses == [("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3")]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"to": "12", "from_": OURS}, 400, 21211),
        ({"to": SOMEBODY, "from_": "+14155550000"}, 400, 21210),
        ({"to": SOMEBODY, "from_": OURS, "twiml": "<x/>" * 1001}, 400, 21609),
        ({"to": SOMEBODY, "from_": OURS, "twiml": None}, 400, 21205),
        ({"to": SOMEBODY, "from_": OURS, "timeout": 601}, 400, 21226),
    ],
)
async def test_twilio_refuses_in_its_own_words(network: Any, fields: dict[str, Any], status: int, code: int) -> None:
    given = {"twiml": "<Response/>", **fields}
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(lambda: _twilio(network).calls.create(**given))
    assert (refused.value.status, refused.value.code) == (status, code)
    with pytest.raises(TwilioRestException) as stranger:
        await asyncio.to_thread(lambda: _twilio(network, "wrong").calls.create(**given))
    assert (stranger.value.status, stranger.value.code) == (401, 20003)


async def test_what_vonage_posts_is_signed_and_what_it_answers_fits_its_models(network: Any) -> None:
    await _describe(network, STAYS)
    account = network.world.account("vonage")
    claims = {"application_id": account.option("application_id"), "iat": network.world.clock(), "jti": "1"}
    token = jwt.encode(claims | {"iat": int(claims["iat"])}, account.secret("private_key"), algorithm="RS256")
    events = f"{network.platform.url}/api/v1/carriers/vonage/simulator/events"
    order = {
        "to": [{"type": "phone", "number": SOMEBODY.removeprefix("+")}],
        "from": {"type": "phone", "number": OURS.removeprefix("+")},
        "ncco": [{"action": "talk", "text": "Hello"}, {"action": "wait", "timeout": 60}],
        "event_url": [events],
    }
    async with httpx.AsyncClient(base_url=account.option("base_url"), timeout=5) as client:
        assert (await client.post("/v1/calls", json=order)).status_code == 401
        client.headers["Authorization"] = f"Bearer {token}"
        made = CreateCallResponse.model_validate((await client.post("/v1/calls", json=order)).raise_for_status().json())
        await network.platform.until(lambda: len(network.platform.raw) == 3)
        shown = CallInfo.model_validate((await client.get(f"/v1/calls/{made.uuid}")).json())
        assert (shown.status, shown.direction) == ("answered", "outbound")
        listed = CallList.model_validate((await client.get("/v1/calls", params={"status": "answered"})).json())
        assert listed.count == 1
        pressed = await client.put(f"/v1/calls/{made.uuid}/dtmf", json={"digits": "1p2#"})
        assert pressed.json()["uuid"] == made.uuid
        ended = await client.put(f"/v1/calls/{made.uuid}", json={"action": "hangup"})
        assert ended.status_code == 204
        assert (await client.put(f"/v1/calls/{made.uuid}", json={"action": "hangup"})).status_code == 404
        strange = order | {"from": {"type": "phone", "number": "14155550000"}}
        assert (await client.post("/v1/calls", json=strange)).status_code == 403
    await network.platform.until(lambda: len(network.platform.raw) == 4)
    for request in network.platform.raw:
        token = request.headers["authorization"].removeprefix("Bearer ")
        secret = account.secret("signature_secret").encode().ljust(32, b"\0")
        assert verify_signature(token, secret)  # type: ignore[arg-type]


async def test_telnyxs_library_dials_commands_and_believes_the_events(network: Any) -> None:
    await _describe(network, HANGS_UP)
    account = network.world.account("telnyx")
    client = telnyx.AsyncTelnyx(
        api_key=account.secret("api_key"),
        base_url=account.option("base_url"),
        public_key=account.option("public_key"),
        max_retries=0,
    )
    events = f"{network.platform.url}/api/v1/carriers/telnyx/simulator/events"
    order: dict[str, Any] = {
        "connection_id": account.option("connection_id"),
        "from_": OURS,
        "to": SOMEBODY,
        "webhook_url": events,
        "command_id": "once",
    }
    call = (await client.calls.dial(**order)).data
    again = (await client.calls.dial(**order)).data
    assert call is not None
    assert again is not None
    assert call.call_control_id == again.call_control_id
    await network.over(call.call_control_id)
    await network.platform.until(lambda: len(network.platform.raw) == 3)
    for one in network.platform.raw:  # its check alone: the models of all events take seconds to build
        verify_webhook_signature(one.body.decode(), dict(one.headers), account.option("public_key"))
    told = [json.loads(one.body)["data"]["event_type"] for one in network.platform.raw]
    assert told == ["call.initiated", "call.answered", "call.hangup"]
    with pytest.raises(telnyx.UnprocessableEntityError) as over:
        await client.calls.actions.hangup(call.call_control_id)
    assert over.value.body["errors"][0]["code"] == "90018"  # type: ignore[index]
    with pytest.raises(telnyx.UnprocessableEntityError):
        await client.calls.dial(**order | {"to": "911", "command_id": "other"})
    with pytest.raises(telnyx.AuthenticationError):
        await client.copy(api_key="KEYwrong").calls.dial(**order)
    await client.close()


async def test_nobody_controls_the_simulator_without_its_secret(network: Any) -> None:
    async with httpx.AsyncClient(base_url=network.url) as stranger:
        for path in ("/simulator/calls", "/simulator/numbers", "/simulator/calls/x"):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.post("/simulator/calls", json={})).status_code == 401
        wrong = {"Authorization": "Bearer wrong"}
        assert (await stranger.get("/simulator/calls", headers=wrong)).status_code == 401
    bad = await network.http.post("/simulator/calls", json={"provider": "twilio", "to": OURS, "faults": {"loss": 2}})
    assert (bad.status_code, "loss" in bad.json()["error"]) == (400, True)
    for unknown in ("acme", "whatsapp"):
        answer = await network.http.post("/simulator/calls", json={"provider": unknown, "to": OURS})
        assert answer.status_code == 400
    assert not any(isinstance(event, InboundCall) for _, event in network.platform.events)

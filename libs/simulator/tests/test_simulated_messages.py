"""The simulated messaging networks as the vendors' own libraries see them: what they send is taken, what is posted to us they believe."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
import pytest_asyncio
import requests
import telegram
import telnyx
from pywa import WhatsApp
from pywa.errors import ReEngagementMessage, TemplateNotExists
from pywa.types import Message, MessageStatus, MessageStatusType
from pywa.types.templates import TemplateLanguage
from requests.adapters import HTTPAdapter
from telegram import Bot, Update
from telegram.error import BadRequest, Forbidden, RetryAfter
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client as Twilio
from voisnap_domain.tenants import Environment
from voisnap_providers.messengers import Messengers
from voisnap_testkit.simulated_networks import OUR_NUMBER, THEIR_CHAT, THEIR_NUMBER, Simulation, simulation
from vonage_http_client.auth import Auth
from vonage_http_client.errors import HttpRequestError
from vonage_http_client.http_client import HttpClient, HttpClientOptions
from vonage_jwt.verify_jwt import verify_signature
from vonage_messages import Messages
from vonage_messages.models import Sms

pytestmark = [pytest.mark.conformance, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Simulation]:
    async with simulation() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Simulation) -> Simulation:
    await running.begin_anew()
    for provider in ("twilio", "vonage", "telnyx", "whatsapp", "telegram"):
        running.set(provider)
    return running


class _TwilioElsewhere(TwilioHttpClient):
    """Sends what Twilio's hosts are asked to one of ours."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=5)
        self._url = url

    def request(self, method: str, url: str, *arguments: object, **more: object):
        path = url.partition("://")[2].partition("/")[2]
        return super().request(method, f"{self._url}/{path}", *arguments, **more)


class _Elsewhere(HTTPAdapter):
    """Sends what a host is asked under https to one of ours."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *arguments: Any, **more: Any) -> requests.Response:
        path = (request.url or "").partition("://")[2].partition("/")[2]
        request.url = f"{self._url}/{path}"
        return super().send(request, *arguments, **more)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        del verify, proxies, cert
        return self.poolmanager.connection_from_url(request.url)


class _MetaElsewhere(httpx.HTTPTransport):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = httpx.URL(url)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = self._url.copy_with(raw_path=self._url.raw_path.rstrip(b"/") + request.url.raw_path)
        return super().handle_request(request)


async def test_twilios_library_sends_and_believes_what_is_posted(world: Simulation) -> None:
    account = world.account("twilio")
    sid, token = account.option("account_sid"), account.secret("auth_token")
    library = Twilio(sid, token, http_client=_TwilioElsewhere(f"{world.world.url}/twilio"))
    url = f"{world.desk.url}/api/v1/carriers/twilio/simulator/message-status?message=m1"
    sent = await asyncio.to_thread(
        library.messages.create, to=THEIR_NUMBER, from_=OUR_NUMBER, body="Grüße ✓", status_callback=url
    )
    assert (sent.status, sent.num_segments, sent.direction, sent.body) == ("queued", "1", "outbound-api", "Grüße ✓")
    await world.network.settled()
    assert (await asyncio.to_thread(library.messages(sent.sid).fetch)).status == "delivered"
    await world.write("twilio", "Hi & hello =")
    validator, statuses = RequestValidator(token), []
    for request in world.desk.requests:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        assert validator.validate(request.url, form, request.headers["x-twilio-signature"])
        statuses.append((form.get("MessageStatus"), form.get("Body")))
    assert statuses == [("sent", None), ("delivered", None), (None, "Hi & hello =")]


async def test_twilio_refuses_as_twilio_does(world: Simulation) -> None:
    account = world.account("twilio")
    http = _TwilioElsewhere(f"{world.world.url}/twilio")
    library = Twilio(account.option("account_sid"), account.secret("auth_token"), http_client=http)
    orders: tuple[tuple[dict[str, Any], int], ...] = (
        ({"to": THEIR_NUMBER, "from_": OUR_NUMBER}, 21602),
        ({"to": THEIR_NUMBER, "from_": OUR_NUMBER, "body": "x" * 1601}, 21617),
        ({"to": "5550199", "from_": OUR_NUMBER, "body": "x"}, 21211),
        ({"to": THEIR_NUMBER, "from_": "+14155550111", "body": "x"}, 21660),
    )
    for order, code in orders:
        with pytest.raises(TwilioRestException) as raised:
            await asyncio.to_thread(library.messages.create, **order)
        assert (raised.value.status, raised.value.code) == (400, code)
    await world.write("twilio", "stop")
    with pytest.raises(TwilioRestException) as raised:
        await asyncio.to_thread(library.messages.create, to=THEIR_NUMBER, from_=OUR_NUMBER, body="x")
    assert raised.value.code == 21610
    await world.write("twilio", "START")
    await asyncio.to_thread(library.messages.create, to=THEIR_NUMBER, from_=OUR_NUMBER, body="x")
    stranger = Twilio(account.option("account_sid"), "0" * 32, http_client=http)
    with pytest.raises(TwilioRestException) as raised:
        await asyncio.to_thread(stranger.messages.create, to=THEIR_NUMBER, from_=OUR_NUMBER, body="x")
    assert (raised.value.status, raised.value.code) == (401, 20003)


async def test_vonages_library_sends_and_believes_what_is_posted(world: Simulation) -> None:
    account = world.account("vonage")
    library = vonage_library(world, account.option("application_id"), account.secret("private_key"))
    order = Sms(
        to=THEIR_NUMBER[1:],
        from_=OUR_NUMBER[1:],
        text="Grüße ✓",
        client_ref="m1",
        webhook_url=f"{world.desk.url}/api/v1/carriers/vonage/simulator/message-status?message=m1",
    )
    sent = await asyncio.to_thread(library.send, order)
    await world.network.settled()
    assert world.inbox("vonage") == ["Grüße ✓"]
    await world.write("vonage", "Hi & hello")
    told = []
    for request in world.desk.requests:
        token = request.headers["authorization"].removeprefix("Bearer ")
        assert verify_signature(token, account.secret("signature_secret").ljust(32, "\0"))
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["payload_hash"] == hashlib.sha256(request.body).hexdigest()
        body = json.loads(request.body)
        told.append(
            (body.get("status"), body.get("text"), body.get("client_ref"), body["message_uuid"] == sent.message_uuid)
        )
    assert told == [
        ("submitted", None, "m1", True),
        ("delivered", None, "m1", True),
        (None, "Hi & hello", None, False),
    ]
    stranger = vonage_library(world, "another", account.secret("private_key"))
    with pytest.raises(HttpRequestError) as raised:
        await asyncio.to_thread(stranger.send, order)
    assert raised.value.response.status_code == 401


def vonage_library(world: Simulation, application: str, key: str) -> Messages:
    client = HttpClient(Auth(application_id=application, private_key=key), HttpClientOptions(timeout=5))
    client._session.mount("https://", _Elsewhere(f"{world.world.url}/vonage"))
    return Messages(client)


async def test_telnyxs_library_sends_and_believes_what_is_posted(world: Simulation) -> None:
    account = world.account("telnyx")
    library = telnyx.Telnyx(
        api_key=account.secret(),
        base_url=account.option("base_url"),
        public_key=account.option("public_key"),
        max_retries=0,
    )
    try:
        sent = await asyncio.to_thread(
            library.messages.send,
            to=THEIR_NUMBER,
            from_=OUR_NUMBER,
            text="Grüße ✓",
            idempotency_key="m1",
        )
        assert sent.data is not None
        assert (sent.data.parts, sent.data.encoding) == (1, "UCS-2")
        await world.network.settled()
        await world.write("telnyx", "HELP")
        told = []
        for request in world.desk.requests:
            event: Any = library.webhooks.unwrap(request.body.decode(), headers=dict(request.headers))
            payload = event.data.payload
            told.append((event.data.event_type, payload.to[0].status, payload.text))
        assert told == [
            ("message.sent", "sent", "Grüße ✓"),
            ("message.finalized", "delivered", "Grüße ✓"),
            ("message.received", "webhook_delivered", "HELP"),
        ]
        await world.write("telnyx", "stop all")
        with pytest.raises(telnyx.BadRequestError) as raised:
            await asyncio.to_thread(library.messages.send, to=THEIR_NUMBER, from_=OUR_NUMBER, text="x")
        assert "40300" in str(raised.value.body)
    finally:
        library.close()


@pytest.fixture
def meta(world: Simulation):
    account = world.account("whatsapp")
    session = httpx.Client(transport=_MetaElsewhere(f"{world.world.url}/whatsapp"))
    yield WhatsApp(
        phone_id=account.option("phone_number_id"),
        token=account.secret("access_token"),
        session=session,
        verify_token=account.secret("verify_token"),
        app_secret=account.secret("app_secret"),
    )
    session.close()


async def test_metas_messages_are_sent_and_read_by_a_library_of_others(world: Simulation, meta: WhatsApp) -> None:
    await world.write("whatsapp", "Hi / höllo")
    sent = await asyncio.to_thread(meta.send_message, to=THEIR_NUMBER, text="Grüße ✓", tracker="m1")
    await world.network.settled()
    assert world.inbox("whatsapp") == ["Grüße ✓"]
    for request in world.desk.requests:
        assert meta.webhook_update_validator(request.body, request.headers["x-hub-signature-256"]) is None
        assert meta.webhook_update_validator(request.body + b" ", request.headers["x-hub-signature-256"]) is not None
    first, *statuses = [json.loads(request.body) for request in world.desk.requests]
    heard = Message.from_update(meta, first)
    assert (heard.text, heard.from_user.wa_id, heard.from_user.bsuid) == (
        "Hi / höllo",
        THEIR_NUMBER[1:],
        "US.141555501997",
    )
    told = [MessageStatus.from_update(meta, status) for status in statuses]
    assert [one.status for one in told] == [MessageStatusType.SENT, MessageStatusType.DELIVERED, MessageStatusType.READ]
    assert {(one.id, one.tracker) for one in told} == {(sent.id, "m1")}
    await asyncio.to_thread(meta.indicate_typing, message_id=heard.id)
    assert world.person("whatsapp").shows == ["read", "typing"]


async def test_meta_takes_templates_alone_outside_of_the_window(world: Simulation, meta: WhatsApp) -> None:
    sent = await asyncio.to_thread(meta.send_message, to=THEIR_NUMBER, text="It was long ago")
    await world.network.settled()
    failed = MessageStatus.from_update(meta, json.loads(world.desk.requests[-1].body))
    assert (failed.id, failed.status) == (sent.id, MessageStatusType.FAILED)
    assert isinstance(failed.error, ReEngagementMessage)
    values: Any = []
    await asyncio.to_thread(
        meta.send_template, to=THEIR_NUMBER, name="hello_world", language=TemplateLanguage.ENGLISH_US, params=values
    )
    await world.network.settled()
    assert MessageStatus.from_update(meta, json.loads(world.desk.requests[-1].body)).status is MessageStatusType.READ
    with pytest.raises(TemplateNotExists):
        await asyncio.to_thread(
            meta.send_template, to=THEIR_NUMBER, name="missing_one", language=TemplateLanguage.ENGLISH_US, params=values
        )


async def test_metas_voice_notes_and_the_address_of_a_number(world: Simulation, meta: WhatsApp) -> None:
    await world.write("whatsapp", voiceNote="where is it")
    heard = Message.from_update(meta, json.loads(world.desk.requests[-1].body))
    assert heard.audio is not None
    assert heard.audio.voice
    assert (await asyncio.to_thread(heard.audio.get_media_url)).startswith(world.world.url)
    number = await asyncio.to_thread(meta.get_business_phone_number)
    assert number.verified_name == "Voisnap sandbox"


async def test_telegrams_messages_are_sent_and_read_by_a_library_of_others(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # what its next version does; it warns of the older way
    account = world.account("telegram")
    url = f"{world.world.url}/telegram"
    async with Bot(account.secret("bot_token"), base_url=f"{url}/bot", base_file_url=f"{url}/file/bot") as bot:
        assert (await bot.get_me()).id == int(world.ours("telegram"))
        with pytest.raises(BadRequest, match=r"(?i)chat not found"):
            await bot.send_message(THEIR_CHAT, "Nobody asked")
        posted = f"{world.desk.url}/api/v1/carriers/telegram/simulator/messages"
        await bot.set_webhook(posted, secret_token="s3cret", allowed_updates=["message", "edited_message"])
        said = await world.write("telegram", "[Hi] & höllo")
        await world.write("telegram", "Changed", editOf=said["message"]["id"])
        await world.write("telegram", voiceNote="where is it")
        assert {request.headers["x-telegram-bot-api-secret-token"] for request in world.desk.requests} == {"s3cret"}
        first, edit, note = [Update.de_json(json.loads(request.body), bot) for request in world.desk.requests]
        assert first.message is not None
        assert edit.edited_message is not None
        assert note.message is not None
        assert (first.message.text, first.message.chat.id) == ("[Hi] & höllo", int(THEIR_CHAT))
        assert (edit.edited_message.text, edit.edited_message.message_id) == ("Changed", first.message.message_id)
        assert note.message.voice is not None
        file = await note.message.voice.get_file()
        assert bytes(await file.download_as_bytearray())[:4] == b"OggS"
        answered = await bot.send_message(
            THEIR_CHAT, "[1] Grüße ✓", reply_parameters=telegram.ReplyParameters(first.message.message_id)
        )
        assert answered.text == "[1] Grüße ✓"
        await bot.send_chat_action(THEIR_CHAT, "typing")
        assert world.person("telegram").shows == ["typing"]
        world.set("telegram", limit=1, retry_after=3)
        with pytest.raises(RetryAfter):
            await bot.send_message(THEIR_CHAT, "Too fast")
        with pytest.raises(BadRequest, match=r"(?i)too long"):
            await bot.send_message(THEIR_CHAT, "x" * 4097)
        await world.change("telegram", isBlocked=True)
        with pytest.raises(Forbidden):
            await bot.send_message(THEIR_CHAT, "Please")
        info = await bot.get_webhook_info()
        assert (info.url, info.pending_update_count) == (posted, 0)


async def test_telegrams_updates_wait_for_a_webhook_that_takes_them(world: Simulation) -> None:
    account = world.account("telegram")
    url = f"{world.world.url}/telegram"
    await world.write("telegram", "Is anybody there?")
    assert world.desk.requests == []
    async with Bot(account.secret("bot_token"), base_url=f"{url}/bot") as bot:
        assert (await bot.get_webhook_info()).pending_update_count == 1
        await bot.set_webhook(f"{world.desk.url}/api/v1/carriers/telegram/simulator/messages")
        await world.network.settled()
        (request,) = world.desk.requests
        assert json.loads(request.body)["message"]["text"] == "Is anybody there?"
        with pytest.raises(BadRequest, match=r"(?i)https"):
            await bot.set_webhook("http://voice.example/hook")


async def test_the_control_routes_want_the_bearer_and_say_what_is_wrong(world: Simulation) -> None:
    async with httpx.AsyncClient(base_url=world.world.url) as stranger:
        for path in ("/simulator/messages", "/simulator/people/twilio/+14155550199"):
            assert (await stranger.get(path)).status_code == 401
        stranger.headers["authorization"] = f"Bearer {world.world.bearer}"
        for body, status in (
            ({"provider": "fax", "from": THEIR_NUMBER}, 400),
            ({"provider": "twilio", "from": "me", "text": "x"}, 400),
            ({"provider": "twilio", "from": THEIR_NUMBER, "to": "+14155550111", "text": "x"}, 404),
            ({"provider": "twilio", "from": THEIR_NUMBER, "txt": "x"}, 400),
        ):
            response = await stranger.post("/simulator/messages", json=body)
            assert (response.status_code, "error" in response.json()) == (status, True)
        reading = asyncio.create_task(stranger.get("/simulator/messages", params={"person": THEIR_NUMBER, "wait": 5}))
        await world.write("twilio", "Here I am")
        assert [text["text"] for text in (await reading).json()["messages"]] == ["Here I am"]


async def test_metas_app_is_subscribed_before_anything_is_posted(world: Simulation, meta: WhatsApp) -> None:
    business = "104996122399160"
    account = world.account("whatsapp")
    options = {**account.options, "business_account_id": business}
    messengers = Messengers()
    made = messengers.of(msgspec.structs.replace(account, options=options), Environment.SANDBOX)
    assert made.registrar is not None
    world.desk.messengers["whatsapp"] = made
    assert len(await asyncio.to_thread(meta.api.get_waba_subscribed_apps, business)) == 1
    await asyncio.to_thread(meta.api._request, method="DELETE", endpoint=f"/{business}/subscribed_apps")
    state = await made.registrar.registered()
    assert (state.url, state.last_error) == ("", "No app is subscribed to the WhatsApp business account.")
    url = world.world.urls.messages("whatsapp", "simulator")
    assert (await made.registrar.register(url)).url == url
    await messengers.aclose()

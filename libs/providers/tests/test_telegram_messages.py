"""Telegram's own: whose chats are read, numbers that are shared, who blocks the bot, and where its updates go."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import Consent, MediaKind, MessageFailure
from voisnap_providers.errors import MessageRefused, ProviderAuthError, ProviderError
from voisnap_providers.messengers import Messengers
from voisnap_providers.ports.messaging import (
    BadSignature,
    ConsentChanged,
    InboundMessage,
    OutgoingMessage,
    WebhookRequest,
)
from voisnap_providers.vendors.telegram.messaging import TelegramMessages
from voisnap_providers.vendors.telegram.webhooks import TelegramWebhooks, secret_for
from voisnap_testkit.simulated_networks import THEIR_CHAT, Simulation, simulation

pytestmark = [pytest.mark.conformance, pytest.mark.asyncio(loop_scope="module")]

WEBHOOKS = TelegramWebhooks(secret_token="s3cret", bot_id="42")
USER = {"id": 7, "is_bot": False, "first_name": "Zoë", "last_name": "B", "username": "zoe", "language_code": "de"}
CHAT = {"id": 7, "type": "private"}


def read(**update: Any) -> tuple[Any, ...]:
    body = json.dumps({"update_id": 9, **update}).encode()
    request = WebhookRequest(
        method="POST",
        url="https://h.example",
        headers={"x-telegram-bot-api-secret-token": "s3cret"},
        body=body,
    )
    WEBHOOKS.verify(request, now=0)
    return WEBHOOKS.read(request)


def message(**more: Any) -> dict[str, Any]:
    return {"message_id": 3, "from": USER, "chat": CHAT, "date": 1780000000, **more}


async def test_a_message_is_named_by_its_chat_and_a_reply_by_the_same_way() -> None:
    (heard,) = read(message=message(text="/start", reply_to_message={"message_id": 2}))
    assert (heard.message_id, heard.event_id, heard.reply_to, heard.text) == ("7:3", "9", "7:2", "/start")
    assert (heard.sender.name, heard.sender.handle, heard.sender.language) == ("Zoë B", "zoe", "de")
    (edit,) = read(edited_message=message(text="Hello", edit_date=1780000009))
    assert (edit.message_id, edit.is_edit, edit.at) == ("7:3", True, 1780000009.0)


async def test_the_secret_says_to_which_bot_it_was_written() -> None:
    def sent(secret: str) -> WebhookRequest:
        headers = {"x-telegram-bot-api-secret-token": secret}
        body = json.dumps({"update_id": 9, "message": message(text="Hi")}).encode()
        return WebhookRequest(method="POST", url="https://h.example", headers=headers, body=body)

    for secret, bot in (("s3cret", "42"), (secret_for("s3cret", "4711"), "4711")):
        WEBHOOKS.verify(sent(secret), now=0)
        assert [event.recipient for event in WEBHOOKS.read(sent(secret))] == [bot]
    for forged in ("", "s3cret-", "s3cret-x", "other-4711", "-4711", "s3cret4711", "s3cret-" + "1" * 21):
        with pytest.raises(BadSignature):
            WEBHOOKS.verify(sent(forged), now=0)
    assert secret_for("x" * 256, "42") == "x" * 256


async def test_groups_channels_and_other_bots_are_not_answered() -> None:
    group = {"id": -100, "type": "supergroup"}
    for left_out in (
        {"message": message(text="Hi", chat=group)},
        {"message": message(text="Hi", **{"from": {**USER, "is_bot": True}})},
        {"channel_post": message(text="Hi")},
        {"message": message(pinned_message={"message_id": 1})},
        {"callback_query": {"id": "1"}},
        {},
    ):
        assert read(**left_out) == ()


async def test_only_ones_own_shared_number_is_believed() -> None:
    for owner, number in ((7, "+491701234567"), (8, None), (None, None)):
        contact = {"phone_number": "491701234567", "user_id": owner}
        (heard,) = read(message=message(contact=contact))
        assert (heard.sender.phone_number, [one.kind for one in heard.media]) == (number, [MediaKind.CONTACT])


async def test_what_is_not_written_still_says_what_it_is() -> None:
    file = {"file_id": "F", "file_size": 10}
    for name, part, kind in (
        ("voice", {**file, "duration": 2, "mime_type": "audio/ogg"}, MediaKind.VOICE),
        ("video_note", {**file, "duration": 2}, MediaKind.VIDEO),
        ("photo", [file, {**file, "file_id": "LARGE"}], MediaKind.IMAGE),
        ("sticker", file, MediaKind.STICKER),
        ("location", {"latitude": 1, "longitude": 2}, MediaKind.LOCATION),
        ("poll", {"id": "1"}, MediaKind.OTHER),
    ):
        (heard,) = read(message=message(**{name: part}))
        assert [one.kind for one in heard.media] == [kind]
        assert heard.media[0].reference == ("LARGE" if name == "photo" else "" if kind in _WORDLESS else "F")


_WORDLESS = (MediaKind.LOCATION, MediaKind.OTHER)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Simulation]:
    async with simulation() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Simulation) -> AsyncIterator[Simulation]:
    await running.begin_anew()
    messengers = Messengers()
    running.desk.messengers["telegram"] = messengers.of(running.account("telegram"), Environment.SANDBOX)
    running.set("telegram")
    yield running
    await messengers.aclose()


async def test_who_blocks_the_bot_has_opted_out_and_may_come_back(world: Simulation) -> None:
    messenger = world.desk.messengers["telegram"]
    assert messenger.registrar is not None
    await messenger.registrar.register(world.world.urls.messages("telegram", "simulator"))
    await world.write("telegram", "Hi")
    await world.change("telegram", isBlocked=True)
    order = OutgoingMessage(id="m1", sender=world.ours("telegram"), to=THEIR_CHAT, text="Please")
    with pytest.raises(MessageRefused) as refused:
        await messenger.sender.send(order)
    assert refused.value.failure is MessageFailure.OPTED_OUT
    await world.change("telegram", isBlocked=False)
    assert [event.consent for event in world.desk.of(ConsentChanged)] == [Consent.STOP, Consent.START]
    await messenger.sender.send(order)


async def test_a_bot_says_who_it_is_and_where_its_updates_go(world: Simulation) -> None:
    registrar = world.desk.messengers["telegram"].registrar
    assert registrar is not None
    own = await registrar.own_address()
    assert (own.address, own.handle) == (world.ours("telegram"), "@voisnap_sandbox_bot")
    assert (await registrar.registered()).url == ""
    await world.write("telegram", "Are you there?")
    assert (await registrar.registered()).pending == 1
    url = world.world.urls.messages("telegram", "simulator")
    assert (await registrar.register(url)).url == url
    await world.network.settled()
    assert [event.text for event in world.desk.of(InboundMessage)] == ["Are you there?"]
    world.desk.statuses[:] = [403]
    await world.write("telegram", "Once more")
    state = await registrar.registered()
    assert (state.pending, "403" in state.last_error) == (1, True)
    await registrar.unregister()
    assert (await registrar.registered()).url == ""
    with pytest.raises(ProviderError, match="https addresses"):
        await registrar.register("http://voice.example/hook")


async def test_what_is_no_token_never_leaves_the_house(world: Simulation) -> None:
    for token in ("", "no token", "123:short", "123:" + "x" * 35 + "/../setWebhook"):
        with pytest.raises(ValueError, match="a bot's token is its number") as raised:
            TelegramMessages(bot_token=token)
        assert token == "" or token not in str(raised.value)
    stranger = TelegramMessages(bot_token="1:" + "x" * 35, base_url=world.account("telegram").option("base_url"))
    with pytest.raises(ProviderAuthError):
        await stranger.own_address()
    await stranger.aclose()


async def test_a_reply_in_another_chat_is_sent_without_it(world: Simulation) -> None:
    sender = world.desk.messengers["telegram"].sender
    said = await world.write("telegram", "Hi")
    for reply_to, kept in ((said["message"]["id"], said["message"]["id"]), ("1:5", ""), ("wamid.X", "")):
        order = OutgoingMessage(id="m", sender=world.ours("telegram"), to=THEIR_CHAT, text="Yes?", reply_to=reply_to)
        sent = await sender.send(order)
        text = world.network.text(sent.message_id)
        assert text is not None
        assert text.reply_to == kept

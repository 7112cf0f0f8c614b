"""What every messaging network promises alike, held against the simulated ones: what is read, what is sent, what a fault means.

A network joins with one line in CASES. What its own webhooks look like is held beside it, in `test_<network>_messages.py`.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import MessageFailure, MessageState, is_later, pieces
from voisnap_providers.errors import (
    MessageRefused,
    MessageUncertain,
    ProviderAuthError,
    ProviderError,
    ProviderTimeout,
    ProviderUnconfigured,
)
from voisnap_providers.messengers import Messenger, Messengers, is_signed, sandbox_address
from voisnap_providers.ports.messaging import (
    BadSignature,
    BadWebhook,
    InboundMessage,
    MediaKind,
    MessageMedia,
    MessageProgress,
    OutgoingMedia,
    OutgoingMessage,
    Template,
    WebhookRequest,
)
from voisnap_providers.vendors import carrier_http
from voisnap_testkit.local_server import served
from voisnap_testkit.simulated_networks import Simulation, simulation

pytestmark = [pytest.mark.conformance, pytest.mark.asyncio(loop_scope="module")]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A network: its own word for somebody who can't be reached, the last state of a message that arrives, and which header proves a webhook."""

    name: str
    channel: Channel = Channel.SMS
    unreachable: str
    final: MessageState = MessageState.DELIVERED
    proof: str


CASES = (
    Case(name="twilio", unreachable="21614", proof="x-twilio-signature"),
    Case(name="vonage", unreachable="1170", proof="authorization"),
    Case(name="telnyx", unreachable="40310", proof="telnyx-signature-ed25519"),
    Case(
        name="whatsapp",
        channel=Channel.WHATSAPP,
        unreachable="131026",
        final=MessageState.READ,
        proof="x-hub-signature-256",
    ),
    Case(
        name="telegram",
        channel=Channel.TELEGRAM,
        unreachable="chat not found",
        final=MessageState.SENT,
        proof="x-telegram-bot-api-secret-token",
    ),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest_asyncio.fixture(loop_scope="module")
async def messengers() -> AsyncIterator[Messengers]:
    made = Messengers()
    yield made
    await made.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Simulation]:
    async with simulation() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(running: Simulation) -> Simulation:
    await running.begin_anew()
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def messenger(case: Case, world: Simulation, messengers: Messengers) -> Messenger:
    """The network of the sandbox, registered where it has to be, with somebody who has written once."""
    made = messengers.of(world.account(case.name), Environment.SANDBOX)
    world.desk.messengers[case.name] = made
    if made.registrar is not None:
        url = world.world.urls.messages(case.name, "simulator")
        assert (await made.registrar.register(url)).url == url
    world.set(case.name)
    await world.write(case.name, "Hello")
    world.desk.events.clear()
    world.desk.requests.clear()
    return made


def message(case: Case, world: Simulation, text: str = "Good evening", **more: Any) -> OutgoingMessage:
    urls = world.world.urls
    order = {
        "id": "msg_1",
        "sender": world.ours(case.name),
        "to": world.theirs(case.name),
        "text": text,
        "status_url": urls.message_status(case.name, "simulator", message_id="msg_1"),
        **more,
    }
    return OutgoingMessage(**order)


async def failed(command: Awaitable[object], world: Simulation, case: Case) -> ProviderError:
    """The fault, which repeats neither the text nor an address nor a key."""
    with pytest.raises(ProviderError) as raised:
        await command
    error = raised.value
    assert error.kind == "messaging"
    secrets = world.account(case.name).secrets.values()
    for told in ("Good evening", world.theirs(case.name).lstrip("+"), *secrets):
        assert told not in f"{error} {error.detail}"
    return error


async def test_what_somebody_writes_is_read_once_with_who_and_where(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    said = await world.write(case.name, "Où est le café ? 🙂 https://example.com/a?b=c&d=é")
    (heard,) = world.desk.of(InboundMessage)
    assert world.desk.faults == []
    assert said["webhook"]["status"] == 200
    assert heard == msgspec.structs.replace(
        heard,
        network=case.channel,
        message_id=said["message"]["id"],
        recipient=world.ours(case.name),
        text="Où est le café ? 🙂 https://example.com/a?b=c&d=é",
        media=(),
        is_edit=False,
        consent=None,
    )
    assert heard.sender.address == world.theirs(case.name)
    assert heard.sender.phone_number == (None if case.name == "telegram" else world.theirs(case.name))


async def test_what_was_changed_on_its_way_or_is_not_signed_is_not_believed(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    await world.write(case.name, "Pay 5")
    request = world.desk.requests[-1]
    now = world.desk.now()
    messenger.webhooks.verify(request, now=now)
    assert is_signed(case.name, request)
    bare = {name: value for name, value in request.headers.items() if name != case.proof}
    assert not is_signed(case.name, msgspec.structs.replace(request, headers=bare))
    forged = [
        msgspec.structs.replace(request, headers=bare),
        msgspec.structs.replace(request, headers={**bare, case.proof: "ä" + request.headers[case.proof]}),
        msgspec.structs.replace(request, headers={**bare, case.proof: request.headers[case.proof][:-4] + "AAAA"}),
    ]
    if case.name != "telegram":  # its secret signs no body
        assert b"Pay" in request.body
        forged.append(msgspec.structs.replace(request, body=request.body.replace(b"Pay", b"Say")))
    for each in forged:
        with pytest.raises(BadSignature):
            messenger.webhooks.verify(each, now=now)


async def test_whatever_is_posted_is_read_or_refused_as_no_webhook(case: Case, messenger: Messenger) -> None:
    bodies = (b"", b"{}", b"[]", b"null", b"\xff", b'{"data":{}}', b"[1," * 5000, b'{"object":"page","entry":[]}')
    for body in (*bodies, b'{"update_id":"x"}', b'{"message_uuid":5}', b"MessageSid=SM1", b"a=%ff&" * 300):
        for headers in (
            {"content-type": "application/json"},
            {"content-type": "application/x-www-form-urlencoded"},
            {},
        ):
            request = WebhookRequest(method="POST", url="https://h.example/x", headers=headers, body=body)
            with pytest.raises(BadSignature):
                messenger.webhooks.verify(request, now=0.0)
            try:
                assert messenger.webhooks.read(request) == ()
            except BadWebhook:
                continue


async def test_what_we_send_arrives_and_what_becomes_of_it_is_told_in_order(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    sent = await messenger.sender.send(message(case, world))
    await world.network.settled()
    assert world.inbox(case.name) == ["Good evening"]
    assert world.network.text(sent.message_id) is not None
    told = world.desk.of(MessageProgress)
    assert {one.message_id for one in told} <= {sent.message_id}
    state = sent.state
    for one in told:
        assert is_later(one.state, state)
        state = one.state
    assert state is case.final
    assert bool(told) is messenger.sender.capabilities.progress
    if case.name in ("vonage", "whatsapp"):
        assert {one.reference for one in told} == {"msg_1"}


async def test_half_a_character_does_not_keep_a_text_from_being_sent(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    await messenger.sender.send(message(case, world, "Half \ud83d of\0 it 🙂"))
    assert world.inbox(case.name) == ["Half ? of it 🙂"]


async def test_repeated_and_disordered_progress_ends_in_the_same_state(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    world.set(case.name, copies=3, reversed_states=True)
    state = (await messenger.sender.send(message(case, world))).state
    await world.network.settled()
    seen: dict[str, MessageState] = {}
    for one in world.desk.of(MessageProgress):
        assert seen.setdefault(one.event_id, one.state) is one.state
        state = one.state if is_later(one.state, state) else state
    assert state is case.final
    assert len(world.desk.of(MessageProgress)) == 3 * len(seen)


async def test_a_long_answer_is_cut_into_messages_that_the_network_takes_and_reads_the_same(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    limit = messenger.sender.capabilities.text
    text = " ".join(f"Sentence number {number} is about the café at № {number}." for number in range(100))
    cut = pieces(text, limit)
    assert len(cut) > 1
    for number, piece in enumerate(cut):
        await messenger.sender.send(message(case, world, piece, id=f"msg_{number}"))
    assert " ".join(world.inbox(case.name)) == text
    longest = "x" * 16_000
    error = await failed(messenger.sender.send(message(case, world, longest, id="msg_x")), world, case)
    assert isinstance(error, MessageRefused)
    assert error.failure is MessageFailure.CONTENT


async def test_what_is_refused_at_once_says_why_and_is_not_to_be_repeated(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    world.set(case.name, refuse=case.unreachable)
    error = await failed(messenger.sender.send(message(case, world)), world, case)
    assert isinstance(error, MessageRefused)
    assert (error.failure, error.retryable) == (MessageFailure.UNREACHABLE, False)
    assert world.inbox(case.name) == []


async def test_what_fails_on_its_way_says_why(case: Case, world: Simulation, messenger: Messenger) -> None:
    if not messenger.sender.capabilities.progress:
        return
    code = {"twilio": "30003", "vonage": "1180", "telnyx": "40008", "whatsapp": "131026"}[case.name]
    world.set(case.name, fail=code)
    sent = await messenger.sender.send(message(case, world))
    await world.network.settled()
    last = world.desk.of(MessageProgress)[-1]
    assert (last.message_id, last.failure, last.code) == (sent.message_id, MessageFailure.UNREACHABLE, code)
    assert last.state in (MessageState.FAILED, MessageState.UNDELIVERABLE)


async def test_too_many_messages_wait_as_long_as_the_network_says(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    world.set(case.name, limit=1, retry_after=7)
    error = await failed(messenger.sender.send(message(case, world)), world, case)
    assert error.retryable
    assert error.retry_after == (None if case.name == "whatsapp" else 7.0)
    await messenger.sender.send(message(case, world))
    assert world.inbox(case.name) == ["Good evening"]


async def test_a_send_whose_answer_is_lost_is_uncertain_and_arrives_once_where_it_may_be_repeated(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    world.set(case.name, lose_answers=1)
    error = await failed(messenger.sender.send(message(case, world)), world, case)
    assert type(error) is MessageUncertain
    assert not error.retryable
    if messenger.sender.capabilities.is_repeatable:
        again = await messenger.sender.send(message(case, world))
        assert world.network.text(again.message_id) is not None
    assert world.inbox(case.name) == ["Good evening"]


async def test_a_network_that_does_not_answer_in_time_leaves_a_send_uncertain(
    case: Case, world: Simulation, messengers: Messengers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(carrier_http, "_WHOLE_SECONDS", 0.05)
    async with served(silent) as port:
        account = elsewhere(world, case, f"http://127.0.0.1:{port}")
        sender = messengers.of(account, Environment.SANDBOX).sender
        assert type(await failed(sender.send(message(case, world)), world, case)) is MessageUncertain
        if case.name in ("whatsapp", "telegram"):
            fault = await failed(sender.fetch(MessageMedia(kind=MediaKind.VOICE, reference="123")), world, case)
            assert isinstance(fault, ProviderTimeout)


async def test_what_never_left_may_be_sent_again(case: Case, world: Simulation, messengers: Messengers) -> None:
    sender = messengers.of(elsewhere(world, case, "http://127.0.0.1:9"), Environment.SANDBOX).sender
    error = await failed(sender.send(message(case, world)), world, case)
    assert (type(error), error.retryable) == (ProviderError, True)


async def test_a_key_that_is_refused_is_nobody_elses_fault(
    case: Case, world: Simulation, messengers: Messengers
) -> None:
    account = world.account(case.name)
    wrong = {"twilio": "auth_token", "telnyx": "api_key", "whatsapp": "access_token"}.get(case.name)
    if wrong is not None:
        account = msgspec.structs.replace(account, secrets={**account.secrets, wrong: "0" * 32})
    elif case.name == "telegram":
        token = account.secret("bot_token").partition(":")[0] + ":" + "x" * 35
        account = msgspec.structs.replace(account, secrets={**account.secrets, "bot_token": token})
    else:
        account = msgspec.structs.replace(account, options={**account.options, "application_id": "another"})
    sender = messengers.of(account, Environment.SANDBOX).sender
    assert isinstance(await failed(sender.send(message(case, world)), world, case), ProviderAuthError)


async def test_a_voice_note_is_fetched_whole(case: Case, world: Simulation, messenger: Messenger) -> None:
    await world.write(case.name, voiceNote="where is my parcel")
    (heard,) = world.desk.of(InboundMessage)
    (media,) = heard.media
    assert (media.kind, heard.text) == (MediaKind.VOICE, "")
    fetched = await messenger.sender.fetch(media)
    (kept,) = world.network.media.values()
    assert fetched.content == kept.content
    assert fetched.content_type == "audio/ogg"


async def test_a_picture_keeps_its_words(case: Case, world: Simulation, messenger: Messenger) -> None:
    content = base64.b64encode(b"\xff\xd8picture").decode()
    await world.write(case.name, "This one", attachment={"content": content, "contentType": "image/jpeg"})
    (heard,) = world.desk.of(InboundMessage)
    assert [media.kind for media in heard.media] == [MediaKind.IMAGE]
    assert heard.text == "This one"


async def test_media_is_fetched_from_the_network_alone_and_never_more_than_it_gives(
    case: Case, world: Simulation, messenger: Messenger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.write(case.name, voiceNote="a note")
    media = world.desk.of(InboundMessage)[0].media[0]
    small = msgspec.structs.replace(messenger.sender.capabilities, max_fetch_bytes=10)
    monkeypatch.setattr(type(messenger.sender), "capabilities", small)
    error = await failed(messenger.sender.fetch(msgspec.structs.replace(media, size=None)), world, case)
    assert isinstance(error, MessageRefused)
    asked = len(world.desk.requests)
    for reference in ("", f"{world.desk.url}/elsewhere", "http://169.254.169.254/latest", "file:///etc/passwd"):
        fault = await failed(
            messenger.sender.fetch(MessageMedia(kind=MediaKind.IMAGE, reference=reference)), world, case
        )
        assert isinstance(fault, MessageRefused | ProviderError)
        assert not fault.retryable
    assert len(world.desk.requests) == asked


async def test_only_networks_with_signs_show_that_somebody_reads_and_types(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    await world.write(case.name, "Are you there?")
    heard = world.desk.of(InboundMessage)[0]
    await messenger.sender.typing(heard)
    await messenger.sender.mark_read(heard)
    seen = world.person(case.name).shows
    assert ("typing" in seen) is bool(messenger.sender.capabilities.typing_seconds)
    assert ("read" in seen) is messenger.sender.capabilities.reads


async def test_addresses_that_share_a_key_are_kept_apart(case: Case, world: Simulation, messenger: Messenger) -> None:
    registrar = messenger.registrar
    if registrar is None:
        assert case.channel is Channel.SMS
        return
    own = await registrar.own_address()
    first, second = (sandbox_address(own, tenant) for tenant in ("ten_a", "ten_b"))
    assert sandbox_address(own, "ten_a") == first
    assert len({own.address, first.address, second.address}) == 3
    url = world.world.urls.messages(case.name, "simulator")
    for one in (first, second):
        assert (await registrar.register(url, address=one.address)).url == url
        await world.write(case.name, "Hello", to=one.address)
        heard = world.desk.of(InboundMessage)[-1]
        assert heard.recipient == one.address
        await messenger.sender.typing(heard)
        await messenger.sender.send(message(case, world, f"From {one.address}", sender=one.address))
    sent = [(text.ours, text.text) for text in world.network.texts if text.direction == "out"]
    assert sent == [(one.address, f"From {one.address}") for one in (first, second)]
    await registrar.unregister(address=first.address)
    assert (await registrar.registered(address=second.address)).url == url


async def test_an_address_that_is_not_ours_is_not_registered(
    case: Case, world: Simulation, messenger: Messenger
) -> None:
    if messenger.registrar is None:
        return
    before = (await messenger.registrar.registered()).url
    # Where nobody knows of the account: WhatsApp asks for its handshake, Telegram wants https.
    elsewhere = f"{world.desk.url}/api/v1/carriers/nobody/simulator/messages"
    url = elsewhere if case.name == "whatsapp" else elsewhere.replace("127.0.0.1", "voice.example")
    error = await failed(messenger.registrar.register(url), world, case)
    assert not error.retryable
    assert "handshake" in error.detail or "https" in error.detail
    assert (await messenger.registrar.registered()).url == before


async def test_templates_go_where_there_are_templates(case: Case, world: Simulation, messenger: Messenger) -> None:
    template = Template(name="order_ready", language="en-US", values=("Anna", "42"))
    order = message(case, world, "", template=template)
    if messenger.sender.capabilities.templates:
        await messenger.sender.send(order)
        assert world.inbox(case.name) == ["[order_ready] Anna 42"]
        order = msgspec.structs.replace(order, template=Template(name="missing_one", language="en"))
    error = await failed(messenger.sender.send(order), world, case)
    assert isinstance(error, MessageRefused)
    assert error.failure is MessageFailure.TEMPLATE


async def test_media_of_ours_is_sent_with_its_caption(case: Case, world: Simulation, messenger: Messenger) -> None:
    media = OutgoingMedia(kind=MediaKind.IMAGE, url="https://h.example/picture.jpg")
    await messenger.sender.send(message(case, world, media=media))
    (sent,) = [text for text in world.network.texts if text.direction == "out"]
    assert (sent.text, sent.media) == ("Good evening", "https://h.example/picture.jpg")


async def test_an_account_of_another_environment_or_without_an_address_is_none(
    case: Case, world: Simulation, messengers: Messengers
) -> None:
    account = world.account(case.name)
    with pytest.raises(ProviderUnconfigured):
        messengers.of(account, Environment.LIVE)
    with pytest.raises(ProviderUnconfigured):
        messengers.of(msgspec.structs.replace(account, id="platform"), Environment.SANDBOX)
    with pytest.raises(ProviderUnconfigured):
        # Without an address of its own it would reach the real one.
        messengers.of(
            msgspec.structs.replace(account, options={**account.options, "base_url": ""}), Environment.SANDBOX
        )
    for secret in account.secrets:
        assert account.secrets[secret] not in repr(account)


def elsewhere(world: Simulation, case: Case, url: str) -> Any:
    account = world.account(case.name)
    return msgspec.structs.replace(account, options={**account.options, "base_url": url})

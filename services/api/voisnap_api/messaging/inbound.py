"""What networks post: messages are taken down once and answered later, by the worker; what became of ours is noted as far as it is news."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

import msgspec
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import MessageId, TenantId
from voisnap_domain.messaging import MAX_TEXT, begins_chat, consent_of, words_of
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.texting import Consent, MediaKind, MessageFailure, is_later, sms_length
from voisnap_kit import log
from voisnap_kit.work import Work
from voisnap_proto.events import MessageReceived
from voisnap_providers.ports.messaging import (
    ConsentChanged,
    CorrespondentMoved,
    InboundMessage,
    MessageProgress,
    MessagingEvent,
)

from voisnap_api.agents import usecases as agents
from voisnap_api.contacts import usecases as contacts
from voisnap_api.contacts.records import Identity, IdentityKind, OptOutSource
from voisnap_api.conversations import usecases as conversations
from voisnap_api.do_not_call import usecases as do_not_call

from . import outbox_store, store
from .records import Address, Message, Source, State, Thread
from .threads import addresses_of, in_name_of, is_secret, our_address, thread_of

GATHERING = timedelta(seconds=1)
"""How long after a message its answer waits for the next one: people write a thought in several."""

GATHERING_SECONDS = 4.0
"""How long the first of them waits at most."""

_SILENT = frozenset({MediaKind.REACTION, MediaKind.STICKER})
"""What nobody expects an answer to."""

_log = log.get(__name__)


async def take_down(
    work: Work,
    provider: str,
    account: str,
    events: Sequence[MessagingEvent],
    *,
    about: str | None = None,
    tenant_id: TenantId | None = None,
) -> None:
    """Everything that one request of a network says; runs as the system. `about` is our message that the address of the request names,
    `tenant_id` whose account it is, if it is one's own: then nobody else's addresses are meant."""
    for event in events:
        if isinstance(event, MessageProgress):
            await _progress(work, provider, account, event, about=about)
            continue
        address = await our_address(work, provider, account, event.recipient)
        if address is None or tenant_id not in (None, address.tenant_id):
            _log.warning("message.address_unknown", provider=provider, account=account)
            continue
        own = in_name_of(work, address)
        match event:
            case InboundMessage():
                await _receive(own, address, event)
            case ConsentChanged():
                await _consent(own, address, event)
            case CorrespondentMoved():
                await _moved(own, address, event)
            case _:
                assert_never(event)


# Messages ---------------------------------------------------------------------------------------------------------


async def _receive(work: Work, address: Address, event: InboundMessage) -> None:
    thread = await thread_of(work, address, event.sender)
    if event.is_edit and await store.correct(
        work.tx, thread.tenant_id, thread.environment, thread.id, event.message_id, event.text[:MAX_TEXT]
    ):
        return
    consent = event.consent or await _said_of_consent(work, thread, event)
    is_out = await contacts.is_opted_out(work, address.channel, addresses_of(event.sender))
    if consent is Consent.START and not is_out and event.consent is None:
        consent = None  # it says nothing new, so that it says something else
    state, source = State.RECEIVED, Source.EDIT if event.is_edit else Source.WROTE
    if consent is not None or is_out or _is_silent(event):
        state = State.IGNORED
    elif address.channel is Channel.TELEGRAM and begins_chat(event.text):
        source = Source.BEGAN
    message = _message(work, thread, event, state, source)
    message = msgspec.structs.replace(message, is_secret=await is_secret(work, thread))
    if not await store.insert(work.tx, message):
        return  # the network repeats itself
    await outbox_store.release_held(work.tx, thread.tenant_id, thread.environment, thread.id, at=work.now)
    if state is State.IGNORED:
        await store.note_written(work.tx, thread.tenant_id, thread.environment, thread.id, at=work.now)
        if consent is not None:
            await _heed(work, thread, event, consent, is_out=is_out)
        return
    await store.wait_for_answer(
        work.tx,
        thread.tenant_id,
        thread.environment,
        thread.id,
        at=work.now,
        due_at=work.now + GATHERING,
        patience_seconds=GATHERING_SECONDS,
    )
    work.emit(
        MessageReceived(
            tenant_id=thread.tenant_id,
            environment=thread.environment,
            message_id=message.id,
            thread_id=thread.id,
            contact_id=thread.contact_id,
            agent_id=thread.agent_id,
            channel=thread.channel,
            at=work.now,
        )
    )
    _log.info("message.received", message_id=message.id, thread_id=thread.id, channel=thread.channel.value)


def _message(work: Work, thread: Thread, event: InboundMessage, state: State, source: Source) -> Message:
    return Message(
        id=MessageId(work.new_id("msg")),
        tenant_id=thread.tenant_id,
        environment=thread.environment,
        thread_id=thread.id,
        direction=Direction.INBOUND,
        network_id=event.message_id,
        dedupe=f"edit {event.event_id}" if event.is_edit else event.message_id,
        source=source,
        text="" if source is Source.BEGAN else event.text.replace("\0", "")[:MAX_TEXT],
        media=event.media,
        reply_to=event.reply_to,
        is_edit=event.is_edit,
        state=state,
        segments=event.segments or (sms_length(event.text).segments if thread.channel is Channel.SMS else 1),
        price=event.price,
        created_at=work.now,
        updated_at=work.now,
    )


def _is_silent(event: InboundMessage) -> bool:
    return not event.text.strip() and bool(event.media) and all(one.kind in _SILENT for one in event.media)


async def _heed(work: Work, thread: Thread, event: InboundMessage, consent: Consent, *, is_out: bool) -> None:
    """Do as a keyword asks, and say so once, unless the network has."""
    addresses = addresses_of(event.sender)
    is_news = True
    match consent:
        case Consent.STOP:
            is_news = await contacts.opt_out(work, thread.channel, addresses, _source(event)) and not is_out
            await do_not_call.heed_stop(work, thread.channel, addresses)
            await _be_quiet(work, thread)
        case Consent.START:
            is_news = await contacts.opt_in(work, thread.channel, addresses)
            await do_not_call.heed_start(work, thread.channel, addresses)
        case Consent.HELP:
            pass
        case _:
            assert_never(consent)
    _log.info("message.consent", thread_id=thread.id, channel=thread.channel.value, consent=consent.value)
    if event.is_answered or not is_news:
        return
    name, language = await _who(work, thread)
    words = words_of(language)
    text = {Consent.STOP: words.stopped, Consent.START: words.started, Consent.HELP: words.help}[consent]
    of_none = msgspec.structs.replace(thread, conversation_id=None)
    await queue(work, of_none, (text.format(name=name),), source=Source.NOTICE, is_secret=await is_secret(work, thread))


async def _said_of_consent(work: Work, thread: Thread, event: InboundMessage) -> Consent | None:
    """What a keyword asks; one that is a word like others elsewhere counts in the agent's language."""
    if event.is_edit or event.media or consent_of(event.text, thread.channel) is None:
        return None
    return consent_of(event.text, thread.channel, (await _who(work, thread))[1])


async def _who(work: Work, thread: Thread) -> tuple[str, str]:
    """The name and the language of the agent that answers."""
    try:
        config = (await agents.get_agent(work, thread.agent_id)).config
    except NotFound:
        return "", "en"
    return config.name, config.transcription.language


def _source(event: InboundMessage) -> OptOutSource:
    return OptOutSource.KEYWORD if event.consent is None else OptOutSource.NETWORK


async def _be_quiet(work: Work, thread: Thread) -> None:
    await store.hold(work.tx, thread.tenant_id, thread.environment, thread.id)
    await store.ignore_waiting(work.tx, thread.tenant_id, thread.environment, thread.id, at=work.now)
    await outbox_store.withhold(
        work.tx,
        thread.tenant_id,
        thread.environment,
        thread.id,
        MessageFailure.OPTED_OUT.value,
        at=work.now,
    )


async def queue(
    work: Work,
    thread: Thread,
    texts: Sequence[str],
    *,
    source: Source,
    is_secret: bool,
    exchange_id: str | None = None,
    message_id: MessageId | None = None,
    created_by: str | None = None,
    **changes: object,
) -> tuple[Message, ...]:
    """Put messages into the outbox, in order; what is there already for the same exchange stays as it is."""
    made: list[Message] = []
    for place, text in enumerate(texts):
        message = Message(
            id=message_id if message_id is not None and place == 0 else MessageId(work.new_id("msg")),
            tenant_id=thread.tenant_id,
            environment=thread.environment,
            thread_id=thread.id,
            conversation_id=thread.conversation_id,
            direction=Direction.OUTBOUND,
            source=source,
            text=text,
            exchange_id=exchange_id,
            place=place,
            state=State.QUEUED,
            segments=sms_length(text).segments if thread.channel is Channel.SMS else 1,
            due_at=work.now,
            created_by=created_by,
            created_at=work.now,
            updated_at=work.now,
            is_secret=is_secret,
        )
        message = msgspec.structs.replace(message, **changes)
        if await store.insert(work.tx, message):
            made.append(message)
    return tuple(made)


# What became of ours ------------------------------------------------------------------------------------------------


async def _progress(work: Work, provider: str, account: str, event: MessageProgress, *, about: str | None) -> None:
    message = await outbox_store.sent_by(
        work.tx, provider, account, message_id=event.reference or about, network_id=event.message_id
    )
    if message is None:
        _log.info("message.progress_unknown", provider=provider, account=account, state=event.state.value)
        return
    if not is_later(event.state, than=message.state.told):
        is_news = await outbox_store.note_price(
            work.tx,
            message.tenant_id,
            message.environment,
            message.id,
            network_id=event.message_id or None,
            segments=event.segments,
            price=event.price,
            tariff=event.tariff,
        )
        if is_news and message.conversation_id is not None:
            await conversations.charge_messages(in_name_of(work, message), message.conversation_id)
        return
    await outbox_store.progress(
        work.tx,
        message.tenant_id,
        message.environment,
        message.id,
        state=State(event.state.value),
        network_id=event.message_id or None,
        failure=event.failure.value if event.failure else None,
        code=event.code[:100],
        detail=event.detail[:500],
        segments=event.segments,
        price=event.price,
        tariff=event.tariff,
        told_at=work.now if event.at is None else datetime.fromtimestamp(event.at, UTC),
        at=work.now,
    )
    thread = await store.thread(work.tx, message.tenant_id, message.environment, message.thread_id)
    if thread is None:
        return
    own = in_name_of(work, thread)
    if event.failure is MessageFailure.OPTED_OUT:
        await contacts.opt_out(own, thread.channel, thread.their_addresses, OptOutSource.NETWORK)
        await do_not_call.heed_stop(own, thread.channel, thread.their_addresses)
        await _be_quiet(own, thread)
    if message.conversation_id is not None:
        await conversations.charge_messages(own, message.conversation_id)
    _log.info("message.progressed", message_id=message.id, state=event.state.value, failure=event.failure)


async def _consent(work: Work, address: Address, event: ConsentChanged) -> None:
    thread = await thread_of(work, address, event.sender)
    if event.consent is Consent.STOP:
        await contacts.opt_out(work, address.channel, addresses_of(event.sender), OptOutSource.NETWORK)
        await do_not_call.heed_stop(work, address.channel, addresses_of(event.sender))
        await _be_quiet(work, thread)
    elif event.consent is Consent.START:
        await contacts.opt_in(work, address.channel, addresses_of(event.sender))
        await do_not_call.heed_start(work, address.channel, addresses_of(event.sender))
    _log.info("message.consent", thread_id=thread.id, channel=address.channel.value, consent=event.consent.value)


async def _moved(work: Work, address: Address, event: CorrespondentMoved) -> None:
    for kind, before, after in _moves(address, event):
        await contacts.move_identity(work, kind, before, Identity(kind=kind, value=after))
        await store.move_threads(
            work.tx,
            address.tenant_id,
            address.environment,
            provider=address.provider,
            account=address.account,
            before=before,
            address=event.after.address or event.before.address,
            user_id=event.after.user_id,
        )


def _moves(address: Address, event: CorrespondentMoved) -> list[tuple[IdentityKind, str, str]]:
    user_kind = IdentityKind.TELEGRAM if address.channel is Channel.TELEGRAM else IdentityKind.WHATSAPP
    pairs = (
        (
            IdentityKind.PHONE,
            event.before.phone_number or event.before.address,
            event.after.phone_number or event.after.address,
        ),
        (user_kind, event.before.user_id, event.after.user_id),
    )
    return [(kind, before, after) for kind, before, after in pairs if before and after and before != after]

"""Messages that a tenant, or an agent in a call, wants sent; and what was written, to read."""

from collections.abc import Sequence

import msgspec
from voisnap_domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from voisnap_domain.ids import AgentId, ContactId, MessageId
from voisnap_domain.messaging import MAX_TEXT
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import pieces, plain
from voisnap_kit import log
from voisnap_kit.work import Work
from voisnap_proto.events import TextRequested
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.ports.messaging import Correspondent, Template
from voisnap_providers.vendors.phone_numbers import e164

from voisnap_api.agents import usecases as agents
from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.channels import usecases as channels
from voisnap_api.contacts import usecases as contacts
from voisnap_api.contacts.records import IdentityKind, addresses_on
from voisnap_api.destinations import NOT_ALLOWED, NOT_ALLOWED_DETAIL, country_detail, is_refused
from voisnap_api.outbound_calls.usecases import destination_fault
from voisnap_api.phone_numbers import usecases as phone_numbers
from voisnap_api.tenants.usecases import limits_for_new_session

from . import media_store, store
from .inbound import queue
from .networks import Networks
from .records import Address, KeptMedia, ListedMessage, MessageFilter, Source, Thread
from .threads import is_secret, running_plan, thread_of

_log = log.get(__name__)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent: a text or a template, to an address on the channel or to a contact."""

    channel: Channel
    agent_id: AgentId
    to: str | None = None
    contact_id: ContactId | None = None
    text: str | None = None
    template: Template | None = None


async def send(work: Work, networks: Networks, wanted: Wanted) -> list[ListedMessage]:
    """Put a message into the outbox, in as many as the network needs; it goes out within seconds.

    Raises Invalid, NotFound, Conflict `no-sender` (the agent has no address on the channel), `opted-out`, `channel-disabled`, Forbidden
    `tenant-suspended`, ProviderUnconfigured.
    """
    faults = _faults(wanted)
    if faults:
        raise Invalid(faults)
    await limits_for_new_session(work)
    agent = await agents.get_agent(work, wanted.agent_id)
    if not agent.config.serves(wanted.channel.value):
        raise Conflict(
            f"Agent {agent.id} is switched off on the channel {wanted.channel.value}.", code="channel-disabled"
        )
    address = await sender_of(work, wanted.agent_id, wanted.channel)
    messenger = await networks.messenger(work, address.provider, address.account, address.environment)
    if wanted.template is not None and not messenger.sender.capabilities.templates:
        raise Invalid((_fault("/template", "unsupported", f"{wanted.channel.value} has no templates"),))
    thread = await _thread_to(work, address, wanted)
    if (code := await _destination_fault(work, thread)) is not None:
        detail = NOT_ALLOWED_DETAIL if code == NOT_ALLOWED else country_detail(thread.their_address)
        raise Invalid((_fault("/to" if wanted.contact_id is None else "/contactId", code, detail),))
    if await contacts.is_opted_out(work, wanted.channel, thread.their_addresses):
        raise Conflict("This person wants no messages on this channel.", code="opted-out")
    running = running_plan(thread, now=work.now)
    thread = msgspec.structs.replace(thread, conversation_id=running.conversation_id if running else None)
    by = work.caller.user_id or work.caller.key_id
    secret = await is_secret(work, thread)
    if wanted.template is not None:
        sent = await queue(
            work, thread, ("",), source=Source.API, is_secret=secret, created_by=by, template=wanted.template
        )
    else:
        spelled = plain(wanted.text or "") if wanted.channel is Channel.SMS else wanted.text or ""
        texts = pieces(spelled, messenger.sender.capabilities.text)
        sent = await queue(work, thread, texts, source=Source.API, is_secret=secret, created_by=by)
    await audit.note_all(
        work,
        action="message.sent",
        targets=tuple(Target(type="message", id=message.id) for message in sent),
        detail={"channel": wanted.channel.value, "agentId": wanted.agent_id, "contactId": thread.contact_id},
    )
    return [await get_message(work, message.id) for message in sent]


async def sender_of(work: Work, agent_id: AgentId, channel: Channel) -> Address:
    """The address with which an agent writes on a channel. Raises Conflict `no-sender`."""
    caller = work.caller
    if channel is Channel.SMS:
        line = await phone_numbers.line_for_texts(work, agent_id)
        found = None if line is None else (line.provider, line.account, line.phone_number)
    else:
        connection = await channels.connection_of(work, agent_id, channel)
        found = None if connection is None else (connection.provider, connection.account, connection.address)
    if found is None:
        raise Conflict(
            f"Agent {agent_id} has no address to write from on {channel.value}: assign it a number that can send texts (sms), or connect "
            "an account at /api/v1/channels.",
            code="no-sender",
        )
    provider, account, address = found
    return Address(
        tenant_id=caller.tenant_id,
        environment=caller.environment,
        agent_id=agent_id,
        channel=channel,
        provider=provider,
        account=account,
        address=address,
    )


async def send_requested(work: Work, networks: Networks, event: TextRequested) -> None:
    """Send what an agent in a call wants sent, once; what can't be sent is logged, and the conversation goes on without it."""
    try:
        await limits_for_new_session(work)
        address = await sender_of(work, event.agent_id, Channel.SMS)
        messenger = await networks.messenger(work, address.provider, address.account, address.environment)
    except (Conflict, NotFound, ProviderUnconfigured, Forbidden) as error:
        _log.warning("message.request_dropped", request_id=event.request_id, code=error.code)
        return
    number = e164(event.phone_number)
    if number is None:
        _log.warning("message.request_dropped", request_id=event.request_id, code="no-number")
        return
    thread = await thread_of(work, address, Correspondent(address=number, phone_number=number))
    if (code := await _destination_fault(work, thread)) is not None:
        _log.warning("message.request_dropped", request_id=event.request_id, code=code)
        return
    if await contacts.is_opted_out(work, Channel.SMS, thread.their_addresses):
        _log.info("message.request_dropped", request_id=event.request_id, code="opted-out")
        return
    texts = pieces(plain(event.text[:MAX_TEXT]), messenger.sender.capabilities.text)
    of_call = msgspec.structs.replace(thread, conversation_id=event.conversation_id)
    await queue(
        work,
        of_call,
        texts,
        source=Source.TOOL,
        is_secret=await is_secret(work, thread),
        exchange_id=event.request_id,
    )


async def _destination_fault(work: Work, thread: Thread) -> str | None:
    """The code for which nobody writes there first; None where they may. Whoever has written is answered wherever they are, but no number
    that costs is."""
    if thread.channel is not Channel.SMS:
        return None
    if thread.last_inbound_at is not None:
        return NOT_ALLOWED if is_refused(thread.environment, thread.their_address) else None
    return await destination_fault(work, thread.their_address, account=thread.account, ours=thread.our_address)


async def get_message(work: Work, message_id: MessageId) -> ListedMessage:
    """One message. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, message_id)
    if found is None:
        raise NotFound("message", message_id)
    return found


async def kept_media(work: Work, messages: Sequence[ListedMessage]) -> list[KeptMedia]:
    """What is kept of what came with messages, or will be."""
    ids = tuple(message.id for message in messages if message.media)
    if not ids:
        return []
    return await media_store.of_messages(work.tx, work.caller.tenant_id, work.caller.environment, ids)


async def list_messages(
    work: Work, wanted: MessageFilter, *, limit: int, offset: int
) -> tuple[list[ListedMessage], int]:
    """A page of messages, and how many there are: of one conversation or thread in their order, else the newest first."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def _thread_to(work: Work, address: Address, wanted: Wanted) -> Thread:
    """The thread with whom it is to be sent to. Raises Invalid, NotFound."""
    if wanted.contact_id is not None:
        return await _thread_with_contact(work, address, wanted.contact_id)
    to = (wanted.to or "").strip()
    if wanted.channel is Channel.TELEGRAM:
        if not to.lstrip("-").isdigit() or len(to) > 20:
            raise Invalid((_fault("/to", "invalid", "must be the id of a chat, as the person's messages name it"),))
        return await thread_of(work, address, Correspondent(address=to, user_id=to))
    number = e164(to)
    if number is None:
        raise Invalid((_fault("/to", "invalid", "must be a telephone number in E.164, such as +14155550123"),))
    return await thread_of(work, address, Correspondent(address=number, phone_number=number))


async def _thread_with_contact(work: Work, address: Address, contact_id: ContactId) -> Thread:
    known = await contacts.get_contact(work, contact_id)
    caller = work.caller
    thread = await store.newest_thread_of(
        work.tx, caller.tenant_id, caller.environment, contact_id, address.agent_id, address.channel
    )
    if thread is not None and (thread.provider, thread.account, thread.our_address) == (
        address.provider,
        address.account,
        address.address,
    ):
        return thread
    reached = addresses_on(address.channel, known.identities)
    if not reached:
        detail = f"nothing is known under which this contact is reached on {address.channel.value}"
        raise Invalid((_fault("/contactId", "unreachable", detail),))
    phone = next((one.value for one in known.identities if one.kind is IdentityKind.PHONE), None)
    if address.channel is not Channel.TELEGRAM and phone is not None:
        return await thread_of(work, address, Correspondent(address=phone, phone_number=phone))
    is_telegram = address.channel is Channel.TELEGRAM
    return await thread_of(work, address, Correspondent(address=reached[0] if is_telegram else "", user_id=reached[0]))


def _faults(wanted: Wanted) -> tuple[FieldError, ...]:
    found: list[FieldError] = []
    if (wanted.to is None) == (wanted.contact_id is None):
        found.append(_fault("/to", "required", "name either `to` or `contactId`"))
    if (wanted.text is None) == (wanted.template is None):
        found.append(_fault("/text", "required", "give either `text` or `template`"))
    if wanted.text is not None and not 1 <= len(wanted.text.strip()) <= MAX_TEXT:
        found.append(_fault("/text", "bad-length", f"must have 1 to {MAX_TEXT} characters"))
    return tuple(found)


def _fault(pointer: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer, code=code, detail=detail)

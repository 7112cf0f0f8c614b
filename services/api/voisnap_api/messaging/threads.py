"""Who writes with whom: persons as networks name them, our addresses, and the threads between them."""

from datetime import datetime

import msgspec
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import MessageThreadId
from voisnap_domain.messaging import goes_on, idle_of
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_kit.work import Caller, Work
from voisnap_providers.messengers import NETWORKS
from voisnap_providers.numbering import country_of
from voisnap_providers.ports.messaging import Correspondent

from voisnap_api.agents import usecases as agents
from voisnap_api.channels import usecases as channels
from voisnap_api.contacts import usecases as contacts
from voisnap_api.contacts.records import Identity, IdentityKind
from voisnap_api.phone_numbers import usecases as phone_numbers

from . import store
from .records import Address, Message, Thread


def in_name_of(work: Work, address: Address | Thread | Message) -> Work:
    """The system's work, done for the tenant of an address; what it tells leaves with the same transaction."""
    caller = Caller.system(address.tenant_id, address.environment)
    own = Work(tx=work.tx, caller=caller, now=work.now, new_id=work.new_id)
    own.emitted = work.emitted
    return own


async def our_address(work: Work, provider: str, account: str, address: str) -> Address | None:
    """Whose an address is that was written to, and who answers there; None where nobody does. Runs as the system."""
    channel = NETWORKS[provider]
    if channel is Channel.SMS:
        line = await phone_numbers.line_of(work, provider, account, address)
        if line is None or not phone_numbers.answers(line) or line.texts_agent_id is None:
            return None
        return Address(
            tenant_id=line.tenant_id,
            environment=line.environment,
            agent_id=line.texts_agent_id,
            channel=channel,
            provider=provider,
            account=account,
            address=address,
        )
    found = await channels.connection_at(work, provider, account, address)
    if found is None:
        return None
    return Address(
        tenant_id=found.tenant_id,
        environment=found.environment,
        agent_id=found.agent_id,
        channel=channel,
        provider=provider,
        account=account,
        address=address,
    )


def identities_of(channel: Channel, person: Correspondent) -> tuple[Identity, ...]:
    """What somebody is known by who writes on a channel."""
    found: list[Identity] = []
    phone = person.phone_number or (person.address if person.address.startswith("+") else None)
    if phone:
        found.append(Identity(kind=IdentityKind.PHONE, value=phone))
    if channel is Channel.WHATSAPP and person.user_id:
        found.append(Identity(kind=IdentityKind.WHATSAPP, value=person.user_id, handle=person.handle))
    if channel is Channel.TELEGRAM:
        found.append(Identity(kind=IdentityKind.TELEGRAM, value=person.user_id or person.address, handle=person.handle))
    return tuple(found)


def _country(person: Correspondent) -> str | None:
    phone = person.phone_number or person.address
    return country_of(phone) if phone.startswith("+") else None


def addresses_of(person: Correspondent) -> tuple[str, ...]:
    """All that somebody is reached by on a network."""
    return tuple(one for one in dict.fromkeys((person.address, person.user_id, person.phone_number)) if one)


def running_plan(thread: Thread, *, now: datetime) -> SessionPlan | None:
    """What the conversation was opened with that goes on in a thread; None when the last one is over, or has been idle for too long."""
    running = thread.running
    if running is None or not goes_on(thread.last_at, idle_of(running.agent.config, thread.channel), now=now):
        return None
    return running


async def is_secret(work: Work, thread: Thread) -> bool:
    """Whether no word of what is written now may be kept (HIPAA): by the version that the running conversation has, or the one that the next
    would have. Nobody knows what was promised of an agent that is gone. `work` is done for the tenant."""
    running = running_plan(thread, now=work.now)
    if running is not None and running.agent.config.hipaa_compliant:
        return True
    try:
        return (await agents.talking_version(work, thread.agent_id, rehearsing=True)).config.hipaa_compliant
    except NotFound:
        return True


async def thread_of(work: Work, address: Address, person: Correspondent) -> Thread:
    """The thread of somebody at one of our addresses, locked; begun if there is none. Whoever is known under several names becomes one
    contact. `work` is done for the tenant."""
    met = await contacts.meet(
        work,
        identities_of(address.channel, person),
        name=person.name,
        country=person.country or _country(person),
        language=person.language,
    )
    caller = work.caller
    if met.absorbed:
        await store.adopt_threads(work.tx, caller.tenant_id, caller.environment, met.contact_id, met.absorbed)
        await contacts.drop(work, met.absorbed)
    keys = tuple(one for one in (person.address, person.user_id) if one)
    found = await _thread(work, address, keys)
    if found is None:
        made = Thread(
            id=MessageThreadId(work.new_id("thr")),
            tenant_id=caller.tenant_id,
            environment=caller.environment,
            contact_id=met.contact_id,
            channel=address.channel,
            provider=address.provider,
            account=address.account,
            our_address=address.address,
            their_key=keys[0],
            their_address=person.address,
            their_user_id=person.user_id,
            agent_id=address.agent_id,
            created_at=work.now,
        )
        await store.insert_thread(work.tx, made)
        found = await _thread(work, address, keys) or made
    return await _up_to_date(work, found, address, person, met)


async def _thread(work: Work, address: Address, keys: tuple[str, ...]) -> Thread | None:
    return await store.thread_with(
        work.tx,
        work.caller.tenant_id,
        work.caller.environment,
        provider=address.provider,
        account=address.account,
        our_address=address.address,
        keys=keys,
    )


async def _up_to_date(work: Work, thread: Thread, address: Address, person: Correspondent, met: contacts.Met) -> Thread:
    """The thread as its latest message has it; a conversation with another agent than the one who answers now is over."""
    now = msgspec.structs.replace(
        thread,
        contact_id=met.contact_id,
        their_address=person.address or thread.their_address,
        their_user_id=person.user_id or thread.their_user_id,
        agent_id=address.agent_id,
    )
    if now == thread:
        return thread
    await store.update_thread(work.tx, now)
    if now.agent_id != thread.agent_id and thread.plan is not None:
        now = msgspec.structs.replace(now, plan=None, conversation_id=None, last_at=None)
        await store.converse(
            work.tx, now.tenant_id, now.environment, now.id, plan=None, conversation_id=None, last_at=None
        )
    return now

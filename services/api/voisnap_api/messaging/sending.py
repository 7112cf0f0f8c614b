"""The outbox of messages: each is handed to its network once, in the order of its thread.

What the network may or may not have got is not handed over again, unless the network itself knows a message by its id.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from prometheus_client import Counter
from voisnap_domain.errors import DomainError, Forbidden
from voisnap_domain.ids import TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import MessageFailure
from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Work, begin, begin_as_system, utc_now
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import MessageRefused, MessageUncertain, ProviderError
from voisnap_providers.messengers import Messenger
from voisnap_providers.ports.messaging import MessageSent, OutgoingMessage, Template

from voisnap_api.channels import usecases as channels
from voisnap_api.contacts import usecases as contacts
from voisnap_api.contacts.records import OptOutSource
from voisnap_api.conversations import usecases as conversations
from voisnap_api.do_not_call import usecases as do_not_call
from voisnap_api.tenants.usecases import limits_for_new_session

from . import outbox_store, store
from .networks import Networks
from .records import Message, Source, State, Thread
from .threads import in_name_of

AT_ONCE = 32
SEND_SECONDS = 30.0
STUCK = timedelta(minutes=2)
"""How long a message may be with a network before its worker counts as dead."""

MOST_ATTEMPTS = 8
_PAUSES = (1.0, 3.0, 10.0, 30.0, 120.0, 600.0, 1800.0)
_UNSUBSCRIBED = frozenset({Source.NOTICE})
"""What is sent to somebody who wants nothing: that it was heard."""

_SENT = Counter("voisnap_messages_sent_total", "Messages handed to networks by what came of it", ["channel", "outcome"])

_NOBODY = Caller.system(TenantId(""), Environment.LIVE)

_log = log.get(__name__)


class _Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message, its thread, and the network it goes to."""

    message: Message
    thread: Thread
    messenger: Messenger


class Outbox:
    """Sends what waits."""

    def __init__(
        self,
        database: Database,
        networks: Networks,
        urls: CarrierUrls,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._networks = networks
        self._urls = urls
        self._clock = clock

    async def send_due(self) -> int:
        """Send what is due, of each thread one message; how many were tried."""
        async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
            claimed = await outbox_store.claim_to_send(work.tx, now=work.now, limit=AT_ONCE)
            letters = [letter for message in claimed if (letter := await self._checked(work, message)) is not None]
        await asyncio.gather(*(self._send(letter) for letter in letters))
        return len(claimed)

    async def clear_up(self) -> int:
        """See to messages whose worker died over them; how many."""
        async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
            found = await outbox_store.stuck(work.tx, before=work.now - STUCK, limit=AT_ONCE)
            for message in found:
                letter = await self._letter(work, message)
                if letter is not None:
                    await self._doubt(in_name_of(work, letter.thread), letter, "its worker died")
        return len(found)

    async def seconds_to_next(self) -> float | None:
        """How long until something is due here or to be answered; None for nothing."""
        async with self._database.transaction_as_system() as tx:
            return await outbox_store.seconds_to_next(tx, now=self._clock())

    # Before

    async def _checked(self, work: Work, message: Message) -> _Letter | None:
        """A message that may be sent now; the others are held, or fail."""
        letter = await self._letter(work, message)
        if letter is None:
            return None
        own = in_name_of(work, letter.thread)
        if message.source not in _UNSUBSCRIBED and (failure := await self._reason_not_to(own, letter.thread)):
            await _mark(own, message, State.FAILED, failure=failure)
            return None
        window = letter.messenger.sender.capabilities.window_seconds
        if window is None or message.template is not None or _is_within(letter.thread, window, work.now):
            return letter
        return await self._reopened(own, letter)

    async def _reason_not_to(self, work: Work, thread: Thread) -> str | None:
        """Why nothing is sent to somebody, or by a tenant, any more."""
        if await contacts.is_opted_out(work, thread.channel, thread.their_addresses):
            return MessageFailure.OPTED_OUT.value
        try:
            await limits_for_new_session(work)
        except Forbidden as error:
            return error.code
        return None

    async def _letter(self, work: Work, message: Message) -> _Letter | None:
        thread = await store.thread(work.tx, message.tenant_id, message.environment, message.thread_id)
        if thread is None:
            return None
        own = in_name_of(work, thread)
        try:
            messenger = await self._networks.messenger(own, thread.provider, thread.account, thread.environment)
        except DomainError as error:  # the credential is gone, or the simulator is
            await _mark(own, message, State.FAILED, failure=MessageFailure.ACCOUNT.value, detail=error.detail)
            return None
        return _Letter(message=message, thread=thread, messenger=messenger)

    async def _reopened(self, work: Work, letter: _Letter) -> _Letter | None:
        """Somebody wrote too long ago for a text: the connection's template instead, else it waits until they write again."""
        thread, message = letter.thread, letter.message
        connection = await channels.connection_at(work, thread.provider, thread.account, thread.our_address)
        wanted = connection.settings.reopen_template if connection else None
        if wanted is None:
            failure = MessageFailure.OUTSIDE_WINDOW.value
            await _mark(work, message, State.HELD, failure=failure, detail="held until the person writes again")
            return None
        template = Template(
            name=wanted.name,
            language=wanted.language,
            values=tuple(value.replace("{text}", " ".join(message.text.split())) for value in wanted.values),
        )
        await outbox_store.send_template(work.tx, message.tenant_id, message.environment, message.id, template)
        return msgspec.structs.replace(letter, message=msgspec.structs.replace(message, template=template))

    # The network

    async def _send(self, letter: _Letter) -> None:
        message, thread = letter.message, letter.thread
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = await letter.messenger.sender.send(self._outgoing(letter))
        except MessageUncertain as error:
            async with self._begin(thread) as work:
                await self._doubt(work, letter, error.detail)
        except TimeoutError:
            async with self._begin(thread) as work:
                await self._doubt(work, letter, f"no answer within {SEND_SECONDS:g} s")
        except ProviderError as error:
            await self._failed(letter, error)
        except Exception as error:  # a bug of ours, before or behind the network: nobody knows
            _log.exception("message.send_broke", message_id=message.id, error=repr(error))
            async with self._begin(thread) as work:
                await self._doubt(work, letter, "failed on our side")
        else:
            await self._sent(letter, sent)

    def _outgoing(self, letter: _Letter) -> OutgoingMessage:
        message, thread = letter.message, letter.thread
        return OutgoingMessage(
            id=message.id,
            sender=thread.our_address,
            to=thread.their_address,
            user_id=thread.their_user_id,
            text="" if message.template else message.text,
            reply_to=message.reply_to,
            template=message.template,
            status_url=self._urls.message_status(thread.provider, thread.account, message_id=message.id),
        )

    async def _sent(self, letter: _Letter, sent: MessageSent) -> None:
        message, thread = letter.message, letter.thread
        pause = letter.messenger.sender.capabilities.per_chat_seconds
        async with self._begin(thread) as work:
            await outbox_store.mark_sent(
                work.tx,
                message.tenant_id,
                message.environment,
                message.id,
                network_id=sent.message_id,
                segments=sent.segments,
                price=sent.price,
                at=work.now,
            )
            if pause:
                not_before = work.now + timedelta(seconds=pause)
                await outbox_store.space_out(
                    work.tx, thread.tenant_id, thread.environment, thread.id, not_before=not_before
                )
            if message.conversation_id is not None:
                await conversations.charge_messages(work, message.conversation_id)
        _SENT.labels(thread.channel.value, "sent").inc()
        _log.info("message.sent", message_id=message.id, provider=thread.provider, attempts=message.attempts)

    async def _failed(self, letter: _Letter, error: ProviderError) -> None:
        """It is not sent: try again what may work in a moment."""
        message, thread = letter.message, letter.thread
        failure = error.failure if isinstance(error, MessageRefused) else MessageFailure.UNKNOWN
        code = error.code if isinstance(error, MessageRefused) else ""
        again = error.retryable and message.attempts < MOST_ATTEMPTS
        async with self._begin(thread) as work:
            if failure is MessageFailure.OUTSIDE_WINDOW and thread.channel is Channel.WHATSAPP and not message.template:
                if await self._reopened(work, letter) is not None:
                    await _mark(work, message, State.QUEUED, due_at=work.now)
            elif again:
                pause = error.retry_after or _PAUSES[min(message.attempts, len(_PAUSES)) - 1]
                await _mark(
                    work, message, State.QUEUED, detail=error.detail, due_at=work.now + timedelta(seconds=pause)
                )
            else:
                await _mark(work, message, State.FAILED, failure=failure.value, code=code, detail=error.detail)
                if failure is MessageFailure.OPTED_OUT:
                    await contacts.opt_out(work, thread.channel, thread.their_addresses, OptOutSource.NETWORK)
                    await do_not_call.heed_stop(work, thread.channel, thread.their_addresses)
        _SENT.labels(thread.channel.value, "put_off" if again else "failed").inc()
        _log.warning(
            "message.not_sent", message_id=message.id, provider=thread.provider, failure=failure.value, again=again
        )

    async def _doubt(self, work: Work, letter: _Letter, detail: str) -> None:
        """Nobody knows whether it was sent: repeated where the network takes it for the same message, else left to its callbacks."""
        message = letter.message
        if letter.messenger.sender.capabilities.is_repeatable and message.attempts < MOST_ATTEMPTS:
            pause = timedelta(seconds=_PAUSES[min(message.attempts, len(_PAUSES)) - 1])
            await _mark(work, message, State.QUEUED, detail=detail, due_at=work.now + pause)
            return
        await _mark(work, message, State.UNCONFIRMED, detail=detail)
        _SENT.labels(letter.thread.channel.value, "unconfirmed").inc()
        _log.warning("message.unconfirmed", message_id=message.id, provider=letter.thread.provider, detail=detail)

    def _begin(self, thread: Thread) -> contextlib.AbstractAsyncContextManager[Work]:
        return begin(self._database, Caller.system(thread.tenant_id, thread.environment), clock=self._clock)


def _is_within(thread: Thread, window: float, now: datetime) -> bool:
    return thread.last_inbound_at is not None and (now - thread.last_inbound_at).total_seconds() < window


async def _mark(
    work: Work,
    message: Message,
    state: State,
    *,
    failure: str | None = None,
    code: str = "",
    detail: str = "",
    due_at: datetime | None = None,
) -> None:
    await outbox_store.mark(
        work.tx,
        message.tenant_id,
        message.environment,
        message.id,
        state=state,
        failure=failure,
        code=code[:100],
        detail=detail[:500],
        due_at=due_at,
        at=work.now,
    )

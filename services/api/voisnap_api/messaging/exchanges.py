"""The worker's side of written conversations: what somebody wrote goes to the agent, what the agent answers into the outbox.

A thread is lent to one worker at a time, so that its messages are answered in order. A batch of messages keeps its id until it is answered,
and a conversation is noted before it is opened: whoever takes up the thread of a worker that died asks the runtime for the same again.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta

import msgspec
from prometheus_client import Counter, Histogram
from voisnap_domain.agents import FirstMessageMode
from voisnap_domain.errors import DomainError, LimitReached
from voisnap_domain.ids import MessageId
from voisnap_domain.messaging import MAX_TEXT, already_said, idle_of, longest_of, noted, transcribed, words_of
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_domain.texting import MediaKind, pieces, plain
from voisnap_kit import log
from voisnap_kit.bus import BusError, EventBus
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Work, begin, utc_now
from voisnap_proto.requests import EXCHANGE_TEXT, ExchangeText, TextExchanged
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.messengers import Messenger
from voisnap_providers.ports.messaging import Correspondent, InboundMessage, MessageMedia

from voisnap_api.contacts import usecases as contacts
from voisnap_api.contacts.records import IdentityKind
from voisnap_api.provider_credentials.usecases import credentials_of
from voisnap_api.session_plans.usecases import plan_session
from voisnap_api.tenants.usecases import limits_for_new_session

from . import outbox_store, store
from .inbound import queue
from .media import have_kept
from .networks import Networks
from .records import Message, Source, State, Thread
from .threads import running_plan
from .voice_notes import VoiceNotes, recognisers_of

AT_ONCE = 32
"""Threads that a worker sees to at the same time."""

LEASE = timedelta(seconds=180)
"""After which a thread of a worker that died is taken up by another; longer than an answer may take."""

EXCHANGE_SECONDS = 60.0
MOST_AN_HOUR = 120
"""Messages of one person that are answered in an hour: two machines that answer each other would never end."""

MOST_SAID = 5
"""Messages of its own that an agent is reminded of."""

BATCH = 20
"""Messages that are answered together at most."""

PATIENCE = timedelta(minutes=30)
"""How long a message waits for a runtime that takes it."""

_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_TYPING_SHARE = 0.8
_SHARED = frozenset({"node-full", "session-limit-reached"})
"""Refusals that end by themselves."""

_VOICES = frozenset({MediaKind.VOICE, MediaKind.AUDIO})

_EXCHANGES = Counter("voisnap_text_exchanges_total", "Batches of messages by how they went", ["channel", "outcome"])
_SECONDS = Histogram(
    "voisnap_text_exchange_seconds",
    "Time from the lease of a thread to its answers in the outbox",
    ["channel"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60),
)

_log = log.get(__name__)


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered together, and in which conversation."""

    messages: tuple[Message, ...]
    exchange_id: str
    plan: SessionPlan
    messenger: Messenger
    said: tuple[Message, ...]
    """What was sent to the person on its own since the last answer."""

    @property
    def ids(self) -> tuple[MessageId, ...]:
        return tuple(message.id for message in self.messages)


class Exchanges:
    """Answers what was written."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        networks: Networks,
        voice_notes: VoiceNotes,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._bus = bus
        self._networks = networks
        self._voice_notes = voice_notes
        self._clock = clock
        self._room = asyncio.Semaphore(AT_ONCE)

    async def answer_due(self) -> int:
        """Answer what is due, thread by thread; in how many."""
        now = self._clock()
        async with self._database.transaction_as_system() as tx:
            threads = await store.claim_due(tx, now=now, until=now + LEASE, limit=AT_ONCE)
        await asyncio.gather(*(self._see_to(thread) for thread in threads))
        return len(threads)

    async def _see_to(self, thread: Thread) -> None:
        due_at: datetime | None = None
        async with self._room:
            try:
                began = asyncio.get_running_loop().time()
                due_at = await self._answered(thread)
                _SECONDS.labels(thread.channel.value).observe(asyncio.get_running_loop().time() - began)
            except Exception as error:  # one broken thread must not hold up the others
                _log.exception("message.exchange_failed", thread_id=thread.id, error=repr(error))
                due_at = self._later(thread)
            async with self._begin(thread) as work:
                await store.let_go(work.tx, thread.tenant_id, thread.environment, thread.id, due_at=due_at)

    async def _answered(self, thread: Thread) -> datetime | None:
        """Answer what waits in a thread; when to look at it again, if it is to be answered later."""
        waiting = await self._waiting(thread)
        if not waiting:
            return None
        try:
            batch = await self._batch(thread, waiting)
            text, notices = await self._text(thread, batch)
            answer = await self._asked(thread, batch, text) if text is not None else TextExchanged()
            if not answer.known:
                batch = await self._anew(thread, batch)
                answer = await self._asked(thread, batch, text or "")
        except (BusError, DomainError) as error:
            return await self._put_off(thread, waiting, error)
        await self._keep(thread, batch, answer, notices)
        _EXCHANGES.labels(thread.channel.value, "answered").inc()
        return None

    # The batch

    async def _waiting(self, thread: Thread) -> tuple[Message, ...]:
        """What is to be answered together: what was begun to be answered before, else all that waits."""
        async with self._begin(thread) as work:
            found = await store.waiting(work.tx, thread.tenant_id, thread.environment, thread.id, limit=BATCH)
            begun = next((message.exchange_id for message in found if message.exchange_id), None)
            if begun is not None:
                return tuple(message for message in found if message.exchange_id == begun)
            if found and await self._goes_round(work, thread):
                await self._ignore(work, thread, found)
                return ()
            if found:
                ids = tuple(message.id for message in found)
                await store.join(work.tx, thread.tenant_id, thread.environment, ids, found[0].id)
            return tuple(msgspec.structs.replace(message, exchange_id=found[0].id) for message in found)

    async def _goes_round(self, work: Work, thread: Thread) -> bool:
        since = work.now - timedelta(hours=1)
        count = await store.answered_since(work.tx, thread.tenant_id, thread.environment, thread.id, since=since)
        return count >= MOST_AN_HOUR

    async def _ignore(self, work: Work, thread: Thread, messages: list[Message]) -> None:
        _EXCHANGES.labels(thread.channel.value, "ignored").inc()
        _log.warning("message.too_many", thread_id=thread.id, messages=len(messages))
        await store.settle(
            work.tx,
            thread.tenant_id,
            thread.environment,
            tuple(message.id for message in messages),
            state=State.IGNORED,
            conversation_id=None,
            failure="too-many-messages",
            at=work.now,
        )

    async def _batch(self, thread: Thread, messages: tuple[Message, ...]) -> _Batch:
        """The messages in the conversation they belong to, which is planned and noted if it is new. Raises DomainError."""
        async with self._begin(thread) as work:
            await limits_for_new_session(work)  # also where the conversation goes on
            messenger = await self._networks.messenger(work, thread.provider, thread.account, thread.environment)
            said = tuple(
                await outbox_store.unanswered(work.tx, thread.tenant_id, thread.environment, thread.id, limit=MOST_SAID)
            )
            plan = running_plan(thread, now=messages[0].created_at) or await self._planned(
                work, thread, greets=not said
            )
        return _Batch(
            messages=messages,
            exchange_id=messages[0].exchange_id or messages[0].id,
            plan=plan,
            messenger=messenger,
            said=said,
        )

    async def _anew(self, thread: Thread, batch: _Batch) -> _Batch:
        """The same messages in a new conversation: the one they were for is over."""
        async with self._begin(thread) as work:
            plan = await self._planned(work, thread, greets=not batch.said)
        return msgspec.structs.replace(batch, plan=plan)

    async def _planned(self, work: Work, thread: Thread, *, greets: bool) -> SessionPlan:
        """A new conversation, noted. It `greets` unless the agent has written first."""
        known = await contacts.get_contact(work, thread.contact_id)
        phone = next((one.value for one in known.identities if one.kind is IdentityKind.PHONE), None)
        made = await plan_session(
            work,
            thread.agent_id,
            thread.channel,
            {},
            caller=SessionCaller(phone_number=phone, country=known.contact.country, user_id=thread.contact_id),
        )
        plan = _patient(made, thread.channel, greets=greets)
        await store.converse(
            work.tx,
            thread.tenant_id,
            thread.environment,
            thread.id,
            plan=plan,
            conversation_id=plan.conversation_id,
            last_at=work.now,
        )
        return plan

    # What was written

    async def _text(self, thread: Thread, batch: _Batch) -> tuple[str | None, tuple[str, ...]]:
        """What the agent is told, None where there is nothing for it, and what the person is told about what can't be read."""
        words = words_of(batch.plan.agent.config.transcription.language)
        parts: list[str] = []
        notices: list[str] = []
        before = [already_said(message.text) for message in batch.said if message.text]
        for message in batch.messages:
            if message.text.strip():
                prefix = (
                    "[Correction of an earlier message] " if message.is_edit and message.source is Source.EDIT else ""
                )
                parts.append(prefix + message.text.strip())
            for media in message.media:
                if media.kind in _VOICES:
                    heard = await self._heard(thread, batch, message, media)
                    if heard:
                        parts.append(transcribed(heard))
                    else:
                        notices.append(words.voice_failed)
                else:
                    parts.append(noted(media.kind, name=media.name))
        began = any(message.source is Source.BEGAN for message in batch.messages)
        text = "\n".join((*before, *parts))[:MAX_TEXT] if parts else "" if began else None
        return text, tuple(dict.fromkeys(notices))

    async def _heard(self, thread: Thread, batch: _Batch, message: Message, media: MessageMedia) -> str:
        """What is said in a voice message; nothing when it can't be fetched or understood."""
        if message.transcript is not None:
            return message.transcript
        try:
            fetched = await batch.messenger.sender.fetch(media)
            async with self._begin(thread) as work:
                credentials = await credentials_of(work, recognisers_of(batch.plan.agent.config))
            heard = await self._voice_notes.transcript(batch.plan, fetched.content, credentials)
        except (ProviderError, ProviderUnconfigured, ValueError) as error:
            _log.warning("message.voice_not_heard", message_id=message.id, error=type(error).__name__)
            return ""
        async with self._begin(thread) as work:
            await store.keep_transcript(
                work.tx, thread.tenant_id, thread.environment, message.id, heard.text, heard=heard.legs
            )
        return heard.text

    # The agent

    async def _asked(self, thread: Thread, batch: _Batch, text: str) -> TextExchanged:
        """The agent's answer. Raises DomainError, BusError."""
        request = ExchangeText(
            plan=batch.plan,
            message_id=batch.exchange_id,
            text=text,
            idle_seconds=idle_of(batch.plan.agent.config, thread.channel).total_seconds(),
        )
        async with _typing(thread, batch):
            return await self._bus.request(EXCHANGE_TEXT, request, TextExchanged, timeout=EXCHANGE_SECONDS)

    async def _keep(self, thread: Thread, batch: _Batch, answer: TextExchanged, notices: tuple[str, ...]) -> None:
        """Put the answers into the outbox and the messages on record, all or nothing."""
        limit = batch.messenger.sender.capabilities.text
        spelled = plain if thread.channel is Channel.SMS else str
        texts = [piece for reply in (*notices, *answer.replies) for piece in pieces(spelled(reply), limit)]
        is_secret = batch.plan.agent.config.hipaa_compliant
        conversation_id = batch.plan.conversation_id
        async with self._begin(thread) as work:
            of_conversation = msgspec.structs.replace(thread, conversation_id=conversation_id)
            await queue(
                work, of_conversation, texts, source=Source.REPLY, exchange_id=batch.exchange_id, is_secret=is_secret
            )
            await store.settle(
                work.tx,
                thread.tenant_id,
                thread.environment,
                batch.ids,
                state=State.ANSWERED,
                conversation_id=conversation_id,
                is_secret=is_secret,
                at=work.now,
            )
            await have_kept(work, batch.plan, batch.messages)
            said = tuple(message.id for message in batch.said)
            await store.take_into(work.tx, thread.tenant_id, thread.environment, said, conversation_id)
            ended = answer.ended is not None
            await store.converse(
                work.tx,
                thread.tenant_id,
                thread.environment,
                thread.id,
                plan=None if ended else batch.plan,
                conversation_id=conversation_id,
                last_at=None if ended else work.now,
            )
        _log.info(
            "message.answered",
            thread_id=thread.id,
            conversation_id=conversation_id,
            messages=len(batch.ids),
            replies=len(texts),
            ended=answer.ended,
        )

    async def _put_off(self, thread: Thread, messages: tuple[Message, ...], error: Exception) -> datetime | None:
        """Try again later what may work then; what will not is on record as failed, with the reason."""
        passes = isinstance(error, BusError) or (isinstance(error, LimitReached) and error.code in _SHARED)
        code = error.code if isinstance(error, DomainError) else "no-answer"
        if passes and self._clock() - messages[0].created_at < PATIENCE:
            _EXCHANGES.labels(thread.channel.value, "put_off").inc()
            _log.info("message.answer_put_off", thread_id=thread.id, code=code, attempts=thread.attempts)
            return self._later(thread)
        _EXCHANGES.labels(thread.channel.value, "refused").inc()
        _log.warning("message.not_answered", thread_id=thread.id, code=code)
        async with self._begin(thread) as work:
            await store.settle(
                work.tx,
                thread.tenant_id,
                thread.environment,
                tuple(message.id for message in messages),
                state=State.FAILED,
                conversation_id=None,
                failure=code,
                at=work.now,
            )
        return None

    def _later(self, thread: Thread) -> datetime:
        return self._clock() + timedelta(seconds=_PAUSES[min(thread.attempts, len(_PAUSES)) - 1])

    def _begin(self, thread: Thread) -> contextlib.AbstractAsyncContextManager[Work]:
        return begin(self._database, Caller.system(thread.tenant_id, thread.environment), clock=self._clock)


def _patient(plan: SessionPlan, channel: Channel, *, greets: bool) -> SessionPlan:
    """A plan for people who answer when they like: limits of calls are for calls."""
    config = msgspec.structs.replace(plan.agent.config, max_duration_seconds=longest_of(plan.agent.config, channel))
    if not greets:
        config = msgspec.structs.replace(config, first_message_mode=FirstMessageMode.WAIT_FOR_USER)
    agent = msgspec.structs.replace(plan.agent, config=config)
    return msgspec.structs.replace(plan, agent=agent, max_concurrent=None)


@contextlib.asynccontextmanager
async def _typing(thread: Thread, batch: _Batch) -> AsyncGenerator[None]:
    """Let the person see that an answer is being written, where the network shows it."""
    every = batch.messenger.sender.capabilities.typing_seconds * _TYPING_SHARE
    last = batch.messages[-1]
    message = InboundMessage(
        network=thread.channel,
        message_id=last.network_id or "",
        sender=Correspondent(address=thread.their_address, user_id=thread.their_user_id),
        recipient=thread.our_address,
        text="",
        at=last.created_at.timestamp(),
        event_id=last.dedupe or "",
    )

    async def show() -> None:
        while True:
            with contextlib.suppress(ProviderError):  # nobody misses it
                await batch.messenger.sender.typing(message)
            await asyncio.sleep(every)

    task = asyncio.create_task(show(), name="typing") if every > 0 and last.network_id else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

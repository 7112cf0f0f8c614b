"""The bus between services: events over JetStream, requests over core NATS. The only module that imports nats.

At-least-once: a handler may see an event twice and out of order (a retry comes later), so it is idempotent by `Meta.event_id`.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
from opentelemetry.trace import SpanKind
from prometheus_client import Counter
from voisnap_domain import errors as domain_errors
from voisnap_domain.errors import DomainError
from voisnap_proto import EVENTS, subject_of

from . import log, trace
from .backoff import Backoff
from .extras import without
from .failures import Unavailable

with without("aiohttp"):  # for servers behind WebSockets, where `_await_server` would find none: 120 ms
    import nats
    import nats.errors
    import nats.js.errors
    from nats.aio.client import Client, Server
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.api import (
        AckPolicy,
        ConsumerConfig,
        DeliverPolicy,
        DiscardPolicy,
        RawStreamMsg,
        RetentionPolicy,
        StorageType,
        StreamConfig,
    )

_log = log.get(__name__)

R = TypeVar("R")

EVENTS_STREAM = "EVENTS"
DEAD_STREAM = "EVENTS_DEAD"
EVENT_PREFIX = "evt."
DEAD_PREFIX = "evt-dead."
DEDUPLICATION_SECONDS = 120
EVENT_AGE_SECONDS = 7 * 86_400
DEAD_AGE_SECONDS = 30 * 86_400
MESSAGE_ID = "Nats-Msg-Id"
TENANT = "Voisnap-Tenant"
REPLAY_PREFIX = "evt.replay."
"""`evt.replay.<consumer>.<tag>`: a dead letter that goes to the one consumer that buried it."""

_EVENT_ID = "Voisnap-Event-Id"
_CONSUMER = "Voisnap-Consumer"
_REASON = "Voisnap-Reason"
_ERROR = "Voisnap-Error"
_MAX_PAYLOAD = 1_000_000
_PENDING_BYTES = 8 * 1024 * 1024
_PENDING_MESSAGES = 8192
_PULL_SECONDS = 2.0
"""How long one pull waits; also how long a pull that died with the server goes unnoticed."""

_HANDLED = Counter("voisnap_events_handled_total", "Events a consumer was given", ["consumer", "outcome"])
_REQUESTS = Counter("voisnap_rpc_total", "Requests answered", ["subject", "outcome"])


class BusError(Unavailable):
    """The bus did not do what was asked; trying again later may help."""


class PublishRefused(BusError):
    """The bus will never take this message, such as one that is too large."""


class NoResponders(BusError):
    """No process answers this subject now."""


class RequestTimeout(BusError):
    """A process may have got the request, but no answer came in time."""


class RemoteFailure(BusError):
    """The process that answered has a bug; its log has the rest."""


class Hopeless(Exception):
    """Raised by a handler for an event that no further delivery will help: it goes to the dead letters at once."""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a delivered event. `delivery` counts from 1; `published_at` is the stream's time.

    `replayed`: an operator took it out of the dead letters; id and subject are those it had before.
    """

    event_id: str
    tenant_id: str
    subject: str
    delivery: int
    published_at: datetime
    replayed: bool = False


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a consumer gave up. `about` are ids that the event carries; its other contents stay in the stream."""

    sequence: int
    consumer: str
    subject: str
    event_id: str
    tenant_id: str
    reason: str
    buried_at: datetime
    about: dict[str, str]


Handler = Callable[[Any, Meta], Awaitable[None]]
"""Takes an event. Returning acknowledges it; an exception has it delivered again later, `Hopeless` never."""


class EventBus(Protocol):
    """What services need of the bus; `Bus` is NATS, `voisnap_testkit.memory_bus.MemoryBus` the fake."""

    async def publish(self, event: Any, *, event_id: str, tenant_id: str) -> None:
        """Store an event. Returns when the stream has it; a second publish of the same id within two minutes changes nothing."""
        ...

    async def publish_raw(self, subject: str, payload: bytes, *, event_id: str, headers: Mapping[str, str]) -> None:
        """Store an encoded event, as the outbox relay does."""
        ...

    async def subscribe(
        self,
        consumer: str,
        subjects: Sequence[str | type],
        handler: Handler,
        *,
        max_in_flight: int = 8,
        max_deliver: int = 8,
        backoff: Sequence[float] = (0.5, 2.0, 10.0, 30.0, 120.0),
        ack_wait: float = 30.0,
    ) -> "Subscription":
        """Deliver events to a handler, one process of the consumer's name each, until the subscription is closed.

        `subjects` are event types or subject patterns. After `max_deliver` deliveries the event goes to the dead letters. `backoff` are
        the pauses in seconds before each further delivery, the last repeated. While a handler works, its claim is renewed; a process
        that dies gives its events back after `ack_wait` seconds. `max_in_flight=1` keeps the order of the stream, retries included.
        """
        ...

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R:
        """Ask one process. Raises NoResponders, RequestTimeout, RemoteFailure, or the DomainError that the other side raised."""
        ...

    async def respond(
        self, subject: str, queue: str, message_type: type, handler: Callable[[Any], Awaitable[Any]]
    ) -> "Subscription":
        """Answer requests on a subject; processes with the same queue name share them."""
        ...

    async def tell(self, subject: str, payload: bytes) -> None:
        """Say something to whoever hears the subject now, at most once; that nobody does is no error.

        Raises BusError while the server is away, PublishRefused for more than a megabyte.
        """
        ...

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> "Subscription":
        """Hand on what is told on a subject, in order, until closed. `heard` must be quick: what piles up behind it is dropped."""
        ...


class DeadLetters(Protocol):
    """Events that were given up, for operators."""

    async def dead_letters(
        self, *, consumer: str | None = None, after: int = 0, limit: int = 20
    ) -> tuple[list[DeadLetter], int]:
        """Letters behind the sequence `after`, the oldest first, of one consumer or all; and how many there are in all."""
        ...

    async def dead_letter(self, sequence: int) -> DeadLetter | None:
        """One letter."""
        ...

    async def replay(self, sequence: int) -> bool:
        """Deliver an event again to the consumer that gave it up, and to no other; False when there is no such letter.

        The letter is gone then; it comes back, with another sequence, when the consumer gives up again.
        """
        ...

    async def discard(self, sequence: int) -> bool:
        """Throw a letter away; False when there is no such letter."""
        ...


class Subscription(Protocol):
    """Something that delivers until closed."""

    async def close(self) -> None:
        """Take no more; returns when the messages in hand are done or have been cut off after a few seconds."""
        ...


class Bus:
    """The bus over NATS. Reconnects for ever; publishing and asking while disconnected fail at once rather than pile up."""

    def __init__(self, client: Client, *, events: Mapping[str, type]) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=5)
        self._events = events
        self._subscriptions: set[Subscription] = set()

    @classmethod
    async def connect(
        cls,
        url: str,
        name: str,
        *,
        events: Mapping[str, type] = EVENTS,
        patience: float | None = 60.0,
        ensure: bool = True,
    ) -> Self:
        """Connect under a name, waiting for the server with backoff for up to `patience` seconds (None: for ever).

        `ensure` creates the streams if they are missing. Raises BusError when the patience is over.
        """
        await _await_server(url, patience)
        pauses = Backoff(first=0.05, cap=2.0)

        def pick(servers: list[Server], _info: dict[str, Any]) -> tuple[Server | None, float]:
            return random.choice(servers), pauses.next()  # noqa: S311 - spreads load, hides nothing

        async def lost() -> None:
            if not client.is_closed:
                _log.warning("bus.disconnected", name=name)

        async def back() -> None:
            pauses.reset()
            _log.info("bus.reconnected", name=name)

        async def failed(error: Exception) -> None:
            _log.debug("bus.error", error=repr(error))

        client = Client()
        try:
            await client.connect(
                url,
                name=name,
                connect_timeout=3,
                max_reconnect_attempts=-1,
                reconnect_to_server_handler=pick,
                ping_interval=10,
                max_outstanding_pings=2,
                pending_size=_PENDING_BYTES,
                disconnected_cb=lost,
                reconnected_cb=back,
                error_cb=failed,
            )
        except (nats.errors.Error, OSError) as error:
            raise BusError(f"NATS refused the connection: {error}") from error
        bus = cls(client, events=events)
        if ensure:
            await bus.ensure_stream()
        return bus

    async def ensure_stream(self) -> None:
        """Create the streams of events and of dead letters if they are missing; existing ones stay as an operator set them."""
        await self._ensure(
            StreamConfig(
                name=EVENTS_STREAM,
                subjects=[f"{EVENT_PREFIX}>"],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                discard=DiscardPolicy.OLD,
                max_age=EVENT_AGE_SECONDS,
                duplicate_window=DEDUPLICATION_SECONDS,
            )
        )
        await self._ensure(
            StreamConfig(
                name=DEAD_STREAM,
                subjects=[f"{DEAD_PREFIX}>"],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                max_age=DEAD_AGE_SECONDS,
            )
        )

    async def publish(self, event: Any, *, event_id: str, tenant_id: str) -> None:
        headers = {TENANT: tenant_id}
        trace.inject(headers)
        await self.publish_raw(subject_of(event), msgspec.json.encode(event), event_id=event_id, headers=headers)

    async def publish_raw(self, subject: str, payload: bytes, *, event_id: str, headers: Mapping[str, str]) -> None:
        if len(payload) > _MAX_PAYLOAD:
            raise PublishRefused(f"{subject} is {len(payload)} bytes long, the bus takes {_MAX_PAYLOAD}")
        await self.check()
        try:
            await self._js.publish(subject, payload, timeout=5, headers={**headers, MESSAGE_ID: event_id})
        except nats.js.errors.NoStreamResponseError as error:
            with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError):
                await self.ensure_stream()
            raise BusError(f"no stream takes {subject}") from error
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            raise BusError(f"publishing {subject} failed: {error!r}") from error

    async def subscribe(
        self,
        consumer: str,
        subjects: Sequence[str | type],
        handler: Handler,
        *,
        max_in_flight: int = 8,
        max_deliver: int = 8,
        backoff: Sequence[float] = (0.5, 2.0, 10.0, 30.0, 120.0),
        ack_wait: float = 30.0,
    ) -> Subscription:
        filters = tuple(subject if isinstance(subject, str) else subject_of(subject) for subject in subjects)
        subscription = _Consumer(
            js=self._js,
            ensure_stream=self.ensure_stream,
            name=consumer.replace(".", "-"),
            filters=filters,
            handler=handler,
            events=self._events,
            max_in_flight=max_in_flight,
            max_deliver=max_deliver,
            backoff=tuple(backoff),
            ack_wait=ack_wait,
        )
        await subscription.start()
        self._subscriptions.add(subscription)
        return subscription

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R:
        await self.check()
        headers: dict[str, str] = {}
        with trace.span(f"request {subject}", kind=SpanKind.CLIENT):
            trace.inject(headers)
            try:
                reply = await self._client.request(
                    subject, msgspec.json.encode(message), timeout=timeout, headers=headers or None
                )
            except nats.errors.NoRespondersError as error:
                raise NoResponders(f"nobody answers {subject}") from error
            except (nats.errors.TimeoutError, TimeoutError) as error:
                raise RequestTimeout(f"no answer to {subject} within {timeout:g} s") from error
            except (nats.errors.Error, OSError) as error:
                raise BusError(f"asking {subject} failed: {error!r}") from error
        if reply.headers and _ERROR in reply.headers:
            raise decode_error(reply.data)
        return msgspec.json.decode(reply.data, type=response_type)

    async def respond(
        self,
        subject: str,
        queue: str,
        message_type: type,
        handler: Callable[[Any], Awaitable[Any]],
        *,
        max_in_flight: int = 256,
    ) -> Subscription:
        responder = _Responder(self._client, subject, queue, message_type, handler, max_in_flight)
        await responder.start()
        self._subscriptions.add(responder)
        return responder

    async def tell(self, subject: str, payload: bytes) -> None:
        if len(payload) > _MAX_PAYLOAD:
            raise PublishRefused(f"{subject} is {len(payload)} bytes long, the bus takes {_MAX_PAYLOAD}")
        await self.check()
        try:
            await self._client.publish(subject, payload)
        except (nats.errors.Error, OSError) as error:
            raise BusError(f"telling {subject} failed: {error!r}") from error

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> Subscription:
        hearer = _Hearer(self._client, subject, heard, forget=self._subscriptions.discard)
        await hearer.start()
        self._subscriptions.add(hearer)
        return hearer

    async def dead_letters(
        self, *, consumer: str | None = None, after: int = 0, limit: int = 20
    ) -> tuple[list[DeadLetter], int]:
        wanted = f"{DEAD_PREFIX}{consumer}.>" if consumer else f"{DEAD_PREFIX}>"
        with _reported("reading the dead letters"):
            info = await self._js.stream_info(DEAD_STREAM, subjects_filter=wanted)
            letters: list[DeadLetter] = []
            while len(letters) < limit:
                try:
                    message = await self._js.get_msg(DEAD_STREAM, seq=after + 1, subject=wanted, next=True)
                except nats.js.errors.NotFoundError:
                    break
                letters.append(_letter_of(message))
                after = letters[-1].sequence
        return letters, sum((info.state.subjects or {}).values())

    async def dead_letter(self, sequence: int) -> DeadLetter | None:
        message = await self._dead_message(sequence)
        return None if message is None else _letter_of(message)

    async def replay(self, sequence: int) -> bool:
        message = await self._dead_message(sequence)
        if message is None:
            return False
        letter = _letter_of(message)
        headers = {name: value for name, value in (message.headers or {}).items() if name not in (_CONSUMER, _REASON)}
        headers |= {_EVENT_ID: letter.event_id, MESSAGE_ID: f"{letter.event_id}:{letter.consumer}:replay:{sequence}"}
        subject = f"{REPLAY_PREFIX}{letter.consumer}.{letter.subject.removeprefix(EVENT_PREFIX)}"
        with _reported("replaying a dead letter"):
            await self._js.publish(subject, message.data or b"", timeout=5, headers=headers)
        _log.info("event.replayed", consumer=letter.consumer, subject=letter.subject, event_id=letter.event_id)
        await self.discard(sequence)
        return True

    async def discard(self, sequence: int) -> bool:
        with _reported("deleting a dead letter"):
            try:
                return await self._js.delete_msg(DEAD_STREAM, sequence)
            except (nats.js.errors.NotFoundError, nats.js.errors.ServerError, nats.js.errors.BadRequestError):
                if await self._dead_message(sequence) is None:
                    return False
                raise

    async def _dead_message(self, sequence: int) -> RawStreamMsg | None:
        with _reported("reading a dead letter"):
            try:
                return await self._js.get_msg(DEAD_STREAM, seq=sequence)
            except nats.js.errors.NotFoundError:
                return None

    async def check(self) -> None:
        """A readiness check: raise while the server is away."""
        if not self._client.is_connected:
            raise BusError("not connected")

    async def close(self) -> None:
        """Stop the subscriptions, send what is pending, disconnect. Takes at most a few seconds."""
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions), return_exceptions=True)
        self._subscriptions.clear()
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            if self._client.is_connected:
                await self._client.flush(timeout=1)
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            async with asyncio.timeout(2):
                await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ensure(self, config: StreamConfig) -> None:
        try:
            await self._js.stream_info(str(config.name))
        except nats.js.errors.NotFoundError:
            try:
                await self._js.add_stream(config)
            except nats.js.errors.BadRequestError:
                await self._js.stream_info(str(config.name))  # another process was faster
        except (nats.errors.Error, TimeoutError) as error:
            raise BusError(f"JetStream does not answer: {error!r}") from error


class _Consumer:
    """A durable pull consumer: fetches as many events as there are free hands."""

    def __init__(
        self,
        *,
        js: JetStreamContext,
        ensure_stream: Callable[[], Awaitable[None]],
        name: str,
        filters: tuple[str, ...],
        handler: Handler,
        events: Mapping[str, type],
        max_in_flight: int,
        max_deliver: int,
        backoff: tuple[float, ...],
        ack_wait: float,
    ) -> None:
        self._js = js
        self._ensure_stream = ensure_stream
        self._name = name
        self._filters = filters
        self._handler = handler
        self._events = events
        self._max_in_flight = max_in_flight
        self._max_deliver = max_deliver
        self._backoff = backoff
        self._ack_wait = ack_wait
        self._free = asyncio.Semaphore(max_in_flight)
        self._hands: set[asyncio.Task[None]] = set()
        self._pull: JetStreamContext.PullSubscription | None = None
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Create or update the durable consumer, so that events from now on wait for it, and begin."""
        try:
            await self._bind()
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            raise BusError(f"consumer {self._name}: {error!r}") from error
        self._loop_task = asyncio.create_task(self._run(), name=f"consumer {self._name}")

    async def close(self) -> None:
        await _end(self._loop_task)
        if self._hands:
            await asyncio.wait(self._hands, timeout=3)
        for hand in tuple(self._hands):
            await _end(hand)
        if self._pull is not None:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await self._pull.unsubscribe()

    async def _bind(self) -> None:
        await self._js.add_consumer(
            EVENTS_STREAM,
            ConsumerConfig(
                durable_name=self._name,
                filter_subjects=[*self._filters, *self._replays()],
                ack_policy=AckPolicy.EXPLICIT,
                deliver_policy=DeliverPolicy.ALL,
                ack_wait=self._ack_wait,
                max_deliver=-1,
                max_ack_pending=max(1000, self._max_in_flight) if self._max_in_flight > 1 else 1,
            ),
        )
        self._pull = await self._js.pull_subscribe_bind(consumer=self._name, stream=EVENTS_STREAM)

    def _replays(self) -> tuple[str, ...]:
        """The subject of this consumer's own replays, unless a wildcard takes it in already."""
        return () if f"{EVENT_PREFIX}>" in self._filters else (f"{REPLAY_PREFIX}{self._name}.>",)

    async def _run(self) -> None:
        pauses = Backoff(first=0.1, cap=5.0)
        while True:
            try:
                await self._fetch()
            except (nats.errors.TimeoutError, TimeoutError):
                pauses.reset()
            except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
                _log.debug("consumer.fetch_failed", consumer=self._name, error=repr(error))
                await asyncio.sleep(pauses.next())
                await self._recover()
            else:
                pauses.reset()

    async def _recover(self) -> None:
        """Make sure that stream and consumer exist: a server that lost its disk has neither."""
        try:
            await self._ensure_stream()
            if self._pull is not None:
                await self._pull.unsubscribe()
            await self._bind()
        except (BusError, nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            _log.warning("consumer.away", consumer=self._name, error=repr(error))

    async def _fetch(self) -> None:
        """Wait for a free hand, then for an event to put into it.

        One at a time: a pull for several would hold the first back until the others come (nats-py waits for the whole batch).
        """
        await self._free.acquire()
        hand: asyncio.Task[None] | None = None
        try:
            for message in await self._pull.fetch(1, timeout=_PULL_SECONDS) if self._pull else ():
                hand = asyncio.create_task(self._handle(message))
                self._hands.add(hand)
                hand.add_done_callback(self._hand_done)
        finally:
            if hand is None:
                self._free.release()

    def _hand_done(self, hand: asyncio.Task[None]) -> None:
        self._hands.discard(hand)
        self._free.release()
        if not hand.cancelled() and (error := hand.exception()) is not None:
            _log.error("consumer.failed", consumer=self._name, error=repr(error))

    async def _handle(self, message: Msg) -> None:
        headers = message.headers or {}
        replays = f"{REPLAY_PREFIX}{self._name}."
        is_replay = message.subject.startswith(replays)
        meta = Meta(
            event_id=headers.get(_EVENT_ID) or headers.get(MESSAGE_ID, ""),
            tenant_id=headers.get(TENANT, ""),
            subject=EVENT_PREFIX + message.subject.removeprefix(replays) if is_replay else message.subject,
            replayed=is_replay,
            delivery=message.metadata.num_delivered or 1,
            published_at=message.metadata.timestamp,
        )
        if meta.delivery > self._max_deliver:
            # The process died while it handled the last one: no exception was ever seen.
            await self._bury(message, meta, "its handler never came back")
            return
        kind = self._events.get(meta.subject.removeprefix(EVENT_PREFIX))
        if kind is None:
            await self._settle(message.ack(), meta, "skipped")  # a newer service's event under our wildcard
            return
        try:
            with trace.span(
                f"handle {message.subject}", kind=SpanKind.CONSUMER, parent=trace.extract(headers), consumer=self._name
            ):
                async with self._claimed(message):
                    await self._handler(msgspec.json.decode(message.data, type=kind), meta)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await message.nak()
            raise
        except Exception as error:
            await self._fail(message, meta, error)
        else:
            await self._settle(message.ack(), meta, "ok")

    async def _fail(self, message: Msg, meta: Meta, error: Exception) -> None:
        last = meta.delivery >= self._max_deliver or isinstance(error, Hopeless)
        report = _log.error if last else _log.warning
        report(
            "event.failed",
            consumer=self._name,
            subject=meta.subject,
            event_id=meta.event_id,
            delivery=meta.delivery,
            exc_info=error,
        )
        if last or isinstance(error, msgspec.DecodeError):
            await self._bury(message, meta, repr(error))
            return
        pause = self._backoff[min(meta.delivery, len(self._backoff)) - 1] if self._backoff else 0.0
        await self._settle(message.nak(delay=pause * random.uniform(0.8, 1.2)), meta, "retried")  # noqa: S311

    async def _bury(self, message: Msg, meta: Meta, reason: str) -> None:
        """Move to the dead letters; if that fails the event is simply delivered again."""
        headers = {
            **(message.headers or {}),
            _EVENT_ID: meta.event_id,
            MESSAGE_ID: f"{meta.event_id}:{self._name}:{message.metadata.sequence.stream}",
            _CONSUMER: self._name,
            _REASON: reason.encode("ascii", "replace").decode().replace("\n", " ")[:500],
        }
        subject = f"{DEAD_PREFIX}{self._name}.{meta.subject.removeprefix(EVENT_PREFIX)}"
        try:
            await self._js.publish(subject, message.data, timeout=5, headers=headers)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            _log.error("event.burial_failed", consumer=self._name, event_id=meta.event_id, error=repr(error))
            await self._settle(message.nak(delay=30), meta, "retried")
            return
        _log.error("event.buried", consumer=self._name, subject=meta.subject, event_id=meta.event_id, reason=reason)
        await self._settle(message.term(), meta, "buried")

    async def _settle(self, answer: Awaitable[Any], meta: Meta, outcome: str) -> None:
        """Send an acknowledgement of some kind; a lost one leads to another delivery, which the handler must bear anyway."""
        try:
            await answer
        except (nats.errors.Error, OSError) as error:
            _log.warning("event.answer_lost", consumer=self._name, event_id=meta.event_id, error=repr(error))
            outcome = "lost"
        _HANDLED.labels(self._name, outcome).inc()

    @asynccontextmanager
    async def _claimed(self, message: Msg) -> AsyncGenerator[None]:
        """Keep telling the server that the event is in work."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._ack_wait / 3)
                with contextlib.suppress(nats.errors.Error, OSError):
                    await message.in_progress()

        renewal = asyncio.create_task(renew())
        try:
            yield
        finally:
            await _end(renewal)


class _Responder:
    """Answers requests of one subject; beyond `max_in_flight` at once the requester times out rather than the process drowning."""

    def __init__(
        self,
        client: Client,
        subject: str,
        queue: str,
        message_type: type,
        handler: Callable[[Any], Awaitable[Any]],
        max_in_flight: int,
    ) -> None:
        self._client = client
        self._subject = subject
        self._queue = queue
        self._message_type = message_type
        self._handler = handler
        self._max_in_flight = max_in_flight
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscription: Any = None

    async def start(self) -> None:
        self._subscription = await self._client.subscribe(
            self._subject, queue=self._queue, cb=self._receive, pending_msgs_limit=4 * self._max_in_flight
        )
        await self._client.flush(timeout=5)

    async def close(self) -> None:
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await self._subscription.unsubscribe()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3)
        for task in tuple(self._tasks):
            await _end(task)

    async def _receive(self, message: Msg) -> None:
        if len(self._tasks) >= self._max_in_flight:
            _REQUESTS.labels(self._subject, "overloaded").inc()
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Msg) -> None:
        with trace.span(f"answer {self._subject}", kind=SpanKind.SERVER, parent=trace.extract(message.headers)):
            try:
                reply = await self._handler(msgspec.json.decode(message.data, type=self._message_type))
                payload, headers, outcome = msgspec.json.encode(reply), None, "ok"
            except DomainError as error:
                payload, headers, outcome = encode_error(error), {_ERROR: error.code}, "refused"
            except Exception as error:
                _log.exception("rpc.failed", subject=self._subject)
                payload, headers, outcome = encode_error(error), {_ERROR: "internal"}, "failed"
        _REQUESTS.labels(self._subject, outcome).inc()
        if message.reply:
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._client.publish(message.reply, payload, headers=headers)


class _Hearer:
    """Hands on what is told on one subject."""

    def __init__(
        self, client: Client, subject: str, heard: Callable[[bytes], None], forget: Callable[[Subscription], None]
    ) -> None:
        self._client = client
        self._subject = subject
        self._heard = heard
        self._forget = forget
        self._subscription: Any = None

    async def start(self) -> None:
        self._subscription = await self._client.subscribe(
            self._subject, cb=self._receive, pending_msgs_limit=_PENDING_MESSAGES, pending_bytes_limit=_PENDING_BYTES
        )
        await self._client.flush(timeout=5)

    async def close(self) -> None:
        self._forget(self)
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await self._subscription.unsubscribe()

    async def _receive(self, message: Msg) -> None:
        try:
            self._heard(message.data)
        except Exception:  # one bad message must not end the subscription
            _log.exception("bus.hearing_failed", subject=self._subject)


@contextlib.contextmanager
def _reported(doing: str) -> Iterator[None]:
    """Failures of the server as BusError."""
    try:
        yield
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
        raise BusError(f"{doing} failed: {error!r}") from error


def _letter_of(message: RawStreamMsg) -> DeadLetter:
    headers = message.headers or {}
    consumer = headers.get(_CONSUMER, "")
    subject = (message.subject or "").removeprefix(f"{DEAD_PREFIX}{consumer}.")
    return DeadLetter(
        sequence=message.seq or 0,
        consumer=consumer,
        subject=EVENT_PREFIX + subject,
        event_id=headers.get(_EVENT_ID, ""),
        tenant_id=headers.get(TENANT, ""),
        reason=headers.get(_REASON, ""),
        buried_at=message.time or datetime.fromtimestamp(0, tz=UTC),
        about=ids_in(message.data or b""),
    )


def ids_in(payload: bytes) -> dict[str, str]:
    """The ids at the top of an encoded event: enough to find what it is about."""
    try:
        event = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {name: value for name, value in event.items() if name.endswith("_id") and isinstance(value, str)}


class _WireError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A DomainError on the wire: its class, so that it is the same error on the other side, and what it carries."""

    kind: str
    code: str
    detail: str
    retry_after: int | None = None
    errors: tuple[domain_errors.FieldError, ...] = ()
    subject: tuple[str, str] | None = None


def encode_error(error: Exception) -> bytes:
    """An error as the reply to a request. Only a DomainError shows its text; anything else is a bug and stays in the log."""
    match error:
        case domain_errors.NotFound():
            wire = _WireError(kind="NotFound", code=error.code, detail=error.detail, subject=(error.kind, error.id))
        case domain_errors.Invalid():
            wire = _WireError(kind="Invalid", code=error.code, detail=error.detail, errors=error.errors)
        case domain_errors.LimitReached():
            wire = _WireError(
                kind=type(error).__name__, code=error.code, detail=error.detail, retry_after=error.retry_after
            )
        case DomainError():
            wire = _WireError(kind=type(error).__name__, code=error.code, detail=error.detail)
        case _:
            wire = _WireError(kind="", code="internal", detail="The service failed.")
    return msgspec.json.encode(wire)


def decode_error(payload: bytes) -> Exception:
    """The error that a reply carries: the same DomainError, or RemoteFailure."""
    wire = msgspec.json.decode(payload, type=_WireError)
    kind = getattr(domain_errors, wire.kind, None) if wire.kind else None
    if kind is None and wire.kind:
        kind = DomainError  # a class of a newer service
    if kind is None:
        return RemoteFailure(wire.detail)
    if kind is domain_errors.NotFound:
        name, id = wire.subject or ("resource", "")
        return domain_errors.NotFound(name, id, detail=wire.detail, code=wire.code)
    if kind is domain_errors.Invalid:
        return domain_errors.Invalid(wire.errors, detail=wire.detail)
    if issubclass(kind, domain_errors.LimitReached):
        return kind(wire.detail, code=wire.code, retry_after=wire.retry_after)
    return kind(wire.detail, code=wire.code)


async def _await_server(url: str, patience: float | None) -> None:
    """Wait until one of the servers greets. nats-py itself would sleep 2 s after a refused first attempt."""
    servers = [urlsplit(part.strip()) for part in url.split(",")]
    deadline = None if patience is None else time.monotonic() + patience
    backoff = Backoff(first=0.02, cap=1.0)
    while True:
        for server in servers:
            if await _greets(server.hostname or "127.0.0.1", server.port or 4222):
                return
        pause = backoff.next()
        if deadline is not None and time.monotonic() + pause > deadline:
            raise BusError(f"NATS does not answer at {', '.join(s.netloc.rpartition('@')[2] for s in servers)}")
        await asyncio.sleep(pause)


async def _greets(host: str, port: int) -> bool:
    """Whether the server says INFO, its first line to every client."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return (await reader.readexactly(4)) == b"INFO"
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


async def _end(task: "asyncio.Task[None] | None") -> None:
    if task is None or task.done():
        return
    task.cancel()
    await asyncio.wait({task})

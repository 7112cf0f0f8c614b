"""The bus in memory: the contract of `voisnap_kit.bus.EventBus` without a server. Held to it by the same conformance suite as NATS.

bus = MemoryBus()
bus.away = True          publishing and asking raise BusError, as with a server that is gone
await bus.settle()       returns when every delivered event is handled, retried and buried
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from voisnap_domain.errors import DomainError
from voisnap_kit.bus import (
    EVENT_PREFIX,
    TENANT,
    BusError,
    DeadLetter,
    Handler,
    Hopeless,
    Meta,
    NoResponders,
    PublishRefused,
    RequestTimeout,
    decode_error,
    encode_error,
    ids_in,
)
from voisnap_proto import EVENTS, subject_of

R = TypeVar("R")

_MAX_PAYLOAD = 1_000_000


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the stream."""

    event_id: str
    subject: str
    tenant_id: str
    payload: bytes
    published_at: datetime
    replayed: bool = False


class MemoryBus:
    """Holds the stream, the consumers' positions and the dead letters in lists."""

    def __init__(
        self, *, events: Mapping[str, type] = EVENTS, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.away = False
        self.stream: list[StoredEvent] = []
        self.dead: list[tuple[str, StoredEvent]] = []
        self._letters: dict[int, tuple[DeadLetter, StoredEvent]] = {}
        self._burials = 0
        self._events = events
        self._clock = clock
        self._seen: set[str] = set()
        self._consumers: dict[str, _MemoryConsumer] = {}
        self._responders: dict[str, list[_MemoryResponder]] = {}
        self._hearers: dict[str, list[_MemoryHearer]] = {}

    @property
    def published(self) -> list[Any]:
        """The stream's events, decoded."""
        return [
            msgspec.json.decode(event.payload, type=self._events[event.subject.removeprefix(EVENT_PREFIX)])
            for event in self.stream
        ]

    async def publish(self, event: Any, *, event_id: str, tenant_id: str) -> None:
        await self.publish_raw(
            subject_of(event), msgspec.json.encode(event), event_id=event_id, headers={TENANT: tenant_id}
        )

    async def publish_raw(self, subject: str, payload: bytes, *, event_id: str, headers: Mapping[str, str]) -> None:
        if len(payload) > _MAX_PAYLOAD:
            raise PublishRefused(f"{subject} is {len(payload)} bytes long, the bus takes {_MAX_PAYLOAD}")
        if self.away:
            raise BusError("the bus is away")
        if not subject.startswith(EVENT_PREFIX):
            raise BusError(f"no stream takes {subject}")
        if event_id in self._seen:
            return
        self._seen.add(event_id)
        self.stream.append(
            StoredEvent(
                event_id=event_id,
                subject=subject,
                tenant_id=headers.get(TENANT, ""),
                payload=payload,
                published_at=self._clock(),
            )
        )
        for consumer in self._consumers.values():
            consumer.wake()

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
    ) -> "_MemoryHandle":
        state = self._consumers.get(consumer)
        if state is None:
            state = self._consumers[consumer] = _MemoryConsumer(consumer, self)
        state.filters = tuple(subject if isinstance(subject, str) else subject_of(subject) for subject in subjects)
        return state.attach(handler, max_in_flight, max_deliver, tuple(backoff))

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R:
        if self.away:
            raise BusError("the bus is away")
        responders = self._responders.get(subject)
        if not responders:
            raise NoResponders(f"nobody answers {subject}")
        responders.append(responders.pop(0))
        try:
            async with asyncio.timeout(timeout):
                failed, payload = await responders[-1].answer(msgspec.json.encode(message))
        except TimeoutError as error:
            raise RequestTimeout(f"no answer to {subject} within {timeout:g} s") from error
        if failed:
            raise decode_error(payload)
        return msgspec.json.decode(payload, type=response_type)

    async def respond(
        self, subject: str, queue: str, message_type: type, handler: Callable[[Any], Awaitable[Any]]
    ) -> "_MemoryResponder":
        return _MemoryResponder(self._responders.setdefault(subject, []), message_type, handler)

    async def tell(self, subject: str, payload: bytes) -> None:
        if len(payload) > _MAX_PAYLOAD:
            raise PublishRefused(f"{subject} is {len(payload)} bytes long, the bus takes {_MAX_PAYLOAD}")
        if self.away:
            raise BusError("the bus is away")
        for hearer in tuple(self._hearers.get(subject, ())):
            asyncio.get_running_loop().call_soon(hearer.hear, payload)

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> "_MemoryHearer":
        return _MemoryHearer(self._hearers.setdefault(subject, []), heard)

    def bury(self, consumer: str, event: StoredEvent, reason: str) -> None:
        self._burials += 1
        self.dead.append((consumer, event))
        letter = DeadLetter(
            sequence=self._burials,
            consumer=consumer,
            subject=event.subject,
            event_id=event.event_id,
            tenant_id=event.tenant_id,
            reason=reason,
            buried_at=self._clock(),
            about=ids_in(event.payload),
        )
        self._letters[letter.sequence] = (letter, event)

    async def dead_letters(
        self, *, consumer: str | None = None, after: int = 0, limit: int = 20
    ) -> tuple[list[DeadLetter], int]:
        self._reach()
        found = [letter for letter, _ in self._letters.values() if consumer in (None, letter.consumer)]
        return [letter for letter in found if letter.sequence > after][:limit], len(found)

    async def dead_letter(self, sequence: int) -> DeadLetter | None:
        self._reach()
        return self._letters[sequence][0] if sequence in self._letters else None

    async def replay(self, sequence: int) -> bool:
        self._reach()
        if sequence not in self._letters:
            return False
        letter, event = self._letters.pop(sequence)
        self.dead.remove((letter.consumer, event))
        if (consumer := self._consumers.get(letter.consumer)) is not None:
            consumer.again(msgspec.structs.replace(event, replayed=True))
        return True

    async def discard(self, sequence: int) -> bool:
        self._reach()
        return self._letters.pop(sequence, None) is not None

    def _reach(self) -> None:
        if self.away:
            raise BusError("the bus is away")

    async def settle(self) -> None:
        """Return when no consumer has anything to do."""
        while busy := [consumer for consumer in self._consumers.values() if consumer.busy]:
            await asyncio.gather(*(consumer.idle() for consumer in busy))

    async def check(self) -> None:
        if self.away:
            raise BusError("not connected")

    async def close(self) -> None:
        for consumer in self._consumers.values():
            await consumer.stop()
        self._responders.clear()
        self._hearers.clear()

    def decoder_of(self, subject: str) -> type | None:
        return self._events.get(subject.removeprefix(EVENT_PREFIX))


class _MemoryConsumer:
    """A durable consumer: its position outlives its handlers."""

    def __init__(self, name: str, bus: MemoryBus) -> None:
        self.name = name
        self.filters: tuple[str, ...] = ()
        self._bus = bus
        self._position = 0
        self._waiting: list[tuple[StoredEvent, int]] = []
        self._hands: set[asyncio.Task[None]] = set()
        self._handles: list[_MemoryHandle] = []
        self._changed = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        ready = any(_matches(event.subject, self.filters) for event in self._bus.stream[self._position :])
        return bool(self._handles) and (bool(self._hands) or bool(self._waiting) or ready)

    def wake(self) -> None:
        self._changed.set()

    def again(self, event: StoredEvent) -> None:
        self._waiting.append((event, 1))
        self.wake()

    def attach(
        self, handler: Handler, max_in_flight: int, max_deliver: int, backoff: tuple[float, ...]
    ) -> "_MemoryHandle":
        handle = _MemoryHandle(self, handler, max_in_flight, max_deliver, backoff)
        self._handles.append(handle)
        if self._loop_task is None or self._loop_task.done():
            self._loop_task = asyncio.create_task(self._run())
        self.wake()
        return handle

    async def detach(self, handle: "_MemoryHandle") -> None:
        if handle in self._handles:
            self._handles.remove(handle)
        if not self._handles:
            if self._hands:
                await asyncio.wait(self._hands, timeout=3)
            await self.stop()

    async def stop(self) -> None:
        self._handles.clear()
        for task in (self._loop_task, *self._hands):
            if task is not None:
                task.cancel()
        if tasks := {task for task in (self._loop_task, *self._hands) if task is not None}:
            await asyncio.wait(tasks)
        self._loop_task = None

    async def idle(self) -> None:
        while self.busy:
            await asyncio.sleep(0)
            if self._hands:
                await asyncio.wait(set(self._hands), return_when=asyncio.FIRST_COMPLETED)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            while self._take():
                pass
            await self._changed.wait()

    def _take(self) -> bool:
        """Give the next event to a free handler."""
        handle = next((handle for handle in self._handles if len(self._hands) < handle.max_in_flight), None)
        if handle is None:
            return False
        if self._waiting:
            event, delivery = self._waiting.pop(0)
        else:
            while self._position < len(self._bus.stream) and not _matches(
                self._bus.stream[self._position].subject, self.filters
            ):
                self._position += 1
            if self._position >= len(self._bus.stream):
                return False
            event, delivery = self._bus.stream[self._position], 1
            self._position += 1
        hand = asyncio.create_task(self._handle(handle, event, delivery))
        self._hands.add(hand)
        hand.add_done_callback(self._hand_done)
        return True

    def _hand_done(self, hand: asyncio.Task[None]) -> None:
        self._hands.discard(hand)
        self.wake()

    async def _handle(self, handle: "_MemoryHandle", event: StoredEvent, delivery: int) -> None:
        meta = Meta(
            event_id=event.event_id,
            tenant_id=event.tenant_id,
            subject=event.subject,
            delivery=delivery,
            published_at=event.published_at,
            replayed=event.replayed,
        )
        kind = self._bus.decoder_of(event.subject)
        if kind is None:
            return
        try:
            await handle.handler(msgspec.json.decode(event.payload, type=kind), meta)
        except asyncio.CancelledError:
            self._waiting.insert(0, (event, delivery + 1))
            raise
        except Exception as error:
            if delivery >= handle.max_deliver or isinstance(error, msgspec.DecodeError | Hopeless):
                self._bus.bury(self.name, event, repr(error))
                return
            await asyncio.sleep(handle.backoff[min(delivery, len(handle.backoff)) - 1] if handle.backoff else 0)
            self._waiting.append((event, delivery + 1))


class _MemoryHandle:
    def __init__(
        self,
        consumer: _MemoryConsumer,
        handler: Handler,
        max_in_flight: int,
        max_deliver: int,
        backoff: tuple[float, ...],
    ) -> None:
        self.handler = handler
        self.max_in_flight = max_in_flight
        self.max_deliver = max_deliver
        self.backoff = backoff
        self._consumer = consumer

    async def close(self) -> None:
        await self._consumer.detach(self)


class _MemoryResponder:
    def __init__(
        self, peers: "list[_MemoryResponder]", message_type: type, handler: Callable[[Any], Awaitable[Any]]
    ) -> None:
        self._peers = peers
        self._message_type = message_type
        self._handler = handler
        peers.append(self)

    async def answer(self, payload: bytes) -> tuple[bool, bytes]:
        try:
            return False, msgspec.json.encode(
                await self._handler(msgspec.json.decode(payload, type=self._message_type))
            )
        except DomainError as error:
            return True, encode_error(error)
        except Exception as error:
            return True, encode_error(error)

    async def close(self) -> None:
        if self in self._peers:
            self._peers.remove(self)


def _matches(subject: str, filters: tuple[str, ...]) -> bool:
    return any(_matches_one(subject.split("."), pattern.split(".")) for pattern in filters)


def _matches_one(subject: list[str], pattern: list[str]) -> bool:
    for index, part in enumerate(pattern):
        if part == ">":
            return len(subject) > index
        if index >= len(subject) or part not in ("*", subject[index]):
            return False
    return len(subject) == len(pattern)


class _MemoryHearer:
    def __init__(self, beside: "list[_MemoryHearer]", heard: Callable[[bytes], None]) -> None:
        self._beside = beside
        self._heard = heard
        beside.append(self)

    def hear(self, payload: bytes) -> None:
        if self in self._beside:
            self._heard(payload)

    async def close(self) -> None:
        if self in self._beside:
            self._beside.remove(self)

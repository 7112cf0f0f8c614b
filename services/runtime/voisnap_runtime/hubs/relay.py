"""Requests of Server-Sent Events and long polling that reached another process than theirs, brought there over the bus.

Posts and deletes are one request and one answer. A get (a poll, an event stream) is accepted at once, and its answer is told in parts:
never more of them on the way than the client has taken, so that a slow client slows down its own connection and nothing else. Two
processes with anything between them ask each other every few seconds whether they live; what a dead one was to answer ends as a lost
connection, and what it was to get is called off.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec
from voisnap_domain.errors import DomainError, LimitReached
from voisnap_domain.ids import NodeId
from voisnap_kit import log
from voisnap_kit.bus import BusError, NoResponders, Subscription
from voisnap_signalr import RelayedRequest, RelayedResponse, RelayError

_log = log.get(__name__)

R = TypeVar("R")

ANSWER_SECONDS = 10.0
"""How long a post or delete may take, and accepting a get."""
BEGIN_SECONDS = 100.0
"""How long a get may wait for its answer to begin: a poll takes up to 90 s."""
STALLED_SECONDS = 30.0
"""A client that takes nothing for so long has lost its connection."""
ALIVE_EVERY, ALIVE_TIMEOUT, ALIVE_MISSES = 2.0, 2.0, 2
WINDOW = 16
"""Parts of one answer on the way."""
PART_BYTES = 256 * 1024
MAX_WHOLE_BYTES = 512 * 1024
MAX_EXCHANGES = 2000
"""Gets that one process has open with others, in each direction."""

Serve = Callable[[RelayedRequest], Awaitable[RelayedResponse]]


class RelayAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Answer this request for me; `exchange` is the asker's number for it."""

    asker: NodeId
    exchange: int
    request: RelayedRequest


class RelayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; without a status it is told in parts."""

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class RelayAlive(msgspec.Struct, frozen=True, kw_only=True):
    """Are you there, and: I am."""


class _Told(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    sender: str
    exchange: int


class Begun(_Told, frozen=True, kw_only=True, tag=True, array_like=True):
    """The answer begins."""

    status: int
    headers: tuple[tuple[str, str], ...]


class Part(_Told, frozen=True, kw_only=True, tag=True, array_like=True):
    """A piece of the answer's body."""

    data: bytes


class Over(_Told, frozen=True, kw_only=True, tag=True, array_like=True):
    """The answer is complete, or broken off."""

    is_broken: bool


class Taken(_Told, frozen=True, kw_only=True, tag=True, array_like=True):
    """The client has so many parts now."""

    parts: int


class Left(_Told, frozen=True, kw_only=True, tag=True, array_like=True):
    """The client has gone."""


Told = Begun | Part | Over | Taken | Left
_decoder = msgspec.msgpack.Decoder(Told)
_encode = msgspec.msgpack.Encoder().encode


class Talk(Protocol):
    """The part of the bus that the relay needs."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...
    async def respond(self, subject: str, queue: str, message_type: type, handler: Any) -> Subscription: ...
    async def tell(self, subject: str, payload: bytes) -> None: ...
    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> Subscription: ...


class BusRelay:
    """`voisnap_signalr.Relay` between the processes of the runtime: `forward` for others' connections, `listen` for our own."""

    def __init__(self, bus: Talk, node_id: NodeId) -> None:
        self._bus = bus
        self._node_id = node_id
        self._serve: Serve | None = None
        self._count = 0
        self._asked: dict[int, _Asked] = {}
        self._answering: dict[tuple[str, int], _Answering] = {}
        self._misses: dict[str, int] = {}
        self._subscriptions: list[Subscription] = []
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Gets that are open now, in both directions."""
        return len(self._asked) + len(self._answering)

    async def listen(self, serve: Serve) -> None:
        """Answer the others with `HubApp.serve_relayed`, until `close`."""
        self._serve = serve
        node = self._node_id
        self._subscriptions = [
            await self._bus.hear(_told_at(node), self._heard),
            await self._bus.respond(_asked_at(node), node, RelayAsk, self._answer),
            await self._bus.respond(_alive_at(node), node, RelayAlive, _is_alive),
        ]
        self._watching = asyncio.create_task(self._watch(), name="relay watch")

    async def close(self) -> None:
        """Answer no more, and let go of everything that is open."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.close()
        tasks = [answering.task for answering in self._answering.values() if answering.task is not None]
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for asked in tuple(self._asked.values()):
            asked.broke()

    async def forward(self, node: str, request: RelayedRequest) -> RelayedResponse:
        """See `voisnap_signalr.Relay`. Raises `RelayError`."""
        if len(self._asked) >= MAX_EXCHANGES:
            raise RelayError("too many requests are with other processes")
        self._count += 1
        asked = self._asked[self._count] = _Asked(self, node, self._count)
        try:
            ask = RelayAsk(asker=self._node_id, exchange=asked.exchange, request=request)
            answer = await self._bus.request(_asked_at(node), ask, RelayAnswer, timeout=ANSWER_SECONDS)
            if answer.status is not None:
                self._asked.pop(asked.exchange, None)
                return RelayedResponse(status=answer.status, headers=answer.headers, body=_Whole(answer.body))
            begun = await asked.begun()
        except (BusError, DomainError, TimeoutError) as error:
            await asked.aclose()
            raise RelayError(f"{node} does not answer: {error!r}") from error
        except BaseException:
            await asked.aclose()
            raise
        return RelayedResponse(status=begun.status, headers=begun.headers, body=asked)

    # What others ask of us

    async def _answer(self, ask: RelayAsk) -> RelayAnswer:
        if self._serve is None:
            raise LimitReached("This process is not ready.", code="node-full", retry_after=1)
        if ask.request.method != "GET":
            return await _answered_whole(self._serve, ask.request)
        if len(self._answering) >= MAX_EXCHANGES:
            raise LimitReached("This process answers too many requests for others.", code="node-full", retry_after=5)
        answering = _Answering()
        self._answering[ask.asker, ask.exchange] = answering
        answering.task = asyncio.create_task(self._tell_answer(self._serve, ask, answering))
        return RelayAnswer()

    async def _tell_answer(self, serve: Serve, ask: RelayAsk, answering: "_Answering") -> None:
        response: RelayedResponse | None = None
        try:
            response = await serve(ask.request)
            await self._say(ask.asker, Begun, ask.exchange, status=response.status, headers=response.headers)
            async for whole in response.body:
                for start in range(0, len(whole), PART_BYTES):
                    await answering.room()
                    await self._say(ask.asker, Part, ask.exchange, data=whole[start : start + PART_BYTES])
            await self._say(ask.asker, Over, ask.exchange, is_broken=False)
        except (RelayError, BusError, TimeoutError) as error:
            _log.info("relay.answer_broken", asker=ask.asker, error=repr(error))
            with contextlib.suppress(BusError):
                await self._say(ask.asker, Over, ask.exchange, is_broken=True)
        except asyncio.CancelledError:
            with contextlib.suppress(BusError):
                await self._say(ask.asker, Over, ask.exchange, is_broken=True)
            raise
        except Exception:
            _log.exception("relay.answer_failed")
            with contextlib.suppress(BusError):
                await self._say(ask.asker, Over, ask.exchange, is_broken=True)
        finally:
            self._answering.pop((ask.asker, ask.exchange), None)
            if response is not None:
                await response.body.aclose()

    # What is told between us

    async def _say(self, node: str, kind: type[Any], exchange: int, **fields: Any) -> None:
        await self._bus.tell(_told_at(node), _encode(kind(sender=self._node_id, exchange=exchange, **fields)))

    def _heard(self, payload: bytes) -> None:
        match told := _decoder.decode(payload):
            case Taken():
                answering = self._answering.get((told.sender, told.exchange))
                if answering is not None:
                    answering.taken(told.parts)
            case Left():
                self._call_off((told.sender, told.exchange))
            case _:
                asked = self._asked.get(told.exchange)
                if asked is not None and asked.node == told.sender:
                    asked.heard(told)

    def _call_off(self, key: tuple[str, int]) -> None:
        answering = self._answering.get(key)
        if answering is not None and answering.task is not None:
            answering.task.cancel()

    async def _left(self, asked: "_Asked", *, tell: bool) -> None:
        if self._asked.pop(asked.exchange, None) is not None and tell:
            with contextlib.suppress(BusError):
                await self._say(asked.node, Left, asked.exchange)

    # Who lives

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_EVERY)
            peers = {asked.node for asked in self._asked.values()} | {asker for asker, _ in self._answering}
            self._misses = {peer: self._misses.get(peer, 0) for peer in peers}
            await asyncio.gather(*(self._check(peer) for peer in peers))

    async def _check(self, peer: str) -> None:
        try:
            await self._bus.request(_alive_at(peer), RelayAlive(), RelayAlive, timeout=ALIVE_TIMEOUT)
        except NoResponders:
            self._misses[peer] = ALIVE_MISSES
        except BusError:
            self._misses[peer] = self._misses.get(peer, 0) + 1
        else:
            self._misses[peer] = 0
        if self._misses[peer] >= ALIVE_MISSES:
            _log.warning("relay.process_lost", node=peer)
            for asked in tuple(self._asked.values()):
                if asked.node == peer:
                    asked.broke()
            for key in tuple(self._answering):
                if key[0] == peer:
                    self._call_off(key)


class _Asked:
    """A get that another process answers: its `RelayedBody`."""

    def __init__(self, relay: BusRelay, node: str, exchange: int) -> None:
        self.node = node
        self.exchange = exchange
        self._relay = relay
        self._told: deque[Begun | Part | Over] = deque()
        self._news = asyncio.Event()
        self._parts = 0
        self._is_over = False

    def heard(self, told: "Begun | Part | Over") -> None:
        """Something of the answer."""
        if self._is_over:
            return
        self._told.append(told)
        if len(self._told) > WINDOW + 2:  # more than was asked for
            self._told.clear()
            self.broke()
        self._news.set()

    def broke(self) -> None:
        """The rest of the answer will not come."""
        if not self._is_over:
            self._told.append(Over(sender=self.node, exchange=self.exchange, is_broken=True))
            self._news.set()

    async def begun(self) -> Begun:
        """The beginning of the answer. Raises `RelayError`, `TimeoutError`."""
        async with asyncio.timeout(BEGIN_SECONDS):
            first = await self._next()
        if not isinstance(first, Begun):
            raise RelayError(f"{self.node} broke off")
        return first

    def __aiter__(self) -> "_Asked":
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        match told := await self._next():
            case Part():
                self._parts += 1
                if self._parts % (WINDOW // 2) == 0:
                    with contextlib.suppress(BusError):
                        await self._relay._say(self.node, Taken, self.exchange, parts=self._parts)
                return told.data
            case _:
                await self._finish(tell=False)
                if isinstance(told, Over) and not told.is_broken:
                    raise StopAsyncIteration
                raise RelayError(f"{self.node} broke off")

    async def aclose(self) -> None:
        """The client has gone, or has everything."""
        await self._finish(tell=not self._is_over)

    async def _next(self) -> "Begun | Part | Over":
        while not self._told:
            self._news.clear()
            await self._news.wait()
        return self._told.popleft()

    async def _finish(self, *, tell: bool) -> None:
        self._is_over = True
        self._told.clear()
        await self._relay._left(self, tell=tell)


class _Answering:
    """A get that we answer for another process: how far it is."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._sent = 0
        self._taken = 0
        self._news = asyncio.Event()

    def taken(self, parts: int) -> None:
        """So many parts are with the client."""
        self._taken = max(self._taken, min(parts, self._sent))
        self._news.set()

    async def room(self) -> None:
        """Wait until another part may be sent. Raises `TimeoutError` for a client that takes nothing."""
        async with asyncio.timeout(STALLED_SECONDS):
            while self._sent - self._taken >= WINDOW:
                self._news.clear()
                await self._news.wait()
        self._sent += 1


async def _answered_whole(serve: Serve, request: RelayedRequest) -> RelayAnswer:
    response = await serve(request)
    parts: list[bytes] = []
    try:
        async for part in response.body:
            parts.append(part)
            if sum(map(len, parts)) > MAX_WHOLE_BYTES:
                raise LimitReached("The answer is too large.", code="answer-too-large", retry_after=1)
    finally:
        await response.body.aclose()
    return RelayAnswer(status=response.status, headers=response.headers, body=b"".join(parts))


class _Whole:
    """A body that came in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> "_Whole":
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, b""
        if not body:
            raise StopAsyncIteration
        return body

    async def aclose(self) -> None:
        """Nothing is open."""


async def _is_alive(_: RelayAlive) -> RelayAlive:
    return RelayAlive()


def _asked_at(node: str) -> str:
    return f"node.{node}.relay_request.v1"


def _told_at(node: str) -> str:
    return f"node.{node}.relay_told.v1"


def _alive_at(node: str) -> str:
    return f"node.{node}.relay_alive.v1"

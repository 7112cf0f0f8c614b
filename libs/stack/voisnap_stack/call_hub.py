"""A small SignalR client: JSON over WebSockets, as much as a voice call needs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

SEPARATOR = "\x1e"
PING_SECONDS = 15.0
SERVER_SECONDS = 30.0
"""A hub that says nothing for so long, not even a ping, is gone."""
OPEN_SECONDS = 10.0
INVOKE_SECONDS = 15.0
MAX_MESSAGE = 1 << 20
_QUEUE = 512

_INVOCATION, _PING = 1, 6


class HubRefused(Exception):
    """The hub did not let us in, or answered an invocation with an error; the text is the hub's."""


class HubEnd(msgspec.Struct, frozen=True):
    """How a connection ended. `may_return`: it broke, or the hub asked to connect again."""

    reason: str
    may_return: bool


class HubEvent(msgspec.Struct, frozen=True):
    """Something the hub told us."""

    target: str
    arguments: tuple[Any, ...]

    @property
    def value(self) -> dict[str, Any]:
        """The first argument, empty when there is none."""
        first = self.arguments[0] if self.arguments else None
        return first if isinstance(first, dict) else {}


class HubClient:
    """One connection to a hub, from `opened` on."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._events: asyncio.Queue[HubEvent | None] = asyncio.Queue(_QUEUE)
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._count = 0
        self._heard_at = asyncio.get_running_loop().time()
        self.end: HubEnd | None = None
        """Set once the connection is over."""
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, http: httpx.AsyncClient, url: str, query: dict[str, str]) -> AsyncIterator["HubClient"]:
        """Negotiate and connect to the hub at `url` with the client's own Authorization header.

        Raises `HubRefused` when the hub refuses, and `OSError` or `httpx.HTTPError` when it cannot be reached.
        """
        answer = await http.post(f"{url}/negotiate?{urlencode({**query, 'negotiateVersion': '1'})}")
        if answer.status_code == 401:
            raise HubRefused("the token was refused: it may have run out; log in again")
        if answer.status_code != 200:
            raise HubRefused(f"the hub refused the connection (status {answer.status_code})")
        token = answer.json().get("connectionToken", "")
        scheme, *rest = urlsplit(f"{url}?{urlencode({**query, 'id': token})}")
        address = urlunsplit(("wss" if scheme == "https" else "ws", *rest))
        headers = {"Authorization": http.headers.get("Authorization", "")}
        try:
            async with connect(
                address,
                additional_headers=headers,
                open_timeout=OPEN_SECONDS,
                ping_interval=None,
                max_size=MAX_MESSAGE,
                close_timeout=2,
                proxy=None,
            ) as socket:
                client = cls(socket)
                await client._begin()
                try:
                    yield client
                finally:
                    await client._end()
        except (InvalidHandshake, TimeoutError) as error:
            raise HubRefused(f"the hub refused the connection: {error}") from error

    async def invoke(self, target: str, *arguments: Any) -> Any:
        """Call a method of the hub and wait for its answer. Raises `HubRefused` with the hub's text."""
        self._count += 1
        number = str(self._count)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._write(
                {"type": _INVOCATION, "invocationId": number, "target": target, "arguments": list(arguments)}
            )
            async with asyncio.timeout(INVOKE_SECONDS):
                return await future
        except TimeoutError as error:
            raise HubRefused(f"the hub did not answer {target}") from error
        except ConnectionClosed as error:
            raise HubRefused("the hub closed the connection") from error
        finally:
            del self._waiting[number]
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen, also when writing failed first

    def abandon(self) -> None:
        """Treat the connection as broken: nobody may be there any more to say goodbye to."""
        self._over("the hub does not answer any more", may_return=True)
        self._socket.transport.abort()

    async def events(self) -> AsyncIterator[HubEvent]:
        """Everything the hub tells, until it closes the connection."""
        while (event := await self._events.get()) is not None:
            yield event

    async def _begin(self) -> None:
        await self._write({"protocol": "json", "version": 1})
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                text = _text(await self._socket.recv())
        except (TimeoutError, ConnectionClosed) as error:
            raise HubRefused("the hub did not answer the handshake") from error
        record, _, rest = text.partition(SEPARATOR)
        if refusal := msgspec.json.decode(record or "{}").get("error"):
            raise HubRefused(str(refusal))
        create = asyncio.get_running_loop().create_task
        self._tasks = (create(self._read(rest)), create(self._ping()))

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _read(self, rest: str) -> None:
        try:
            rest = self._take(rest)
            async for frame in self._socket:
                self._heard_at = asyncio.get_running_loop().time()
                rest = self._take(rest + _text(frame))
        except ConnectionClosed:
            pass
        finally:
            self._over("the hub closed the connection", may_return=True)

    def _take(self, text: str) -> str:
        *records, rest = text.split(SEPARATOR)
        for record in records:
            if record:
                self._message(msgspec.json.decode(record))
        return rest

    def _message(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case 1:  # invocation
                with contextlib.suppress(asyncio.QueueFull):
                    self._events.put_nowait(HubEvent(message["target"], tuple(message.get("arguments", ()))))
            case 3:  # completion
                future = self._waiting.get(message.get("invocationId", ""))
                if future is not None and not future.done():
                    if "error" in message:
                        future.set_exception(HubRefused(str(message["error"])))
                    else:
                        future.set_result(message.get("result"))
            case 7:  # close
                reason = str(message.get("error") or "the hub closed the connection")
                self._over(reason, may_return=bool(message.get("allowReconnect")))
            case _:
                pass

    def _over(self, reason: str, *, may_return: bool) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(HubRefused(reason))
        if self.end is not None:
            return
        self.end = HubEnd(reason, may_return)
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)

    async def _ping(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(PING_SECONDS)
                if asyncio.get_running_loop().time() - self._heard_at > SERVER_SECONDS:
                    self.abandon()
                    return
                await self._write({"type": _PING})

    async def _write(self, message: dict[str, Any]) -> None:
        await self._socket.send(msgspec.json.encode(message).decode() + SEPARATOR)


def _text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode()

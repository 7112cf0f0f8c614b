"""A SignalR client for one hub connection: JSON protocol over WebSockets, without negotiation (the hub protocol's specification, aspnet/SignalR).

The Python packages for SignalR that exist either keep the token in the address, where servers log it, or don't tell a broken connection from
an ended one; the protocol is small enough to speak it here.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from .errors import ConnectionFailed, RequestTimeout, VoisnapError

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import InvalidStatus, WebSocketException
except ImportError as error:  # pragma: no cover - only without the extra
    raise ImportError("Real-time conversations need the extra: pip install 'voisnap[realtime]'") from error

_RECORD_END = "\x1e"
_PING_SECONDS = 15.0
_SERVER_SILENT_SECONDS = 30.0
_OPEN_SECONDS = 10.0
INVOKE_SECONDS = 30.0
_LARGEST_MESSAGE = 1 << 20


class HubError(VoisnapError):
    """The hub refused: `code` is one of the documented error codes, or `INVOCATION_FAILED` for a method's own error."""

    def __init__(self, code: str, message: str, *, recoverable: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.recoverable = recoverable


class Unauthorized(HubError):
    """The handshake was refused: the token is wrong or has run out."""

    def __init__(self, status: int) -> None:
        super().__init__("AUTH_FAILED", f"the hub answered the handshake with {status}")
        self.status = status


class HubConnection:
    """One WebSocket of a hub. `on_event(name, arguments)` is called for every event, `on_close(error)` once; both must not block."""

    def __init__(
        self, on_event: Callable[[str, list[Any]], None], on_close: Callable[[Exception | None], None]
    ) -> None:
        self._on_event = on_event
        self._on_close = on_close
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, url: str, query: Mapping[str, str], token: str) -> None:
        """Connect and shake hands. Raises Unauthorized, ConnectionFailed."""
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                self._socket = await connect(
                    _address(url, query),
                    additional_headers={"Authorization": f"Bearer {token}"},
                    ping_interval=None,
                    compression=None,
                    max_size=_LARGEST_MESSAGE,
                    max_queue=256,
                )
                await self._socket.send(json.dumps({"protocol": "json", "version": 1}) + _RECORD_END)
                records = _records(await self._socket.recv())
        except InvalidStatus as error:
            if error.response.status_code in {401, 403}:
                raise Unauthorized(error.response.status_code) from None
            raise ConnectionFailed(f"{url} answered {error.response.status_code}") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            await self.close()
            raise ConnectionFailed(f"{url}: {error or type(error).__name__}") from error
        if records and records[0].get("error"):
            await self.close()
            raise ConnectionFailed(str(records[0]["error"]))
        self._tasks = [asyncio.create_task(self._receive(records[1:])), asyncio.create_task(self._ping())]

    async def invoke(self, method: str, *arguments: Any) -> Any:
        """Call a method of the hub; its result. Raises HubError, RequestTimeout, ConnectionFailed."""
        number = str(next(self._ids))
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"type": 1, "invocationId": number, "target": method, "arguments": list(arguments)})
            async with asyncio.timeout(INVOKE_SECONDS):
                return await answer
        except TimeoutError:
            raise RequestTimeout(f"{method} was not answered within {INVOKE_SECONDS:.0f} s") from None
        finally:
            self._waiting.pop(number, None)

    async def send(self, method: str, *arguments: Any) -> None:
        """Call a method and don't wait for its end. Raises ConnectionFailed."""
        await self._send({"type": 1, "target": method, "arguments": list(arguments)})

    async def close(self) -> None:
        """Close the socket and end the tasks; `on_close` is not called."""
        self._on_close = lambda _error: None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if self._socket is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._socket.close(), 2.0)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            raise ConnectionFailed("the hub is not connected")
        try:
            await self._socket.send(json.dumps(message) + _RECORD_END)
        except (OSError, WebSocketException) as error:
            raise ConnectionFailed("the connection to the hub broke") from error

    async def _receive(self, already: list[dict[str, Any]]) -> None:
        failure: Exception | None = ConnectionFailed("the connection to the hub broke")
        try:
            for message in already:
                self._take(message)
            while True:
                async with asyncio.timeout(_SERVER_SILENT_SECONDS):
                    text = await self._socket.recv()  # type: ignore[union-attr]
                for message in _records(text):
                    if message.get("type") == 7:
                        again = bool(message.get("allowReconnect"))
                        failure = ConnectionFailed("the hub asks to connect again") if again else None
                        return
                    self._take(message)
        except (OSError, TimeoutError, WebSocketException, ValueError) as error:
            failure = ConnectionFailed(f"the connection to the hub broke: {error or type(error).__name__}")
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(failure or ConnectionFailed("the hub closed the connection"))
            self._on_close(failure)

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case 1:
                self._on_event(str(message["target"]), list(message.get("arguments", ())))
            case 3:
                waiting = self._waiting.get(str(message.get("invocationId")))
                if waiting is None or waiting.done():
                    return
                if message.get("error"):
                    waiting.set_exception(HubError("INVOCATION_FAILED", str(message["error"])))
                else:
                    waiting.set_result(message.get("result"))
            case _:
                return

    async def _ping(self) -> None:
        with suppress(ConnectionFailed):
            while True:
                await asyncio.sleep(_PING_SECONDS)
                await self._send({"type": 6})


def _records(text: str | bytes) -> list[dict[str, Any]]:
    text = text.decode() if isinstance(text, bytes) else text
    return [json.loads(record) for record in text.split(_RECORD_END) if record]


def _address(url: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    scheme = {"https": "wss", "http": "ws"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), ""))

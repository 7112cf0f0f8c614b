"""Builders for hub tests: an ASGI client without sockets, and a log that keeps what it is told."""

import asyncio
from typing import Any

import msgspec
import pytest
from voisnap_signalr import HubApp

RS = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + RS


class KeptLog:
    """Keeps (level, event, values)."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, dict[str, Any]]] = []

    def debug(self, event: str, **values: Any) -> None:
        self.entries.append(("debug", event, values))

    def info(self, event: str, **values: Any) -> None:
        self.entries.append(("info", event, values))

    def warning(self, event: str, **values: Any) -> None:
        self.entries.append(("warning", event, values))

    def error(self, event: str, **values: Any) -> None:
        self.entries.append(("error", event, values))

    def events(self) -> list[str]:
        return [event for _, event, _ in self.entries]


class HttpAnswer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class AsgiSocket:
    """One WebSocket into an ASGI app: what the app sends is read with `messages` and `raw`."""

    def __init__(self, app: Any, path: str, query: str = "", headers: dict[str, str] | None = None) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._pending: list[dict[str, Any]] = []
        self.can_write = asyncio.Event()
        self.can_write.set()
        scope = _scope("websocket", path, query, headers)
        self.task = asyncio.create_task(app(scope, self._to_app.get, self._send))
        self._to_app.put_nowait({"type": "websocket.connect"})

    async def _send(self, message: dict[str, Any]) -> None:
        await self.can_write.wait()
        self._from_app.put_nowait(message)

    async def raw(self) -> dict[str, Any]:
        """The next ASGI message from the app."""
        async with asyncio.timeout(5):
            return await self._from_app.get()

    async def open(self) -> "AsgiSocket":
        """Accept, shake hands, and read the reply."""
        assert (await self.raw())["type"] == "websocket.accept"
        self.send_text(HANDSHAKE)
        assert await self.message() == {}
        return self

    def send_text(self, text: str) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    def send_bytes(self, data: bytes) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "bytes": data})

    @property
    def is_quiet(self) -> bool:
        """Whether the app has sent nothing that was not read."""
        return not self._pending and self._from_app.empty()

    def send(self, *messages: dict[str, Any]) -> None:
        self.send_text("".join(msgspec.json.encode(message).decode() + RS for message in messages))

    def invoke(self, target: str, *arguments: Any, invocation_id: str | None = "1") -> None:
        message = {"type": 1, "target": target, "arguments": arguments}
        if invocation_id is not None:
            message["invocationId"] = invocation_id
        self.send(message)

    async def message(self) -> dict[str, Any]:
        """The next hub message from the app."""
        while not self._pending:
            message = await self.raw()
            assert message["type"] == "websocket.send", message
            records = message["text"].split(RS)
            assert records.pop() == "", "a frame ends with the separator"
            self._pending += [msgspec.json.decode(record) for record in records]
        return self._pending.pop(0)

    def drop(self, code: int = 1006) -> None:
        """The peer goes."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code})

    async def finished(self) -> None:
        async with asyncio.timeout(5):
            await self.task


class AsgiRequest:
    """One HTTP request into an ASGI app, its answer read part by part."""

    def __init__(
        self,
        app: Any,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes | None = b"",
    ) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.can_write = asyncio.Event()
        self.can_write.set()
        scope = _scope("http", path, query, headers) | {"method": method}
        self.task = asyncio.create_task(app(scope, self._to_app.get, self._send))
        if body is not None:
            self.upload(body)

    async def _send(self, message: dict[str, Any]) -> None:
        await self.can_write.wait()
        self._from_app.put_nowait(message)

    @property
    def has_answered(self) -> bool:
        """Whether there is something to read."""
        return not self._from_app.empty()

    def upload(self, body: bytes, *, more_body: bool = False) -> None:
        """A part of the request's body."""
        self._to_app.put_nowait({"type": "http.request", "body": body, "more_body": more_body})

    def drop(self) -> None:
        """The client goes."""
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def raw(self) -> dict[str, Any]:
        """The next ASGI message from the app."""
        async with asyncio.timeout(5):
            return await self._from_app.get()

    async def begun(self) -> HttpAnswer:
        """Status and headers."""
        start = await self.raw()
        headers: dict[str, str] = {}
        for name, value in start["headers"]:
            headers[name.decode()] = value.decode()
        return HttpAnswer(start["status"], headers, b"")

    async def answer(self) -> HttpAnswer:
        """The whole answer."""
        answer = await self.begun()
        more_body = True
        while more_body:
            part = await self.raw()
            answer.body += part.get("body", b"")
            more_body = part.get("more_body", False)
        return answer


async def request(
    app: Any,
    method: str,
    path: str,
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> HttpAnswer:
    """One HTTP request and its whole answer."""
    asked = AsgiRequest(app, method, path, query, headers, body)
    answer = await asked.answer()
    await asked.task
    return answer


def _scope(kind: str, path: str, query: str, headers: dict[str, str] | None) -> dict[str, Any]:
    return {
        "type": kind,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in {"host": "hub.test", **(headers or {})}.items()
        ],
        "client": ("192.0.2.7", 5000),
        "extensions": {"websocket.http.response": {}},
    }


@pytest.fixture
def kept_log() -> KeptLog:
    return KeptLog()


@pytest.fixture(scope="session")
def kept_logs() -> type[KeptLog]:
    """For tests that need a log for each example."""
    return KeptLog


@pytest.fixture
def connect() -> type[AsgiSocket]:
    return AsgiSocket


@pytest.fixture
def http() -> Any:
    return request


@pytest.fixture
def exchange() -> type[AsgiRequest]:
    """For requests that are not answered at once."""
    return AsgiRequest


@pytest.fixture
def hub_app(kept_log: KeptLog) -> Any:
    """Build a `HubApp` that admits everybody as "user"."""

    async def admit(_request: Any) -> str:
        return "user"

    def build(hubs: dict[str, Any], **options: Any) -> HubApp:
        return HubApp(hubs, **{"authenticate": admit, "logger": kept_log} | options)

    return build

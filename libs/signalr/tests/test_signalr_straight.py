"""The short way: a server that shows messages before any task runs, and writes without waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from voisnap_signalr import Hub, HubError, hub_method
from voisnap_signalr.asgi import HubApp
from voisnap_signalr.transports.websockets import STRAIGHT

pytestmark = pytest.mark.unit

RS = "\x1e"


class Frames(Hub):
    """Counts what comes often, and has a method that takes its time."""

    def __init__(self, told: list[Any], gate: asyncio.Event) -> None:
        self._told = told
        self._gate = gate

    @hub_method("Frame", immediate=True)
    def frame(self, value: msgspec.Raw) -> int:
        number = msgspec.json.decode(value)
        if number == 13:
            raise HubError("not this one")
        if number == 14:
            raise OSError("a secret")
        self._told.append(number)
        self.connection.send("Counted", number)
        return len(self._told)

    @hub_method("Slow")
    async def slow(self, value: str) -> str:
        self._told.append(value)
        await self._gate.wait()
        self._told.append(f"{value} is done")
        return value


class Server:
    """A connection whose server offers the short way, as `voisnap_kit.websocket` does."""

    def __init__(self, hub: Callable[[], Hub]) -> None:
        self.sent: list[Any] = []
        self.has_room = True
        self._take: Callable[[bytes], bool] | None = None
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._is_awaited = False
        self._app = HubApp({"frames": hub}, authenticate=self._admit)
        scope = {
            "type": "websocket",
            "path": "/hubs/frames",
            "raw_path": b"/hubs/frames",
            "query_string": b"",
            "headers": [(b"host", b"hub.test")],
            "client": ("192.0.2.7", 5000),
            "extensions": {STRAIGHT: self},
        }
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._app(scope, self._receive, self._send))

    async def _admit(self, request: Any) -> str:
        return "user"

    async def _receive(self) -> Any:
        self._is_awaited = True
        message = await self._to_app.get()
        self._is_awaited = False
        return message

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            await asyncio.sleep(0)
            self.sent += records(message["text"])

    def listen(self, take: Callable[[bytes], bool]) -> None:
        self._take = take

    def write(self, data: bytes, *, is_text: bool) -> bool:
        assert is_text
        if self.has_room:
            self.sent += records(data.decode())
        return self.has_room

    def feed(self, *messages: Any) -> None:
        """A WebSocket message arrives."""
        text = "".join(msgspec.json.encode(message).decode() + RS for message in messages)
        waits = self._is_awaited and self._to_app.empty()
        if not (waits and self._take is not None and self._take(text.encode())):
            self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def open(self) -> "Server":
        self.feed({"protocol": "json", "version": 1})
        await settle()
        assert self.sent == [{}]
        self.sent.clear()
        return self

    async def end(self) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(5):
            await self.task


def records(text: str) -> list[Any]:
    return [msgspec.json.decode(record) for record in text.split(RS)[:-1]]


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def call(target: str, *arguments: Any, invocation_id: str | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"arguments": arguments, "target": target, "type": 1}
    return message if invocation_id is None else message | {"invocationId": invocation_id}


def counted(number: int) -> dict[str, Any]:
    return {"type": 1, "target": "Counted", "arguments": [number]}


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def server(told: list[Any], gate: asyncio.Event):
    server = await Server(lambda: Frames(told, gate)).open()
    yield server
    await server.end()


async def test_an_immediate_call_is_run_and_answered_before_any_task(server: Server, told: list[Any]) -> None:
    server.feed(call("Frame", 1))
    server.feed(call("frame", 2, invocation_id="a"))
    assert told == [1, 2]
    assert server.sent == [counted(1), counted(2), {"type": 3, "invocationId": "a", "result": 2}]


async def test_calls_keep_their_order_behind_one_that_takes_its_time(
    server: Server, told: list[Any], gate: asyncio.Event
) -> None:
    server.feed(call("Slow", "first", invocation_id="s"))
    server.feed(call("Frame", 1))
    await settle()
    server.feed(call("Frame", 2))
    assert told == ["first"]
    gate.set()
    await settle()
    assert told == ["first", "first is done", 1, 2]
    server.feed(call("Frame", 3))
    assert told[-1] == 3


async def test_several_calls_in_one_message_and_pieces_of_one_are_the_readers(server: Server, told: list[Any]) -> None:
    server.feed(call("Frame", 1), call("Frame", 2))
    assert told == []
    await settle()
    assert told == [1, 2]


async def test_what_was_not_written_yet_is_not_overtaken(server: Server, told: list[Any]) -> None:
    server.has_room = False
    server.feed(call("Frame", 1))
    server.has_room = True
    server.feed(call("Frame", 2))
    await settle()
    assert server.sent == [counted(1), counted(2)]
    server.feed(call("Frame", 3))
    assert server.sent[-1] == counted(3)


async def test_failures_are_told_as_ever(server: Server) -> None:
    server.feed(call("Frame", 13, invocation_id="a"))
    server.feed(call("Frame", 14, invocation_id="b"))
    server.feed(call("Frame", invocation_id="c"))
    server.feed(call("Frame", 1, invocation_id="d"))
    errors = [message.get("error", "") for message in server.sent if message["type"] == 3]
    assert errors[0].endswith("HubException: not this one")
    assert "secret" not in errors[1]
    assert errors[1].startswith("An unexpected error occurred")
    assert errors[2] == "Failed to invoke 'Frame' due to an error on the server."
    assert errors[3] == ""


async def test_nothing_is_taken_after_the_connection_was_closed(server: Server, told: list[Any]) -> None:
    server.feed({"type": 7})
    await settle()
    server.feed(call("Frame", 1))
    await settle()
    assert told == []


def test_an_immediate_method_must_not_wait() -> None:
    with pytest.raises(TypeError, match="'def'"):

        class Waiting(Hub):
            @hub_method("Count", immediate=True)
            async def count(self) -> int:
                return 1

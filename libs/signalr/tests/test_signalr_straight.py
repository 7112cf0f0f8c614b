"""The short way: a server that shows messages before any task runs, and writes without waiting."""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any

import msgspec
import pytest
from voisnap_signalr import (
    ConnectionSettings,
    Hub,
    HubAppSettings,
    HubError,
    HubLimits,
    SessionSettings,
    Unauthorized,
    hub_method,
)
from voisnap_signalr.asgi import HubApp
from voisnap_signalr.messages import Completion, Invocation
from voisnap_signalr.msgpack_codec import MsgpackCodec
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

    @hub_method("Number", immediate=True)
    def number(self, value: int) -> Any:
        """Counts; some numbers have results of their own."""
        self._told.append(value)
        match value:
            case 1:
                return object()
            case 2:
                raise asyncio.CancelledError
            case 3:
                self.connection.abort()
        return value

    @hub_method("Sum")
    async def sum(self, values: AsyncIterable[int]) -> int:
        total = 0
        async for value in values:
            self._told.append(f"item {value}")
            total += value
        return total

    @hub_method("Slow")
    async def slow(self, value: str) -> str:
        self._told.append(value)
        await self._gate.wait()
        self._told.append(f"{value} is done")
        return value


class SideBySide(Frames):
    limits = HubLimits(max_parallel_invocations=2)


class Guarded(Frames):
    """Lets nobody in before the gate opens; then nobody at all, if it was told so."""

    async def on_connected(self) -> None:
        await self._gate.wait()
        if self._told:
            raise HubError("not you")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    """A connection whose server offers the short way, as `voisnap_kit.websocket` does."""

    def __init__(self, hub: Callable[[], Hub], *, query: str = "", app: HubApp | None = None, **options: Any) -> None:
        self.sent: list[Any] = []
        self.raw = b""
        self.grew = asyncio.Event()
        self.answers: list[dict[str, Any]] = []
        """What was sent about the WebSocket itself."""
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.has_room = True
        self._take: Callable[[bytes], bool] | None = None
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._is_awaited = False
        self._app = app or HubApp({"frames": hub}, authenticate=options.pop("authenticate", self._admit), **options)
        scope = {
            "type": "websocket",
            "path": "/hubs/frames",
            "raw_path": b"/hubs/frames",
            "query_string": query.encode(),
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
        if message["type"] != "websocket.send":
            self.answers.append(message)
            return
        await asyncio.sleep(0)
        await self.may_send.wait()
        self._keep(message.get("text", "").encode() or message["bytes"])

    def _keep(self, data: bytes) -> None:
        self.raw += data
        if data.endswith(RS.encode()):
            self.sent += records(data.decode())
        self.grew.set()

    def listen(self, take: Callable[[bytes], bool]) -> None:
        self._take = take

    def write(self, data: bytes, *, is_text: bool) -> bool:
        if self.has_room:
            self._keep(data)
        return self.has_room

    def feed(self, *messages: Any) -> None:
        """A WebSocket message arrives."""
        self.feed_raw(b"".join(msgspec.json.encode(message) + RS.encode() for message in messages))

    def feed_raw(self, data: bytes) -> None:
        waits = self._is_awaited and self._to_app.empty()
        if not (waits and self._take is not None and self._take(data)):
            self._to_app.put_nowait({"type": "websocket.receive", "bytes": data})

    async def message(self) -> Any:
        """The next message that was sent, and is forgotten."""
        async with asyncio.timeout(5):
            while not self.sent:
                self.grew.clear()
                await self.grew.wait()
        return self.sent.pop(0)

    async def open(self, *, version: int = 1) -> "Server":
        self.feed({"protocol": "json", "version": version})
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


def completed(invocation_id: str, result: Any) -> dict[str, Any]:
    return {"type": 3, "invocationId": invocation_id, "result": result}


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


async def test_a_call_in_pieces_is_run_once_and_the_next_one_in_its_turn(server: Server, told: list[Any]) -> None:
    whole = msgspec.json.encode(call("Frame", 1)) + RS.encode()
    server.feed_raw(whole[:20])
    await settle()
    server.feed_raw(whole[20:] + whole[:7])
    server.feed_raw(whole[7:])
    await settle()
    assert told == [1, 1]
    server.feed(call("Frame", 2))
    assert told == [1, 1, 2]
    server.feed_raw(whole[:20])
    await settle()
    server.feed_raw(whole)
    await settle()
    assert told == [1, 1, 2], "what follows half a call is its other half, whatever it looks like"
    assert server.sent[-1]["type"] == 7


async def test_a_result_that_cannot_be_written_and_one_that_was_cancelled_are_failures_of_the_call_alone(
    server: Server, told: list[Any]
) -> None:
    for value in (1, 2, 9):
        server.feed(call("Number", value, invocation_id=str(value)))
    assert told == [1, 2, 9]
    errors = [message.get("error") for message in server.sent]
    assert [message["invocationId"] for message in server.sent] == ["1", "2", "9"]
    assert errors[0] == errors[1] == "An unexpected error occurred invoking 'Number' on the server."
    assert errors[2] is None


async def test_nothing_runs_behind_a_call_that_ended_the_connection(told: list[Any], gate: asyncio.Event) -> None:
    server = await Server(lambda: Frames(told, gate)).open()
    server.feed(call("Number", 3, invocation_id="a"))
    server.feed(call("Number", 4, invocation_id="b"))
    async with asyncio.timeout(5):
        await server.task
    assert told == [3]
    assert server.sent == [{"type": 7}], "and no answer behind the goodbye"


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_message_beyond_the_limit_ends_the_connection_unread(
    told: list[Any], gate: asyncio.Event, is_whole: bool
) -> None:
    settings = HubAppSettings(connection=ConnectionSettings(max_message_bytes=200))
    server = await Server(lambda: Frames(told, gate), settings=settings).open()
    largest = msgspec.json.encode(call("Frame", 1)).ljust(200)
    server.feed_raw(largest + RS.encode())
    assert told == [1]
    server.feed_raw(largest + b" " + (RS.encode() if is_whole else b""))
    async with asyncio.timeout(5):
        await server.task
    assert told == [1]
    assert server.sent[-1]["type"] == 7
    assert "maximum message size" in server.sent[-1]["error"]


async def test_who_is_not_let_in_calls_nothing(told: list[Any], gate: asyncio.Event) -> None:
    async def refuse(request: Any) -> None:
        await gate.wait()
        raise Unauthorized("no")

    server = Server(lambda: Frames(told, gate), authenticate=refuse)
    server.feed({"protocol": "json", "version": 1})
    server.feed(call("Frame", 1))
    gate.set()
    async with asyncio.timeout(5):
        await server.task
    assert told == []
    assert [answer["type"] for answer in server.answers] == ["websocket.close"]


@pytest.mark.parametrize("is_refused", [True, False])
async def test_calls_wait_for_the_hub_to_let_their_client_in(
    told: list[Any], gate: asyncio.Event, is_refused: bool
) -> None:
    server = await Server(lambda: Guarded(told, gate)).open()
    server.feed(call("Frame", 1))
    server.feed(call("Frame", 2))
    await settle()
    assert told == []
    if is_refused:
        told.append("refuse")
    gate.set()
    await settle()
    assert told == (["refuse"] if is_refused else [1, 2])
    if not is_refused:
        await server.end()
    async with asyncio.timeout(5):
        await server.task


async def test_calls_begin_in_their_order_beside_others_and_behind_items_of_streams(
    told: list[Any], gate: asyncio.Event
) -> None:
    server = await Server(lambda: SideBySide(told, gate)).open()
    server.feed(call("Slow", "first", invocation_id="s"))
    server.feed(call("Frame", 1))
    await settle()
    assert told == ["first", 1]
    server.feed(call("Slow", "second"))
    asyncio.get_running_loop().call_soon(server.feed, call("Frame", 4))  # as soon as the reader waits again
    await settle()
    assert told == ["first", 1, "second", 4]
    server.feed(call("Slow", "third"))
    await settle()
    server.feed(call("Frame", 2))
    assert told == ["first", 1, "second", 4], "the third one has no room, and nothing overtakes it"
    gate.set()
    await settle()
    assert told.index(2) > told.index("third")
    told.clear()
    server.feed(call("Sum", invocation_id="u") | {"streamIds": ["x"]})
    server.feed({"type": 2, "invocationId": "x", "item": 5})
    await settle()
    server.feed({"type": 2, "invocationId": "x", "item": 6})
    server.feed(call("Frame", 3))
    server.feed({"type": 3, "invocationId": "x"})
    await settle()
    assert sorted(map(str, told)) == ["3", "item 5", "item 6"]
    assert completed("u", 11) in server.sent
    await server.end()


async def test_packed_calls_are_taken_and_answered_at_once(told: list[Any], gate: asyncio.Event) -> None:
    codec = MsgpackCodec()
    server = Server(lambda: Frames(told, gate))
    server.feed({"protocol": "messagepack", "version": 1})
    await settle()
    server.raw = b""
    for value, invocation_id in ((7, None), (8, "a"), ("eight", "b")):
        server.feed_raw(codec.encode(Invocation(target="Number", arguments=(value,), invocation_id=invocation_id)))
    assert told == [7, 8]
    records, rest = codec.split(server.raw, max_bytes=1000)
    assert rest == b""
    done, refused = [codec.decode(record) for record in records]
    assert isinstance(done, Completion)
    assert isinstance(refused, Completion)
    assert (done.invocation_id, msgspec.msgpack.decode(done.result)) == ("a", 8)
    assert (refused.invocation_id, refused.error) == ("b", "Failed to invoke 'Number' due to an error on the server.")
    server.feed_raw(b"\x01\xc1")
    async with asyncio.timeout(5):
        await server.task
    assert told == [7, 8]


async def test_who_floods_and_reads_nothing_is_dropped_at_the_bound(told: list[Any], gate: asyncio.Event) -> None:
    settings = HubAppSettings(session=SessionSettings(outbox_bytes=2000, send_timeout_s=0.01))
    server = await Server(lambda: Frames(told, gate), settings=settings).open()
    server.has_room = False
    server.may_send.clear()
    for number in range(20, 520):
        server.feed(call("Frame", number, invocation_id=str(number)))
    assert told[0] == 20
    assert len(told) < 2000 / len(msgspec.json.encode(counted(20)))
    taken = len(told)
    async with asyncio.timeout(5):
        await server.task
    assert len(told) == taken
    assert server.sent == []


async def test_a_client_that_only_calls_is_alive_and_who_hears_enough_gets_no_pings(
    told: list[Any], gate: asyncio.Event
) -> None:
    clock = Clock()
    settings = HubAppSettings(tick_s=0.001, connection=ConnectionSettings(keep_alive_s=15, client_timeout_s=30))
    server = await Server(lambda: Frames(told, gate), settings=settings, clock=clock).open()
    server.feed({"type": 6})
    await settle()
    for now in range(10, 100, 10):
        clock.now = now
        server.feed(call("Frame", now))
        assert await server.message() == counted(now)
        await asyncio.sleep(0.003)
    assert server.sent == []
    clock.now = 106.0
    assert await server.message() == {"type": 6}
    clock.now = 121.0
    goodbye = await server.message()
    while goodbye == {"type": 6}:
        goodbye = await server.message()
    assert goodbye["type"] == 7
    assert goodbye["allowReconnect"] is True


async def test_a_connection_that_outlives_its_socket_counts_every_message(
    told: list[Any], gate: asyncio.Event, http: Any
) -> None:
    async def admit(request: Any) -> str:
        return "user"

    app = HubApp({"frames": lambda: Frames(told, gate)}, authenticate=admit, settings=HubAppSettings(tick_s=0.001))
    asked = "negotiateVersion=1&useStatefulReconnect=true"
    token = (await http(app, "POST", "/hubs/frames/negotiate", asked)).json()["connectionToken"]
    server = await Server(Hub, query=f"id={token}", app=app).open(version=2)
    for message in ({"type": 6}, call("Frame", 1, invocation_id="a"), call("Frame", 2)):
        server.feed(message)
        await settle()
    sent = [await server.message() for _ in range(4)]
    assert [message for message in sent if message["type"] != 8] == [counted(1), completed("a", 1), counted(2)]
    server._to_app.put_nowait({"type": "websocket.disconnect", "code": 1006})
    second = Server(Hub, query=f"id={token}", app=app)
    await settle()
    second.feed({"type": 9, "sequenceId": 2}, call("Frame", 2), call("Frame", 3))
    seen = [await second.message()]
    while seen[-1] != counted(3):
        seen.append(await second.message())
    assert [message for message in seen if message["type"] != 8] == [
        {"type": 9, "sequenceId": 1},
        counted(1),
        completed("a", 1),
        counted(2),
        counted(3),
    ]
    assert told == [1, 2, 3]
    second.feed({"type": 7})
    async with asyncio.timeout(5):
        await second.task

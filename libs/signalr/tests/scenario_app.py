"""The test hub that official clients are put through: what the functional tests of the ASP.NET client ask of one.

`ScenarioHub` has every method; `SerialHub` is the same with one invocation at a time, `UnauthorizedHub` asks for the
token `GOOD_TOKEN`, `UncreatableHub` cannot be made, `FailingHub` refuses everybody in `on_connected`.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from voisnap_signalr import ClientError, Hub, HubError, HubLimits, HubRequest, Unauthorized, hub_method

GOOD_TOKEN = "good"


class CustomObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payload with every kind of member; bytes are base64 in JSON and binary in MessagePack."""

    name: str
    number: int
    ratio: float = 0.5
    is_set: bool = True
    nothing: str | None = None
    tags: tuple[str, ...] = ()
    words: dict[str, int] = {}
    data: bytes = b""
    created_at: datetime | None = None
    inner: "CustomObject | None" = None


class ScenarioHub(Hub):
    """Served at `/scenario`: several invocations at a time, as client results need it inside hub methods."""

    limits: ClassVar[HubLimits] = HubLimits(max_parallel_invocations=10)

    cancelled_streams: ClassVar[list[str]] = []
    """Names of streams that ended before they were through; for tests in the same process."""

    async def on_connected(self) -> None:
        self.connection.send("Welcome", self.connection.id)

    # Plain calls

    @hub_method("HelloWorld")
    async def hello_world(self) -> str:
        return "Hello World!"

    @hub_method("Echo")
    async def echo(self, message: str) -> str:
        return message

    @hub_method("EchoAny")
    async def echo_any(self, value: Any) -> Any:
        return value

    @hub_method("EchoBytes")
    async def echo_bytes(self, data: bytes) -> bytes:
        return data

    @hub_method("EchoComplexObject")
    async def echo_complex_object(self, value: CustomObject) -> CustomObject:
        return value

    @hub_method("GetCallerConnectionId")
    async def caller_connection_id(self) -> str:
        return self.connection.id

    @hub_method("GetActiveTransportName")
    async def active_transport_name(self) -> str:
        return self.connection.transport

    @hub_method("GetUser")
    async def user(self) -> Any:
        return self.connection.user

    @hub_method("GetHeader")
    async def header(self, name: str) -> str | None:
        return self.connection.request.headers.get(name.lower())

    @hub_method("GetHeaders")
    async def headers(self, names: list[str]) -> list[str | None]:
        return [self.connection.request.headers.get(name.lower()) for name in names]

    @hub_method("GetContentType")
    async def content_type(self) -> str | None:
        return self.connection.request.headers.get("content-type")

    @hub_method("GetCookie")
    async def cookie(self, name: str) -> str | None:
        cookies = self.connection.request.headers.get("cookie", "")
        pairs = (cookie.strip().partition("=") for cookie in cookies.split(";"))
        return next((value for key, _, value in pairs if key == name), None)

    @hub_method("GetQuery")
    async def query(self, name: str) -> str | None:
        return self.connection.query.get(name)

    @hub_method("DoNothing")
    async def do_nothing(self) -> None: ...

    @hub_method("Add")
    async def add(self, left: int, right: int = 1) -> int:
        return left + right

    @hub_method("Delay")
    async def delay(self, seconds: float, value: Any) -> Any:
        """Answers after a while; with parallel invocations the shorter one answers first."""
        await asyncio.sleep(min(seconds, 5.0))
        return value

    # Errors

    @hub_method("ThrowException")
    async def throw_exception(self, message: str) -> None:
        raise RuntimeError(message)

    @hub_method("ThrowHubException")
    async def throw_hub_exception(self, message: str) -> None:
        raise HubError(message)

    @hub_method("ReturnUnwritable")
    async def return_unwritable(self) -> Any:
        return object()

    # The server calls the client

    @hub_method("InvokeWithString")
    async def invoke_with_string(self, message: str) -> None:
        self.connection.send("Message", message)

    @hub_method("SendCustomObject")
    async def send_custom_object(self, value: CustomObject) -> None:
        self.connection.send("CustomObject", value)

    @hub_method("InvokeWithManyArguments")
    async def invoke_with_many_arguments(self) -> None:
        self.connection.send("Many", 1, "two", None, [3.5], {"four": 4})

    @hub_method("PushMany")
    async def push_many(self, count: int) -> None:
        for number in range(count):
            self.connection.send("Number", number)

    @hub_method("PushBytes")
    async def push_bytes(self, count: int, size: int) -> None:
        """Sends faster than a slow client reads."""
        for _ in range(count):
            self.connection.send("Bytes", b"x" * size)

    @hub_method("AskClient")
    async def ask_client(self, target: str, value: Any) -> Any:
        """Answers with what the client's handler of `target` returned for `value`."""
        return await self.connection.invoke(target, value, timeout_s=5.0)

    @hub_method("AskClientForNumber")
    async def ask_client_for_number(self, target: str) -> int:
        """Answers with -1 when the client returned something else than a number."""
        try:
            return await self.connection.invoke(target, result_type=int, timeout_s=5.0)
        except ValueError:
            return -1

    @hub_method("AskClientForError")
    async def ask_client_for_error(self, target: str) -> str:
        """Answers with the error of the client's handler."""
        try:
            await self.connection.invoke(target, timeout_s=5.0)
        except ClientError as error:
            return str(error)
        return "no error"

    @hub_method("AskClientInVain")
    async def ask_client_in_vain(self, target: str, timeout_s: float) -> str:
        """For clients that never answer."""
        try:
            await self.connection.invoke(target, timeout_s=timeout_s)
        except TimeoutError:
            return "timeout"
        return "answered"

    # Streams to the client

    @hub_method("Stream")
    async def stream(self) -> AsyncIterator[str]:
        for item in ("a", "b", "c"):
            yield item

    @hub_method("StreamObjects")
    async def stream_objects(self, value: CustomObject, count: int) -> AsyncIterator[CustomObject]:
        for _ in range(count):
            yield value

    @hub_method("StreamNumbers")
    async def stream_numbers(self, count: int, seconds_between: float = 0.0) -> AsyncIterator[int]:
        for number in range(count):
            yield number
            await asyncio.sleep(min(seconds_between, 1.0))

    @hub_method("EmptyStream")
    async def empty_stream(self) -> AsyncIterator[int]:
        for item in ():
            yield item

    @hub_method("InfiniteStream")
    async def infinite_stream(self, name: str = "") -> AsyncIterator[int]:
        """Yields until it is cancelled, and then keeps its name in `cancelled_streams`."""
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0.01)
        finally:
            self.cancelled_streams.append(name)
            self.connection.send("StreamEnded", name)

    @hub_method("SilentStream")
    async def silent_stream(self, name: str = "") -> AsyncIterator[int]:
        """Never yields, until it is cancelled."""
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            self.cancelled_streams.append(name)
            self.connection.send("StreamEnded", name)

    @hub_method("StreamException")
    async def stream_exception(self) -> AsyncIterator[str]:
        yield "before"
        raise RuntimeError("secret detail")

    @hub_method("StreamHubException")
    async def stream_hub_exception(self, message: str) -> AsyncIterator[str]:
        yield "before"
        raise HubError(message)

    @hub_method("PrepareStream")
    async def prepare_stream(self, error: str | None = None) -> AsyncIterator[str]:
        """A method that makes its stream first; with `error` it fails before there is one."""
        if error is not None:
            raise HubError(error)
        return self.stream()

    @hub_method("StreamUnwritable")
    async def stream_unwritable(self) -> AsyncIterator[Any]:
        yield 1
        yield object()

    @hub_method("StreamEcho")
    async def stream_echo(self, source: AsyncIterable[str]) -> AsyncIterator[str]:
        async for item in source:
            yield item

    # Streams of the client

    @hub_method("StreamingConcat")
    async def streaming_concat(self, source: AsyncIterable[str]) -> str:
        return "".join([item async for item in source])

    @hub_method("StreamingSum")
    async def streaming_sum(self, start: int, left: AsyncIterable[int], right: AsyncIterable[int]) -> int:
        """Two streams at a time."""
        return start + sum([item async for item in left]) + sum([item async for item in right])

    @hub_method("StreamingBytes")
    async def streaming_bytes(self, source: AsyncIterable[bytes]) -> int:
        return sum([len(item) async for item in source])

    @hub_method("TakeFirst")
    async def take_first(self, source: AsyncIterable[str]) -> str:
        """Returns while the client is still sending."""
        async for item in source:
            return item
        return ""

    @hub_method("IgnoreStream")
    async def ignore_stream(self, source: AsyncIterable[str]) -> str:
        return "ignored"

    @hub_method("UploadError")
    async def upload_error(self, source: AsyncIterable[str]) -> str:
        """What the client's stream failed with."""
        try:
            async for _ in source:
                pass
        except HubError as error:
            return str(error)
        return "no error"

    # Ends

    @hub_method("CloseConnection")
    async def close_connection(self, error: str | None = None, allow_reconnect: bool = False) -> str:
        await self.connection.close(error, allow_reconnect)
        return "closing"

    @hub_method("AbortConnection")
    async def abort_connection(self) -> None:
        self.connection.abort()


class SerialHub(ScenarioHub):
    """Served at `/serial`: one invocation at a time, the default."""

    limits: ClassVar[HubLimits] = HubLimits()


class UnauthorizedHub(ScenarioHub):
    """Served at `/authorized`: needs `GOOD_TOKEN`."""


class FailingHub(Hub):
    """Served at `/failing`: its `on_connected` fails."""

    async def on_connected(self) -> None:
        raise HubError("nobody may come in")


def uncreatable_hub() -> Hub:
    """Served at `/uncreatable`."""
    raise RuntimeError("secret detail")


HUBS: dict[str, Any] = {
    "/scenario": ScenarioHub,
    "/serial": SerialHub,
    "/authorized": UnauthorizedHub,
    "/failing": FailingHub,
    "/uncreatable": uncreatable_hub,
}


async def authenticate(request: HubRequest) -> str:
    """Everybody is somebody, but `/authorized` needs the token."""
    if request.path.lower().startswith("/authorized") and request.access_token != GOOD_TOKEN:
        raise Unauthorized("bad token")
    return request.access_token or "anybody"

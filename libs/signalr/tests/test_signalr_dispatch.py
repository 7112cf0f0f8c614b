"""Streams both ways, calls in flight, and calls of the client: what goes over the wire, on both protocols."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from voisnap_signalr import Hub, HubAppSettings, HubLimits, SessionSettings, Unauthorized, hub_method

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def scenarios() -> Any:
    """The module of the test hub."""
    path = Path(__file__).parent / "scenario_app.py"
    spec = importlib.util.spec_from_file_location("scenario_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["scenario_app"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def socket(hub_app, connect, scenarios):
    scenarios.ScenarioHub.cancelled_streams.clear()
    socket = await connect(hub_app(scenarios.HUBS), "/scenario").open()
    assert (await socket.message())["target"] == "Welcome"
    return socket


def stream(target: str, *arguments: Any, invocation_id: str = "1", stream_ids: tuple[str, ...] = ()) -> dict[str, Any]:
    call = {"type": 4, "invocationId": invocation_id, "target": target, "arguments": arguments}
    return call | ({"streamIds": stream_ids} if stream_ids else {})


def upload(target: str, *stream_ids: str, arguments: tuple[Any, ...] = (), invocation_id: str = "1") -> dict[str, Any]:
    call = {"type": 1, "invocationId": invocation_id, "target": target, "arguments": arguments}
    return call | {"streamIds": stream_ids}


def item(value: Any, stream_id: str = "s") -> dict[str, Any]:
    return {"type": 2, "invocationId": stream_id, "item": value}


def done(invocation_id: str = "1", **rest: Any) -> dict[str, Any]:
    return {"type": 3, "invocationId": invocation_id} | rest


# Streams to the client


async def test_stream_sends_its_items_and_completes_without_a_result(socket) -> None:
    socket.send(stream("Stream"))
    assert [await socket.message() for _ in range(4)] == [item("a", "1"), item("b", "1"), item("c", "1"), done()]


async def test_empty_stream_only_completes(socket) -> None:
    socket.send(stream("EmptyStream"))
    assert await socket.message() == done()


async def test_streams_run_beside_each_other_and_beside_calls(socket) -> None:
    socket.send(stream("SilentStream", "a", invocation_id="1"), stream("Stream", invocation_id="2"))
    socket.invoke("Echo", "x", invocation_id="3")
    seen = [await socket.message() for _ in range(5)]
    assert [message for message in seen if message["invocationId"] == "2"][-1] == done("2")
    assert done("3", result="x") in seen


@pytest.mark.parametrize(
    ("target", "arguments", "items", "error"),
    [
        ("StreamException", (), ["before"], "An error occurred on the server while streaming results."),
        (
            "StreamHubException",
            ("why",),
            ["before"],
            "An error occurred on the server while streaming results. HubException: why",
        ),
        ("StreamUnwritable", (), [1], "An error occurred on the server while streaming results."),
        (
            "PrepareStream",
            ("why",),
            [],
            "An unexpected error occurred invoking 'PrepareStream' on the server. HubException: why",
        ),
        ("Nothing", (), [], "Unknown hub method 'Nothing'"),
        ("StreamNumbers", (), [], "Failed to invoke 'StreamNumbers' due to an error on the server."),
        ("StreamNumbers", ("x",), [], "Failed to invoke 'StreamNumbers' due to an error on the server."),
        (
            "Echo",
            ("x",),
            [],
            "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
        ),
        ("StreamEcho", (), [], "Client sent 0 stream(s), Hub method expects 1."),
    ],
)
async def test_stream_that_fails_says_why(socket, target, arguments, items, error) -> None:
    socket.send(stream(target, *arguments))
    assert [await socket.message() for _ in items] == [item(value, "1") for value in items]
    assert await socket.message() == done(error=error)


async def test_streaming_method_cannot_be_invoked_plainly(socket) -> None:
    socket.invoke("Stream")
    assert await socket.message() == done(
        error="The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation."
    )


async def test_cancelled_stream_completes_without_an_error_and_cleans_up(socket, scenarios) -> None:
    socket.send(stream("InfiniteStream", "mine"))
    assert await socket.message() == item(0, "1")
    socket.send({"type": 5, "invocationId": "1"})
    messages = [await socket.message()]
    while messages[-1]["type"] != 3:
        messages.append(await socket.message())
    assert messages[-1] == done()
    assert scenarios.ScenarioHub.cancelled_streams == ["mine"]


async def test_stream_that_is_cancelled_before_it_begins_still_begins_and_cleans_up(socket, scenarios) -> None:
    """The official client may send both back to back."""
    socket.send(stream("SilentStream", "mine"), {"type": 5, "invocationId": "1"})
    assert (await socket.message())["arguments"] == ["mine"]
    assert await socket.message() == done()
    assert scenarios.ScenarioHub.cancelled_streams == ["mine"]


async def test_cancelling_what_is_not_a_running_stream_changes_nothing(socket) -> None:
    socket.send({"type": 5, "invocationId": "nope"}, stream("Stream"))
    for _ in range(4):
        await socket.message()
    socket.send({"type": 5, "invocationId": "1"})
    socket.invoke("Echo", "alive")
    assert await socket.message() == done(result="alive")


async def test_lost_connection_ends_its_streams(socket, scenarios) -> None:
    socket.send(stream("SilentStream", "a", invocation_id="1"), stream("InfiniteStream", "b", invocation_id="2"))
    await socket.message()
    socket.drop()
    await socket.finished()
    assert sorted(scenarios.ScenarioHub.cancelled_streams) == ["a", "b"]


async def test_stream_waits_for_a_slow_reader(hub_app, connect) -> None:
    class Source(Hub):
        made = 0

        @hub_method("Pour")
        async def pour(self):
            while True:
                Source.made += 1
                yield "x" * 1000

        @hub_method("Echo")
        async def echo(self, text: str) -> str:
            return text

    settings = HubAppSettings(session=SessionSettings(stream_room_bytes=10_000))
    socket = await connect(hub_app({"/source": Source}, settings=settings), "/source").open()
    socket.can_write.clear()
    socket.send(stream("Pour"))
    before = -1
    while Source.made != before:
        before = Source.made
        for _ in range(50):
            await asyncio.sleep(0)
    assert 10 <= Source.made <= 25
    socket.can_write.set()
    while Source.made < 100:
        assert (await socket.message())["type"] == 2
    socket.drop()
    await socket.finished()


async def test_stream_that_never_waits_leaves_room_for_others(hub_app, connect) -> None:
    class Greedy(Hub):
        @hub_method("Count")
        async def count(self):
            number = 0
            while True:
                yield number
                number += 1

    socket = await connect(hub_app({"/greedy": Greedy}), "/greedy").open()
    socket.send(stream("Count"), {"type": 5, "invocationId": "1"})
    while (message := await socket.message())["type"] == 2:
        pass
    assert message == done()


async def test_second_stream_of_an_id_is_refused(socket) -> None:
    socket.send(stream("SilentStream"), stream("Stream"))
    assert await socket.message() == done(error="The invocation id is in use already.")


async def test_streams_of_a_connection_are_bounded(hub_app, connect, scenarios) -> None:
    class Narrow(scenarios.ScenarioHub):
        limits = HubLimits(max_streams=2)

    socket = await connect(hub_app({"/narrow": Narrow}), "/narrow").open()
    await socket.message()
    socket.send(stream("SilentStream", invocation_id="1"), upload("StreamingConcat", "s", invocation_id="2"))
    socket.send(stream("Stream", invocation_id="3"))
    assert await socket.message() == done("3", error="Too many streams are open on this connection.")
    socket.send(done("s"))
    assert await socket.message() == done("2", result="")
    socket.send(stream("EmptyStream", invocation_id="4"))
    assert await socket.message() == done("4")


async def test_method_may_refuse_its_user(hub_app, connect) -> None:
    class Guarded(Hub):
        @hub_method("Open")
        async def open(self) -> None:
            raise Unauthorized("no key")

        @hub_method("Pour")
        async def pour(self) -> AsyncIterator[int]:
            raise Unauthorized("no key")

    socket = await connect(hub_app({"/guarded": Guarded}), "/guarded").open()
    socket.invoke("Open")
    assert await socket.message() == done(error="Failed to invoke 'Open' because user is unauthorized")
    socket.send(stream("Pour"))
    assert await socket.message() == done(error="Failed to invoke 'Pour' because user is unauthorized")


# Streams of the client


async def test_method_reads_the_clients_stream(socket) -> None:
    socket.send(upload("StreamingConcat", "s"), item("b"), item("é"), item("e"), done("s"))
    assert await socket.message() == done(result="bée")


async def test_method_reads_two_streams_beside_its_arguments(socket) -> None:
    socket.send(upload("StreamingSum", "a", "b", arguments=(1,)))
    socket.send(item(20, "b"), item(300, "a"), done("b"), item(4000, "a"), done("a"))
    assert await socket.message() == done(result=4321)


async def test_stream_in_and_stream_out_at_a_time(socket) -> None:
    socket.send(stream("StreamEcho", stream_ids=("s",)), item("a"))
    assert await socket.message() == item("a", "1")
    socket.send(item("b"), done("s"))
    assert [await socket.message(), await socket.message()] == [item("b", "1"), done()]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (upload("StreamingConcat"), "Client sent 0 stream(s), Hub method expects 1."),
        (upload("StreamingConcat", "a", "b"), "Client sent 2 stream(s), Hub method expects 1."),
        (upload("Echo", "a", arguments=("x",)), "Client sent 1 stream(s), Hub method expects 0."),
        (upload("StreamingSum", "a", "a", arguments=(1,)), "The stream id is in use already."),
        (upload("StreamingSum", "a", "b"), "Failed to invoke 'StreamingSum' due to an error on the server."),
        (upload("Nothing", "a"), "Unknown hub method 'Nothing'"),
    ],
)
async def test_wrong_streams_are_refused(socket, call, error) -> None:
    socket.send(call, item(1, "a"), done("a"))
    assert await socket.message() == done(error=error)
    socket.invoke("Echo", "alive")
    assert await socket.message() == done(result="alive")


async def test_item_of_another_type_fails_the_method(socket) -> None:
    socket.send(upload("StreamingConcat", "s"), item("a"), item(7), item("b"), done("s"))
    assert await socket.message() == done(
        error="An unexpected error occurred invoking 'StreamingConcat' on the server. "
        "HubException: Failed to bind Stream message."
    )


async def test_method_learns_that_the_clients_stream_failed(socket) -> None:
    socket.send(upload("UploadError", "s"), item("a"), done("s", error="no more"))
    assert await socket.message() == done(result="no more")


@pytest.mark.parametrize("target", ["TakeFirst", "IgnoreStream"])
async def test_stream_ends_when_its_method_returns(socket, target) -> None:
    """Even with more items than its buffer holds: nobody waits for what nobody reads."""
    socket.send(upload(target, "s"), *(item("a") for _ in range(50)))
    assert "result" in await socket.message()
    socket.send(item("late"), done("s"))
    socket.invoke("Echo", "alive", invocation_id="2")
    assert await socket.message() == done("2", result="alive")


async def test_reader_waits_for_a_method_that_is_behind(hub_app, connect) -> None:
    go = asyncio.Event()

    class Slow(Hub):
        @hub_method("Count")
        async def count(self, source: AsyncIterable[int]) -> int:
            await go.wait()
            return len([number async for number in source])

        @hub_method("Echo")
        async def echo(self, text: str) -> str:
            return text

    socket = await connect(hub_app({"/slow": Slow}), "/slow").open()
    socket.send(upload("Count", "s"), *(item(number) for number in range(10)))
    socket.invoke("Echo", "within", invocation_id="2")
    assert await socket.message() == done("2", result="within")
    socket.send(item(10))
    socket.invoke("Echo", "behind", invocation_id="3")
    socket.send(done("s"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert socket.is_quiet
    go.set()
    assert [await socket.message(), await socket.message()] == [done("3", result="behind"), done("1", result=11)]


async def test_stream_that_nobody_reads_holds_the_connection_only_for_a_while(hub_app, connect) -> None:
    class Deaf(Hub):
        @hub_method("Hold")
        async def hold(self, source: AsyncIterable[int]) -> None:
            await asyncio.Event().wait()

        @hub_method("Echo")
        async def echo(self, text: str) -> str:
            return text

    settings = HubAppSettings(session=SessionSettings(method_timeout_s=0.02))
    socket = await connect(hub_app({"/deaf": Deaf}, settings=settings), "/deaf").open()
    socket.send(upload("Hold", "s"), *(item(number) for number in range(30)))
    socket.invoke("Echo", "alive", invocation_id="2")
    assert await socket.message() == done("2", result="alive")
    socket.drop()
    await socket.finished()


async def test_lost_connection_ends_the_clients_streams(socket, kept_log) -> None:
    socket.send(upload("StreamingConcat", "s"), item("a"))
    socket.invoke("Echo", "x", invocation_id="2")
    await socket.message()
    socket.drop()
    await socket.finished()
    assert "hub.method_failed" not in kept_log.events()


class One(msgspec.Struct):
    a: int


class Other(msgspec.Struct):
    b: int


def test_parameter_that_no_client_could_fill_is_a_bug(hub_app) -> None:
    class Ambiguous(Hub):
        @hub_method("Do")
        async def do(self, source: AsyncIterable[One | Other]) -> None: ...

    with pytest.raises(TypeError, match="parameter 'source' cannot be decoded"):
        hub_app({"/ambiguous": Ambiguous})


async def test_log_of_refused_arguments_quotes_none_of_them(hub_app, connect, kept_log) -> None:
    class Chooser(Hub):
        @hub_method("Choose")
        async def choose(self, word: Literal["yes", "no"]) -> None: ...

    socket = await connect(hub_app({"/chooser": Chooser}), "/chooser").open()
    socket.invoke("Choose", "my' secret")
    assert await socket.message() == done(error="Failed to invoke 'Choose' due to an error on the server.")
    assert "hub.arguments_refused" in kept_log.events()
    assert "secret" not in repr(kept_log.entries)


# Calls in flight


async def test_parallel_calls_are_answered_as_they_are_done(socket) -> None:
    socket.invoke("Delay", 0.02, "slow", invocation_id="1")
    socket.invoke("Delay", 0, "quick", invocation_id="2")
    assert [(await socket.message())["result"] for _ in range(2)] == ["quick", "slow"]


async def test_serial_calls_are_answered_in_their_order(hub_app, connect, scenarios) -> None:
    socket = await connect(hub_app(scenarios.HUBS), "/serial").open()
    await socket.message()
    socket.invoke("Delay", 0.02, "slow", invocation_id="1")
    socket.invoke("Delay", 0, "quick", invocation_id="2")
    assert [(await socket.message())["result"] for _ in range(2)] == ["slow", "quick"]


async def test_parallel_calls_are_bounded(hub_app, connect) -> None:
    running: list[int] = []
    go = asyncio.Event()

    class Two(Hub):
        limits = HubLimits(max_parallel_invocations=2)

        @hub_method("Wait")
        async def wait(self, number: int) -> int:
            running.append(number)
            await go.wait()
            return number

    socket = await connect(hub_app({"/two": Two}), "/two").open()
    for number in range(5):
        socket.invoke("Wait", number, invocation_id=str(number))
    for _ in range(50):
        await asyncio.sleep(0)
    assert running == [0, 1]
    go.set()
    assert sorted([(await socket.message())["result"] for _ in range(5)]) == [0, 1, 2, 3, 4]


async def test_parallel_call_that_never_ends_is_cut_off(hub_app, connect, scenarios) -> None:
    settings = HubAppSettings(session=SessionSettings(method_timeout_s=0.02))
    socket = await connect(hub_app(scenarios.HUBS, settings=settings), "/scenario").open()
    await socket.message()
    socket.invoke("Delay", 5, None)
    assert await socket.message() == done(error="An unexpected error occurred invoking 'Delay' on the server.")


async def test_method_that_waited_for_something_cancelled_fails_alone(hub_app, connect) -> None:
    class Fragile(Hub):
        @hub_method("Trip")
        async def trip(self) -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        @hub_method("Echo")
        async def echo(self, text: str) -> str:
            return text

    socket = await connect(hub_app({"/fragile": Fragile}), "/fragile").open()
    socket.invoke("Trip", invocation_id="1")
    socket.invoke("Echo", "alive", invocation_id="2")
    assert "error" in await socket.message()
    assert await socket.message() == done("2", result="alive")


# The server calls the client


async def test_hub_method_gets_the_clients_result(socket) -> None:
    socket.invoke("AskClient", "Double", 4, invocation_id="1")
    call = await socket.message()
    assert (call["type"], call["target"], call["arguments"]) == (1, "Double", [4])
    socket.send(done(call["invocationId"], result={"is": 8}))
    assert await socket.message() == done(result={"is": 8})


async def test_client_without_a_result_means_null(socket) -> None:
    socket.invoke("AskClient", "Nothing", None)
    socket.send(done((await socket.message())["invocationId"]))
    assert await socket.message() == done(result=None)


async def test_clients_error_reaches_the_hub_method_and_through_it_only_that_client(socket) -> None:
    socket.invoke("AskClientForError", "Fail")
    socket.send(done((await socket.message())["invocationId"], error="it broke"))
    assert await socket.message() == done(result="it broke")
    socket.invoke("AskClient", "Fail", None)
    socket.send(done((await socket.message())["invocationId"], error="it broke"))
    assert (await socket.message())["error"].endswith("HubException: it broke")


async def test_result_of_another_type_is_refused(socket) -> None:
    socket.invoke("AskClientForNumber", "Number")
    socket.send(done((await socket.message())["invocationId"], result="seven"))
    assert await socket.message() == done(result=-1)


async def test_client_that_does_not_answer_is_given_up_and_its_late_answer_dropped(socket) -> None:
    socket.invoke("AskClientInVain", "Silence", 0.01)
    call = await socket.message()
    assert await socket.message() == done(result="timeout")
    socket.send(done(call["invocationId"], result=1))
    socket.invoke("Echo", "alive", invocation_id="2")
    assert await socket.message() == done("2", result="alive")


async def test_two_calls_of_the_client_may_be_answered_in_any_order(socket) -> None:
    socket.invoke("AskClient", "Double", 1, invocation_id="1")
    socket.invoke("AskClient", "Double", 2, invocation_id="2")
    first, second = await socket.message(), await socket.message()
    socket.send(done(second["invocationId"], result="second"), done(first["invocationId"], result="first"))
    answers = [await socket.message(), await socket.message()]
    assert {answer["invocationId"]: answer["result"] for answer in answers} == {"1": "first", "2": "second"}


async def test_asking_where_the_answer_could_not_be_read_is_a_bug(hub_app, connect, scenarios, kept_log) -> None:
    socket = await connect(hub_app(scenarios.HUBS), "/serial").open()
    await socket.message()
    socket.invoke("AskClient", "Double", 4)
    assert await socket.message() == done(error="An unexpected error occurred invoking 'AskClient' on the server.")
    (failure,) = [values for _, event, values in kept_log.entries if event == "hub.method_failed"]
    assert "max_parallel_invocations" in str(failure["exc_info"])


async def test_lost_connection_ends_calls_of_the_client(socket, kept_log) -> None:
    socket.invoke("AskClient", "Double", 4)
    await socket.message()
    socket.drop()
    await socket.finished()
    assert "hub.method_failed" not in kept_log.events()


# Ends


async def test_stream_that_closes_the_connection_has_its_items_sent_first(hub_app, connect) -> None:
    class Last(Hub):
        @hub_method("Count")
        async def count(self) -> AsyncIterator[int]:
            yield 1
            await self.connection.close("enough")
            yield 2

    socket = await connect(hub_app({"/last": Last}), "/last").open()
    socket.send(stream("Count"))
    assert await socket.message() == item(1, "1")
    assert await socket.message() == {"type": 7, "error": "enough"}
    await socket.finished()


async def test_parallel_method_that_closes_is_answered_first(socket) -> None:
    socket.invoke("CloseConnection", "bye", True)
    assert await socket.message() == done(result="closing")
    assert await socket.message() == {"type": 7, "error": "bye", "allowReconnect": True}
    await socket.finished()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/failing", "Connection closed with an error. HubException: nobody may come in"),
        ("/uncreatable", "Connection closed with an error."),
    ],
)
async def test_hub_that_cannot_begin_closes_the_connection(hub_app, connect, scenarios, kept_log, path, error) -> None:
    socket = await connect(hub_app(scenarios.HUBS), path).open()
    assert await socket.message() == {"type": 7, "error": error}
    await socket.finished()


async def test_message_limit_is_the_hubs_own(hub_app, connect) -> None:
    class Roomy(Hub):
        limits = HubLimits(max_message_bytes=100_000)

        @hub_method("Measure")
        async def measure(self, text: str) -> int:
            return len(text)

    socket = await connect(hub_app({"/roomy": Roomy}), "/roomy").open()
    socket.invoke("Measure", "x" * 90_000)
    assert await socket.message() == done(result=90_000)
    socket.invoke("Measure", "x" * 110_000)
    assert "maximum message size of 100000B" in (await socket.message())["error"]


# MessagePack


async def test_messagepack_travels_in_binary_frames(hub_app, connect, scenarios) -> None:
    socket = connect(hub_app(scenarios.HUBS), "/scenario")
    await socket.raw()
    socket.send_text('{"protocol":"messagepack","version":1}\x1e')
    reply, _, welcome = (await socket.raw())["bytes"].partition(b"\x1e")
    assert reply == b"{}"
    assert msgspec.msgpack.decode(welcome[1:])[3] == "Welcome"
    call = msgspec.msgpack.encode([1, {}, "7", "EchoBytes", [b"\x00\xff"]])
    socket.send_bytes(bytes([len(call)]) + call)
    answer = (await socket.raw())["bytes"]
    assert msgspec.msgpack.decode(answer[1:]) == [3, {}, "7", 3, b"\x00\xff"]
    socket.send_bytes(b"\x02\xc1\xc1")
    farewell = (await socket.raw())["bytes"]
    kind, error, *_ = msgspec.msgpack.decode(farewell[1:])
    assert (kind, error) == (
        7,
        "Connection closed with an error. The message is not valid MessagePack of the hub protocol.",
    )

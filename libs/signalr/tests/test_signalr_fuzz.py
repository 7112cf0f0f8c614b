"""Whatever a peer sends: the connection answers with events, the dispatcher with completions or a Close. Nothing raises,
hangs or hoards."""

import asyncio
import itertools
from collections.abc import AsyncIterable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_signalr import ConnectionSettings, Hub, HubApp, HubAppSettings, HubLimits, SessionSettings, hub_method
from voisnap_signalr.connection import Connection, ConnectionState, Failed
from voisnap_signalr.json_codec import JsonCodec
from voisnap_signalr.messages import (
    Ack,
    CancelInvocation,
    Close,
    Completion,
    HubCodec,
    HubMessage,
    Invocation,
    Ping,
    SequenceStart,
    StreamInvocation,
    StreamItem,
)
from voisnap_signalr.msgpack_codec import MsgpackCodec

pytestmark = pytest.mark.unit

HANDSHAKE = b'{"protocol":"json","version":1}\x1e'
LIMIT = 512

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
keys = st.sampled_from(
    ["type", "target", "arguments", "invocationId", "streamIds", "item", "result", "error", "sequenceId", "headers"]
)
almost_messages = st.dictionaries(keys, json_values | st.integers(0, 10), max_size=6).map(msgspec.json.encode)
typed_messages = st.builds(
    lambda kind, rest: msgspec.json.encode({**rest, "type": kind}),
    st.integers(0, 11),
    st.dictionaries(keys, json_values, max_size=5),
)
chunks = st.lists(
    st.one_of(
        st.binary(max_size=700),
        st.text(max_size=200),
        almost_messages.map(lambda record: record + b"\x1e"),
        typed_messages.map(lambda record: record + b"\x1e"),
        st.integers(1, 700).map(lambda depth: b'{"type":1,"target":"A","arguments":[' + b"[" * depth + b"\x1e"),
        st.just(HANDSHAKE),
    ),
    max_size=12,
)


@given(chunks=chunks, shake_hands=st.booleans(), is_stateful=st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_input_gives_events_and_a_bounded_buffer(chunks, shake_hands, is_stateful) -> None:
    limits = ConnectionSettings(max_message_bytes=LIMIT)
    connection = Connection([JsonCodec()], now=0.0, settings=limits, allows_stateful=is_stateful)
    if shake_hands:
        connection.feed(HANDSHAKE.replace(b"1", b"2"), now=0.0)
    for chunk in chunks:
        events = connection.feed(chunk, now=1.0)
        assert connection.buffered_bytes <= LIMIT
        failures = [event for event in events if isinstance(event, Failed)]
        assert len(failures) <= 1
        if failures:
            assert events[-1] is failures[0]
            assert failures[0].farewell.endswith(b"\x1e")
            msgspec.json.decode(failures[0].farewell[:-1])
            assert connection.state is ConnectionState.CLOSED
    connection.due(now=2.0)


@given(record=st.binary(max_size=300) | almost_messages | typed_messages)
@settings(max_examples=400, deadline=None)
def test_decoded_messages_can_be_written_again(record) -> None:
    """What the codec lets through is a whole message: it survives a round trip."""
    codec = JsonCodec()
    connection = Connection([codec], now=0.0, settings=ConnectionSettings(max_message_bytes=LIMIT * 10))
    connection.feed(HANDSHAKE, now=0.0)
    for event in connection.feed(record.replace(b"\x1e", b"") + b"\x1e", now=0.0):
        if isinstance(event, HubMessage):
            again = codec.decode(codec.encode(event)[:-1])
            assert type(again) is type(event)


@given(arguments=st.lists(json_values, max_size=5), cuts=st.lists(st.integers(0, 2000), max_size=6))
@settings(max_examples=200, deadline=None)
def test_arguments_arrive_whole_however_the_stream_is_cut(arguments, cuts) -> None:
    codec = JsonCodec()
    stream = HANDSHAKE + codec.encode(Invocation(target="A", arguments=tuple(arguments), invocation_id="1"))
    connection = Connection([codec], now=0.0)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    events = []
    for start, end in itertools.pairwise(places):
        events += connection.feed(stream[start:end], now=0.0)
    decode = codec.payload_decoder(object)
    expected = [msgspec.json.decode(msgspec.json.encode(argument)) for argument in arguments]
    assert [decode(raw) for raw in events[1].arguments] == expected


# MessagePack

packed_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
almost_packed = st.lists(
    st.one_of(packed_values, st.integers(0, 10), st.just({}), st.binary(max_size=20)), max_size=7
).map(msgspec.msgpack.encode)


def framed(record: bytes) -> bytes:
    return bytes((len(record) & 0x7F | 0x80, len(record) >> 7)) + record


packed_chunks = st.lists(
    st.one_of(
        st.binary(max_size=700),
        st.text(max_size=200),
        almost_packed.map(framed),
        st.integers(1, 700).map(lambda depth: framed(b"\x95\x01\x80\xc0\xa1A" + b"\x91" * depth)),
        st.just(HANDSHAKE),
        st.just(b"\x80\x80\x80\x80\x80"),
    ),
    max_size=12,
)


@given(chunks=packed_chunks)
@settings(max_examples=200, deadline=None)
def test_any_packed_input_gives_events_and_a_bounded_buffer(chunks) -> None:
    codec = MsgpackCodec()
    connection = Connection([codec], now=0.0, settings=ConnectionSettings(max_message_bytes=LIMIT))
    connection.feed(b'{"protocol":"messagepack","version":1}\x1e', now=0.0)
    for chunk in chunks:
        events = connection.feed(chunk, now=1.0)
        # A length that is not whole yet comes on top.
        assert connection.buffered_bytes <= LIMIT + 5
        if any(isinstance(event, Failed) for event in events):
            (farewell,), rest = codec.split(events[-1].farewell, max_bytes=1000)
            assert isinstance(codec.decode(farewell), Close)
            assert rest == b""
            assert connection.state is ConnectionState.CLOSED


@given(record=st.binary(max_size=300) | almost_packed)
@settings(max_examples=200, deadline=None)
def test_decoded_packed_messages_can_be_written_again(record) -> None:
    codec = MsgpackCodec()
    connection = Connection([codec], now=0.0, settings=ConnectionSettings(max_message_bytes=LIMIT * 10))
    connection.feed(b'{"protocol":"messagepack","version":1}\x1e', now=0.0)
    for event in connection.feed(framed(record), now=0.0):
        if isinstance(event, HubMessage):
            (again,), _ = codec.split(codec.encode(event), max_bytes=10_000)
            assert type(codec.decode(again)) is type(event)


# The dispatcher


class Target(Hub):
    limits = HubLimits(max_streams=4)

    @hub_method("Echo")
    async def echo(self, value: Any) -> Any:
        self.connection.send("Echoed", value)
        return value

    @hub_method("Text")
    async def text(self, value: str, times: int = 1) -> str:
        return value[:100] * min(times, 3)

    @hub_method("Fail")
    async def fail(self) -> None:
        raise RuntimeError("secret detail")

    @hub_method("Count")
    async def count(self, to: int = 3):
        for number in range(min(to, 50)):
            yield number

    @hub_method("Endless")
    async def endless(self):
        while True:
            yield 0
            await asyncio.sleep(0.001)

    @hub_method("Sum")
    async def sum(self, source: AsyncIterable[int]) -> int:
        return sum([number async for number in source])

    @hub_method("Ignore")
    async def ignore(self, source: AsyncIterable[str], more: AsyncIterable[Any]) -> None: ...

    @hub_method("Mirror")
    async def mirror(self, source: AsyncIterable[Any]):
        async for item in source:
            yield item

    @hub_method("Ask")
    async def ask(self) -> int:
        return await self.connection.invoke("Question", result_type=int, timeout_s=0.005)


class Parallel(Target):
    limits = HubLimits(max_streams=4, max_parallel_invocations=3)


TARGETS = ["Echo", "Text", "Fail", "Count", "Endless", "Sum", "Ignore", "Mirror", "Ask", "Nothing"]
FITTING = [
    Invocation(target="Echo", arguments=[1], invocation_id="1"),
    Invocation(target="Text", arguments=["a"]),
    Invocation(target="Fail", invocation_id="2"),
    Invocation(target="Sum", invocation_id="1", stream_ids=("1",)),
    Invocation(target="Sum", invocation_id="2", stream_ids=("2",)),
    Invocation(target="Ignore", invocation_id="3", stream_ids=("1", "3")),
    Invocation(target="Ask", invocation_id="3"),
    StreamInvocation(target="Count", arguments=[5], invocation_id="1"),
    StreamInvocation(target="Endless", invocation_id="2"),
    StreamInvocation(target="Mirror", invocation_id="3", stream_ids=("1",)),
]


def any_message(random: Random) -> HubMessage:
    """Mostly messages that fit each other, else of any kind in any order."""
    some_id = random.choice(["1", "2", "3", "s1", "s2"])
    value = random.choice([None, 0, -3, 50, 2**40, 0.5, "", "é", "x" * 40, [1, 2], {"a": None}])
    call: dict[str, Any] = {
        "target": random.choice(TARGETS),
        "arguments": [value] * random.randrange(3),
        "stream_ids": tuple(random.choices(["1", "2", "3"], k=random.choice([0, 0, 1, 2]))),
    }
    return random.choice(
        [
            random.choice(FITTING),
            random.choice(FITTING),
            random.choice(FITTING),
            Invocation(invocation_id=random.choice([None, some_id]), **call),
            StreamInvocation(invocation_id=some_id, **call),
            StreamItem(invocation_id=some_id, item=random.randrange(9)),
            StreamItem(invocation_id=some_id, item=value),
            Completion(invocation_id=some_id, result=value, has_result=random.random() < 0.5),
            Completion(invocation_id=some_id, error="broke"),
            CancelInvocation(invocation_id=some_id),
            Ping(),
            Ack(sequence_id=random.randrange(-1, 9)),
            SequenceStart(sequence_id=random.randrange(-1, 3)),
        ]
    )


def damaged(record: bytes, random: Random) -> bytes:
    """One record in twenty is cut, bent, doubled, or has noise in it."""
    place = random.randrange(len(record))
    match random.randrange(80):
        case 0:
            return record[:place]
        case 1:
            return record[:place] + bytes([record[place] ^ 0x11]) + record[place + 1 :]
        case 2:
            return record + record
        case 3:
            return record[:place] + b"\xff\x00" + record[place:]
        case _:
            return record


TINY = HubAppSettings(
    connection=ConnectionSettings(max_message_bytes=LIMIT),
    session=SessionSettings(
        method_timeout_s=0.01,
        upload_items=2,
        outbox_bytes=4096,
        stream_room_bytes=1024,
        stateful_bytes=2048,
        stateful_window_s=0.01,
    ),
    tick_s=0.002,
)


class Recorded:
    """The app's side of a socket: what it sends is kept, and reading never takes longer than the writing."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("hub", [Target, Parallel])
@pytest.mark.parametrize("codec", [JsonCodec(), MsgpackCodec()], ids=lambda codec: codec.name)
def test_any_conversation_ends_clean(codec, hub, kept_logs) -> None:
    for seed in range(120):
        random = Random(seed)  # noqa: S311 - to repeat what failed
        records = [damaged(codec.encode(any_message(random)), random) for _ in range(random.randrange(40))]
        chunks = [b"".join(records)] if random.random() < 0.3 else records
        try:
            asyncio.run(_converse(codec, hub, chunks, kept_logs()))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {records}") from error


@pytest.mark.parametrize("codec", [JsonCodec(), MsgpackCodec()], ids=lambda codec: codec.name)
def test_any_conversation_over_sockets_that_break_ends_clean(codec, kept_logs, http) -> None:
    for seed in range(50):
        random = Random(seed)  # noqa: S311 - to repeat what failed
        sockets = [
            [damaged(codec.encode(any_message(random)), random) for _ in range(random.randrange(12))]
            for _ in range(random.randrange(1, 5))
        ]
        for records in sockets[1:]:
            # Mostly a client says first where it goes on.
            if random.random() < 0.8:
                records.insert(0, codec.encode(SequenceStart(sequence_id=random.randrange(4))))
        try:
            asyncio.run(_converse_in_parts(codec, sockets, kept_logs(), http))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {sockets}") from error


async def _admit(_request: Any) -> str:
    return "user"


async def _converse_in_parts(codec: HubCodec, sockets: list[list[bytes]], log: Any, http: Any) -> None:
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    app = HubApp({"/target": Parallel}, authenticate=_admit, settings=TINY, logger=log)
    asking = "negotiateVersion=1&useStatefulReconnect=true"
    token = (await http(app, "POST", "/target/negotiate", asking)).json()["connectionToken"]
    first = f'{{"protocol":"{codec.name}","version":2}}\x1e'.encode()
    servings: list[asyncio.Task[None]] = []
    lines: list[Recorded] = []
    for number, chunks in enumerate(sockets):
        line = Recorded()
        lines.append(line)
        query = f"id={token}".encode()
        scope = {"type": "websocket", "path": "/target", "query_string": query, "headers": [], "extensions": {}}
        servings.append(asyncio.create_task(app(scope, line.incoming.get, line.send)))
        line.incoming.put_nowait({"type": "websocket.connect"})
        for chunk in [first, *chunks] if number == 0 else chunks:
            for _ in range(len(chunk) % 5):
                await asyncio.sleep(0)
            line.incoming.put_nowait({"type": "websocket.receive", "bytes": chunk})
        if len(chunks) % 3:  # else the next socket takes over from one that seems alive
            line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    for line in lines:
        line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    async with asyncio.timeout(5):
        await asyncio.gather(*servings)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
    assert app.connection_count == 0
    assert [values for level, event, values in log.entries if level == "error" and event != "hub.method_failed"] == []
    assert unexpected == []


async def _converse(codec: HubCodec, hub: type[Hub], chunks: list[bytes], log: Any) -> None:
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
    app = HubApp({"/target": hub}, authenticate=_admit, settings=TINY, logger=log)
    line = Recorded()
    scope = {"type": "websocket", "path": "/target", "query_string": b"", "headers": [], "extensions": {}}
    serving = asyncio.create_task(app(scope, line.incoming.get, line.send))
    handshake = f'{{"protocol":"{codec.name}","version":1}}\x1e'
    line.incoming.put_nowait({"type": "websocket.connect"})
    line.incoming.put_nowait({"type": "websocket.receive", "text": handshake})
    for chunk in chunks:
        # What runs beside the reader gets its turns too.
        for _ in range(len(chunk) % 5):
            await asyncio.sleep(0)
        line.incoming.put_nowait({"type": "websocket.receive", "bytes": chunk})
    line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    async with asyncio.timeout(5):
        await serving
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
    assert app.connection_count == 0
    failures = [values for level, event, values in log.entries if level == "error" and event != "hub.method_failed"]
    assert failures == []
    assert unexpected == []
    data = b"".join(_payload(message) for message in line.sent if message["type"] == "websocket.send")
    reply, _, rest = data.partition(b"\x1e")
    assert reply == b"{}"
    written, unfinished = codec.split(rest, max_bytes=10_000)
    assert unfinished == b""
    decoded = [codec.decode(record) for record in written]
    assert b"secret detail" not in data
    assert not any(isinstance(message, Close) for message in decoded[:-1])


def _payload(message: dict[str, Any]) -> bytes:
    return message["text"].encode() if "text" in message else message["bytes"]

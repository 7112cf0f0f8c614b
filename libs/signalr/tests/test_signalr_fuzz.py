"""Whatever a peer sends, the connection answers with events: it never raises, hangs or hoards."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_signalr.connection import Connection, ConnectionSettings, ConnectionState, Failed
from voisnap_signalr.json_codec import JsonCodec
from voisnap_signalr.messages import HubMessage, Invocation

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


@given(chunks=chunks, shake_hands=st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_input_gives_events_and_a_bounded_buffer(chunks, shake_hands) -> None:
    connection = Connection([JsonCodec()], now=0.0, settings=ConnectionSettings(max_message_bytes=LIMIT))
    if shake_hands:
        connection.feed(HANDSHAKE, now=0.0)
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

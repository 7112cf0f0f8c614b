"""JSON wire vectors, both directions."""

import msgspec
import pytest
from voisnap_signalr.json_codec import JsonCodec
from voisnap_signalr.messages import (
    Ack,
    CancelInvocation,
    Close,
    Completion,
    Invocation,
    Ping,
    ProtocolError,
    SequenceStart,
    StreamInvocation,
    StreamItem,
)

pytestmark = pytest.mark.unit

codec = JsonCodec()


def raw(text: bytes) -> msgspec.Raw:
    return msgspec.Raw(text)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b'{"type":1,"target":"A","arguments":[]}', Invocation(target="A")),
        (
            b'{"arguments":[1,{"x":null}],"invocationId":"7","target":"A","type":1,"headers":{"Authorization":"x"}}',
            Invocation(target="A", arguments=(raw(b"1"), raw(b'{"x":null}')), invocation_id="7"),
        ),
        (
            b'{"type":1,"target":"A","arguments":[],"streamIds":["1"]}',
            Invocation(target="A", stream_ids=("1",)),
        ),
        (b'{"type":2,"invocationId":"7","item":null}', StreamItem(invocation_id="7", item=raw(b"null"))),
        (b'{"type":3,"invocationId":"7"}', Completion(invocation_id="7")),
        (
            b'{"type":3,"invocationId":"7","result":null}',
            Completion(invocation_id="7", result=raw(b"null"), has_result=True),
        ),
        (b'{"type":3,"invocationId":"7","error":"no"}', Completion(invocation_id="7", error="no")),
        (
            b'{"type":4,"invocationId":"7","target":"A","arguments":[2]}',
            StreamInvocation(target="A", invocation_id="7", arguments=(raw(b"2"),)),
        ),
        (b'{"type":5,"invocationId":"7"}', CancelInvocation(invocation_id="7")),
        (b'{"type":6}', Ping()),
        (b'{"type":7}', Close()),
        (b'{"type":7,"error":"e","allowReconnect":true}', Close(error="e", allow_reconnect=True)),
        (b'{"type":8,"sequenceId":3}', Ack(sequence_id=3)),
        (b'{"type":9,"sequenceId":4}', SequenceStart(sequence_id=4)),
        (b'{"type":99,"target":5,"extra":[]}', None),
    ],
)
def test_records_decode_to_messages(record, message) -> None:
    decoded = codec.decode(record)
    assert _plain(decoded) == _plain(message)


def _plain(message):
    """Raw compares by identity; compare its bytes."""
    if message is None:
        return None
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    for name, value in fields.items():
        if isinstance(value, msgspec.Raw):
            fields[name] = bytes(value)
        elif isinstance(value, tuple):
            fields[name] = [bytes(item) if isinstance(item, msgspec.Raw) else item for item in value]
    return type(message), fields


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"type":"1"}',
        b'{"type":1,"arguments":[]}',
        b'{"type":1,"target":"A"}',
        b'{"type":1,"target":"A","arguments":{}}',
        b'{"type":1,"target":4,"arguments":[]}',
        b'{"type":2,"invocationId":"7"}',
        b'{"type":2,"item":1}',
        b'{"type":3}',
        b'{"type":3,"invocationId":"7","result":1,"error":"both"}',
        b'{"type":4,"target":"A","arguments":[]}',
        b'{"type":5}',
        b'{"type":8}',
        b"\xff\xfe",
        b'{"type":1,"target":"A","arguments":[' + b"[" * 20_000 + b"]}",
    ],
)
def test_malformed_records_are_protocol_errors(record) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(record)


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Invocation(target="A", arguments=(1, "x")), b'{"type":1,"target":"A","arguments":[1,"x"]}'),
        (
            Invocation(target="A", invocation_id="7"),
            b'{"type":1,"target":"A","arguments":[],"invocationId":"7"}',
        ),
        (StreamItem(invocation_id="7", item=None), b'{"type":2,"invocationId":"7","item":null}'),
        (Completion(invocation_id="7"), b'{"type":3,"invocationId":"7"}'),
        (
            Completion(invocation_id="7", result=None, has_result=True),
            b'{"type":3,"invocationId":"7","result":null}',
        ),
        (Completion(invocation_id="7", error="no"), b'{"type":3,"invocationId":"7","error":"no"}'),
        (
            StreamInvocation(target="A", invocation_id="7", stream_ids=("2",)),
            b'{"type":4,"target":"A","arguments":[],"streamIds":["2"],"invocationId":"7"}',
        ),
        (CancelInvocation(invocation_id="7"), b'{"type":5,"invocationId":"7"}'),
        (Ping(), b'{"type":6}'),
        (Close(), b'{"type":7}'),
        (Close(error="e", allow_reconnect=True), b'{"type":7,"error":"e","allowReconnect":true}'),
        (Ack(sequence_id=3), b'{"type":8,"sequenceId":3}'),
        (SequenceStart(sequence_id=4), b'{"type":9,"sequenceId":4}'),
    ],
)
def test_messages_encode_without_keys_outside_the_specification(message, wire) -> None:
    assert codec.encode(message) == wire + b"\x1e"


def test_bytes_travel_as_base64() -> None:
    assert codec.encode(Invocation(target="A", arguments=(b"\x00\xff",))).count(b'"AP8="') == 1
    assert codec.payload_decoder(bytes)(raw(b'"AP8="')) == b"\x00\xff"


def test_split_leaves_the_unfinished_record() -> None:
    assert codec.split(b"a\x1ebc\x1ed", max_bytes=10) == ([b"a", b"bc"], b"d")


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\x1e", b"ok\x1e" + b"x" * 11 + b"\x1eok\x1e"])
def test_split_refuses_a_record_over_the_limit(data) -> None:
    with pytest.raises(ProtocolError, match="maximum message size of 10B"):
        codec.split(data, max_bytes=10)

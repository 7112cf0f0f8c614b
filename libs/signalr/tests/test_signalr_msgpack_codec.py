"""MessagePack wire vectors, both directions."""

from datetime import UTC, datetime

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
from voisnap_signalr.msgpack_codec import MsgpackCodec

pytestmark = pytest.mark.unit

codec = MsgpackCodec()


def raw(payload: bytes) -> msgspec.Raw:
    return msgspec.Raw(payload)


def framed(record: bytes) -> bytes:
    assert len(record) < 128
    return bytes([len(record)]) + record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\x96\x01\x80\xc0\xa1A\x90\x90", Invocation(target="A")),
        # The official client leaves empty stream ids out.
        (b"\x95\x01\x80\xc0\xa1A\x90", Invocation(target="A")),
        (b"\x95\x01\x80\xa0\xa1A\x90", Invocation(target="A")),
        (b"\x96\x01\x80\xc0\xa1A\x90\xc0", Invocation(target="A")),
        (
            b"\x96\x01\x81\xadAuthorization\xa1x\xa17\xa1A\x92\x01\x81\xa1x\xc0\x90",
            Invocation(target="A", arguments=(raw(b"\x01"), raw(b"\x81\xa1x\xc0")), invocation_id="7"),
        ),
        (b"\x96\x01\x80\xc0\xa1A\x90\x91\xa11", Invocation(target="A", stream_ids=("1",))),
        (b"\x97\x01\x80\xc0\xa1A\x90\x90\xa5later", Invocation(target="A")),
        (b"\x94\x02\x80\xa17\xc0", StreamItem(invocation_id="7", item=raw(b"\xc0"))),
        (b"\x94\x03\x80\xa17\x02", Completion(invocation_id="7")),
        (b"\x95\x03\x80\xa17\x03\xc0", Completion(invocation_id="7", result=raw(b"\xc0"), has_result=True)),
        (b"\x95\x03\x80\xa17\x01\xa2no", Completion(invocation_id="7", error="no")),
        (
            b"\x95\x04\x80\xa17\xa1A\x91\x02",
            StreamInvocation(target="A", invocation_id="7", arguments=(raw(b"\x02"),)),
        ),
        (b"\x93\x05\x80\xa17", CancelInvocation(invocation_id="7")),
        (b"\x91\x06", Ping()),
        (b"\x91\x07", Close()),
        (b"\x92\x07\xc0", Close()),
        (b"\x93\x07\xa1e\xc3", Close(error="e", allow_reconnect=True)),
        (b"\x92\x08\x03", Ack(sequence_id=3)),
        (b"\x92\x09\x04", SequenceStart(sequence_id=4)),
        (b"\x93\x63\xa1x\x90", None),
    ],
)
def test_records_decode_to_messages(record, message) -> None:
    assert _plain(codec.decode(record)) == _plain(message)


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
        b"\xc1",
        b"\x06",
        b"\xc0",
        b"\x80",
        b"\x90",
        b"\x91\xa1x",
        b"\x91\xc0",
        b"\x95\x01\xcc\x80\xc0\xa1A\x90",  # headers as the integer 128
        b"\x94\x01\x80\xc0\xa1A",
        b"\x95\x01\x80\xc0\x07\x90",
        b"\x95\x01\x80\xc0\xa1A\x80",
        b"\x95\x01\x80\xc0\xa1A\x91",
        b"\x93\x02\x80\xa17",
        b"\x92\x03\x80",
        b"\x94\x03\x80\xa17\x01",
        b"\x95\x03\x80\xa17\x01\x07",
        b"\x94\x03\x80\xa17\x03",
        b"\x94\x03\x80\xa17\x04",
        b"\x95\x04\x80\xc0\xa1A\x90",
        b"\x92\x05\x80",
        b"\x91\x08",
        b"\x92\x08\xa13",
        b"\x95\x01\x80\xc0\xa2\xff\xfe\x90",
        b"\x95\x01\x80\xc0\xa1A" + b"\x91" * 20_000,
        b"\x91" * 20_000,
    ],
)
def test_malformed_records_are_protocol_errors(record) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(record)


@pytest.mark.parametrize(
    ("message", "record"),
    [
        (Invocation(target="A"), b"\x96\x01\x80\xc0\xa1A\x90\x90"),
        (Invocation(target="A", arguments=[1, "x"]), b"\x96\x01\x80\xc0\xa1A\x92\x01\xa1x\x90"),
        (Invocation(target="A", invocation_id="7"), b"\x96\x01\x80\xa17\xa1A\x90\x90"),
        (StreamItem(invocation_id="7", item=None), b"\x94\x02\x80\xa17\xc0"),
        (Completion(invocation_id="7"), b"\x94\x03\x80\xa17\x02"),
        (Completion(invocation_id="7", result=None, has_result=True), b"\x95\x03\x80\xa17\x03\xc0"),
        (Completion(invocation_id="7", error="no"), b"\x95\x03\x80\xa17\x01\xa2no"),
        (
            StreamInvocation(target="A", invocation_id="7", stream_ids=("2",)),
            b"\x96\x04\x80\xa17\xa1A\x90\x91\xa12",
        ),
        (CancelInvocation(invocation_id="7"), b"\x93\x05\x80\xa17"),
        (Ping(), b"\x91\x06"),
        (Close(), b"\x93\x07\xc0\xc2"),
        (Close(error="e", allow_reconnect=True), b"\x93\x07\xa1e\xc3"),
        (Ack(sequence_id=3), b"\x92\x08\x03"),
        (SequenceStart(sequence_id=4), b"\x92\x09\x04"),
    ],
)
def test_messages_encode_to_records(message, record) -> None:
    assert codec.encode(message) == framed(record)


def test_bytes_travel_as_binary_and_times_as_timestamps() -> None:
    at = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
    message = Invocation(target="A", arguments=(b"\x00\xff", at))
    assert b"\x92\xc4\x02\x00\xff\xd6\xff" in codec.encode(message)
    decoded = codec.decode(codec.encode(message)[1:])
    assert isinstance(decoded, Invocation)
    assert codec.payload_decoder(bytes)(decoded.arguments[0]) == b"\x00\xff"
    assert codec.payload_decoder(datetime)(decoded.arguments[1]) == at


@pytest.mark.parametrize("codec", [codec, JsonCodec()])
@pytest.mark.parametrize("payload", [object(), "\ud800", pytest.param([], id="endless")])
def test_payload_that_cannot_be_written_is_a_type_error(codec, payload) -> None:
    if payload == []:
        payload.append(payload)
    with pytest.raises(TypeError):
        codec.encode(Invocation(target="A", arguments=(payload,)))


def test_integer_of_more_than_64_bits_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        codec.encode(Invocation(target="A", arguments=(2**64,)))


@pytest.mark.parametrize(
    ("size", "prefix"),
    [(127 - 9, b"\x7f"), (128 - 9, b"\x80\x01"), (16_383 - 10, b"\xff\x7f"), (16_384 - 10, b"\x80\x80\x01")],
)
def test_length_has_seven_bits_a_byte(size, prefix) -> None:
    """The record of an item of `size` bytes has 9 bytes more, 10 behind a 16-bit length."""
    record = codec.encode(StreamItem(invocation_id="1" * 3, item=b"x" * size))
    assert record.startswith(prefix + b"\x94\x02")
    (body,), rest = codec.split(record + b"\x02\x91", max_bytes=20_000)
    assert len(body) == len(record) - len(prefix)
    assert rest == b"\x02\x91"


def test_records_are_cut_off_whole_and_in_order() -> None:
    rest = b""
    records = []
    for byte in b"\x02\x91\x06\x00\x81\x00\xc0\x02\x91\x06":
        more, rest = codec.split(rest + bytes([byte]), max_bytes=10)
        records += more
    assert records == [b"\x91\x06", b"", b"\xc0", b"\x91\x06"]
    assert rest == b""


@pytest.mark.parametrize(
    "data", [b"\x0b", b"\x0b" + b"x" * 11, b"\x02\x91\x06\x80\x01", b"\xff\xff\xff\xff\x7f", b"\x8b\x00"]
)
def test_split_refuses_a_record_over_the_limit_before_it_is_there(data) -> None:
    with pytest.raises(ProtocolError, match="maximum message size of 10B"):
        codec.split(data, max_bytes=10)


def test_length_of_more_than_five_bytes_is_refused() -> None:
    assert codec.split(b"\x80\x80\x80\x80", max_bytes=10) == ([], b"\x80\x80\x80\x80")
    with pytest.raises(ProtocolError, match="length"):
        codec.split(b"\x80\x80\x80\x80\x80", max_bytes=10)

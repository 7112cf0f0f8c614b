"""MessagePack hub protocol: one array a record, behind its length as a variable-length integer.

The length has one to five bytes with seven bits each, the lowest first. Invocations are written with all six elements
(signalrcore reads the sixth); the fifth may be the last one of those that are read (the official client leaves empty
stream ids out).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from .messages import (
    Ack,
    CancelInvocation,
    Close,
    Completion,
    HubMessage,
    Invocation,
    Ping,
    ProtocolError,
    SequenceStart,
    StreamInvocation,
    StreamItem,
    TransferFormat,
)

_PING = b"\x02\x91\x06"
_KNOWN_TYPES = range(1, 10)
_MAX_LENGTH_BYTES = 5
_FAILED, _VOID, _WITH_RESULT = 1, 2, 3
_NO_PAYLOAD = msgspec.Raw()
_NO_HEADERS: dict[str, str] = {}
_MALFORMED = "The message is not valid MessagePack of the hub protocol."


class _Invocation(msgspec.Struct, array_like=True, tag=1):
    headers: dict[str, str]
    invocation_id: str | None
    target: str
    arguments: tuple[msgspec.Raw, ...]
    stream_ids: tuple[str, ...] | None = None


class _StreamItem(msgspec.Struct, array_like=True, tag=2):
    headers: dict[str, str]
    invocation_id: str
    item: msgspec.Raw


class _Completion(msgspec.Struct, array_like=True, tag=3):
    headers: dict[str, str]
    invocation_id: str
    kind: int
    payload: msgspec.Raw = _NO_PAYLOAD


class _StreamInvocation(msgspec.Struct, array_like=True, tag=4):
    headers: dict[str, str]
    invocation_id: str
    target: str
    arguments: tuple[msgspec.Raw, ...]
    stream_ids: tuple[str, ...] | None = None


class _CancelInvocation(msgspec.Struct, array_like=True, tag=5):
    headers: dict[str, str]
    invocation_id: str


class _Ping(msgspec.Struct, array_like=True, tag=6):
    pass


class _Close(msgspec.Struct, array_like=True, tag=7):
    error: str | None = None
    allow_reconnect: bool = False


class _Ack(msgspec.Struct, array_like=True, tag=8):
    sequence_id: int


class _SequenceStart(msgspec.Struct, array_like=True, tag=9):
    sequence_id: int


_Record = (
    _Invocation
    | _StreamItem
    | _Completion
    | _StreamInvocation
    | _CancelInvocation
    | _Ping
    | _Close
    | _Ack
    | _SequenceStart
)


class MsgpackCodec:
    """The "messagepack" hub protocol, versions 0 to 2 (they differ in nothing that is written here)."""

    name = "messagepack"
    transfer_format = TransferFormat.BINARY

    def __init__(self) -> None:
        self._record = msgspec.msgpack.Decoder(_Record)
        self._elements = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...])
        self._text = msgspec.msgpack.Decoder(str)
        self._integer = msgspec.msgpack.Decoder(int)
        self._encoder = msgspec.msgpack.Encoder()

    def split(self, data: bytes, *, max_bytes: int) -> tuple[list[bytes], bytes]:
        records: list[bytes] = []
        start = 0
        while (header := _length(data, start)) is not None:
            length, begin = header
            if length > max_bytes:
                raise ProtocolError(f"The maximum message size of {max_bytes}B was exceeded.")
            end = begin + length
            if end > len(data):
                break
            records.append(data[begin:end])
            start = end
        return records, data[start:]

    def decode(self, record: bytes) -> HubMessage | None:
        try:
            fields = self._record.decode(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            if self._is_of_unknown_type(record):
                return None
            raise ProtocolError(_MALFORMED) from None
        match fields:
            case _Invocation():
                return Invocation(
                    target=fields.target,
                    arguments=fields.arguments,
                    # Some clients write "" where there is no id.
                    invocation_id=fields.invocation_id or None,
                    stream_ids=fields.stream_ids or (),
                )
            case _StreamItem():
                return StreamItem(invocation_id=fields.invocation_id, item=fields.item)
            case _Completion():
                return self._to_completion(fields)
            case _StreamInvocation():
                return StreamInvocation(
                    target=fields.target,
                    arguments=fields.arguments,
                    invocation_id=fields.invocation_id,
                    stream_ids=fields.stream_ids or (),
                )
            case _CancelInvocation():
                return CancelInvocation(invocation_id=fields.invocation_id)
            case _Ping():
                return Ping()
            case _Close():
                return Close(error=fields.error, allow_reconnect=fields.allow_reconnect)
            case _Ack():
                return Ack(sequence_id=fields.sequence_id)
            case _SequenceStart():
                return SequenceStart(sequence_id=fields.sequence_id)

    def encode(self, message: HubMessage) -> bytes:
        if type(message) is Ping:
            return _PING
        try:
            body = self._encoder.encode(_to_wire(message))
        except (ValueError, OverflowError, RecursionError) as error:
            raise TypeError(f"A payload cannot be written as MessagePack: {type(error).__name__}.") from error
        return _length_prefix(len(body)) + body

    def payload_decoder(self, kind: Any) -> Callable[[msgspec.Raw], Any]:
        return msgspec.msgpack.Decoder(kind).decode

    def _to_completion(self, fields: _Completion) -> Completion:
        match fields.kind:
            case 1:
                return Completion(invocation_id=fields.invocation_id, error=self._error(fields.payload))
            case 2:
                return Completion(invocation_id=fields.invocation_id)
            case 3 if fields.payload:
                return Completion(invocation_id=fields.invocation_id, result=fields.payload, has_result=True)
            case _:
                raise ProtocolError(_MALFORMED)

    def _error(self, payload: msgspec.Raw) -> str:
        try:
            return self._text.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ProtocolError(_MALFORMED) from None

    def _is_of_unknown_type(self, record: bytes) -> bool:
        try:
            return self._integer.decode(self._elements.decode(record)[0]) not in _KNOWN_TYPES
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, IndexError):
            return False


def _length(data: bytes, start: int) -> tuple[int, int] | None:
    """The length of the record at `start` and where it begins; None when its length has not arrived whole."""
    length = 0
    for position, byte in enumerate(data[start : start + _MAX_LENGTH_BYTES]):
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return length, start + position + 1
    if len(data) - start >= _MAX_LENGTH_BYTES:
        raise ProtocolError("The length of a message is not valid.")
    return None


def _length_prefix(length: int) -> bytes:
    if length < 0x80:
        return length.to_bytes(1, "little")
    if length < 0x4000:
        return bytes((length & 0x7F | 0x80, length >> 7))
    prefix = bytearray()
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix)


def _to_wire(message: HubMessage) -> tuple[Any, ...]:
    match message:
        case Invocation():
            arguments, streams = message.arguments, message.stream_ids
            return 1, _NO_HEADERS, message.invocation_id, message.target, arguments, streams
        case StreamItem():
            return 2, _NO_HEADERS, message.invocation_id, message.item
        case Completion():
            if message.error is not None:
                return 3, _NO_HEADERS, message.invocation_id, _FAILED, message.error
            if message.has_result:
                return 3, _NO_HEADERS, message.invocation_id, _WITH_RESULT, message.result
            return 3, _NO_HEADERS, message.invocation_id, _VOID
        case StreamInvocation():
            arguments, streams = message.arguments, message.stream_ids
            return 4, _NO_HEADERS, message.invocation_id, message.target, arguments, streams
        case CancelInvocation():
            return 5, _NO_HEADERS, message.invocation_id
        case Ping():
            return (6,)
        case Close():
            return 7, message.error, message.allow_reconnect
        case Ack():
            return 8, message.sequence_id
        case SequenceStart():
            return 9, message.sequence_id

"""JSON hub protocol: one JSON object a record, ended by the record separator 0x1E.

Keys outside the specification are never written: some clients build their objects from the keys they find.
"""

from collections.abc import Callable
from typing import Any, TypeVar

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

_SEPARATOR = b"\x1e"
_PING = b'{"type":6}\x1e'
_KNOWN_TYPES = range(1, 10)
_NO_PAYLOAD = msgspec.Raw()

T = TypeVar("T")


class _Record(msgspec.Struct):
    """Every key that any message type uses; which of them must be there depends on `type`."""

    type: int
    target: str | None = None
    arguments: tuple[msgspec.Raw, ...] | None = None
    invocationId: str | None = None  # noqa: N815
    streamIds: tuple[str, ...] | None = None  # noqa: N815
    item: msgspec.Raw = _NO_PAYLOAD
    result: msgspec.Raw = _NO_PAYLOAD
    error: str | None = None
    allowReconnect: bool | None = None  # noqa: N815
    sequenceId: int | None = None  # noqa: N815


class _TypeOnly(msgspec.Struct):
    type: int


class JsonCodec:
    """The "json" hub protocol, versions 0 to 2 (they differ in nothing that is written here)."""

    name = "json"
    transfer_format = TransferFormat.TEXT

    def __init__(self) -> None:
        self._record = msgspec.json.Decoder(_Record)
        self._type_only = msgspec.json.Decoder(_TypeOnly)
        self._encoder = msgspec.json.Encoder()

    def split(self, data: bytes, *, max_bytes: int) -> tuple[list[bytes], bytes]:
        return split_records(data, max_bytes=max_bytes)

    def decode(self, record: bytes) -> HubMessage | None:
        try:
            fields = self._record.decode(record)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            if self._is_of_unknown_type(record):
                return None
            raise ProtocolError("The message is not valid JSON of the hub protocol.") from None
        return _to_message(fields)

    def encode(self, message: HubMessage) -> bytes:
        if type(message) is Ping:
            return _PING
        try:
            return self._encoder.encode(_to_wire(message)) + _SEPARATOR
        except (ValueError, OverflowError, RecursionError) as error:
            raise TypeError(f"A payload cannot be written as JSON: {type(error).__name__}.") from error

    def payload_decoder(self, kind: Any) -> Callable[[msgspec.Raw], Any]:
        return msgspec.json.Decoder(kind).decode

    def _is_of_unknown_type(self, record: bytes) -> bool:
        try:
            return self._type_only.decode(record).type not in _KNOWN_TYPES
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return False


def split_records(data: bytes, *, max_bytes: int) -> tuple[list[bytes], bytes]:
    """The records that are complete, and the rest; raises `ProtocolError` for one beyond `max_bytes`."""
    records = data.split(_SEPARATOR)
    if len(data) > max_bytes and max(map(len, records)) > max_bytes:
        raise ProtocolError(f"The maximum message size of {max_bytes}B was exceeded.")
    rest = records.pop()
    return records, rest


def _to_message(fields: _Record) -> HubMessage | None:
    match fields.type:
        case 1:
            target, arguments = fields.target, fields.arguments
            return Invocation(
                target=_required(target, "target") if target is None else target,
                arguments=_required(arguments, "arguments") if arguments is None else arguments,
                invocation_id=fields.invocationId,
                stream_ids=fields.streamIds or (),
            )
        case 2:
            item = _required(fields.item or None, "item")
            return StreamItem(invocation_id=_required(fields.invocationId, "invocationId"), item=item)
        case 3:
            return _to_completion(fields)
        case 4:
            return StreamInvocation(
                target=_required(fields.target, "target"),
                arguments=_required(fields.arguments, "arguments"),
                invocation_id=_required(fields.invocationId, "invocationId"),
                stream_ids=fields.streamIds or (),
            )
        case 5:
            return CancelInvocation(invocation_id=_required(fields.invocationId, "invocationId"))
        case 6:
            return Ping()
        case 7:
            return Close(error=fields.error, allow_reconnect=bool(fields.allowReconnect))
        case 8:
            return Ack(sequence_id=_required(fields.sequenceId, "sequenceId"))
        case 9:
            return SequenceStart(sequence_id=_required(fields.sequenceId, "sequenceId"))
        case _:
            return None


def _to_completion(fields: _Record) -> Completion:
    has_result = bool(fields.result)
    if has_result and fields.error is not None:
        raise ProtocolError("A completion cannot have both 'result' and 'error'.")
    return Completion(
        invocation_id=_required(fields.invocationId, "invocationId"),
        result=fields.result if has_result else None,
        has_result=has_result,
        error=fields.error,
    )


def _required(value: T | None, key: str) -> T:
    if value is None:
        raise ProtocolError(f"Missing required property '{key}'.")
    return value


def _to_wire(message: HubMessage) -> dict[str, Any]:
    wire: dict[str, Any]
    match message:
        case Invocation():
            wire = _call(1, message)
            if message.invocation_id:
                wire["invocationId"] = message.invocation_id
            return wire
        case StreamItem():
            return {"type": 2, "invocationId": message.invocation_id, "item": message.item}
        case Completion():
            wire = {"type": 3, "invocationId": message.invocation_id}
            if message.error is not None:
                wire["error"] = message.error
            elif message.has_result:
                wire["result"] = message.result
            return wire
        case StreamInvocation():
            return _call(4, message) | {"invocationId": message.invocation_id}
        case CancelInvocation():
            return {"type": 5, "invocationId": message.invocation_id}
        case Ping():
            return {"type": 6}
        case Close():
            wire = {"type": 7}
            if message.error is not None:
                wire["error"] = message.error
            if message.allow_reconnect:
                wire["allowReconnect"] = True
            return wire
        case Ack():
            return {"type": 8, "sequenceId": message.sequence_id}
        case SequenceStart():
            return {"type": 9, "sequenceId": message.sequence_id}


def _call(number: int, message: Invocation | StreamInvocation) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": number, "target": message.target, "arguments": message.arguments}
    if message.stream_ids:
        wire["streamIds"] = message.stream_ids
    return wire

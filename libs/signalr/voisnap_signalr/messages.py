"""The messages of the hub protocol, and the codec that turns them into bytes.

Inbound payloads (arguments, items, results) stay undecoded `msgspec.Raw` until the hub method's signature says what
they are; outbound payloads are any value that msgspec can encode.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

# A record's payload before (Raw) or after (anything) its type is known.
Payload = Any


class ProtocolError(Exception):
    """The peer sent bytes that the hub protocol does not allow; the connection cannot go on.

    The text is safe to show to the peer: it never quotes what was received.
    """


class TransferFormat(StrEnum):
    TEXT = "Text"
    BINARY = "Binary"


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """Call of `target`; without `invocation_id` nobody waits for an answer."""

    target: str
    arguments: Sequence[Payload] = ()
    invocation_id: str | None = None
    stream_ids: tuple[str, ...] = ()


class StreamInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """Call of a method that answers with a stream of items."""

    target: str
    invocation_id: str
    arguments: Sequence[Payload] = ()
    stream_ids: tuple[str, ...] = ()


class StreamItem(msgspec.Struct, frozen=True, kw_only=True):
    invocation_id: str
    item: Payload


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """End of an invocation or of a stream. `result` counts only when `has_result`; never together with `error`."""

    invocation_id: str
    result: Payload = None
    has_result: bool = False
    error: str | None = None


class CancelInvocation(msgspec.Struct, frozen=True, kw_only=True):
    invocation_id: str


class Ping(msgspec.Struct, frozen=True):
    pass


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """The sender is about to close; with `allow_reconnect` a client with automatic reconnect comes back."""

    error: str | None = None
    allow_reconnect: bool = False


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Stateful reconnect: everything up to `sequence_id` has arrived."""

    sequence_id: int


class SequenceStart(msgspec.Struct, frozen=True, kw_only=True):
    """Stateful reconnect: the next replayed message has this number."""

    sequence_id: int


HubMessage = (
    Invocation | StreamInvocation | StreamItem | Completion | CancelInvocation | Ping | Close | Ack | SequenceStart
)


class HubCodec(Protocol):
    """One hub protocol ("json", "messagepack"): framing, encoding and typed payload decoding, without state."""

    @property
    def name(self) -> str:
        """The name that the handshake asks for."""
        ...

    @property
    def transfer_format(self) -> TransferFormat:
        """Whether frames travel as text or as binary."""
        ...

    def split(self, data: bytes, *, max_bytes: int) -> tuple[list[bytes], bytes]:
        """The whole records at the front of `data`, and the unfinished rest.

        Raises `ProtocolError` when a record, finished or not, is larger than `max_bytes`.
        """
        ...

    def decode(self, record: bytes) -> HubMessage | None:
        """Read one record; None for a message type this version does not know. Raises `ProtocolError`."""
        ...

    def encode(self, message: HubMessage) -> bytes:
        """Write one framed record. Raises `TypeError` for a payload that cannot be encoded."""
        ...

    def payload_decoder(self, kind: Any) -> Callable[[msgspec.Raw], Any]:
        """Build a decoder of payloads of type `kind`; it raises `msgspec.MsgspecError` or `RecursionError`."""
        ...


Codecs = Mapping[str, HubCodec]

"""One hub connection without any I/O: bytes in, events out; messages in, bytes out; time as an argument.

The same object serves any transport. A transport feeds it what arrives, acts on the events in their order, and writes
what `encode` returns. Nothing here raises for what a peer sends: the last event of a broken connection is `Failed`.
"""

from collections.abc import Iterable
from enum import Enum, auto

import msgspec

from . import handshake
from .messages import (
    Ack,
    CancelInvocation,
    Close,
    Completion,
    HubCodec,
    HubMessage,
    Invocation,
    Ping,
    ProtocolError,
    SequenceStart,
    StreamInvocation,
    StreamItem,
    TransferFormat,
)
from .stateful import ReceivedMessages


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timers; the defaults are those of ASP.NET Core, which clients are tuned to."""

    max_message_bytes: int = 32 * 1024
    handshake_timeout_s: float = 15.0
    keep_alive_s: float = 15.0
    client_timeout_s: float = 30.0


class ConnectionState(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    CLOSED = auto()


class HandshakeDone(msgspec.Struct, frozen=True):
    """Write `reply`, then the connection is open."""

    reply: bytes


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The peer broke the protocol. Write `farewell`, then close the transport."""

    error: str
    farewell: bytes


class PeerClosed(msgspec.Struct, frozen=True, kw_only=True):
    """The peer said that it is leaving."""

    error: str | None


ConnectionEvent = (
    HandshakeDone
    | Failed
    | PeerClosed
    | Invocation
    | StreamInvocation
    | StreamItem
    | Completion
    | CancelInvocation
    | Ack
    | SequenceStart
)


class Due(Enum):
    """What `Connection.due` asks the transport to do."""

    NOTHING = auto()
    PING = auto()
    HANDSHAKE_TIMEOUT = auto()
    CLIENT_TIMEOUT = auto()


class Connection:
    """Protocol state of one connection; `now` is in seconds of any clock that never goes back."""

    def __init__(
        self,
        codecs: Iterable[HubCodec],
        *,
        now: float,
        settings: ConnectionSettings | None = None,
        allows_stateful: bool = False,
    ) -> None:
        self._codecs = {codec.name: codec for codec in codecs}
        self._settings = settings or ConnectionSettings()
        self._state = ConnectionState.HANDSHAKE
        self._codec: HubCodec | None = None
        self._rest = b""
        self._opened_at = now
        self._sent_at = now
        self._heard_at = now
        self._client_pings = False
        self._allows_stateful = allows_stateful
        self._received: ReceivedMessages | None = None

    @property
    def state(self) -> ConnectionState:
        return self._state

    @property
    def codec(self) -> HubCodec:
        """The codec of the handshake. Raises `RuntimeError` before the handshake."""
        if self._codec is None:
            raise RuntimeError("The handshake has not chosen a protocol yet.")
        return self._codec

    @property
    def transfer_format(self) -> TransferFormat:
        """Of the frames to write; text until the handshake has chosen (handshake errors are text)."""
        return TransferFormat.TEXT if self._codec is None else self._codec.transfer_format

    @property
    def is_stateful(self) -> bool:
        """Whether the connection outlives its socket: it was negotiated so, and the handshake's version is 2."""
        return self._received is not None

    @property
    def buffered_bytes(self) -> int:
        """Bytes of an unfinished record."""
        return len(self._rest)

    def feed(self, data: bytes | str, *, now: float) -> list[ConnectionEvent]:
        """Take what arrived and return its events in order; after `Failed` or `PeerClosed` there are no more."""
        if self._state is ConnectionState.CLOSED:
            return []
        self._heard_at = now
        events: list[ConnectionEvent] = []
        try:
            if isinstance(data, str):
                data = data.encode()
            if self._rest:
                data = self._rest + data
            if self._state is ConnectionState.HANDSHAKE:
                rest = self._shake_hands(data, events)
                if rest is None:
                    return events
                data = rest
            self._read_messages(data, events)
        except UnicodeEncodeError:
            events.append(self._fail("The message is not valid text."))
        except ProtocolError as error:
            events.append(self._fail(str(error)))
        return events

    def sole_call(self, data: bytes, *, now: float) -> Invocation | None:
        """The call that `data` is if it is that, whole, and nothing else; it is taken then.

        None for anything else, of which nothing is taken: it is for `feed`.
        """
        if self._state is not ConnectionState.OPEN or self._rest or self._received is not None or self._codec is None:
            return None
        try:
            records, rest = self._codec.split(data, max_bytes=self._settings.max_message_bytes)
            message = self._codec.decode(records[0]) if len(records) == 1 and not rest else None
        except ProtocolError:
            return None
        if type(message) is not Invocation:
            return None
        self._heard_at = now
        return message

    def encode(self, message: HubMessage, *, now: float) -> bytes:
        """Frame a message for the peer; a `Close` ends this side. Raises `RuntimeError` unless open."""
        if self._state is not ConnectionState.OPEN or self._codec is None:
            raise RuntimeError("The connection is not open.")
        record = self._codec.encode(message)
        self._sent_at = now
        if type(message) is Close:
            self._state = ConnectionState.CLOSED
        return record

    def close(self) -> None:
        """The transport is gone or was closed: nothing is read or written from here on."""
        self._state = ConnectionState.CLOSED
        self._rest = b""

    def socket_replaced(self, *, now: float) -> None:
        """What is fed from here on comes from a new socket of a stateful connection."""
        self._rest = b""
        self._heard_at = now
        if self._received is not None:
            self._received.expect_sequence()

    def acknowledgement(self) -> Ack | None:
        """What a stateful connection has to acknowledge now."""
        return None if self._received is None else self._received.acknowledgement()

    def due(self, *, now: float, is_busy: bool = False) -> Due:
        """What the timers ask for. While a hub method runs (`is_busy`), silence is not the client's fault."""
        settings = self._settings
        if self._state is ConnectionState.HANDSHAKE:
            return Due.HANDSHAKE_TIMEOUT if now - self._opened_at >= settings.handshake_timeout_s else Due.NOTHING
        if self._state is ConnectionState.CLOSED:
            return Due.NOTHING
        if is_busy:
            self._heard_at = now
        # Armed by the first ping: a client that never pings has no client timeout (signalrcore, some browsers' tabs).
        if self._client_pings and now - self._heard_at >= settings.client_timeout_s:
            return Due.CLIENT_TIMEOUT
        return Due.PING if now - self._sent_at >= settings.keep_alive_s else Due.NOTHING

    def _shake_hands(self, data: bytes, events: list[ConnectionEvent]) -> bytes | None:
        """What follows the handshake; None when that has not arrived whole.

        It ends at the first separator; what follows belongs to the protocol that it chose.
        """
        limit = self._settings.max_message_bytes
        record, separator, rest = data.partition(b"\x1e")
        if len(record) > limit:
            raise ProtocolError(f"The maximum message size of {limit}B was exceeded.")
        if not separator:
            self._rest = record
            return None
        self._rest = b""
        request = handshake.parse_request(record)
        self._codec = handshake.choose(request, self._codecs)
        if self._allows_stateful and request.version >= handshake.STATEFUL_VERSION:
            self._received = ReceivedMessages()
        self._state = ConnectionState.OPEN
        events.append(HandshakeDone(handshake.encode_reply()))
        return rest

    def _read_messages(self, data: bytes, events: list[ConnectionEvent]) -> None:
        codec = self.codec
        records, self._rest = codec.split(data, max_bytes=self._settings.max_message_bytes)
        for record in records:
            message = codec.decode(record)
            if self._received is not None and message is not None and not self._received.admits(message):
                continue
            match message:
                case Invocation():
                    events.append(message)
                case None:
                    continue
                case Ping():
                    self._client_pings = True
                case Close(error=error):
                    self.close()
                    events.append(PeerClosed(error=error))
                    return
                case _:
                    events.append(message)

    def _fail(self, error: str) -> Failed:
        if self._codec is None:
            farewell = handshake.encode_reply(error)
        else:
            # As in ASP.NET Core: a client that reconnects by itself may come back and do better.
            close = Close(error=f"Connection closed with an error. {error}", allow_reconnect=True)
            farewell = self._codec.encode(close)
        self.close()
        return Failed(error=error, farewell=farewell)

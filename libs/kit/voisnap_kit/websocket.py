"""uvicorn's WebSockets with a short way for nearly every frame of a call: whole, small, in order.

A call sends and receives fifty frames a second, and the general parser costs more than all that is done with them. Whole unfragmented text
and binary frames are read and written here; everything else (handshake, control frames, fragments, faults) is left to `websockets`, which
gets whole frames only and so stays at a frame's border. Reading pauses when the application lags behind by `MAX_WAITING` bytes, not after
each message.

An application that asks for it (`STRAIGHT`, in the extensions of the scope) is shown each message before a task is woken for it, and writes
without waiting where the socket has room: a task switch each way costs as much as everything else that is done with a frame.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

try:
    from websockets.speedups import apply_mask
except ImportError:  # an installation without compiled extensions
    from websockets.utils import apply_mask

MAX_WAITING = 64 * 1024
"""Bytes of messages that may wait for the application before reading pauses."""
MESSAGE_BYTES = 256
"""What a message counts for beside its payload: even an empty one takes memory while it waits."""
FIN, OPCODES, MASKED = 0x80, 0x0F, 0x80
CONTINUATION, TEXT, BINARY = 0, 1, 2
_END_OF_REQUEST = b"\r\n\r\n"
STRAIGHT = "voisnap.websocket.straight"
"""The extension of the scope whose value is a `Straight`."""

__all__ = ["MAX_WAITING", "STRAIGHT", "Straight", "WebSocketProtocol"]


class _Inbox:
    """What waits for the application: an `asyncio.Queue` for its one reader, without the rest."""

    __slots__ = ("_items", "_loop", "_reader")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._items: deque[Any] = deque()
        self._loop = loop
        self._reader: asyncio.Future[None] | None = None

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    def empty(self) -> bool:
        return not self._items

    @property
    def is_awaited(self) -> bool:
        """Whether the reader has taken everything and waits for more."""
        return self._reader is not None and not self._items and not self._reader.done()

    async def get(self) -> Any:
        while not self._items:
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.popleft()


class Straight:
    """The short way between an application and its socket."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: "WebSocketProtocol") -> None:
        self._protocol: WebSocketProtocol | None = protocol

    def listen(self, take: Callable[[bytes], bool]) -> None:
        """Show whole messages that come while the application waits in `receive` to `take` first; True: it is done with.

        Everything else, and what `take` leaves alone, comes by `receive` as ever. Text is shown undecoded, and only if it is text.
        `take` must not block and must not raise.
        """
        self.listen_to_both(lambda data, _: take(data))

    def listen_to_both(self, take: Callable[[bytes, bool], bool]) -> None:
        """As `listen`, for a protocol in which text and binary mean different things: `take` is told whether it is text."""
        if self._protocol is not None:
            self._protocol.take = take

    def write(self, data: bytes, *, is_text: bool) -> bool:
        """Write a message now; False when it has to go by `send`, which waits until there is room and tells of a socket that is gone."""
        return self._protocol is not None and self._protocol.write_now(TEXT if is_text else BINARY, data)

    def abort(self) -> None:
        """Drop the socket at once, and what it has not sent yet: for a peer that takes nothing."""
        if self._protocol is not None:
            self._protocol.transport.abort()

    def end(self) -> None:
        """The socket is gone."""
        self._protocol = None


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection (RFC 6455)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue: Any = _Inbox(self.loop)
        self._rest = b""
        self._is_plain = True
        self._in_fragments = False
        self._waiting = 0
        self._max_size: int = self.config.ws_max_size
        self._extends = bool(self.config.ws_per_message_deflate)
        self._straight = Straight(self)
        self.take: Callable[[bytes, bool], bool] | None = None
        """What the application looks at messages with as they come; see `Straight.listen`."""

    # From the network

    def data_received(self, data: bytes) -> None:
        if not self.handshake_complete or not self._is_plain or self._extends:
            self._before_handshake(data)
            return
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        while position < size:
            end = self._frame(data, position, size)
            if not end:
                break
            position = end
        self._rest = data[position:] if position else data

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][STRAIGHT] = self._straight  # type: ignore[typeddict-unknown-key]

    def connection_lost(self, exc: Exception | None) -> None:
        self.take = None
        self._straight.end()
        super().connection_lost(exc)

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        # A fault before our answer: there is nobody to say goodbye to.
        self._give_handshake_up()
        self.transport.close()

    def send_500_response(self) -> None:
        super().send_500_response()
        if not self.handshake_complete and self.conn.eof_sent:
            self._give_handshake_up()

    def _give_handshake_up(self) -> None:
        """The handshake has failed without the application: when it comes to answer, it finds its client gone."""
        self.handshake_complete = self.close_sent = self.disconnected = True

    def _before_handshake(self, data: bytes) -> None:
        was_initiated = self.handshake_initiated
        super().data_received(data)
        # Who sends frames before our answer has left some of them in the parser: then it keeps all that follows.
        if was_initiated or (self.handshake_initiated and not data.endswith(_END_OF_REQUEST)):
            self._is_plain = False

    def _frame(self, data: bytes, position: int, size: int) -> int:
        """Take the frame at `position`; where the next one begins, or 0 while it is not whole."""
        if size - position < 6:
            return 0
        first, second = data[position], data[position + 1]
        length = second & 0x7F
        start = position + 2
        if length == 126:
            length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif length == 127:
            if size - start < 8:
                return 0
            length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if second & MASKED:
            start += 4
        end = start + length
        if length > self._max_size:
            return self._leave_to_parser(data[position:], size)
        if end > size:
            return 0
        opcode = first & OPCODES
        if (first == FIN | TEXT or first == FIN | BINARY) and second & MASKED and not self._in_fragments:
            self._deliver(opcode, apply_mask(data[start:end], data[start - 4 : start]))
        else:
            if opcode in (CONTINUATION, TEXT, BINARY):
                self._in_fragments = not first & FIN
            super().data_received(data[position:end])
        if self.conn.state is State.OPEN:
            return end
        return self._leave_to_parser(b"" if self.transport.is_closing() else data[end:], size)

    def _deliver(self, opcode: int, payload: bytes) -> None:
        if (
            self.take is not None
            and self.queue.is_awaited
            and not self.close_sent
            and (opcode == BINARY or _is_text(payload))
            and self.take(payload, opcode == TEXT)
        ):
            return
        self.frames = [payload]
        self.curr_msg_data_type = "text" if opcode == TEXT else "bytes"
        self.send_receive_event_to_app()

    def _leave_to_parser(self, data: bytes, size: int) -> int:
        """The end of the short way: a frame beyond the limit is refused from its header on, and after a goodbye only the answer to it counts."""
        self._is_plain = False
        if data:
            super().data_received(data)
        return size

    # To and from the application

    def send_receive_event_to_app(self) -> None:
        if self.close_sent:
            self.frames = []
            return
        payload = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.curr_msg_data_type == "text":
            try:
                message: Any = {"type": "websocket.receive", "text": payload.decode()}
            except UnicodeDecodeError:
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        else:
            message = {"type": "websocket.receive", "bytes": payload}
        self.queue.put_nowait(message)
        self._waiting += len(payload) + MESSAGE_BYTES
        if self._waiting > MAX_WAITING and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_cont(self, event: Any) -> None:
        if event.data or event.fin:  # empty fragments count towards no limit, and nobody misses them
            super().handle_cont(event)

    def handle_ping(self) -> None:
        pongs = self.conn.data_to_send()
        # A peer who takes nothing gets no pongs: they would pile up (RFC 6455, 5.5.3, allows to leave some out).
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))

    async def receive(self) -> Any:
        message: Any = await self.queue.get()
        if self.queue.empty():
            self._waiting = 0
            self._read_on()
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            data = message.get("bytes")
            if data is None:
                if self.write_now(TEXT, message["text"].encode()):
                    return
            elif self.write_now(BINARY, data):
                return
        await super().send(message)
        if self.close_sent:  # nobody takes what waits any more, and behind it is the peer's answer to our goodbye
            self._read_on()

    def _read_on(self) -> None:
        if self.read_paused:
            self.read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def write_now(self, opcode: int, payload: bytes) -> bool:
        """Write a message if there is room and nothing is in the way."""
        if (
            not self.handshake_complete
            or self.close_sent
            or self.disconnected
            or self._extends
            or self.initial_response is not None
            or not self.writable.is_set()
            or self.conn.state is not State.OPEN
        ):
            return False
        self.transport.write(_frame_of(opcode, payload))
        return True


def _is_text(payload: bytes) -> bool:
    if payload.isascii():  # nearly all; many times as fast as decoding
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _frame_of(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((FIN | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((FIN | opcode, 126, size >> 8, size & 0xFF)) + payload
    return bytes((FIN | opcode, 127)) + size.to_bytes(8, "big") + payload

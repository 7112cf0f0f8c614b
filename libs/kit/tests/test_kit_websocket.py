"""The short way of WebSocket frames: it must be told from uvicorn's own only by its speed."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from voisnap_kit.websocket import MAX_WAITING, MESSAGE_BYTES, STRAIGHT, WebSocketProtocol

pytestmark = pytest.mark.unit

MAX_SIZE = 400
REQUEST = (
    b"GET /live HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONT, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


class Wire(asyncio.Transport):
    """Keeps what was written, and whether reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Peer:
    """A connection of one kind of protocol whose application takes messages while `reads`."""

    def __init__(self, kind: type[WebSocketsSansIOProtocol], *, reads: bool = True) -> None:
        self.messages: list[Any] = []
        self.may_read = asyncio.Event()
        if reads:
            self.may_read.set()
        config = uvicorn.Config(
            self.application,
            interface="asgi3",
            ws_max_size=MAX_SIZE,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            log_config=None,
        )
        self.wire = Wire()
        self.state = ServerState()
        self.protocol = kind(config, self.state, {})
        self.protocol.connection_made(self.wire)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.send = send
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await self.may_read.wait()
            message = await receive()
            self.messages.append(message.get("text", message.get("bytes", message.get("code"))))
            if message["type"] == "websocket.disconnect":
                return

    async def open(self) -> None:
        self.feed(REQUEST)
        await settle()
        self.wire.written = b""

    def feed(self, data: bytes) -> None:
        if not self.wire.closed:
            self.protocol.data_received(data)

    async def end(self) -> None:
        self.may_read.set()
        self.protocol.connection_lost(None)
        await settle()
        await asyncio.gather(*self.state.tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes | None = b"\1\2\3\4") -> bytes:
    head = bytes(((0x80 if fin else 0) | opcode,))
    flag = 0 if mask is None else 0x80
    if len(payload) < 126:
        head += bytes((flag | len(payload),))
    elif len(payload) < 1 << 16:
        head += bytes((flag | 126,)) + len(payload).to_bytes(2, "big")
    else:
        head += bytes((flag | 127,)) + len(payload).to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def some_frames(dice: random.Random) -> bytes:
    """A conversation in all the ways a client may write one, faults now and then."""
    out = b""
    for _ in range(dice.randint(1, 12)):
        size = dice.choice([0, 1, 5, 125, 126, 399, 400])
        text = ("ä" * size)[: size // 2].encode() or b"a"
        match dice.randint(0, 13):
            case 0 | 1 | 2 | 3:
                out += frame(TEXT, text, mask=dice.randbytes(4))
            case 4 | 5 | 6:
                out += frame(BINARY, dice.randbytes(size), mask=dice.randbytes(4))
            case 7 | 8:
                out += frame(TEXT, text, fin=False) + frame(PING, b"are you there") + frame(CONT, b" and more")
            case 9:
                out += frame(PING, b"x")
            case 10 if dice.random() < 0.3:
                out += frame(BINARY, b"x" * (MAX_SIZE + 1))
            case 11 if dice.random() < 0.3:
                out += dice.choice([frame(TEXT, b"\xff\xfe"), frame(TEXT, b"bare", mask=None), frame(CONT, b"lost")])
            case 12 if dice.random() < 0.3:
                out += frame(TEXT, b"a", fin=False) + frame(TEXT, b"b")
            case 13 if dice.random() < 0.5:
                out += frame(CLOSE, (1000).to_bytes(2, "big")) + frame(TEXT, b"after the end")
            case _:
                pass
    return out


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_comes_in_whatever_pieces_gives_the_same_messages_and_answers(seed: int):
    dice = random.Random(seed)  # noqa: S311 - the same faults in every run
    data = some_frames(dice)
    cuts = sorted(dice.randint(0, len(data)) for _ in range(dice.choice([0, 1, 5, 40])))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]
    # Byte by byte uvicorn's own keeps what came before a fault; of one piece with a fault in it, it drops everything.
    bytewise = [data[at : at + 1] for at in range(len(data))]
    seen = []
    for kind, fed in ((WebSocketsSansIOProtocol, bytewise), (WebSocketProtocol, pieces)):
        peer = Peer(kind)
        await peer.open()
        for piece in fed:
            peer.feed(piece)
        await settle()
        seen.append((peer.messages[:], peer.wire.written, peer.wire.closed))
        await peer.end()
    assert seen[1] == seen[0]


@pytest.mark.parametrize("seed", range(60))
async def test_messages_that_are_shown_keep_their_place_among_the_others(seed: int):
    dice = random.Random(seed)  # noqa: S311 - the same faults in every run
    data = some_frames(dice) + some_frames(dice)
    cuts = sorted(dice.randint(0, len(data)) for _ in range(20))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]
    bytewise = [data[at : at + 1] for at in range(len(data))]
    seen = []
    for kind, fed in ((WebSocketsSansIOProtocol, bytewise), (WebSocketProtocol, pieces)):
        peer = Peer(kind)
        await peer.open()
        if kind is WebSocketProtocol:
            chooser = random.Random(seed)  # noqa: S311

            def take(data: bytes, chooser: random.Random = chooser, peer: Peer = peer) -> bool:
                is_taken = chooser.random() < 0.5
                if is_taken:
                    peer.messages.append(data)
                return is_taken

            peer.protocol.scope["extensions"][STRAIGHT].listen(take)
        for piece in fed:
            peer.feed(piece)
            if fed is pieces and dice.random() < 0.5:
                await settle()
        await settle()
        messages = [message.encode() if isinstance(message, str) else message for message in peer.messages]
        seen.append((messages, peer.wire.written, peer.wire.closed))
        await peer.end()
    assert seen[1] == seen[0]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("kind", ["text", "bytes"])
async def test_what_is_sent_is_framed_the_same(size: int, kind: str):
    written = []
    for protocol in (WebSocketsSansIOProtocol, WebSocketProtocol):
        peer = Peer(protocol)
        await peer.open()
        await peer.send({"type": "websocket.send", kind: "a" * size if kind == "text" else b"a" * size})
        written.append(peer.wire.written)
        await peer.end()
    assert written[0] == written[1]


async def test_frames_before_our_answer_are_not_lost():
    peer = Peer(WebSocketProtocol)
    peer.feed(REQUEST + frame(TEXT, b"early")[:4])
    await settle()
    peer.feed(frame(TEXT, b"early")[4:] + frame(TEXT, b"late"))
    await settle()
    assert peer.messages == ["early", "late"]
    await peer.end()


async def test_reading_pauses_only_when_much_waits_and_goes_on_when_it_was_taken():
    peer = Peer(WebSocketProtocol, reads=False)
    await peer.open()
    count = MAX_WAITING // (400 + MESSAGE_BYTES)
    for _ in range(count):
        peer.feed(frame(BINARY, bytes(400)))
    assert not peer.wire.paused
    for _ in range(2):
        peer.feed(frame(BINARY, bytes(400)))
    assert peer.wire.paused
    peer.may_read.set()
    await settle()
    assert not peer.wire.paused
    assert len(peer.messages) == count + 2
    await peer.end()


async def test_empty_messages_that_nobody_takes_pause_reading_too():
    peer = Peer(WebSocketProtocol, reads=False)
    await peer.open()
    for _ in range(MAX_WAITING // MESSAGE_BYTES + 1):
        assert not peer.wire.paused
        peer.feed(frame(TEXT, b""))
    assert peer.wire.paused
    await peer.end()


async def test_empty_fragments_take_no_memory():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    peer.feed(frame(TEXT, b"a", fin=False))
    peer.feed(frame(CONT, b"", fin=False) * 1000)
    assert len(peer.protocol.frames) == 1
    peer.feed(frame(CONT, b"b", fin=False) + frame(CONT, b""))
    await settle()
    assert peer.messages == ["ab"]
    await peer.end()


async def test_a_peer_that_takes_nothing_gets_no_pongs():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    peer.protocol.pause_writing()
    peer.feed(frame(PING, b"x") * 100)
    assert peer.wire.written == b""
    peer.protocol.resume_writing()
    peer.feed(frame(PING, b"y"))
    assert peer.wire.written == b"\x8a\x01y"
    await peer.end()


async def test_nothing_can_be_sent_to_a_client_that_is_gone():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    peer.feed(frame(CLOSE, (1000).to_bytes(2, "big")))
    with pytest.raises(ClientDisconnected):
        await peer.send({"type": "websocket.send", "text": "hello"})
    await peer.end()


async def test_a_message_is_shown_at_once_to_an_application_that_waits_for_one():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    taken = listened(peer, lambda data: data != b"leave")
    peer.feed(frame(TEXT, b"one") + frame(BINARY, b"two"))
    assert taken == [b"one", b"two"], "before any task has run"
    peer.feed(frame(TEXT, b"leave") + frame(TEXT, b"behind it") + frame(TEXT, b"two"))
    assert taken == [b"one", b"two", b"leave"], "what comes behind a message that waits has to wait too"
    await settle()
    assert peer.messages == ["leave", "behind it", "two"]
    peer.feed(frame(TEXT, b"three"))
    assert taken[-1] == b"three"
    await peer.end()


async def test_a_message_waits_while_the_application_does_something_else():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    taken = listened(peer, lambda data: False)
    peer.may_read.clear()
    peer.feed(frame(TEXT, b"for the task"))
    await settle()
    peer.feed(frame(TEXT, b"while it is busy"))
    assert taken == [b"for the task"]
    peer.may_read.set()
    await settle()
    assert peer.messages == ["for the task", "while it is busy"]
    await peer.end()


async def test_what_is_written_straight_is_framed_as_ever_and_only_while_there_is_room():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    straight = peer.protocol.scope["extensions"][STRAIGHT]
    assert straight.write("ä".encode(), is_text=True)
    assert straight.write(b"\0", is_text=False)
    assert peer.wire.written == b"\x81\x02" + "ä".encode() + b"\x82\x01\0"
    peer.protocol.pause_writing()
    assert not straight.write(b"full", is_text=False)
    peer.protocol.resume_writing()
    assert straight.write(b"room", is_text=False)
    await peer.end()
    written = peer.wire.written
    assert not straight.write(b"gone", is_text=False)
    assert peer.wire.written == written


async def test_nothing_is_shown_after_the_goodbye_of_either_side():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    taken = listened(peer, lambda data: True)
    await peer.send({"type": "websocket.close", "code": 1000})
    peer.feed(frame(TEXT, b"late"))
    assert taken == []
    await peer.end()
    assert peer.protocol.take is None, "nobody is held by a socket that is gone"


async def test_who_would_refuse_a_client_that_the_ending_server_has_answered_finds_it_gone(caplog: Any):
    answered = asyncio.Event()

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await answered.wait()  # as an authentication that takes its time
        try:
            await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        except OSError:
            told.append("gone")

    told: list[str] = []
    peer = Peer(WebSocketProtocol)
    peer.protocol.app = refusing
    peer.feed(REQUEST)
    await settle()
    peer.protocol.shutdown()
    assert peer.wire.written.startswith(b"HTTP/1.1 500")
    written = peer.wire.written
    answered.set()
    await settle()
    assert told == ["gone"]
    assert peer.wire.written == written
    assert not caplog.records
    await peer.end()


async def test_a_broken_frame_before_our_answer_ends_the_connection_and_nothing_else(caplog: Any):
    answered = asyncio.Event()

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await answered.wait()
        with suppress(OSError):
            await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})

    peer = Peer(WebSocketProtocol)
    peer.protocol.app = refusing
    peer.feed(REQUEST)
    await settle()
    peer.feed(frame(TEXT, b"bare", mask=None))
    assert peer.wire.closed
    answered.set()
    await settle()
    assert peer.wire.written == b""
    assert not caplog.records
    await peer.end()


async def test_text_that_is_none_is_refused_whoever_looks_at_messages():
    peer = Peer(WebSocketProtocol)
    await peer.open()
    taken = listened(peer, lambda data: True)
    peer.feed(frame(TEXT, "straße".encode()))
    peer.feed(frame(TEXT, b'{"arguments":["\xff"]}'))
    assert taken == ["straße".encode()]
    assert peer.wire.closed
    assert peer.wire.written == b"\x88\x02" + (1007).to_bytes(2, "big")
    await peer.end()


def listened(peer: Peer, take: Any) -> list[bytes]:
    """What is shown to an application that takes what `take` says."""
    taken: list[bytes] = []

    def taking(data: bytes) -> bool:
        taken.append(data)
        return take(data)

    peer.protocol.scope["extensions"][STRAIGHT].listen(taking)
    return taken


@pytest.mark.parametrize("kind", [WebSocketsSansIOProtocol, WebSocketProtocol])
async def test_the_answer_to_our_goodbye_is_found_behind_what_came_before_it(kind: type[WebSocketsSansIOProtocol]):
    peer = Peer(kind)
    await peer.open()
    await peer.send({"type": "websocket.close", "code": 1008})
    rest = frame(BINARY, b"half") + frame(CLOSE, (1008).to_bytes(2, "big"))
    peer.feed(frame(TEXT, b"late") + rest[:7])
    peer.feed(rest[7:])
    assert peer.wire.closed
    await peer.end()


async def test_a_goodbye_reads_on_though_nobody_takes_what_waits():
    peer = Peer(WebSocketProtocol, reads=False)
    await peer.open()
    for _ in range(MAX_WAITING // MESSAGE_BYTES + 1):
        peer.feed(frame(TEXT, b"a"))
    assert peer.wire.paused
    await peer.send({"type": "websocket.close", "code": 1008})
    assert not peer.wire.paused
    await peer.end()


async def test_an_application_may_be_told_which_messages_are_text():
    shown: list[tuple[bytes, bool]] = []
    peer = Peer(WebSocketProtocol)
    await peer.open()
    peer.protocol.scope["extensions"][STRAIGHT].listen_to_both(lambda data, is_text: not shown.append((data, is_text)))
    peer.feed(frame(TEXT, b"words") + frame(BINARY, b"sound"))
    assert shown == [(b"words", True), (b"sound", False)]
    await peer.end()

"""Stateful reconnect: the bookkeeping by itself, and a connection that goes on over another socket."""

import asyncio
from collections import deque
from random import Random
from typing import Any

import pytest
from voisnap_signalr import Hub, HubAppSettings, SessionSettings, hub_method
from voisnap_signalr.messages import Ack, Close, HubMessage, Invocation, Ping, ProtocolError, SequenceStart
from voisnap_signalr.stateful import ReceivedMessages, SentMessages

pytestmark = pytest.mark.unit

CALL = Invocation(target="A")


# Bookkeeping


def kept(sent: SentMessages) -> tuple[int, list[bytes]]:
    sequence, records = sent.replay()
    return sequence.sequence_id, records


def test_replay_begins_with_the_first_message_that_is_not_acknowledged() -> None:
    sent = SentMessages(max_bytes=100)
    assert kept(sent) == (1, [])
    for record in (b"a", b"b", b"c"):
        sent.add(record)
    assert kept(sent) == (1, [b"a", b"b", b"c"])
    sent.acknowledge(2)
    assert kept(sent) == (3, [b"c"])
    sent.acknowledge(3)
    assert kept(sent) == (4, [])


@pytest.mark.parametrize("sequence_id", [-5, 0, 1])
def test_old_acknowledgement_changes_nothing(sequence_id) -> None:
    sent = SentMessages(max_bytes=100)
    sent.add(b"a")
    sent.acknowledge(1)
    sent.add(b"b")
    sent.acknowledge(sequence_id)
    assert kept(sent) == (2, [b"b"])


def test_acknowledgement_of_what_was_never_sent_frees_what_was() -> None:
    sent = SentMessages(max_bytes=100)
    sent.add(b"a")
    sent.acknowledge(10**30)
    assert kept(sent) == (2, [])


def test_sender_is_full_until_enough_is_acknowledged() -> None:
    sent = SentMessages(max_bytes=10)
    sent.add(b"x" * 6)
    assert not sent.is_full
    sent.add(b"x" * 6)
    assert sent.is_full
    sent.acknowledge(1)
    assert not sent.is_full


def test_repeated_messages_are_dropped_by_counting() -> None:
    received = ReceivedMessages()
    assert [received.admits(CALL) for _ in range(3)] == [True] * 3
    received.expect_sequence()
    assert not received.admits(SequenceStart(sequence_id=2))
    assert [received.admits(CALL) for _ in range(3)] == [False, False, True]


def test_only_a_sequence_counts_on_a_new_socket() -> None:
    received = ReceivedMessages()
    received.expect_sequence()
    assert not any(received.admits(message) for message in (CALL, Ping(), Ack(sequence_id=1), Close()))
    received.admits(SequenceStart(sequence_id=1))
    assert received.admits(CALL)


def test_pings_and_acknowledgements_are_not_counted() -> None:
    received = ReceivedMessages()
    for message in (Ping(), CALL, Ack(sequence_id=1), Ping(), CALL):
        received.admits(message)
    assert received.acknowledgement() == Ack(sequence_id=2)


def test_sequence_that_skips_messages_is_a_protocol_error() -> None:
    received = ReceivedMessages()
    received.admits(CALL)
    received.admits(SequenceStart(sequence_id=2))
    with pytest.raises(ProtocolError, match="Sequence ID greater"):
        received.admits(SequenceStart(sequence_id=3))


def test_each_message_is_acknowledged_once_and_again_on_a_new_socket() -> None:
    received = ReceivedMessages()
    assert received.acknowledgement() is None
    received.admits(CALL)
    assert received.acknowledgement() == Ack(sequence_id=1)
    assert received.acknowledgement() is None
    received.expect_sequence()
    assert received.acknowledgement() is None
    received.admits(SequenceStart(sequence_id=1))
    received.admits(CALL)
    assert received.acknowledgement() == Ack(sequence_id=1)


class End:
    """One end of a connection; `wire` is what travels to the other end."""

    def __init__(self) -> None:
        self.sent = SentMessages(max_bytes=10**6)
        self.received = ReceivedMessages()
        self.wire: deque[HubMessage] = deque()
        self.got: list[str] = []

    def send(self, text: str) -> None:
        self.sent.add(text.encode())
        self.wire.append(Invocation(target=text))

    def take(self, message: HubMessage) -> None:
        if not self.received.admits(message):
            return
        match message:
            case Ack(sequence_id=sequence_id):
                self.sent.acknowledge(sequence_id)
            case Invocation(target=target):
                self.got.append(target)

    def acknowledge(self) -> None:
        acknowledgement = self.received.acknowledgement()
        if acknowledgement is not None:
            self.wire.append(acknowledgement)

    def begin_again(self) -> None:
        """On a new socket: what was on its way is lost."""
        sequence, records = self.sent.replay()
        self.received.expect_sequence()
        self.wire.clear()
        self.wire.append(sequence)
        self.wire.extend(Invocation(target=record.decode()) for record in records)


@pytest.mark.parametrize("seed", range(20))
def test_everything_arrives_once_and_in_order_whenever_the_socket_breaks(seed) -> None:
    random = Random(seed)  # noqa: S311 - to repeat what failed
    ends = [End(), End()]
    sent = [0, 0]
    for _ in range(400):
        which = random.randrange(2)
        end, other = ends[which], ends[1 - which]
        match random.randrange(10):
            case 0 | 1 | 2 | 3:
                end.send(str(sent[which]))
                sent[which] += 1
            case 4 | 5 | 6 | 7 if end.wire:
                other.take(end.wire.popleft())
            case 8:
                end.acknowledge()
            case 9 if random.random() < 0.3:
                for broken in ends:
                    broken.begin_again()
            case _:
                pass
    while ends[0].wire or ends[1].wire:
        for end, other in (ends, ends[::-1]):
            if end.wire:
                other.take(end.wire.popleft())
    assert [ends[1].got, ends[0].got] == [[str(number) for number in range(count)] for count in sent]


# Connections


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Keeper(Hub):
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.goodbyes: asyncio.Queue[str | None] = asyncio.Queue()
        self.go = asyncio.Event()
        self.entered = asyncio.Event()

    async def on_connected(self) -> None:
        self.connection.send("Welcome", self.connection.id)

    async def on_disconnected(self, error: str | None) -> None:
        self.goodbyes.put_nowait(error)

    @hub_method("Note")
    async def note(self, number: int) -> int:
        self.seen.append(number)
        return number

    @hub_method("Wait")
    async def wait(self) -> str:
        self.entered.set()
        await self.go.wait()
        return "waited"

    @hub_method("Count")
    async def count(self, to: int):
        for number in range(to):
            await self.go.wait()
            yield number

    @hub_method("Leave")
    async def leave(self) -> None:
        await self.connection.close(allow_reconnect=True)


class Line:
    """A client of one stateful connection, whose sockets may break."""

    def __init__(self, app: Any, connect: Any, http: Any) -> None:
        self._app = app
        self._connect = connect
        self._http = http
        self._query = ""
        self.socket: Any = None

    async def open(self, *, version: int = 2) -> "Line":
        query = "negotiateVersion=1&useStatefulReconnect=true"
        answer = (await self._http(self._app, "POST", "/hubs/keeper/negotiate", query)).json()
        assert answer["useStatefulReconnect"] is True
        self._query = f"useStatefulReconnect=true&id={answer['connectionToken']}"
        self.socket = self._connect(self._app, "/hubs/keeper", self._query)
        assert (await self.socket.raw())["type"] == "websocket.accept"
        self.socket.send_text(f'{{"protocol":"json","version":{version}}}\x1e')
        assert await self.socket.message() == {}
        if version == 2:
            for _ in range(20):
                await asyncio.sleep(0)
            assert self.socket.is_quiet, "the official client counts only from its own ping on"
        self.socket.send({"type": 6})
        assert await self.socket.message() == {"type": 1, "target": "Welcome", "arguments": [answer["connectionId"]]}
        return self

    async def message(self) -> dict[str, Any]:
        """The next message that is not an acknowledgement: those come when it pleases the ticker."""
        while (message := await self.socket.message())["type"] == 8:
            pass
        return message

    def reconnect(self) -> Any:
        self.socket = self._connect(self._app, "/hubs/keeper", self._query)
        return self.socket

    async def resume(self, sequence_id: int) -> dict[str, Any]:
        """Open another socket and say where this side goes on; where the other side does."""
        socket = self.reconnect()
        assert (await socket.raw())["type"] == "websocket.accept"
        socket.send({"type": 9, "sequenceId": sequence_id})
        return await self.message()


def note(number: int) -> dict[str, Any]:
    return {"type": 1, "invocationId": str(number), "target": "Note", "arguments": [number]}


def noted(number: int) -> dict[str, Any]:
    return {"type": 3, "invocationId": str(number), "result": number}


@pytest.fixture
def hubs() -> list[Keeper]:
    return []


@pytest.fixture
def build(hub_app, connect, http, hubs):
    """Build an app with one hub, and a line to it."""

    def make() -> Keeper:
        hubs.append(Keeper())
        return hubs[-1]

    def build_line(**options: Any) -> Line:
        settings = HubAppSettings(tick_s=0.001, session=SessionSettings(**options.pop("session", {})))
        app = hub_app({"keeper": make}, settings=settings, **options)
        return Line(app, connect, http)

    return build_line


async def test_connection_goes_on_over_another_socket(build, hubs) -> None:
    line = await build().open()
    line.socket.send(note(1))
    assert await line.message() == noted(1)
    line.socket.drop(1006)
    await line.socket.finished()
    # The welcome and the answer were not acknowledged.
    assert await line.resume(2) == {"type": 9, "sequenceId": 1}
    assert (await line.message())["target"] == "Welcome"
    assert await line.message() == noted(1)
    line.socket.send(note(2))
    assert await line.message() == noted(2)
    assert [hub.seen for hub in hubs] == [[1, 2]]
    assert hubs[0].goodbyes.empty()


async def test_client_that_does_not_ping_at_once_gets_its_messages_all_the_same(hub_app, connect, http, hubs) -> None:
    app = hub_app({"keeper": Keeper})
    query = "negotiateVersion=1&useStatefulReconnect=true"
    token = (await http(app, "POST", "/hubs/keeper/negotiate", query)).json()["connectionToken"]
    socket = connect(app, "/hubs/keeper", f"id={token}")
    await socket.raw()
    socket.send_text('{"protocol":"json","version":2}\x1e')
    assert await socket.message() == {}
    assert (await socket.message())["target"] == "Welcome"


@pytest.mark.parametrize("code", [1000, 1005, 1006])
async def test_what_was_sent_while_there_was_no_socket_arrives_once_and_in_order(build, hubs, code) -> None:
    """A server reports a broken socket like a closed one; only a Close message ends the connection."""
    line = await build().open()
    line.socket.send({"type": 8, "sequenceId": 1})
    line.socket.drop(code)
    await line.socket.finished()
    for number in range(3):
        hubs[0].connection.send("Push", number)
    assert (await line.resume(1))["sequenceId"] == 2
    assert [(await line.message())["arguments"] for _ in range(3)] == [[0], [1], [2]]


async def test_client_repeats_what_it_does_not_know_to_have_arrived(build, hubs) -> None:
    line = await build().open()
    line.socket.send(note(1), note(2))
    assert [await line.message() for _ in range(2)] == [noted(1), noted(2)]
    line.socket.drop()
    await line.socket.finished()
    await line.resume(1)
    line.socket.send(note(1), note(2), note(3))
    messages = [await line.message() for _ in range(4)]
    assert messages[-1] == noted(3)
    assert hubs[0].seen == [1, 2, 3]


async def test_new_socket_takes_over_from_one_that_seems_alive(build, hubs) -> None:
    line = await build().open()
    former = line.socket
    await line.resume(1)
    await former.finished()
    await line.message()
    line.socket.send(note(1))
    assert await line.message() == noted(1)


async def test_sockets_may_replace_each_other_as_fast_as_they_come(build, hubs) -> None:
    line = await build().open()
    former = [line.socket]
    for _ in range(5):
        line.reconnect()
        former.append(line.socket)
    for socket in former[:-1]:
        await socket.finished()
    assert (await line.socket.raw())["type"] == "websocket.accept"
    line.socket.send({"type": 9, "sequenceId": 1}, note(1))
    assert [(await line.message())["type"] for _ in range(2)] == [9, 1]
    assert await line.message() == noted(1)
    assert hubs[0].seen == [1]


async def test_method_that_runs_across_the_break_is_answered_on_the_new_socket(build, hubs) -> None:
    line = await build().open()
    line.socket.send({"type": 1, "invocationId": "7", "target": "Wait", "arguments": []})
    await hubs[0].entered.wait()
    line.socket.drop()
    await line.resume(2)
    await line.message()
    hubs[0].go.set()
    assert await line.message() == {"type": 3, "invocationId": "7", "result": "waited"}
    line.socket.send(note(1))
    assert await line.message() == noted(1)


async def test_stream_goes_on_across_several_breaks_with_each_item_once(build, hubs) -> None:
    line = await build().open()
    hubs[0].go.set()
    line.socket.send({"type": 4, "invocationId": "7", "target": "Count", "arguments": [300]})
    items: list[int] = []
    received = 1
    while True:
        message = await line.message()
        received += 1
        if message["type"] == 3:
            break
        items.append(message["item"])
        if len(items) in (20, 90, 200):
            line.socket.drop()
            begin = (await line.resume(2))["sequenceId"]
            for _ in range(received - begin + 1):
                await line.message()
    assert items == list(range(300))


async def test_acknowledgements_are_sent_and_free_what_is_kept(build, hubs) -> None:
    line = await build().open()
    line.socket.send(note(1), note(2))
    messages = [await line.socket.message() for _ in range(3)]
    assert {"type": 8, "sequenceId": 2} in messages
    line.socket.send({"type": 8, "sequenceId": 3})
    line.socket.drop()
    await line.socket.finished()
    assert await line.resume(3) == {"type": 9, "sequenceId": 4}


async def test_sender_waits_for_acknowledgements_once_too_much_is_open(build, hubs) -> None:
    line = await build(session={"stateful_bytes": 1000}).open()
    for number in range(10):
        hubs[0].connection.send("Push", number, "x" * 300)
    seen = [(await line.message())["arguments"][0] for _ in range(3)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert line.socket.is_quiet
    line.socket.send({"type": 8, "sequenceId": 4})
    seen.append((await line.message())["arguments"][0])
    assert seen == [0, 1, 2, 3]


async def test_nobody_waits_for_a_client_for_ever(build, hubs) -> None:
    clock = Clock()
    line = await build(clock=clock).open()
    line.socket.drop()
    await line.socket.finished()
    clock.now = 14.9
    await asyncio.sleep(0.01)
    assert not hubs[0].connection.closed.is_set()
    clock.now = 15.1
    await hubs[0].connection.closed.wait()
    assert await hubs[0].goodbyes.get() == "The connection was lost."
    assert (await line.reconnect().raw())["status"] == 404


async def test_clients_close_message_ends_the_connection(build, hubs) -> None:
    line = await build().open()
    line.socket.send({"type": 7})
    await line.socket.finished()
    assert await hubs[0].goodbyes.get() is None
    assert (await line.reconnect().raw())["status"] == 404


async def test_server_closes_with_a_message(build, hubs) -> None:
    line = await build().open()
    line.socket.send({"type": 1, "target": "Leave", "arguments": []})
    assert await line.message() == {"type": 7, "allowReconnect": True}
    assert (await line.socket.raw())["type"] == "websocket.close"
    await line.socket.finished()


async def test_connection_that_is_closed_while_it_has_no_socket_is_gone(build, hubs) -> None:
    line = await build().open()
    line.socket.drop()
    await line.socket.finished()
    await hubs[0].connection.close()
    assert await hubs[0].goodbyes.get() == "The server closed the connection."
    assert (await line.reconnect().raw())["status"] == 404


async def test_sequence_that_skips_messages_ends_the_connection(build, hubs) -> None:
    line = await build().open()
    line.socket.drop()
    message = await line.resume(5)
    while message["type"] != 7:
        message = await line.message()
    assert "Sequence ID greater" in message["error"]
    await line.socket.finished()


async def test_handshake_of_version_1_makes_an_ordinary_connection(build, hubs) -> None:
    line = await build().open(version=1)
    assert (await line.reconnect().raw())["status"] == 409


async def test_only_its_user_and_its_hub_may_go_on_with_a_connection(hub_app, connect, http, hubs) -> None:
    async def who(request: Any) -> str:
        return request.query.get("user", "ada")

    def make() -> Keeper:
        hubs.append(Keeper())
        return hubs[-1]

    app = hub_app({"keeper": make, "other": Keeper}, authenticate=who)
    line = await Line(app, connect, http).open()
    assert (await connect(app, "/hubs/keeper", f"{line._query}&user=eve").raw())["status"] == 403
    assert (await connect(app, "/hubs/other", line._query).raw())["status"] == 404
    line.socket.send(note(1))
    assert await line.message() == noted(1)


async def test_stateful_reconnect_is_offered_only_to_who_asks_and_may_be_off(hub_app, http) -> None:
    asking = "negotiateVersion=1&useStatefulReconnect=true"
    app = hub_app({"keeper": Keeper})
    assert (
        "useStatefulReconnect" not in (await http(app, "POST", "/hubs/keeper/negotiate", "negotiateVersion=1")).json()
    )
    assert (
        "useStatefulReconnect"
        not in (await http(app, "POST", "/hubs/keeper/negotiate", "useStatefulReconnect=true")).json()
    )
    app = hub_app({"keeper": Keeper}, stateful_reconnect=False)
    assert "useStatefulReconnect" not in (await http(app, "POST", "/hubs/keeper/negotiate", asking)).json()


async def test_nothing_is_left_of_connections_that_broke(build, hubs) -> None:
    before = asyncio.all_tasks()
    clock = Clock()
    line = await build(clock=clock).open()
    line.socket.drop()
    await line.resume(1)
    line.socket.drop()
    await line.socket.finished()
    clock.now = 16
    async with asyncio.timeout(5):
        await asyncio.wait(asyncio.all_tasks() - before)
    assert line._app.connection_count == 0
    assert line._app._sockets._outliving == {}

"""Server-Sent Events and long polling: the requests of a connection without a socket. In memory."""

import asyncio
import gc
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from voisnap_signalr import (
    ConnectionSettings,
    HttpSettings,
    Hub,
    HubAppSettings,
    HubRequest,
    MemoryConnectionTokens,
    NegotiatedConnection,
    SessionSettings,
    Transport,
    Unauthorized,
    hub_method,
)
from voisnap_signalr.messages import TransferFormat
from voisnap_signalr.transports.inbox import Inbox
from voisnap_signalr.transports.sse import EventStreamWire

pytestmark = pytest.mark.unit

RS = "\x1e"
HANDSHAKE = b'{"protocol":"json","version":1}\x1e'
EVENT_STREAM = {"accept": "text/event-stream"}
GONE = 404


class Echo(Hub):
    made: list["Echo"]

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.goodbye: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.made.append(self)

    async def on_connected(self) -> None:
        self.connection.send("Welcome", self.connection.transport)

    async def on_disconnected(self, error: str | None) -> None:
        self.goodbye.set_result(error)

    @hub_method("Echo")
    async def echo(self, text: str) -> str:
        return text

    @hub_method("Wait")
    async def wait(self) -> str:
        await self.release.wait()
        return "waited"


@pytest.fixture(autouse=True)
def made() -> list[Echo]:
    Echo.made = []
    return Echo.made


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def invocation(target: str, *arguments: Any, invocation_id: str = "1") -> bytes:
    message = {"type": 1, "target": target, "arguments": arguments, "invocationId": invocation_id}
    return msgspec.json.encode(message) + RS.encode()


def messages(body: bytes) -> list[dict[str, Any]]:
    records = body.decode().split(RS)
    assert records.pop() == ""
    return [msgspec.json.decode(record) for record in records]


class Client:
    """A client without a socket, request by request."""

    def __init__(self, app: Any, http: Any, exchange: Any, headers: dict[str, str] | None = None) -> None:
        self.app = app
        self._http = http
        self._exchange = exchange
        self._headers = headers or {}
        self.token = ""

    async def negotiate(self, hub: str = "/hubs/echo", *, version: int = 1) -> "Client":
        answer = await self._http(self.app, "POST", f"{hub}/negotiate", f"negotiateVersion={version}", self._headers)
        self.token = answer.json()["connectionToken" if version else "connectionId"]
        return self

    def start(self, method: str, body: bytes | None = b"", headers: dict[str, str] | None = None) -> Any:
        query = f"id={self.token}"
        return self._exchange(self.app, method, "/hubs/echo", query, self._headers | (headers or {}), body)

    async def ask(self, method: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        return await self.start(method, body, headers).answer()

    async def post(self, body: bytes) -> int:
        return (await self.ask("POST", body)).status

    async def poll(self, headers: dict[str, str] | None = None) -> Any:
        return await self.ask("GET", headers=headers)

    async def opened(self, *, version: int = 1) -> "Client":
        """Polled, shaken hands, and the welcome read."""
        await self.negotiate(version=version)
        assert (await self.poll()).body == b""
        assert await self.post(HANDSHAKE) == 200
        seen: list[dict[str, Any]] = []
        while len(seen) < 2:
            seen += messages((await self.poll()).body)
        assert seen == [{}, {"type": 1, "target": "Welcome", "arguments": ["LongPolling"]}]
        return self

    async def streaming(self) -> Any:
        """An open event stream, hands shaken, and the welcome read."""
        await self.negotiate()
        stream = self.start("GET", headers=EVENT_STREAM)
        assert (await stream.begun()).status == 200
        assert (await stream.raw())["body"] == b":\r\n"
        assert await self.post(HANDSHAKE) == 200
        seen: list[dict[str, Any]] = []
        while len(seen) < 2:
            seen += await event(stream)
        assert seen == [{}, {"type": 1, "target": "Welcome", "arguments": ["ServerSentEvents"]}]
        return stream


async def event(stream: Any) -> list[dict[str, Any]]:
    """The messages of the next event."""
    body = (await stream.raw())["body"]
    assert body.startswith(b"data: ")
    assert body.endswith(b"\r\n\r\n")
    return messages(body[6:-4])


@pytest.fixture
def client(hub_app, http, exchange):
    """Build a client of an application of its own."""

    def build(headers: dict[str, str] | None = None, **options: Any) -> Client:
        return Client(hub_app({"echo": Echo}, **options), http, exchange, headers)

    return build


# Long polling


async def test_first_poll_answers_at_once_and_starts_the_hub(client) -> None:
    polling = await client().negotiate()
    answer = await polling.poll()
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert await polling.post(HANDSHAKE) == 200
    answer = await polling.poll()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.body.startswith(b"{}\x1e")


async def test_poll_brings_everything_that_waits(client) -> None:
    polling = await client().opened()
    await polling.post(invocation("Echo", "a") + invocation("Echo", "b", invocation_id="2"))
    assert [message["result"] for message in messages((await polling.poll()).body)] == ["a", "b"]


async def test_poll_waits_for_news(client, made) -> None:
    polling = await client().opened()
    poll = polling.start("GET")
    await polling.post(invocation("Wait"))
    made[0].release.set()
    assert messages((await poll.answer()).body)[0]["result"] == "waited"


async def test_poll_without_news_is_answered_empty(client) -> None:
    polling = await client(settings=HubAppSettings(http=HttpSettings(poll_s=0.01))).negotiate()
    await polling.poll()
    answer = await polling.poll()
    assert (answer.status, answer.body) == (200, b"")


async def test_new_poll_ends_the_former(client) -> None:
    polling = await client().opened()
    first = polling.start("GET")
    await asyncio.sleep(0)
    second = polling.start("GET")
    ended = await first.answer()
    assert (ended.status, "content-length" in ended.headers) == (204, False)
    await polling.post(invocation("Echo", "x"))
    assert messages((await second.answer()).body)[0]["result"] == "x"


async def test_poll_that_the_client_left_takes_nothing(client) -> None:
    polling = await client().opened()
    left = polling.start("GET")
    left.drop()
    await left.task
    await polling.post(invocation("Echo", "x"))
    assert messages((await polling.poll()).body)[0]["result"] == "x"


async def test_signalrcore_gets_one_message_a_poll(client) -> None:
    polling = await client({"user-agent": "Python-urllib/3.11"}).negotiate()
    await polling.poll()
    await polling.post(HANDSHAKE + invocation("Echo", "a"))
    seen = [messages((await polling.poll()).body) for _ in range(3)]
    assert [len(each) for each in seen] == [1, 1, 1]
    assert seen[2][0]["result"] == "a"


async def test_messagepack_travels_over_polls(client) -> None:
    polling = await client().negotiate()
    await polling.poll()
    await polling.post(b'{"protocol":"messagepack","version":1}\x1e')
    body = (await polling.poll()).body
    while len(body) < 10:
        body += (await polling.poll()).body
    assert body.startswith(b"{}\x1e")
    assert msgspec.msgpack.decode(body[4:])[3] == "Welcome"


async def test_close_reaches_the_client_then_204_then_nothing(client, made) -> None:
    polling = await client().opened()
    closing = asyncio.create_task(made[0].connection.close("bye", allow_reconnect=True))
    assert messages((await polling.poll()).body) == [{"type": 7, "error": "bye", "allowReconnect": True}]
    await closing
    assert (await polling.poll()).status == 204
    assert (await polling.poll()).status == GONE
    assert await polling.post(b"") == GONE


async def test_delete_is_the_clients_goodbye(client, made) -> None:
    polling = await client().opened()
    poll = polling.start("GET")
    await asyncio.sleep(0)
    assert (await polling.ask("DELETE")).status == 202
    assert await made[0].goodbye is None
    assert (await poll.answer()).status == 204
    assert [(await polling.ask(method)).status for method in ("GET", "POST", "DELETE")] == [GONE] * 3


async def test_connection_that_nobody_polls_is_lost(client, made) -> None:
    clock = Clock()
    settings = HubAppSettings(tick_s=0.001)
    polling = await client(clock=clock, settings=settings).opened()
    waiting = polling.start("GET")
    await asyncio.sleep(0)
    clock.now = 100.0
    await asyncio.sleep(0.01)
    assert not made[0].goodbye.done(), "a poll is there"
    waiting.drop()
    await waiting.task
    clock.now = 114.9
    await asyncio.sleep(0.01)
    assert not made[0].goodbye.done()
    clock.now = 115.0
    assert await asyncio.wait_for(made[0].goodbye, 5) is not None
    assert (await polling.poll()).status == GONE


async def test_polls_are_not_kept_awake_by_pings(client) -> None:
    clock = Clock()
    settings = HubAppSettings(
        tick_s=0.001, http=HttpSettings(poll_s=0.05), connection=ConnectionSettings(keep_alive_s=1)
    )
    polling = await client(clock=clock, settings=settings).opened()
    clock.now = 5.0
    assert (await polling.poll()).body == b""


async def test_hub_that_sends_to_nobody_is_held_back_and_dropped(client, made, kept_log) -> None:
    settings = HubAppSettings(http=HttpSettings(poll_buffer_bytes=1000), session=SessionSettings(close_timeout_s=0.01))
    polling = await client(settings=settings).opened()
    connection = made[0].connection
    for _ in range(100):
        for _ in range(5):
            connection.send("Audio", "x" * 1000)
        await asyncio.sleep(0)
    assert connection.closed.is_set()
    assert "hub.connection_dropped" in kept_log.events()
    assert len((await polling.poll()).body) < 300_000


# Posts


async def test_post_is_accepted_before_the_first_get(client) -> None:
    polling = await client().negotiate()
    assert await polling.post(HANDSHAKE) == 200
    assert (await polling.poll()).body == b""
    assert (await polling.poll()).body.startswith(b"{}\x1e")


async def test_post_does_not_wait_for_the_hub_method(client, made) -> None:
    polling = await client().opened()
    assert await polling.post(invocation("Wait")) == 200
    assert await polling.post(invocation("Echo", "behind", invocation_id="2")) == 200
    made[0].release.set()
    seen: list[dict[str, Any]] = []
    while len(seen) < 2:
        seen += messages((await polling.poll()).body)
    assert [message["result"] for message in seen] == ["waited", "behind"]


async def test_posts_wait_when_the_hub_does_not_read(client, made) -> None:
    settings = HubAppSettings(
        http=HttpSettings(inbox_bytes=100, post_timeout_s=0.02), session=SessionSettings(close_timeout_s=0.01)
    )
    polling = await client(settings=settings).opened()
    await polling.post(invocation("Wait"))
    await polling.post(invocation("Echo", "x" * 200))
    refused = await polling.ask("POST", invocation("Echo", "late"))
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    made[0].release.set()
    await polling.poll()
    assert await polling.post(invocation("Echo", "now")) == 200


async def test_too_many_posts_at_a_time_are_refused(client) -> None:
    settings = HubAppSettings(http=HttpSettings(inbox_bytes=100))
    polling = await client(settings=settings).opened()
    await polling.post(invocation("Wait"))
    await polling.post(invocation("Echo", "x" * 200))
    waiting = [polling.start("POST", invocation("Echo", "more")) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert await polling.post(invocation("Echo", "even more")) == 429
    assert (await polling.ask("DELETE")).status == 202
    assert [(await post.answer()).status for post in waiting] == [GONE] * 4


async def test_body_is_bounded_and_must_come_in_time(client) -> None:
    settings = HubAppSettings(http=HttpSettings(max_post_bytes=1000, post_timeout_s=0.02))
    polling = await client(settings=settings).opened()
    assert await polling.post(b"x" * 1001) == 413
    slow = polling.start("POST", None)
    slow.upload(b"x", more_body=True)
    assert (await slow.answer()).status == 408
    left = polling.start("POST", None)
    left.upload(invocation("Echo", "half")[:9], more_body=True)
    left.drop()
    await left.task
    await polling.post(invocation("Echo", "whole"))
    assert messages((await polling.poll()).body)[0]["result"] == "whole"


async def test_connection_posted_to_but_never_opened_is_forgotten(client) -> None:
    clock = Clock()
    polling = await client(clock=clock, settings=HubAppSettings(tick_s=0.001)).negotiate()
    await polling.post(HANDSHAKE)
    clock.now = 15.0
    await asyncio.sleep(0.01)
    assert (await polling.poll()).status == GONE


async def test_requests_that_come_together_open_one_connection(client, made) -> None:
    polling = await client().negotiate()
    asked = [polling.start("POST", HANDSHAKE), polling.start("GET")]
    assert [(await each.answer()).status for each in asked] == [200, 200]
    assert (await polling.poll()).body.startswith(b"{}\x1e")
    assert len(made) == 1


async def test_refusal_that_nobody_waits_for_any_more_makes_no_noise(hub_app, exchange) -> None:
    class SlowTokens(MemoryConnectionTokens):
        asked = asyncio.Event()
        answers = asyncio.Event()

        async def claim(self, connection_token: str) -> NegotiatedConnection | None:
            self.asked.set()
            await self.answers.wait()
            return None

    noises: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noises.append(context))
    tokens = SlowTokens(clock=lambda: 0.0)
    asked = exchange(hub_app({"echo": Echo}, tokens=tokens), "GET", "/hubs/echo", "id=unknown")
    await tokens.asked.wait()
    asked.task.cancel()
    await asyncio.wait({asked.task})
    tokens.answers.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert noises == []


# Server-Sent Events


async def test_event_stream_begins_with_a_comment_and_is_not_cached(client) -> None:
    streaming = await client().negotiate()
    stream = streaming.start("GET", headers=EVENT_STREAM)
    begun = await stream.begun()
    assert begun.status == 200
    assert begun.headers["content-type"] == "text/event-stream"
    assert begun.headers["cache-control"] == "no-cache, no-store"
    assert begun.headers["content-encoding"] == "identity"
    assert await stream.raw() == {"type": "http.response.body", "body": b":\r\n", "more_body": True}


async def test_posts_are_answered_on_the_stream(client) -> None:
    streaming = client()
    stream = await streaming.streaming()
    await streaming.post(invocation("Echo", "line\nline"))
    assert (await event(stream))[0]["result"] == "line\nline"


async def test_line_feeds_do_not_end_an_event() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await EventStreamWire(Inbox(max_bytes=1), send).send(b"one\ntwo", TransferFormat.TEXT)
    assert sent[0]["body"] == b"data: one\r\ndata: two\r\n\r\n"


async def test_client_that_leaves_the_stream_is_lost(client, made) -> None:
    streaming = client()
    stream = await streaming.streaming()
    stream.drop()
    assert await made[0].goodbye is not None
    await stream.task
    assert await streaming.post(b"") == GONE


async def test_close_ends_the_stream(client, made) -> None:
    streaming = client()
    stream = await streaming.streaming()
    await made[0].connection.close()
    assert await event(stream) == [{"type": 7}]
    assert await stream.raw() == {"type": "http.response.body", "body": b""}
    assert await streaming.post(b"") == GONE


async def test_second_stream_of_a_connection_is_409(client) -> None:
    streaming = client()
    await streaming.streaming()
    assert (await streaming.ask("GET", headers=EVENT_STREAM)).status == 409


async def test_stream_carries_text_protocols_only(client) -> None:
    streaming = await client().negotiate()
    stream = streaming.start("GET", headers=EVENT_STREAM)
    await stream.begun()
    await stream.raw()
    await streaming.post(b'{"protocol":"messagepack","version":1}\x1e')
    assert await event(stream) == [{"error": "The protocol 'messagepack' is not supported."}]


async def test_stream_that_nobody_reads_ends(client, made) -> None:
    clock = Clock()
    settings = HubAppSettings(tick_s=0.001, session=SessionSettings(close_timeout_s=0.01))
    streaming = client(clock=clock, settings=settings)
    stream = await streaming.streaming()
    stream.can_write.clear()
    made[0].connection.send("Audio", "x")
    await asyncio.sleep(0)
    clock.now = 10.0
    assert await asyncio.wait_for(made[0].goodbye, 5) == "The client reads too slowly."


# What goes wrong


async def test_transport_cannot_change(client, connect) -> None:
    polling = await client().opened()
    assert (await polling.ask("GET", headers=EVENT_STREAM)).status == 400
    assert (await connect(polling.app, "/hubs/echo", f"id={polling.token}").raw())["status"] == 409
    streaming = client()
    await streaming.streaming()
    assert (await streaming.poll()).status == 400
    assert (await streaming.ask("DELETE")).status == 400


async def test_requests_without_a_socket_cannot_use_a_sockets_connection(client, connect) -> None:
    socket = await client().negotiate()
    await connect(socket.app, "/hubs/echo", f"id={socket.token}").open()
    assert await socket.post(b"") == 405
    assert [(await socket.ask(method)).status for method in ("GET", "DELETE")] == [400, 400]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_connection_is_404(client, method) -> None:
    unknown = client()
    unknown.token = "a" * 22
    answer = await unknown.ask(method)
    assert (answer.status, answer.body) == (GONE, b"No Connection with that ID")


async def test_connection_of_another_hub_is_404(hub_app, http, exchange) -> None:
    app = hub_app({"echo": Echo, "other": Echo})
    other = await Client(app, http, exchange).negotiate("/hubs/other")
    assert await other.post(HANDSHAKE) == GONE
    opened = await Client(app, http, exchange).opened()
    assert (await http(app, "GET", "/hubs/other", f"id={opened.token}")).status == GONE


async def by_token(request: HubRequest) -> str:
    if request.access_token not in ("ada", "bob"):
        raise Unauthorized
    return request.access_token


async def test_every_request_is_authenticated_as_the_same_user(client, connect, exchange) -> None:
    polling = await client({"authorization": "Bearer ada"}, authenticate=by_token).opened()
    for bad, status in (("Bearer eve", 401), ("Bearer bob", 403)):
        for method in ("GET", "POST", "DELETE"):
            assert (await polling.ask(method, headers={"authorization": bad})).status == status
    await polling.post(invocation("Echo", "unharmed"))
    assert messages((await polling.poll()).body)[0]["result"] == "unharmed"


@pytest.mark.parametrize("kind", ["GET", "POST", "socket"])
async def test_connection_that_somebody_else_negotiated_does_not_open(client, connect, kind) -> None:
    stolen = await client({"authorization": "Bearer ada"}, authenticate=by_token).negotiate()
    thief = {"authorization": "Bearer bob"}
    if kind == "socket":
        opening = connect(stolen.app, "/hubs/echo", f"id={stolen.token}", headers=thief)
        assert (await opening.raw())["status"] == 403
    else:
        assert (await stolen.ask(kind, headers=thief)).status == 403


async def test_foreign_pages_are_refused_and_allowed_ones_get_their_headers(client, http) -> None:
    polling = await client(allowed_origins=["https://app.example"]).negotiate()
    foreign = await polling.ask("GET", headers={"origin": "https://evil.example"})
    assert (foreign.status, "access-control-allow-origin" in foreign.headers) == (403, False)
    for method in ("GET", "POST", "DELETE"):
        answer = await polling.ask(method, headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
    gone = await polling.ask("GET", headers={"origin": "https://app.example"})
    assert (gone.status, "access-control-allow-origin" in gone.headers) == (GONE, True)
    preflight = await http(polling.app, "OPTIONS", "/hubs/echo", headers={"origin": "https://app.example"})
    assert preflight.headers["access-control-allow-methods"] == "GET, POST, DELETE"


async def test_transports_are_offered_by_hub(hub_app, http, exchange, connect) -> None:
    transports = {"echo": (Transport.SERVER_SENT_EVENTS,)}
    app = hub_app({"echo": Echo, "other": Echo}, transports=transports)
    answers = [(await http(app, "POST", f"/hubs/{hub}/negotiate")).json() for hub in ("echo", "other")]
    offered = [[each["transport"] for each in answer["availableTransports"]] for answer in answers]
    assert offered == [["ServerSentEvents"], ["WebSockets", "ServerSentEvents", "LongPolling"]]
    only = await Client(app, http, exchange).negotiate()
    assert (await only.poll()).status == 404
    assert (await connect(app, "/hubs/echo").raw())["status"] == 404
    assert (await only.start("GET", headers=EVENT_STREAM).begun()).status == 200


def test_hub_without_a_transport_is_a_mistake(hub_app) -> None:
    with pytest.raises(ValueError, match="no transport"):
        hub_app({"echo": Echo}, transports=[])


async def test_drain_reaches_clients_that_poll(client, made) -> None:
    polling = await client().opened()
    draining = asyncio.create_task(polling.app.drain())
    await asyncio.sleep(0.01)
    assert not draining.done(), "the farewell waits for a poll"
    assert messages((await polling.poll()).body) == [{"type": 7, "allowReconnect": True}]
    await draining
    assert made[0].goodbye.done()


async def test_connections_leave_nothing_behind(client, made) -> None:
    before = asyncio.all_tasks()
    leaving = client(settings=HubAppSettings(tick_s=0.001))
    for _ in range(2):
        await leaving.opened()
        await leaving.ask("DELETE")
        stream = await leaving.streaming()
        stream.drop()
        await stream.task
    async with asyncio.timeout(5):
        await asyncio.wait(asyncio.all_tasks() - before)
    assert leaving.app.connection_count == 0
    assert [hub.goodbye.done() for hub in made] == [True] * 4


async def test_any_requests_in_any_order_leave_the_connection_of_others_alone(client, exchange, kept_log) -> None:
    """Seeded: random methods, tokens, headers and bodies, some dropped on the way; each gets an answer of the list."""
    calm = await client(settings=HubAppSettings(session=SessionSettings(close_timeout_s=0.01))).opened()
    for seed in range(40):
        random = Random(seed)  # noqa: S311
        stranger = client()
        stranger.app = calm.app
        await stranger.negotiate()
        tokens = [stranger.token, stranger.token, stranger.token, "", "x" * 300, "node.x", "\x00", "a" * 22]
        for _ in range(random.randrange(12)):
            token = quote(random.choice(tokens))
            headers = random.choice([{}, EVENT_STREAM, {"accept": "\xff"}, {"cookie": "hub-1=;;=" + "," * 99}])
            body = random.choice(
                [HANDSHAKE, b"", random.randbytes(99), invocation("Echo", "x"), b"\x1e" * 99, b"{" * 999]
            )
            method = random.choice(["GET", "GET", "POST", "POST", "POST", "DELETE"])
            asked = exchange(calm.app, method, "/hubs/echo", f"id={token}", headers, body)
            if random.random() < 0.8:
                asked.drop()
            await asyncio.sleep(0)
            if not asked.task.done():
                asked.drop()
            await asyncio.wait_for(asked.task, 5)
            status = (await asked.begun()).status if asked.has_answered else None
            assert status in (None, 200, 202, 204, 400, 403, 404, 405, 409), (seed, status)
    await calm.post(invocation("Echo", "unharmed"))
    assert messages((await calm.poll()).body)[0]["result"] == "unharmed"
    assert "error" not in {level for level, _, _ in kept_log.entries}


@pytest.mark.parametrize("version", [0, 1])
async def test_no_secret_is_logged(client, kept_log, version) -> None:
    polling = await client(authenticate=by_token, headers={"authorization": "Bearer ada"}).opened(version=version)
    await polling.post(b"{oops" + HANDSHAKE)
    await polling.ask("GET", headers={"authorization": "Bearer eve"})
    logged = repr(kept_log.entries)
    assert "hub.request_refused" in logged
    assert "hub.protocol_broken" in logged
    assert not any(secret in logged for secret in (polling.token, "ada", "eve", "oops"))

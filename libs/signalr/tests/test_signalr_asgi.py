"""Hubs behind ASGI: routes, authentication, dispatch, ends. In memory, without sockets."""

import asyncio
from typing import Any

import msgspec
import pytest
from voisnap_signalr import (
    ConnectionSettings,
    Hub,
    HubAppSettings,
    HubError,
    SessionSettings,
    Unauthorized,
    hub_method,
    router,
)

pytestmark = pytest.mark.unit


class Point(msgspec.Struct, rename="camel"):
    x_axis: int
    y_axis: int = 0


class Echo(Hub):
    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.goodbye: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.release = asyncio.Event()
        self.entered = asyncio.Event()

    async def on_connected(self) -> None:
        self.connection.send("Welcome", self.connection.id, self.connection.user, self.connection.query.get("AGENTID"))

    async def on_disconnected(self, error: str | None) -> None:
        self.goodbye.set_result(error)

    @hub_method
    async def Echo(self, text: str) -> str:  # noqa: N802
        return text

    @hub_method("MovePointAsync")
    async def move(self, point: Point, by: int = 1) -> Point:
        return Point(point.x_axis + by, point.y_axis)

    @hub_method("Note")
    async def note(self, value: Any = None) -> None:
        self.seen.append(value)
        self.connection.send("Noted", value)

    @hub_method("Refuse")
    async def refuse(self) -> None:
        raise HubError("not today")

    @hub_method("Break")
    async def broken(self) -> None:
        raise RuntimeError("secret detail")

    @hub_method("Unencodable")
    async def unencodable(self) -> Any:
        return object()

    @hub_method("Wait")
    async def wait(self) -> str:
        self.entered.set()
        await self.release.wait()
        return "waited"

    @hub_method("LeaveAsync")
    async def leave(self, reconnect: bool = False) -> str:
        await self.connection.close("bye", reconnect)
        return "left"

    @hub_method("Abort")
    async def abort(self) -> None:
        self.connection.abort()

    async def not_callable(self) -> None: ...


class Made:
    """Makes hubs and keeps them for the test."""

    def __init__(self, hub_type: type[Echo] = Echo) -> None:
        self.hubs: list[Echo] = []
        self._hub_type = hub_type

    def __call__(self) -> Echo:
        self.hubs.append(self._hub_type())
        return self.hubs[-1]


@pytest.fixture
def made() -> Made:
    return Made()


@pytest.fixture
async def opened(hub_app, connect, made):
    """A connection whose welcome has been read."""
    socket = await connect(hub_app({"echo": made}), "/hubs/echo", "agentId=agt_1").open()
    assert (await socket.message())["target"] == "Welcome"
    return socket


# Negotiate


async def test_negotiated_token_opens_the_connection_with_the_announced_id(hub_app, connect, http, made) -> None:
    app = hub_app({"echo": made})
    answer = await http(app, "POST", "/hubs/echo/negotiate", "negotiateVersion=1&id=old")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["availableTransports"] == [
        {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]},
        {"transport": "ServerSentEvents", "transferFormats": ["Text"]},
        {"transport": "LongPolling", "transferFormats": ["Text", "Binary"]},
    ]
    socket = await connect(app, "/Hubs/ECHO", f"agentId=agt_1&id={body['connectionToken']}").open()
    assert (await socket.message())["arguments"] == [body["connectionId"], "user", "agt_1"]


async def test_bad_negotiate_version_is_answered_in_the_body(hub_app, http) -> None:
    answer = await http(hub_app({"echo": Echo}), "POST", "/hubs/echo/negotiate", "negotiateVersion=x")
    assert (answer.status, list(answer.json())) == (200, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/hubs/echo/negotiate", 405),
        ("POST", "/hubs/other/negotiate", 404),
        ("GET", "/hubs/echo", 400),
        ("POST", "/hubs/echo", 400),
        ("DELETE", "/hubs/echo", 400),
        ("PUT", "/hubs/echo", 405),
        ("GET", "/hubs/other", 404),
    ],
)
async def test_other_requests_are_refused(hub_app, http, method, path, status) -> None:
    assert (await http(hub_app({"echo": Echo}), method, path)).status == status


async def test_unknown_token_is_404_and_a_used_one_409(hub_app, connect, http) -> None:
    app = hub_app({"echo": Echo, "other": Echo})
    assert (await connect(app, "/hubs/echo", "id=nope").raw())["status"] == 404
    token = (await http(app, "POST", "/hubs/echo/negotiate", "negotiateVersion=1")).json()["connectionToken"]
    first = await connect(app, "/hubs/echo", f"id={token}").open()
    assert (await connect(app, "/hubs/echo", f"id={token}").raw())["status"] == 409
    first.drop()
    await first.finished()
    assert (await connect(app, "/hubs/echo", f"id={token}").raw())["status"] == 404


async def test_token_of_another_hub_is_404(hub_app, connect, http) -> None:
    app = hub_app({"echo": Echo, "other": Echo})
    token = (await http(app, "POST", "/hubs/other/negotiate", "negotiateVersion=1")).json()["connectionToken"]
    assert (await connect(app, "/hubs/echo", f"id={token}").raw())["status"] == 404


# Authentication and origins


async def authenticate(request) -> str:
    if request.access_token != "good":
        raise Unauthorized("bad token")
    return f"user at {request.client}"


async def test_bad_token_is_401_on_negotiate_and_on_the_socket(hub_app, connect, http, kept_log) -> None:
    app = hub_app({"echo": Echo}, authenticate=authenticate)
    answer = await http(app, "POST", "/hubs/echo/negotiate", "negotiateVersion=1&access_token=evil")
    assert (answer.status, answer.body) == (401, b"")
    assert (await connect(app, "/hubs/echo", "access_token=evil").raw())["status"] == 401
    assert "evil" not in repr(kept_log.entries)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("access_token=good", {}), ("", {"authorization": "Bearer good"}), ("ACCESS_TOKEN=good", {})],
)
async def test_token_comes_by_header_or_by_query(hub_app, connect, query, headers) -> None:
    socket = await connect(
        hub_app({"echo": Echo}, authenticate=authenticate), "/hubs/echo", query, headers=headers
    ).open()
    assert (await socket.message())["arguments"][1] == "user at 192.0.2.7"


async def test_header_token_goes_before_the_query_token(hub_app, connect) -> None:
    app = hub_app({"echo": Echo}, authenticate=authenticate)
    socket = connect(app, "/hubs/echo", "access_token=good", headers={"authorization": "Bearer evil"})
    assert (await socket.raw())["status"] == 401


async def test_authentication_that_hangs_is_refused(hub_app, http) -> None:
    async def hang(_request) -> None:
        await asyncio.Event().wait()

    app = hub_app({"echo": Echo}, authenticate=hang, settings=HubAppSettings(authenticate_timeout_s=0.01))
    answer = await http(app, "POST", "/hubs/echo/negotiate")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_server_without_http_answers_closes_the_socket_instead(hub_app, connect) -> None:
    async def without_extension(scope, receive, send) -> None:
        await hub_app({})(scope | {"extensions": {}}, receive, send)

    assert await connect(without_extension, "/hubs/none").raw() == {"type": "websocket.close", "code": 1008}


@pytest.mark.parametrize("origin", ["https://app.example", "http://hub.test", "https://HUB.test"])
async def test_allowed_and_own_origins_may_connect(hub_app, connect, http, origin) -> None:
    app = hub_app({"echo": Echo}, allowed_origins=["https://app.example/"])
    headers = {"origin": origin}
    answer = await http(app, "POST", "/hubs/echo/negotiate", headers=headers)
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert (await connect(app, "/hubs/echo", headers=headers).raw())["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://hub.test:81", "http://hub.test.evil.example", "http://[", "x"]
)
async def test_other_origins_may_not(hub_app, connect, http, origin) -> None:
    app = hub_app({"echo": Echo}, allowed_origins=["https://app.example"], continuity=True)
    answer = await http(app, "POST", "/hubs/echo/negotiate", headers={"origin": origin})
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers, "a form of a foreign page would plant it"
    assert (await connect(app, "/hubs/echo", headers={"origin": origin}).raw())["status"] == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:5173", None),
        ("http://127.0.0.1.evil.example:80", 403),
        ("http://127.0.0.1@evil.example:80", 403),
    ],
)
async def test_origin_with_any_port_means_that_host_only(hub_app, connect, origin, status) -> None:
    app = hub_app({"echo": Echo}, allowed_origins=["http://127.0.0.1:*"])
    assert (await connect(app, "/hubs/echo", headers={"origin": origin}).raw()).get("status") == status


async def test_preflight_names_what_the_browser_client_sends(hub_app, http) -> None:
    app = hub_app({"echo": Echo}, allowed_origins=["https://app.example"])
    answer = await http(app, "OPTIONS", "/hubs/echo/negotiate", headers={"origin": "https://app.example"})
    assert answer.status == 204
    for header in ("authorization", "x-requested-with", "x-signalr-user-agent"):
        assert header in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("origin", "asked", "is_allowed"),
    [
        ("https://app.example", "authorization,x-own", True),
        ("https://evil.example", "authorization,x-own", False),
        ("https://app.example", "x-own\r\nset-cookie: a", False),
        ("https://app.example", "x-own," * 300, False),
    ],
)
async def test_pages_that_may_connect_may_send_headers_of_their_own(hub_app, http, origin, asked, is_allowed) -> None:
    app = hub_app({"echo": Echo}, allowed_origins=["https://app.example"])
    headers = {"origin": origin, "access-control-request-headers": asked}
    answer = await http(app, "OPTIONS", "/hubs/echo/negotiate", headers=headers)
    assert (answer.headers["access-control-allow-headers"] == asked) is is_allowed
    assert ("x-own" in answer.headers["access-control-allow-headers"]) is is_allowed


# Dispatch


@pytest.mark.parametrize(
    ("target", "arguments", "answer"),
    [
        ("Echo", ["hé"], {"result": "hé"}),
        ("echo", ["x"], {"result": "x"}),
        ("MovePointAsync", [{"xAxis": 1, "yAxis": 2}], {"result": {"xAxis": 2, "yAxis": 2}}),
        ("MovePointAsync", [{"xAxis": 1}, 5], {"result": {"xAxis": 6, "yAxis": 0}}),
        (
            "Refuse",
            [],
            {"error": "An unexpected error occurred invoking 'Refuse' on the server. HubException: not today"},
        ),
        ("Break", [], {"error": "An unexpected error occurred invoking 'Break' on the server."}),
        ("Unencodable", [], {"error": "An unexpected error occurred invoking 'Unencodable' on the server."}),
        ("Nothing", [], {"error": "Unknown hub method 'Nothing'"}),
        ("not_callable", [], {"error": "Unknown hub method 'not_callable'"}),
        ("on_connected", [], {"error": "Unknown hub method 'on_connected'"}),
        ("Echo", [], {"error": "Failed to invoke 'Echo' due to an error on the server."}),
        ("Echo", ["a", "b"], {"error": "Failed to invoke 'Echo' due to an error on the server."}),
        ("Echo", [7], {"error": "Failed to invoke 'Echo' due to an error on the server."}),
        (
            "MovePointAsync",
            [{"xAxis": "1"}],
            {"error": "Failed to invoke 'MovePointAsync' due to an error on the server."},
        ),
    ],
)
async def test_invocation_is_answered(opened, target, arguments, answer) -> None:
    opened.invoke(target, *arguments, invocation_id="9")
    assert await opened.message() == {"type": 3, "invocationId": "9"} | answer


async def test_method_without_result_completes_without_one_and_after_what_it_sent(opened) -> None:
    opened.invoke("Note", {"a": 1}, invocation_id="9")
    assert await opened.message() == {"type": 1, "target": "Noted", "arguments": [{"a": 1}]}
    assert await opened.message() == {"type": 3, "invocationId": "9"}


async def test_invocation_without_id_is_never_answered(opened, made) -> None:
    opened.invoke("Break", invocation_id=None)
    opened.invoke("Nothing", invocation_id=None)
    opened.invoke("Echo", "next", invocation_id="2")
    assert (await opened.message())["invocationId"] == "2"


async def test_failure_is_logged_with_its_cause_and_a_refusal_is_not(opened, kept_log) -> None:
    opened.invoke("Break", invocation_id="1")
    opened.invoke("Refuse", invocation_id="2")
    await opened.message()
    await opened.message()
    failures = [values for _, event, values in kept_log.entries if event == "hub.method_failed"]
    assert [(failure["method"], str(failure["exc_info"])) for failure in failures] == [("Break", "secret detail")]


async def test_invocations_run_one_at_a_time_in_order(opened, made) -> None:
    opened.invoke("Wait", invocation_id="1")
    opened.invoke("Echo", "x", invocation_id="2")
    await made.hubs[0].entered.wait()
    made.hubs[0].release.set()
    assert [(await opened.message())["invocationId"] for _ in range(2)] == ["1", "2"]


async def test_method_that_never_ends_is_cut_off(hub_app, connect) -> None:
    settings = HubAppSettings(tick_s=0.005, session=SessionSettings(method_timeout_s=0.02))
    socket = await connect(hub_app({"echo": Echo}, settings=settings), "/hubs/echo").open()
    await socket.message()
    socket.invoke("Wait", invocation_id="1")
    assert "error" in await socket.message()
    socket.invoke("Echo", "alive", invocation_id="2")
    assert (await socket.message())["result"] == "alive"


async def test_method_that_swallows_its_cancellation_leaves_the_connection_usable(hub_app, connect) -> None:
    class Stubborn(Echo):
        @hub_method("Cling")
        async def cling(self) -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "clung"
            return "never"

    settings = HubAppSettings(tick_s=0.005, session=SessionSettings(method_timeout_s=0.02))
    socket = await connect(hub_app({"echo": Stubborn}, settings=settings), "/hubs/echo").open()
    await socket.message()
    socket.invoke("Cling", invocation_id="1")
    assert (await socket.message())["result"] == "clung"
    socket.invoke("Echo", "alive", invocation_id="2")
    assert (await socket.message())["result"] == "alive"


async def test_streams_are_refused_with_the_documented_texts(opened) -> None:
    opened.send({"type": 4, "invocationId": "1", "target": "Echo", "arguments": ["x"]})
    assert (await opened.message())["error"] == (
        "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation."
    )
    opened.send({"type": 4, "invocationId": "2", "target": "None", "arguments": []})
    assert (await opened.message())["error"] == "Unknown hub method 'None'"
    opened.send({"type": 1, "invocationId": "3", "target": "Echo", "arguments": ["x"], "streamIds": ["1"]})
    assert (await opened.message())["error"] == "Client sent 1 stream(s), Hub method expects 0."


async def test_items_of_unknown_streams_are_ignored(opened) -> None:
    opened.send(
        {"type": 2, "invocationId": "5", "item": 1},
        {"type": 3, "invocationId": "5"},
        {"type": 5, "invocationId": "5"},
        {"type": 8, "sequenceId": 1},
        {"type": 77},
    )
    opened.invoke("Echo", "alive")
    assert (await opened.message())["result"] == "alive"


def test_a_method_that_cannot_be_awaited_is_a_bug() -> None:
    with pytest.raises(TypeError, match="async def"):

        class Blocking(Hub):
            @hub_method
            def Count(self) -> int:  # noqa: N802
                return 1


def test_two_methods_of_one_target_are_a_bug(hub_app) -> None:
    class Twice(Hub):
        @hub_method("Do")
        async def one(self) -> None: ...

        @hub_method("do")
        async def two(self) -> None: ...

    with pytest.raises(TypeError, match="two hub methods"):
        hub_app({"twice": Twice})


# Ends


async def closing(socket) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Close message and the socket's end."""
    message, end = await socket.message(), await socket.raw()
    await socket.finished()
    return message, end


async def test_close_inside_a_method_takes_effect_after_its_answer(opened, made) -> None:
    opened.invoke("LeaveAsync", True, invocation_id="1")
    assert await opened.message() == {"type": 3, "invocationId": "1", "result": "left"}
    message, end = await closing(opened)
    assert message == {"type": 7, "error": "bye", "allowReconnect": True}
    assert end == {"type": "websocket.close", "code": 1000}
    assert made.hubs[0].goodbye.result() == "bye"


async def test_close_from_outside_flushes_what_was_sent(opened, made) -> None:
    connection = made.hubs[0].connection
    connection.send("Last", 1)
    await connection.close()
    assert connection.closed.is_set()
    assert (await opened.message())["target"] == "Last"
    assert (await closing(opened))[0] == {"type": 7}


async def test_abort_ends_the_connection_without_reconnect(opened, made) -> None:
    opened.invoke("Abort", invocation_id=None)
    assert (await closing(opened))[0] == {"type": 7}
    assert made.hubs[0].goodbye.result() is not None


@pytest.mark.parametrize(("code", "clean"), [(1000, True), (1001, True), (1005, False), (1006, False)])
async def test_lost_socket_tells_the_hub_whether_the_peer_said_goodbye(opened, made, code, clean) -> None:
    opened.drop(code)
    await opened.finished()
    assert (made.hubs[0].goodbye.result() is None) is clean
    assert made.hubs[0].connection.closed.is_set()


async def test_clients_close_message_is_a_goodbye(opened, made) -> None:
    opened.send({"type": 7})
    await opened.finished()
    assert made.hubs[0].goodbye.result() is None


async def test_sending_after_the_end_does_nothing(opened, made) -> None:
    opened.drop()
    await opened.finished()
    made.hubs[0].connection.send("Late")
    await made.hubs[0].connection.close()


async def test_malformed_frame_ends_the_connection_with_a_reason(opened, made) -> None:
    opened.send_text("{broken\x1e")
    message, end = await closing(opened)
    assert message["type"] == 7
    assert "not valid JSON" in message["error"]
    assert "broken" not in message["error"]
    assert end["code"] == 1000
    assert made.hubs[0].goodbye.result() is not None


async def test_message_over_32_kb_ends_the_connection(opened) -> None:
    opened.invoke("Echo", "x" * 32 * 1024)
    assert "maximum message size of 32768B" in (await closing(opened))[0]["error"]


async def test_refused_handshake_is_answered_and_closed_without_the_hub_knowing(hub_app, connect, made) -> None:
    socket = connect(hub_app({"echo": made}), "/hubs/echo")
    await socket.raw()
    socket.send_text('{"protocol":"morse","version":1}\x1e')
    message, _ = await closing(socket)
    assert message == {"error": "The protocol 'morse' is not supported."}
    assert not made.hubs[0].goodbye.done()


async def test_hub_that_fails_to_connect_closes_and_still_says_goodbye(hub_app, connect) -> None:
    class Failing(Echo):
        async def on_connected(self) -> None:
            raise HubError("no room")

    made = Made(Failing)
    socket = await connect(hub_app({"echo": made}), "/hubs/echo").open()
    message, _ = await closing(socket)
    assert message == {"type": 7, "error": "Connection closed with an error. HubException: no room"}
    assert made.hubs[0].goodbye.done()


async def test_slow_reader_is_dropped_when_its_buffer_is_full(hub_app, connect, made, kept_log) -> None:
    settings = HubAppSettings(
        tick_s=0.005, session=SessionSettings(outbox_bytes=1000, send_timeout_s=0.05, close_timeout_s=0.05)
    )
    socket = await connect(hub_app({"echo": made}, settings=settings), "/hubs/echo").open()
    await socket.message()
    socket.can_write.clear()
    connection = made.hubs[0].connection
    for _ in range(20):
        connection.send("Audio", "x" * 100)
    assert connection.closed.is_set()
    await socket.finished()
    assert "hub.connection_dropped" in kept_log.events()
    assert made.hubs[0].goodbye.done()


async def test_write_that_hangs_ends_the_connection(hub_app, connect, made) -> None:
    settings = HubAppSettings(tick_s=0.005, session=SessionSettings(send_timeout_s=0.05, close_timeout_s=0.05))
    socket = await connect(hub_app({"echo": made}, settings=settings), "/hubs/echo").open()
    await socket.message()
    socket.can_write.clear()
    made.hubs[0].connection.send("Audio", "x")
    await socket.finished()
    assert made.hubs[0].goodbye.result() == "The client reads too slowly."


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


TICKING = HubAppSettings(tick_s=0.001, connection=ConnectionSettings())


async def test_quiet_connection_gets_pings(hub_app, connect, made) -> None:
    clock = Clock()
    socket = await connect(hub_app({"echo": made}, settings=TICKING, clock=clock), "/hubs/echo").open()
    await socket.message()
    clock.now = 15.0
    assert await socket.message() == {"type": 6}


async def test_silent_client_is_closed_and_may_come_back(hub_app, connect, made) -> None:
    clock = Clock()
    socket = await connect(hub_app({"echo": made}, settings=TICKING, clock=clock), "/hubs/echo").open()
    await socket.message()
    socket.send({"type": 6})
    socket.invoke("Echo", "x")
    await socket.message()
    clock.now = 30.0
    message, _ = await closing(socket)
    assert (message["type"], message["allowReconnect"]) == (7, True)


async def test_client_without_handshake_is_closed(hub_app, connect, made) -> None:
    clock = Clock()
    socket = connect(hub_app({"echo": made}, settings=TICKING, clock=clock), "/hubs/echo")
    await socket.raw()
    clock.now = 15.0
    assert (await closing(socket))[0] == {"error": "Handshake was canceled."}


async def test_drain_closes_with_reconnect_and_refuses_newcomers(hub_app, connect, http, made) -> None:
    app = hub_app({"echo": made})
    sockets = [await connect(app, "/hubs/echo").open() for _ in range(3)]
    for socket in sockets:
        await socket.message()
    await app.drain()
    for socket in sockets:
        assert (await closing(socket))[0] == {"type": 7, "allowReconnect": True}
    assert app.connection_count == 0
    assert (await http(app, "POST", "/hubs/echo/negotiate")).status == 503
    assert (await connect(app, "/hubs/echo").raw())["status"] == 503


async def test_process_is_bounded(hub_app, connect) -> None:
    app = hub_app({"echo": Echo}, settings=HubAppSettings(max_connections=1))
    await connect(app, "/hubs/echo").open()
    assert (await connect(app, "/hubs/echo").raw())["status"] == 503


async def test_cancelled_server_task_still_tells_the_hub(opened, made) -> None:
    opened.task.cancel()
    await asyncio.wait({opened.task})
    assert made.hubs[0].goodbye.done()


async def test_connections_leave_nothing_behind(hub_app, connect) -> None:
    app = hub_app({"echo": Echo}, settings=HubAppSettings(tick_s=0.001))
    before = asyncio.all_tasks()
    for code in (1000, 1006):
        socket = await connect(app, "/hubs/echo").open()
        socket.drop(code)
        await socket.finished()
    async with asyncio.timeout(5):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left)
    assert app.connection_count == 0


# Router


async def test_router_sends_the_prefix_to_the_hubs_and_the_rest_to_the_application(hub_app, http) -> None:
    async def application(scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    app = router(application, hub_app({"echo": Echo, "/live": Echo}))
    assert (await http(app, "POST", "/hubs/echo/negotiate")).status == 200
    assert (await http(app, "POST", "/HUBS/echo/negotiate")).status == 200
    for path in ("/", "/api/v1/agents", "/hubsx", "/hubs-old/echo"):
        assert (await http(app, "GET", path)).status == 299

"""Two processes behind one address: requests that reach the wrong one are passed on. In memory."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from voisnap_signalr import (
    Hub,
    HubApp,
    HubRequest,
    MemoryConnectionTokens,
    RelayedRequest,
    RelayedResponse,
    RelayError,
    Unauthorized,
    hub_method,
)
from voisnap_signalr.relay import answer_relayed

pytestmark = pytest.mark.unit

RS = "\x1e"
HANDSHAKE = b'{"protocol":"json","version":1}\x1e'
EVENT_STREAM = {"accept": "text/event-stream"}


class Echo(Hub):
    goodbyes: asyncio.Queue[str | None]

    async def on_disconnected(self, error: str | None) -> None:
        self.goodbyes.put_nowait(error)

    @hub_method("Echo")
    async def echo(self, text: str) -> str:
        return f"{text} {self.connection.request.client}"


class Wiring:
    """A relay that calls the other processes directly, through the bytes that a bus would carry."""

    def __init__(self) -> None:
        self.apps: dict[str, HubApp] = {}
        self.forwarded: list[tuple[str, str]] = []
        self.breaks_after: int | None = None

    async def forward(self, node: str, request: RelayedRequest) -> RelayedResponse:
        self.forwarded.append((node, request.method))
        if node not in self.apps:
            raise RelayError(node)
        request = msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=RelayedRequest)
        response = await self.apps[node].serve_relayed(request)
        return msgspec.structs.replace(response, body=self._parts(response))

    async def _parts(self, response: RelayedResponse) -> AsyncGenerator[bytes, None]:
        try:
            count = 0
            async for part in response.body:
                if self.breaks_after is not None and count >= self.breaks_after:
                    raise RelayError("broke off")
                count += 1
                yield part
        finally:
            await response.body.aclose()


async def admit(request: HubRequest) -> str:
    if request.access_token == "evil":
        raise Unauthorized
    return "user"


@pytest.fixture
def wiring() -> Wiring:
    Echo.goodbyes = asyncio.Queue()
    return Wiring()


@pytest.fixture
def apps(hub_app, wiring) -> tuple[HubApp, HubApp]:
    tokens = MemoryConnectionTokens(clock=lambda: asyncio.get_running_loop().time())
    for node in ("a", "b"):
        wiring.apps[node] = hub_app({"echo": Echo}, authenticate=admit, node=node, relay=wiring, tokens=tokens)
    return wiring.apps["a"], wiring.apps["b"]


def echo(text: str) -> bytes:
    return msgspec.json.encode({"type": 1, "target": "Echo", "arguments": [text], "invocationId": "1"}) + b"\x1e"


def messages(body: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record) for record in body.decode().split(RS)[:-1]]


async def negotiated(http, app: HubApp) -> str:
    return f"id={(await http(app, 'POST', '/hubs/echo/negotiate', 'negotiateVersion=1')).json()['connectionToken']}"


async def test_polls_posts_and_the_delete_may_reach_any_process(apps, wiring, http) -> None:
    here, there = apps
    query = await negotiated(http, here)
    assert (await http(there, "POST", "/hubs/echo", query, body=HANDSHAKE)).status == 200
    first = await http(there, "GET", "/Hubs/Echo", query)
    assert (first.status, first.body, first.headers["content-length"]) == (200, b"", "0")
    assert messages((await http(here, "GET", "/hubs/echo", query)).body) == [{}]
    await http(here, "POST", "/hubs/echo", query, body=echo("hello"))
    answer = await http(there, "GET", "/hubs/echo", query)
    assert (answer.status, messages(answer.body)[0]["result"]) == (200, "hello 192.0.2.7")
    assert (await http(there, "DELETE", "/hubs/echo", query)).status == 202
    assert wiring.forwarded == [("a", "POST"), ("a", "GET"), ("a", "GET"), ("a", "DELETE")]
    assert await asyncio.wait_for(Echo.goodbyes.get(), 5) is None


async def test_event_stream_is_passed_on_as_it_comes(apps, http, exchange) -> None:
    here, there = apps
    query = await negotiated(http, here)
    stream = exchange(there, "GET", "/hubs/echo", query, EVENT_STREAM)
    assert (await stream.begun()).headers["content-type"] == "text/event-stream"
    assert (await stream.raw())["body"] == b":\r\n"
    await http(here, "POST", "/hubs/echo", query, body=HANDSHAKE)
    assert (await stream.raw())["body"] == b"data: {}\x1e\r\n\r\n"
    await http(there, "POST", "/hubs/echo", query, body=echo("hello"))
    assert b"hello" in (await stream.raw())["body"]
    stream.drop()
    await stream.task
    assert await asyncio.wait_for(Echo.goodbyes.get(), 5) is not None


async def test_poll_that_the_client_left_ends_over_there_too(apps, http, exchange) -> None:
    here, there = apps
    query = await negotiated(http, here)
    await http(there, "GET", "/hubs/echo", query)
    left = exchange(there, "GET", "/hubs/echo", query)
    await asyncio.sleep(0.01)
    left.drop()
    await left.task
    await http(there, "POST", "/hubs/echo", query, body=HANDSHAKE)
    assert messages((await http(there, "GET", "/hubs/echo", query)).body) == [{}]


async def test_process_that_is_gone_is_404(apps, wiring, http) -> None:
    here, there = apps
    query = await negotiated(http, here)
    del wiring.apps["a"]
    for method in ("GET", "POST", "DELETE"):
        assert (await http(there, method, "/hubs/echo", query)).status == 404


@pytest.mark.parametrize("breaks_after", [0, 1])
async def test_stream_whose_process_dies_ends(apps, wiring, http, exchange, breaks_after) -> None:
    here, there = apps
    query = await negotiated(http, here)
    wiring.breaks_after = breaks_after
    stream = exchange(there, "GET", "/hubs/echo", query, EVENT_STREAM)
    assert (await stream.begun()).status == 200
    await http(here, "POST", "/hubs/echo", query, body=HANDSHAKE)
    while (part := await stream.raw()).get("more_body"):
        assert part["body"] == b":\r\n"
    await stream.task


async def test_poll_whose_process_dies_is_404(apps, wiring, http) -> None:
    here, there = apps
    query = await negotiated(http, here)
    await http(there, "GET", "/hubs/echo", query)
    await http(there, "POST", "/hubs/echo", query, body=HANDSHAKE)
    wiring.breaks_after = 0
    assert (await http(there, "GET", "/hubs/echo", query)).status == 404


async def test_only_admitted_requests_are_passed_on(apps, wiring, http) -> None:
    here, there = apps
    query = await negotiated(http, here)
    assert (await http(there, "GET", "/hubs/echo", f"{query}&access_token=evil")).status == 401
    assert (await http(there, "GET", "/hubs/echo", query, {"origin": "https://evil.example"})).status == 403
    assert (await http(there, "GET", "/hubs/echo", "id=../x.y")).status == 404
    assert wiring.forwarded == []


async def test_relayed_request_goes_no_further(apps, wiring, http) -> None:
    _, there = apps
    request = RelayedRequest(
        method="GET", path="/hubs/echo", query="id=a.unknown", headers=(), client=None, scheme="http"
    )
    response = await there.serve_relayed(request)
    await response.body.aclose()
    assert (response.status, wiring.forwarded) == (404, [])


async def test_answer_to_somebody_who_has_gone_is_dropped() -> None:
    ends: list[BaseException | None] = []

    async def answers_at_the_last_moment(scope, receive, send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"too late"})
        except BaseException as error:
            ends.append(error)
        else:
            ends.append(None)

    request = RelayedRequest(method="GET", path="/", query="", headers=(), client=None, scheme="http")
    asking = asyncio.create_task(answer_relayed(answers_at_the_last_moment, request))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert ends == [None]


async def test_without_a_relay_a_foreign_connection_is_unknown(hub_app, http) -> None:
    tokens = MemoryConnectionTokens(clock=lambda: 0.0)
    here, there = (hub_app({"echo": Echo}, node=node, tokens=tokens) for node in ("a", "b"))
    query = await negotiated(http, here)
    assert (await http(there, "GET", "/hubs/echo", query)).status == 404
    assert (await http(here, "GET", "/hubs/echo", query)).status == 200


async def test_socket_opens_on_any_process(apps, wiring, http, connect) -> None:
    here, there = apps
    query = await negotiated(http, here)
    socket = await connect(there, "/hubs/echo", query).open()
    socket.invoke("Echo", "hello")
    assert (await socket.message())["result"] == "hello 192.0.2.7"
    assert wiring.forwarded == []


@pytest.mark.parametrize("node", ["a.b", "a b", "a" * 65, "é"])
def test_node_that_would_not_fit_a_token_is_refused(hub_app, node) -> None:
    with pytest.raises(ValueError, match="A node is called"):
        hub_app({"echo": Echo}, node=node)

"""Real clients against a real server: the official one under Node, and the Python one that customers are told of."""

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from signalrcore.hub_connection_builder import HubConnectionBuilder
from voisnap_signalr import (
    ConnectionSettings,
    Hub,
    HubApp,
    HubAppSettings,
    HubError,
    HubRequest,
    Unauthorized,
    hub_method,
)

pytestmark = pytest.mark.hub

NODE_MODULES = Path(__file__).parents[3] / "tests-e2e" / "node_modules"
OFFICIAL_CLIENT = Path(__file__).parent / "js" / "official_client.cjs"


class Point(msgspec.Struct, rename="camel"):
    x_axis: int
    y_axis: int


class Echo(Hub):
    async def on_connected(self) -> None:
        self.connection.send("Welcome", self.connection.user, self.connection.id)

    @hub_method("Echo")
    async def echo(self, text: str) -> str:
        return text

    @hub_method("MovePointAsync")
    async def move(self, point: Point) -> Point:
        return Point(point.x_axis + 1, point.y_axis)

    @hub_method("Note")
    async def note(self, value: Any) -> None:
        self.connection.send("Noted", value)

    @hub_method("Refuse")
    async def refuse(self) -> None:
        raise HubError("not today")

    @hub_method("Break")
    async def broken(self) -> None:
        raise RuntimeError("secret detail")

    @hub_method("LeaveAsync")
    async def leave(self, reconnect: bool) -> str:
        await self.connection.close("bye", reconnect)
        return "left"


async def authenticate(request: HubRequest) -> str:
    if request.access_token != "good":
        raise Unauthorized("bad token")
    return "user_1"


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """A uvicorn with the settings of production, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    # Quick pings: signalrcore's stop() waits until something arrives.
    settings = HubAppSettings(connection=ConnectionSettings(keep_alive_s=0.2), tick_s=0.1)
    app = HubApp({"echo": Echo}, authenticate=authenticate, settings=settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            lifespan="on",
        )
    )
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    async with asyncio.timeout(10):
        await serving
    listener.close()


async def test_official_client_under_node(origin) -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed for this test"
    assert (NODE_MODULES / "@microsoft").is_dir(), "run 'npm ci' in tests-e2e first"
    process = await asyncio.create_subprocess_exec(
        node,
        str(OFFICIAL_CLIENT),
        f"{origin}/hubs/echo",
        "good",
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    seen = msgspec.json.decode(output)
    talk = {
        "welcome": "user_1",
        "echo": "hé “quoted”   ok",
        "caseless": "x",
        "point": {"xAxis": 2, "yAxis": 2},
        "isVoid": True,
        "noted": [[1, None, {"a": "b"}]],
        "refused": "An unexpected error occurred invoking 'Refuse' on the server. HubException: not today",
        "broken": "An unexpected error occurred invoking 'Break' on the server.",
        "unknown": "Unknown hub method 'Nothing'",
        "badArguments": "Failed to invoke 'Echo' due to an error on the server.",
        "stream": "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
        "many": True,
        "state": "Disconnected",
    }
    # Without negotiation the client never learns its id.
    assert seen["negotiated"] == talk | {"idMatches": True}
    assert seen["direct"] == talk | {"idMatches": False}
    assert seen["closedForGood"] == {"answer": "left", "end": "Server returned an error on close: bye"}
    assert seen["closedToReconnect"] == {"answer": "left", "end": "reconnected"}
    assert "maximum message size of 32768B" in seen["tooLarge"]
    assert "Status code '401'" in seen["unauthorized"]
    assert "404" in seen["noSuchHub"]
    assert seen["longPolling"] is None


async def test_signalrcore_client(origin) -> None:
    """It negotiates version 0, shakes hands with version 0 and puts its headers into every invocation."""

    def talk() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        opened, answered, noted, failed = (threading.Event() for _ in range(4))
        connection = (
            HubConnectionBuilder()
            .with_url(
                f"{origin}/hubs/echo".replace("http", "ws"),
                options={"access_token_factory": lambda: "good", "headers": {}},
            )
            .build()
        )
        connection.on("Welcome", lambda arguments: (seen.update(welcome=arguments[0]), opened.set()))
        connection.on("Noted", lambda arguments: (seen.update(noted=arguments), noted.set()))
        connection.start()
        assert opened.wait(10)
        connection.send("Echo", ["hello"], lambda done: (seen.update(echo=done.result), answered.set()))
        assert answered.wait(10)
        connection.send("Note", [{"a": 1}])
        assert noted.wait(10)
        connection.on_error(lambda done: (seen.update(error=done.error), failed.set()))
        connection.send("Refuse", [])
        assert failed.wait(10)
        connection.stop()
        return seen

    async with asyncio.timeout(45):
        seen = await asyncio.to_thread(talk)
    assert seen == {
        "welcome": "user_1",
        "echo": "hello",
        "noted": [{"a": 1}],
        "error": "An unexpected error occurred invoking 'Refuse' on the server. HubException: not today",
    }

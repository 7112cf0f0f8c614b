"""The official client over Server-Sent Events and long polling, its requests going to two processes in turn."""

import asyncio
import itertools
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from voisnap_domain.ids import NodeId
from voisnap_kit.bus import Bus
from voisnap_kit.redis import Redis
from voisnap_runtime.hubs.connection_tokens import RedisConnectionTokens
from voisnap_runtime.hubs.relay import BusRelay
from voisnap_signalr import Hub, HubApp, HubRequest, RelayedRequest, RelayedResponse, hub_method

pytestmark = pytest.mark.hub

NODE_MODULES = Path(__file__).parents[3] / "tests-e2e" / "node_modules"
CLIENT = Path(__file__).parent / "js" / "relayed.cjs"


class Counter(Hub):
    @hub_method("Echo")
    async def echo(self, text: str) -> str:
        return text

    @hub_method("CountTo")
    async def count(self, last: int) -> None:
        for number in range(1, last + 1):
            self.connection.send("Counted", number, "x" * 1_000)


class Process:
    """What one runtime process has of this: its hubs, its own connection to the bus, its relay."""

    def __init__(self, bus: Bus, redis: Redis, name: str) -> None:
        self.name = name
        self.bus = bus
        self.relay = BusRelay(bus, NodeId(name))
        self.answered_for_others = 0
        self.requests: set[asyncio.Task[Any]] = set()
        self.hubs = HubApp(
            {"counter": Counter},
            authenticate=_admit,
            tokens=RedisConnectionTokens(redis),
            node=name,
            relay=self.relay,
        )

    async def serve(self, request: RelayedRequest) -> RelayedResponse:
        self.answered_for_others += 1
        return await self.hubs.serve_relayed(request)

    async def die(self) -> None:
        """Vanish without a word, as with SIGKILL."""
        await self.bus._client.close()
        for request in tuple(self.requests):
            request.cancel()


async def _admit(_: HubRequest) -> str:
    return "user"


class Edge:
    """A load balancer that sends each request to the next of the processes that live."""

    def __init__(self, processes: list[Process]) -> None:
        self.processes = processes
        self._turn = itertools.count()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.processes[0].hubs(scope, receive, send)
            return
        process = self.processes[next(self._turn) % len(self.processes)]
        request = asyncio.current_task()
        assert request is not None
        process.requests.add(request)
        request.add_done_callback(process.requests.discard)
        await process.hubs(scope, receive, send)


@pytest.fixture
async def processes(nats_url: str, redis_url: str) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(await Redis.open(redis_url))
        made: list[Process] = []
        for name in ("runtime_a", "runtime_b", "runtime_c"):
            bus = await stack.enter_async_context(await Bus.connect(nats_url, name, ensure=False))
            process = Process(bus, redis, name)
            await process.relay.listen(process.serve)
            stack.push_async_callback(process.relay.close)
            made.append(process)
        yield made


async def test_official_client_is_served_by_all_processes_and_survives_the_death_of_its_own(
    processes: list[Process],
) -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed for this test"
    edge = Edge(list(processes))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(edge, log_config=None, access_log=False, lifespan="on"))
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    client = await asyncio.create_subprocess_exec(
        node,
        str(CLIENT),
        f"http://127.0.0.1:{listener.getsockname()[1]}/hubs/counter",
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert client.stdout is not None
    assert client.stderr is not None
    try:
        async with asyncio.timeout(40):
            for transport in ("ServerSentEvents", "LongPolling"):
                line = await client.stdout.readline()
                assert line.decode().strip() == f"ready {transport}", await client.stderr.read()
                # Whoever answered the most for others holds the connection.
                owner = max(edge.processes, key=lambda process: process.answered_for_others)
                assert owner.answered_for_others >= 8
                edge.processes.remove(owner)
                await owner.die()
                for process in edge.processes:
                    process.answered_for_others = 0
            seen = msgspec.json.decode(await client.stdout.read())
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
        server.should_exit = True
        async with asyncio.timeout(10):
            await serving
        listener.close()
    expected = {"echoes": 20, "pushed": list(range(1, 41)), "after": "after", "state": "Disconnected"}
    assert seen == {"ServerSentEvents": expected, "LongPolling": expected}
    assert all(len(process.relay) == 0 for process in edge.processes)

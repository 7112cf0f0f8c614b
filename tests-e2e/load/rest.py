"""Requests a second of the API, against the same endpoints written with FastAPI, SQLAlchemy and pydantic.

    .venv/bin/python tests-e2e/load/rest.py [--full] [--rounds 3] [--seconds 3] [--connections 16] [--only read,list,create] [--json]

Each server is one process on core 0, by turns; PostgreSQL (the same for all), Valkey, NATS and the callers share core 1. Of the API
everything is on that is on in production: credentials, row-level security, rate limits (counted, with limits nobody reaches), request ids,
metrics, outbox and its relay. The peer stands twice: `fastapi` has none of that but the credentials, `guarded` has the tenant in the
database's session, rate limits, request ids and metrics too. `--full` adds the list of conversations over a million of them, which a folder
of their own keeps. Fails when the API answers less than three times as many requests a second as the bare peer, or when their answers
differ in shape.
"""

import argparse
import asyncio
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import conversations_list
import httpx
import msgspec
import psycopg
import uvloop
from peer_process import PeerMissing, installed
from voisnap_kit.postgres import Database
from voisnap_kit.tokens import generate_private_key
from voisnap_stack.database import prepare
from voisnap_stack.home import home_folder
from voisnap_stack.servers import EmbeddedServers
from voisnap_testkit.platform import free_port

TARGET = 3.0
SERVER_CORE, OTHER_CORE = 0, 1
AGENTS, PAGE = 200, 50
PASSWORD = conversations_list.PASSWORD
TENANT = conversations_list.TENANT
SHAPE_OF_OURS_ALONE = {"nextCursor"}
BODY: dict[str, Any] = {
    "name": "Aria – Support Agent",
    "persona": {"name": "Aria", "personality": "friendly, professional"},
    "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
    "llm": {"provider": "openai", "model": "gpt-4o", "temperature": 0.7, "maxTokens": 300},
    "transcription": {"provider": "deepgram", "model": "nova-2", "language": "en-US"},
    "systemPromptTemplate": "You are Aria, a support agent for Acme Corp. " * 12,
    "firstMessage": "Hello! How can I help you today?",
    "firstMessageMode": "assistant_speaks_first",
    "endCallPhrases": ["goodbye", "bye", "that's all"],
    "maxDurationSeconds": 600,
    "tags": ["support", "tier-1"],
}
"""The documentation's agent, with a prompt of the usual length."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A running server: `key` is of the tenant that lists are read of, `writing_key` of another place."""

    name: str
    port: int
    pid: int
    key: str
    writing_key: str

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """One request by hand. Raises when it fails."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False) as http:
            headers = {"Authorization": f"Bearer {key or self.key}"}
            answer = await http.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one server did in one round: times in ms, shares of one core."""

    requests: int
    seconds: float
    times: list[float]
    server_cpu: float
    client_cpu: float

    @property
    def rps(self) -> float:
        return self.requests / self.seconds


class Connection(asyncio.Protocol):
    """One caller: sends a request, reads its answer to the end, sends the next one, until told to stop. No HTTP library, so that the callers
    are not what is measured."""

    def __init__(self, requests: Sequence[bytes], expected: int, times: list[float]) -> None:
        self._requests = requests
        self._expected = b"HTTP/1.1 %d " % expected
        self._times = times
        self._next = id(self) // 64 % len(requests)
        self._received = bytearray()
        self._wanted = 0
        self._began = 0.0
        self._transport: Any = None
        self.is_stopping = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._wanted:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[: end + 2])
            if not head.startswith(self._expected):
                self._fail(f"unexpected answer: {bytes(self._received[:600])!r}")
                return
            place = head.lower().find(b"content-length:")
            if place < 0:
                self._fail(f"an answer without a length: {head!r}")
                return
            self._wanted = end + 4 + int(head[place + 15 : head.index(b"\r\n", place)])
        if len(self._received) >= self._wanted:
            self._times.append((time.perf_counter() - self._began) * 1000)
            self._received.clear()
            self._wanted = 0
            if self.is_stopping:
                self._transport.close()
            else:
                self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            if self.is_stopping:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._next = (self._next + 1) % len(self._requests)
        self._began = time.perf_counter()
        self._transport.write(self._requests[self._next])

    def _fail(self, text: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(text))
        self._transport.close()


def load(server: Server, requests: Sequence[bytes], expected: int, *, connections: int, seconds: float) -> Round:
    """Ask a server for so many seconds, on an event loop of its own, which is quicker than the one that can start servers."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asked(server, requests, expected, connections=connections, seconds=seconds))


async def asked(server: Server, requests: Sequence[bytes], expected: int, *, connections: int, seconds: float) -> Round:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    callers = [Connection(requests, expected, times) for _ in range(connections)]
    await asyncio.gather(
        *(loop.create_connection(lambda one=one: one, "127.0.0.1", server.port) for one in callers)  # type: ignore[arg-type]
    )
    await asyncio.sleep(min(1.0, seconds / 3))  # warm
    cpu, own, already, began = cpu_seconds(server.pid), time.process_time(), len(times), time.perf_counter()
    ended = [one.ended for one in callers]
    await asyncio.wait(ended, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    taken = time.perf_counter() - began
    counted = times[already:]
    use, own = cpu_seconds(server.pid) - cpu, time.process_time() - own
    for one in callers:
        one.is_stopping = True
    async with asyncio.timeout(60):
        await asyncio.gather(*ended)
    return Round(requests=len(counted), seconds=taken, times=counted, server_cpu=use / taken, client_cpu=own / taken)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def request(server: Server, method: str, path: str, body: Any = None, *, key: str | None = None) -> bytes:
    """The bytes of a request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: load",
        "Accept: */*",
        f"Authorization: Bearer {key or server.key}",
    ]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


@asynccontextmanager
async def process(command: Sequence[str | Path], environ: Mapping[str, str], ready: str) -> AsyncGenerator[int]:
    """A server on its core until the block ends; its process id."""
    with tempfile.TemporaryFile() as log:
        started = await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )
        try:
            async with asyncio.timeout(60), httpx.AsyncClient(timeout=2, trust_env=False) as http:
                while True:
                    if started.returncode is not None:
                        log.seek(0)
                        raise RuntimeError(f"{command} ended: {log.read().decode(errors='replace')[-3000:]}")
                    try:
                        if (await http.get(ready)).status_code == 200:
                            break
                    except httpx.HTTPError:
                        pass
                    await asyncio.sleep(0.1)
            yield started.pid
        finally:
            if started.returncode is None:
                started.send_signal(signal.SIGTERM)
                try:
                    async with asyncio.timeout(8):
                        await started.wait()
                except TimeoutError:
                    started.kill()
                    await started.wait()


@asynccontextmanager
async def all_three(*, with_conversations: bool) -> AsyncGenerator[tuple[Server, ...]]:
    """The API and its two peers on the same database."""
    python = await asyncio.to_thread(installed, "fastapi")
    os.sched_setaffinity(0, {OTHER_CORE})
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voisnap-rest-")))
        home = home_folder().root / "load" / ("conversations" if with_conversations else "rest")
        servers = await stack.enter_async_context(EmbeddedServers.start(home, fsync=False))
        owner = servers.database_url.rpartition("/")[0] + "/voisnap"
        await prepare(owner, {"voisnap_api": PASSWORD, "voisnap_admin": PASSWORD}, (servers.database_url, "voisnap"))
        role = servers.database_url_for("voisnap_api", PASSWORD, "voisnap")
        if with_conversations:
            await asyncio.to_thread(conversations_list.fill, owner, 1_000_000)
            async with await Database.open(role, max_size=4) as database:
                await conversations_list.build(database)
        await asyncio.to_thread(_emptied, owner)
        (folder / "jwt.pem").write_bytes(generate_private_key())
        (folder / "blobs").mkdir()
        ours = free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": role,
            "REDIS_URL": servers.redis_url,
            "NATS_URL": servers.nats_url,
            "PUBLIC_URL": f"http://127.0.0.1:{ours}",
            "BLOBS_URL": f"file://{folder}/blobs",
            "BLOBS_SIGNING_KEY": "k" * 40,
            "JWT_PRIVATE_KEY_FILE": str(folder / "jwt.pem"),
            "RATE_LIMIT_FACTOR": "1000000",
            "HTTP_PORT": str(ours),
            "LOG_LEVEL": "warning",
        }
        seed = {"tenantId": TENANT, "email": "load@example.com", "password": "a long load password"}
        seeded = json.loads(
            await asyncio.to_thread(
                subprocess.check_output,
                [sys.executable, "-m", "voisnap_api", "seed-demo", "--json", "-"],
                env=environ,
                input=json.dumps(seed).encode(),
            )
        )
        keys = await asyncio.to_thread(_twin, owner, python)
        profiled = os.environ.get("REST_PROFILE", "").split()
        our_pid = await stack.enter_async_context(
            process([*profiled, sys.executable, "-m", "voisnap_api"], environ, f"http://127.0.0.1:{ours}/readyz")
        )
        twin_url = owner.replace("postgresql://", "postgresql+asyncpg://")
        peers = []
        for name, arguments in (("fastapi", ()), ("guarded", (servers.redis_url,))):
            port = free_port()
            command = [python, Path(__file__).parent / "peers" / "fastapi_server.py", str(port), twin_url, *arguments]
            pid = await stack.enter_async_context(
                process(command, {"PATH": os.environ["PATH"]}, f"http://127.0.0.1:{port}/ready")
            )
            peers.append(Server(name=name, port=port, pid=pid, key=keys[0], writing_key=keys[1]))
        platform = Server(
            name="voisnap",
            port=ours,
            pid=our_pid,
            key=seeded["apiKeyLive"],
            writing_key=seeded["apiKeySandbox"],
        )
        yield platform, *peers


def _emptied(owner_url: str) -> None:
    with psycopg.connect(owner_url, options="-c search_path=api,public") as connection:
        connection.execute("TRUNCATE agents, agent_versions, outbox CASCADE")


def _twin(owner_url: str, python: Path) -> tuple[str, str]:
    """The peer's tables, made by itself, and two keys."""
    with psycopg.connect(owner_url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS twin CASCADE")
        connection.execute("CREATE SCHEMA twin")
    make = (
        "import sys, asyncio; sys.path.insert(0, sys.argv[1]); import fastapi_server as twin\n"
        "async def make():\n"
        "    engine = twin.create_async_engine(sys.argv[2])\n"
        "    async with engine.begin() as tx:\n"
        "        own = [table for table in twin.Base.metadata.sorted_tables if table.schema == 'twin']\n"
        "        await tx.run_sync(lambda sync: twin.Base.metadata.create_all(sync, tables=own))\n"
        "asyncio.run(make())"
    )
    url = owner_url.replace("postgresql://", "postgresql+asyncpg://")
    subprocess.run([python, "-c", make, Path(__file__).parent / "peers", url], check=True, timeout=60)
    keys = ("twin-key-that-reads-" + "r" * 32, "twin-key-that-writes-" + "w" * 32)
    scopes = ["agents:read", "agents:write", "conversations:read"]
    with psycopg.connect(owner_url) as connection:
        for number, key in enumerate(keys):
            connection.execute(
                "INSERT INTO twin.api_keys (id, key_hash, tenant_id, scopes) VALUES (%s, %s, %s, %s)",
                (f"key_{number}", hashlib.sha256(key.encode()).digest(), f"ten_{number}", scopes),
            )
    return keys


async def fill_agents(server: Server) -> list[str]:
    """Ids of the agents that are read; both peers have the same."""
    first = (await server.call("GET", "/api/v1/agents?pageSize=1"))["total"]
    for number in range(first, AGENTS):
        await server.call("POST", "/api/v1/agents", BODY | {"name": f"Agent {number}"})
    pages = [await server.call("GET", f"/api/v1/agents?pageSize=100&page={page}") for page in (1, 2)]
    return [agent["id"] for page in pages for agent in page["data"]]


def shape(value: Any) -> Any:
    """Names of members, all the way down; of a list, of its first item. Free objects count as one."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items() if name not in SHAPE_OF_OURS_ALONE}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row an endpoint and server."""
    async with all_three(with_conversations=options.full) as servers:
        plans: dict[str, dict[str, list[bytes]]] = {}
        for server in servers:
            ids = await fill_agents(server)
            plan = {
                "read": [request(server, "GET", f"/api/v1/agents/{id}") for id in ids],
                "list": [request(server, "GET", f"/api/v1/agents?pageSize={PAGE}")],
                "create": [request(server, "POST", "/api/v1/agents", BODY, key=server.writing_key)],
            }
            if options.full:
                plan["conversations"] = [request(server, "GET", f"/api/v1/conversations?pageSize={PAGE}")]
            plans[server.name] = {name: plan[name] for name in plan if not options.only or name in options.only}
        differing = [
            path
            for path in (f"/api/v1/agents?pageSize={PAGE}",)
            if shape(await servers[0].call("GET", path)) != shape(await servers[1].call("GET", path))
        ]
        if differing:
            raise RuntimeError(f"the answers differ in shape: {differing}")
        table = []
        for name in plans[servers[0].name]:
            rounds: dict[str, list[Round]] = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    if options.alone and server is not servers[0]:
                        continue
                    rounds[server.name].append(
                        await asyncio.to_thread(
                            load,
                            server,
                            plans[server.name][name],
                            201 if name == "create" else 200,
                            connections=options.connections,
                            seconds=options.seconds,
                        )
                    )
            table += [row(name, server.name, rounds[server.name]) for server in servers if rounds[server.name]]
        return table


def row(endpoint: str, server: str, rounds: list[Round]) -> dict[str, Any]:
    times = [one for each in rounds for one in each.times]
    return {
        "endpoint": endpoint,
        "server": server,
        "rps": round(statistics.median(each.rps for each in rounds), 1),
        "p50_ms": round(percentile(times, 0.5), 2),
        "p95_ms": round(percentile(times, 0.95), 2),
        "p99_ms": round(percentile(times, 0.99), 2),
        "server_cpu": round(statistics.median(each.server_cpu for each in rounds), 2),
        "client_cpu": round(statistics.median(each.client_cpu for each in rounds), 2),
    }


NAMES = {
    "read": "GET /agents/{id}",
    "list": f"GET /agents?pageSize={PAGE} of {AGENTS}",
    "create": "POST /agents",
    "conversations": f"GET /conversations?pageSize={PAGE} of 1,000,000",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--alone", action="store_true", help="without the peer")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        print("this needs two cores", file=sys.stderr)
        return 2
    try:
        table = asyncio.run(measure(options))
    except PeerMissing as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(table, indent=1))
    ours = {one["endpoint"]: one["rps"] for one in table if one["server"] == "voisnap"}
    fell_short = False
    if not options.json:
        print(
            f"{'':44} {'rps':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'server':>7} {'callers':>7} {'ours is':>8}"
        )
    for one in table:
        ratio = None if one["server"] == "voisnap" else ours[one["endpoint"]] / one["rps"]
        fell_short = fell_short or (one["server"] == "fastapi" and ratio is not None and ratio < TARGET)
        if not options.json:
            print(
                f"{NAMES[one['endpoint']] + ', ' + one['server']:44} {one['rps']:>7} {one['p50_ms']:>8} {one['p95_ms']:>8}"
                f" {one['p99_ms']:>8} {one['server_cpu']:>7.0%} {one['client_cpu']:>7.0%}"
                f" {'' if ratio is None else f'{ratio:.2f} x':>8}"
            )
    return 1 if fell_short else 0


if __name__ == "__main__":
    sys.exit(main())

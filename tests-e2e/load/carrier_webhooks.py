"""How long a carrier waits for the answer to a call: the voice webhook, signed, on real PostgreSQL, Valkey and NATS.

    .venv/bin/python tests-e2e/load/carrier_webhooks.py [--calls 400] [--rate 25] [--json]

The API is one process on core 0; its servers, the caller and a stand-in for the runtime, which opens every session at once, share core 1.
Every request is a call of its own, signed as the carrier signs it. `floor` is a route that says 200 and no more, asked as often and in the
same way; `one by one` waits for each answer, `paced` has so many calls a second begin whether or not others wait, `eight at once` shows
where it saturates. Fails when 95 of 100 paced calls take longer than 50 ms.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rest import BODY, OTHER_CORE, percentile, process
from voisnap_domain.ids import NodeId
from voisnap_kit.bus import Bus
from voisnap_kit.ids import new_id
from voisnap_kit.tokens import generate_private_key
from voisnap_proto import EVENTS
from voisnap_proto.requests import OPEN_SESSION, OpenSession, SessionOpened
from voisnap_stack.database import prepare
from voisnap_stack.home import home_folder
from voisnap_stack.servers import EmbeddedServers
from voisnap_testkit import twilio_carrier, vonage_carrier
from voisnap_testkit.platform import free_port
from voisnap_testkit.twilio_carrier import TwilioDesk
from voisnap_testkit.vonage_carrier import VonageDesk

TARGET_MS = 50.0
PUBLIC = "https://voice.example.com"
NUMBER, CALLER = "+4930901820", "+14155550100"
PASSWORD = "load"
TENANT = "ten_01JGKZ0000000000000000LOAD"
DESKS = {"twilio": TwilioDesk, "vonage": VonageDesk}
WARM = 60


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """A running API and the key of its tenant."""

    port: int
    key: str


async def opened(request: OpenSession) -> SessionOpened:
    """What a runtime says that has room."""
    return SessionOpened(
        session_id=request.plan.session_id,
        conversation_id=request.plan.conversation_id,
        session_token=new_id("wrtc_tok"),
        expires_at=datetime.now(UTC) + timedelta(seconds=60),
        ice_servers=(),
        node_id=NodeId("node_load"),
    )


@asynccontextmanager
async def running() -> AsyncGenerator[Api]:
    """The API with an agent that has a number at each carrier."""
    os.sched_setaffinity(0, {OTHER_CORE})
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voisnap-webhooks-")))
        home = home_folder().root / "load" / "webhooks"
        servers = await stack.enter_async_context(EmbeddedServers.start(home, fsync=False))
        owner = servers.database_url.rpartition("/")[0] + "/voisnap"
        await prepare(owner, {"voisnap_api": PASSWORD, "voisnap_admin": PASSWORD}, (servers.database_url, "voisnap"))
        (folder / "jwt.pem").write_bytes(generate_private_key())
        port = free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": servers.database_url_for("voisnap_api", PASSWORD, "voisnap"),
            "REDIS_URL": servers.redis_url,
            "NATS_URL": servers.nats_url,
            "PUBLIC_URL": PUBLIC,
            "BLOBS_URL": f"file://{folder}/blobs",
            "BLOBS_SIGNING_KEY": "k" * 40,
            "JWT_PRIVATE_KEY_FILE": str(folder / "jwt.pem"),
            "RATE_LIMIT_FACTOR": "1000000",
            "HTTP_PORT": str(port),
            "LOG_LEVEL": "warning",
            "TWILIO_ACCOUNT_SID": twilio_carrier.ACCOUNT,
            "TWILIO_AUTH_TOKEN": twilio_carrier.AUTH_TOKEN,
            "VONAGE_API_KEY": vonage_carrier.API_KEY,
            "VONAGE_API_SECRET": "s",
            "VONAGE_APPLICATION_ID": vonage_carrier.APPLICATION,
            "VONAGE_PRIVATE_KEY": generate_rsa_key(),
            "VONAGE_SIGNATURE_SECRET": vonage_carrier.SIGNATURE_SECRET,
        }
        (folder / "blobs").mkdir()
        seed = {"tenantId": TENANT, "email": "load@example.com", "password": "a long load password"}
        seeded = json.loads(
            await asyncio.to_thread(
                subprocess.check_output,
                [sys.executable, "-m", "voisnap_api", "seed-demo", "--json", "-"],
                env=environ,
                input=json.dumps(seed).encode(),
            )
        )
        bus = await stack.enter_async_context(await Bus.connect(servers.nats_url, "load", events=EVENTS))
        await bus.respond(OPEN_SESSION, "runtime", OpenSession, opened)
        command = [sys.executable, "-m", "voisnap_api"]
        await stack.enter_async_context(process(command, environ, f"http://127.0.0.1:{port}/readyz"))
        api = Api(port=port, key=seeded["apiKeyLive"])
        await asyncio.to_thread(give_numbers, owner, await add_agent(api))
        yield api


def generate_rsa_key() -> str:
    """An application's key at Vonage; nothing is signed with it here."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def add_agent(api: Api) -> str:
    headers = {"Authorization": f"Bearer {api.key}"}
    base = f"http://127.0.0.1:{api.port}/api/v1/agents"
    async with httpx.AsyncClient(timeout=30, trust_env=False, headers=headers) as http:
        created = (await http.post(base, json=BODY)).raise_for_status().json()
        (await http.post(f"{base}/{created['id']}/activate")).raise_for_status()
    return created["id"]


def give_numbers(owner_url: str, agent_id: str) -> None:
    with psycopg.connect(owner_url, options="-c search_path=api,public") as connection:
        connection.execute("TRUNCATE phone_numbers, carrier_calls, carrier_events CASCADE")
        for provider in DESKS:
            connection.execute(
                "INSERT INTO phone_numbers (id, tenant_id, environment, phone_number, provider, account, country, capabilities,"
                " agent_id, source, status, created_at, updated_at)"
                " VALUES (%s, %s, 'live', %s, %s, 'platform', 'DE', '{voice}', %s, 'purchase', 'active', now(), now())",
                (new_id("num"), TENANT, NUMBER, provider, agent_id),
            )


def call(provider: str, port: int) -> bytes:
    """The request of one new call, as it goes over the wire."""
    desk = DESKS[provider](url=f"{PUBLIC}/api/v1/carriers/{provider}/platform/voice")
    signed = desk.inbound(call_id=new_id("CA").replace("_", ""), caller=CALLER, callee=NUMBER, at=time.time())
    lines = [
        f"{signed.method} {urlsplit(signed.url).path} HTTP/1.1",
        f"host: 127.0.0.1:{port}",
        f"content-length: {len(signed.body)}",
        *(f"{name}: {value}" for name, value in signed.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + signed.body


def nothing(port: int) -> bytes:
    return f"GET /livez HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()


class Caller:
    """One connection of a carrier's."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> float:
        """How many ms the answer took. Raises for any but 200."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        taken = (time.perf_counter() - began) * 1000
        if b" 200 " not in lines[0] or (b"livez" not in request and b"media" not in body):
            raise RuntimeError(f"{lines[0]!r} {body[:500]!r}")
        return taken

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def in_turn(port: int, requests: Sequence[bytes], *, at_once: int = 1) -> list[float]:
    """Each caller waits for its answer before the next call."""
    waiting, times = iter(requests), list[float]()

    async def work() -> None:
        caller = Caller(port)
        for request in waiting:
            times.append(await caller.ask(request))
        caller.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return times


async def paced(port: int, requests: Sequence[bytes], rate: float) -> list[float]:
    """Calls begin at this rate, whether or not others wait."""
    idle, times = list[Caller](), list[float]()

    async def one(request: bytes) -> None:
        caller = idle.pop() if idle else Caller(port)
        times.append(await caller.ask(request))
        idle.append(caller)

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            group.create_task(one(request))
    for caller in idle:
        caller.close()
    return times


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a way of asking."""
    async with running() as api:
        port, count = api.port, options.calls
        found = {"first of a process": await in_turn(port, [call("twilio", port)])}
        await in_turn(port, [call(provider, port) for provider in DESKS for _ in range(WARM)], at_once=4)
        found["floor, paced"] = await paced(port, [nothing(port)] * count, options.rate)
        found["floor, one by one"] = await in_turn(port, [nothing(port)] * count)
        for provider in DESKS:
            requests = [call(provider, port) for _ in range(3 * count)]
            found[f"{provider}, one by one"] = await in_turn(port, requests[:count])
            found[f"{provider}, paced"] = await paced(port, requests[count : 2 * count], options.rate)
            found[f"{provider}, eight at once"] = await in_turn(port, requests[2 * count :], at_once=8)
        return [
            {
                "what": name,
                "calls": len(times),
                **{f"p{p}_ms": round(percentile(times, p / 100), 2) for p in (50, 95, 99)},
            }
            for name, times in found.items()
        ]


def main() -> int:
    """Measure, print, and say by the exit code whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=400, help="of each kind")
    parser.add_argument("--rate", type=float, default=25.0, help="calls a second where they are paced")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = asyncio.run(measure(options))
    if options.json:
        print(json.dumps(table, indent=2))
    else:
        for row in table:
            print(
                f"{row['what']:28} {row['calls']:6} calls  p50 {row['p50_ms']:7.2f}  p95 {row['p95_ms']:7.2f}  p99 {row['p99_ms']:7.2f} ms"
            )
    late = [row for row in table if row["what"].endswith(", paced") and row["p95_ms"] > TARGET_MS]
    for row in late:
        print(f"{row['what']}: p95 {row['p95_ms']} ms, beyond {TARGET_MS:g} ms", file=sys.stderr)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())

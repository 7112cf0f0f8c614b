"""The service as a process: migrate, seed, serve, answer, stop."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import get
from voisnap_kit.http import build_app
from voisnap_kit.serve import serve
from voisnap_kit.tokens import TokenSigner
from voisnap_testkit.databases import TestDatabase

pytestmark = pytest.mark.slice

SIGNER = TokenSigner.generate()


async def python(*arguments: str, environment: dict[str, str], stdin: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, error = await process.communicate(stdin)
    return process.returncode or 0, out.decode(), error.decode()


@asynccontextmanager
async def key_set_publisher() -> AsyncIterator[str]:
    """Serves a key set on a free port, in this process."""

    @get("/.well-known/jwks.json")
    async def jwks() -> dict[str, Any]:
        return SIGNER.jwks()

    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(build_app([jwks], service="keys", checks={}), "127.0.0.1", 0, on_ready=ready.set_result)
    )
    try:
        async with asyncio.timeout(5):
            port = await ready
        yield f"http://127.0.0.1:{port}/.well-known/jwks.json"
    finally:
        server.cancel()
        await asyncio.wait({server})


@asynccontextmanager
async def admin_process(
    database_url: str, nats_url: str, jwks_url: str, port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "voisnap_admin",
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "NATS_URL": nats_url,
            "REDIS_URL": "redis://127.0.0.1:1",
            "JWKS_URL": jwks_url,
            "PUBLIC_URL": "http://127.0.0.1:8080",
            "HTTP_PORT": str(port),
            "LOG_LEVEL": "WARNING",
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answered(http: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """Ask until the answer has the status; the test's time-out ends a vain wait."""
    async with asyncio.timeout(20):
        while True:
            try:
                response = await http.get(path)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if response.status_code == status:
                return response
            await asyncio.sleep(0.05)


async def test_settings_that_are_missing_are_all_named_at_once() -> None:
    status, _, error = await python("-m", "voisnap_admin", environment={"HTTP_PORT": "abc"})
    assert status == 2
    for line in (
        "DATABASE_URL is not set",
        "NATS_URL is not set",
        "JWKS_URL is not set",
        "HTTP_PORT: 'abc' is not an integer",
    ):
        assert f"voisnap: {line}\n" in error


async def test_a_seed_that_can_not_be_read_is_one_clear_line() -> None:
    status, _, error = await python(
        "-m",
        "voisnap_admin",
        "seed",
        "--json",
        "-",
        environment={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
        stdin=b'{"name": 1}',
    )
    assert status == 2
    assert error.startswith("voisnap: stdin: ")


async def test_a_new_installation_migrates_seeds_serves_and_stops(
    database_for: Callable[..., TestDatabase], nats_url: str, unused_tcp_port: int
) -> None:
    database = database_for("voisnap_admin")
    owner = {"MIGRATE_DATABASE_URL": database.owner_url}
    assert await python("-m", "voisnap_admin", "migrate", environment=owner) == (0, "", "")
    request = {
        "tenantId": "ten_demo",
        "name": "Demo",
        "slug": "demo",
        "owner": {"email": "demo@voisnap.test", "name": "Demo Owner"},
    }
    status, out, error = await python(
        "-m",
        "voisnap_admin",
        "seed",
        "--json",
        "-",
        environment={"DATABASE_URL": database.url},
        stdin=json.dumps(request).encode(),
    )
    assert (status, json.loads(out)["id"]) == (0, "ten_demo"), error
    access_token = SIGNER.sign(
        subject="usr_operator",
        tenant_id="ten_demo",
        environment="live",
        role="PlatformAdmin",
        scopes=frozenset({"admin:*"}),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=5),
        token_id="tok",
        platform_admin=True,
    )
    async with (
        key_set_publisher() as jwks_url,
        admin_process(database.url, nats_url, jwks_url, unused_tcp_port) as process,
    ):
        headers = {"Authorization": f"Bearer {access_token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}", headers=headers) as http:
            await answered(http, "/readyz", 200)
            listed = (await http.get("/api/v1/admin/tenants")).json()
            metrics = (await http.get("/metrics")).text
            document = (await http.get("/api/v1/admin/openapi.json")).json()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(4):
            assert await process.wait() == 0
    assert [tenant["slug"] for tenant in listed["data"]] == ["demo"]
    assert 'voisnap_http_request_seconds_count{method="GET",route="/api/v1/admin/tenants",status="200"} 1.0' in metrics
    assert "voisnap_event_loop_lag_seconds" in metrics
    assert "/api/v1/admin/tenants/{tenant_id}/suspend" in document["paths"]


async def test_without_the_key_set_the_service_lives_but_is_not_ready(
    database_for: Callable[..., TestDatabase], nats_url: str, unused_tcp_port: int
) -> None:
    async with admin_process(
        database_for("voisnap_admin").url, nats_url, "http://127.0.0.1:1/jwks.json", unused_tcp_port
    ):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}") as http:
            await answered(http, "/livez", 200)
            readiness = (await http.get("/readyz")).json()
    assert readiness["checks"]["jwks"]["status"] == "failed"
    assert readiness["checks"]["database"] == {"status": "ok"}

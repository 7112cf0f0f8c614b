"""The account pages in a real browser, with a virtual authenticator, on a real API: from registering to a forgotten password."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from voisnap_admin.tenants import subscribers as admin_tenants
from voisnap_api.app import build
from voisnap_api.auth import passwords
from voisnap_api.auth.scopes import Role
from voisnap_api.settings import Registration, Settings
from voisnap_api.users import usecases as users
from voisnap_api.users.records import User
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.redis import Redis
from voisnap_kit.settings import Secret
from voisnap_kit.tokens import TokenSigner
from voisnap_kit.work import Caller, begin_as_system
from voisnap_testkit.memory_bus import MemoryBus
from voisnap_testkit.platform import free_port

pytestmark = pytest.mark.hub

PUBLIC = Path(__file__).parents[2] / "services" / "console" / "public"
OPERATOR = "operator@example.com"
PASSWORD = "correct horse battery staple"
TYPES = {".html": b"text/html; charset=utf-8", ".js": b"text/javascript", ".css": b"text/css", ".svg": b"image/svg+xml"}


class Server(uvicorn.Server):
    """A server that says when it takes connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@asynccontextmanager
async def console(api: Database, admin: Database, redis_url: str) -> AsyncIterator[str]:
    """One origin with the console's files and the API on real databases, tenants made by the admin service's own code."""
    port = free_port()
    origin = f"http://localhost:{port}"
    settings = Settings(
        database_url="",
        redis_url=redis_url,
        nats_url="",
        public_url=origin,
        blobs_url="memory://",
        blobs_signing_key=Secret("k" * 32),
        jwt_private_key_file=Path("unused"),
        rate_limit_factor=0,
        registration=Registration.OPEN,
    )
    bus = MemoryBus()
    await admin_tenants.subscribe(bus, admin)
    async with await Redis.open(redis_url) as redis:
        signer = TokenSigner.generate()
        app: Any = build(settings, database=api, redis=redis, bus=bus, blobs=None, signer=signer)  # type: ignore[arg-type]

        async def serve_all(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and not scope["path"].startswith("/api/"):
                await _send_file(scope["path"], send)
            else:
                await app(scope, receive, send)

        server = Server(uvicorn.Config(serve_all, host="127.0.0.1", port=port, log_config=None))
        running = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(20):
                await server.is_up.wait()
            yield origin
        finally:
            server.should_exit = True
            await running
            await bus.close()


async def _send_file(path: str, send: Any) -> None:
    file = PUBLIC / (path.lstrip("/") or "index.html")
    status = 200 if file.is_file() else 404
    headers = [(b"content-type", TYPES.get(file.suffix, b"application/octet-stream"))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": file.read_bytes() if status == 200 else b""})


async def add_operator(database: Database) -> None:
    user = User(
        id=UserId("usr_operator"),
        tenant_id=TenantId("ten_operator"),
        email=OPERATOR,
        password_hash=await passwords.hashed(PASSWORD),
        first_name="Op",
        last_name="Erator",
        role=Role.TENANT_OWNER,
        status="active",
        platform_admin=True,
        last_login_at=None,
        created_at=datetime.now(UTC),
    )
    async with begin_as_system(database, Caller.system(user.tenant_id, Environment.LIVE)) as work:
        await users.add_user(work, user)


async def test_an_account_from_registering_to_a_forgotten_password(
    database_for: Callable[..., Any], redis_url: str, run_script: Any, tmp_path: Path
) -> None:
    screenshots = os.environ.get("SCREENSHOTS") or str(tmp_path)
    async with (
        await Database.open(database_for("voisnap_api").url, max_size=6) as api,
        await Database.open(database_for("voisnap_admin").url, max_size=2) as admin,
        console(api, admin, redis_url) as origin,
    ):
        await add_operator(api)
        arguments = ("account_pages.mjs", origin, OPERATOR, PASSWORD, screenshots)
        seen = await asyncio.to_thread(run_script, *arguments, timeout=90)
    assert seen == {
        "problems": [],
        "weak": {
            "error": "This password is among those that are guessed first. Take another, such as four random words.",
            "focus": "register-password",
        },
        "secretStays": False,
        "who": "grace@example.com",
        "missing": "Enter your password.",
        "codes": 10,
        "passkey": "Passkey “Passkey” for localhost",
        "qrIsSquare": True,
        "key": "vsnp_live_",
        "overflows": [False],
        "focus": "second-passkey",
        "environment": "sandbox",
        "wrongCode": "That didn’t work. Wait for the next code and try again.",
        "oldLink": "This link is not known here: it is incomplete, or a newer one was sent since.",
    }

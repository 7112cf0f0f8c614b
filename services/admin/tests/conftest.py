"""The Admin service on a real database, with the bus in memory and a key set of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from voisnap_admin.app import build
from voisnap_admin.settings import Settings
from voisnap_kit.outbox import Relay
from voisnap_kit.postgres import Database
from voisnap_kit.tokens import Claims, TokenSigner, verify
from voisnap_testkit.databases import TestDatabase
from voisnap_testkit.memory_bus import MemoryBus

SIGNER = TokenSigner.generate()


class KnownKeys:
    """A key set that needs no publisher."""

    async def verify(self, token: str) -> Claims:
        return verify(token, SIGNER.keys())

    async def check(self) -> None:
        return


class AdminClient:
    """A person's HTTP client, and what the service stored and told."""

    def __init__(self, http: httpx.AsyncClient, database: Database, bus: MemoryBus) -> None:
        self.http = http
        self.database = database
        self.bus = bus

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return await self.http.post(f"/api/v1/admin{path}", json=body, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(f"/api/v1/admin{path}", **options)

    async def patch(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.http.patch(f"/api/v1/admin{path}", json=body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.http.put(f"/api/v1/admin{path}", json=body, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.delete(f"/api/v1/admin{path}", **options)

    async def create(self, name: str = "Harbor Dental", slug: str = "harbor", **fields: Any) -> dict[str, Any]:
        response = await self.post("/tenants", {"name": name, "slug": slug, **fields})
        assert response.status_code == 201, response.text
        return response.json()

    async def events(self) -> list[Any]:
        """What was told since the start, in order, after the outbox is empty."""
        while await Relay(self.database, self.bus).relay_batch() != 0:
            pass
        return self.bus.published


def token(
    *, platform_admin: bool = True, scopes: frozenset[str] = frozenset({"admin:*", "hub"}), **options: Any
) -> str:
    """An access token of an operator, unless told otherwise."""
    return SIGNER.sign(
        subject="usr_operator",
        tenant_id="ten_platform",
        environment=options.pop("environment", "live"),
        role="PlatformAdmin" if platform_admin else "TenantOwner",
        scopes=scopes,
        now=options.pop("now", datetime.now(UTC)),
        lifetime=timedelta(minutes=15),
        token_id="tok_1",
        platform_admin=platform_admin,
        **options,
    )


@pytest.fixture
async def admin_database(database_for: Callable[..., TestDatabase]) -> AsyncIterator[Database]:
    async with await Database.open(database_for("voisnap_admin").url, max_size=4) as database:
        yield database


@asynccontextmanager
async def admin_client(database: Database, access_token: str | None) -> AsyncIterator[AdminClient]:
    settings = Settings(database_url="", nats_url="", jwks_url="", public_url="http://127.0.0.1:8080")
    bus = MemoryBus()
    app = build(settings, database=database, bus=bus, tokens=KnownKeys())
    headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin", headers=headers) as http:
        yield AdminClient(http, database, bus)


@pytest.fixture
async def operator(admin_database: Database) -> AsyncIterator[AdminClient]:
    """A platform administrator's client."""
    async with admin_client(admin_database, token()) as client:
        yield client


@pytest.fixture
def client_with(admin_database: Database) -> Callable[[str | None], Any]:
    """`client_with(token)`: the client of somebody else."""
    return lambda access_token: admin_client(admin_database, access_token)


@pytest.fixture
def sign() -> Callable[..., str]:
    """`sign(platform_admin=False)`: an access token."""
    return token

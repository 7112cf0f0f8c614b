"""One API on a real database and Redis, a bus and a blob store in memory, and a runtime that answers what the test says."""

import asyncio
import base64
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from voisnap_api.api_keys import usecases as api_keys
from voisnap_api.app import build
from voisnap_api.auth import passwords
from voisnap_api.auth.scopes import Role, scopes_of
from voisnap_api.conversations import subscribers as conversation_subscribers
from voisnap_api.settings import Settings
from voisnap_api.tenants import subscribers as tenant_subscribers
from voisnap_api.users import usecases as users
from voisnap_api.users.records import User
from voisnap_domain.ids import NodeId, TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
from voisnap_kit.postgres import Database
from voisnap_kit.redis import Redis
from voisnap_kit.settings import Secret
from voisnap_kit.tokens import TokenSigner
from voisnap_kit.work import Caller, begin_as_system
from voisnap_proto.requests import OPEN_SESSION, IceServer, OpenSession, SessionOpened
from voisnap_providers.ports.blobs import BlobInfo, BlobNotFound
from voisnap_testkit.applications import Applications
from voisnap_testkit.memory_bus import MemoryBus

SEALING_KEYS = "test:" + base64.b64encode(b"s" * 32).decode()

PASSWORD = "correct horse battery staple"

AGENT: dict[str, Any] = {
    "name": "Aria – Support Agent",
    "persona": {"name": "Aria", "personality": "friendly, professional"},
    "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
    "llm": {"provider": "openai", "model": "gpt-4o"},
    "transcription": {"provider": "deepgram", "model": "nova-2", "language": "en-US"},
    "systemPromptTemplate": "You are Aria, a support agent for Acme Corp...",
    "firstMessage": "Hello! How can I help you today?",
    "firstMessageMode": "assistant_speaks_first",
}
"""The create body of the documentation."""


class MemoryBlobs:
    """Object storage in a dict. While `error` is set it answers with that."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.error: Exception | None = None

    async def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    async def put_stream(self, key: str, parts: AsyncIterator[bytes]) -> int:
        self.objects[key] = b"".join([part async for part in parts])
        return len(self.objects[key])

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise BlobNotFound(key)
        return self.objects[key]

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        data = (await self.get(key))[start:end]
        for at in range(0, len(data), 7):
            yield data[at : at + 7]

    async def head(self, key: str) -> BlobInfo | None:
        self._reach()
        return BlobInfo(key=key, size_bytes=len(self.objects[key])) if key in self.objects else None

    async def list(self, prefix: str) -> tuple[BlobInfo, ...]:
        self._reach()
        return tuple(
            BlobInfo(key=key, size_bytes=len(data))
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )

    async def delete(self, keys: tuple[str, ...]) -> None:
        self._reach()
        for key in keys:
            self.objects.pop(key, None)

    def signed_url(self, key: str, *, expires_in: int, content_type: str, filename: str) -> str | None:
        return None

    def _reach(self) -> None:
        if self.error is not None:
            raise self.error


class Api:
    """The application under test and what surrounds it."""

    def __init__(
        self, client: httpx.AsyncClient, database: Database, bus: MemoryBus, blobs: MemoryBlobs, signer: TokenSigner
    ) -> None:
        self.client = client
        self.database = database
        self.bus = bus
        self.blobs = blobs
        self.signer = signer
        self.app: Litestar
        self.opened: list[OpenSession] = []
        self._events = itertools.count(1)

    def token(
        self,
        tenant_id: str,
        *,
        environment: Environment = Environment.LIVE,
        role: Role = Role.TENANT_OWNER,
        scopes: frozenset[str] | None = None,
        user_id: str = "usr_1",
        agent: str | None = None,
    ) -> dict[str, str]:
        """Headers of a person of a tenant."""
        token = self.signer.sign(
            subject=user_id,
            tenant_id=tenant_id,
            environment=environment.value,
            role=role.value,
            scopes=scopes_of(role) if scopes is None else scopes,
            now=datetime.now(UTC),
            lifetime=timedelta(minutes=15),
            token_id=new_id("jti"),
            agent=agent,
        )
        return {"Authorization": f"Bearer {token}"}

    async def add_user(self, email: str, tenant_id: str = "ten_a", **changes: Any) -> User:
        """A person with PASSWORD."""
        values: dict[str, Any] = {
            "id": UserId(new_id("usr")),
            "tenant_id": TenantId(tenant_id),
            "email": email,
            "password_hash": await passwords.hashed(PASSWORD),
            "first_name": "Ada",
            "last_name": "Byron",
            "role": Role.TENANT_OWNER,
            "status": "active",
            "platform_admin": False,
            "last_login_at": None,
            "created_at": datetime.now(UTC),
        }
        user = User(**(values | changes))
        async with begin_as_system(self.database, Caller.system(user.tenant_id, Environment.LIVE)) as work:
            await users.add_user(work, user)
        return user

    async def add_key(self, tenant_id: str = "ten_a", environment: Environment = Environment.LIVE) -> str:
        """The text of a key that may do everything."""
        async with begin_as_system(self.database, Caller.system(TenantId(tenant_id), environment)) as work:
            _, text = await api_keys.issue_key(work, TenantId(tenant_id), environment, name="test", created_by=None)
        return text

    async def add_agent(self, headers: dict[str, str], **changes: Any) -> dict[str, Any]:
        """An agent that takes calls."""
        created = await self.client.post("/api/v1/agents", json=AGENT | changes, headers=headers)
        assert created.status_code == 201, created.text
        activated = await self.client.post(f"/api/v1/agents/{created.json()['id']}/activate", headers=headers)
        assert activated.status_code == 200, activated.text
        return activated.json()

    async def tell(self, event: Any, *, event_id: str | None = None) -> None:
        """Publish an event of another service and wait until it is handled."""
        number = next(self._events)
        await self.bus.publish(event, event_id=event_id or f"evt_{number}", tenant_id=event.tenant_id)
        await self.bus.settle()

    async def published(self, count: int) -> None:
        """Return when so many events have left the outbox."""
        reached = asyncio.Event()

        async def seen(_event: Any, _meta: Any) -> None:
            if len(self.bus.stream) >= count:
                reached.set()

        await self.bus.subscribe(f"test-{next(self._events)}", ("evt.>",), seen)
        async with asyncio.timeout(5):
            await reached.wait()

    async def follow(self) -> None:
        """Start the worker's subscribers."""
        await tenant_subscribers.subscribe(self.bus, self.database)
        await conversation_subscribers.subscribe(self.bus, self.database)

    async def start_runtime(self, answer: Callable[[OpenSession], SessionOpened] | None = None) -> None:
        """A runtime process that makes every session ready, or answers what the test says."""

        async def open_session(request: OpenSession) -> SessionOpened:
            self.opened.append(request)
            return (answer or opened)(request)

        await self.bus.respond(OPEN_SESSION, "runtime", OpenSession, open_session)


def opened(request: OpenSession) -> SessionOpened:
    """What a runtime answers."""
    return SessionOpened(
        session_id=request.plan.session_id,
        conversation_id=request.plan.conversation_id,
        session_token="wrtc_tok_secret",
        expires_at=datetime(2026, 1, 2, 9, 35, tzinfo=UTC),
        ice_servers=(
            IceServer(urls=("stun:127.0.0.1:3478",)),
            IceServer(urls=("turn:127.0.0.1:3478?transport=udp",), username="1:s", credential="c"),
        ),
        node_id=NodeId("node_1"),
    )


@asynccontextmanager
async def running(app: Litestar) -> AsyncGenerator[None]:
    """The application between start-up and shut-down, both in one task: a fixture's two halves may run in two."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.create_task(hold())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Settings of the API under test; no rate limits unless a test wants them."""
    return Settings(
        database_url="",
        redis_url=redis_url,
        nats_url="",
        public_url="http://127.0.0.1:8080",
        blobs_url="memory://",
        blobs_signing_key=Secret("k" * 32),
        jwt_private_key_file=None,  # type: ignore[arg-type]
        rate_limit_factor=0,
        voisnap_sealing_keys=Secret(SEALING_KEYS),
    )


@pytest.fixture
async def database(database_for: Callable[..., Any]) -> AsyncGenerator[Database]:
    """An empty, migrated database, as the service's own role."""
    async with await Database.open(database_for("voisnap_api").url, max_size=6) as opened_database:
        yield opened_database


@pytest.fixture(scope="session")
def applications() -> Iterator[Applications]:
    """Where the applications under test come from."""
    made = Applications()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voisnap_api.app.build_app", made.build_app)
        yield made


@pytest.fixture
def start_api(settings: Settings, database: Database, applications: Applications) -> Callable[..., Any]:
    """`start_api(rate_limit_factor=1)`: an API with other settings. `environ` are the platform's accounts: none."""

    @asynccontextmanager
    async def start(*, environ: dict[str, str] | None = None, **changes: Any) -> AsyncGenerator[Api]:
        changed = msgspec.structs.replace(settings, **changes)
        bus, blobs, signer = MemoryBus(), MemoryBlobs(), TokenSigner.generate()
        async with await Redis.open(settings.redis_url) as redis:
            app: Litestar = build(
                changed, database=database, redis=redis, bus=bus, blobs=blobs, signer=signer, environ=environ or {}
            )
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with (
                running(app),
                httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client,
            ):
                started = Api(client, database, bus, blobs, signer)
                started.app = app
                yield started
            await bus.close()
        applications.give_back(app)

    return start


@pytest.fixture
async def api(start_api: Callable[..., Any]) -> AsyncGenerator[Api]:
    """The API without rate limits."""
    async with start_api() as started:
        yield started

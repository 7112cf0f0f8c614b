"""The endpoints that `rest.py` measures, as most would write them: FastAPI, pydantic, SQLAlchemy with asyncpg, uvicorn with one worker.

    fastapi_server.py PORT DATABASE_URL [REDIS_URL]

What makes it quick without changing what it is: uvloop, httptools, prepared statements (SQLAlchemy's asyncpg dialect keeps them), a pool,
answers that pydantic's own core writes. It looks up its API key in its table with every request, validates the same body, and writes the
same rows. It has no row-level security, rate limit, request ids, metrics or traces.

With a Redis URL it does what the platform promises beside its answers, as most would write it: the tenant is told to the database's
session, requests are counted in Redis a minute and key, each has an id, and is counted and timed for Prometheus.
"""

import hashlib
import secrets
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from prometheus_client import Counter, Histogram
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel
from redis.asyncio import Redis
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Text, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

T = TypeVar("T")
Moment = Annotated[AwareDatetime, PlainSerializer(lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))]


class Base(AsyncAttrs, DeclarativeBase):
    pass


class ApiKey(Base):
    __tablename__ = "api_keys"
    __table_args__ = {"schema": "twin"}
    id: Mapped[str] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    tenant_id: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(item_type=Text))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Agent(Base):
    __tablename__ = "agents"
    __table_args__ = (Index("agents_newest", "tenant_id", "created_at", "id"), {"schema": "twin"})
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]
    version: Mapped[int]
    published_version: Mapped[int | None]
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    widget_key: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AgentVersion(Base):
    __tablename__ = "agent_versions"
    __table_args__ = {"schema": "twin"}
    agent_id: Mapped[str] = mapped_column(ForeignKey("twin.agents.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_by: Mapped[str | None]


class Outbox(Base):
    __tablename__ = "outbox"
    __table_args__ = {"schema": "twin"}
    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Conversation(Base):
    """The platform's own table, with a million rows."""

    __tablename__ = "conversations"
    __table_args__ = {"schema": "api"}
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    environment: Mapped[str]
    agent_id: Mapped[str]
    agent_name: Mapped[str]
    channel: Mapped[str]
    direction: Mapped[str]
    status: Mapped[str]
    language: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    archived_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    duration_seconds: Mapped[float | None]
    caller: Mapped[dict[str, Any]] = mapped_column(JSONB)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB)
    analysis: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    outcome: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(item_type=Text))


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


Percent = Annotated[float, Field(ge=0, le=1)]


class Persona(Body):
    name: str = Field(min_length=1, max_length=100)
    personality: str | None = None
    role: str | None = None


class Voice(Body):
    provider: str
    voice_id: str
    stability: Percent = 0.5
    similarity_boost: Percent = 0.75
    style: Percent = 0.0
    use_speaker_boost: bool = True
    speed: Annotated[float, Field(ge=0.5, le=2)] = 1.0


class Llm(Body):
    provider: str
    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 300
    top_p: Percent = 1.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    base_url: str | None = None


class Transcription(Body):
    provider: str
    model: str | None = None
    language: str = "en-US"
    smart_format: bool = True
    punctuate: bool = True
    profanity_filter: bool = False


class SilenceDetection(Body):
    enabled: bool = True
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 8
    message: str = "Are you still there?"


class Endpointing(Body):
    provider: Literal["vad", "semantic"] = "vad"
    silence_duration_ms: Annotated[int, Field(ge=100, le=5000)] = 700
    utterance_end_ms: Annotated[int, Field(ge=100, le=10000)] = 1000


class Interruption(Body):
    enabled: bool = True
    sensitivity: Literal["low", "medium", "high"] = "medium"


class VoicemailDetection(Body):
    enabled: bool = True
    action: str = "leave_message"
    message: str | None = None


class Fillers(Body):
    enabled: bool = True
    delay_ms: Annotated[int, Field(ge=500, le=10000)] = 2000
    phrases: tuple[str, ...] = ()


class Recording(Body):
    enabled: bool = True
    format: Literal["mp3", "wav"] = "mp3"
    storage_retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    stereo: bool = False


class CostTracking(Body):
    enabled: bool = True
    currency: str = "USD"


class CustomField(Body):
    name: str
    type: str
    options: tuple[str, ...] = ()


class AnalysisConfig(Body):
    enabled: bool = True
    sentiment_analysis: bool = True
    intent_detection: bool = True
    summary_enabled: bool = True
    custom_fields: tuple[CustomField, ...] = ()


class ToolParameter(Body):
    name: str
    type: str = "string"
    description: str | None = None
    required: bool = False
    source: str | None = None


class Tool(Body):
    name: str
    description: str
    type: str
    config: dict[str, Any] = Field(default_factory=dict)
    parameters: tuple[ToolParameter, ...] = ()
    response_mapping: dict[str, str] = Field(default_factory=dict)


class ChannelSettings(Body):
    enabled: bool = True
    first_message: str | None = None
    system_prompt_append: str | None = None
    max_duration_seconds: int | None = None


class Channels(Body):
    phone: ChannelSettings = Field(default_factory=ChannelSettings)
    webrtc: ChannelSettings = Field(default_factory=ChannelSettings)
    webchat: ChannelSettings = Field(default_factory=ChannelSettings)
    sms: ChannelSettings = Field(default_factory=ChannelSettings)
    whatsapp: ChannelSettings = Field(default_factory=ChannelSettings)
    telegram: ChannelSettings = Field(default_factory=ChannelSettings)


class Fallbacks(Body):
    llm: tuple[Llm, ...] = ()
    voice: tuple[Voice, ...] = ()
    transcription: tuple[Transcription, ...] = ()


class TransferTarget(Body):
    name: str
    description: str | None = None
    phone_number: str | None = None
    sip_uri: str | None = None


class Transfer(Body):
    targets: tuple[TransferTarget, ...] = ()


class Widget(Body):
    allowed_origins: tuple[str, ...] = ()
    theme: dict[str, Any] = Field(default_factory=dict)
    ui_config: dict[str, Any] = Field(default_factory=dict)


class WidgetOut(Widget):
    agent_key: str


class Pronunciation(Body):
    text: str
    pronunciation: str
    alphabet: str = "respelling"


class AgentIn(Body):
    name: str = Field(min_length=1, max_length=100)
    persona: Persona
    voice: Voice
    llm: Llm
    transcription: Transcription
    system_prompt_template: str = Field(min_length=1)
    description: str | None = None
    first_message: str | None = None
    first_message_mode: str = "assistant_speaks_first"
    end_call_phrases: tuple[str, ...] = ()
    max_duration_seconds: Annotated[int, Field(ge=10, le=7200)] = 600
    max_idle_time_seconds: Annotated[int, Field(ge=1, le=600)] = 15
    dtmf_enabled: bool = True
    hipaa_compliant: bool = False
    ai_disclosure_message: str | None = None
    silence_detection: SilenceDetection = Field(default_factory=SilenceDetection)
    endpointing: Endpointing = Field(default_factory=Endpointing)
    interruption: Interruption = Field(default_factory=Interruption)
    voicemail_detection: VoicemailDetection = Field(default_factory=VoicemailDetection)
    fillers: Fillers = Field(default_factory=Fillers)
    recording: Recording = Field(default_factory=Recording)
    cost_tracking: CostTracking = Field(default_factory=CostTracking)
    analysis_config: AnalysisConfig = Field(default_factory=AnalysisConfig)
    knowledge_base_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    variables: dict[str, Any] = Field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    channels: Channels = Field(default_factory=Channels)
    fallbacks: Fallbacks = Field(default_factory=Fallbacks)
    transfer: Transfer = Field(default_factory=Transfer)
    widget: Widget = Field(default_factory=Widget)
    pronunciations: tuple[Pronunciation, ...] = ()
    background_sound: str = "none"


class AgentOut(AgentIn):
    id: str
    status: str
    version: int
    published_version: int | None
    widget: WidgetOut  # type: ignore[assignment]
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, agent: Agent) -> "AgentOut":
        widget = {**agent.config["widget"], "agent_key": agent.widget_key}
        return cls.model_validate(
            {
                **agent.config,
                "id": agent.id,
                "status": agent.status,
                "version": agent.version,
                "published_version": agent.published_version,
                "widget": widget,
                "created_at": agent.created_at,
                "updated_at": agent.updated_at,
            }
        )


class ConversationOut(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)
    id: str
    agent_id: str
    agent_name: str
    channel: str
    direction: str
    status: str
    language: str | None
    started_at: Moment
    ended_at: Moment | None
    duration_seconds: float | None
    caller: dict[str, Any]
    metadata: dict[str, Any] = Field(validation_alias="meta")
    analysis: dict[str, Any] | None
    outcome: str | None
    tags: list[str]


class Page(BaseModel, Generic[T]):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    data: list[T]
    page: int
    page_size: int
    total: int
    total_pages: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = create_async_engine(sys.argv[2], pool_size=16, max_overflow=4)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()
    if limits is not None:
        await limits.aclose()


limits = Redis.from_url(sys.argv[3]) if len(sys.argv) > 3 else None
LIMIT = 1_000_000_000
requests_total = Counter("http_requests_total", "Requests.", ["method", "path", "status"])
request_seconds = Histogram("http_request_seconds", "Seconds a request took.", ["method", "path"])


app = FastAPI(lifespan=lifespan)


class Accompanied:
    """An id for each request, a count and a time: plain ASGI, since `@app.middleware` costs twice as much."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        began, status, id = time.perf_counter(), 500, uuid.uuid4().hex.encode()

        async def told(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", id)]
            await send(message)

        try:
            await self.inner(scope, receive, told)
        finally:
            path = getattr(scope.get("route"), "path", "")
            requests_total.labels(scope["method"], path, status).inc()
            request_seconds.labels(scope["method"], path).observe(time.perf_counter() - began)


if limits is not None:
    app.add_middleware(Accompanied)


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


async def api_key(request: Request, response: Response, session: Session) -> ApiKey:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    key = None
    if scheme.lower() == "bearer":
        key = await session.scalar(select(ApiKey).where(ApiKey.key_hash == hashlib.sha256(secret.encode()).digest()))
    now = datetime.now(UTC)
    if key is None or key.revoked_at is not None or (key.expires_at is not None and key.expires_at < now):
        raise HTTPException(401, "This API key is unknown, revoked or expired.")
    if limits is not None:
        window = f"requests:{key.id}:{int(time.time()) // 60}"
        async with limits.pipeline(transaction=False) as together:
            together.incr(window)
            together.expire(window, 60)
            count, _ = await together.execute()
        response.headers["X-RateLimit-Limit"] = str(LIMIT)
        response.headers["X-RateLimit-Remaining"] = str(LIMIT - count)
        if count > LIMIT:
            raise HTTPException(429, "Too many requests.")
        await session.execute(text("SELECT set_config('app.tenant_id', :tenant, true)"), {"tenant": key.tenant_id})
    return key


Key = Annotated[ApiKey, Depends(api_key)]


def require(key: ApiKey, scope: str) -> None:
    if scope not in key.scopes:
        raise HTTPException(403, f"This needs the scope {scope}.")


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/api/v1/agents/{agent_id}")
async def read_agent(agent_id: str, session: Session, key: Key) -> AgentOut:
    require(key, "agents:read")
    agent = await session.scalar(select(Agent).where(Agent.id == agent_id, Agent.tenant_id == key.tenant_id))
    if agent is None:
        raise HTTPException(404, f"No agent {agent_id}.")
    return AgentOut.of(agent)


@app.get("/api/v1/agents")
async def list_agents(
    session: Session,
    key: Key,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(alias="pageSize", ge=1, le=100)] = 20,
) -> Page[AgentOut]:
    require(key, "agents:read")
    own = Agent.tenant_id == key.tenant_id
    newest = select(Agent).where(own).order_by(Agent.created_at.desc(), Agent.id.desc())
    agents = await session.scalars(newest.limit(page_size).offset((page - 1) * page_size))
    total = await session.scalar(select(func.count()).select_from(Agent).where(own)) or 0
    return Page(
        data=[AgentOut.of(agent) for agent in agents],
        page=page,
        page_size=page_size,
        total=total,
        total_pages=-(-total // page_size),
    )


@app.post("/api/v1/agents", status_code=201)
async def create_agent(data: AgentIn, session: Session, key: Key) -> AgentOut:
    require(key, "agents:write")
    now = datetime.now(UTC)
    agent = Agent(
        id=f"agt_{secrets.token_hex(13)}",
        tenant_id=key.tenant_id,
        name=data.name,
        status="draft",
        version=1,
        published_version=None,
        config=data.model_dump(mode="json"),
        widget_key=f"wgt_{secrets.token_hex(13)}",
        created_at=now,
        updated_at=now,
    )
    session.add(agent)
    session.add(AgentVersion(agent_id=agent.id, version=1, config=agent.config, created_at=now, created_by=key.id))
    session.add(Outbox(payload={"agent_id": agent.id, "tenant_id": agent.tenant_id, "change": "created"}))
    await session.commit()
    return AgentOut.of(agent)


@app.get("/api/v1/conversations")
async def list_conversations(
    session: Session,
    key: Key,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(alias="pageSize", ge=1, le=100)] = 20,
) -> Page[ConversationOut]:
    require(key, "conversations:read")
    own = (
        (Conversation.tenant_id == "ten_large")
        & (Conversation.environment == "live")
        & Conversation.archived_at.is_(None)
    )
    newest = select(Conversation).where(own).order_by(Conversation.started_at.desc(), Conversation.id.desc())
    found = await session.scalars(newest.limit(page_size).offset((page - 1) * page_size))
    total = await session.scalar(select(func.count()).select_from(Conversation).where(own)) or 0
    return Page(
        data=[ConversationOut.model_validate(one) for one in found],
        page=page,
        page_size=page_size,
        total=total,
        total_pages=-(-total // page_size),
    )


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False)

"""The demo tenant's people, keys and agent: what `make up` starts with."""

import msgspec
from voisnap_domain.agents import (
    AgentConfig,
    Endpointing,
    Llm,
    LlmProvider,
    Persona,
    Recording,
    RecordingFormat,
    SilenceDetection,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.ids import AgentId, TenantId, UserId
from voisnap_domain.tenants import Environment, TenantStatus, UsageLimits
from voisnap_kit.postgres import Database
from voisnap_kit.settings import SettingsError
from voisnap_kit.work import Caller, Work, begin, begin_as_system

from .agents import usecases as agents
from .agents.records import AgentFilter
from .api_keys import usecases as api_keys
from .auth import passwords
from .auth.scopes import Role
from .tenants import usecases as tenants
from .tenants.records import KnownTenant
from .users import usecases as users
from .users.records import User

AGENT_TAG = "demo"


class DemoTenant(msgspec.Struct, frozen=True, kw_only=True):
    """Name and slug of the demo tenant."""

    name: str = "Demo"
    slug: str = "demo"


class DemoRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `seed-demo` reads."""

    tenant_id: str
    email: str
    password: str
    tenant: DemoTenant = DemoTenant()


class DemoSeed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `seed-demo` prints."""

    api_key_live: str
    api_key_sandbox: str
    agent_id: str
    user_id: str


async def seed_demo(database: Database, request: DemoRequest) -> DemoSeed:
    """Make what is missing: tenant, owner, agent. The owner's password becomes the one given; keys are made anew, because their texts
    are not kept."""
    tenant_id = TenantId(request.tenant_id)
    password_hash = await passwords.hashed(request.password)
    async with begin_as_system(database, Caller.system(tenant_id, Environment.LIVE)) as work:
        await tenants.introduce_tenant(work, _tenant(work, tenant_id, request.tenant))
        user_id = await _owner(work, tenant_id, request.email, password_hash)
        live = await _key(work, tenant_id, Environment.LIVE, user_id)
        sandbox = await _key(work, tenant_id, Environment.SANDBOX, user_id)
    agent_id = await _agent(database, tenant_id, Environment.LIVE, user_id)
    await _agent(database, tenant_id, Environment.SANDBOX, user_id)
    return DemoSeed(api_key_live=live, api_key_sandbox=sandbox, agent_id=agent_id, user_id=user_id)


def _tenant(work: Work, tenant_id: TenantId, tenant: DemoTenant) -> KnownTenant:
    return KnownTenant(
        tenant_id=tenant_id,
        name=tenant.name,
        slug=tenant.slug,
        status=TenantStatus.ACTIVE,
        plan="enterprise",
        usage_limits=UsageLimits(),
        updated_at=work.now.replace(year=2000),  # every event knows better
    )


async def _owner(work: Work, tenant_id: TenantId, email: str, password_hash: str) -> UserId:
    known = await users.find_by_email(work, email)
    if known is not None:
        if known.tenant_id != tenant_id:
            raise SettingsError((f"{email} belongs to the tenant {known.tenant_id} already",))
        await users.set_password(work, known, password_hash)
        return known.id
    user = User(
        id=UserId(work.new_id("usr")),
        tenant_id=tenant_id,
        email=email,
        password_hash=password_hash,
        first_name="Demo",
        last_name="Owner",
        role=Role.TENANT_OWNER,
        status="active",
        platform_admin=True,
        last_login_at=None,
        created_at=work.now,
    )
    await users.add_user(work, user)
    return user.id


async def _key(work: Work, tenant_id: TenantId, environment: Environment, user_id: UserId) -> str:
    _, text = await api_keys.issue_key(work, tenant_id, environment, name="Demo", created_by=user_id)
    return text


async def _agent(database: Database, tenant_id: TenantId, environment: Environment, user_id: UserId) -> AgentId:
    caller = Caller(tenant_id=tenant_id, environment=environment, user_id=user_id, role=Role.TENANT_OWNER.value)
    async with begin(database, caller) as work:
        known, _ = await agents.list_agents(
            work, AgentFilter(tags=(AGENT_TAG,), sort="created_at asc"), limit=1, offset=0
        )
        if known:
            return known[0].id
        agent = await agents.create_agent(work, DEMO_AGENT)
        await agents.publish_agent(work, agent.id, notes="Demo agent")
        await agents.activate_agent(work, agent.id)
        return agent.id


DEMO_AGENT = AgentConfig(
    name="Aria – Harbor Street Dental",
    description="Answers the phone of a small dental practice; the agent that a new installation starts with.",
    persona=Persona(name="Aria", personality="friendly, concise, calm", role="receptionist"),
    voice=Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
    llm=Llm(provider=LlmProvider.LOCAL, model="local-brain", temperature=0.0, max_tokens=120),
    transcription=Transcription(provider=TranscriptionProvider.LOCAL, language="en-US"),
    system_prompt_template="""You are Aria, the friendly receptionist of Harbor Street Dental, a family dental practice.
Answer briefly, in one or two sentences, and only from the facts below. If a question is not covered, say that you don't have that \
information and offer to take a message for the practice.

Facts about Harbor Street Dental:
- We are open Monday to Thursday from 8 am to 6 pm, and on Friday from 8 am to 2 pm.
- We are closed on Saturday and Sunday.
- Our address is 42 Harbor Street in Portland, next to the public library.
- Our phone number is 555-0142.
- Free parking for patients is behind the building; enter from Mill Lane.
- A routine check-up costs 85 dollars.
- A professional teeth cleaning costs 110 dollars.
- Teeth whitening costs 290 dollars.
- We accept Delta Dental, Cigna, Aetna and MetLife insurance.
- New patients are welcome; the first visit takes about one hour, so please arrive ten minutes early.
- For a dental emergency we see you the same day; outside opening hours call our emergency line at 555-0199.
- Appointments can be cancelled or moved free of charge up to 24 hours before; later than that we charge 40 dollars.
- Doctor Maria Lopez is our dentist for adults, and Doctor Ben Carter treats children.
- You can pay by cash, debit card or credit card.
- The practice is wheelchair accessible through the entrance on Mill Lane.""",
    first_message="Hello! This is Aria from Harbor Street Dental. How can I help you today?",
    end_call_phrases=("goodbye", "have a good day", "thank you, bye"),
    max_duration_seconds=600,
    max_idle_time_seconds=30,
    silence_detection=SilenceDetection(enabled=True, timeout_seconds=10, message="Are you still there?"),
    endpointing=Endpointing(silence_duration_ms=500),
    recording=Recording(enabled=True, format=RecordingFormat.MP3, stereo=True),
    tags=(AGENT_TAG,),
)

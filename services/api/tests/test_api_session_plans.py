"""What the API answers the runtime that asks for the plan of a session, over the bus."""

from datetime import UTC, datetime

import msgspec
import pytest
from voisnap_api.auth.scopes import Role
from voisnap_domain.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, TooManyRequests
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment, Tenant, TenantStatus, UsageLimits
from voisnap_proto.events import TenantCreated, TenantSuspended
from voisnap_proto.requests import PLAN_SESSION, PlanSession, SessionPlanned

pytestmark = pytest.mark.slice


def request_for(agent_id, **changes):
    request = PlanSession(
        tenant_id=TenantId("ten_a"),
        environment=Environment.LIVE,
        user_id="usr_1",
        scopes=("hub",),
        agent_id=AgentId(agent_id),
        channel=Channel.PHONE,
    )
    return msgspec.structs.replace(request, **changes)


async def planned(api, agent_id, **changes):
    request = request_for(agent_id, **changes)
    return (await api.bus.request(PLAN_SESSION, request, SessionPlanned)).plan


async def test_a_plan_holds_the_whole_agent_its_caller_and_the_limits(api):
    await api.follow()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    tenant = Tenant(
        id=TenantId("ten_a"),
        name="A",
        slug="a",
        status=TenantStatus.ACTIVE,
        plan="professional",
        agency_id=None,
        billing_mode="self_billed",
        usage_limits=UsageLimits(max_concurrent_calls=3),
        owner=None,
        created_at=at,
        updated_at=at,
    )
    await api.tell(TenantCreated(tenant_id=tenant.id, tenant=tenant))
    agent = await api.add_agent(api.token("ten_a"))

    plan = await planned(api, agent["id"], metadata={"order": "A-1"})

    assert (plan.channel, plan.tenant_id, plan.environment) == (Channel.PHONE, "ten_a", Environment.LIVE)
    assert plan.agent.config.system_prompt_template == agent["systemPromptTemplate"]
    assert (plan.caller.user_id, plan.metadata, plan.max_concurrent) == ("usr_1", {"order": "A-1"}, 3)
    assert plan.session_id.startswith("call_")
    again = await planned(api, agent["id"], channel=Channel.WEBCHAT)
    assert again.session_id.startswith("chat_")
    assert again.conversation_id != plan.conversation_id

    await api.tell(TenantSuspended(tenant_id=tenant.id, tenant=tenant.suspended(at)))
    with pytest.raises(Forbidden) as refusal:
        await planned(api, agent["id"])
    assert refusal.value.code == "tenant-suspended"


async def test_agents_that_cannot_be_talked_to(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    for agent_id, changes in (
        ("agt_nowhere", {}),
        (agent["id"], {"tenant_id": TenantId("ten_b")}),
        (agent["id"], {"environment": Environment.SANDBOX}),
    ):
        with pytest.raises(NotFound) as missing:
            await planned(api, agent_id, **changes)
        assert (missing.value.code, agent_id in missing.value.detail) == ("agent-not-found", True)
    await api.client.post(f"/api/v1/agents/{agent['id']}/deactivate", headers=headers)
    with pytest.raises(Conflict) as inactive:
        await planned(api, agent["id"])
    assert inactive.value.code == "agent-inactive"


async def test_the_language_of_the_caller_replaces_the_agents(api):
    agent = await api.add_agent(api.token("ten_a"))
    for language, tag in (("es-mx", "es-MX"), ("German", "de"), (None, "en-US")):
        plan = await planned(api, agent["id"], language=language)
        assert plan.agent.config.transcription.language == tag
    with pytest.raises(Invalid, match="language"):
        await planned(api, agent["id"], language="the language of love")


async def test_editors_may_talk_to_another_version(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    url = f"/api/v1/agents/{agent['id']}"
    await api.client.post(f"{url}/publish", headers=headers)
    await api.client.patch(url, json={"firstMessage": "Draft!"}, headers=headers)
    editor = ("hub", "agents:write")
    versions = {
        name: (await planned(api, agent["id"], version=name, scopes=editor)).agent.version
        for name in ("draft", "1", "2")
    }
    assert versions == {"draft": 2, "1": 1, "2": 2}
    assert (await planned(api, agent["id"])).agent.version == 1
    with pytest.raises(Forbidden):
        await planned(api, agent["id"], version="draft")
    with pytest.raises(NotFound, match="no version 9"):
        await planned(api, agent["id"], version="9", scopes=editor)
    with pytest.raises(Invalid, match="version"):
        await planned(api, agent["id"], version="newest", scopes=editor)


async def test_metadata_has_a_limit(api):
    agent = await api.add_agent(api.token("ten_a"))
    most = {"note": "x" * (16_384 - len('{"note":""}'))}
    assert (await planned(api, agent["id"], metadata=most)).metadata == most
    with pytest.raises(Invalid, match="16384 bytes"):
        await planned(api, agent["id"], metadata={"note": most["note"] + "x"})


async def test_connections_are_counted_by_tenant_environment_and_hub(start_api):
    async with start_api(rate_limit_factor=1) as api:
        for number in range(10):
            with pytest.raises(NotFound):
                await planned(api, "agt_nowhere", user_id=f"usr_{number}", tenant_id=TenantId("ten_rate"))
        with pytest.raises(TooManyRequests, match="voice-hub") as refusal:
            await planned(api, "agt_nowhere", tenant_id=TenantId("ten_rate"))
        assert isinstance(refusal.value, LimitReached)
        assert 0 < refusal.value.retry_after <= 60
        for other in (
            {"tenant_id": TenantId("ten_other")},
            {"environment": Environment.SANDBOX},
            {"channel": Channel.WEBCHAT},
        ):
            with pytest.raises(NotFound):
                await planned(api, "agt_nowhere", **({"tenant_id": TenantId("ten_rate")} | other))


async def test_what_an_agent_says_of_a_channel_is_in_the_plan(api):
    headers = api.token("ten_a")
    channels = {"phone": {"firstMessage": "You called."}, "webchat": {"enabled": False}}
    agent = await api.add_agent(headers, channels=channels)

    called = await planned(api, agent["id"])
    assert called.agent.config.first_message == "You called."
    browsed = await planned(api, agent["id"], channel=Channel.WEBRTC)
    assert browsed.agent.config.first_message == "Hello! How can I help you today?"
    with pytest.raises(Conflict) as refusal:
        await planned(api, agent["id"], channel=Channel.WEBCHAT)
    assert refusal.value.code == "channel-disabled"


async def test_who_was_let_go_and_what_was_revoked_begins_no_session(api):
    owner = api.token("ten_a")
    agent = await api.add_agent(owner)
    user = await api.add_user("bob@example.com", role=Role.TENANT_USER)
    assert (await planned(api, agent["id"], user_id=user.id)).caller.user_id == user.id
    for path in ("/deactivate", ""):
        method = "POST" if path else "DELETE"
        await api.client.request(method, f"/api/v1/users/{user.id}{path}", headers=owner)
        with pytest.raises(Forbidden, match="no more sessions"):
            await planned(api, agent["id"], user_id=user.id)
    body = {"name": "k", "scopes": ["webrtc:write"]}
    key = (await api.client.post("/api/v1/api-keys", json=body, headers=owner)).json()["id"]
    assert await planned(api, agent["id"], user_id=f"{key}:jti_1")
    await api.client.delete(f"/api/v1/api-keys/{key}", headers=owner)
    with pytest.raises(Forbidden, match="no more sessions"):
        await planned(api, agent["id"], user_id=f"{key}:jti_1")

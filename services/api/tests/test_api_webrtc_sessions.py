"""`POST /api/v1/webrtc/sessions` over HTTP with a runtime that answers."""

from datetime import UTC, datetime

import msgspec
import pytest
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Tenant, TenantStatus, UsageLimits
from voisnap_proto.events import TenantCreated, TenantResumed, TenantSuspended, TenantUpdated

pytestmark = pytest.mark.slice

URL = "/api/v1/webrtc/sessions"

TENANT = Tenant(
    id=TenantId("ten_a"),
    name="A",
    slug="a",
    status=TenantStatus.ACTIVE,
    plan="professional",
    agency_id=None,
    billing_mode="self_billed",
    usage_limits=UsageLimits(max_concurrent_calls=3),
    owner=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    updated_at=datetime(2026, 1, 1, tzinfo=UTC),
)


async def test_session_has_the_documented_shape_and_the_runtime_gets_the_whole_agent(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    await api.start_runtime()
    body = {"agentId": agent["id"], "metadata": {"userId": "user_12345"}}
    answer = await api.client.post(URL, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    session = answer.json()
    plan = api.opened[0].plan
    assert session == {
        "sessionId": plan.session_id,
        "sessionToken": "wrtc_tok_secret",
        "expiresAt": "2026-01-02T09:35:00Z",
        "iceServers": [
            {"urls": ["stun:127.0.0.1:3478"]},
            {"urls": ["turn:127.0.0.1:3478?transport=udp"], "username": "1:s", "credential": "c"},
        ],
        "conversationId": plan.conversation_id,
    }
    assert plan.session_id.startswith("wrtc_")
    assert (plan.tenant_id, plan.agent.version, plan.metadata) == ("ten_a", 1, {"userId": "user_12345"})
    assert plan.agent.config.system_prompt_template == agent["systemPromptTemplate"]
    assert (await api.client.post(URL, json={"agentId": agent["id"]}, headers=headers)).status_code == 201


async def test_published_version_talks_while_a_newer_one_is_written(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    url = f"/api/v1/agents/{agent['id']}"
    await api.start_runtime()
    await api.client.post(f"{url}/publish", headers=headers)
    await api.client.patch(url, json={"firstMessage": "Draft!"}, headers=headers)
    await api.client.post(URL, json={"agentId": agent["id"]}, headers=headers)
    await api.client.post(f"{url}/publish", headers=headers)
    await api.client.post(URL, json={"agentId": agent["id"]}, headers=headers)
    talking = [(request.plan.agent.version, request.plan.agent.config.first_message) for request in api.opened]
    assert talking == [(1, "Hello! How can I help you today?"), (2, "Draft!")]


async def test_unknown_foreign_and_inactive_agents(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    await api.start_runtime()
    for caller, agent_id in ((headers, "agt_nowhere"), (api.token("ten_b"), agent["id"])):
        answer = await api.client.post(URL, json={"agentId": agent_id}, headers=caller)
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/agent-not-found")
    await api.client.post(f"/api/v1/agents/{agent['id']}/deactivate", headers=headers)
    inactive = await api.client.post(URL, json={"agentId": agent["id"]}, headers=headers)
    assert inactive.status_code == 409
    assert inactive.json()["type"].endswith("/agent-inactive")
    assert api.opened == []


async def test_body_must_be_right(api):
    headers = api.token("ten_a")
    wrong = await api.client.post(URL, json={"agent": "x", "metadata": 3}, headers=headers)
    assert wrong.status_code == 422
    assert {fault["pointer"] for fault in wrong.json()["errors"]} == {"/agentId", "/agent", "/metadata"}
    large = await api.client.post(URL, json={"agentId": "agt_1", "metadata": {"a": "x" * 20_000}}, headers=headers)
    assert large.status_code == 422


async def test_credentials_need_the_scope_and_the_bound_agent(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    await api.start_runtime()
    body = {"agentId": agent["id"]}
    reader = api.token("ten_a", scopes=frozenset({"agents:read"}))
    assert (await api.client.post(URL, json=body, headers=reader)).status_code == 403
    other = api.token("ten_a", agent="agt_other")
    assert (await api.client.post(URL, json=body, headers=other)).status_code == 403
    key = {"Authorization": f"Bearer {await api.add_key()}"}
    assert (await api.client.post(URL, json=body, headers=key)).status_code == 201


async def test_suspended_tenant_gets_no_session_until_it_is_resumed(api):
    await api.follow()
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    await api.start_runtime()
    body = {"agentId": agent["id"]}

    async def at(second: int, kind: type, status: TenantStatus) -> int:
        moment = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
        tenant = msgspec.structs.replace(TENANT, status=status, updated_at=moment)
        await api.tell(kind(tenant_id=TENANT.id, tenant=tenant))
        return (await api.client.post(URL, json=body, headers=headers)).status_code

    assert await at(0, TenantCreated, TenantStatus.ACTIVE) == 201
    assert await at(10, TenantSuspended, TenantStatus.SUSPENDED) == 403
    assert await at(5, TenantUpdated, TenantStatus.ACTIVE) == 403, "an older event must not undo a newer one"
    refused = await api.client.post(URL, json=body, headers=headers)
    assert refused.json()["type"].endswith("/tenant-suspended")
    assert await at(20, TenantResumed, TenantStatus.ACTIVE) == 201
    assert api.opened[-1].plan.max_concurrent == 3


async def test_a_plan_allows_so_many_agents(api):
    await api.follow()
    limited = msgspec.structs.replace(TENANT, usage_limits=UsageLimits(max_agents=1))
    await api.tell(TenantCreated(tenant_id=TENANT.id, tenant=limited))
    agent = await api.add_agent(api.token("ten_a"))
    refused = await api.client.post(f"/api/v1/agents/{agent['id']}/duplicate", headers=api.token("ten_a"))
    assert refused.status_code == 429
    assert refused.json()["type"].endswith("/agent-limit-reached")
    assert (await api.client.get("/api/v1/agents", headers=api.token("ten_a"))).json()["total"] == 1


async def test_the_plan_decides_the_rate(start_api):
    async with start_api(rate_limit_factor=1) as api:
        await api.follow()
        business = msgspec.structs.replace(TENANT, plan="business")
        await api.tell(TenantCreated(tenant_id=TENANT.id, tenant=business))
        answer = await api.client.get("/api/v1/agents/agt_x", headers=api.token("ten_a"))
        assert (answer.headers["x-ratelimit-policy"], answer.headers["x-ratelimit-limit"]) == ("api-standard", "300")


async def test_refusals_of_the_runtime(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    body = {"agentId": agent["id"]}
    nobody = await api.client.post(URL, json=body, headers=headers)
    assert nobody.status_code == 503
    assert int(nobody.headers["retry-after"]) > 0

    for code, status in (("session-limit-reached", 429), ("node-full", 503)):

        def refuse(_request, code=code):
            raise LimitReached("No more.", code=code)

        await api.start_runtime(refuse)
        answer = await api.client.post(URL, json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, code)
        api.bus._responders.clear()


async def test_a_bus_that_is_away_is_a_503(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    api.bus.away = True
    answer = await api.client.post(URL, json={"agentId": agent["id"]}, headers=headers)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    ready = await api.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["nats"]["status"] == "failed"
    api.bus.away = False
    assert (await api.client.get("/readyz")).json()["status"] == "ready"

"""Logging in, refreshing, hub tokens and API keys over HTTP."""

import asyncio
from datetime import UTC, datetime

import pytest
from voisnap_api.api_keys import secrets
from voisnap_domain.errors import Unauthenticated
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment, Tenant, TenantStatus, UsageLimits
from voisnap_kit.tokens import parse_jwks, verify
from voisnap_proto.events import TenantDeleted

pytestmark = pytest.mark.slice

PASSWORD = "correct horse battery staple"


async def log_in(api, email="ada@example.com", **body):
    return await api.client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD} | body)


async def test_login_gives_tokens_that_the_published_keys_verify(api):
    user = await api.add_user("ada@example.com", platform_admin=True)
    answer = await log_in(api, email="ADA@example.com")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"accessToken", "refreshToken", "expiresIn", "tokenType", "user"}
    assert (body["expiresIn"], body["tokenType"]) == (900, "Bearer")
    assert (body["user"]["id"], body["user"]["email"], body["user"]["role"]) == (
        user.id,
        "ada@example.com",
        "TenantOwner",
    )
    assert "password" not in answer.text.lower()
    keys = parse_jwks((await api.client.get("/.well-known/jwks.json")).json())
    claims = verify(body["accessToken"], keys)
    assert (claims.sub, claims.tid, claims.env, claims.pa) == (user.id, "ten_a", "live", True)
    assert {"hub", "agents:write", "webrtc:write"} <= claims.scopes
    me = await api.client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {body['accessToken']}"})
    assert me.json()["id"] == user.id


async def test_login_environment_is_in_the_token(api):
    await api.add_user("ada@example.com")
    body = (await log_in(api, environment="sandbox")).json()
    assert verify(body["accessToken"], api.signer.keys()).env == "sandbox"


async def test_wrong_password_and_unknown_person_get_the_same_answer(api):
    await api.add_user("ada@example.com")
    wrong = await log_in(api, password="wrong")
    unknown = await log_in(api, email="nobody@example.com")
    assert wrong.status_code == unknown.status_code == 401
    same = {"type", "title", "status", "detail"}
    assert {key: wrong.json()[key] for key in same} == {key: unknown.json()[key] for key in same}


async def test_disabled_person_cannot_log_in(api):
    await api.add_user("ada@example.com", status="disabled")
    assert (await log_in(api)).status_code == 401


async def test_sixth_login_of_a_minute_from_one_address_is_refused(start_api):
    async with start_api(rate_limit_factor=1) as api:
        await api.add_user("ada@example.com")
        answers = [await log_in(api, password="wrong") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        refused = answers[-1]
        assert refused.json()["type"] == "https://docs.voisnap.ai/errors/rate-limit-exceeded"
        assert "auth-strict" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["x-ratelimit-policy"] == "auth-strict"


async def test_guessing_credentials_is_slowed_down(start_api):
    async with start_api(rate_limit_factor=0.02) as api:
        wrong = {"Authorization": f"Bearer {secrets.generate(Environment.LIVE)}"}
        answers = [await api.client.get("/api/v1/agents", headers=wrong) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        keys = [await api.client.get("/.well-known/jwks.json") for _ in range(4)]
        assert {answer.status_code for answer in keys} == {200}


async def test_answers_say_how_much_of_the_rate_is_left(start_api):
    async with start_api(rate_limit_factor=1) as api:
        first = await api.client.get("/api/v1/agents", headers=api.token("ten_a"))
        second = await api.client.get("/api/v1/agents", headers=api.token("ten_a"))
        missing = await api.client.get("/api/v1/agents/agt_x", headers=api.token("ten_a"))
    assert (first.headers["x-ratelimit-policy"], first.headers["x-ratelimit-limit"]) == ("api-read-heavy", "300")
    assert (first.headers["x-ratelimit-remaining"], second.headers["x-ratelimit-remaining"]) == ("299", "298")
    assert int(first.headers["x-ratelimit-reset"]) > 1_700_000_000
    assert missing.status_code == 404
    assert missing.headers["x-ratelimit-policy"] == "api-standard"


async def test_refresh_rotates_and_reuse_ends_the_family(api):
    await api.add_user("ada@example.com")
    first = (await log_in(api)).json()["refreshToken"]
    second = (await api.client.post("/api/v1/auth/refresh", json={"refreshToken": first})).json()["refreshToken"]
    assert second != first
    reused = await api.client.post("/api/v1/auth/refresh", json={"refreshToken": first})
    assert reused.status_code == 401
    assert reused.json()["type"].endswith("/invalid-refresh-token")
    assert (await api.client.post("/api/v1/auth/refresh", json={"refreshToken": second})).status_code == 401
    other = (await log_in(api)).json()["refreshToken"]
    assert (await api.client.post("/api/v1/auth/refresh", json={"refreshToken": other})).status_code == 200


async def test_a_refresh_token_is_exchanged_once_even_at_the_same_time(api):
    await api.add_user("ada@example.com")
    token = (await log_in(api)).json()["refreshToken"]
    answers = await asyncio.gather(
        *(api.client.post("/api/v1/auth/refresh", json={"refreshToken": token}) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


async def test_logout_ends_the_family(api):
    await api.add_user("ada@example.com")
    token = (await log_in(api)).json()["refreshToken"]
    assert (await api.client.post("/api/v1/auth/logout", json={"refreshToken": token})).status_code == 204
    assert (await api.client.post("/api/v1/auth/refresh", json={"refreshToken": token})).status_code == 401


async def test_hub_token_is_short_narrow_and_bound(api):
    key = await api.add_key(environment=Environment.SANDBOX)
    body = {"agentId": "agt_1", "ttlSeconds": 120}
    answer = await api.client.post("/api/v1/auth/hub-token", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    claims = verify(answer.json()["accessToken"], api.signer.keys())
    assert (claims.env, claims.agent, claims.exp - claims.iat) == ("sandbox", "agt_1", 120)
    assert claims.scopes == {"hub", "webrtc:write"}
    long = await api.client.post(
        "/api/v1/auth/hub-token", json={"ttlSeconds": 86400}, headers={"Authorization": f"Bearer {key}"}
    )
    assert long.status_code == 422


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, "Authorization"),
        ("Basic YTpi", "Authorization"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "token"),
        ("Bearer vsnp_test_0123456789", "vsnp_live_"),
        ("Bearer vsnp_live_0123456789", "mistyped"),
    ],
)
async def test_unusable_credentials_get_a_401_that_says_why(api, header, part):
    answer = await api.client.get("/api/v1/agents", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert part in answer.json()["detail"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_key_is_shown_once_listed_without_its_text_and_revoked(api, monkeypatch):
    monkeypatch.setattr("voisnap_api.auth.credentials.REMEMBERED_SECONDS", 0.0)
    headers = api.token("ten_a")
    body = {"name": "server", "scopes": ["agents:read"], "expiresAt": "2999-01-01T00:00:00Z"}
    created = await api.client.post("/api/v1/api-keys", json=body, headers=headers)
    assert created.status_code == 201, created.text
    text = created.json()["key"]
    assert text.startswith("vsnp_live_")
    assert created.json()["prefix"] == text[: len("vsnp_live_") + 6]
    with_key = {"Authorization": f"Bearer {text}"}
    assert (await api.client.get("/api/v1/agents", headers=with_key)).status_code == 200
    assert (await api.client.post("/api/v1/agents", json={}, headers=with_key)).status_code == 403
    listed = await api.client.get("/api/v1/api-keys", headers=headers)
    assert listed.json()["total"] == 1
    assert text not in listed.text
    key_id = created.json()["id"]
    assert (await api.client.delete(f"/api/v1/api-keys/{key_id}", headers=api.token("ten_b"))).status_code == 404
    assert (await api.client.delete(f"/api/v1/api-keys/{key_id}", headers=headers)).status_code == 204
    assert (await api.client.get("/api/v1/agents", headers=with_key)).status_code == 401


async def test_key_gives_no_more_than_its_maker_has_and_only_known_scopes(api):
    maker = api.token("ten_a", scopes=frozenset({"keys:write", "agents:read"}))
    beyond = await api.client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["agents:write"]}, headers=maker)
    assert beyond.status_code == 403
    wrong = {"name": "", "scopes": ["agents:fly"], "expiresAt": "2001-01-01T00:00:00Z"}
    refused = await api.client.post("/api/v1/api-keys", json=wrong, headers=maker)
    assert {fault["pointer"] for fault in refused.json()["errors"]} == {"/name", "/scopes/0", "/expiresAt"}


async def test_a_credential_of_the_other_environment_is_told_where_it_belongs(api):
    live = await api.add_key(environment=Environment.LIVE)
    headers = {"Authorization": f"Bearer {live}", "Host": "sandbox.api.voisnap.ai"}
    answer = await api.client.get("/api/v1/agents", headers=headers)
    assert answer.status_code == 401
    assert "live" in answer.json()["detail"]


async def test_last_use_of_a_key_is_written_down_later(start_api):
    async with start_api() as api:
        key = await api.add_key()
        await api.client.get("/api/v1/agents", headers={"Authorization": f"Bearer {key}"})
        database = api.database
    async with database.transaction_as_system() as tx:
        assert await tx.one(bool, "SELECT last_used_at IS NOT NULL FROM api_keys")


def test_generated_keys_are_recognised_and_one_wrong_character_is_found():
    for environment in Environment:
        key = secrets.generate(environment)
        assert secrets.environment_of(key) is environment
        for position in range(len("vsnp_live_"), len(key)):
            broken = key[:position] + ("a" if key[position] != "a" else "b") + key[position + 1 :]
            with pytest.raises(Unauthenticated):
                secrets.environment_of(broken)


async def hub_claims(api, headers, **body):
    answer = await api.client.post("/api/v1/auth/hub-token", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["accessToken"], verify(answer.json()["accessToken"], api.signer.keys())


async def test_bound_hub_tokens_read_nothing_and_no_hub_token_makes_another(api):
    headers = api.token("ten_a")
    for_agent, of_agent = await hub_claims(api, headers, agentId="agt_1")
    for_session, of_session = await hub_claims(api, headers, sessionId="wrtc_1")
    unbound, of_caller = await hub_claims(api, headers)
    assert (of_agent.scopes, of_session.scopes) == ({"hub", "webrtc:write"}, {"hub"})
    assert of_caller.scopes == {"hub", "webrtc:write", "conversations:read"}
    for token in (for_agent, for_session):
        bound = {"Authorization": f"Bearer {token}"}
        assert (await api.client.get("/api/v1/conversations", headers=bound)).status_code == 403
    for token in (for_agent, for_session, unbound):
        bound = {"Authorization": f"Bearer {token}"}
        again = await api.client.post("/api/v1/auth/hub-token", json={}, headers=bound)
        assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (403, "hub-token")


async def test_a_deleted_tenant_has_no_way_in(api):
    await api.add_user("ada@example.com")
    key, entered = await api.add_key(), (await log_in(api)).json()
    at = datetime.now(UTC)
    tenant = Tenant(
        id=TenantId("ten_a"),
        name="A",
        slug="a",
        status=TenantStatus.DELETED,
        plan="starter",
        agency_id=None,
        billing_mode="self_billed",
        usage_limits=UsageLimits(),
        owner=None,
        created_at=at,
        updated_at=at,
    )
    await api.follow()
    await api.tell(TenantDeleted(tenant_id=tenant.id, tenant=tenant))
    assert (await log_in(api)).status_code == 401
    renewed = await api.client.post("/api/v1/auth/refresh", json={"refreshToken": entered["refreshToken"]})
    assert renewed.status_code == 401
    assert (await api.client.get("/api/v1/agents", headers={"Authorization": f"Bearer {key}"})).status_code == 401

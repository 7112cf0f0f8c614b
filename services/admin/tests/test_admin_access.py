"""Who may use the Admin API, what the database itself refuses, and what every answer carries."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from voisnap_admin.auth import caller_of
from voisnap_domain.errors import Unauthenticated
from voisnap_kit.postgres import Database, DatabaseError
from voisnap_kit.tokens import Claims, TokenSigner
from voisnap_testkit.databases import TestDatabase

pytestmark = pytest.mark.slice


async def test_without_a_token_the_answer_is_401_with_a_challenge(client_with: Callable[..., Any]) -> None:
    async with client_with(None) as nobody:
        response = await nobody.get("/tenants")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["type"] == "https://docs.voisnap.ai/errors/unauthorized"


@pytest.mark.parametrize("value", ["", "nonsense", "vsnp_live_abcdefghijklmnopqrstuvw", "a.b.c"])
async def test_anything_but_an_access_token_is_401(client_with: Callable[..., Any], value: str) -> None:
    async with client_with(None) as nobody:
        response = await nobody.get("/tenants", headers={"Authorization": f"Bearer {value}"})
    assert response.status_code == 401


async def test_expired_and_foreign_tokens_are_401(client_with: Callable[..., Any], sign: Callable[..., str]) -> None:
    foreign = TokenSigner.generate().sign(
        subject="usr_x",
        tenant_id="ten_x",
        environment="live",
        role="PlatformAdmin",
        scopes=frozenset({"admin:*"}),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=5),
        token_id="t",
        platform_admin=True,
    )
    for access_token in (foreign, sign(now=datetime.now(UTC) - timedelta(hours=1))):
        async with client_with(access_token) as stranger:
            assert (await stranger.get("/tenants")).status_code == 401


async def test_a_hub_token_is_no_way_in(client_with: Callable[..., Any], sign: Callable[..., str]) -> None:
    async with client_with(sign(session_id="wrtc_1")) as caller:
        assert (await caller.get("/tenants")).status_code == 401


async def test_a_tenants_owner_is_refused_on_every_route(
    client_with: Callable[..., Any], sign: Callable[..., str], operator: Any
) -> None:
    created = await operator.create()
    async with client_with(sign(platform_admin=False)) as owner:
        answers = [
            await owner.get("/tenants"),
            await owner.get(f"/tenants/{created['id']}"),
            await owner.post("/tenants", {"name": "Mine", "slug": "mine"}),
            await owner.patch(f"/tenants/{created['id']}", {"name": "Mine"}),
            await owner.post(f"/tenants/{created['id']}/suspend"),
            await owner.post(f"/tenants/{created['id']}/resume"),
            await owner.delete(f"/tenants/{created['id']}"),
            await owner.get(f"/tenants/{created['id']}/limits"),
            await owner.put(f"/tenants/{created['id']}/limits", {}),
            await owner.patch(f"/tenants/{created['id']}/limits", {}),
            await owner.get("/audit-log"),
        ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert {answer.json()["type"] for answer in answers} == {"https://docs.voisnap.ai/errors/platform-admin-required"}


async def test_a_reading_operator_may_not_write(client_with: Callable[..., Any], sign: Callable[..., str]) -> None:
    async with client_with(sign(scopes=frozenset({"admin:read"}))) as reader:
        assert (await reader.get("/tenants")).status_code == 200
        response = await reader.post("/tenants", {"name": "Mine", "slug": "mine"})
    assert (response.status_code, response.json()["type"]) == (403, "https://docs.voisnap.ai/errors/missing-scope")


async def test_the_database_itself_hides_tenants_from_other_tenants(operator: Any) -> None:
    mine = await operator.create(slug="mine")
    await operator.create(slug="theirs")
    async with operator.database.transaction(mine["id"], "live") as tx:
        assert await tx.all(str, "SELECT id FROM tenants") == [mine["id"]]
        assert await tx.exec("UPDATE tenants SET name = 'stolen'") == 0
        assert await tx.all(str, "SELECT id FROM audit_log") == []


async def test_the_audit_log_can_not_be_changed_through_the_services_role(operator: Any) -> None:
    await operator.create()
    async with operator.database.transaction("ten_platform", "live", platform_admin=True) as tx:
        assert await tx.exec("UPDATE audit_log SET action = 'nothing'") == 0
        assert await tx.exec("DELETE FROM audit_log") == 0
    with pytest.raises((DatabaseError, psycopg.Error)):
        async with operator.database.transaction("ten_x", "live") as tx:
            await tx.exec(
                "INSERT INTO audit_log (id, at, actor_role, action, target_id, tenant_id) VALUES ('a', now(), 'x', 'x', 'x', 'ten_x')"
            )


async def test_changes_are_noted_with_actor_and_old_and_new_values(operator: Any) -> None:
    created = await operator.create(name="Old", usageLimits={"maxAgents": 1})
    await operator.patch(f"/tenants/{created['id']}", {"name": "New", "usageLimits": {"maxAgents": 2}})
    await operator.post(f"/tenants/{created['id']}/suspend", {"reason": "unpaid"})
    log = (await operator.get("/audit-log", params={"tenantId": created["id"]})).json()
    assert [entry["action"] for entry in log["data"]] == ["tenant.suspended", "tenant.updated", "tenant.created"]
    suspended, updated, _ = log["data"]
    assert updated["actor"] == {"id": "usr_operator", "role": "PlatformAdmin"}
    assert updated["changes"]["name"] == {"old": "Old", "new": "New"}
    assert updated["changes"]["usage_limits"]["new"]["max_agents"] == 2
    assert suspended["changes"] == {"status": {"old": "active", "new": "suspended"}}


async def test_the_audit_log_filters_by_action_tenant_and_time(operator: Any) -> None:
    first = await operator.create(slug="first")
    await operator.create(slug="second")
    await operator.post(f"/tenants/{first['id']}/suspend")

    async def total(**params: Any) -> int:
        return (await operator.get("/audit-log", params=params)).json()["total"]

    assert await total() == 3
    assert await total(action="tenant.created") == 2
    assert await total(tenantId=first["id"]) == 2
    assert await total(dateFrom="2999-01-01T00:00:00Z") == 0
    assert await total(dateTo="2999-01-01T00:00:00Z") == 3


async def test_a_refused_change_is_not_noted(operator: Any) -> None:
    created = await operator.create()
    await operator.post(f"/tenants/{created['id']}/resume")
    assert (await operator.get("/audit-log")).json()["total"] == 1


async def test_every_answer_carries_request_id_and_version(operator: Any) -> None:
    own = await operator.get("/tenants", headers={"X-Request-Id": "req_0123456789"})
    made = await operator.get("/nowhere", headers={"X-Request-Id": "bad id\twith spaces"})
    assert (own.headers["X-Request-Id"], own.headers["X-Api-Version"]) == ("req_0123456789", "1")
    assert made.status_code == 404
    assert made.headers["X-Request-Id"].startswith("req_")
    assert made.json()["type"] == "https://docs.voisnap.ai/errors/not-found"


async def test_readiness_names_the_part_that_is_away(operator: Any) -> None:
    assert (await operator.http.get("/readyz")).status_code == 200
    operator.bus.away = True
    response = await operator.http.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["nats"] == {"status": "failed", "detail": "not connected"}
    assert response.json()["checks"]["database"] == {"status": "ok"}


async def test_seeding_twice_makes_one_tenant(admin_database: Database) -> None:
    from voisnap_admin.seed import SeedRequest, seed_tenant

    request = msgspec.json.decode(
        b'{"tenantId":"ten_demo","name":"Demo","slug":"demo","owner":{"email":"demo@voisnap.test","name":"Demo Owner"}}',
        type=SeedRequest,
    )
    first = await seed_tenant(admin_database, request)
    second = await seed_tenant(admin_database, request)
    async with admin_database.transaction_as_system() as tx:
        assert await tx.one(int, "SELECT count(*) AS n FROM outbox") == 1
    assert first == second
    assert (first.id, first.owner.name if first.owner else None) == ("ten_demo", "Demo Owner")


async def test_every_statement_of_the_service_can_be_planned(
    database_for: Callable[..., TestDatabase], plan_statements: Callable[..., Any]
) -> None:
    import voisnap_admin

    planned = await plan_statements(database_for("voisnap_admin"), Path(str(voisnap_admin.__file__)).parent)
    assert planned >= 7


@pytest.mark.parametrize("claims", [{"env": "moon"}, {"agent": "agt_1"}, {"sid": "wrtc_1"}])
def test_claims_that_name_no_caller_are_refused(claims: dict[str, str]) -> None:
    whole = {
        "sub": "u",
        "tid": "t",
        "env": "live",
        "role": "PlatformAdmin",
        "scope": "",
        "iat": 1,
        "exp": 2,
        "jti": "j",
        **claims,
    }
    with pytest.raises(Unauthenticated):
        caller_of(msgspec.convert(whole, Claims))


def test_the_committed_openapi_document_is_up_to_date() -> None:
    from voisnap_admin.openapi import document

    committed = Path(__file__).parents[3] / "proto" / "openapi" / "admin.json"
    assert committed.read_text(encoding="utf-8") == document(), "run `make proto`"

"""Operators create, change, suspend and limit tenants; each change is told to the other services and noted."""

import asyncio
from typing import Any

import msgspec
import pytest
from voisnap_admin.tenants import subscribers as tenant_subscribers
from voisnap_domain.errors import Conflict
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Owner, TenantStatus, UsageLimits
from voisnap_proto.events import TenantCreated, TenantDeleted, TenantResumed, TenantSuspended, TenantUpdated
from voisnap_proto.requests import CREATE_TENANT, CreateTenant, TenantReady
from voisnap_testkit.memory_bus import MemoryBus

pytestmark = pytest.mark.slice

LIMITS = {"monthlySpendLimitCents": 50_000, "maxAgents": 5, "maxPhoneNumbers": 2, "maxConcurrentCalls": 10}


async def test_a_created_tenant_has_the_documented_shape(operator: Any) -> None:
    response = await operator.post(
        "/tenants",
        {
            "name": "Harbor Dental",
            "slug": "harbor-dental",
            "plan": "professional",
            "billingMode": "platform_billed",
            "agencyId": "agn_1",
            "owner": {"email": "mia@harbor.test", "firstName": "Mia", "lastName": "Chen"},
            "usageLimits": LIMITS,
        },
    )
    body = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/admin/tenants/{body['id']}"
    assert body["id"].startswith("ten_")
    assert body["owner"].pop("id").startswith("usr_")
    assert body["createdAt"].endswith("Z")
    assert {name: body[name] for name in body if name not in ("id", "createdAt", "updatedAt")} == {
        "name": "Harbor Dental",
        "slug": "harbor-dental",
        "status": "active",
        "plan": "professional",
        "agencyId": "agn_1",
        "billingMode": "platform_billed",
        "usageLimits": LIMITS,
        "owner": {"email": "mia@harbor.test", "name": "Mia Chen"},
    }
    assert (await operator.get(f"/tenants/{body['id']}")).json() == {
        **body,
        "owner": {**body["owner"], "id": response.json()["owner"]["id"]},
    }


async def test_a_created_tenant_is_told_to_the_other_services(operator: Any) -> None:
    created = await operator.create(usageLimits=LIMITS)
    (event,) = await operator.events()
    assert isinstance(event, TenantCreated)
    assert event.tenant_id == event.tenant.id == created["id"]
    assert event.tenant.usage_limits == UsageLimits(
        monthly_spend_limit_cents=50_000, max_agents=5, max_phone_numbers=2, max_concurrent_calls=10
    )


async def test_a_taken_slug_is_a_conflict_and_nothing_is_stored_or_told(operator: Any) -> None:
    await operator.create(slug="harbor")
    response = await operator.post("/tenants", {"name": "Other", "slug": "harbor"})
    assert response.status_code == 409
    assert response.json()["type"] == "https://docs.voisnap.ai/errors/slug-taken"
    assert (await operator.get("/tenants")).json()["total"] == 1
    assert len(await operator.events()) == 1


async def test_all_wrong_fields_are_reported_at_once(operator: Any) -> None:
    response = await operator.post(
        "/tenants",
        {
            "slug": "Not A Slug",
            "billingMode": "free",
            "colour": "red",
            "owner": {"email": "nobody"},
            "usageLimits": {"maxAgents": -1, "maxPhones": 3},
        },
    )
    body = response.json()
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert {(error["pointer"], error["code"]) for error in body["errors"]} == {
        ("/name", "required"),
        ("/slug", "wrong-format"),
        ("/billingMode", "not-allowed"),
        ("/colour", "unknown-field"),
        ("/owner/email", "wrong-format"),
        ("/usageLimits/maxAgents", "too-small"),
        ("/usageLimits/maxPhones", "unknown-field"),
    }
    assert body["traceId"].startswith("trace_")


async def test_malformed_json_is_400(operator: Any) -> None:
    response = await operator.http.post(
        "/api/v1/admin/tenants", content=b'{"name":', headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["type"]) == (400, "https://docs.voisnap.ai/errors/malformed-json")


async def test_an_unknown_tenant_is_404_and_named(operator: Any) -> None:
    response = await operator.get("/tenants/ten_none")
    assert (response.status_code, response.json()["detail"]) == (404, "No tenant with ID ten_none found.")
    for path, method in (("/tenants/ten_none/suspend", operator.post), ("/tenants/ten_none/resume", operator.post)):
        assert (await method(path)).status_code == 404


async def test_lists_are_paged_newest_first(operator: Any) -> None:
    for n in range(5):
        await operator.create(name=f"Tenant {n}", slug=f"tenant-{n}")
    page = (await operator.get("/tenants", params={"page": 2, "pageSize": 2})).json()
    assert [tenant["slug"] for tenant in page["data"]] == ["tenant-2", "tenant-1"]
    assert {name: page[name] for name in ("page", "pageSize", "total", "totalPages")} == {
        "page": 2,
        "pageSize": 2,
        "total": 5,
        "totalPages": 3,
    }


async def test_lists_filter_search_and_sort(operator: Any) -> None:
    await operator.create(name="Alpha", slug="alpha", plan="starter", agencyId="agn_1")
    beta = await operator.create(name="beta 100%", slug="beta", plan="business")
    await operator.create(name="Gamma", slug="gamma", plan="business", agencyId="agn_1")
    await operator.post(f"/tenants/{beta['id']}/suspend")

    async def slugs(**params: Any) -> list[str]:
        return [tenant["slug"] for tenant in (await operator.get("/tenants", params=params)).json()["data"]]

    assert await slugs(status="suspended") == ["beta"]
    assert await slugs(plan="business") == ["gamma", "beta"]
    assert await slugs(agencyId="agn_1") == ["gamma", "alpha"]
    assert await slugs(search="BETA") == ["beta"]
    assert await slugs(search="%") == ["beta"]
    assert await slugs(sortBy="name", sortOrder="asc") == ["alpha", "beta", "gamma"]
    assert await slugs(sortBy="name", sortOrder="desc") == ["gamma", "beta", "alpha"]
    assert await slugs(sortOrder="asc") == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    "params", [{"page": 0}, {"pageSize": 101}, {"pageSize": "many"}, {"sortBy": "colour"}, {"status": "happy"}]
)
async def test_a_wrong_query_parameter_is_422_and_named(operator: Any, params: dict[str, Any]) -> None:
    response = await operator.get("/tenants", params=params)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [f"?{next(iter(params))}"]


async def test_a_patch_changes_what_it_names(operator: Any) -> None:
    created = await operator.create(agencyId="agn_1", usageLimits=LIMITS)
    response = await operator.patch(
        f"/tenants/{created['id']}", {"name": "New", "agencyId": None, "usageLimits": {"maxAgents": None}}
    )
    changed = response.json()
    assert response.status_code == 200
    assert changed == {
        **created,
        "name": "New",
        "agencyId": None,
        "usageLimits": {**LIMITS, "maxAgents": None},
        "updatedAt": changed["updatedAt"],
    }
    _, event = await operator.events()
    assert isinstance(event, TenantUpdated)
    assert (event.tenant.name, event.tenant.usage_limits.max_agents) == ("New", None)


async def test_a_patch_that_changes_nothing_is_not_told(operator: Any) -> None:
    created = await operator.create()
    response = await operator.patch(f"/tenants/{created['id']}", {"name": created["name"]})
    assert response.json() == created
    assert len(await operator.events()) == 1


async def test_a_patch_to_a_taken_slug_is_a_conflict(operator: Any) -> None:
    await operator.create(slug="first")
    second = await operator.create(slug="second")
    response = await operator.patch(f"/tenants/{second['id']}", {"slug": "first"})
    assert response.status_code == 409


async def test_suspending_and_resuming_are_told_and_refused_twice(operator: Any) -> None:
    created = await operator.create()
    path = f"/tenants/{created['id']}"
    suspended = await operator.post(f"{path}/suspend", {"reason": "unpaid"})
    again = await operator.post(f"{path}/suspend")
    resumed = await operator.post(f"{path}/resume")
    resumed_again = await operator.post(f"{path}/resume")
    assert (suspended.status_code, suspended.json()["status"]) == (200, "suspended")
    assert (again.status_code, again.json()["type"]) == (409, "https://docs.voisnap.ai/errors/tenant-suspended")
    assert (resumed.status_code, resumed.json()["status"]) == (200, "active")
    assert resumed_again.status_code == 409
    _, first, second = await operator.events()
    assert isinstance(first, TenantSuspended)
    assert (first.reason, first.tenant.status) == ("unpaid", TenantStatus.SUSPENDED)
    assert isinstance(second, TenantResumed)
    assert second.tenant.status is TenantStatus.ACTIVE


async def test_a_deleted_tenant_leaves_lists_and_takes_no_more_changes(operator: Any) -> None:
    created = await operator.create()
    path = f"/tenants/{created['id']}"
    assert (await operator.delete(path)).status_code == 204
    assert (await operator.get("/tenants")).json()["total"] == 0
    assert (await operator.get("/tenants", params={"status": "deleted"})).json()["total"] == 1
    assert (await operator.delete(path)).status_code == 409
    assert (await operator.post(f"{path}/resume")).status_code == 409
    assert (await operator.patch(path, {"name": "Ghost"})).status_code == 409
    assert isinstance((await operator.events())[-1], TenantDeleted)


async def test_limits_are_replaced_and_patched(operator: Any) -> None:
    created = await operator.create(usageLimits=LIMITS)
    path = f"/tenants/{created['id']}/limits"
    assert (await operator.get(path)).json() == LIMITS
    patched = (await operator.patch(path, {"maxConcurrentCalls": None, "maxAgents": 9})).json()
    assert patched == {**LIMITS, "maxConcurrentCalls": None, "maxAgents": 9}
    replaced = (await operator.put(path, {"maxAgents": 1})).json()
    assert replaced == {
        "monthlySpendLimitCents": None,
        "maxAgents": 1,
        "maxPhoneNumbers": None,
        "maxConcurrentCalls": 20,
    }
    assert [event.tenant.usage_limits.max_agents for event in await operator.events()] == [5, 9, 1]


async def test_a_change_of_another_version_is_refused(operator: Any) -> None:
    created = await operator.create()
    path = f"/tenants/{created['id']}"
    etag = (await operator.get(path)).headers["ETag"]
    assert (await operator.patch(path, {"name": "B"}, headers={"If-Match": etag})).status_code == 200
    refused = await operator.patch(path, {"name": "C"}, headers={"If-Match": etag})
    assert (refused.status_code, refused.json()["type"]) == (412, "https://docs.voisnap.ai/errors/precondition-failed")
    assert (await operator.get(path)).json()["name"] == "B"


async def test_changes_at_the_same_time_are_told_in_the_order_they_were_made(operator: Any) -> None:
    created = await operator.create()
    path = f"/tenants/{created['id']}/limits"
    await asyncio.gather(*(operator.patch(path, {"maxAgents": n}) for n in range(12)))
    events = await operator.events()
    stored = (await operator.get(path)).json()["maxAgents"]
    assert events[-1].tenant.usage_limits.max_agents == stored
    assert [event.tenant.updated_at for event in events] == sorted(event.tenant.updated_at for event in events)


async def test_the_api_gets_a_tenant_for_who_registered_once(admin_database):
    bus = MemoryBus()
    await tenant_subscribers.subscribe(bus, admin_database)
    request = CreateTenant(
        tenant_id=TenantId("ten_1"),
        name="Compilers & Co",
        slug="compilers-co-abc123",
        plan="starter",
        owner=Owner(id="usr_1", email="grace@example.com", name="Grace Hopper"),
    )
    first = await bus.request(CREATE_TENANT, request, TenantReady)
    again = await bus.request(CREATE_TENANT, request, TenantReady)
    assert first.tenant == again.tenant
    assert (first.tenant.status, first.tenant.owner.email) == (TenantStatus.ACTIVE, "grace@example.com")
    other = msgspec.structs.replace(request, tenant_id=TenantId("ten_2"))
    with pytest.raises(Conflict, match="taken"):
        await bus.request(CREATE_TENANT, other, TenantReady)

"""The audit log: written with the deed, read by who may, changed by nobody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from voisnap_api.audit import usecases
from voisnap_api.audit.records import Target
from voisnap_api.auth.scopes import Role
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Caller, begin, begin_as_system

pytestmark = pytest.mark.slice

START = datetime(2026, 1, 1, tzinfo=UTC)


async def note(api, number: int, *, action: str = "thing.done", tenant_id: str = "ten_a", **caller: Any) -> None:
    who = Caller(
        tenant_id=TenantId(tenant_id), environment=Environment.LIVE, role="x", **(caller or {"key_id": "key_1"})
    )
    async with begin(api.database, who, clock=lambda: START + timedelta(days=number)) as work:
        await usecases.note(
            work, action=action, target=Target(type="thing", id=f"t{number}"), detail={"number": number}
        )


async def read(api, query: str = "", **who: Any) -> Any:
    answer = await api.client.get(f"/api/v1/audit-log?{query}", headers=api.token("ten_a", **who))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_entry_says_who_did_what_to_which_thing(api):
    await note(api, 1, user_id=UserId("usr_7"))
    await note(api, 2)
    found = await read(api)
    assert (found["total"], found["nextCursor"]) == (2, None)
    assert found["data"][1].pop("id").startswith("aud_")
    assert found["data"][1] == {
        "at": "2026-01-02T00:00:00Z",
        "actor": {"type": "user", "id": "usr_7"},
        "action": "thing.done",
        "target": {"type": "thing", "id": "t1"},
        "detail": {"number": 1},
        "requestId": None,
    }
    assert found["data"][0]["actor"] == {"type": "api_key", "id": "key_1"}


async def test_filters_pages_and_cursors(api):
    for number in range(5):
        await note(api, number, action="thing.done" if number % 2 else "thing.undone")

    async def targets(query: str) -> list[str]:
        return [entry["target"]["id"] for entry in (await read(api, query))["data"]]

    assert await targets("action=thing.done") == ["t3", "t1"]
    assert await targets("dateFrom=2026-01-02&dateTo=2026-01-03") == ["t2", "t1"]
    assert await targets("dateTo=2026-01-03T00:00:00Z&dateFrom=2026-01-03T02:00:00%2B02:00") == ["t2"]
    assert await targets("targetId=t4&targetType=thing&actorId=key_1") == ["t4"]
    assert await targets("page=2&pageSize=2") == ["t2", "t1"]
    seen, cursor = [], ""
    while cursor is not None:
        page = await read(api, f"pageSize=2{cursor}")
        assert page["total"] == 5
        seen += [entry["target"]["id"] for entry in page["data"]]
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    assert seen == ["t4", "t3", "t2", "t1", "t0"]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("dateFrom=20260101&dateTo=yesterday", ["?dateFrom", "?dateTo"]),
        ("dateFrom=2026-W01-1", ["?dateFrom"]),
        ("dateFrom=2026-02-30", ["?dateFrom"]),
        ("dateFrom=2026-01-01%2012:00", ["?dateFrom"]),
        ("dateFrom=1767225600", ["?dateFrom"]),
        ("dateFrom=", ["?dateFrom"]),
        ("dateTo=0001-01-01T00:00:00%2B14:00", ["?dateTo"]),
        ("dateFrom=2026-02-01&dateTo=2026-01-31", ["?dateFrom"]),
        ("cursor=nonsense", ["?cursor"]),
        ("cursor=WyJ4IiwieSJd", ["?cursor"]),
        ("cursor=%C3%A4", ["?cursor"]),
    ],
)
async def test_wrong_dates_and_cursors_are_named(api, query, pointers):
    answer = await api.client.get(f"/api/v1/audit-log?{query}", headers=api.token("ten_a"))
    assert answer.status_code == 422, answer.text
    assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers


async def test_only_who_runs_the_tenant_reads_it(api):
    await note(api, 1)
    await note(api, 2, tenant_id="ten_b")
    for role in Role:
        answer = await api.client.get("/api/v1/audit-log", headers=api.token("ten_a", role=role))
        refused = role in {Role.TENANT_USER, Role.READ_ONLY, Role.AGENCY_ACCOUNT_MANAGER}
        assert answer.status_code == (403 if refused else 200), role
    assert [entry["target"]["id"] for entry in (await read(api))["data"]] == ["t1"]
    assert (await read(api, environment=Environment.SANDBOX))["data"] == []


async def test_entries_can_not_be_changed_or_deleted_by_the_service(api):
    await note(api, 1)
    async with begin_as_system(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        assert await work.tx.exec("UPDATE audit_entries SET action = 'a.b'") == 0
        assert await work.tx.exec("DELETE FROM audit_entries") == 0
    assert (await read(api))["total"] == 1

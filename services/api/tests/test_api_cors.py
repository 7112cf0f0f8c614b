"""Origins that tenants name: kept by tenant and environment, and what pages of them may read."""

from typing import Any

import pytest
from voisnap_domain.tenants import Environment

pytestmark = pytest.mark.slice

URL = "/api/v1/settings/cors"
PAGE = "https://app.acme.test"


async def may_read(api: Any, headers: dict[str, str], origin: str = PAGE) -> bool:
    answer = await api.client.get("/api/v1/agents", headers=headers | {"Origin": origin})
    assert answer.status_code == 200
    return answer.headers.get("access-control-allow-origin") == origin


async def preflight(api: Any, origin: str) -> int:
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    return (await api.client.options("/api/v1/agents", headers=headers)).status_code


async def test_a_page_reads_answers_of_the_tenant_that_named_its_origin_and_of_no_other(api):
    owner, sandbox = api.token("ten_a"), api.token("ten_a", environment=Environment.SANDBOX)
    other = api.token("ten_b")
    assert (await api.client.get(URL, headers=owner)).json() == {"allowedOrigins": []}
    assert (await preflight(api, PAGE), await may_read(api, owner)) == (403, False)

    saved = await api.client.put(URL, json={"allowedOrigins": [PAGE, "HTTPS://Shop.acme.test", PAGE]}, headers=owner)
    assert (saved.status_code, saved.json()) == (200, {"allowedOrigins": [PAGE, "https://shop.acme.test"]})
    assert (await api.client.get(URL, headers=owner)).json() == saved.json()
    assert (await preflight(api, PAGE), await may_read(api, owner)) == (204, True)
    assert [await may_read(api, headers) for headers in (other, sandbox)] == [False, False]
    assert (await api.client.get(URL, headers=other)).json() == {"allowedOrigins": []}

    await api.client.put(URL, json={"allowedOrigins": []}, headers=owner)
    assert (await preflight(api, PAGE), await may_read(api, owner)) == (403, False)


async def test_the_console_reads_everything_and_a_refusal_can_be_read_too(api):
    console = "http://127.0.0.1:8080"
    assert await may_read(api, api.token("ten_a"), console)
    refused = await api.client.get("/api/v1/agents", headers={"Origin": console})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, console)
    unknown = await api.client.get("/api/v1/nowhere", headers={"Origin": console})
    assert (unknown.status_code, unknown.headers["access-control-allow-origin"]) == (404, console)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "app.acme.test", "https://app.acme.test/", "https://app.acme.test/x", "http://acme.test", ""],
)
async def test_what_is_no_origin_is_named(api, origin):
    answer = await api.client.put(URL, json={"allowedOrigins": [PAGE, origin]}, headers=api.token("ten_a"))
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/allowedOrigins/1"]


async def test_fifty_are_kept_and_one_more_is_refused(api):
    owner = api.token("ten_a")
    for count, status in ((50, 200), (51, 422)):
        origins = [f"https://a{number}.test" for number in range(count)]
        assert (await api.client.put(URL, json={"allowedOrigins": origins}, headers=owner)).status_code == status
    assert len((await api.client.get(URL, headers=owner)).json()["allowedOrigins"]) == 50


async def test_a_change_of_another_state_is_refused_and_a_change_is_on_record(api):
    owner = api.token("ten_a")
    seen = (await api.client.get(URL, headers=owner)).headers["etag"]
    first = await api.client.put(URL, json={"allowedOrigins": [PAGE]}, headers=owner | {"If-Match": seen})
    assert first.status_code == 200
    late = await api.client.put(URL, json={"allowedOrigins": []}, headers=owner | {"If-Match": seen})
    assert late.status_code == 412
    entries = (await api.client.get("/api/v1/audit-log", headers=owner)).json()["data"]
    assert (entries[0]["action"], entries[0]["detail"]) == ("cors.changed", {"added": [PAGE], "removed": []})

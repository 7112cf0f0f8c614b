"""Bad input over every operation of the OpenAPI document: one clear problem document each, and nothing is written."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from voisnap_api.app import openapi_document
from voisnap_api.auth.scopes import Role, scopes_of
from voisnap_kit.http import ADDRESS_LIMIT
from voisnap_kit.ids import new_id
from voisnap_testkit.openapi_values import example_of

pytestmark = pytest.mark.slice

DOCS = "https://docs.voisnap.ai/errors/"
DOCUMENT = json.loads(openapi_document())
OPERATIONS = [
    (operation["operationId"], method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
FREE_FORM = {"agents.update"}
"""Bodies that are merge patches: any object of the agent's fields."""

TABLES = """
    SELECT relname FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


def body_of(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else content.get("example", example_of(content["schema"], DOCUMENT))


def path_of(path: str, value: str = "none") -> str:
    numbers = re.sub(r"\{(number|first|second)\}", "1", path)
    return re.sub(r"\{\w+\}", value, numbers)


async def rows(api: Any) -> dict[str, int]:
    """How many rows each table of the API holds."""
    async with api.database.transaction_as_system() as tx:
        tables = await tx.all(str, TABLES)
        return {table: await tx.one(int, f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608


def assert_problem(answer: httpx.Response, status: int, slug: str, what: str) -> dict[str, Any]:
    assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json", what
    document = answer.json()
    assert (document["type"], document["status"]) == (DOCS + slug, status), f"{what}: {document}"
    assert document["title"], what
    assert document["detail"], what
    assert re.fullmatch(r"trace_(?:[0-9a-f]{32}|[0-9A-Z]{26})", document["traceId"]), what
    return document


async def test_bodies_that_are_none(api):
    owner = api.token("ten_a") | {"Content-Type": "application/json"}
    before = await rows(api)
    large = b'{"name":"' + b"x" * 2_000_000 + b'"}'

    async def chunks() -> Any:
        for at in range(0, len(large), 100_000):
            yield large[at : at + 100_000]

    for name, method, path, operation in OPERATIONS:
        if "requestBody" not in operation:
            continue
        url = path_of(path)
        good = json.dumps(body_of(operation)).encode()
        cases: list[tuple[str, Any, dict[str, str], int, str]] = [
            ("malformed", b'{"a": ', {}, 400, "malformed-json"),
            ("not UTF-8", b'{"a": "\xff"}', {}, 400, "malformed-json"),
            ("half a pair", b'{"a": "\\ud800"}', {}, 400, "malformed-json"),
            ("NaN", b'{"a": NaN}', {}, 400, "malformed-json"),
            ("twice", b'{"a": 1, "a": 2}', {}, 400, "duplicate-key"),
            ("deep", b'{"a":' * 70 + b"1" + b"}" * 70, {}, 400, "too-deep"),
            ("array", b"[]", {}, 422, "validation-failed"),
            ("string", b'"x"', {}, 422, "validation-failed"),
            ("NUL", b'{"a": "\\u0000"}', {}, 422, "validation-failed"),
            ("2 MB", large, {}, 413, "payload-too-large"),
            ("2 MB without a length", chunks(), {}, 413, "payload-too-large"),
            ("form", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
            ("packed", good, {"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
            ("no JSON wanted", good, {"Accept": "text/html"}, 406, "not-acceptable"),
        ]
        if operation["requestBody"]["required"] and name not in FREE_FORM:
            cases += [("none", b"", {}, 422, "validation-failed"), ("null", b"null", {}, 422, "validation-failed")]
        for what, content, headers, status, slug in cases:
            answer = await api.client.request(method, url, content=content, headers=owner | headers)
            assert_problem(answer, status, slug, f"{name}, {what}")
        unknown = await api.client.request(method, url, content=b'{"unknownField": 1}', headers=owner)
        document = (
            assert_problem(unknown, 422, "validation-failed", f"{name}, unknown field")
            if (name not in FREE_FORM)
            else {"errors": [{"pointer": "/unknownField"}]}
        )
        assert "/unknownField" in {fault["pointer"] for fault in document["errors"]}, name
    assert await rows(api) == before


async def test_every_field_of_every_body_with_another_type(api):
    """Each field of the schema in turn holds an object with a foreign field, an array of arrays, or a huge number: named, never coerced."""
    owner = api.token("ten_a")
    before = await rows(api)
    for name, method, path, operation in OPERATIONS:
        body = body_of(operation)
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        fields = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
        for field, kind in fields.get("properties", {}).items():
            if kind.get("type") == "object" and not kind.get("properties"):
                continue
            for wrong in ([[{"x": 1}]], {"notAField": {}}, -(10**30)):
                if kind == {} or (isinstance(wrong, list) and kind.get("type") == "array" and kind.get("items") == {}):
                    continue
                answer = await api.client.request(
                    method, path_of(path), json=(body or {}) | {field: wrong}, headers=owner
                )
                document = assert_problem(answer, 422, "validation-failed", f"{name}.{field} = {wrong}")
                pointers = [fault["pointer"] for fault in document["errors"]]
                assert any(pointer.startswith(f"/{field}") for pointer in pointers), f"{name}.{field}: {pointers}"
    assert await rows(api) == before


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("page", ("0", "-1", "x", "1.5", "1000001", "", "9" * 40)),
        ("pageSize", ("0", "101", "-5", "all")),
        ("sortBy", ("nope", "name;drop", "NAME", "")),
        ("sortOrder", ("up", "ASC ")),
        ("dateFrom", ("01/02/2025", "2025-13-01", "yesterday", "2025-06-01T25:00:00Z", "1717200000", "")),
        ("dateTo", ("01.02.2025", "2025-02-30", "2025-06", "20250601")),
        ("status", ("nope", "ACTIVE", "")),
        ("channel", ("fax",)),
        ("direction", ("sideways",)),
        ("minDuration", ("-1", "1.5", "long")),
        ("cursor", ("x" * 1001, "%ff%fe", "not-a-cursor", "e30")),
    ],
)
async def test_parameters_that_are_wrong_are_named_wherever_they_are_taken(api, parameter, values):
    owner = api.token("ten_a")
    taken = [
        (name, method, path)
        for name, method, path, operation in OPERATIONS
        if method == "GET" and any(one.get("name") == parameter for one in operation.get("parameters", ()))
    ]
    assert taken
    for name, method, path in taken:
        for value in values:
            url = f"{path_of(path)}?{parameter}={value}"
            answer = await api.client.request(method, url, headers=owner)
            if answer.status_code == 404 and "{" in path:
                continue  # the thing is looked up before a cursor of its list is read
            document = assert_problem(answer, 422, "validation-failed", f"{name}?{parameter}={value}")
            assert [fault["pointer"] for fault in document["errors"]] == [f"?{parameter}"], (name, value)


@pytest.mark.parametrize(
    "value",
    [
        "conv_01HXDEF456GHI",
        "agt_",
        "x" * 300,
        "%F0%9F%98%80",
        "%C3%28",
        "'%20OR%201=1--",
        "..%2f..%2fetc",
        "%00",
        "%20",
        "null",
    ],
)
async def test_ids_of_the_wrong_kind_are_not_found(api, value):
    owner = api.token("ten_a")
    before = await rows(api)
    for name, method, path, operation in OPERATIONS:
        if "{" not in path or name.startswith("auth."):
            continue
        answer = await api.client.request(method, path_of(path, value), json=body_of(operation), headers=owner)
        assert answer.status_code in {404, 405}, f"{name}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json", name
    assert await rows(api) == before


@pytest.mark.parametrize("number", ["0", "-1", "2147483648", "9" * 30, "1e3", "one"])
async def test_versions_that_can_not_be_are_not_found(api, number):
    owner = api.token("ten_a")
    agent = await api.add_agent(owner)
    for name, method, path, operation in OPERATIONS:
        if "{number}" not in path and "{first}" not in path:
            continue
        url = re.sub(r"\{(number|first|second)\}", number, path).replace("{agentId}", agent["id"])
        answer = await api.client.request(method, url, json=body_of(operation), headers=owner)
        assert_problem(answer, 404, "not-found", name)


async def test_credentials_that_are_none(api):
    key = await api.add_key()
    listed = (await api.client.get("/api/v1/api-keys", headers=api.token("ten_a"))).json()["data"]
    revoked = await api.client.delete(f"/api/v1/api-keys/{listed[0]['id']}", headers=api.token("ten_a"))
    assert revoked.status_code == 204
    now = datetime.now(UTC)
    old = api.signer.sign(
        subject="usr_1",
        tenant_id="ten_a",
        environment="live",
        role=Role.TENANT_OWNER.value,
        scopes=scopes_of(Role.TENANT_OWNER),
        now=now - timedelta(hours=2),
        lifetime=timedelta(minutes=15),
        token_id=new_id("jti"),
    )
    good = api.token("ten_a")["Authorization"].removeprefix("Bearer ")
    credentials = {
        "none": None,
        "nothing": "",
        "another scheme": "Basic dXNlcjpwYXNz",
        "no word": "Bearer",
        "revoked": f"Bearer {key}",
        "unknown": "Bearer vsnp_live_" + "a" * 30,
        "without environment": "Bearer vsnp_abc",
        "another environment's word": "Bearer vsnp_test_" + "a" * 30,
        "a letter changed": f"Bearer {key[:-1]}{'a' if key[-1] != 'a' else 'b'}",
        "expired": f"Bearer {old}",
        "cut": f"Bearer {good[:-10]}",
        "another signature": f"Bearer {good[:-4]}AAAA",
        "no token": "Bearer a.b.c",
        "two": f"Bearer {good} {good}",
        "long": "Bearer " + "x" * 8000,
        "not ASCII": "Bearer schlüssel".encode("latin-1"),
    }
    for what, value in credentials.items():
        headers: Any = {} if value is None else {"Authorization": value}
        answer = await api.client.get("/api/v1/agents", headers=headers)
        assert answer.status_code == 401, f"{what}: {answer.status_code} {answer.text}"
        assert answer.headers["www-authenticate"].startswith("Bearer"), what
        assert answer.json()["detail"], what


async def test_addresses_and_methods_that_are_none(api):
    owner = api.token("ten_a")
    for method, path, status, slug in (
        ("GET", "/api/v1/agent", 404, "not-found"),
        ("GET", "/api/v1", 404, "not-found"),
        ("GET", "/api/v2/agents", 404, "not-found"),
        ("GET", "/api/v1/agents/x/y/z", 404, "not-found"),
        ("PUT", "/api/v1/agents", 405, "method-not-allowed"),
        ("DELETE", "/api/v1/agents", 405, "method-not-allowed"),
        ("TRACE", "/api/v1/agents", 405, "method-not-allowed"),
        ("PURGE", "/api/v1/agents", 405, "method-not-allowed"),
        ("GET", "/api/v1/agents?search=" + "x" * ADDRESS_LIMIT, 414, "uri-too-long"),
    ):
        answer = await api.client.request(method, path, headers=owner)
        assert_problem(answer, status, slug, f"{method} {path[:40]}")
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-api-version"] == "1"
        if status == 405:
            assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


async def test_every_answer_says_how_much_of_the_rate_is_left(start_api):
    async with start_api(rate_limit_factor=1.0) as api:
        owner = api.token("ten_a")
        for what, method, path, headers, status, policy in (
            ("a list", "GET", "/api/v1/agents", owner, 200, "api-read-heavy"),
            ("a thing", "GET", "/api/v1/agents/none", owner, 404, "api-standard"),
            ("a change", "POST", "/api/v1/agents", owner, 422, "api-write"),
            ("a log-in", "POST", "/api/v1/auth/login", {}, 422, "auth-strict"),
            ("no credential", "GET", "/api/v1/agents", {}, 401, "api-standard"),
            ("an unknown path", "GET", "/api/v1/nowhere", {}, 404, "api-standard"),
            ("another method", "PUT", "/api/v1/agents", {}, 405, "api-standard"),
            ("a large body", "POST", "/api/v1/agents", owner | {"Content-Length": "2000000"}, 413, "api-write"),
            ("the document", "GET", "/api/v1/openapi.json", {}, 200, "public"),
            ("the keys", "GET", "/.well-known/jwks.json", {}, 200, "public"),
            ("only the head", "HEAD", "/api/v1/agents", owner, 200, "api-read-heavy"),
        ):
            answer = await api.client.request(
                method, path, headers=headers, content=b"{}" if method == "POST" else None
            )
            assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text}"
            assert answer.headers["x-ratelimit-policy"] == policy, what
            assert int(answer.headers["x-ratelimit-remaining"]) < int(answer.headers["x-ratelimit-limit"]), what
            assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000, what


async def test_who_tries_unknown_paths_is_refused_in_the_end(start_api):
    async with start_api(rate_limit_factor=0.02) as api:  # api-standard: 2 a minute
        answers = [await api.client.get(f"/api/v1/guess-{number}") for number in range(3)]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        refused = assert_problem(answers[2], 429, "rate-limit-exceeded", "third guess")
        assert "api-standard" in refused["detail"]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert answers[2].headers["x-ratelimit-remaining"] == "0"

"""What a service refuses before a handler sees it, and how: JSON without one meaning, wrong types, sizes, codings, methods; CORS."""

import gzip
import json
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Response, get, post
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from litestar.types import Scope
from voisnap_kit.http import ADDRESS_LIMIT, HEADERS_LIMIT, InjectedPageQuery, build_app
from voisnap_kit.json_body import DEEPEST

pytestmark = pytest.mark.unit

DOCS = "https://docs.voisnap.ai/errors/"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Lamp(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    lamp_name: str
    watts: int = 1
    dims: bool = False
    colour: Colour | None = None
    notes: dict[str, Any] = {}


@post("/lamps")
async def create(data: JSONBody[Lamp]) -> Lamp:
    return data


@post("/lamps/switch")
async def switch() -> None:
    """Reads no body."""


@get("/lamps")
async def browse(
    paging: InjectedPageQuery,
    colour: Annotated[Colour | None, QueryParameter()] = None,
    min_watts: Annotated[int | None, QueryParameter(name="minWatts", ge=0)] = None,
    since: Annotated[int | None, HeaderParameter(name="If-Since")] = None,
) -> Response[dict[str, Any]]:
    return Response({"page": paging.page}, headers={"ETag": '"1"'})


@get("/song", media_type="audio/mpeg")
async def song() -> bytes:
    return b"la"


class Named:
    """Tenant origins: everybody may ask, only requests to /lamps may read."""

    async def anybody_allows(self, origin: str) -> bool:
        return origin == "https://tenant.test"

    async def allows(self, origin: str, scope: Scope) -> bool:
        return origin == "https://tenant.test" and scope["path"] == "/lamps"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(
        [create, switch, browse, song],
        service="test",
        checks={},
        cors_origins=("https://console.test",),
        more_origins=Named(),
        body_limit=20_000,
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def sent(http: httpx.AsyncClient, content: bytes, **headers: str) -> httpx.Response:
    return await http.post("/lamps", content=content, headers={"Content-Type": "application/json", **headers})


def nested(levels: int) -> bytes:
    return b'{"lampName":"x","notes":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


@pytest.mark.parametrize(
    ("content", "slug", "words"),
    [
        (b'{"lampName":"a",\n "watts": }', "malformed-json", "line 2, column 11 (byte 27)"),
        (b'{"lampName":"a"', "malformed-json", "ends too early at line 1, column 16"),
        (b'{"lampName":"a"} {}', "malformed-json", "trailing characters"),
        (b'{"lampName":"\xff"}', "malformed-json", "not UTF-8"),
        (b'\xff\xfe{\x00"', "malformed-json", "line 1, column 1"),
        (b'{"lampName":"\xed\xa0\x80"}', "malformed-json", "not UTF-8"),
        (b'{"lampName":"\\ud800"}', "malformed-json", "surrogate"),
        (b'{"lampName":"a","watts":NaN}', "malformed-json", "invalid"),
        (b'{"lampName":"a","watts":-Infinity}', "malformed-json", "invalid"),
        (b'{"lampName":"a","notes":{"a":1e400}}', "malformed-json", "too large"),
        (b'{"lampName":"a","notes":{"a":' + b"9" * 5000 + b"}}", "malformed-json", "too large"),
        (b'{"lampName":"a","lampName":"b"}', "duplicate-key", "'lampName'"),
        (b'{"lampName":"a","lamp\\u004eame":"b"}', "duplicate-key", "'lampName'"),
        (b'{"lampName":"a","notes":{"x":[{"y":1,"z":2,"y":3}]}}', "duplicate-key", "'y'"),
        (nested(DEEPEST), "too-deep", str(DEEPEST)),
        (b"[" * 19_000, "too-deep", str(DEEPEST)),
    ],
)
async def test_json_without_one_meaning_is_400(http: httpx.AsyncClient, content: bytes, slug: str, words: str) -> None:
    answer = await sent(http, content)
    assert (answer.status_code, answer.json()["type"]) == (400, DOCS + slug), answer.text
    assert words in answer.json()["detail"]


async def test_the_deepest_json_that_is_allowed_passes(http: httpx.AsyncClient) -> None:
    assert (await sent(http, nested(DEEPEST - 1))).status_code == 201


async def test_a_character_that_can_not_be_stored_is_named_wherever_it_is(http: httpx.AsyncClient) -> None:
    answer = await sent(http, b'{"lampName":"a\\u0000b","notes":{"x":["ok","\\u0000"],"a/b":"\\u0000","k\\u0000":1}}')
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [
        "/lampName",
        "/notes/x/1",
        "/notes/a~1b",
        "/notes",
    ]
    escaped = await sent(http, b'{"lampName":"\\\\u0000"}')
    assert (escaped.status_code, escaped.json()["lampName"]) == (201, "\\u0000")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"lampName": 3}, "/lampName", "wrong-type"),
        ({"lampName": None}, "/lampName", "wrong-type"),
        ({"lampName": "a", "watts": "5"}, "/watts", "wrong-type"),
        ({"lampName": "a", "watts": 5.5}, "/watts", "wrong-type"),
        ({"lampName": "a", "watts": True}, "/watts", "wrong-type"),
        ({"lampName": "a", "dims": "true"}, "/dims", "wrong-type"),
        ({"lampName": "a", "dims": 1}, "/dims", "wrong-type"),
        ({"lampName": "a", "colour": "green"}, "/colour", "not-allowed"),
        ({"lampName": "a", "notes": []}, "/notes", "wrong-type"),
        ({"lampName": "a", "lamp_name": "a"}, "/lamp_name", "unknown-field"),
    ],
)
async def test_nothing_is_coerced(http: httpx.AsyncClient, body: dict[str, Any], pointer: str, code: str) -> None:
    answer = await sent(http, json.dumps(body).encode())
    assert answer.status_code == 422
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [(pointer, code)]


async def test_all_faults_of_the_query_and_the_headers_come_at_once(http: httpx.AsyncClient) -> None:
    answer = await http.get(
        "/lamps?page=0&pageSize=many&colour=green&minWatts=-1&unknown=1", headers={"If-Since": "yesterday"}
    )
    assert answer.status_code == 422
    faults = {fault["pointer"]: (fault["code"], fault["detail"]) for fault in answer.json()["errors"]}
    assert set(faults) == {"?page", "?pageSize", "?colour", "?minWatts", "?If-Since"}
    assert faults["?page"][0] == faults["?minWatts"][0] == "too-small"
    assert faults["?colour"] == ("not-allowed", "colour: Must be one of red, blue.")
    assert answer.json()["detail"] == "5 fields are wrong."
    assert (await http.get("/lamps?unknown=1")).status_code == 200


async def test_nul_in_an_address_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get("/lamps?colour=%00&a%00=1&page=1")
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["?a", "?colour"]
    assert (await http.get("/lamps%00")).status_code == 404


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 201),
        ("application/json", 201),
        ("application/json; charset=UTF-8", 201),
        ("application/merge-patch+json", 201),
        ("application/json; charset=utf-16", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("nonsense", 415),
    ],
)
async def test_only_json_is_read(http: httpx.AsyncClient, content_type: str | None, status: int) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await http.post("/lamps", content=b'{"lampName":"a"}', headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["type"] == DOCS + "unsupported-media-type"
        assert "application/json" in answer.headers["Accept"]


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/lamps", "application/json", 200),
        ("/lamps", "text/html, */*;q=0.1", 200),
        ("/lamps", "application/*", 200),
        ("/lamps", "", 200),
        ("/lamps", "text/html", 406),
        ("/lamps", "application/json;q=0, text/html", 406),
        ("/song", "audio/mpeg", 200),
    ],
)
async def test_an_answer_nobody_takes_is_406(http: httpx.AsyncClient, path: str, accept: str, status: int) -> None:
    answer = await http.get(path, headers={"Accept": accept})
    assert answer.status_code == status
    assert status == 200 or answer.json()["type"] == DOCS + "not-acceptable"


async def test_bodies_are_limited_however_they_come(http: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"lampName":"'
        for _ in range(30):
            yield b"x" * 1000

    large = b"x" * 20_001
    answers = [
        await sent(http, large),
        await http.post("/lamps", content=chunks(), headers={"Content-Type": "application/json"}),
        await http.post("/lamps/switch", content=large),
    ]
    assert [(answer.status_code, answer.json()["type"]) for answer in answers] == [
        (413, DOCS + "payload-too-large")
    ] * 3
    packed = await sent(http, gzip.compress(b'{"lampName":"a"}'), **{"Content-Encoding": "gzip"})
    assert (packed.status_code, packed.headers["Accept-Encoding"]) == (415, "identity")


async def test_addresses_and_headers_are_limited(http: httpx.AsyncClient) -> None:
    long = await http.get("/lamps?unknown=" + "x" * ADDRESS_LIMIT)
    assert (long.status_code, long.json()["type"]) == (414, DOCS + "uri-too-long")
    heavy = await http.get("/lamps", headers={"X-A": "x" * HEADERS_LIMIT})
    assert (heavy.status_code, heavy.json()["type"]) == (431, DOCS + "header-fields-too-large")
    for answer in (long, heavy):
        assert answer.headers["X-Request-Id"].startswith("req_")


async def test_head_is_get_without_a_body(http: httpx.AsyncClient) -> None:
    answer = await http.head("/lamps?page=2")
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (200, b"", '"1"')
    assert answer.headers["Content-Length"] == (await http.get("/lamps?page=2")).headers["Content-Length"]
    assert (await http.head("/nowhere")).status_code == 404
    assert (await http.head("/lamps/switch")).status_code == 405


async def test_options_names_the_methods_and_slashes_at_the_end_do_not_matter(http: httpx.AsyncClient) -> None:
    options = await http.options("/lamps")
    assert options.status_code == 204
    assert set(options.headers["Allow"].split(", ")) >= {"GET", "POST", "OPTIONS"}
    assert (await http.get("/lamps/")).status_code == 200


async def test_a_preflight_is_answered_for_every_named_origin_and_the_answer_is_for_the_tenants_own(
    http: httpx.AsyncClient,
) -> None:
    async def preflight(origin: str) -> httpx.Response:
        return await http.options(
            "/lamps",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization,idempotency-key",
            },
        )

    for origin in ("https://console.test", "https://tenant.test"):
        allowed = await preflight(origin)
        assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (204, origin)
        assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
        assert {"Authorization", "Idempotency-Key"} <= set(allowed.headers["Access-Control-Allow-Headers"].split(", "))
        assert "Access-Control-Allow-Credentials" not in allowed.headers
    refused = await preflight("https://evil.test")
    assert (refused.status_code, "Access-Control-Allow-Origin" in refused.headers) == (403, False)

    own = await http.get("/lamps", headers={"Origin": "https://tenant.test"})
    assert own.headers["Access-Control-Allow-Origin"] == "https://tenant.test"
    assert "X-RateLimit-Remaining" in own.headers["Access-Control-Expose-Headers"]
    other = await http.get("/song", headers={"Origin": "https://tenant.test"})
    assert (other.status_code, "Access-Control-Allow-Origin" in other.headers) == (200, False)
    assert "Origin" in other.headers["Vary"]


async def test_answers_are_compressed_as_the_client_likes_it(http: httpx.AsyncClient) -> None:
    body = json.dumps({"lampName": "x" * 5000}).encode()
    for coding in ("br", "gzip"):
        answer = await sent(http, body, **{"Accept-Encoding": coding})
        assert (answer.headers["Content-Encoding"], answer.json()["lampName"]) == (coding, "x" * 5000)
    plain = await sent(http, body, **{"Accept-Encoding": "identity"})
    small = await sent(http, b'{"lampName":"a"}', **{"Accept-Encoding": "br"})
    assert "Content-Encoding" not in {**plain.headers, **small.headers}

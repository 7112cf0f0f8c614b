"""Every answer of a service: problem documents for every kind of error, ids and headers, limits, health, metrics, CORS."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.exceptions import InternalServerException, TooManyRequestsException
from litestar.params import FromPath, JSONBody
from voisnap_domain import errors
from voisnap_kit import trace
from voisnap_kit.bus import NoResponders
from voisnap_kit.health import Beat, CheckResult, DrainGate, readiness
from voisnap_kit.http import InjectedPageQuery, Page, accepted_request_id, build_app
from voisnap_kit.postgres import Contention, DatabaseUnavailable

pytestmark = pytest.mark.unit

DOCS = "https://docs.voisnap.ai/errors/"


class Room(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    room_name: Annotated[str, msgspec.Meta(min_length=1)]
    size: int = 1


class NewLamp(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    lamp_name: str
    watts: Annotated[int, msgspec.Meta(ge=1)]
    room: Room | None = None
    tags: tuple[str, ...] = ()


ERRORS: dict[str, Exception] = {
    "not-found": errors.NotFound("lamp", "l_1"),
    "conflict": errors.Conflict("Lit already.", code="already-lit"),
    "unauthenticated": errors.Unauthenticated("No token."),
    "forbidden": errors.Forbidden("Not yours."),
    "precondition": errors.PreconditionFailed("Changed."),
    "rate": errors.TooManyRequests("Slower.", retry_after=7),
    "plan": errors.LimitReached("Plan used up.", code="session-limit-reached"),
    "node": errors.LimitReached("No room.", code="node-full", retry_after=2),
    "invalid": errors.Invalid((errors.FieldError(pointer="/a", code="required", detail="a is required."),)),
    "bus": NoResponders("nobody answers rpc.x"),
    "database": DatabaseUnavailable("secret host is away"),
    "contention": Contention("deadlock"),
    "framework": TooManyRequestsException(),
    "framework-bug": InternalServerException("secret detail"),
    "bug": ZeroDivisionError("secret detail"),
}


@post("/lamps")
async def create_lamp(data: JSONBody[NewLamp]) -> NewLamp:
    return data


@get("/raise/{name:str}")
async def fail(name: FromPath[str]) -> None:
    raise ERRORS[name]


@get("/numbers/{number:int}")
async def number_of(number: FromPath[int]) -> int:
    return number


@get("/lamps")
async def list_lamps(paging: InjectedPageQuery) -> Page[str]:
    everything = [f"lamp {n}" for n in range(45)]
    return Page.of(everything[paging.offset : paging.offset + paging.page_size], paging, len(everything))


@get("/large", media_type="text/plain")
async def large() -> str:
    return "x" * 5000


class State:
    """What the readiness checks look at."""

    def __init__(self) -> None:
        self.away = False

    async def check(self) -> None:
        if self.away:
            raise RuntimeError("not connected")


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def gate() -> DrainGate:
    return DrainGate()


@pytest.fixture
async def http(state: State, gate: DrainGate) -> AsyncIterator[httpx.AsyncClient]:
    trace.configure("test")
    app = build_app(
        [create_lamp, fail, number_of, list_lamps, large],
        service="test",
        checks={"store": state.check},
        cors_origins=("https://console.test",),
        body_limit=2000,
        gate=gate,
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "slug", "retry_after"),
    [
        ("not-found", 404, "not-found", None),
        ("conflict", 409, "already-lit", None),
        ("unauthenticated", 401, "unauthorized", None),
        ("forbidden", 403, "forbidden", None),
        ("precondition", 412, "precondition-failed", None),
        ("rate", 429, "rate-limit-exceeded", "7"),
        ("plan", 429, "session-limit-reached", None),
        ("node", 503, "node-full", "2"),
        ("invalid", 422, "validation-failed", None),
        ("bus", 503, "temporarily-unavailable", "1"),
        ("database", 503, "temporarily-unavailable", "1"),
        ("contention", 503, "temporarily-unavailable", "1"),
        ("framework", 429, "rate-limit-exceeded", None),
        ("framework-bug", 500, "internal-error", None),
        ("bug", 500, "internal-error", None),
    ],
)
async def test_every_kind_of_error_is_a_problem_document(
    http: httpx.AsyncClient, name: str, status: int, slug: str, retry_after: str | None
) -> None:
    response = await http.get(f"/raise/{name}")
    body = response.json()
    assert (response.status_code, body["status"], body["type"]) == (status, status, DOCS + slug)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("Retry-After") == retry_after
    assert re.fullmatch(r"trace_[0-9a-f]{32}", body["traceId"])
    assert body["title"]
    assert "secret" not in response.text


async def test_the_documented_titles_and_details(http: httpx.AsyncClient) -> None:
    missing = (await http.get("/raise/not-found")).json()
    assert (missing["title"], missing["detail"]) == ("Resource Not Found", "No lamp with ID l_1 found.")
    assert (await http.get("/raise/rate")).json()["title"] == "Rate Limit Exceeded"
    assert (await http.get("/raise/unauthenticated")).headers["WWW-Authenticate"] == 'Bearer realm="voisnap"'


async def test_the_trace_id_is_the_callers_trace(http: httpx.AsyncClient) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    response = await http.get("/raise/bug", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    assert response.json()["traceId"] == f"trace_{trace_id}"


async def test_all_faults_of_a_body_are_reported_at_once(http: httpx.AsyncClient) -> None:
    body = {"watts": 0, "colour": "red", "room": {"roomName": "", "size": "big", "a/b": 1}, "tags": ["a", 3]}
    response = await http.post("/lamps", json=body)
    assert response.status_code == 422
    assert {(fault["pointer"], fault["code"]) for fault in response.json()["errors"]} == {
        ("/lampName", "required"),
        ("/watts", "too-small"),
        ("/colour", "unknown-field"),
        ("/room/roomName", "too-short"),
        ("/room/size", "wrong-type"),
        ("/room/a~1b", "unknown-field"),
        ("/tags/1", "wrong-type"),
    }


async def test_a_fitting_body_passes(http: httpx.AsyncClient) -> None:
    body = {"lampName": "desk", "watts": 5, "room": {"roomName": "hall", "size": 2}, "tags": ["a"]}
    response = await http.post("/lamps", json=body)
    assert (response.status_code, response.json()) == (201, body)


@pytest.mark.parametrize("content", [b'{"lampName":', b"\xff\xfe", b"lamp"])
async def test_what_is_no_json_is_400(http: httpx.AsyncClient, content: bytes) -> None:
    response = await http.post("/lamps", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (400, DOCS + "malformed-json")


@pytest.mark.parametrize("content", [b"null", b"[]", b"3", b""])
async def test_json_of_another_shape_is_422(http: httpx.AsyncClient, content: bytes) -> None:
    response = await http.post("/lamps", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (422, DOCS + "validation-failed")


async def test_a_body_beyond_the_limit_is_413(http: httpx.AsyncClient) -> None:
    response = await http.post("/lamps", json={"lampName": "x" * 3000, "watts": 1})
    assert (response.status_code, response.json()["type"]) == (413, DOCS + "payload-too-large")


async def test_unknown_paths_and_methods_are_problem_documents_too(http: httpx.AsyncClient) -> None:
    missing = await http.get("/nowhere")
    wrong = await http.delete("/lamps")
    odd = await http.get("/numbers/many")
    assert (missing.status_code, missing.json()["detail"]) == (404, "Nothing is served at /nowhere.")
    assert (wrong.status_code, wrong.json()["type"], set(wrong.headers["Allow"].split(", ")) >= {"GET", "POST"}) == (
        405,
        DOCS + "method-not-allowed",
        True,
    )
    assert odd.status_code == 404
    for response in (missing, wrong, odd):
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["X-Request-Id"].startswith("req_")
        assert response.headers["X-Api-Version"] == "1"


async def test_pages_carry_their_envelope(http: httpx.AsyncClient) -> None:
    first, last = (await http.get("/lamps")).json(), (await http.get("/lamps?page=3&pageSize=20")).json()
    assert (len(first["data"]), first["page"], first["pageSize"], first["total"], first["totalPages"]) == (
        20,
        1,
        20,
        45,
        3,
    )
    assert last["data"] == [f"lamp {n}" for n in range(40, 45)]
    assert (await http.get("/lamps?page=9")).json()["data"] == []


@pytest.mark.parametrize("query", ["page=0", "page=x", "pageSize=0", "pageSize=101"])
async def test_a_wrong_page_is_named(http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"/lamps?{query}")
    assert response.status_code == 422
    assert [fault["pointer"] for fault in response.json()["errors"]] == [f"?{query.partition('=')[0]}"]


async def test_an_empty_list_has_no_pages() -> None:
    from voisnap_kit.http import PageQuery

    assert Page.of([], PageQuery(), 0).total_pages == 0


@pytest.mark.parametrize(
    "given", ["req_0123456789", "req_01HXABCDEFGHJKMNPQRSTVWXYZ", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"]
)
def test_a_sane_request_id_is_kept(given: str) -> None:
    assert accepted_request_id(given) == given


@pytest.mark.parametrize(
    "given", [None, "", "short", "a b c d e f g", "x" * 65, "req_<script>alert(1)</script>", "-starts-with-dash"]
)
def test_any_other_request_id_is_replaced(given: str | None) -> None:
    assert re.fullmatch(r"req_[0-9A-Z]{26}", accepted_request_id(given))


async def test_large_answers_are_compressed(http: httpx.AsyncClient) -> None:
    response = await http.get("/large", headers={"Accept-Encoding": "gzip"})
    assert (response.headers["content-encoding"], len(response.text)) == ("gzip", 5000)


async def test_only_the_consoles_origin_is_allowed(http: httpx.AsyncClient) -> None:
    async def allowed(origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return (await http.options("/lamps", headers=headers)).headers.get("Access-Control-Allow-Origin")

    assert await allowed("https://console.test") == "https://console.test"
    assert await allowed("https://evil.test") is None


async def test_readiness_follows_the_checks_and_the_gate(
    http: httpx.AsyncClient, state: State, gate: DrainGate
) -> None:
    assert (await http.get("/readyz")).json() == {
        "status": "ready",
        "checks": {"draining": {"status": "ok"}, "store": {"status": "ok"}},
    }
    state.away = True
    failed = await http.get("/readyz")
    assert (failed.status_code, failed.json()["checks"]["store"]) == (
        503,
        {"status": "failed", "detail": "not connected"},
    )
    state.away = False
    gate.close()
    draining = await http.get("/readyz")
    assert (draining.status_code, draining.json()["checks"]["draining"]["detail"]) == (503, "draining")
    assert (await http.get("/livez")).status_code == 200


async def test_requests_are_counted_by_route_and_not_by_path(http: httpx.AsyncClient) -> None:
    await http.get("/numbers/1")
    await http.get("/numbers/2")
    await http.get("/probe/that/does/not/exist")
    metrics = (await http.get("/metrics")).text
    counted = re.search(
        r'voisnap_http_request_seconds_count\{method="GET",route="/numbers/\{number\}",status="200"\} (\S+)', metrics
    )
    assert counted is not None
    assert float(counted[1]) >= 2
    assert 'route="unmatched",status="404"' in metrics
    assert "/probe/" not in metrics


@pytest.mark.virtual_time
async def test_a_check_that_hangs_fails_within_the_time_out() -> None:
    import asyncio

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def works() -> None:
        return

    found = await readiness({"slow": hangs, "fast": works}, timeout=2)
    assert found.checks == {
        "slow": CheckResult(status="failed", detail="no answer within 2 s"),
        "fast": CheckResult(status="ok"),
    }
    assert asyncio.get_running_loop().time() == pytest.approx(2)


async def test_a_silent_task_fails_its_check() -> None:
    now = 0.0
    beat = Beat(limit=10, clock=lambda: now)
    now = 10.0
    await beat.check()
    now = 10.5
    with pytest.raises(RuntimeError, match="silent"):
        await beat.check()
    beat.touch()
    await beat.check()


def test_types_of_any_depth_are_walked() -> None:
    from voisnap_kit.validation import faults

    class Deep(msgspec.Struct, forbid_unknown_fields=True):
        rooms: dict[str, list[Room]] = {}
        level: Any = None
        either: int | str = 0

    found = faults(Deep, {"rooms": {"a": [{"roomName": "x"}, {"size": 2.5}], "b": 3}, "either": 1.5, "level": object})
    assert {(fault.pointer, fault.code) for fault in found} == {
        ("/rooms/a/1/roomName", "required"),
        ("/rooms/a/1/size", "wrong-type"),
        ("/rooms/b", "wrong-type"),
        ("/either", "wrong-type"),
    }


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:5173", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.0.0.1.evil.test:80", False),
        ("http://127x0y0z1:80", False),
        ("https://127.0.0.1:5173", False),
        ("https://console.test", True),
        ("https://other.test", False),
    ],
)
async def test_origin_with_any_port_allows_its_ports_only(origin: str, allowed: bool) -> None:
    app = build_app([], service="test", checks={}, cors_origins=("https://console.test", "http://127.0.0.1:*"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        answer = await client.get("/livez", headers={"Origin": origin})

    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed

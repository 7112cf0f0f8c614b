"""An application on the routing table of an earlier one is none the wiser."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from litestar import Litestar, Request, get
from litestar.di import NamedDependency
from litestar.middleware import ASGIMiddleware
from voisnap_kit.http import provide
from voisnap_testkit.applications import Applications

pytestmark = pytest.mark.unit


class Stamp(ASGIMiddleware):
    def __init__(self, text: str) -> None:
        self.text = text

    async def handle(self, scope, receive, send, next_app) -> None:
        scope["state"]["stamp"] = self.text
        await next_app(scope, receive, send)


@get("/told-by")
async def told_by(request: Request, name: NamedDependency[str]) -> dict[str, str]:
    return {"name": name, "stamp": request.scope["state"]["stamp"]}


def build(applications: Applications, name: str, began: list[str], health: bool) -> Litestar:
    @asynccontextmanager
    async def at_work(_app: Litestar) -> AsyncGenerator[None]:
        began.append(name)
        yield
        began.append(f"{name} ended")

    async def check() -> None:
        if not health:
            raise ConnectionError(name)

    return applications.build_app(
        [told_by],
        service="test",
        checks={"part": check},
        dependencies={"name": provide(name)},
        middleware=[Stamp(f"stamp of {name}")],
        lifespan=(at_work,),
        cors_origins=(f"https://{name}.example",),
    )


async def seen(app: Litestar) -> tuple[dict[str, str], str | None, int]:
    """What the handler says, whose pages may read it, and the status of the health page."""
    transport = httpx.ASGITransport(app=app)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/told-by", headers={"Origin": "https://second.example"})
        readable_by = answer.headers.get("access-control-allow-origin")
        return answer.json(), readable_by, (await client.get("/readyz")).status_code


async def test_the_next_test_gets_the_table_and_nothing_else_of_the_one_before() -> None:
    applications, began = Applications(), []
    first = build(applications, "first", began, health=False)
    assert await seen(first) == ({"name": "first", "stamp": "stamp of first"}, None, 503)
    applications.give_back(first)
    second = build(applications, "second", began, health=True)
    assert second is first
    expected = ({"name": "second", "stamp": "stamp of second"}, "https://second.example", 200)
    assert await seen(second) == expected
    assert began == ["first", "first ended", "second", "second ended"]


async def test_two_applications_at_a_time_are_two() -> None:
    applications, began = Applications(), []
    first, second = (build(applications, name, began, health=True) for name in ("first", "second"))
    assert first is not second
    assert [(await seen(app))[0]["name"] for app in (first, second)] == ["first", "second"]

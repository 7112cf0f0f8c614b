"""Applications whose routing table earlier tests made: Litestar takes 150 ms for that of the API, and a test a millisecond for the rest."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from voisnap_kit import http
from voisnap_kit.intake import Intake

_Key = tuple[Any, ...]


class _Parts:
    """What an application is made of besides its routes: each test's own."""

    dependencies: Mapping[str, Provide]
    middleware: Sequence[ASGIMiddleware]
    checks: Mapping[str, http.Check]
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]]

    def provide(self, name: str) -> Provide:
        """A dependency without parameters, as this test has it."""
        return Provide(lambda: self.dependencies[name].dependency(), sync_to_thread=False)

    def check(self, name: str) -> http.Check:
        async def check() -> None:
            await self.checks[name]()

        return check

    @asynccontextmanager
    async def at_work(self, app: Litestar) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for one in self.lifespan:
                await stack.enter_async_context(one(app))
            yield


class _Switched(ASGIMiddleware):
    """The middleware of that place, as this test has it."""

    def __init__(self, parts: _Parts, place: int) -> None:
        made = parts.middleware[place]
        self.scopes = made.scopes
        self.exclude_path_pattern, self.exclude_opt_key = made.exclude_path_pattern, made.exclude_opt_key
        self.should_bypass_for_scope = made.should_bypass_for_scope
        self._parts, self._place = parts, place

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        await self._parts.middleware[self._place].handle(scope, receive, send, next_app)


class Applications:
    """Stands in for `voisnap_kit.http.build_app`: everything but the routing table is made anew for each test."""

    def __init__(self) -> None:
        self._free: dict[_Key, list[Litestar]] = {}
        self._made: dict[int, tuple[_Key, _Parts, ASGIApp]] = {}

    def build_app(
        self,
        route_handlers: Sequence[Any],
        *,
        service: str,
        checks: Mapping[str, http.Check],
        middleware: Sequence[ASGIMiddleware] = (),
        dependencies: Mapping[str, Provide] | None = None,
        lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
        layers: Sequence[Callable[[ASGIApp], ASGIApp]] = (),
        cors_origins: Sequence[str] = (),
        more_origins: Any = None,
        **options: Any,
    ) -> Litestar:
        """See `voisnap_kit.http.build_app`."""
        key = (service, tuple(map(id, route_handlers)), tuple(dependencies or ()), tuple(map(type, middleware)))
        free = self._free.setdefault(key, [])
        parts = self._made[id(free[-1])][1] if free else _Parts()
        parts.dependencies, parts.middleware, parts.checks, parts.lifespan = (
            dependencies or {},
            middleware,
            checks,
            lifespan,
        )
        app = free.pop() if free else self._routed(key, route_handlers, service, parts, options)
        _, _, routed = self._made[id(app)]
        app.asgi_handler = http.edge(routed, layers, cors_origins, more_origins, service=service)
        return app

    def give_back(self, app: Litestar) -> None:
        """A test is done with it, and its lifespan is over."""
        self._free[self._made[id(app)][0]].append(app)

    def _routed(
        self, key: _Key, route_handlers: Sequence[Any], service: str, parts: _Parts, options: dict[str, Any]
    ) -> Litestar:
        entered: list[ASGIApp] = []

        def note(routed: ASGIApp) -> ASGIApp:
            entered.append(routed)
            return routed

        app = http.build_app(
            route_handlers,
            service=service,
            checks={name: parts.check(name) for name in parts.checks},
            middleware=[
                one if isinstance(one, Intake) else _Switched(parts, place)
                for place, one in enumerate(parts.middleware)
            ],
            dependencies={
                name: parts.provide(name) if _is_value(one) else one for name, one in parts.dependencies.items()
            },
            lifespan=(parts.at_work,),
            layers=[note],
            **options,
        )
        self._made[id(app)] = (key, parts, entered[0])
        return app


def _is_value(provided: Provide) -> bool:
    """Whether it is one of `voisnap_kit.http.provide`, not a function that reads the request."""
    return provided.dependency.__qualname__.startswith(http.provide.__qualname__ + ".")

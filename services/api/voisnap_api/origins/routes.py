"""`/api/v1/settings/cors`."""

from typing import Annotated

from litestar import Controller, Response, get, put
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, SkipValidation
from voisnap_kit.work import begin

from voisnap_api.gate import InjectedCaller, InjectedDatabase, requires

from . import usecases
from .schemas import CorsBody, CorsView
from .usecases import TenantOrigins

InjectedOrigins = NamedDependency[SkipValidation[TenantOrigins]]


class CorsController(Controller):
    """What holds for a whole tenant: which web pages may read answers."""

    path = "/api/v1/settings/cors"
    tags = ("Settings",)

    @get("/", guards=[requires("keys:read")])
    async def read(self, caller: InjectedCaller, database: InjectedDatabase) -> Response[CorsView]:
        """Get the origins whose pages may read this API's answers with a credential of this tenant and environment."""
        async with begin(database, caller) as work:
            return _answer(await usecases.allowed_origins(work))

    @put("/", guards=[requires("keys:write")])
    async def replace(
        self,
        data: JSONBody[CorsBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        origins: InjectedOrigins,
        if_match: Annotated[
            str | None, HeaderParameter(name="If-Match", description="The `ETag` you saw; 412 when it changed since")
        ] = None,
    ) -> Response[CorsView]:
        """Replace the allowed origins; takes effect within ten seconds. Pages of the console are always allowed."""
        async with begin(database, caller) as work:
            before = await usecases.allowed_origins(work)
            allowed = await usecases.set_allowed_origins(work, data.allowed_origins, unless_changed_since=if_match)
        origins.forget((*before, *allowed))
        return _answer(allowed)


def _answer(origins: tuple[str, ...]) -> Response[CorsView]:
    return Response(CorsView(allowed_origins=origins), headers={"ETag": usecases.entity_tag(origins)})

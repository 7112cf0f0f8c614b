"""`/api/v1/api-keys`."""

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from voisnap_domain.ids import ApiKeyId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .schemas import ApiKeyBody, ApiKeyView, NewApiKeyView


class ApiKeyController(Controller):
    """Keys for servers and SDKs."""

    path = "/api/v1/api-keys"
    tags = ("API keys",)

    @post("/", guards=[requires("keys:write")])
    async def create(
        self, data: JSONBody[ApiKeyBody], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[NewApiKeyView]:
        """Create a key in the environment of your credential. Its text is in this answer and never again."""
        async with begin(database, caller) as work:
            key, text = await usecases.create_key(work, name=data.name, scopes=data.scopes, expires_at=data.expires_at)
        view = NewApiKeyView(key=text, **msgspec.structs.asdict(ApiKeyView.of(key)))
        headers = {"Location": f"/api/v1/api-keys/{key.id}", "Cache-Control": "no-store"}
        return Response(view, status_code=201, headers=headers)

    @get("/", guards=[requires("keys:read")], opt={"policy": API_READ_HEAVY})
    async def list_keys(
        self, caller: InjectedCaller, database: InjectedDatabase, paging: InjectedPageQuery
    ) -> Page[ApiKeyView]:
        """List keys, newest first, without their texts."""
        async with begin(database, caller) as work:
            keys, total = await usecases.list_keys(work, limit=paging.page_size, offset=paging.offset)
        return Page.of([ApiKeyView.of(key) for key in keys], paging, total)

    @delete("/{key_id:str}", guards=[requires("keys:write")])
    async def revoke(self, key_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> None:
        """Revoke a key, in force within five seconds."""
        async with begin(database, caller) as work:
            await usecases.revoke_key(work, ApiKeyId(key_id))

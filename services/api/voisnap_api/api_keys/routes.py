"""`/api/v1/api-keys`."""

from datetime import timedelta
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from voisnap_domain.ids import ApiKeyId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import Work, begin

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .records import ApiKey, KeyFilter, KeyOrder, KeyStatus
from .schemas import ApiKeyBody, ApiKeyPatch, ApiKeyView, NewApiKeyView, RotationBody

Search = Annotated[str | None, QueryParameter(max_length=120, description="Part of the name or of the key's beginning")]


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
        return _new(work, key, text)

    @get("/", guards=[requires("keys:read")], opt={"policy": API_READ_HEAVY})
    async def list_keys(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        status: FromQuery[KeyStatus | None] = None,
        wanted_scope: Annotated[
            str | None, QueryParameter(name="scope", max_length=60, description="Only with it")
        ] = None,
        search: Search = None,
        sort_by: Annotated[KeyOrder, QueryParameter(name="sortBy")] = KeyOrder.CREATED_AT,
        sort_order: Annotated[str, QueryParameter(name="sortOrder", pattern="^(asc|desc)$")] = "desc",
    ) -> Page[ApiKeyView]:
        """List keys, newest first, without their texts."""
        wanted = KeyFilter(
            status=status, scope=wanted_scope, search=search, order=sort_by, descending=sort_order == "desc"
        )
        async with begin(database, caller) as work:
            keys, total = await usecases.list_keys(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([ApiKeyView.of(key, at=work.now) for key in keys], paging, total)

    @get("/{key_id:str}", guards=[requires("keys:read")])
    async def get_key(self, key_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> ApiKeyView:
        """One key, without its text."""
        async with begin(database, caller) as work:
            return ApiKeyView.of(await usecases.get_key(work, ApiKeyId(key_id)), at=work.now)

    @patch("/{key_id:str}", guards=[requires("keys:write")])
    async def rename(
        self, key_id: FromPath[str], data: JSONBody[ApiKeyPatch], caller: InjectedCaller, database: InjectedDatabase
    ) -> ApiKeyView:
        """Give a key another name. What it may do never changes."""
        async with begin(database, caller) as work:
            return ApiKeyView.of(await usecases.rename_key(work, ApiKeyId(key_id), data.name), at=work.now)

    @post("/{key_id:str}/rotate", status_code=201, guards=[requires("keys:write")])
    async def rotate(
        self, key_id: FromPath[str], data: JSONBody[RotationBody], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[NewApiKeyView]:
        """Get a new key with the same name and scopes. The old one stays good for the overlap, a day unless you say otherwise."""
        async with begin(database, caller) as work:
            overlap = timedelta(seconds=data.overlap_seconds)
            key, text = await usecases.rotate_key(work, ApiKeyId(key_id), overlap=overlap)
        return _new(work, key, text)

    @delete("/{key_id:str}", guards=[requires("keys:write")])
    async def revoke(self, key_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> None:
        """Revoke a key, in force within five seconds."""
        async with begin(database, caller) as work:
            await usecases.revoke_key(work, ApiKeyId(key_id))


def _new(work: Work, key: ApiKey, text: str) -> Response[NewApiKeyView]:
    view = NewApiKeyView(key=text, **msgspec.structs.asdict(ApiKeyView.of(key, at=work.now)))
    headers = {"Location": f"/api/v1/api-keys/{key.id}", "Cache-Control": "no-store"}
    return Response(view, status_code=201, headers=headers)

"""`/api/v1/users`."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from voisnap_domain.ids import UserId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin, begin_as_system

from voisnap_api.auth.scopes import Role
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, InjectedPages, requires
from voisnap_api.mfa import usecases as mfa

from . import usecases
from .records import User, UserFilter, UserOrder, UserStatus
from .schemas import InviteBody, UserPatch, UserView

PATH = "/api/v1/users"

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="Change only this version (an ETag)")]
Search = Annotated[str | None, QueryParameter(max_length=120, description="Part of a name or an e-mail address")]


class UserController(Controller):
    """The people of a tenant. They work in both environments."""

    path = PATH
    tags = ("Users",)

    @get("/", guards=[requires("users:read")], opt={"policy": API_READ_HEAVY})
    async def list_users(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        role: FromQuery[Role | None] = None,
        status: FromQuery[UserStatus | None] = None,
        search: Search = None,
        sort_by: Annotated[UserOrder, QueryParameter(name="sortBy")] = UserOrder.CREATED_AT,
        sort_order: Annotated[str, QueryParameter(name="sortOrder", pattern="^(asc|desc)$")] = "desc",
    ) -> Page[UserView]:
        """List the tenant's people, newest first."""
        wanted = UserFilter(role=role, status=status, search=search, order=sort_by, descending=sort_order == "desc")
        async with begin(database, caller) as work:
            found, total = await usecases.list_users(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([UserView.of(user) for user in found], paging, total)

    @get("/{user_id:str}", guards=[requires("users:read")])
    async def get_user(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[UserView]:
        """One person."""
        async with begin(database, caller) as work:
            user = await usecases.get_user(work, UserId(user_id))
        return _answer(user)

    @post("/invite", status_code=201, guards=[requires("users:write")])
    async def invite(
        self, data: JSONBody[InviteBody], caller: InjectedCaller, database: InjectedDatabase, pages: InjectedPages
    ) -> Response[UserView]:
        """Invite somebody by e-mail. The link in it is good once, for seven days."""
        async with begin(database, caller) as work:
            user = await usecases.invite_user(work, pages, data.to_new_user())
        return _answer(user, status=201)

    @post("/{user_id:str}/invitation/resend", status_code=200, guards=[requires("users:write")])
    async def resend_invitation(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase, pages: InjectedPages
    ) -> Response[UserView]:
        """Send the invitation again, with a new link; the earlier one is no good any more."""
        async with begin(database, caller) as work:
            user = await usecases.resend_invitation(work, pages, UserId(user_id))
        return _answer(user)

    @delete("/{user_id:str}/invitation", guards=[requires("users:write")])
    async def revoke_invitation(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> None:
        """Take an invitation back."""
        async with begin(database, caller) as work:
            await usecases.revoke_invitation(work, UserId(user_id))

    @patch("/{user_id:str}", guards=[requires("users:write")])
    async def change(
        self,
        user_id: FromPath[str],
        data: JSONBody[UserPatch],
        caller: InjectedCaller,
        database: InjectedDatabase,
        if_match: IfMatch = None,
    ) -> Response[UserView]:
        """Change names, role or permissions. Tokens made before lose their force within seconds; a refresh brings the new rights."""
        async with begin(database, caller) as work:
            before = await usecases.get_user(work, UserId(user_id))
            change = data.to_change(before.permissions)
            user = await usecases.change_user(work, UserId(user_id), change, version=if_match)
        return _answer(user)

    @post("/{user_id:str}/deactivate", status_code=200, guards=[requires("users:write")])
    async def deactivate(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[UserView]:
        """Let a person in no more: log-ins end at once, access tokens within seconds."""
        async with begin(database, caller) as work:
            user = await usecases.disable_user(work, UserId(user_id))
        return _answer(user)

    @post("/{user_id:str}/reactivate", status_code=200, guards=[requires("users:write")])
    async def reactivate(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[UserView]:
        """Let a deactivated person in again, with the password of before."""
        async with begin(database, caller) as work:
            user = await usecases.enable_user(work, UserId(user_id))
        return _answer(user)

    @post("/{user_id:str}/unlock", status_code=200, guards=[requires("users:write")])
    async def unlock(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> Response[UserView]:
        """End the lock that follows wrong passwords."""
        async with begin(database, caller) as work:
            user = await usecases.managed_user(work, UserId(user_id))
        async with begin_as_system(database, caller) as work:
            await usecases.unlock_user(work, user)
        return _answer(user)

    @post("/{user_id:str}/mfa/reset", status_code=200, guards=[requires("users:write")])
    async def reset_mfa(
        self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase, pages: InjectedPages
    ) -> Response[UserView]:
        """Take all second factors of a person away, for somebody who lost them."""
        async with begin(database, caller) as work:
            user = await usecases.managed_user(work, UserId(user_id))
            await mfa.reset_factors(work, pages, user)
            user = await usecases.get_user(work, user.id)
        return _answer(user)

    @delete("/{user_id:str}", guards=[requires("users:write")])
    async def remove(self, user_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> None:
        """Forget a person. What they made stays."""
        async with begin(database, caller) as work:
            await usecases.delete_user(work, UserId(user_id))


def _answer(user: User, *, status: int = 200) -> Response[UserView]:
    headers = {"ETag": usecases.etag_of(user)}
    if status == 201:
        headers["Location"] = f"{PATH}/{user.id}"
    return Response(UserView.of(user), status_code=status, headers=headers)

"""`/api/v1/telephony/trunks`."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from msgspec import UNSET, UnsetType
from voisnap_domain.ids import PhoneNumberId, SipTrunkId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import Work, begin

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.phone_numbers import usecases as numbers
from voisnap_api.phone_numbers.schemas import CarrierName

from . import usecases
from .building import TrunkBuilder, TrunkChange, TrunkWish
from .records import SipTrunk
from .schemas import SipTrunkBody, SipTrunkPatch, SipTrunkView

InjectedTrunkBuilder = NamedDependency[SkipValidation[TrunkBuilder]]

_NO_STORE = {"Cache-Control": "no-store"}


class SipTrunkController(Controller):
    """SIP trunks: your own telephone system at a carrier."""

    path = "/api/v1/telephony/trunks"
    tags = ("Telephony",)

    @post("/", guards=[requires("telephony:write")])
    async def create(
        self, data: JSONBody[SipTrunkBody], caller: InjectedCaller, trunk_builder: InjectedTrunkBuilder
    ) -> Response[SipTrunkView]:
        """Make a SIP trunk at a carrier: calls to its numbers go to your servers, and your servers call out over it.

        The password of its credentials is in this answer and kept nowhere. Where the carrier fails on the way, `status` is `failed`, and an
        empty PATCH tries again.
        """
        wish = TrunkWish(
            name=data.name,
            origination=tuple(one.to_domain() for one in data.origination),
            username=None if data.credentials is None else data.credentials.username,
            password=None if data.credentials is None else data.credentials.password,
            allowed_ips=data.allowed_ips,
            numbers=tuple(PhoneNumberId(one) for one in data.numbers),
        )
        built = await trunk_builder.create(caller, data.provider.value, wish)
        headers = {"Location": f"/api/v1/telephony/trunks/{built.trunk.id}", **_NO_STORE}
        return Response(SipTrunkView.of_built(built), status_code=201, headers=headers)

    @get("/", guards=[requires("telephony:read")], opt={"policy": API_READ_HEAVY})
    async def list_trunks(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        provider: Annotated[CarrierName | None, QueryParameter(description="Only trunks at this carrier")] = None,  # type: ignore[valid-type]
    ) -> Page[SipTrunkView]:
        """List SIP trunks, newest first."""
        wanted = None if provider is None else provider.value
        async with begin(database, caller) as work:
            found, total = await usecases.list_trunks(work, wanted, limit=paging.page_size, offset=paging.offset)
            views = [await _view(work, trunk) for trunk in found]
        return Page.of(views, paging, total)

    @get("/{trunk_id:str}", guards=[requires("telephony:read")])
    async def read(self, trunk_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> SipTrunkView:
        """One SIP trunk."""
        async with begin(database, caller) as work:
            return await _view(work, await usecases.get_trunk(work, SipTrunkId(trunk_id)))

    @patch("/{trunk_id:str}", guards=[requires("telephony:write")])
    async def change(
        self,
        trunk_id: FromPath[str],
        data: JSONBody[SipTrunkPatch],
        caller: InjectedCaller,
        trunk_builder: InjectedTrunkBuilder,
    ) -> Response[SipTrunkView]:
        """Change a SIP trunk, or with an empty patch try again what the carrier failed at. New credentials are in this answer alone."""
        built = await trunk_builder.change(caller, SipTrunkId(trunk_id), _change(data))
        return Response(SipTrunkView.of_built(built), headers=_NO_STORE)

    @delete("/{trunk_id:str}", guards=[requires("telephony:write")])
    async def remove(
        self, trunk_id: FromPath[str], caller: InjectedCaller, trunk_builder: InjectedTrunkBuilder
    ) -> None:
        """Take a SIP trunk away. Its numbers stay yours, and their calls come to your agents again."""
        await trunk_builder.delete(caller, SipTrunkId(trunk_id))

    @post("/{trunk_id:str}/test", status_code=200, guards=[requires("telephony:write")])
    async def test(
        self,
        trunk_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        trunk_builder: InjectedTrunkBuilder,
    ) -> SipTrunkView:
        """Read at the carrier what it has of each part of a trunk; `lastTest` of the answer says what is missing. No call is placed."""
        trunk = await trunk_builder.test(caller, SipTrunkId(trunk_id))
        async with begin(database, caller) as work:
            return await _view(work, trunk)


async def _view(work: Work, trunk: SipTrunk) -> SipTrunkView:
    return SipTrunkView.of(trunk, tuple(line.id for line in await numbers.numbers_of_trunk(work, trunk.id)))


def _change(data: SipTrunkPatch) -> TrunkChange:
    credentials = data.credentials
    username: str | UnsetType | None = UNSET
    password = None
    if credentials is None:
        username = None
    elif not isinstance(credentials, UnsetType):
        username, password = credentials.username, credentials.password
    return TrunkChange(
        name=data.name.strip() if isinstance(data.name, str) else data.name,
        origination=(
            data.origination
            if isinstance(data.origination, UnsetType)
            else tuple(one.to_domain() for one in data.origination)
        ),
        username=username,
        password=password,
        allowed_ips=data.allowed_ips,
        numbers=(
            data.numbers if isinstance(data.numbers, UnsetType) else tuple(PhoneNumberId(one) for one in data.numbers)
        ),
    )

"""`/api/v1/telephony/numbers`."""

import re
from datetime import timedelta
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from voisnap_domain.errors import FieldError, Invalid
from voisnap_domain.ids import AgentId, PhoneNumberId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin, begin_reading, utc_now
from voisnap_providers.numbering import is_country
from voisnap_providers.ports.numbers import NumberFeature, NumberQuery

from voisnap_api.conversations import usecases as conversations
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.periods import period
from voisnap_api.wire import instant

from . import usecases
from .provisioning import Provisioner, Wish
from .records import LineFilter, LineStatus
from .schemas import (
    AvailableNumbersView,
    AvailableNumberView,
    CarrierName,
    NumberVerificationView,
    SearchWarningView,
    TelephonyNumberBody,
    TelephonyNumberPatch,
    TelephonyNumberView,
    TelephonyUsageView,
)
from .usecases import NumberChange

InjectedProvisioner = NamedDependency[SkipValidation[Provisioner]]

DEFAULT_USAGE_DAYS = 30
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")


class TelephonyNumberController(Controller):
    """Telephone numbers: finding, buying, assigning, giving back."""

    path = "/api/v1/telephony/numbers"
    tags = ("Telephony",)

    @get("/search", guards=[requires("telephony:read")])
    async def search(
        self,
        caller: InjectedCaller,
        provisioner: InjectedProvisioner,
        country: Annotated[str, QueryParameter(description="ISO 3166-1 alpha-2, such as US")] = "US",
        area_code: Annotated[
            str | None,
            QueryParameter(name="areaCode", description="The first digits of the national number, such as 415"),
        ] = None,
        contains: Annotated[
            str | None, QueryParameter(description="Digits, or the letters of a keypad, anywhere in the number")
        ] = None,
        capabilities: Annotated[
            str | None, QueryParameter(description="All of these, comma-separated: voice, sms, mms")
        ] = None,
        provider: Annotated[
            CarrierName | None, QueryParameter(description="Only numbers of this carrier; else of all that are set up")  # type: ignore[valid-type]
        ] = None,
        toll_free: Annotated[
            bool, QueryParameter(name="tollFree", description="Numbers that cost callers nothing")
        ] = False,
        limit: Annotated[int, QueryParameter(ge=1, le=50, description="Numbers at most")] = 10,
    ) -> AvailableNumbersView:
        """Find numbers that can be bought. Every carrier that is set up is asked at once; `warnings` names those that did not answer."""
        query = _query(country, area_code, contains, capabilities, toll_free=toll_free, limit=limit)
        found, failed = await provisioner.search(caller, None if provider is None else provider.value, query)
        return AvailableNumbersView(
            numbers=tuple(AvailableNumberView.of(name, offer) for name, offer in found),
            warnings=tuple(SearchWarningView(provider=name, detail=detail) for name, detail in failed),
        )

    @post("/", guards=[requires("telephony:write")])
    async def create(
        self, data: JSONBody[TelephonyNumberBody], caller: InjectedCaller, provisioner: InjectedProvisioner
    ) -> Response[TelephonyNumberView]:
        """Buy a number and set it up, so that its calls and texts reach the agent; or take over one that your account rents already
        (`"source": "existing"`).

        It rents the number from your own account with the carrier if you have added one, else from the platform's. While the carrier works on
        it, `status` is `provisioning`; a number is never bought twice, whatever is lost on the way.
        """
        wish = Wish(
            phone_number=data.phone_number,
            provider=data.provider.value,
            source=data.source,
            agent_id=None if data.agent_id is None else AgentId(data.agent_id),
            sms_agent_id=None if data.sms_agent_id is None else AgentId(data.sms_agent_id),
            friendly_name=data.friendly_name,
        )
        line = await provisioner.provide(caller, wish)
        headers = {"Location": f"/api/v1/telephony/numbers/{line.id}"}
        return Response(TelephonyNumberView.of(line), status_code=201, headers=headers)

    @get("/", guards=[requires("telephony:read")], opt={"policy": API_READ_HEAVY})
    async def list_numbers(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        provider: Annotated[CarrierName | None, QueryParameter(description="Only numbers of this carrier")] = None,  # type: ignore[valid-type]
        agent_id: Annotated[
            str | None, QueryParameter(name="agentId", description="Only numbers that this agent answers")
        ] = None,
        capability: Annotated[NumberFeature | None, QueryParameter(description="Only numbers that can do this")] = None,
        status: Annotated[
            LineStatus | None, QueryParameter(description="Only numbers in this status; else those that are yours")
        ] = None,
        phone_number: Annotated[
            str | None, QueryParameter(name="phoneNumber", description="Only this number, in E.164 form")
        ] = None,
    ) -> Page[TelephonyNumberView]:
        """List your numbers, newest first. Those that failed or were given back are listed by `status` only."""
        wanted = LineFilter(
            provider=None if provider is None else provider.value,
            agent_id=agent_id,
            capability=None if capability is None else capability.value,
            status=None if status is None else status.value,
            phone_number=phone_number,
        )
        async with begin_reading(database, caller) as work:
            found, total = await usecases.list_numbers(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([TelephonyNumberView.of(line) for line in found], paging, total)

    @get("/{number_id:str}", guards=[requires("telephony:read")])
    async def read(
        self, number_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> TelephonyNumberView:
        """One number."""
        async with begin_reading(database, caller) as work:
            return TelephonyNumberView.of(await usecases.get_number(work, PhoneNumberId(number_id)))

    @patch("/{number_id:str}", guards=[requires("telephony:write")])
    async def change(
        self,
        number_id: FromPath[str],
        data: JSONBody[TelephonyNumberPatch],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> TelephonyNumberView:
        """Assign a number to another agent or to none, or name it. Calls that run go on with the agent that answered."""
        change = NumberChange(
            agent_id=AgentId(data.agent_id) if isinstance(data.agent_id, str) else data.agent_id,
            sms_agent_id=AgentId(data.sms_agent_id) if isinstance(data.sms_agent_id, str) else data.sms_agent_id,
            friendly_name=data.friendly_name,
        )
        async with begin(database, caller) as work:
            return TelephonyNumberView.of(await usecases.change_number(work, PhoneNumberId(number_id), change))

    @delete("/{number_id:str}", guards=[requires("telephony:write")])
    async def remove(
        self,
        number_id: FromPath[str],
        caller: InjectedCaller,
        provisioner: InjectedProvisioner,
        keep: Annotated[
            bool | None,
            QueryParameter(
                description="Whether the account goes on renting it; else a number that was bought here is given back"
            ),
        ] = None,
    ) -> None:
        """Give a number back. Where the carrier does not answer, it stays listed as `releasing` until it does."""
        await provisioner.release(caller, PhoneNumberId(number_id), keep=keep)

    @post("/{number_id:str}/verify", status_code=200, guards=[requires("telephony:write")])
    async def verify(
        self, number_id: FromPath[str], caller: InjectedCaller, provisioner: InjectedProvisioner
    ) -> NumberVerificationView:
        """Read at the carrier where it tells of a number's calls and texts, and say what differs from where it should."""
        return NumberVerificationView.of(await provisioner.verify(caller, PhoneNumberId(number_id)))

    @post("/{number_id:str}/configure", status_code=200, guards=[requires("telephony:write")])
    async def configure(
        self, number_id: FromPath[str], caller: InjectedCaller, provisioner: InjectedProvisioner
    ) -> TelephonyNumberView:
        """Have the carrier tell us of a number's calls and texts, as when it was bought."""
        return TelephonyNumberView.of(await provisioner.configure(caller, PhoneNumberId(number_id)))


class TelephonyUsageController(Controller):
    """What was called and written."""

    path = "/api/v1/telephony/usage"
    tags = ("Telephony",)

    @get("/", guards=[requires("telephony:read")])
    async def read(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        date_from: Annotated[
            str | None, QueryParameter(name="dateFrom", description="The first day or moment, in ISO 8601; inclusive")
        ] = None,
        date_to: Annotated[
            str | None, QueryParameter(name="dateTo", description="The last day or moment, in ISO 8601; inclusive")
        ] = None,
    ) -> TelephonyUsageView:
        """Calls, minutes, messages and their cost by number, carrier and direction, of conversations that have ended. Without `dateFrom` of
        the last 30 days."""
        asked = period(date_from, date_to)
        if asked.start is None:
            end = asked.before or utc_now()
            asked = msgspec.structs.replace(asked, start=end - timedelta(days=DEFAULT_USAGE_DAYS))
        async with begin_reading(database, caller) as work:
            lines = await conversations.line_usage(work, asked)
        first = None if asked.start is None else instant(asked.start)
        return TelephonyUsageView.of(lines, date_from or first, date_to)


def _query(
    country: str,
    area_code: str | None,
    contains: str | None,
    capabilities: str | None,
    *,
    toll_free: bool,
    limit: int,
) -> NumberQuery:
    """What a search asks of carriers. Raises Invalid with every fault."""
    faults: list[FieldError] = []

    def fault(name: str, code: str, detail: str) -> None:
        faults.append(FieldError(pointer=f"?{name}", code=code, detail=f"{name}: {detail}"))

    country = country.strip().upper()
    if not re.fullmatch(r"[A-Z]{2}", country) or not is_country(country):
        fault("country", "wrong-format", "must be a country by ISO 3166-1 alpha-2, such as US")
    if area_code is not None and not re.fullmatch(r"[0-9]{1,6}", area_code := area_code.strip()):
        fault("areaCode", "wrong-format", "must be 1 to 6 digits")
    if contains is not None:
        contains = contains.strip().upper().translate(_KEYPAD).lstrip("+")
        if not re.fullmatch(r"[0-9]{2,15}", contains):
            fault("contains", "wrong-format", "must be 2 to 15 digits or letters")
    named = [name.strip().lower() for name in (capabilities or "").split(",") if name.strip()]
    if not set(named) <= set(NumberFeature):
        fault("capabilities", "not-allowed", "must be of voice, sms, mms, comma-separated")
    if faults:
        raise Invalid(tuple(faults))
    return NumberQuery(
        country=country,
        area_code=area_code or None,
        contains=contains or None,
        features=tuple(feature for feature in NumberFeature if feature.value in named),
        toll_free=toll_free,
        limit=limit,
    )

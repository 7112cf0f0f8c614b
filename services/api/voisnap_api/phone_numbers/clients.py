"""The carriers' desks for numbers, by the accounts that a tenant may use."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from voisnap_domain.errors import Conflict, DomainError
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.work import Work
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.carriers import CARRIERS, SIMULATOR, CarrierUrls
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.number_desks import number_desk
from voisnap_providers.ports.numbers import NumberDesk, NumberOffer, NumberQuery, NumberTargets

from voisnap_api.carrier_accounts import CarrierAccounts
from voisnap_api.provider_credentials import usecases as credentials

SEARCH_SECONDS = 12.0
MOST_OPEN = 64
"""Desks whose connections a process keeps open."""

_log = log.get(__name__)


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """An account that a tenant may use. `account` is what numbers name it by: `platform`, `simulator`, or a credential."""

    provider: str
    account: str
    opened: Account


class Desks:
    """The desks of this process. Make it inside the running event loop or before it, and close it with `aclose`."""

    def __init__(self, accounts: CarrierAccounts, *, public_url: str) -> None:
        self._accounts = accounts
        self._urls = CarrierUrls(public_url)
        self._open: OrderedDict[tuple[str, str], tuple[Account, NumberDesk]] = OrderedDict()
        self._put_away: list[NumberDesk] = []

    async def reached(self, work: Work, provider: str | None = None) -> tuple[Reached, ...]:
        """The accounts that the caller's tenant may use, one a carrier: its own default one, else the platform's; in the sandbox the
        simulator's. Raises Conflict `carrier-not-configured` when there is none."""
        wanted = CARRIERS if provider is None else (provider,)
        found: list[Reached] = []
        own = {}
        if work.caller.environment is not Environment.SANDBOX:
            own = {one.provider: one.id for one in await credentials.credentials_of(work, wanted)}
        shared = SIMULATOR if work.caller.environment is Environment.SANDBOX else PLATFORM
        for name in wanted:
            account = own.get(name, shared)
            try:
                found.append(await self.account(work, name, account))
            except ProviderUnconfigured:
                continue
        if not found:
            raise _unconfigured(work.caller.environment, provider)
        return tuple(found)

    async def account(self, work: Work, provider: str, account: str) -> Reached:
        """One account by its name. Raises NotFound, ProviderUnconfigured."""
        opened = await self._accounts.account(work, provider, account, work.caller.environment)
        return Reached(provider=provider, account=account, opened=opened)

    def desk(self, reached: Reached) -> NumberDesk:
        """The account's numbers. Raises ProviderUnconfigured."""
        key = (reached.provider, reached.opened.id)
        known = self._open.get(key)
        if known is None or known[0] != reached.opened:
            if known is not None:
                self._put_away.append(known[1])
            known = self._open[key] = (reached.opened, number_desk(reached.opened))
        self._open.move_to_end(key)
        if len(self._open) > MOST_OPEN:
            self._put_away.append(self._open.popitem(last=False)[1][1])
        return known[1]

    def targets(self, reached: Reached) -> NumberTargets:
        """Where a carrier tells of the numbers of an account."""
        voice = self._urls.voice(reached.provider, reached.account)
        return NumberTargets(
            voice_url=voice,
            events_url=f"{voice.removesuffix('/voice')}/events",
            messages_url=self._urls.messages(reached.provider, reached.account),
        )

    async def search(
        self, reached: tuple[Reached, ...], query: NumberQuery
    ) -> tuple[list[tuple[str, NumberOffer]], list[tuple[str, str]]]:
        """Offers with who makes them, the carriers in turns; and of carriers that did not answer why. Raises ProviderError and Conflict when
        none did."""
        answers = await asyncio.gather(*(self._searched(one, query) for one in reached), return_exceptions=True)
        found: list[list[tuple[str, NumberOffer]]] = []
        failed: list[tuple[str, str]] = []
        faults: list[BaseException] = []
        for one, answer in zip(reached, answers, strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, ProviderError | DomainError):
                    raise answer
                faults.append(answer)
                failed.append((one.provider, answer.detail))
            else:
                found.append([(one.provider, offer) for offer in answer])
        if not found:
            raise faults[0]
        longest = max(len(offers) for offers in found)
        in_turns = [offers[place] for place in range(longest) for offers in found if place < len(offers)]
        return in_turns[: query.limit], failed

    async def aclose(self) -> None:
        """Close every connection."""
        desks = [desk for _, desk in self._open.values()] + self._put_away
        self._open.clear()
        self._put_away.clear()
        for desk in desks:
            await desk.aclose()

    async def _searched(self, reached: Reached, query: NumberQuery) -> tuple[NumberOffer, ...]:
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                async with said_clearly(reached.provider):
                    return await self.desk(reached).search(query)
        except TimeoutError:
            detail = f"{reached.provider} did not answer within {SEARCH_SECONDS:g} s."
            raise ProviderError(detail, provider=reached.provider, kind="carrier", retryable=True) from None


@asynccontextmanager
async def said_clearly(provider: str) -> AsyncGenerator[None]:
    """Turns a carrier's refusal of the credentials, which only the tenant or the operator can mend, into a Conflict that says so."""
    try:
        yield
    except ProviderAuthError as error:
        _log.warning("carrier.credentials_refused", provider=provider)
        raise Conflict(
            f"{provider} refuses the credentials. Test them with POST /api/v1/provider-credentials/{{id}}/test.",
            code="carrier-credentials-refused",
        ) from error


def _unconfigured(environment: Environment, provider: str | None) -> Conflict:
    which = provider or "telephone carrier"
    if environment is Environment.SANDBOX:
        what = "The sandbox talks to simulated carriers only, and this installation's simulator does not run."
    else:
        what = (
            "Add your access with POST /api/v1/provider-credentials (provider twilio, vonage or telnyx), or have the operator set up the "
            "platform's own."
        )
    return Conflict(f"There is no {which} here. {what}", code="carrier-not-configured")

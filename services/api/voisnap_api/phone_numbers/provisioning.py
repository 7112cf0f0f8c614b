"""Numbers got, set up and given back at carriers.

Nothing is asked of a carrier inside a transaction, and nothing is bought before its row is there: what becomes of a purchase whose answer
was lost, or whose process died, is read from the account's numbers by `settle`, and nobody buys again.
"""

from contextlib import suppress
from datetime import datetime

import msgspec
from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.errors import Conflict, DomainError, Forbidden, NotFound
from voisnap_domain.ids import AgentId, PhoneNumberId
from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, begin, begin_as_system, utc_now
from voisnap_providers.accounts import PLATFORM
from voisnap_providers.errors import ProviderError
from voisnap_providers.numbering import calling_code
from voisnap_providers.ports.numbers import (
    Difference,
    HeldNumber,
    NumberOffer,
    NumberQuery,
    Purchase,
    PurchaseUncertain,
)
from voisnap_providers.vendors import number_refusals

from . import usecases
from .clients import Desks, Reached, said_clearly
from .records import LineSource, LineStatus, PhoneLine

ORDER_SECONDS = 20.0
"""Until an order is looked at again for the first time."""
UNSOLD_SECONDS = 900.0
"""A purchase of which the account has no number after so long was none."""
ORDER_DAYS, SET_UP_DAYS, RELEASE_DAYS = 30, 2, 30
"""How long an order, a setting and a release are tried."""
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 21_600.0

_log = log.get(__name__)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A number that a tenant wants."""

    phone_number: str
    provider: str
    source: LineSource = LineSource.PURCHASE
    agent_id: AgentId | None = None
    sms_agent_id: AgentId | None = None
    friendly_name: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a carrier tells us of a number's calls and texts."""

    at: datetime
    differences: tuple[Difference, ...]

    @property
    def verified(self) -> bool:
        return not self.differences


class Provisioner:
    """Does it for whoever asks, a transaction a step."""

    def __init__(self, database: Database, desks: Desks, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._desks = desks
        self._clock = clock

    async def search(
        self, caller: Caller, provider: str | None, query: NumberQuery
    ) -> tuple[list[tuple[str, NumberOffer]], list[tuple[str, str]]]:
        """Offers with their carriers, and of carriers that did not answer why. Raises Conflict `carrier-not-configured`, ProviderError."""
        async with begin(self._database, caller) as work:
            reached = await self._desks.reached(work, provider)
        return await self._desks.search(reached, query)

    async def provide(self, caller: Caller, wish: Wish) -> PhoneLine:
        """Buy a number, or take one that the account rents. It may still be `provisioning`, when the carrier takes its time.

        Raises Invalid, LimitReached, Conflict (`number-unavailable`, `carrier-funds-insufficient`, `regulatory-documents-missing`,
        `number-refused`, `number-exists`, `carrier-not-configured`), NotFound `number-not-in-account`, ProviderError.
        """
        async with begin(self._database, caller) as work:
            [reached] = await self._desks.reached(work, wish.provider)
            if wish.source is LineSource.EXISTING and reached.account == PLATFORM and not caller.platform_admin:
                raise Forbidden(
                    "Numbers that the platform rents already are given out by its operator.", code="platform-number"
                )
        if wish.source is LineSource.PURCHASE and reached.account == PLATFORM:
            await self._check_is_nobodys(caller, reached, wish.phone_number)
        async with begin(self._database, caller) as work:
            line = await usecases.intend(
                work,
                provider=wish.provider,
                account=reached.account,
                phone_number=wish.phone_number,
                source=wish.source,
                agent_id=wish.agent_id,
                sms_agent_id=wish.sms_agent_id,
                friendly_name=wish.friendly_name,
            )
        try:
            purchase = await self._got(caller, reached, line)
        except PurchaseUncertain as error:
            _log.warning("phone_number.purchase_uncertain", number_id=line.id, provider=line.provider)
            return await self._ordered(caller, line, None, error.detail)
        except (DomainError, ProviderError) as error:
            async with begin(self._database, caller) as work:
                await usecases.note_failed(work, line.id, error.detail)
            raise
        if purchase.held is None:
            return await self._ordered(caller, line, purchase.order_id, f"{line.provider} works on the order.")
        return await self._held(caller, reached, line, purchase.held, is_configured=purchase.is_configured)

    async def configure(self, caller: Caller, number_id: PhoneNumberId) -> PhoneLine:
        """Have the carrier tell us of a number's calls and texts. Raises NotFound, Conflict, ProviderError."""
        line, reached = await self._reached(caller, number_id)
        held = await self._found(reached, line)
        async with said_clearly(line.provider):
            await self._desks.desk(reached).configure(held, self._desks.targets(reached))
        async with begin(self._database, caller) as work:
            return await usecases.note_configured(work, line.id)

    async def verify(self, caller: Caller, number_id: PhoneNumberId) -> Verification:
        """What the carrier has set for a number, beside what it should. Raises NotFound, Conflict, ProviderError."""
        line, reached = await self._reached(caller, number_id)
        desk = self._desks.desk(reached)
        async with said_clearly(line.provider):
            held = await desk.find(line.phone_number)
            if held is None:
                missing = Difference(setting="number", expected=line.phone_number, found="")
                return Verification(at=self._clock(), differences=(missing,))
            differences = await desk.differences(held, self._desks.targets(reached))
        return Verification(at=self._clock(), differences=differences)

    async def release(self, caller: Caller, number_id: PhoneNumberId, *, keep: bool | None) -> None:
        """Give a number back. Where the carrier does not answer, it is `releasing` until it does. Raises NotFound, Conflict."""
        async with begin(self._database, caller) as work:
            line, is_given_back = await usecases.begin_release(work, number_id, keep=keep)
            reached = await self._desks.account(work, line.provider, line.account) if is_given_back else None
        if reached is None:
            return
        try:
            await self._released(caller, reached, line)
        except (ProviderError, DomainError) as error:
            _log.warning("phone_number.release_failed", number_id=line.id, provider=line.provider)
            async with begin(self._database, caller) as work:
                await usecases.note_unreleased(work, line.id, detail=error.detail, seconds=_FIRST_PAUSE)

    async def settle(self, line: PhoneLine) -> LineStatus:
        """Bring one number that is on its way to where it belongs, by what the carrier knows of it; what it is then."""
        caller = Caller.system(line.tenant_id, line.environment)
        try:
            async with begin(self._database, caller) as work:
                reached = await self._desks.account(work, line.provider, line.account)
            match line.status:
                case LineStatus.PROVISIONING:
                    return await self._settle_purchase(caller, reached, line)
                case LineStatus.RELEASING:
                    await self._released(caller, reached, line)
                    return LineStatus.RELEASED
                case _:
                    await self.configure(caller, line.id)
                    return line.status
        except (ProviderError, DomainError) as error:
            _log.warning("phone_number.unsettled", number_id=line.id, provider=line.provider, status=line.status.value)
            await self._later(caller, line, error.detail)
            return line.status

    async def _check_is_nobodys(self, caller: Caller, reached: Reached, phone_number: str) -> None:
        """What an account lists afterwards is taken for bought: that must not be what it rented before. Raises NumberUnavailable."""
        async with begin_as_system(self._database, caller) as work:
            line = await usecases.line_of(work, reached.provider, reached.account, phone_number)
        if line is not None or phone_number_fault(phone_number):
            return  # it is refused for that
        async with said_clearly(reached.provider):
            if await self._desks.desk(reached).find(phone_number) is not None:
                raise number_refusals.gone(reached.provider)

    async def _got(self, caller: Caller, reached: Reached, line: PhoneLine) -> Purchase:
        desk = self._desks.desk(reached)
        async with said_clearly(line.provider):
            if line.source is LineSource.EXISTING:
                return Purchase(held=await self._found(reached, line))
            # Telnyx sells only what a search has shown; and the search says what nobody else does: place and price.
            with suppress(ProviderError):
                query = NumberQuery(
                    country=line.country,
                    contains=line.phone_number.removeprefix(f"+{calling_code(line.country)}"),
                    toll_free=line.toll_free,
                    limit=1,
                )
                for offer in await desk.search(query):
                    async with begin(self._database, caller) as work:
                        await usecases.note_offer(work, line.id, offer)
            return await desk.buy(
                line.phone_number,
                country=line.country,
                reference=line.id,
                targets=self._desks.targets(reached),
            )

    async def _held(
        self, caller: Caller, reached: Reached, line: PhoneLine, held: HeldNumber, *, is_configured: bool
    ) -> PhoneLine:
        """The number is ours: that is kept first, and only then is it set up."""
        async with begin(self._database, caller) as work:
            kept = await usecases.note_held(work, line.id, held, is_configured=is_configured)
        if is_configured:
            return kept
        try:
            async with said_clearly(line.provider):
                await self._desks.desk(reached).configure(held, self._desks.targets(reached))
        except (ProviderError, DomainError) as error:
            _log.warning("phone_number.not_configured", number_id=line.id, provider=line.provider)
            async with begin(self._database, caller) as work:
                return await usecases.note_configured(work, line.id, seconds=_FIRST_PAUSE, detail=error.detail)
        async with begin(self._database, caller) as work:
            return await usecases.note_configured(work, line.id)

    async def _ordered(self, caller: Caller, line: PhoneLine, order_id: str | None, detail: str) -> PhoneLine:
        async with begin(self._database, caller) as work:
            return await usecases.note_ordered(work, line.id, order_id=order_id, detail=detail, seconds=ORDER_SECONDS)

    async def _settle_purchase(self, caller: Caller, reached: Reached, line: PhoneLine) -> LineStatus:
        desk = self._desks.desk(reached)
        held = await desk.find(line.phone_number)
        if held is None and line.order_id is not None:
            try:
                held = (await desk.ordered(line.order_id)).held
            except Conflict as error:
                return await self._failed(caller, line, error.detail)
        if held is not None:
            return (await self._held(caller, reached, line, held, is_configured=False)).status
        age = (self._clock() - line.created_at).total_seconds()
        if line.order_id is None and age > UNSOLD_SECONDS:
            return await self._failed(caller, line, f"{line.provider} did not sell the number.")
        if age > ORDER_DAYS * 86_400:
            return await self._failed(caller, line, f"{line.provider} has not done the order in {ORDER_DAYS} days.")
        await self._later(caller, line, line.status_detail or f"{line.provider} works on the order.")
        return line.status

    async def _failed(self, caller: Caller, line: PhoneLine, detail: str) -> LineStatus:
        async with begin(self._database, caller) as work:
            return (await usecases.note_failed(work, line.id, detail)).status

    async def _released(self, caller: Caller, reached: Reached, line: PhoneLine) -> None:
        desk = self._desks.desk(reached)
        async with said_clearly(line.provider):
            held = await desk.find(line.phone_number)
            if held is not None:
                await desk.release(held)
        async with begin(self._database, caller) as work:
            await usecases.note_released(work, line.id)

    async def _later(self, caller: Caller, line: PhoneLine, detail: str) -> None:
        """Try again after a quarter of the time it has taken so far; not for ever."""
        since = line.created_at if line.status is LineStatus.PROVISIONING else line.updated_at
        age = (self._clock() - since).total_seconds()
        seconds: float | None = min(max(age / 4, _FIRST_PAUSE), _LONGEST_PAUSE)
        async with begin(self._database, caller) as work:
            match line.status:
                case LineStatus.PROVISIONING:
                    await usecases.note_ordered(work, line.id, order_id=None, detail=detail, seconds=seconds or 0)
                case LineStatus.RELEASING:
                    seconds = None if age > RELEASE_DAYS * 86_400 else seconds
                    await usecases.note_unreleased(work, line.id, detail=detail, seconds=seconds)
                case _:
                    seconds = None if age > SET_UP_DAYS * 86_400 else seconds
                    await usecases.note_configured(work, line.id, seconds=seconds, detail=detail)

    async def _reached(self, caller: Caller, number_id: PhoneNumberId) -> tuple[PhoneLine, Reached]:
        async with begin(self._database, caller) as work:
            line = await usecases.get_number(work, number_id)
            if line.status is not LineStatus.ACTIVE:
                raise Conflict(f"The number {line.phone_number} is {line.status}.", code="number-not-active")
            if line.trunk_id is not None:
                raise Conflict(
                    f"Calls to {line.phone_number} go over the trunk {line.trunk_id}: test the trunk.",
                    code="number-on-trunk",
                )
            return line, await self._desks.account(work, line.provider, line.account)

    async def _found(self, reached: Reached, line: PhoneLine) -> HeldNumber:
        async with said_clearly(line.provider):
            held = await self._desks.desk(reached).find(line.phone_number)
        if held is None:
            raise NotFound(
                "phone number",
                line.phone_number,
                detail=f"The account with {line.provider} has no number {line.phone_number}.",
                code="number-not-in-account",
            )
        return held

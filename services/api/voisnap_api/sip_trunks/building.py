"""Trunks made, changed and taken away at carriers, step by step: what there is, is written down as it is made."""

import secrets
import string
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from voisnap_domain.errors import Conflict, DomainError, FieldError, Invalid
from voisnap_domain.ids import PhoneNumberId, SipTrunkId
from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, begin, utc_now
from voisnap_providers.errors import ProviderError
from voisnap_providers.number_desks import trunk_desk
from voisnap_providers.ports.numbers import HeldNumber
from voisnap_providers.ports.trunks import USER, Origination, Parts, TrunkDesk, TrunkPlan, Unfit

from voisnap_api.phone_numbers import usecases as numbers
from voisnap_api.phone_numbers.clients import Desks, Reached, said_clearly
from voisnap_api.phone_numbers.records import PhoneLine

from . import usecases
from .records import SipTrunk, TrunkStatus, TrunkTest

_POINTERS = {"origination": "/origination", "credentials": "/credentials", "allowed_ips": "/allowedIps"}
_PASSWORD_LENGTH = 24

_log = log.get(__name__)


class TrunkWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a trunk shall be. Without a password of his own a user gets one that we make."""

    name: str
    origination: tuple[Origination, ...] = ()
    username: str | None = None
    password: str | None = None
    allowed_ips: tuple[str, ...] = ()
    numbers: tuple[PhoneNumberId, ...] = ()


class TrunkChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a trunk; UNSET leaves it. `username` None takes the credentials off; a user
    whom the carrier does not know yet gets a password that we make, unless one is given."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    origination: tuple[Origination, ...] | msgspec.UnsetType = msgspec.UNSET
    username: str | msgspec.UnsetType | None = msgspec.UNSET
    password: str | None = None
    allowed_ips: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    numbers: tuple[PhoneNumberId, ...] | msgspec.UnsetType = msgspec.UNSET


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A trunk and its numbers; `password` is the one that has just been set, which is shown once."""

    trunk: SipTrunk
    numbers: tuple[PhoneLine, ...]
    password: str | None = None


class TrunkBuilder:
    """Does it for whoever asks, a transaction a step."""

    def __init__(self, database: Database, desks: Desks, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._desks = desks
        self._clock = clock

    async def create(self, caller: Caller, provider: str, wish: TrunkWish) -> Built:
        """A new trunk at a carrier. Where the carrier fails on the way, it is `failed`, and changing it goes on.

        Raises Invalid, LimitReached, Conflict (`carrier-not-configured`, `number-assigned`).
        """
        usecases.check(_faults(wish.name, wish.origination, wish.username, wish.password, wish.allowed_ips))
        password = None if wish.username is None else wish.password or _new_password()
        async with begin(self._database, caller) as work:
            [reached] = await self._desks.reached(work, provider)
            trunk = SipTrunk(
                id=SipTrunkId(work.new_id("trunk")),
                tenant_id=caller.tenant_id,
                environment=caller.environment,
                name=wish.name.strip(),
                provider=provider,
                account=reached.account,
                origination=wish.origination,
                username=wish.username,
                allowed_ips=wish.allowed_ips,
                status=TrunkStatus.PROVISIONING,
                created_by=caller.user_id or caller.key_id,
                created_at=work.now,
                updated_at=work.now,
            )
            async with _desk(reached) as desk:
                _check_fit(desk, trunk.plan(), {})
            await usecases.create_trunk(work, trunk)
            lines = [
                await numbers.put_on_trunk(work, number_id, trunk.id, account=reached.account)
                for number_id in dict.fromkeys(wish.numbers)
            ]
        return await self._built(caller, reached, trunk, tuple(lines), off=(), password=password)

    async def change(self, caller: Caller, trunk_id: SipTrunkId, change: TrunkChange) -> Built:
        """Make a trunk another one, or try again what the carrier failed at. Raises NotFound, Invalid, Conflict."""
        async with begin(self._database, caller) as work:
            before = await usecases.take_up(work, trunk_id)
            reached = await self._desks.account(work, before.provider, before.account)
            fields = {
                name: value
                for name, value in msgspec.structs.asdict(change).items()
                if name not in ("password", "numbers") and value is not msgspec.UNSET
            }
            after = msgspec.structs.replace(before, **fields)
            usecases.check(_faults(after.name, after.origination, after.username, change.password, after.allowed_ips))
            async with _desk(reached) as desk:
                _check_fit(desk, after.plan(), before.parts)
            password = change.password
            if after.username is not None and before.parts.get(USER) != after.username and password is None:
                password = _new_password()
            on = await numbers.numbers_of_trunk(work, trunk_id)
            lines, off = on, []
            if not isinstance(change.numbers, msgspec.UnsetType):
                wanted = dict.fromkeys(change.numbers)
                off = [line for line in on if line.id not in wanted]
                for line in off:
                    await numbers.take_off_trunk(work, line.id)
                lines = [
                    await numbers.put_on_trunk(work, number_id, trunk_id, account=before.account)
                    for number_id in wanted
                ]
            await usecases.note_wanted(
                work, after, tuple(sorted({*fields, *(["numbers"] if off or lines != on else [])}))
            )
        return await self._built(caller, reached, after, tuple(lines), off=tuple(off), password=password)

    async def test(self, caller: Caller, trunk_id: SipTrunkId) -> SipTrunk:
        """What the carrier knows of a trunk's parts. Raises NotFound, Conflict, ProviderError."""
        async with begin(self._database, caller) as work:
            trunk = await usecases.get_trunk(work, trunk_id)
            lines = await numbers.numbers_of_trunk(work, trunk_id)
            reached = await self._desks.account(work, trunk.provider, trunk.account)
        async with said_clearly(trunk.provider), _desk(reached) as desk:
            held = [one for line in lines if (one := await self._held(reached, line)) is not None]
            parts = await desk.report(trunk.plan(), trunk.parts, tuple(held))
        test = TrunkTest(at=self._clock(), parts=parts)
        async with begin(self._database, caller) as work:
            return await usecases.note_test(work, trunk_id, test)

    async def delete(self, caller: Caller, trunk_id: SipTrunkId) -> None:
        """Take a trunk away; its numbers stay, and their calls come here again. Raises NotFound, Conflict, ProviderError."""
        async with begin(self._database, caller) as work:
            trunk = await usecases.begin_delete(work, trunk_id)
            lines = await numbers.numbers_of_trunk(work, trunk_id)
            reached = await self._desks.account(work, trunk.provider, trunk.account)
        try:
            async with said_clearly(trunk.provider), _desk(reached) as desk:
                for line in lines:
                    await self._detach(desk, reached, trunk, line)
                    async with begin(self._database, caller) as work:
                        await numbers.take_off_trunk(work, line.id)
                await desk.remove(trunk.parts)
        except (ProviderError, DomainError) as error:
            await self._done(caller, trunk, TrunkStatus.FAILED, f"It is not taken away yet: {error.detail}", "")
            raise
        async with begin(self._database, caller) as work:
            await usecases.forget(work, trunk)

    async def _built(
        self,
        caller: Caller,
        reached: Reached,
        trunk: SipTrunk,
        lines: tuple[PhoneLine, ...],
        *,
        off: tuple[PhoneLine, ...],
        password: str | None,
    ) -> Built:
        parts: Parts = trunk.parts

        async def keep(made: Parts) -> None:
            async with begin(self._database, caller) as work:
                await usecases.note_parts(work, trunk.id, made)

        status, detail = TrunkStatus.ACTIVE, None
        async with _desk(reached) as desk:
            try:
                async with said_clearly(trunk.provider):
                    plan = trunk.plan(password)
                    for line in off:
                        await self._detach(desk, reached, trunk, line)
                    parts = await desk.apply(plan, parts, keep)
                    await keep(parts)
                    for line in lines:
                        await self._attach(desk, reached, parts, plan, line)
            except (ProviderError, DomainError) as error:
                _log.warning("sip_trunk.failed", trunk_id=trunk.id, provider=trunk.provider)
                status, detail = TrunkStatus.FAILED, error.detail
            domain = desk.domain(parts)
        done = await self._done(caller, trunk, status, detail, domain)
        return Built(trunk=done, numbers=lines, password=password)

    async def _attach(self, desk: TrunkDesk, reached: Reached, parts: Parts, plan: TrunkPlan, line: PhoneLine) -> None:
        held = await self._held(reached, line)
        if held is None:
            raise Conflict(f"The account has no number {line.phone_number}.", code="number-not-in-account")
        await desk.attach(parts, held, plan)

    async def _detach(self, desk: TrunkDesk, reached: Reached, trunk: SipTrunk, line: PhoneLine) -> None:
        """Off the trunk, and back to us."""
        held = await self._held(reached, line)
        if held is not None and trunk.parts:
            await desk.detach(trunk.parts, held)
            await self._desks.desk(reached).configure(held, self._desks.targets(reached))

    async def _held(self, reached: Reached, line: PhoneLine) -> HeldNumber | None:
        return await self._desks.desk(reached).find(line.phone_number)

    async def _done(
        self, caller: Caller, trunk: SipTrunk, status: TrunkStatus, detail: str | None, domain: str
    ) -> SipTrunk:
        async with begin(self._database, caller) as work:
            return await usecases.note_done(
                work, trunk.id, status=status, detail=detail, sip_domain=domain or trunk.sip_domain
            )


@asynccontextmanager
async def _desk(reached: Reached) -> AsyncGenerator[TrunkDesk]:
    """Trunks are made seldom: nothing of it stays in the process."""
    desk = trunk_desk(reached.opened)
    try:
        yield desk
    finally:
        await desk.aclose()


def _faults(
    name: str,
    origination: tuple[Origination, ...],
    username: str | None,
    password: str | None,
    allowed_ips: tuple[str, ...],
) -> list[FieldError]:
    faults = usecases.faults_of(name, origination, username, allowed_ips)
    if password is not None and (fault := usecases.password_fault(password)) is not None:
        faults.append(fault)
    if not origination and username is None and not allowed_ips:
        detail = "must name where calls go, or credentials or allowedIps that let yours in"
        faults.append(FieldError(pointer="/origination", code="required", detail=detail))
    return faults


def _check_fit(desk: TrunkDesk, plan: TrunkPlan, parts: Parts) -> None:
    try:
        desk.check(plan, parts)
    except Unfit as unfit:
        raise Invalid(
            (FieldError(pointer=_POINTERS[unfit.field], code="not-supported", detail=unfit.detail),)
        ) from None


def _new_password() -> str:
    """Letters and digits, at least one of each kind."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    characters = [secrets.choice(kind) for kind in kinds]
    characters += [secrets.choice("".join(kinds)) for _ in range(_PASSWORD_LENGTH - len(kinds))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)

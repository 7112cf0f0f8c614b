"""What can be done with a tenant's telephone numbers in the database; what is asked of carriers meanwhile is `provisioning`'s."""

from datetime import timedelta

import msgspec
from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.errors import Conflict, FieldError, Forbidden, Invalid, LimitReached, NotFound
from voisnap_domain.ids import AgentId, PhoneNumberId, SipTrunkId
from voisnap_kit.postgres import UniqueViolated
from voisnap_kit.work import Work
from voisnap_providers.accounts import PLATFORM
from voisnap_providers.numbering import country_of, is_toll_free
from voisnap_providers.ports.numbers import HeldNumber, NumberFeature, NumberOffer

from voisnap_api.agents import usecases as agents
from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.tenants.usecases import find_tenant

from . import store
from .records import LineFilter, LineSource, LineStatus, PhoneLine

MAX_FRIENDLY_NAME = 100
PURCHASE_SECONDS = 120.0
"""How long whoever buys a number looks after it himself; then a reconciler does."""


class NumberChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a number; UNSET leaves it, None takes the agent off."""

    agent_id: AgentId | msgspec.UnsetType | None = msgspec.UNSET
    sms_agent_id: AgentId | msgspec.UnsetType | None = msgspec.UNSET
    friendly_name: str | msgspec.UnsetType = msgspec.UNSET


# Who answers and who calls ------------------------------------------------------------------------------------------


async def line_of(work: Work, provider: str, account: str, number: str) -> PhoneLine | None:
    """Whose a number is that was rung or written to, of whatever tenant: runs as the system. Also while it is being bought or given back."""
    return await store.live_line(work.tx, provider, account, number)


async def lines_among(work: Work, numbers: tuple[str, ...]) -> frozenset[str]:
    """Which numbers are answered by agents of this installation, of whatever tenant: runs as the system."""
    return frozenset(await store.answered_here(work.tx, numbers))


async def countries_of_lines(work: Work) -> frozenset[str]:
    """The countries (ISO 3166-1 alpha-2) of the tenant's numbers in this environment."""
    return frozenset(await store.countries(work.tx, work.caller.tenant_id, work.caller.environment))


async def line_for_calls(work: Work, agent_id: AgentId, from_number: str | None) -> PhoneLine:
    """The number with which an agent calls: the one named, which must be the agent's own, else the one it has longest.

    Raises Invalid for a number that is not, Conflict `no-phone-number` for an agent without any.
    """
    caller = work.caller
    lines = await store.lines_of_agent(
        work.tx, caller.tenant_id, caller.environment, agent_id, feature=NumberFeature.VOICE.value
    )
    if from_number is not None:
        line = next((line for line in lines if line.phone_number == from_number), None)
        if line is None:
            detail = f"is no number that agent {agent_id} may call with: assign it to the agent first"
            raise Invalid((FieldError(pointer="/fromNumber", code="not-assigned", detail=detail),))
        return line
    if not lines:
        raise Conflict(
            f"Agent {agent_id} has no number to call with. Assign one with PATCH /api/v1/telephony/numbers/{{id}}.",
            code="no-phone-number",
        )
    return lines[0]


async def line_for_texts(work: Work, agent_id: AgentId) -> PhoneLine | None:
    """The number with which an agent writes, if it has one: the one it has longest."""
    caller = work.caller
    lines = await store.lines_of_agent(
        work.tx, caller.tenant_id, caller.environment, agent_id, feature=NumberFeature.SMS.value
    )
    return lines[0] if lines else None


def answers(line: PhoneLine | None) -> bool:
    """Whether calls and texts to a number are taken: it is the tenant's, and not on its way out."""
    return line is not None and line.status in (LineStatus.ACTIVE, LineStatus.PROVISIONING)


# Reading and assigning ----------------------------------------------------------------------------------------------


async def get_number(work: Work, number_id: PhoneNumberId) -> PhoneLine:
    """One number of the caller's environment. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, number_id)
    if found is None:
        raise NotFound("phone number", number_id)
    return found


async def list_numbers(work: Work, wanted: LineFilter, *, limit: int, offset: int) -> tuple[list[PhoneLine], int]:
    """One page of the numbers of the caller's environment, newest first, and how many there are."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def change_number(work: Work, number_id: PhoneNumberId, change: NumberChange) -> PhoneLine:
    """Assign a number to another agent or to none, or name it. Raises NotFound, Conflict `number-released`, Invalid."""
    before = await _for_change(work, number_id)
    if before.status not in (LineStatus.ACTIVE, LineStatus.PROVISIONING):
        raise Conflict(f"The number {before.phone_number} is {before.status}.", code="number-released")
    fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
    if before.trunk_id is not None and fields.get("agent_id") is not None:
        raise Conflict(
            f"Calls to {before.phone_number} go over the trunk {before.trunk_id}. Take the number off it first.",
            code="number-on-trunk",
        )
    await _check_assignments(work, **fields)
    after = msgspec.structs.replace(before, **fields)
    if after == before:
        return before
    after = msgspec.structs.replace(after, updated_at=work.now)
    await store.update(work.tx, after)
    changed = {name: value for name, value in fields.items() if getattr(before, name) != value}
    await _note(work, "changed", after, changed)
    return after


async def put_on_trunk(work: Work, number_id: PhoneNumberId, trunk_id: SipTrunkId, *, account: str) -> PhoneLine:
    """Send a number's calls over a trunk of the same account from now on, as far as we are concerned.

    Raises Invalid for a number that is not there or not the account's, Conflict `number-assigned` while an agent answers it.
    """
    try:
        before = await _for_change(work, number_id)
    except NotFound as error:
        raise Invalid((FieldError(pointer="/numbers", code="unknown-number", detail=error.detail),)) from None
    if before.status is not LineStatus.ACTIVE or before.account != account or before.trunk_id not in (None, trunk_id):
        detail = f"{before.phone_number} is not free, not active, or rented with another account than the trunk"
        raise Invalid((FieldError(pointer="/numbers", code="not-available", detail=detail),))
    if before.agent_id is not None:
        raise Conflict(
            f"{before.phone_number} is answered by agent {before.agent_id}. Take the agent off the number first.",
            code="number-assigned",
        )
    after = msgspec.structs.replace(before, trunk_id=trunk_id, updated_at=work.now)
    await store.update(work.tx, after)
    return after


async def take_off_trunk(work: Work, number_id: PhoneNumberId) -> None:
    """A number's calls come to us again; somebody looks after it until the carrier knows."""
    before = await _for_change(work, number_id)
    soon = work.now + timedelta(seconds=PURCHASE_SECONDS)
    next_check_at = soon if before.status is LineStatus.ACTIVE else before.next_check_at
    after = msgspec.structs.replace(before, trunk_id=None, next_check_at=next_check_at, updated_at=work.now)
    await store.update(work.tx, after)


async def numbers_of_trunk(work: Work, trunk_id: SipTrunkId) -> list[PhoneLine]:
    """The numbers whose calls go over a trunk."""
    return await store.lines_of_trunk(work.tx, work.caller.tenant_id, work.caller.environment, trunk_id)


# Getting and giving back --------------------------------------------------------------------------------------------


async def intend(
    work: Work,
    *,
    provider: str,
    account: str,
    phone_number: str,
    source: LineSource,
    agent_id: AgentId | None = None,
    sms_agent_id: AgentId | None = None,
    friendly_name: str = "",
) -> PhoneLine:
    """Write down that a number is to be got, before anybody asks the carrier for it.

    Raises Invalid, LimitReached `number-limit-reached`, Conflict `number-exists`.
    """
    country = None if phone_number_fault(phone_number) else country_of(phone_number)
    if country is None:
        detail = "must be a telephone number of a country in E.164 form such as +14155550100"
        raise Invalid((FieldError(pointer="/phoneNumber", code="wrong-format", detail=detail),))
    await _check_assignments(
        work,
        friendly_name=friendly_name,
        **({} if agent_id is None else {"agent_id": agent_id}),
        **({} if sms_agent_id is None else {"sms_agent_id": sms_agent_id}),
    )
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment)
    await _check_room(work)
    line = PhoneLine(
        id=PhoneNumberId(work.new_id("num")),
        tenant_id=caller.tenant_id,
        environment=caller.environment,
        phone_number=phone_number,
        provider=provider,
        account=account,
        country=country,
        capabilities=(),
        toll_free=is_toll_free(phone_number),
        friendly_name=friendly_name.strip(),
        agent_id=agent_id,
        sms_agent_id=sms_agent_id,
        source=source,
        status=LineStatus.PROVISIONING,
        next_check_at=work.now + timedelta(seconds=PURCHASE_SECONDS),
        created_by=caller.user_id or caller.key_id,
        created_at=work.now,
        updated_at=work.now,
    )
    try:
        await store.insert(work.tx, line)
    except UniqueViolated:
        raise Conflict(f"The number {phone_number} is in use already.", code="number-exists") from None
    return line


async def note_offer(work: Work, number_id: PhoneNumberId, offer: NumberOffer) -> None:
    """Keep what the carrier said of a number before it was bought."""
    caller = work.caller
    await store.note_offer(
        work.tx,
        caller.tenant_id,
        caller.environment,
        number_id,
        region=offer.region,
        locality=offer.locality,
        monthly_cost_usd=offer.monthly_cost_usd,
        capabilities=offer.features,
    )


async def note_ordered(
    work: Work, number_id: PhoneNumberId, *, order_id: str | None, detail: str, seconds: float
) -> PhoneLine:
    """The number is not there yet: look again in so many seconds."""
    before = await _for_change(work, number_id)
    if before.status is not LineStatus.PROVISIONING:
        return before
    after = msgspec.structs.replace(
        before,
        order_id=order_id or before.order_id,
        status_detail=detail,
        next_check_at=work.now + timedelta(seconds=seconds),
        updated_at=work.now,
    )
    await store.update(work.tx, after)
    return after


async def note_held(work: Work, number_id: PhoneNumberId, held: HeldNumber, *, is_configured: bool) -> PhoneLine:
    """The number is the account's. Until its calls are told to us, somebody looks after it."""
    before = await _for_change(work, number_id)
    if before.status is not LineStatus.PROVISIONING:
        return before
    after = msgspec.structs.replace(
        before,
        provider_id=held.id,
        country=held.country or before.country,
        capabilities=held.features or before.capabilities,
        toll_free=held.toll_free or before.toll_free,
        status=LineStatus.ACTIVE,
        status_detail=None,
        configured_at=work.now if is_configured else None,
        next_check_at=None if is_configured else work.now + timedelta(seconds=PURCHASE_SECONDS),
        updated_at=work.now,
    )
    await store.update(work.tx, after)
    verb = "provisioned" if before.source is LineSource.PURCHASE else "imported"
    await _note(work, verb, after, {"agentId": after.agent_id, "monthlyCostUsd": after.monthly_cost_usd})
    return after


async def note_failed(work: Work, number_id: PhoneNumberId, detail: str) -> PhoneLine:
    """The number is not to be had, for good."""
    before = await _for_change(work, number_id)
    if before.status is not LineStatus.PROVISIONING:
        return before
    after = msgspec.structs.replace(
        before,
        status=LineStatus.FAILED,
        status_detail=detail,
        agent_id=None,
        sms_agent_id=None,
        next_check_at=None,
        updated_at=work.now,
        released_at=work.now,
    )
    await store.update(work.tx, after)
    await _note(work, "provisioning_failed", after, {"reason": detail})
    return after


async def note_configured(
    work: Work, number_id: PhoneNumberId, *, seconds: float | None = None, detail: str | None = None
) -> PhoneLine:
    """The carrier tells us of the number now; or it could not be told to, and is asked again in so many seconds, never without."""
    before = await _for_change(work, number_id)
    is_done = detail is None
    after = msgspec.structs.replace(
        before,
        configured_at=work.now if is_done else before.configured_at,
        status_detail=detail,
        next_check_at=None if seconds is None else work.now + timedelta(seconds=seconds),
    )
    await store.update(work.tx, after)
    return after


async def begin_release(work: Work, number_id: PhoneNumberId, *, keep: bool | None) -> tuple[PhoneLine, bool]:
    """Take a number from the tenant; with `keep` the account goes on renting it, by default one that it rented before.

    The number, and whether the carrier is to take it back. Raises NotFound, Conflict `number-provisioning`, Forbidden `platform-number`.
    """
    before = await _for_change(work, number_id)
    if before.status is LineStatus.PROVISIONING:
        raise Conflict(
            f"The number {before.phone_number} is being bought. Wait until it is active or failed.",
            code="number-provisioning",
        )
    if not before.is_live:
        return before, False
    by_default = before.source is LineSource.EXISTING
    stays = by_default if keep is None else keep
    if stays is not by_default and before.account == PLATFORM and not work.caller.platform_admin:
        raise Forbidden(
            f"Whether the platform goes on renting {before.phone_number} is its operator's to say: leave out `keep`.",
            code="platform-number",
        )
    after = msgspec.structs.replace(
        before,
        agent_id=None,
        sms_agent_id=None,
        trunk_id=None,
        status=LineStatus.RELEASED if stays else LineStatus.RELEASING,
        status_detail=None,
        next_check_at=None if stays else work.now + timedelta(seconds=PURCHASE_SECONDS),
        updated_at=work.now,
        released_at=work.now if stays else None,
    )
    await store.update(work.tx, after)
    await _note(work, "released", after, {"keptAtProvider": stays})
    return after, not stays


async def note_released(work: Work, number_id: PhoneNumberId) -> PhoneLine:
    """The carrier has taken a number back."""
    before = await _for_change(work, number_id)
    if before.status is not LineStatus.RELEASING:
        return before
    after = msgspec.structs.replace(
        before,
        status=LineStatus.RELEASED,
        status_detail=None,
        next_check_at=None,
        updated_at=work.now,
        released_at=work.now,
    )
    await store.update(work.tx, after)
    return after


async def note_unreleased(work: Work, number_id: PhoneNumberId, *, detail: str, seconds: float | None) -> PhoneLine:
    """The carrier did not take a number back; asked again in so many seconds, never without."""
    before = await _for_change(work, number_id)
    after = msgspec.structs.replace(
        before,
        status_detail=detail,
        next_check_at=None if seconds is None else work.now + timedelta(seconds=seconds),
    )
    await store.update(work.tx, after)
    return after


async def due(work: Work, *, until_seconds: float, limit: int) -> list[PhoneLine]:
    """Numbers of any tenant that are to be looked after, which are nobody else's for so many seconds; runs as the system."""
    return await store.claim_due(work.tx, now=work.now, until=work.now + timedelta(seconds=until_seconds), limit=limit)


async def _for_change(work: Work, number_id: PhoneNumberId) -> PhoneLine:
    found = await store.get_for_change(work.tx, work.caller.tenant_id, work.caller.environment, number_id)
    if found is None:
        raise NotFound("phone number", number_id)
    return found


async def _check_assignments(work: Work, **fields: object) -> None:
    """Raise Invalid for agents that there are not, and for a name that is none."""
    faults: list[FieldError] = []
    for name, pointer in (("agent_id", "/agentId"), ("sms_agent_id", "/smsAgentId")):
        agent_id = fields.get(name)
        if isinstance(agent_id, str):
            try:
                await agents.get_agent(work, AgentId(agent_id))
            except NotFound as error:
                faults.append(FieldError(pointer=pointer, code="unknown-agent", detail=error.detail))
    friendly_name = fields.get("friendly_name", "")
    if isinstance(friendly_name, str) and (len(friendly_name) > MAX_FRIENDLY_NAME or not friendly_name.isprintable()):
        detail = f"must have at most {MAX_FRIENDLY_NAME} printable characters"
        faults.append(FieldError(pointer="/friendlyName", code="bad-length", detail=detail))
    if faults:
        raise Invalid(tuple(faults))


async def _check_room(work: Work) -> None:
    """Raise LimitReached when the tenant's plan allows no further number in this environment."""
    caller = work.caller
    tenant = await find_tenant(work.tx, caller.tenant_id)
    most = tenant.usage_limits.max_phone_numbers if tenant else None
    if most is not None and await store.count(work.tx, caller.tenant_id, caller.environment, LineFilter()) >= most:
        raise LimitReached(f"Your plan allows {most} phone numbers.", code="number-limit-reached")


async def _note(work: Work, verb: str, line: PhoneLine, detail: dict[str, object]) -> None:
    await audit.note(
        work,
        action=f"phone_number.{verb}",
        target=Target(type="phone_number", id=line.id),
        detail={"phoneNumber": line.phone_number, "provider": line.provider, "account": line.account, **detail},
    )

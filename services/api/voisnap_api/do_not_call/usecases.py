"""Numbers that a tenant must not call.

Whoever asks to be left alone, in whatever words and wherever numbers are addresses, is asking to be left alone by calls, too (47 CFR
64.1200(a)(10): by any reasonable means, and for every kind of automated call): STOP to a text, and "take me off your list" in a call. START
takes back what STOP did, and nothing else.
"""

from collections.abc import Callable, Sequence

from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.errors import FieldError, Invalid, NotFound
from voisnap_domain.sessions import Channel
from voisnap_kit.work import Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.contacts import usecases as contacts

from . import store
from .records import Listed, ListPosition

SPOKEN = "call"
"""The source of who said so in a call."""

_STOPS = {Channel.SMS: "sms_stop", Channel.WHATSAPP: "whatsapp_stop"}
"""Where people are known by their numbers. In Telegram nobody is called: `/stop` ends that chat."""
_TAKEN_BACK = tuple(_STOPS.values())
_NAMED_FAULTS = 100


async def list_number(
    work: Work, phone_number: str, *, reason: str | None = None, source: str = "manual"
) -> tuple[Listed, bool]:
    """Put a number on the list. The entry, and whether it is new: what is there stays as it is, but what only a STOP has put there is from
    now on there for good. Raises Invalid."""
    _check((phone_number,), lambda _: "/phoneNumber")
    caller = work.caller
    listed = Listed(
        tenant_id=caller.tenant_id,
        environment=caller.environment,
        phone_number=phone_number,
        reason=reason,
        source=source,
        created_by=caller.user_id or caller.key_id,
        created_at=work.now,
    )
    if not await store.insert(work.tx, listed, over=() if source in _TAKEN_BACK else _TAKEN_BACK):
        return await get_listed(work, phone_number), False
    await _note(work, "added", phone_number, {"source": source})
    return listed, True


async def import_numbers(work: Work, phone_numbers: Sequence[str], *, reason: str | None, source: str) -> int:
    """Put many numbers on the list, all or, where one is wrong, none; how many were not on it. Raises Invalid."""
    _check(phone_numbers, lambda index: f"/phoneNumbers/{index}")
    caller = work.caller
    wanted = tuple(dict.fromkeys(phone_numbers))
    added = await store.insert_all(
        work.tx,
        caller.tenant_id,
        caller.environment,
        wanted,
        over=() if source in _TAKEN_BACK else _TAKEN_BACK,
        reason=reason,
        source=source,
        created_by=caller.user_id or caller.key_id,
        at=work.now,
    )
    await _note(work, "imported", "list", {"source": source, "added": added, "given": len(phone_numbers)})
    return added


async def unlist_number(work: Work, phone_number: str) -> None:
    """Take a number off the list. Raises NotFound."""
    caller = work.caller
    if not await store.delete(work.tx, caller.tenant_id, caller.environment, phone_number):
        raise _not_listed(phone_number)
    await _note(work, "removed", phone_number, {})


async def heed_stop(work: Work, channel: Channel, addresses: Sequence[str]) -> bool:
    """Call nobody any more who wrote STOP on a channel, by those of his addresses that are numbers; whether that is new."""
    source, news = _STOPS.get(channel), False
    for number in addresses if source is not None else ():
        if phone_number_fault(number) is None:
            _, is_new = await list_number(work, number, reason=f"Wrote STOP on {channel.value}.", source=source or "")
            news = news or is_new
    return news


async def heed_start(work: Work, channel: Channel, addresses: Sequence[str]) -> None:
    """Take back what a STOP on the same channel did; one on another channel still holds."""
    source, caller = _STOPS.get(channel), work.caller
    for number in addresses if source is not None else ():
        if await store.delete(work.tx, caller.tenant_id, caller.environment, number, source=source):
            await _note(work, "removed", number, {"source": source})
            for other in _STOPS:
                if other is not channel and await contacts.is_opted_out(work, other, (number,)):
                    await heed_stop(work, other, (number,))


async def heed_spoken(work: Work, phone_number: str) -> bool:
    """Call nobody any more who said in a call that he wants none; whether that is new."""
    if phone_number_fault(phone_number) is not None:
        return False
    _, is_new = await list_number(work, phone_number, reason="Asked for it in a call.", source=SPOKEN)
    return is_new


async def get_listed(work: Work, phone_number: str) -> Listed:
    """One entry of the list. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, phone_number)
    if found is None:
        raise _not_listed(phone_number)
    return found


async def listed_among(work: Work, phone_numbers: Sequence[str]) -> frozenset[str]:
    """Those of the numbers that must not be called."""
    return frozenset(await store.among(work.tx, work.caller.tenant_id, work.caller.environment, phone_numbers))


async def list_listed(
    work: Work,
    *,
    search: str | None,
    source: str | None,
    after: ListPosition | None,
    limit: int,
    offset: int,
) -> tuple[list[Listed], int]:
    """One page of the list, newest first, and how many match in all."""
    tenant_id, environment = work.caller.tenant_id, work.caller.environment
    found = await store.page(
        work.tx, tenant_id, environment, search=search, source=source, after=after, limit=limit, offset=offset
    )
    return found, await store.count(work.tx, tenant_id, environment, search=search, source=source)


def _check(phone_numbers: Sequence[str], pointer: Callable[[int], str]) -> None:
    faults: list[FieldError] = []
    for index, number in enumerate(phone_numbers):
        if (fault := phone_number_fault(number)) is not None:
            faults.append(FieldError(pointer=pointer(index), code="wrong-format", detail=fault))
            if len(faults) == _NAMED_FAULTS:
                break
    if faults:
        raise Invalid(tuple(faults))


def _not_listed(phone_number: str) -> NotFound:
    detail = "This number is not on the do-not-call list." if phone_number_fault(phone_number) is None else "No number."
    return NotFound("number", phone_number, detail=detail)


async def _note(work: Work, verb: str, target: str, detail: dict[str, object]) -> None:
    await audit.note(work, action=f"do_not_call.{verb}", target=Target(type="do_not_call", id=target), detail=detail)

"""Numbers that a tenant must not call. Whoever asks on another channel to be left alone is put here, too."""

from collections.abc import Callable, Sequence

from voisnap_domain.agent_rules import phone_number_fault
from voisnap_domain.errors import FieldError, Invalid, NotFound
from voisnap_kit.work import Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target

from . import store
from .records import Listed, ListPosition

_NAMED_FAULTS = 100


async def list_number(
    work: Work, phone_number: str, *, reason: str | None = None, source: str = "manual"
) -> tuple[Listed, bool]:
    """Put a number on the list; what is there stays as it is. The entry, and whether it is new. Raises Invalid."""
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
    if not await store.insert(work.tx, listed):
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

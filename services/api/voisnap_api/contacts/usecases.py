"""One contact per person across channels: known by telephone number and by what networks call them, and left alone where they ask for it."""

from collections.abc import Sequence

import msgspec
from voisnap_domain.errors import FieldError, Invalid, NotFound
from voisnap_domain.ids import ContactId
from voisnap_domain.languages import language_tag
from voisnap_domain.sessions import Channel
from voisnap_kit.work import Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target

from . import store
from .records import (
    Contact,
    ContactFilter,
    Identity,
    IdentityKind,
    Known,
    OptOutSource,
    addresses_on,
    digest_of,
    digests_of,
)

MAX_NAME = 200
MAX_NOTES = 2000


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is, and the contacts that turned out to be the same person: what belongs to them has to be moved before they are dropped."""

    contact_id: ContactId
    absorbed: tuple[ContactId, ...] = ()


async def meet(
    work: Work,
    identities: Sequence[Identity],
    *,
    name: str | None = None,
    country: str | None = None,
    language: str | None = None,
) -> Met:
    """The contact that is known by any of these, a new one else; from now on it is known by all of them.

    `work` may be the system's: its caller names tenant and environment.
    """
    caller = work.caller
    wanted = tuple(identities)
    kinds, values = tuple(one.kind.value for one in wanted), tuple(one.value for one in wanted)
    found = await store.known_by(work.tx, caller.tenant_id, caller.environment, kinds, values)
    owners = list(dict.fromkeys(one.contact_id for one in found))
    if len(found) < len(wanted) or len(owners) > 1:
        await store.lock(work.tx, caller.tenant_id, caller.environment)
        found = await store.known_by(work.tx, caller.tenant_id, caller.environment, kinds, values)
        owners = list(dict.fromkeys(one.contact_id for one in found))
        contact_id = owners[0] if owners else await _made(work)
        known = {(one.kind, one.value) for one in found if one.contact_id == contact_id}
        for identity in wanted:
            if (identity.kind, identity.value) not in known:
                await store.put_identity(
                    work.tx, caller.tenant_id, caller.environment, contact_id, identity, at=work.now
                )
        if owners[1:]:
            await store.adopt_identities(work.tx, caller.tenant_id, caller.environment, contact_id, tuple(owners[1:]))
        owners = [contact_id, *owners[1:]]
    await store.note_seen(
        work.tx,
        caller.tenant_id,
        caller.environment,
        owners[0],
        name=(name or "")[:MAX_NAME],
        country=country,
        language=language,
        at=work.now,
    )
    return Met(contact_id=owners[0], absorbed=tuple(owners[1:]))


async def drop(work: Work, contact_ids: tuple[ContactId, ...]) -> None:
    """Delete contacts that turned out to be others."""
    if contact_ids:
        await store.delete(work.tx, work.caller.tenant_id, work.caller.environment, contact_ids)


async def get_contact(work: Work, contact_id: ContactId) -> Known:
    """One contact. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, contact_id)
    if found is None:
        raise NotFound("contact", contact_id)
    return (await _known(work, [found]))[0]


async def list_contacts(work: Work, wanted: ContactFilter, *, limit: int, offset: int) -> tuple[list[Known], int]:
    """A page of the contacts that match, and how many there are."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset)
    return await _known(work, found), await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def change_contact(
    work: Work,
    contact_id: ContactId,
    *,
    name: str | None = None,
    language: str | None = None,
    notes: str | None = None,
    opted_out: dict[Channel, bool] | None = None,
) -> Known:
    """Say more of a contact, or that messages may, or may not, be sent. Raises NotFound, Invalid."""
    known = await get_contact(work, contact_id)
    faults = _faults(name=name, language=language, notes=notes)
    if faults:
        raise Invalid(faults)
    contact = msgspec.structs.replace(
        known.contact,
        name=known.contact.name if name is None else name.strip(),
        language=known.contact.language if language is None else language_tag(language),
        notes=known.contact.notes if notes is None else notes,
        updated_at=work.now,
    )
    await store.update(work.tx, contact)
    for channel, is_out in (opted_out or {}).items():
        addresses = addresses_on(channel, known.identities)
        if is_out:
            await opt_out(work, channel, addresses, OptOutSource.TENANT)
        else:
            await opt_in(work, channel, addresses)
    changed = [name for name, value in (("name", name), ("language", language), ("notes", notes)) if value is not None]
    await _note(work, "changed", contact_id, {"changed": [*changed, *(f"optedOut.{one}" for one in opted_out or {})]})
    return await get_contact(work, contact_id)


async def delete_contact(work: Work, contact_id: ContactId) -> None:
    """Forget a contact: all it is known by, its threads and messages. Conversations stay until they are deleted. Who wanted no messages
    gets none after it either. Raises NotFound."""
    await get_contact(work, contact_id)
    await store.delete(work.tx, work.caller.tenant_id, work.caller.environment, (contact_id,))
    await _note(work, "deleted", contact_id, {})


async def is_opted_out(work: Work, channel: Channel, addresses: Sequence[str]) -> bool:
    """Whether somebody at these addresses wants no messages on a channel."""
    tenant_id = work.caller.tenant_id
    digests = tuple(digest_of(tenant_id, channel, address) for address in addresses)
    return bool(await store.opt_outs(work.tx, tenant_id, work.caller.environment, digests))


async def opt_out(work: Work, channel: Channel, addresses: Sequence[str], source: OptOutSource) -> bool:
    """Send nothing there any more; False when nothing was sent before."""
    caller = work.caller
    changed = [
        await store.opt_out(
            work.tx,
            caller.tenant_id,
            caller.environment,
            channel,
            digest_of(caller.tenant_id, channel, address),
            source,
            at=work.now,
        )
        for address in addresses
    ]
    return any(changed)


async def opt_in(work: Work, channel: Channel, addresses: Sequence[str]) -> bool:
    """Messages may be sent there again; False when they might before."""
    caller = work.caller
    digests = tuple(digest_of(caller.tenant_id, channel, address) for address in addresses)
    return bool(await store.opt_in(work.tx, caller.tenant_id, caller.environment, channel, digests))


async def move_identity(work: Work, kind: IdentityKind, before: str, after: Identity) -> None:
    """Somebody is known by another number or id now, and no longer by the one before."""
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment)
    found = await store.known_by(work.tx, caller.tenant_id, caller.environment, (kind.value,), (before,))
    if found:
        await store.drop_identity(work.tx, caller.tenant_id, caller.environment, kind.value, before)
        await store.put_identity(work.tx, caller.tenant_id, caller.environment, found[0].contact_id, after, at=work.now)


async def _made(work: Work) -> ContactId:
    contact = Contact(
        id=ContactId(work.new_id("cont")),
        tenant_id=work.caller.tenant_id,
        environment=work.caller.environment,
        created_at=work.now,
        updated_at=work.now,
        last_seen_at=work.now,
    )
    await store.insert(work.tx, contact)
    return contact.id


async def _known(work: Work, contacts: Sequence[Contact]) -> list[Known]:
    caller = work.caller
    ids = tuple(contact.id for contact in contacts)
    found = await store.identities(work.tx, caller.tenant_id, caller.environment, ids) if ids else []
    of: dict[ContactId, tuple[Identity, ...]] = {
        contact_id: tuple(one.identity for one in found if one.contact_id == contact_id) for contact_id in ids
    }
    digests = {contact_id: digests_of(caller.tenant_id, of[contact_id]) for contact_id in ids}
    wanted = tuple(digest for some in digests.values() for digest in some)
    outs = await store.opt_outs(work.tx, caller.tenant_id, caller.environment, wanted) if wanted else []
    return [
        Known(
            contact=contact,
            identities=of[contact.id],
            opt_outs=tuple(out for out in outs if digests[contact.id].get(out.digest) == out.channel),
        )
        for contact in contacts
    ]


def _faults(*, name: str | None, language: str | None, notes: str | None) -> tuple[FieldError, ...]:
    found: list[FieldError] = []
    if name is not None and (len(name.strip()) > MAX_NAME or not name.isprintable()):
        detail = f"must have at most {MAX_NAME} printable characters"
        found.append(FieldError(pointer="/name", code="bad-length", detail=detail))
    if language is not None and language_tag(language) is None:
        detail = "must be a BCP 47 language tag such as es-MX"
        found.append(FieldError(pointer="/language", code="bad-language", detail=detail))
    if notes is not None and len(notes) > MAX_NOTES:
        detail = f"must have at most {MAX_NOTES} characters"
        found.append(FieldError(pointer="/notes", code="bad-length", detail=detail))
    return tuple(found)


async def _note(work: Work, verb: str, contact_id: ContactId, detail: dict[str, object]) -> None:
    await audit.note(work, action=f"contact.{verb}", target=Target(type="contact", id=contact_id), detail=detail)

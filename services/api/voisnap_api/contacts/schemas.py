"""Contacts on the wire."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType
from voisnap_domain.tenants import Environment

from voisnap_api.wire import Body, View, instant

from .records import IdentityKind, Known, OptOutSource


class OptedOutPatch(Body, frozen=True, kw_only=True):
    """Per channel whether messages are not to be sent; what is left out stays."""

    sms: bool | UnsetType = UNSET
    whatsapp: bool | UnsetType = UNSET
    telegram: bool | UnsetType = UNSET


class ContactPatch(Body, frozen=True, kw_only=True):
    """What to change. Opt somebody in again only when they asked for it."""

    name: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    language: Annotated[str, Meta(max_length=35)] | UnsetType = UNSET
    notes: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    opted_out: OptedOutPatch | UnsetType = UNSET


class ContactIdentityView(View, frozen=True, kw_only=True):
    """What a contact is known by: a telephone number (E.164), or a user's id at a network, of which people see the `handle`."""

    kind: IdentityKind
    value: str
    handle: str | None


class ContactOptOutView(View, frozen=True, kw_only=True):
    """Messages are not to be sent on a channel, and who said so."""

    channel: str
    source: OptOutSource
    at: str


class ContactView(View, frozen=True, kw_only=True):
    """Somebody who called or wrote, on whatever channel."""

    id: str
    environment: Environment
    name: str
    phone_number: str | None
    country: str | None
    language: str | None
    notes: str
    identities: tuple[ContactIdentityView, ...]
    opted_out: tuple[ContactOptOutView, ...]
    created_at: str
    updated_at: str
    last_seen_at: str

    @classmethod
    def of(cls, known: Known) -> "ContactView":
        contact = known.contact
        phones = [one.value for one in known.identities if one.kind is IdentityKind.PHONE]
        first = {out.channel: out for out in reversed(known.opt_outs)}
        return cls(
            id=contact.id,
            environment=contact.environment,
            name=contact.name,
            phone_number=phones[0] if phones else None,
            country=contact.country,
            language=contact.language,
            notes=contact.notes,
            identities=tuple(
                ContactIdentityView(kind=one.kind, value=one.value, handle=one.handle) for one in known.identities
            ),
            opted_out=tuple(
                ContactOptOutView(channel=out.channel.value, source=out.source, at=instant(out.at))
                for out in sorted(first.values(), key=lambda out: out.channel)
            ),
            created_at=instant(contact.created_at),
            updated_at=instant(contact.updated_at),
            last_seen_at=instant(contact.last_seen_at),
        )

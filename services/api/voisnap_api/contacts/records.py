"""Rows of this slice."""

import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import ContactId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment


class IdentityKind(StrEnum):
    """What somebody is known by: a telephone number (E.164), or a user's id at one network."""

    PHONE = "phone"
    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. `handle` is what people see of it, such as `@name`."""

    kind: IdentityKind
    value: str
    handle: str | None = None


class ContactIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """An identity and whose it is."""

    contact_id: ContactId
    kind: IdentityKind
    value: str
    handle: str | None = None

    @property
    def identity(self) -> Identity:
        return Identity(kind=self.kind, value=self.value, handle=self.handle)


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who called or wrote, or is to be written to."""

    id: ContactId
    tenant_id: TenantId
    environment: Environment
    name: str = ""
    country: str | None = None
    language: str | None = None
    notes: str = ""
    created_at: datetime
    updated_at: datetime
    last_seen_at: datetime


class OptOutSource(StrEnum):
    """Who said so: the person by a keyword, the network, or the tenant."""

    KEYWORD = "keyword"
    NETWORK = "network"
    TENANT = "tenant"


class OptOut(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants no messages on a channel."""

    channel: Channel
    digest: bytes
    source: OptOutSource
    at: datetime


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A contact with all that is known of it."""

    contact: Contact
    identities: tuple[Identity, ...] = ()
    opt_outs: tuple[OptOut, ...] = ()


class ContactFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which contacts; None means all. `search` is a part of the name, or the beginning of an identity."""

    search: str | None = None
    phone_number: str | None = None


def digest_of(tenant_id: TenantId, channel: Channel, address: str) -> bytes:
    """What an address on a channel is remembered by after its contact was deleted."""
    return hashlib.sha256(f"{tenant_id}\n{channel.value}\n{address}".encode()).digest()


def digests_of(tenant_id: TenantId, identities: tuple[Identity, ...]) -> dict[bytes, Channel]:
    """What all addresses of a contact are remembered by, on every channel each may be written to on."""
    found: dict[bytes, Channel] = {}
    for identity in identities:
        for channel in _CHANNELS[identity.kind]:
            found[digest_of(tenant_id, channel, identity.value)] = channel
    return found


def addresses_on(channel: Channel, identities: tuple[Identity, ...]) -> tuple[str, ...]:
    """Where a contact may be written to on a channel."""
    return tuple(identity.value for identity in identities if channel in _CHANNELS[identity.kind])


_CHANNELS = {
    IdentityKind.PHONE: (Channel.SMS, Channel.WHATSAPP),
    IdentityKind.WHATSAPP: (Channel.WHATSAPP,),
    IdentityKind.TELEGRAM: (Channel.TELEGRAM,),
}

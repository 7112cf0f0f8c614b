"""The SQL of `contacts`, `contact_identities` and `message_opt_outs`."""

from datetime import datetime

from voisnap_domain.ids import ContactId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import Contact, ContactFilter, ContactIdentity, Identity, OptOut, OptOutSource


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment) -> None:
    """Wait for others who make or join contacts of the tenant, until the end of the transaction."""
    await tx.one(
        str,
        """
        SELECT pg_advisory_xact_lock(hashtextextended('contacts ' || %(tenant_id)s || %(environment)s, 0))::text AS locked
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def insert(tx: Tx, contact: Contact) -> None:
    """Store a new contact."""
    await tx.exec(
        """
        INSERT INTO contacts (id, tenant_id, environment, name, country, language, notes, created_at, updated_at, last_seen_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(name)s, %(country)s, %(language)s, %(notes)s, %(created_at)s, %(updated_at)s,
                %(last_seen_at)s)
        """,
        id=contact.id,
        tenant_id=contact.tenant_id,
        environment=contact.environment,
        name=contact.name,
        country=contact.country,
        language=contact.language,
        notes=contact.notes,
        created_at=contact.created_at,
        updated_at=contact.updated_at,
        last_seen_at=contact.last_seen_at,
    )


async def put_identity(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    contact_id: ContactId,
    identity: Identity,
    *,
    at: datetime,
) -> None:
    """Let a contact be known by this too; it belongs to this one from now on."""
    await tx.exec(
        """
        INSERT INTO contact_identities (tenant_id, environment, kind, value, contact_id, handle, created_at)
        VALUES (%(tenant_id)s, %(environment)s, %(kind)s, %(value)s, %(contact_id)s, %(handle)s, %(at)s)
        ON CONFLICT (tenant_id, environment, kind, value) DO UPDATE
           SET contact_id = excluded.contact_id, handle = coalesce(excluded.handle, contact_identities.handle)
        """,
        tenant_id=tenant_id,
        environment=environment,
        kind=identity.kind,
        value=identity.value,
        contact_id=contact_id,
        handle=identity.handle,
        at=at,
    )


async def drop_identity(tx: Tx, tenant_id: TenantId, environment: Environment, kind: str, value: str) -> None:
    """Nobody is known by this any more."""
    await tx.exec(
        """
        DELETE FROM contact_identities
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND kind = %(kind)s AND value = %(value)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        kind=kind,
        value=value,
    )


async def known_by(
    tx: Tx, tenant_id: TenantId, environment: Environment, kinds: tuple[str, ...], values: tuple[str, ...]
) -> list[ContactIdentity]:
    """Which of these (kind, value) pairs are somebody's, the oldest contact first."""
    return await tx.all(
        ContactIdentity,
        """
        SELECT i.contact_id, i.kind, i.value, i.handle
          FROM contact_identities i
          JOIN unnest(%(kinds)s::text[], %(values)s::text[]) AS wanted (kind, value) ON i.kind = wanted.kind AND i.value = wanted.value
          JOIN contacts c ON c.id = i.contact_id
         WHERE i.tenant_id = %(tenant_id)s AND i.environment = %(environment)s
         ORDER BY c.created_at, c.id
        """,
        tenant_id=tenant_id,
        environment=environment,
        kinds=kinds,
        values=values,
    )


async def adopt_identities(
    tx: Tx, tenant_id: TenantId, environment: Environment, contact_id: ContactId, others: tuple[ContactId, ...]
) -> None:
    """Let a contact be known by all that others are known by."""
    await tx.exec(
        """
        UPDATE contact_identities SET contact_id = %(contact_id)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND contact_id = ANY (%(others)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_id=contact_id,
        others=others,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, contact_id: ContactId) -> Contact | None:
    """One contact."""
    return await tx.maybe(
        Contact,
        """
        SELECT id, tenant_id, environment, name, country, language, notes, created_at, updated_at, last_seen_at
          FROM contacts
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(contact_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_id=contact_id,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ContactFilter, *, limit: int, offset: int
) -> list[Contact]:
    """A page of the contacts that match, those first who were there last."""
    return await tx.all(
        Contact,
        """
        SELECT id, tenant_id, environment, name, country, language, notes, created_at, updated_at, last_seen_at
          FROM contacts c
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(name)) > 0
                OR EXISTS (SELECT FROM contact_identities i WHERE i.contact_id = c.id AND starts_with(i.value, %(search)s)))
           AND (%(phone_number)s::text IS NULL
                OR EXISTS (SELECT FROM contact_identities i
                            WHERE i.contact_id = c.id AND i.kind = 'phone' AND i.value = %(phone_number)s))
         ORDER BY last_seen_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        search=wanted.search,
        phone_number=wanted.phone_number,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ContactFilter) -> int:
    """How many contacts there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM contacts c
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(name)) > 0
                OR EXISTS (SELECT FROM contact_identities i WHERE i.contact_id = c.id AND starts_with(i.value, %(search)s)))
           AND (%(phone_number)s::text IS NULL
                OR EXISTS (SELECT FROM contact_identities i
                            WHERE i.contact_id = c.id AND i.kind = 'phone' AND i.value = %(phone_number)s))
        """,
        tenant_id=tenant_id,
        environment=environment,
        search=wanted.search,
        phone_number=wanted.phone_number,
    )


async def identities(
    tx: Tx, tenant_id: TenantId, environment: Environment, contact_ids: tuple[ContactId, ...]
) -> list[ContactIdentity]:
    """What these contacts are known by, in the order in which it became known."""
    return await tx.all(
        ContactIdentity,
        """
        SELECT contact_id, kind, value, handle
          FROM contact_identities
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND contact_id = ANY (%(contact_ids)s::text[])
         ORDER BY created_at, kind, value
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_ids=contact_ids,
    )


async def note_seen(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    contact_id: ContactId,
    *,
    name: str,
    country: str | None,
    language: str | None,
    at: datetime,
) -> None:
    """Somebody was there; what was not known of them is kept."""
    tx.exec_later(
        """
        UPDATE contacts
           SET last_seen_at = greatest(last_seen_at, %(at)s), name = CASE WHEN name = '' THEN %(name)s ELSE name END,
               country = coalesce(country, %(country)s), language = coalesce(language, %(language)s)
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(contact_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_id=contact_id,
        name=name,
        country=country,
        language=language,
        at=at,
    )


async def update(tx: Tx, contact: Contact) -> None:
    """Store what was changed of a contact."""
    await tx.exec(
        """
        UPDATE contacts
           SET name = %(name)s, language = %(language)s, notes = %(notes)s, updated_at = %(updated_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        id=contact.id,
        tenant_id=contact.tenant_id,
        environment=contact.environment,
        name=contact.name,
        language=contact.language,
        notes=contact.notes,
        updated_at=contact.updated_at,
    )


async def delete(tx: Tx, tenant_id: TenantId, environment: Environment, contact_ids: tuple[ContactId, ...]) -> int:
    """Delete contacts with all they are known by, their threads and their messages."""
    return await tx.exec(
        """
        DELETE FROM contacts
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = ANY (%(contact_ids)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        contact_ids=contact_ids,
    )


async def forgotten(tx: Tx, *, before: datetime, limit: int) -> list[str]:
    """Contacts of any tenant who were not there since, have no thread, and of whom the tenant has noted nothing itself; held until the
    transaction ends."""
    return await tx.all(
        str,
        """
        SELECT c.id
          FROM contacts c
         WHERE c.last_seen_at < %(before)s AND c.updated_at = c.created_at
           AND NOT EXISTS (SELECT FROM message_threads t WHERE t.contact_id = c.id)
         LIMIT %(limit)s
           FOR UPDATE OF c SKIP LOCKED
        """,
        before=before,
        limit=limit,
    )


async def delete_forgotten(tx: Tx, ids: tuple[str, ...], *, before: datetime) -> int:
    """Delete contacts, of any tenant, who have still not come back; how many."""
    return await tx.exec(
        """
        DELETE FROM contacts c
         WHERE c.id = ANY (%(ids)s::text[]) AND c.last_seen_at < %(before)s
           AND NOT EXISTS (SELECT FROM message_threads t WHERE t.contact_id = c.id)
        """,
        ids=ids,
        before=before,
    )


async def opt_outs(tx: Tx, tenant_id: TenantId, environment: Environment, digests: tuple[bytes, ...]) -> list[OptOut]:
    """Which of these addresses want no messages."""
    return await tx.all(
        OptOut,
        """
        SELECT channel, digest, source, at
          FROM message_opt_outs
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND digest = ANY (%(digests)s::bytea[])
         ORDER BY at
        """,
        tenant_id=tenant_id,
        environment=environment,
        digests=digests,
    )


async def opt_out(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    channel: Channel,
    digest: bytes,
    source: OptOutSource,
    *,
    at: datetime,
) -> int:
    """Send no more messages there; 0 when none were sent before."""
    return await tx.exec(
        """
        INSERT INTO message_opt_outs (tenant_id, environment, channel, digest, source, at)
        VALUES (%(tenant_id)s, %(environment)s, %(channel)s, %(digest)s, %(source)s, %(at)s)
        ON CONFLICT DO NOTHING
        """,
        tenant_id=tenant_id,
        environment=environment,
        channel=channel,
        digest=digest,
        source=source,
        at=at,
    )


async def opt_in(
    tx: Tx, tenant_id: TenantId, environment: Environment, channel: Channel, digests: tuple[bytes, ...]
) -> int:
    """Messages may be sent there again; 0 when they might before."""
    return await tx.exec(
        """
        DELETE FROM message_opt_outs
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND channel = %(channel)s
           AND digest = ANY (%(digests)s::bytea[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        channel=channel,
        digests=digests,
    )

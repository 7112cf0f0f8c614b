"""The SQL of `provider_credentials`."""

from voisnap_domain.ids import ProviderCredentialId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import CredentialOwner, CredentialTest, Held, ProviderCredential


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment) -> None:
    """Wait for others who change a tenant's credentials, until the end of the transaction."""
    await tx.one(
        str,
        """
        SELECT pg_advisory_xact_lock(hashtextextended('provider credentials ' || %(tenant_id)s || %(environment)s, 0))::text AS locked
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def insert(tx: Tx, credential: ProviderCredential) -> None:
    """Store a new credential."""
    await tx.exec(
        """
        INSERT INTO provider_credentials (id, tenant_id, environment, provider, name, options, hints, sealed, sealed_with, revision,
                                          is_default, created_by, created_at, updated_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(provider)s, %(name)s, %(options)s, %(hints)s, %(sealed)s, %(sealed_with)s,
                %(revision)s, %(is_default)s, %(created_by)s, %(created_at)s, %(updated_at)s)
        """,
        id=credential.id,
        tenant_id=credential.tenant_id,
        environment=credential.environment,
        provider=credential.provider,
        name=credential.name,
        options=credential.options,
        hints=credential.hints,
        sealed=credential.sealed,
        sealed_with=credential.sealed_with,
        revision=credential.revision,
        is_default=credential.is_default,
        created_by=credential.created_by,
        created_at=credential.created_at,
        updated_at=credential.updated_at,
    )


async def get(
    tx: Tx, tenant_id: TenantId, environment: Environment, credential_id: ProviderCredentialId
) -> ProviderCredential | None:
    """One credential."""
    return await tx.maybe(
        ProviderCredential,
        """
        SELECT id, tenant_id, environment, provider, name, options, hints, sealed, sealed_with, revision, is_default, last_test,
               created_by, created_at, updated_at
          FROM provider_credentials
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(credential_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        credential_id=credential_id,
    )


async def owner(tx: Tx, credential_id: ProviderCredentialId) -> CredentialOwner | None:
    """Whose a credential is; runs as the system, for whoever asks does not know the tenant yet."""
    return await tx.maybe(
        CredentialOwner,
        "SELECT tenant_id, environment FROM provider_credentials WHERE id = %(credential_id)s",
        credential_id=credential_id,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, provider: str | None, *, limit: int, offset: int
) -> list[ProviderCredential]:
    """One page of a tenant's credentials, newest first."""
    return await tx.all(
        ProviderCredential,
        """
        SELECT id, tenant_id, environment, provider, name, options, hints, sealed, sealed_with, revision, is_default, last_test,
               created_by, created_at, updated_at
          FROM provider_credentials
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, provider: str | None) -> int:
    """How many credentials there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM provider_credentials
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
    )


async def defaults(
    tx: Tx, tenant_id: TenantId, environment: Environment, providers: tuple[str, ...]
) -> list[ProviderCredential]:
    """The default credentials of these providers."""
    return await tx.all(
        ProviderCredential,
        """
        SELECT id, tenant_id, environment, provider, name, options, hints, sealed, sealed_with, revision, is_default, last_test,
               created_by, created_at, updated_at
          FROM provider_credentials
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND is_default
           AND provider = ANY (%(providers)s::text[])
         ORDER BY provider
        """,
        tenant_id=tenant_id,
        environment=environment,
        providers=providers,
    )


async def held(tx: Tx, tenant_id: TenantId, environment: Environment) -> list[Held]:
    """Which secrets the default credential of each provider has."""
    return await tx.all(
        Held,
        """
        SELECT provider, ARRAY(SELECT jsonb_object_keys(hints)) AS secrets
          FROM provider_credentials
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND is_default
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def update(tx: Tx, credential: ProviderCredential) -> None:
    """Store what changed of a credential."""
    await tx.exec(
        """
        UPDATE provider_credentials
           SET name = %(name)s, options = %(options)s, hints = %(hints)s, sealed = %(sealed)s, sealed_with = %(sealed_with)s,
               revision = %(revision)s, is_default = %(is_default)s, last_test = %(last_test)s, updated_at = %(updated_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        name=credential.name,
        options=credential.options,
        hints=credential.hints,
        sealed=credential.sealed,
        sealed_with=credential.sealed_with,
        revision=credential.revision,
        is_default=credential.is_default,
        last_test=credential.last_test,
        updated_at=credential.updated_at,
        tenant_id=credential.tenant_id,
        environment=credential.environment,
        id=credential.id,
    )


async def note_test(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    credential_id: ProviderCredentialId,
    *,
    revision: int,
    test: CredentialTest,
) -> None:
    """Keep what a test of one revision found, unless there is a later one by now."""
    await tx.exec(
        """
        UPDATE provider_credentials SET last_test = %(test)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(credential_id)s AND revision = %(revision)s
        """,
        test=test,
        tenant_id=tenant_id,
        environment=environment,
        credential_id=credential_id,
        revision=revision,
    )


async def clear_default(tx: Tx, tenant_id: TenantId, environment: Environment, provider: str) -> None:
    """Let no credential of a provider be the default one."""
    await tx.exec(
        """
        UPDATE provider_credentials SET is_default = false
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND provider = %(provider)s AND is_default
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
    )


async def promote_newest(tx: Tx, tenant_id: TenantId, environment: Environment, provider: str) -> str | None:
    """Make the newest credential of a provider the default one; its id, None when there is none."""
    return await tx.maybe(
        str,
        """
        UPDATE provider_credentials SET is_default = true
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND id = (SELECT id FROM provider_credentials
                      WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND provider = %(provider)s
                      ORDER BY created_at DESC, id DESC
                      LIMIT 1)
        RETURNING id
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
    )


async def delete(tx: Tx, tenant_id: TenantId, environment: Environment, credential_id: ProviderCredentialId) -> None:
    """Delete a credential."""
    await tx.exec(
        """
        DELETE FROM provider_credentials
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(credential_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        credential_id=credential_id,
    )


async def sealed_otherwise(tx: Tx, key_id: str, *, past: str, limit: int) -> list[ProviderCredential]:
    """Credentials that another key sealed, in the order of their ids from one on, locked; runs as the system."""
    return await tx.all(
        ProviderCredential,
        """
        SELECT id, tenant_id, environment, provider, name, options, hints, sealed, sealed_with, revision, is_default, last_test,
               created_by, created_at, updated_at
          FROM provider_credentials
         WHERE sealed_with <> %(key_id)s AND id > %(past)s
         ORDER BY id
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED
        """,
        key_id=key_id,
        past=past,
        limit=limit,
    )


async def reseal(tx: Tx, tenant_id: TenantId, credential_id: ProviderCredentialId, sealed: bytes, key_id: str) -> None:
    """Put the envelope of another key in the place of a credential's; its contents are the same."""
    await tx.exec(
        """
        UPDATE provider_credentials SET sealed = %(sealed)s, sealed_with = %(key_id)s
         WHERE tenant_id = %(tenant_id)s AND id = %(credential_id)s
        """,
        sealed=sealed,
        key_id=key_id,
        tenant_id=tenant_id,
        credential_id=credential_id,
    )

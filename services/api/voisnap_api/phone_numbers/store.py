"""The SQL of `phone_numbers`."""

from datetime import datetime

from voisnap_domain.ids import AgentId, PhoneNumberId, SipTrunkId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import LineFilter, PhoneLine


async def lock(tx: Tx, tenant_id: TenantId, environment: Environment) -> None:
    """Wait for others who get numbers for a tenant, until the end of the transaction."""
    await tx.one(
        str,
        "SELECT pg_advisory_xact_lock(hashtextextended('numbers ' || %(tenant_id)s || %(environment)s, 0))::text AS locked",
        tenant_id=tenant_id,
        environment=environment,
    )


async def insert(tx: Tx, line: PhoneLine) -> None:
    """Store a new number. Raises UniqueViolated where somebody has it from this account."""
    await tx.exec(
        """
        INSERT INTO phone_numbers (id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region,
                                   locality, capabilities, toll_free, monthly_cost_usd, friendly_name, agent_id, sms_agent_id, source,
                                   status, status_detail, configured_at, next_check_at, created_by, created_at, updated_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(phone_number)s, %(provider)s, %(account)s, %(provider_id)s, %(order_id)s,
                %(country)s, %(region)s, %(locality)s, %(capabilities)s, %(toll_free)s, %(monthly_cost_usd)s, %(friendly_name)s,
                %(agent_id)s, %(sms_agent_id)s, %(source)s, %(status)s, %(status_detail)s, %(configured_at)s, %(next_check_at)s,
                %(created_by)s, %(created_at)s, %(updated_at)s)
        """,
        id=line.id,
        tenant_id=line.tenant_id,
        environment=line.environment,
        phone_number=line.phone_number,
        provider=line.provider,
        account=line.account,
        provider_id=line.provider_id,
        order_id=line.order_id,
        country=line.country,
        region=line.region,
        locality=line.locality,
        capabilities=line.capabilities,
        toll_free=line.toll_free,
        monthly_cost_usd=line.monthly_cost_usd,
        friendly_name=line.friendly_name,
        agent_id=line.agent_id,
        sms_agent_id=line.sms_agent_id,
        source=line.source,
        status=line.status,
        status_detail=line.status_detail,
        configured_at=line.configured_at,
        next_check_at=line.next_check_at,
        created_by=line.created_by,
        created_at=line.created_at,
        updated_at=line.updated_at,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, number_id: PhoneNumberId) -> PhoneLine | None:
    """One number."""
    return await tx.maybe(
        PhoneLine,
        """
        SELECT id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(number_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        number_id=number_id,
    )


async def get_for_change(
    tx: Tx, tenant_id: TenantId, environment: Environment, number_id: PhoneNumberId
) -> PhoneLine | None:
    """One number, locked."""
    return await tx.maybe(
        PhoneLine,
        """
        SELECT id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(number_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        number_id=number_id,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: LineFilter, *, limit: int, offset: int
) -> list[PhoneLine]:
    """One page of a tenant's numbers, newest first."""
    return await tx.all(
        PhoneLine,
        """
        SELECT id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s OR sms_agent_id = %(agent_id)s)
           AND (%(capability)s::text IS NULL OR %(capability)s = ANY (capabilities))
           AND (%(phone_number)s::text IS NULL OR phone_number = %(phone_number)s)
           AND CASE WHEN %(status)s::text IS NULL THEN status IN ('provisioning', 'active', 'releasing') ELSE status = %(status)s END
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=wanted.provider,
        agent_id=wanted.agent_id,
        capability=wanted.capability,
        status=wanted.status,
        phone_number=wanted.phone_number,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: LineFilter) -> int:
    """How many numbers there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(provider)s::text IS NULL OR provider = %(provider)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s OR sms_agent_id = %(agent_id)s)
           AND (%(capability)s::text IS NULL OR %(capability)s = ANY (capabilities))
           AND (%(phone_number)s::text IS NULL OR phone_number = %(phone_number)s)
           AND CASE WHEN %(status)s::text IS NULL THEN status IN ('provisioning', 'active', 'releasing') ELSE status = %(status)s END
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=wanted.provider,
        agent_id=wanted.agent_id,
        capability=wanted.capability,
        status=wanted.status,
        phone_number=wanted.phone_number,
    )


async def update(tx: Tx, line: PhoneLine) -> None:
    """Store what may change of a number."""
    await tx.exec(
        """
        UPDATE phone_numbers
           SET provider_id = %(provider_id)s, order_id = %(order_id)s, capabilities = %(capabilities)s, toll_free = %(toll_free)s,
               country = %(country)s, friendly_name = %(friendly_name)s, agent_id = %(agent_id)s, sms_agent_id = %(sms_agent_id)s,
               trunk_id = %(trunk_id)s, status = %(status)s, status_detail = %(status_detail)s, configured_at = %(configured_at)s,
               next_check_at = %(next_check_at)s, updated_at = %(updated_at)s, released_at = %(released_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        id=line.id,
        tenant_id=line.tenant_id,
        environment=line.environment,
        provider_id=line.provider_id,
        order_id=line.order_id,
        capabilities=line.capabilities,
        toll_free=line.toll_free,
        country=line.country,
        friendly_name=line.friendly_name,
        agent_id=line.agent_id,
        sms_agent_id=line.sms_agent_id,
        trunk_id=line.trunk_id,
        status=line.status,
        status_detail=line.status_detail,
        configured_at=line.configured_at,
        next_check_at=line.next_check_at,
        updated_at=line.updated_at,
        released_at=line.released_at,
    )


async def note_offer(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    number_id: PhoneNumberId,
    *,
    region: str | None,
    locality: str | None,
    monthly_cost_usd: float | None,
    capabilities: tuple[str, ...],
) -> None:
    """Keep what an offer said of a number."""
    await tx.exec(
        """
        UPDATE phone_numbers
           SET region = %(region)s, locality = %(locality)s, monthly_cost_usd = %(monthly_cost_usd)s, capabilities = %(capabilities)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(number_id)s AND status = 'provisioning'
        """,
        region=region,
        locality=locality,
        monthly_cost_usd=monthly_cost_usd,
        capabilities=capabilities,
        tenant_id=tenant_id,
        environment=environment,
        number_id=number_id,
    )


async def live_line(tx: Tx, provider: str, account: str, phone_number: str) -> PhoneLine | None:
    """Whose a number is that an account rents; the one question without a tenant_id, for whoever is rung does not say who he is."""
    return await tx.maybe(
        PhoneLine,
        """
        SELECT id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
          FROM phone_numbers
         WHERE provider = %(provider)s AND account = %(account)s AND phone_number = %(phone_number)s
           AND status IN ('provisioning', 'active', 'releasing')
        """,
        provider=provider,
        account=account,
        phone_number=phone_number,
    )


async def answered_here(tx: Tx, numbers: tuple[str, ...]) -> list[str]:
    """Which of these numbers reach this installation, of all tenants: agents that call each other never hang up. Those on trunks reach people."""
    return await tx.all(
        str,
        """
        SELECT DISTINCT phone_number
          FROM phone_numbers
         WHERE phone_number = ANY (%(numbers)s) AND environment = 'live' AND trunk_id IS NULL
           AND status IN ('provisioning', 'active', 'releasing')
        """,
        numbers=list(numbers),
    )


async def countries(tx: Tx, tenant_id: TenantId, environment: Environment) -> list[str]:
    """The countries of a tenant's live numbers."""
    return await tx.all(
        str,
        """
        SELECT DISTINCT country
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND status IN ('provisioning', 'active', 'releasing')
        """,
        tenant_id=tenant_id,
        environment=environment,
    )


async def lines_of_agent(
    tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId, *, feature: str
) -> list[PhoneLine]:
    """The active numbers with which an agent calls (`voice`) or writes (`sms`), the one it has longest first."""
    return await tx.all(
        PhoneLine,
        """
        SELECT id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND status = 'active'
           AND %(feature)s = ANY (capabilities)
           AND CASE WHEN %(feature)s = 'voice' THEN agent_id ELSE coalesce(sms_agent_id, agent_id) END = %(agent_id)s
         ORDER BY created_at, id
         LIMIT 100
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        feature=feature,
    )


async def unassign(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId, *, at: datetime) -> int:
    """Take an agent off all numbers that it answers; how many."""
    return await tx.exec(
        """
        UPDATE phone_numbers
           SET agent_id = nullif(agent_id, %(agent_id)s), sms_agent_id = nullif(sms_agent_id, %(agent_id)s), updated_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND (agent_id = %(agent_id)s OR sms_agent_id = %(agent_id)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        at=at,
    )


async def lines_of_trunk(
    tx: Tx, tenant_id: TenantId, environment: Environment, trunk_id: SipTrunkId
) -> list[PhoneLine]:
    """The numbers whose calls go over a trunk."""
    return await tx.all(
        PhoneLine,
        """
        SELECT id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND trunk_id = %(trunk_id)s
         ORDER BY phone_number
        """,
        tenant_id=tenant_id,
        environment=environment,
        trunk_id=trunk_id,
    )


async def numbers_with_account(
    tx: Tx, tenant_id: TenantId, environment: Environment, account: str, *, limit: int
) -> list[str]:
    """The live numbers that are rented with an account."""
    return await tx.all(
        str,
        """
        SELECT phone_number
          FROM phone_numbers
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND account = %(account)s
           AND status IN ('provisioning', 'active', 'releasing')
         ORDER BY phone_number
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        account=account,
        limit=limit,
    )


async def claim_due(tx: Tx, *, now: datetime, until: datetime, limit: int) -> list[PhoneLine]:
    """Numbers of any tenant that are to be looked after now, which nobody else looks at before `until`."""
    return await tx.all(
        PhoneLine,
        """
        UPDATE phone_numbers
           SET next_check_at = %(until)s
         WHERE id IN (SELECT id FROM phone_numbers WHERE next_check_at <= %(now)s ORDER BY next_check_at LIMIT %(limit)s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, tenant_id, environment, phone_number, provider, account, provider_id, order_id, country, region, locality, capabilities,
               toll_free, monthly_cost_usd::float8 AS monthly_cost_usd, friendly_name, agent_id, sms_agent_id, trunk_id, source, status,
               status_detail, configured_at, next_check_at, created_by, created_at, updated_at, released_at
        """,
        now=now,
        until=until,
        limit=limit,
    )

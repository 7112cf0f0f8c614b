"""The SQL of `channel_connections`."""

from voisnap_domain.ids import AgentId, ChannelConnectionId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import ChannelConnection, ConnectionFilter


async def insert(tx: Tx, connection: ChannelConnection) -> None:
    """Store a new connection. Raises UniqueViolated when somebody has the address."""
    await tx.exec(
        """
        INSERT INTO channel_connections (id, tenant_id, environment, channel, provider, account, address, name, handle, agent_id, settings,
                                         status, status_detail, webhook, verified_at, created_by, created_at, updated_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(channel)s, %(provider)s, %(account)s, %(address)s, %(name)s, %(handle)s,
                %(agent_id)s, %(settings)s, %(status)s, %(status_detail)s, %(webhook)s, %(verified_at)s, %(created_by)s, %(created_at)s,
                %(updated_at)s)
        """,
        id=connection.id,
        tenant_id=connection.tenant_id,
        environment=connection.environment,
        channel=connection.channel,
        provider=connection.provider,
        account=connection.account,
        address=connection.address,
        name=connection.name,
        handle=connection.handle,
        agent_id=connection.agent_id,
        settings=connection.settings,
        status=connection.status,
        status_detail=connection.status_detail,
        webhook=connection.webhook,
        verified_at=connection.verified_at,
        created_by=connection.created_by,
        created_at=connection.created_at,
        updated_at=connection.updated_at,
    )


async def update(tx: Tx, connection: ChannelConnection) -> None:
    """Store what may change of a connection."""
    await tx.exec(
        """
        UPDATE channel_connections
           SET name = %(name)s, handle = %(handle)s, agent_id = %(agent_id)s, settings = %(settings)s, status = %(status)s,
               status_detail = %(status_detail)s, webhook = %(webhook)s, verified_at = %(verified_at)s, updated_at = %(updated_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        id=connection.id,
        tenant_id=connection.tenant_id,
        environment=connection.environment,
        name=connection.name,
        handle=connection.handle,
        agent_id=connection.agent_id,
        settings=connection.settings,
        status=connection.status,
        status_detail=connection.status_detail,
        webhook=connection.webhook,
        verified_at=connection.verified_at,
        updated_at=connection.updated_at,
    )


async def get(
    tx: Tx, tenant_id: TenantId, environment: Environment, connection_id: ChannelConnectionId
) -> ChannelConnection | None:
    """One connection."""
    return await tx.maybe(
        ChannelConnection,
        """
        SELECT id, tenant_id, environment, channel, provider, account, address, name, handle, agent_id, settings, status, status_detail,
               webhook, verified_at, created_by, created_at, updated_at
          FROM channel_connections
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(connection_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        connection_id=connection_id,
    )


async def at(tx: Tx, provider: str, account: str, address: str) -> ChannelConnection | None:
    """Whose an address is, of whatever tenant; runs as the system."""
    return await tx.maybe(
        ChannelConnection,
        """
        SELECT id, tenant_id, environment, channel, provider, account, address, name, handle, agent_id, settings, status, status_detail,
               webhook, verified_at, created_by, created_at, updated_at
          FROM channel_connections
         WHERE provider = %(provider)s AND account = %(account)s AND address = %(address)s
        """,
        provider=provider,
        account=account,
        address=address,
    )


async def of_agent(
    tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId, channel: Channel
) -> ChannelConnection | None:
    """The connection with which an agent writes on a channel: the one it has longest."""
    return await tx.maybe(
        ChannelConnection,
        """
        SELECT id, tenant_id, environment, channel, provider, account, address, name, handle, agent_id, settings, status, status_detail,
               webhook, verified_at, created_by, created_at, updated_at
          FROM channel_connections
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s AND channel = %(channel)s
         ORDER BY created_at, id
         LIMIT 1
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        channel=channel,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ConnectionFilter, *, limit: int, offset: int
) -> list[ChannelConnection]:
    """A page of connections, newest first."""
    return await tx.all(
        ChannelConnection,
        """
        SELECT id, tenant_id, environment, channel, provider, account, address, name, handle, agent_id, settings, status, status_detail,
               webhook, verified_at, created_by, created_at, updated_at
          FROM channel_connections
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(channel)s::text IS NULL OR channel = %(channel)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        channel=wanted.channel,
        agent_id=wanted.agent_id,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: ConnectionFilter) -> int:
    """How many connections there are on all pages."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM channel_connections
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(channel)s::text IS NULL OR channel = %(channel)s)
           AND (%(agent_id)s::text IS NULL OR agent_id = %(agent_id)s)
        """,
        tenant_id=tenant_id,
        environment=environment,
        channel=wanted.channel,
        agent_id=wanted.agent_id,
    )


async def delete(tx: Tx, tenant_id: TenantId, environment: Environment, connection_id: ChannelConnectionId) -> None:
    """Delete a connection."""
    await tx.exec(
        """
        DELETE FROM channel_connections
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(connection_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        connection_id=connection_id,
    )


async def delete_of_agent(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId) -> int:
    """Delete the connections of an agent; how many."""
    return await tx.exec(
        """
        DELETE FROM channel_connections
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
    )

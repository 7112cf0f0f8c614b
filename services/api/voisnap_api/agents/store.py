"""The SQL of `agents` and `agent_versions`."""

from voisnap_domain.agents import Agent
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import AgentFilter, AgentPosition, AgentVersion, StoredAgent


async def insert(tx: Tx, agent: Agent) -> None:
    """Store a new agent."""
    tx.exec_later(
        """
        INSERT INTO agents (id, tenant_id, environment, status, version, published_version, config, widget_key, created_at, updated_at)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(status)s, %(version)s, %(published_version)s, %(config)s,
                %(widget_key)s, %(created_at)s, %(updated_at)s)
        """,
        id=agent.id,
        tenant_id=agent.tenant_id,
        environment=agent.environment,
        status=agent.status,
        version=agent.version,
        published_version=agent.published_version,
        config=agent.config,
        widget_key=agent.widget_key,
        created_at=agent.created_at,
        updated_at=agent.updated_at,
    )


async def get(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId) -> Agent | None:
    """One agent."""
    found = await tx.maybe(
        StoredAgent,
        """
        SELECT id, tenant_id, environment, status, version, published_version, config::text AS config, widget_key,
               created_at, updated_at
          FROM agents
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(agent_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
    )
    return found and found.agent


async def get_for_change(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId) -> Agent | None:
    """One agent, locked until the transaction ends."""
    found = await tx.maybe(
        StoredAgent,
        """
        SELECT id, tenant_id, environment, status, version, published_version, config::text AS config, widget_key,
               created_at, updated_at
          FROM agents
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(agent_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
    )
    return found and found.agent


async def page(
    tx: Tx,
    tenant_id: TenantId,
    environment: Environment,
    wanted: AgentFilter,
    *,
    limit: int,
    offset: int,
    after: AgentPosition | None = None,
) -> list[Agent]:
    """One page of the agents that match, in the wanted order, from a place in the list on; the id settles ties.

    Only what is shown is made text: a cast beside the sorting would be worked out for every agent that matches.
    """
    found = await tx.all(
        StoredAgent,
        """
        SELECT id, tenant_id, environment, status, version, published_version, config::text AS config, widget_key,
               created_at, updated_at
          FROM (
                  SELECT id, tenant_id, environment, status, version, published_version, config, widget_key,
                         created_at, updated_at
                    FROM agents
                   WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
                     AND (%(status)s::text IS NULL OR status = %(status)s)
                     AND (%(search)s::text IS NULL OR strpos(lower(name), lower(%(search)s)) > 0)
                     AND tags @> to_jsonb(%(tags)s::text[])
                     AND (%(after_id)s::text IS NULL OR CASE %(sort)s::text
                          WHEN 'name asc' THEN lower(name) > lower(%(after_name)s)
                          WHEN 'name desc' THEN lower(name) < lower(%(after_name)s)
                          WHEN 'created_at asc' THEN created_at > %(after_moment)s::timestamptz
                          WHEN 'created_at desc' THEN created_at < %(after_moment)s
                          WHEN 'updated_at asc' THEN updated_at > %(after_moment)s
                          WHEN 'updated_at desc' THEN updated_at < %(after_moment)s
                          END OR (id < %(after_id)s AND CASE %(sort)s
                          WHEN 'name asc' THEN lower(name) = lower(%(after_name)s)
                          WHEN 'name desc' THEN lower(name) = lower(%(after_name)s)
                          WHEN 'created_at asc' THEN created_at = %(after_moment)s
                          WHEN 'created_at desc' THEN created_at = %(after_moment)s
                          ELSE updated_at = %(after_moment)s END))
                   ORDER BY CASE WHEN %(sort)s = 'name asc' THEN lower(name) END ASC,
                            CASE WHEN %(sort)s = 'name desc' THEN lower(name) END DESC,
                            CASE WHEN %(sort)s = 'created_at asc' THEN created_at END ASC,
                            CASE WHEN %(sort)s = 'created_at desc' THEN created_at END DESC,
                            CASE WHEN %(sort)s = 'updated_at asc' THEN updated_at END ASC,
                            CASE WHEN %(sort)s = 'updated_at desc' THEN updated_at END DESC,
                            id DESC
                   LIMIT %(limit)s OFFSET %(offset)s
          ) AS shown
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        search=wanted.search,
        tags=wanted.tags,
        sort=wanted.sort,
        after_id=after and after.id,
        after_name=after and after.name,
        after_moment=after and after.moment,
        limit=limit,
        offset=offset,
    )
    return [one.agent for one in found]


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, wanted: AgentFilter) -> int:
    """How many agents match."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM agents
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
           AND (%(status)s::text IS NULL OR status = %(status)s)
           AND (%(search)s::text IS NULL OR strpos(lower(name), lower(%(search)s)) > 0)
           AND tags @> to_jsonb(%(tags)s::text[])
        """,
        tenant_id=tenant_id,
        environment=environment,
        status=wanted.status,
        search=wanted.search,
        tags=wanted.tags,
    )


async def update(tx: Tx, agent: Agent) -> None:
    """Store what may change about an agent."""
    tx.exec_later(
        """
        UPDATE agents
           SET status = %(status)s, version = %(version)s, published_version = %(published_version)s,
               config = %(config)s, updated_at = %(updated_at)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(id)s
        """,
        status=agent.status,
        version=agent.version,
        published_version=agent.published_version,
        config=agent.config,
        updated_at=agent.updated_at,
        tenant_id=agent.tenant_id,
        environment=agent.environment,
        id=agent.id,
    )


async def delete(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId) -> None:
    """Delete an agent and its versions."""
    await tx.exec(
        "DELETE FROM agents WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND id = %(agent_id)s",
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
    )


async def insert_version(tx: Tx, agent: Agent, *, changes_summary: str, created_by: str | None) -> None:
    """Keep the agent's current configuration as a version."""
    tx.exec_later(
        """
        INSERT INTO agent_versions (agent_id, version, tenant_id, environment, config, changes_summary, created_at, created_by)
        VALUES (%(agent_id)s, %(version)s, %(tenant_id)s, %(environment)s, %(config)s, %(changes_summary)s,
                %(created_at)s, %(created_by)s)
        """,
        agent_id=agent.id,
        version=agent.version,
        tenant_id=agent.tenant_id,
        environment=agent.environment,
        config=agent.config,
        changes_summary=changes_summary,
        created_at=agent.updated_at,
        created_by=created_by,
    )


async def mark_published(tx: Tx, agent: Agent, *, notes: str | None) -> None:
    """Note when and why the current version went into production."""
    tx.exec_later(
        """
        UPDATE agent_versions SET published_at = %(published_at)s, notes = %(notes)s
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s AND version = %(version)s
        """,
        published_at=agent.updated_at,
        notes=notes,
        tenant_id=agent.tenant_id,
        environment=agent.environment,
        agent_id=agent.id,
        version=agent.version,
    )


async def versions(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId) -> list[AgentVersion]:
    """An agent's versions, newest first."""
    return await tx.all(
        AgentVersion,
        """
        SELECT agent_id, version, config, changes_summary, created_at, created_by, published_at, notes
          FROM agent_versions
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s
         ORDER BY version DESC
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
    )


async def version(
    tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId, number: int
) -> AgentVersion | None:
    """One version of an agent."""
    return await tx.maybe(
        AgentVersion,
        """
        SELECT agent_id, version, config, changes_summary, created_at, created_by, published_at, notes
          FROM agent_versions
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s AND version = %(number)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        number=number,
    )


async def active_with_provider(
    tx: Tx, tenant_id: TenantId, environment: Environment, provider: str, *, limit: int
) -> list[str]:
    """Ids of active agents that name a provider, as first choice or as fallback, in the order of their making."""
    return await tx.all(
        str,
        """
        SELECT id
          FROM agents
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND status = 'active'
           AND (%(provider)s::text IN (config -> 'llm' ->> 'provider', config -> 'voice' ->> 'provider',
                                       config -> 'transcription' ->> 'provider')
                OR jsonb_path_exists(config, '$.fallbacks.*[*] ? (@.provider == $provider)',
                                     jsonb_build_object('provider', %(provider)s::text)))
         ORDER BY created_at, id
         LIMIT %(limit)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        provider=provider,
        limit=limit,
    )

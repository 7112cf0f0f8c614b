"""The SQL of `agent_tests`."""

from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Tx

from .records import AgentTest


async def insert(tx: Tx, test: AgentTest) -> None:
    """Store a test that has begun."""
    await tx.exec(
        """
        INSERT INTO agent_tests (id, tenant_id, environment, agent_id, agent_version, channel, phone_number, metadata, session_id,
                                 conversation_id, outbound_call_id, message_id, created_at, created_by)
        VALUES (%(id)s, %(tenant_id)s, %(environment)s, %(agent_id)s, %(agent_version)s, %(channel)s, %(phone_number)s,
                %(metadata)s, %(session_id)s, %(conversation_id)s, %(outbound_call_id)s, %(message_id)s, %(created_at)s, %(created_by)s)
        """,
        id=test.id,
        tenant_id=test.tenant_id,
        environment=test.environment,
        agent_id=test.agent_id,
        agent_version=test.agent_version,
        channel=test.channel,
        phone_number=test.phone_number,
        metadata=test.metadata,
        session_id=test.session_id,
        conversation_id=test.conversation_id,
        outbound_call_id=test.outbound_call_id,
        message_id=test.message_id,
        created_at=test.created_at,
        created_by=test.created_by,
    )


async def get(
    tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId, test_id: str
) -> AgentTest | None:
    """One test of an agent."""
    return await tx.maybe(
        AgentTest,
        """
        SELECT id, tenant_id, environment, agent_id, agent_version, channel, phone_number, metadata, session_id, conversation_id,
               outbound_call_id, message_id, created_at, created_by
          FROM agent_tests
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s AND id = %(test_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        test_id=test_id,
    )


async def page(
    tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId, *, limit: int, offset: int
) -> list[AgentTest]:
    """One page of an agent's tests, newest first."""
    return await tx.all(
        AgentTest,
        """
        SELECT id, tenant_id, environment, agent_id, agent_version, channel, phone_number, metadata, session_id, conversation_id,
               outbound_call_id, message_id, created_at, created_by
          FROM agent_tests
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
        limit=limit,
        offset=offset,
    )


async def count(tx: Tx, tenant_id: TenantId, environment: Environment, agent_id: AgentId) -> int:
    """How many tests an agent has had."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM agent_tests
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s AND agent_id = %(agent_id)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        agent_id=agent_id,
    )

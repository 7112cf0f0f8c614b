"""Which agent answers at which of a tenant's addresses with WhatsApp and Telegram."""

from voisnap_domain.ids import AgentId
from voisnap_domain.sessions import Channel
from voisnap_kit.work import Work

from . import store
from .records import ChannelConnection


async def connection_at(work: Work, provider: str, account: str, address: str) -> ChannelConnection | None:
    """Whose an address is that was written to, of whatever tenant: runs as the system."""
    return await store.at(work.tx, provider, account, address)


async def connection_of(work: Work, agent_id: AgentId, channel: Channel) -> ChannelConnection | None:
    """With which address an agent writes on a channel, if it has one."""
    return await store.of_agent(work.tx, work.caller.tenant_id, work.caller.environment, agent_id, channel)

"""What other slices ask of connections when something goes away that they hang on."""

from voisnap_domain.ids import AgentId
from voisnap_kit.work import Work

from . import store


async def let_go(work: Work, agent_id: AgentId) -> int:
    """Forget an agent's connections; how many there were. Its networks go on posting here, and are told that nobody is meant."""
    return await store.delete_of_agent(work.tx, work.caller.tenant_id, work.caller.environment, agent_id)

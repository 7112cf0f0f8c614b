"""What other slices ask of numbers when something goes away that numbers hang on."""

from voisnap_domain.ids import AgentId
from voisnap_kit.work import Work

from . import store


async def let_go(work: Work, agent_id: AgentId) -> int:
    """Take an agent off all its numbers, which stay the tenant's; how many there were."""
    caller = work.caller
    return await store.unassign(work.tx, caller.tenant_id, caller.environment, agent_id, at=work.now)


async def rented_with(work: Work, account: str, *, limit: int) -> list[str]:
    """Numbers that are rented with an account, and would be out of reach without it."""
    caller = work.caller
    return await store.numbers_with_account(work.tx, caller.tenant_id, caller.environment, account, limit=limit)

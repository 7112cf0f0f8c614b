"""What can be done with a tenant's telephone numbers."""

from voisnap_domain.errors import Conflict, FieldError, Invalid
from voisnap_domain.ids import AgentId
from voisnap_kit.work import Work
from voisnap_providers.ports.numbers import NumberFeature

from . import store
from .records import LineStatus, PhoneLine


async def line_of(work: Work, provider: str, account: str, number: str) -> PhoneLine | None:
    """Whose a number is that was rung or written to, of whatever tenant: runs as the system. Also while it is being bought or given back."""
    return await store.live_line(work.tx, provider, account, number)


async def line_for_calls(work: Work, agent_id: AgentId, from_number: str | None) -> PhoneLine:
    """The number with which an agent calls: the one named, which must be the agent's own, else the one it has longest.

    Raises Invalid for a number that is not, Conflict `no-phone-number` for an agent without any.
    """
    caller = work.caller
    lines = await store.lines_of_agent(
        work.tx, caller.tenant_id, caller.environment, agent_id, feature=NumberFeature.VOICE.value
    )
    if from_number is not None:
        line = next((line for line in lines if line.phone_number == from_number), None)
        if line is None:
            detail = f"is no number that agent {agent_id} may call with: assign it to the agent first"
            raise Invalid((FieldError(pointer="/fromNumber", code="not-assigned", detail=detail),))
        return line
    if not lines:
        raise Conflict(
            f"Agent {agent_id} has no number to call with. Assign one with PATCH /api/v1/telephony/numbers/{{id}}.",
            code="no-phone-number",
        )
    return lines[0]


async def line_for_texts(work: Work, agent_id: AgentId) -> PhoneLine | None:
    """The number with which an agent writes, if it has one: the one it has longest."""
    caller = work.caller
    lines = await store.lines_of_agent(
        work.tx, caller.tenant_id, caller.environment, agent_id, feature=NumberFeature.SMS.value
    )
    return lines[0] if lines else None


def answers(line: PhoneLine | None) -> bool:
    """Whether calls and texts to a number are taken: it is the tenant's, and not on its way out."""
    return line is not None and line.status in (LineStatus.ACTIVE, LineStatus.PROVISIONING)

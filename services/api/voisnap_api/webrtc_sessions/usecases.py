"""Opening a call from a browser."""

from typing import Any

import msgspec
from voisnap_domain.errors import FieldError, Forbidden, Invalid
from voisnap_domain.ids import AgentId, ConversationId, SessionId
from voisnap_domain.sessions import Caller, Channel, Direction, SessionPlan
from voisnap_kit.work import Work

from voisnap_api.agents.usecases import talking_version
from voisnap_api.tenants.usecases import limits_for_new_session

MAX_METADATA_BYTES = 16_384


async def plan_session(
    work: Work, agent_id: AgentId, metadata: dict[str, Any], *, bound_to: str | None = None
) -> SessionPlan:
    """Everything the runtime needs to hold the call.

    `bound_to` is the only agent the credential may call. Raises Forbidden, NotFound `agent-not-found`, Conflict `agent-inactive`, Invalid.
    """
    if len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        raise Invalid(
            (
                FieldError(
                    pointer="/metadata", code="too-large", detail=f"must be at most {MAX_METADATA_BYTES} bytes of JSON"
                ),
            )
        )
    if bound_to is not None and bound_to != agent_id:
        raise Forbidden("This token is for another agent.", code="wrong-agent")
    limits = await limits_for_new_session(work)
    snapshot = await talking_version(work, agent_id)
    return SessionPlan(
        session_id=SessionId(work.new_id("wrtc")),
        conversation_id=ConversationId(work.new_id("conv")),
        tenant_id=work.caller.tenant_id,
        environment=work.caller.environment,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=snapshot,
        caller=Caller(),
        metadata=metadata,
        created_at=work.now,
        max_concurrent=limits.max_concurrent_calls,
    )

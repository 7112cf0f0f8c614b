"""The tool by which an agent in a call sends its caller a text: "I'll send you the link"."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from voisnap_domain.messaging import MAX_TEXT
from voisnap_domain.sessions import SessionPlan
from voisnap_proto.events import TextRequested
from voisnap_providers.ports.llm import ToolSpec

from voisnap_runtime.pipeline.tools import SideEffect, Tool, ToolContext, ToolResult
from voisnap_runtime.sessions.roster import LiveSessions

SEND_TEXT = "send_text"
MOST_TEXTS = 10
"""Texts of one call."""

Request = Callable[[SessionPlan, str, str], bool]
"""Has a text sent to the caller of a session, known by a key: the same key is the same text. False for a session that is over."""


class SendTextTool:
    """Sends the caller a text, once each."""

    effect = SideEffect.ONCE
    seconds = 2.0
    spec = ToolSpec(
        name=SEND_TEXT,
        description=(
            "Send the caller a text message (SMS) to the number they call from: a link, an address, a confirmation, anything that is hard to"
            " take down by ear. Only when the caller agrees. Say in the same reply that you send it."
        ),
        parameters={
            "type": "object",
            "properties": {
                "text": {
                    "type": "string",
                    "description": "The whole message as the caller reads it, short, in the language of the conversation.",
                }
            },
            "required": ["text"],
            "additionalProperties": False,
        },
    )

    def __init__(self, plan: SessionPlan, request: Request) -> None:
        self._plan = plan
        self._request = request
        self._sent = 0

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Have it sent; that it arrives is not waited for."""
        text = str(arguments["text"]).strip()
        if not text or len(text) > MAX_TEXT:
            return ToolResult(content=f"The text must have 1 to {MAX_TEXT} characters.", success=False)
        if self._sent >= MOST_TEXTS:
            return ToolResult(content="No more texts can be sent in this call.", success=False)
        if not self._request(self._plan, text, context.key):
            return ToolResult(content="The text could not be sent.", success=False)
        self._sent += 1
        return ToolResult(content="The text message is on its way to the caller.")


class TextRequests:
    """Tells of texts that agents want sent, in the sessions of this process."""

    def __init__(self, sessions: Callable[[], LiveSessions], *, now: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._now = now

    def __call__(self, plan: SessionPlan, text: str, key: str) -> bool:
        """Note the event with the session's others, so that it outlives this process; False for a session that is over."""
        live, number = self._sessions().get(plan.session_id), plan.caller.phone_number
        if live is None or number is None:
            return False
        live.record.asked_to_text(
            TextRequested(
                tenant_id=plan.tenant_id,
                environment=plan.environment,
                session_id=plan.session_id,
                conversation_id=plan.conversation_id,
                agent_id=plan.agent.agent_id,
                request_id=f"{plan.session_id}:{key}",
                phone_number=number,
                text=text,
                at=self._now(),
            )
        )
        return True


def text_tools_of(plan: SessionPlan, request: Request) -> tuple[Tool, ...]:
    """What an agent can send in a call: texts, where it has a number for them and knows the caller's."""
    return (SendTextTool(plan, request),) if plan.can_text and plan.caller.phone_number else ()

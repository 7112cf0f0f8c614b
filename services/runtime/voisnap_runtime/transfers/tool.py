"""The tool by which an agent puts its caller through to somebody."""

from collections.abc import Callable
from typing import Any, Protocol

from voisnap_domain.agents import TransferTarget
from voisnap_domain.calls import TransferMode
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_providers.ports.llm import ToolSpec

from voisnap_runtime.pipeline.tools import EndCallTool, SideEffect, Tool, ToolContext, ToolResult

TRANSFER_CALL, CANCEL_TRANSFER = "transfer_call", "cancel_transfer"
MAX_REASON = 500


class BegunTransfer(Protocol):
    """A transfer that begins when the caller has heard of it."""

    @property
    def announcement(self) -> str: ...
    def said(self) -> None: ...


class Begin(Protocol):
    """Begins a transfer of a live session. Raises DomainError where that can't be."""

    def __call__(
        self, plan: SessionPlan, target: TransferTarget, *, mode: TransferMode | None, reason: str
    ) -> BegunTransfer: ...


class TransferCallTool:
    """Puts the caller through to one of the agent's targets."""

    effect = SideEffect.ONCE
    seconds = 5.0

    def __init__(self, plan: SessionPlan, begin: Begin) -> None:
        self._plan = plan
        self._begin = begin
        targets = plan.agent.config.transfer.targets
        self._targets = {target.name: target for target in targets}
        self.spec = _spec(targets)

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Begin; how it ends the caller hears, and then it is in the history."""
        target = self._targets[arguments["target"]]
        wanted = arguments.get("mode")
        reason = str(arguments.get("reason") or "")[:MAX_REASON]
        transfer = self._begin(self._plan, target, mode=None if wanted is None else TransferMode(wanted), reason=reason)
        return ToolResult(
            content=f"The caller is being put through to {target.name}.",
            says="" if context.spoke else transfer.announcement,
            after=transfer.said,
        )


class CancelTransferTool:
    """Keeps a caller who waits to be put through."""

    effect = SideEffect.NONE
    seconds = 2.0
    spec = ToolSpec(
        name=CANCEL_TRANSFER,
        description=(
            "Stop putting the caller through while nobody has taken the call yet. Call this only when the caller says that they do not want to"
            " wait any more or would rather stay with you."
        ),
        parameters={"type": "object", "properties": {}, "additionalProperties": False},
    )

    def __init__(self, plan: SessionPlan, call_off: Callable[[SessionPlan], bool]) -> None:
        self._plan = plan
        self._call_off = call_off

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Whether there was anything to stop."""
        if self._call_off(self._plan):
            return ToolResult(content="All right, the transfer is called off.")
        return ToolResult(content="Nobody is being called any more.", success=False)


def tools_of(plan: SessionPlan, begin: Begin, call_off: Callable[[SessionPlan], bool]) -> tuple[Tool, ...]:
    """What an agent can do in a spoken conversation: hang up, and on the telephone put callers through where it has to whom."""
    tools: list[Tool] = [EndCallTool()]
    if plan.channel is Channel.PHONE and plan.leg is not None and plan.agent.config.transfer.targets:
        tools += (TransferCallTool(plan, begin), CancelTransferTool(plan, call_off))
    return tuple(tools)


def _spec(targets: tuple[TransferTarget, ...]) -> ToolSpec:
    lines = [f"{target.name}: {' '.join((target.description or 'no description').split())}" for target in targets]
    return ToolSpec(
        name=TRANSFER_CALL,
        description=(
            "Put the caller through to a person or a department. Call this when the caller asks for somebody, or needs what only they can do;"
            " never on your own account while you can help. Tell the caller in the same reply that you put them through."
        ),
        parameters={
            "type": "object",
            "properties": {
                "target": {
                    "type": "string",
                    "enum": [target.name for target in targets],
                    "description": "\n".join(("To whom.", *lines)),
                },
                "reason": {
                    "type": "string",
                    "description": "Why, in one sentence for the person who takes the call.",
                },
                "mode": {
                    "type": "string",
                    "enum": [mode.value for mode in TransferMode],
                    "description": (
                        "cold: at once. warm: the person is told first and may decline; then the caller is back with you."
                        " Leave it out unless the caller's wish calls for one."
                    ),
                },
            },
            "required": ["target", "reason"],
            "additionalProperties": False,
        },
    )

"""A person who is reached message by message: the transport and the audience of a session while one message is answered."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from voisnap_domain.sessions import EndReason, Session, SessionPlan

from voisnap_runtime.pipeline.events import CallEvent
from voisnap_runtime.transports.hub_line import HubLine


class TextLine(HubLine):
    """Connected while a message is being answered. `last_answer` is called with the reason when the conversation ends, before its end is told:
    what was said last would be gone with it."""

    def __init__(self, last_answer: Callable[[EndReason], Awaitable[None]]) -> None:
        super().__init__()
        self._last_answer = last_answer
        self._reason: EndReason | None = None

    async def close(self) -> None:
        """Keep the last words, if they were that."""
        await super().close()
        reason, self._reason = self._reason, None
        if reason is not None:
            await self._last_answer(reason)

    # The audience

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None:
        """Nobody watches."""

    def told(self, event: CallEvent) -> None:
        """The answers are read from the record."""

    def candidate(self, candidate: Mapping[str, Any]) -> None:
        """There are no media."""

    def failed(self, code: str, message: str, *, recoverable: bool) -> None:
        """The answer says it."""

    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None:
        self._reason = reason

    async def leave(self) -> None:
        """Nobody is connected."""

    async def come_back(self) -> None:
        """The next message finds the session wherever it is."""

    def give_way(self) -> None:
        """Another process answers now."""

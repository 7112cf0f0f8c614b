"""ChatHub: a conversation in writing."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.conversations import Speaker
from voisnap_domain.errors import DomainError
from voisnap_domain.sessions import Channel, EndReason, Session, SessionPlan
from voisnap_signalr import HubConnection, HubError, hub_method

from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.pipeline.chat import Chat
from voisnap_runtime.pipeline.events import AgentState, CallEvent
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.transports.hub_line import HubLine

from . import wire
from .parameters import MAX_METADATA_BYTES
from .session_hub import HubAudience, HubBorneHub


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a person writes, and what the language model should know with it."""

    content: str
    metadata: dict[str, Any] | None = None


class ChatAudience(HubAudience):
    """Tells a chat's events in the words of ChatHub: chunks carry what is new, the last message of an id carries all of it."""

    def __init__(self, connection: HubConnection, *, now: Callable[[], datetime]) -> None:
        super().__init__(connection)
        self._now = now
        self._sequence = 0
        self._sent = 0
        self._is_typing = False

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None:
        started = wire.session_started(session, at=at, resumed=resumed)
        self.connection.send("SessionStarted", msgspec.structs.replace(started, audio=None))

    def told(self, event: CallEvent) -> None:
        match event:
            case call_events.TranscriptionUpdated(speaker=Speaker.AGENT):
                self._tell(event.sequence, event.text, is_final=event.is_final)
            case call_events.AgentStateChanged(state=state):
                self._tell_typing(state is not AgentState.LISTENING)
            case call_events.Fault():
                super().told(event)
            case _:
                pass

    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None:
        over = wire.ConversationEnded(conversation_id=plan.conversation_id, reason=reason.value)
        self.connection.send("ConversationEnded", over)
        super().ended(plan, reason=reason, seconds=seconds, at=at)

    def _tell_typing(self, is_typing: bool) -> None:
        if is_typing is not self._is_typing:
            self._is_typing = is_typing
            self.connection.send("TypingIndicator", wire.TypingIndicator(is_typing=is_typing))

    def _tell(self, sequence: int, text: str, *, is_final: bool) -> None:
        if sequence != self._sequence:
            self._sequence, self._sent = sequence, 0
        content, self._sent = (text if is_final else text[self._sent :]), len(text)
        if content:
            self.connection.send(
                "MessageReceived",
                wire.message_received(sequence, content, is_final=is_final, at=self._now()),
            )


class ChatHub(HubBorneHub[ChatAudience, HubLine]):
    """`/hubs/chat?agentId=…`: one connection of a chat."""

    channel = Channel.WEBCHAT

    @hub_method("SendMessageAsync")
    async def send_message(self, message: Any) -> dict[str, str]:
        """A message, `{content, metadata?}` or just its text. While a reply is being written it waits its turn.

        Returns when it is accepted: then it is kept, whatever becomes of this process. Its `messageId` is smaller than that of the reply,
        and greater than those of a greeting and of a reply to something else that may still be on their way.
        """
        written = _message_of(message)
        live, chat = await self._talk()
        try:
            place = chat.say(written.content, written.metadata)
        except DomainError as error:
            raise HubError(error.detail) from None
        await live.kept()
        return {"messageId": wire.message_id_of(place)}

    @hub_method("TypingAsync")
    async def typing(self) -> None:
        """The person is writing: nobody counts as idle who does."""
        (await self._talk())[1].typing()

    @hub_method("CancelAsync")
    async def cancel(self) -> None:
        """Stop the reply that is being written. What was sent of it ends with a final message; without a reply nothing happens."""
        (await self._talk())[1].cancel()

    def audience(self) -> ChatAudience:
        return ChatAudience(self.connection, now=self._reception.now)

    def line(self) -> HubLine:
        return HubLine()

    async def _talk(self) -> tuple[LiveSession, Chat]:
        live, _ = self.present()
        await live.begun()
        self.present()
        if not isinstance(live.conversation, Chat):
            raise HubError(self.missing)
        return live, live.conversation


def _message_of(message: Any) -> Message:
    try:
        written = Message(content=message) if isinstance(message, str) else msgspec.convert(message, Message)
        if len(msgspec.json.encode(written.metadata)) > MAX_METADATA_BYTES:
            raise HubError(f"A message's metadata must be at most {MAX_METADATA_BYTES} bytes of JSON.")
    except (msgspec.MsgspecError, RecursionError, TypeError):
        raise HubError("SendMessageAsync takes {content: string, metadata?: object}.") from None
    return written

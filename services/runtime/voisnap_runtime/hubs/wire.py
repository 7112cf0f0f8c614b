"""What the hubs put on the wire: the events of the contract, in its spelling."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from voisnap_domain.conversations import Turn
from voisnap_domain.sessions import EndReason, Session, SessionPlan

from voisnap_runtime.pipeline import events as call_events
from voisnap_runtime.pipeline.events import CallEvent

INPUT_RATE = 16000
OUTPUT_RATE = 24000


class Audio(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    input_sample_rate: int = INPUT_RATE
    output_sample_rate: int = OUTPUT_RATE


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    session_id: str
    conversation_id: str
    agent_id: str
    agent_name: str
    channel: str
    started_at: datetime
    resumed: bool
    audio: Audio | None


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    session_id: str
    conversation_id: str
    reason: str
    duration_seconds: float
    ended_at: datetime


class Error(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    code: str
    message: str
    recoverable: bool


class Transcription(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    turn_id: str
    speaker: str
    text: str
    is_final: bool
    confidence: float
    start_time: float
    end_time: float


class AgentState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    state: str


class Latency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Milliseconds."""

    total_ms: float
    endpointing_ms: float
    stt_ms: float
    llm_ms: float
    tts_ms: float
    platform_ms: float


class TurnCompleted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    turn_id: str
    speaker: str
    interrupted: bool
    latency: Latency | None


class MessageReceived(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A piece of the agent's message, or the whole of it."""

    message_id: str
    content: str
    is_chunk: bool
    is_final: bool
    timestamp: datetime


class TypingIndicator(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    is_typing: bool


class ConversationEnded(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    conversation_id: str
    reason: str


class ListenerAudio(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """100 ms of one side of a conversation that is listened to: 24 kHz, 16-bit."""

    speaker: str
    audio: bytes


class ListeningEnded(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The conversation that was listened to is over."""

    conversation_id: str
    reason: str
    ended_at: datetime


class DtmfReceived(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    digit: str


class TransferInitiated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The agent hands the call over to somebody."""

    transfer_id: str
    target: str
    destination: str
    mode: str
    reason: str


class ToolCallStarted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tool of the agent is called."""

    tool_call_id: str
    name: str
    arguments: dict[str, Any]


class ToolCallCompleted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """It has answered, or failed."""

    tool_call_id: str
    name: str
    success: bool
    duration_ms: float


def turn_id(sequence: int) -> str:
    """`turn_01`, as the conversation's transcript names it."""
    return f"turn_{sequence:02d}"


def session_started(session: Session, *, at: datetime, resumed: bool) -> SessionStarted:
    plan = session.plan
    return SessionStarted(
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        agent_id=plan.agent.agent_id,
        agent_name=plan.agent.config.name,
        channel=plan.channel.value,
        started_at=rounded(at),
        resumed=resumed,
        audio=Audio(),
    )


def message_id_of(sequence: int) -> str:
    """`msg_01`, as the conversation's messages name it."""
    return f"msg_{sequence:02d}"


def message_received(sequence: int, content: str, *, is_final: bool, at: datetime) -> MessageReceived:
    return MessageReceived(
        message_id=message_id_of(sequence),
        content=content,
        is_chunk=not is_final,
        is_final=is_final,
        timestamp=rounded(at),
    )


def session_ended(plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> SessionEnded:
    return SessionEnded(
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        reason=reason.value,
        duration_seconds=seconds,
        ended_at=rounded(at),
    )


def call_event(event: CallEvent) -> tuple[str, tuple[Any, ...]] | None:
    """Target and arguments of a call's event; None for what is not for the caller."""
    match event:
        case call_events.TranscriptionUpdated():
            return "Transcription", (_transcription(event),)
        case call_events.AgentStateChanged(state=state):
            return "AgentStateChanged", (AgentState(state=state.value),)
        case call_events.AudioCleared():
            return "AudioCleared", ()
        case call_events.KeyReceived(digit=digit):
            return "DtmfReceived", (DtmfReceived(digit=digit),)
        case call_events.TurnFinished(turn=turn) if turn.latency is not None:
            return "TurnCompleted", (_turn_completed(turn),)
        case call_events.Fault(code=code, message=message, recoverable=recoverable):
            return "Error", (Error(code=code.value, message=message, recoverable=recoverable),)
        case call_events.ToolStarted(call_id=call_id, name=name, arguments=arguments):
            return "ToolCallStarted", (ToolCallStarted(tool_call_id=call_id, name=name, arguments=arguments),)
        case call_events.ToolFinished():
            return "ToolCallCompleted", (_tool_call_completed(event),)
        case call_events.TransferBegun():
            return "TransferInitiated", (_transfer_initiated(event),)
        case _:
            return None


def _tool_call_completed(event: call_events.ToolFinished) -> ToolCallCompleted:
    return ToolCallCompleted(
        tool_call_id=event.call_id,
        name=event.name,
        success=event.success,
        duration_ms=round(event.seconds * 1000, 1),
    )


def _transfer_initiated(event: call_events.TransferBegun) -> TransferInitiated:
    return TransferInitiated(
        transfer_id=event.transfer_id,
        target=event.target,
        destination=event.to,
        mode=event.mode.value,
        reason=event.reason,
    )


def _transcription(event: call_events.TranscriptionUpdated) -> Transcription:
    return Transcription(
        turn_id=turn_id(event.sequence),
        speaker=event.speaker.value,
        text=event.text,
        is_final=event.is_final,
        confidence=round(event.confidence, 3),
        start_time=round(event.start_time, 3),
        end_time=round(event.end_time, 3),
    )


def _turn_completed(turn: Turn) -> TurnCompleted:
    measured = turn.latency
    latency = None
    if measured is not None:
        latency = Latency(**{name: round(value, 1) for name, value in msgspec.structs.asdict(measured).items()})
    return TurnCompleted(
        turn_id=turn_id(turn.sequence), speaker=turn.speaker.value, interrupted=turn.interrupted, latency=latency
    )


def rounded(at: datetime) -> datetime:
    """To the millisecond, as JavaScript dates are."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)

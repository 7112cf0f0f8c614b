"""What was said: turns with word timings, and the status of the conversation they make up.

Times are seconds from the moment the caller was connected. An agent's turn holds only what was played out ("heard truth").
"""

from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec

from .costs import Usage
from .ids import AgentId, ConversationId, SessionId, TenantId
from .sessions import Caller, Channel, Direction, EndReason
from .tenants import Environment


class ConversationStatus(StrEnum):
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Speaker(StrEnum):
    AGENT = "agent"
    USER = "user"
    TOOL = "tool"
    SYSTEM = "system"


class Word(msgspec.Struct, frozen=True, kw_only=True):
    word: str
    start_time: float
    end_time: float
    confidence: float


class TurnLatency(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time between the end of the caller's speech and the first agent audio went, in milliseconds.

    `total_ms` = `endpointing_ms` (silence waited for) + `stt_ms` + `llm_ms` (to the first sentence) + `tts_ms` (to its first audio)
    + `platform_ms` (everything else: transport, scheduling, pacing).
    """

    total_ms: float
    endpointing_ms: float
    stt_ms: float
    llm_ms: float
    tts_ms: float
    platform_ms: float


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool as the language model made it: `arguments` is JSON text, `signature` opaque state of the model's vendor."""

    call_id: str
    name: str
    arguments: str
    success: bool
    signature: str | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one side. `sequence` counts from 1 within the conversation, without gaps. Of a tool the text is its result, and `tool` says
    how it was called."""

    sequence: int
    speaker: Speaker
    text: str
    start_time: float
    end_time: float
    confidence: float
    words: tuple[Word, ...] = ()
    interrupted: bool = False
    latency: TurnLatency | None = None
    tool: ToolUse | None = None


class RecordingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a finished recording lies in object storage."""

    key: str
    format: str
    duration_seconds: float
    size_bytes: int


class CallQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Measured facts about a call's media. `echo_suspected`: how often the agent's own voice came back over the caller's microphone."""

    packets_received: int = 0
    packets_lost: int = 0
    interruptions: int = 0
    echo_suspected: int = 0
    longest_silence_seconds: float = 0.0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One session between a person and an agent, as it is kept."""

    id: ConversationId
    session_id: SessionId
    tenant_id: TenantId
    environment: Environment
    agent_id: AgentId
    agent_name: str
    agent_version: int
    channel: Channel
    direction: Direction
    status: ConversationStatus
    language: str
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: float | None
    caller: Caller
    metadata: dict[str, Any]
    usage: Usage | None
    recording: RecordingInfo | None
    end_reason: EndReason | None
    tags: tuple[str, ...] = ()
    outcome: str | None = None


def in_turn(words: tuple[Word, ...], *, start: float, end: float) -> tuple[Word, ...]:
    """The words with times that follow each other from `start` to `end` of their turn; good times stay as they are.

    Recognisers and voices time words apart from each other, and some of them let words overlap, run backwards, or reach beyond the audio
    they belong to. A word begins no earlier than the one before it ended, and ends no later than the next one begins.
    """
    placed: list[Word] = []
    floor = start
    for number, word in enumerate(words):
        begins = min(max(_finite(word.start_time, floor), floor), end)
        following = _finite(words[number + 1].start_time, end) if number + 1 < len(words) else end
        limit = min(following, end) if following > begins else end
        floor = min(max(_finite(word.end_time, begins), begins), limit)
        if (begins, floor) != (word.start_time, word.end_time):
            word = msgspec.structs.replace(word, start_time=begins, end_time=floor)
        placed.append(word)
    return tuple(placed)


def _finite(moment: float, otherwise: float) -> float:
    return moment if isfinite(moment) else otherwise


def status_of_ended(reason: EndReason, *, user_was_heard: bool) -> ConversationStatus:
    """How an ended session counts: `abandoned` = the user left before anything they said was transcribed (decisions)."""
    if reason in {EndReason.ERROR, EndReason.NODE_LOST}:
        return ConversationStatus.FAILED
    if reason in {EndReason.USER_ENDED, EndReason.DISCONNECTED} and not user_was_heard:
        return ConversationStatus.ABANDONED
    return ConversationStatus.COMPLETED

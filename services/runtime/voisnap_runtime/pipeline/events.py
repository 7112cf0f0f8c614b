"""What a call tells the session that holds it. Times are seconds since the caller was connected."""

from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.calls import TransferMode
from voisnap_domain.conversations import Speaker, Turn


class AgentState(StrEnum):
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


class FaultCode(StrEnum):
    """Faults of a provider, and the end of the tenant's money, as the hubs' `Error` event spells them."""

    STT_PROVIDER_TIMEOUT = "STT_PROVIDER_TIMEOUT"
    LLM_PROVIDER_ERROR = "LLM_PROVIDER_ERROR"
    TTS_PROVIDER_ERROR = "TTS_PROVIDER_ERROR"
    SESSION_LIMIT_REACHED = "SESSION_LIMIT_REACHED"


class TranscriptionUpdated(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The words of turn `sequence` as known now. A later one of the same turn replaces it; an empty final one takes it back."""

    sequence: int
    speaker: Speaker
    text: str
    is_final: bool
    confidence: float
    start_time: float
    end_time: float


class AgentStateChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the agent does now; told only when it changed."""

    state: AgentState


class AudioCleared(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The caller interrupted: sound that was sent and not played yet is void."""


class TurnFinished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A turn is on record. Turns come in order and their sequence has no gaps."""

    turn: Turn


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A provider failed, or the money is used up. Recoverable: the agent apologises and the call goes on; else the call ends."""

    code: FaultCode
    message: str
    recoverable: bool


OUT_OF_MONEY = Fault(
    code=FaultCode.SESSION_LIMIT_REACHED,
    message="The account's monthly spend limit is used up.",
    recoverable=False,
)
"""The agent says goodbye and the call ends."""


class Warned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something the agent's owner should know; kept with the conversation."""

    text: str


class KeyReceived(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The caller pressed a key, in whatever way it came."""

    digit: str


class ToolStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The agent calls a tool."""

    call_id: str
    name: str
    arguments: dict[str, Any]


class ToolFinished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The tool has answered, or failed."""

    call_id: str
    name: str
    success: bool
    seconds: float


class TransferBegun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The call is being handed over to somebody: `target` is what the caller is told, `to` a number or a SIP address."""

    transfer_id: str
    target: str
    to: str
    mode: TransferMode
    reason: str


CallEvent = (
    TranscriptionUpdated
    | AgentStateChanged
    | AudioCleared
    | TurnFinished
    | Fault
    | Warned
    | KeyReceived
    | ToolStarted
    | ToolFinished
    | TransferBegun
)

"""Conversations on the wire, in the documented shapes."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.conversations import ConversationStatus, RecordingInfo, Speaker
from voisnap_domain.costs import PLATFORM_ACCOUNT, LegCost, LegKind
from voisnap_domain.sessions import Channel, Direction, EndReason

from voisnap_api.call_recordings.records import KeptRecording
from voisnap_api.wire import Body, View, instant

from .records import AnalysisSummary, StoredConversation, StoredTurn
from .usecases import WhyNoRecording, recording_expires_at, why_no_recording


class CallerView(View, frozen=True, kw_only=True):
    """Who called; a browser has no number."""

    phone_number: str | None
    country: str | None


class CostView(View, frozen=True, kw_only=True):
    """What it cost, in USD; the parts sum to the total."""

    total_usd: float
    llm_usd: float
    tts_usd: float
    stt_usd: float
    telephony_usd: float


class RecordingState(View, frozen=True, kw_only=True):
    """Whether there is something to hear, and until when; else `reason` says why not."""

    available: bool
    duration_seconds: int | None
    format: str | None
    expires_at: str | None
    reason: WhyNoRecording | msgspec.UnsetType = msgspec.UNSET


class AnalysisSummaryView(View, frozen=True, kw_only=True):
    """What the analysis found, in short; `GET …/analysis` has all of it."""

    sentiment: str | None
    sentiment_score: float | None
    intent: str | None
    summary: str | None
    custom_fields: dict[str, Any]

    @classmethod
    def of(cls, analysis: AnalysisSummary) -> "AnalysisSummaryView":
        return cls(
            sentiment=analysis.sentiment,
            sentiment_score=analysis.sentiment_score,
            intent=analysis.intent,
            summary=analysis.summary,
            custom_fields=analysis.custom_fields,
        )


class ConversationView(View, frozen=True, kw_only=True):
    """A conversation."""

    id: str
    agent_id: str
    agent_name: str
    channel: Channel
    status: ConversationStatus
    direction: Direction
    started_at: str
    ended_at: str | None
    duration_seconds: int | None
    caller: CallerView
    metadata: dict[str, Any]
    cost: CostView
    analysis: AnalysisSummaryView | None
    recording: RecordingState
    tags: tuple[str, ...]
    outcome: str | None
    session_id: str
    agent_version: int
    end_reason: EndReason | None
    warnings: tuple[str, ...]
    archived_at: str | None
    outcome_notes: str | None

    @classmethod
    def of(cls, conversation: StoredConversation, *, at: datetime) -> "ConversationView":
        """A conversation as it is at a moment: recordings expire."""
        return cls(
            id=conversation.id,
            agent_id=conversation.agent_id,
            agent_name=conversation.agent_name,
            channel=conversation.channel,
            status=conversation.status,
            direction=conversation.direction,
            started_at=instant(conversation.started_at),
            ended_at=instant(conversation.ended_at) if conversation.ended_at else None,
            duration_seconds=whole_seconds(conversation.duration_seconds),
            caller=CallerView(phone_number=conversation.caller.phone_number, country=conversation.caller.country),
            metadata=conversation.metadata,
            cost=_cost(conversation),
            analysis=AnalysisSummaryView.of(conversation.analysis) if conversation.analysis else None,
            recording=_recording(conversation, at=at),
            tags=conversation.tags,
            outcome=conversation.outcome,
            session_id=conversation.session_id,
            agent_version=conversation.agent_version,
            end_reason=conversation.end_reason,
            warnings=conversation.warnings,
            archived_at=instant(conversation.archived_at) if conversation.archived_at else None,
            outcome_notes=conversation.outcome_notes,
        )


class MessageView(View, frozen=True, kw_only=True):
    """One turn, for display."""

    id: str
    role: Speaker
    content: str
    timestamp: str
    duration_ms: int


class MessagesView(View, frozen=True, kw_only=True):
    """A conversation's turns without word timings."""

    conversation_id: str
    messages: tuple[MessageView, ...]

    @classmethod
    def of(cls, conversation: StoredConversation, turns: Iterable[StoredTurn]) -> "MessagesView":
        return cls(
            conversation_id=conversation.id,
            messages=tuple(
                MessageView(
                    id=f"msg_{turn.sequence:02d}",
                    role=turn.speaker,
                    content=turn.text,
                    timestamp=instant(conversation.started_at + timedelta(seconds=turn.start_time)),
                    duration_ms=round((turn.end_time - turn.start_time) * 1000),
                )
                for turn in turns
            ),
        )


class WordView(View, frozen=True, kw_only=True):
    """One word and when it was heard, in seconds from the start."""

    word: str
    start_time: float
    end_time: float
    confidence: float


class TurnView(View, frozen=True, kw_only=True):
    """One turn with its words."""

    id: str
    speaker: Speaker
    text: str
    start_time: float
    end_time: float
    confidence: float
    words: tuple[WordView, ...]
    interrupted: bool


class TranscriptView(View, frozen=True, kw_only=True):
    """A conversation, word by word."""

    conversation_id: str
    language: str
    duration_seconds: int | None
    turns: tuple[TurnView, ...]

    @classmethod
    def of(cls, conversation: StoredConversation, turns: Iterable[StoredTurn]) -> "TranscriptView":
        return cls(
            conversation_id=conversation.id,
            language=conversation.language,
            duration_seconds=whole_seconds(conversation.duration_seconds),
            turns=tuple(_turn(turn) for turn in turns),
        )


class LlmCost(View, frozen=True, kw_only=True):
    """The language model's share."""

    provider: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cost: float


class TtsCost(View, frozen=True, kw_only=True):
    """The voice's share."""

    provider: str | None
    characters: int
    cost: float


class SttCost(View, frozen=True, kw_only=True):
    """The recogniser's share."""

    provider: str | None
    audio_seconds: int
    cost: float


class TelephonyCost(View, frozen=True, kw_only=True):
    """The carrier's share; minutes are rounded up."""

    provider: str | None
    minutes: int
    cost: float


class CostBreakdown(View, frozen=True, kw_only=True):
    """Who was paid for what; of several providers of a kind the first is named here, and `legs` has them all."""

    llm: LlmCost
    tts: TtsCost
    stt: SttCost
    telephony: TelephonyCost


class CostLeg(View, frozen=True, kw_only=True):
    """What was used of one model, voice or line, and what it cost. `inputTokens` include `cachedTokens`; `sessionSeconds` is how long the
    connection was open, `messages` the segments of texts. `ownCredential`: through the account's own access to the provider, which bills it. Not `priced`: no price is known."""

    kind: LegKind
    provider: str
    model: str | None
    voice: str | None
    own_credential: bool
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    characters: int
    audio_seconds: float
    session_seconds: float
    minutes: int
    messages: int
    cost: float
    estimated: bool
    priced: bool

    @classmethod
    def of(cls, cost: LegCost) -> "CostLeg":
        leg = cost.leg
        return cls(
            kind=leg.kind,
            provider=leg.provider,
            model=leg.model,
            voice=leg.voice,
            own_credential=leg.account != PLATFORM_ACCOUNT,
            requests=leg.requests,
            input_tokens=leg.input_tokens,
            cached_tokens=leg.cached_tokens,
            output_tokens=leg.output_tokens,
            characters=leg.characters,
            audio_seconds=leg.audio_seconds,
            session_seconds=leg.session_seconds,
            minutes=leg.started_minutes if leg.kind is LegKind.TELEPHONY else 0,
            messages=leg.messages,
            cost=float(cost.usd),
            estimated=cost.estimated,
            priced=cost.priced,
        )


class CostsView(View, frozen=True, kw_only=True):
    """What a conversation cost, part by part; legs sum to the parts and these to the total, to the last digit. `estimated`: an amount or a
    price is, because a reply was cut short or a model has no price of its own."""

    conversation_id: str
    currency: str
    total: float
    estimated: bool
    breakdown: CostBreakdown
    legs: tuple[CostLeg, ...]

    @classmethod
    def of(cls, conversation: StoredConversation) -> "CostsView":
        usage = conversation.usage
        llm, tts, stt, telephony = (
            (usage.llm, usage.tts, usage.stt, usage.telephony) if usage else (None, None, None, None)
        )
        legs = conversation.leg_costs or ()
        lines = tuple(cost.leg.started_minutes for cost in legs if cost.leg.kind is LegKind.TELEPHONY)
        return cls(
            conversation_id=conversation.id,
            currency="USD",
            total=_total(conversation),
            estimated=any(cost.estimated or not cost.priced for cost in legs),
            breakdown=CostBreakdown(
                llm=LlmCost(
                    provider=llm.provider if llm else None,
                    model=llm.model if llm else None,
                    input_tokens=llm.input_tokens if llm else 0,
                    output_tokens=llm.output_tokens if llm else 0,
                    cost=_usd(conversation.llm_usd),
                ),
                tts=TtsCost(
                    provider=tts.provider if tts else None,
                    characters=tts.characters if tts else 0,
                    cost=_usd(conversation.tts_usd),
                ),
                stt=SttCost(
                    provider=stt.provider if stt else None,
                    audio_seconds=round(stt.audio_seconds) if stt else 0,
                    cost=_usd(conversation.stt_usd),
                ),
                telephony=TelephonyCost(
                    provider=telephony.provider if telephony else None,
                    minutes=sum(lines) if lines else telephony.minutes if telephony else 0,
                    cost=_usd(conversation.telephony_usd),
                ),
            ),
            legs=tuple(CostLeg.of(cost) for cost in legs),
        )


class RecordingKind(StrEnum):
    """Of what a recording is: the conversation with the agent, or what was said after the call was handed over."""

    CONVERSATION = "conversation"
    AFTER_TRANSFER = "after_transfer"


class RecordingPartView(View, frozen=True, kw_only=True):
    """One file. `durationSeconds` is null where the carrier that made it does not tell."""

    kind: RecordingKind
    url: str
    format: str
    duration_seconds: int | None
    expires_at: str


class RecordingView(View, frozen=True, kw_only=True):
    """Where the recording can be fetched until `expiresAt`. `parts`, where the carrier recorded what was said after a
    transfer, are all files in the order they were heard, this one first."""

    url: str
    format: str
    duration_seconds: int
    expires_at: str
    parts: tuple[RecordingPartView, ...] | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(
        cls,
        recording: RecordingInfo,
        *,
        url: str,
        expires_at: datetime,
        further: tuple[tuple[KeptRecording, str, datetime], ...] = (),
    ) -> "RecordingView":
        seconds, until = round(recording.duration_seconds), instant(expires_at)
        first = RecordingPartView(
            kind=RecordingKind.CONVERSATION,
            url=url,
            format=recording.format,
            duration_seconds=seconds,
            expires_at=until,
        )
        more = tuple(
            RecordingPartView(
                kind=RecordingKind.AFTER_TRANSFER,
                url=address,
                format=one.key.rpartition(".")[2],
                duration_seconds=whole_seconds(one.seconds),
                expires_at=instant(ends),
            )
            for one, address, ends in further
        )
        return cls(
            url=url,
            format=recording.format,
            duration_seconds=seconds,
            expires_at=until,
            parts=(first, *more) if more else msgspec.UNSET,
        )


class TagsBody(Body, frozen=True, kw_only=True):
    """Tags to add."""

    tags: tuple[str, ...]


class OutcomeBody(Body, frozen=True, kw_only=True):
    """How a conversation turned out."""

    outcome: str
    notes: str | None = None


def whole_seconds(seconds: float | None) -> int | None:
    """Seconds as the documentation prints a duration."""
    return None if seconds is None else round(seconds)


def _turn(turn: StoredTurn) -> TurnView:
    return TurnView(
        id=f"turn_{turn.sequence:02d}",
        speaker=turn.speaker,
        text=turn.text,
        start_time=round(turn.start_time, 3),
        end_time=round(turn.end_time, 3),
        confidence=round(turn.confidence, 3),
        words=tuple(
            WordView(
                word=word.word,
                start_time=round(word.start_time, 3),
                end_time=round(word.end_time, 3),
                confidence=round(word.confidence, 3),
            )
            for word in turn.words
        ),
        interrupted=turn.interrupted,
    )


def _cost(conversation: StoredConversation) -> CostView:
    return CostView(
        total_usd=_total(conversation),
        llm_usd=_usd(conversation.llm_usd),
        tts_usd=_usd(conversation.tts_usd),
        stt_usd=_usd(conversation.stt_usd),
        telephony_usd=_usd(conversation.telephony_usd),
    )


def _total(conversation: StoredConversation) -> float:
    parts = (conversation.llm_usd, conversation.tts_usd, conversation.stt_usd, conversation.telephony_usd)
    return float(sum((part for part in parts if part is not None), Decimal(0)))


def _usd(amount: Decimal | None) -> float:
    return float(amount or 0)


def _recording(conversation: StoredConversation, *, at: datetime) -> RecordingState:
    reason, recording = why_no_recording(conversation, at=at), conversation.recording
    if recording is None or reason is not None:
        reason = reason or WhyNoRecording.NOT_RECORDED
        return RecordingState(available=False, duration_seconds=None, format=None, expires_at=None, reason=reason)
    return RecordingState(
        available=True,
        duration_seconds=round(recording.duration_seconds),
        format=recording.format,
        expires_at=instant(recording_expires_at(conversation)),
    )

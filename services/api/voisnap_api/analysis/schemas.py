"""Analyses on the wire, in the documented shape."""

from typing import Any

from voisnap_domain.analysis import AnalysisMethod, Sentiment

from voisnap_api.wire import View, instant

from .records import AnalysisCost, AnalysisStatus, Failure, StoredAnalysis


class EntityView(View, frozen=True, kw_only=True):
    """Something that was named."""

    type: str
    value: str


class SentimentBreakdownView(View, frozen=True, kw_only=True):
    """The score of each side, from 0 (negative) to 1 (positive)."""

    agent: float | None
    user: float | None


class AnalysisCostView(View, frozen=True, kw_only=True):
    """What the analysis itself cost."""

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    usd: float


class AnalysisView(View, frozen=True, kw_only=True):
    """What was found out about a conversation. Null where the agent's `analysisConfig` does not ask for it, or nothing was found."""

    conversation_id: str
    completed_at: str
    sentiment: Sentiment | None
    sentiment_score: float | None
    sentiment_breakdown: SentimentBreakdownView | None
    intent: str | None
    entities: tuple[EntityView, ...]
    summary: str | None
    topics: tuple[str, ...]
    custom_fields: dict[str, Any]
    call_quality_score: float
    agent_performance_notes: str
    method: AnalysisMethod
    warnings: tuple[str, ...]
    cost: AnalysisCostView | None

    @classmethod
    def of(cls, analysis: StoredAnalysis) -> "AnalysisView":
        """A completed analysis."""
        if analysis.result is None:
            raise ValueError(f"the analysis of {analysis.conversation_id} has no result")
        result, findings = analysis.result, analysis.result.findings
        sides = findings.sentiment_breakdown
        return cls(
            conversation_id=analysis.conversation_id,
            completed_at=instant(analysis.settled_at or analysis.requested_at),
            sentiment=findings.sentiment,
            sentiment_score=findings.sentiment_score,
            sentiment_breakdown=SentimentBreakdownView(agent=sides.agent, user=sides.user) if sides else None,
            intent=findings.intent,
            entities=tuple(EntityView(type=entity.type, value=entity.value) for entity in findings.entities),
            summary=findings.summary,
            topics=findings.topics,
            custom_fields=findings.custom_fields,
            call_quality_score=result.call_quality_score,
            agent_performance_notes=result.agent_performance_notes,
            method=result.method,
            warnings=result.warnings,
            cost=_cost(result.cost) if result.cost else None,
        )


class AnalysisStateView(View, frozen=True, kw_only=True):
    """Where an analysis stands."""

    conversation_id: str
    status: AnalysisStatus
    requested_at: str

    @classmethod
    def of(cls, analysis: StoredAnalysis) -> "AnalysisStateView":
        return cls(
            conversation_id=analysis.conversation_id,
            status=analysis.status,
            requested_at=instant(analysis.requested_at),
        )


class FailureView(View, frozen=True, kw_only=True):
    """An analysis that was given up."""

    conversation_id: str
    failed_at: str
    attempts: int
    error: str | None

    @classmethod
    def of(cls, failure: Failure) -> "FailureView":
        return cls(
            conversation_id=failure.conversation_id,
            failed_at=instant(failure.failed_at),
            attempts=failure.attempts,
            error=failure.error,
        )


def _cost(cost: AnalysisCost) -> AnalysisCostView:
    return AnalysisCostView(
        provider=cost.provider,
        model=cost.model,
        input_tokens=cost.input_tokens,
        output_tokens=cost.output_tokens,
        usd=cost.usd,
    )

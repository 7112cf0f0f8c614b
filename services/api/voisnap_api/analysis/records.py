"""Rows of this slice, and the work between two of its transactions."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from voisnap_domain.agents import AnalysisConfig, Llm
from voisnap_domain.analysis import AnalysisMethod, Dialogue, Findings
from voisnap_domain.call_quality import Measures
from voisnap_domain.conversations import CallQuality
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.provider_credentials import SealedCredential
from voisnap_domain.tenants import Environment


class AnalysisStatus(StrEnum):
    PROCESSING = "processing"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What an analysis needs beside the transcript, as the agent was set in that conversation."""

    config: AnalysisConfig
    llm: Llm
    quality: CallQuality
    hipaa: bool


class AnalysisCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis itself used; not part of the conversation's costs."""

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    usd: float


class AnalysisResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished analysis as it is kept."""

    findings: Findings
    method: AnalysisMethod
    call_quality_score: float
    agent_performance_notes: str
    warnings: tuple[str, ...] = ()
    cost: AnalysisCost | None = None


class StoredAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """An analysis and where it stands. `attempts` counts what was begun since it was last asked for."""

    conversation_id: ConversationId
    tenant_id: TenantId
    environment: Environment
    status: AnalysisStatus
    reason: str | None
    task: Task
    attempts: int
    requested_at: datetime
    settled_at: datetime | None
    result: AnalysisResult | None
    error: str | None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at an analysis, taken out of the database to be done without a transaction. `credentials`: the tenant's own access to the
    provider of the agent's model, sealed."""

    conversation_id: ConversationId
    task: Task
    attempts: int
    dialogue: Dialogue
    measures: Measures
    credentials: tuple[SealedCredential, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An analysis that was given up."""

    conversation_id: ConversationId
    failed_at: datetime
    attempts: int
    error: str | None


def error_text(error: BaseException) -> str:
    """What is kept of an error: its kind, and no word of the conversation."""
    detail: Any = getattr(error, "detail", None)
    return f"{type(error).__name__}: {detail}"[:300] if isinstance(detail, str) else type(error).__name__

"""Analysing conversations: what is taken up, kept, given up and asked for again."""

from voisnap_domain.analysis import Dialogue, Said, WhyNoAnalysis, outcome_of
from voisnap_domain.call_quality import Measures, measures_of, notes_of, score_of
from voisnap_domain.conversations import Speaker
from voisnap_domain.costs import LlmUsage, Usage
from voisnap_domain.errors import Conflict, NotFound
from voisnap_domain.ids import ConversationId
from voisnap_kit.work import Work
from voisnap_proto.events import AnalysisRequested, SessionEnded
from voisnap_providers.ports.analysis import Analysed

from voisnap_api.conversations import usecases as conversations
from voisnap_api.conversations.records import AnalysisSummary, StoredConversation, StoredTurn
from voisnap_api.prices.usecases import price
from voisnap_api.provider_credentials.usecases import credentials_of

from . import store
from .records import (
    AnalysisCost,
    AnalysisResult,
    AnalysisStatus,
    Failure,
    Job,
    StoredAnalysis,
    Task,
)

_WHY = {
    WhyNoAnalysis.DISABLED: "analysis was switched off for this agent",
    WhyNoAnalysis.PROCESSING: "the analysis is still being made",
    WhyNoAnalysis.HIPAA: "the agent ran in HIPAA mode, which keeps no transcript to analyse",
    WhyNoAnalysis.NOTHING_SAID: "the user said nothing",
    WhyNoAnalysis.FAILED: "the analysis failed; POST …/analysis/retry has it done once more",
}


async def note_ended(work: Work, ended: SessionEnded) -> None:
    """Note that a conversation is to be analysed. Raises NotYet before its end is stored, NotFound after it was deleted."""
    caller = work.caller
    await conversations.get_ended(work, ended.conversation_id)
    config = ended.plan.agent.config
    task = Task(config=config.analysis_config, llm=config.llm, quality=ended.quality, hipaa=config.hipaa_compliant)
    await store.insert(work.tx, caller.tenant_id, caller.environment, ended.conversation_id, task=task, at=work.now)


async def take_up(work: Work, conversation_id: ConversationId) -> Job | None:
    """The next attempt at a conversation's analysis; None when there is nothing to do, or nothing to analyse, which is noted.

    Raises NotFound after the conversation was deleted.
    """
    caller = work.caller
    taken = await store.take_up(work.tx, caller.tenant_id, caller.environment, conversation_id)
    if taken is None:
        return None
    conversation, turns = await conversations.read_turns(work, conversation_id)
    if (reason := _why_skipped(taken.task, turns)) is not None:
        await store.skip(work.tx, caller.tenant_id, caller.environment, conversation_id, reason=reason, at=work.now)
        return None
    return Job(
        conversation_id=conversation_id,
        task=taken.task,
        attempts=taken.attempts,
        dialogue=_dialogue(taken.task, conversation, turns),
        measures=_measures(taken.task, conversation, turns),
        credentials=await credentials_of(work, (taken.task.llm.provider.value,)),
    )


async def keep(work: Work, job: Job, analysed: Analysed) -> bool:
    """Keep what was found; False when another attempt was faster. Raises NotFound after the conversation was deleted."""
    caller = work.caller
    findings = analysed.findings
    summary = AnalysisSummary(
        sentiment=findings.sentiment,
        sentiment_score=findings.sentiment_score,
        intent=findings.intent,
        summary=findings.summary,
        custom_fields=findings.custom_fields,
    )
    outcome = outcome_of(findings, job.task.config, job.dialogue.end_reason)
    await conversations.store_analysis(work, job.conversation_id, summary, outcome)
    result = AnalysisResult(
        findings=findings,
        method=analysed.method,
        call_quality_score=score_of(job.measures),
        agent_performance_notes=notes_of(job.measures, service=findings.agent_performance),
        warnings=analysed.warnings,
        cost=await _cost(work, analysed.usage),
    )
    return await store.complete(
        work.tx, caller.tenant_id, caller.environment, job.conversation_id, result=result, at=work.now
    )


async def give_up(work: Work, conversation_id: ConversationId, error: str) -> None:
    """Note that an analysis failed for good."""
    caller = work.caller
    await store.fail(work.tx, caller.tenant_id, caller.environment, conversation_id, error=error, at=work.now)


async def reopen(work: Work, conversation_id: ConversationId) -> None:
    """Have an analysis that was given up done once more; one that stands otherwise stays."""
    caller = work.caller
    await store.reopen(work.tx, caller.tenant_id, caller.environment, conversation_id, at=work.now)


async def get_analysis(work: Work, conversation_id: ConversationId) -> StoredAnalysis:
    """A finished analysis. Raises NotFound `analysis-not-available` with the reason."""
    await conversations.get_conversation(work, conversation_id)
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)
    if found is None or found.result is None or found.status is not AnalysisStatus.COMPLETED:
        raise _unavailable(conversation_id, _why_missing(found))
    return found


async def retry(work: Work, conversation_id: ConversationId) -> StoredAnalysis:
    """Have a conversation analysed once more. Raises NotFound; Conflict while it is in work or where there is nothing to analyse."""
    caller = work.caller
    await conversations.get_conversation(work, conversation_id)
    found = await store.get(work.tx, caller.tenant_id, caller.environment, conversation_id)
    if found is None or found.status is AnalysisStatus.PROCESSING:
        raise Conflict(f"Conversation {conversation_id} is being analysed or goes on.", code="analysis-in-progress")
    if found.status is AnalysisStatus.SKIPPED:
        why = WhyNoAnalysis(found.reason or WhyNoAnalysis.DISABLED)
        raise Conflict(f"There is nothing to analyse: {_WHY[why]}.", code="nothing-to-analyse")
    await store.ask_again(work.tx, caller.tenant_id, caller.environment, conversation_id, at=work.now)
    work.emit(
        AnalysisRequested(tenant_id=caller.tenant_id, environment=caller.environment, conversation_id=conversation_id)
    )
    again = await store.get(work.tx, caller.tenant_id, caller.environment, conversation_id)
    if again is None:
        raise NotFound("conversation", conversation_id)
    return again


async def list_failures(work: Work, *, limit: int, offset: int) -> tuple[list[Failure], int]:
    """One page of the analyses that were given up, and how many there are."""
    caller = work.caller
    found = await store.failures(work.tx, caller.tenant_id, caller.environment, limit=limit, offset=offset)
    return found, await store.count_failures(work.tx, caller.tenant_id, caller.environment)


def _unavailable(conversation_id: ConversationId, why: WhyNoAnalysis) -> NotFound:
    return NotFound(
        "analysis",
        conversation_id,
        detail=f"Conversation {conversation_id} has no analysis ({why.value}): {_WHY[why]}.",
        code="analysis-not-available",
    )


def _why_missing(found: StoredAnalysis | None) -> WhyNoAnalysis:
    if found is None or found.status is AnalysisStatus.PROCESSING:
        return WhyNoAnalysis.PROCESSING
    if found.status is AnalysisStatus.SKIPPED and found.reason is not None:
        return WhyNoAnalysis(found.reason)
    return WhyNoAnalysis.FAILED


def _why_skipped(task: Task, turns: list[StoredTurn]) -> WhyNoAnalysis | None:
    if task.hipaa:
        return WhyNoAnalysis.HIPAA
    if not task.config.enabled:
        return WhyNoAnalysis.DISABLED
    if not any(turn.speaker is Speaker.USER and turn.text.strip() for turn in turns):
        return WhyNoAnalysis.NOTHING_SAID
    return None


def _dialogue(task: Task, conversation: StoredConversation, turns: list[StoredTurn]) -> Dialogue:
    return Dialogue(
        said=tuple(Said(speaker=turn.speaker, text=turn.text) for turn in turns),
        config=task.config,
        language=conversation.language,
        channel=conversation.channel,
        direction=conversation.direction,
        status=conversation.status,
        end_reason=conversation.end_reason,
        started_at=conversation.started_at,
        agent_name=conversation.agent_name,
    )


def _measures(task: Task, conversation: StoredConversation, turns: list[StoredTurn]) -> Measures:
    return measures_of(
        task.quality,
        turns,
        channel=conversation.channel,
        duration_seconds=conversation.duration_seconds or 0.0,
        end_reason=conversation.end_reason,
        warnings=len(conversation.warnings),
    )


async def _cost(work: Work, usage: LlmUsage | None) -> AnalysisCost | None:
    if usage is None:
        return None
    costs = await price(work.tx, work.caller.tenant_id, Usage(llm=usage), at=work.now)
    return AnalysisCost(
        provider=usage.provider,
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        usd=float(costs.llm),
    )

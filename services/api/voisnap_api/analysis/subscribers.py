"""Analyses each conversation once after it ended, outside of any transaction.

An attempt is counted before it begins, so that a conversation which kills its worker is given up too. What is given up is marked, and
its event goes to the dead letters, where an operator finds and replays it.
"""

import asyncio
import time
from typing import assert_never

from prometheus_client import Counter, Histogram
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import ConversationId
from voisnap_kit import log
from voisnap_kit.bus import EventBus, Hopeless, Meta, Subscription
from voisnap_kit.failures import Unavailable
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin_as_system
from voisnap_proto.events import AnalysisRequested, SessionEnded

from voisnap_api.conversations.usecases import NotYet

from . import usecases
from .clients import Analysts
from .records import Job, error_text

CONSUMER = "api-analysis"
MAX_ATTEMPTS = 5
"""Attempts at one analysis before it is given up."""

_MAX_IN_FLIGHT = 4
_ACK_WAIT = 10.0
"""Seconds after which the analyses of a worker that died are done by another."""

_BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""The conversation is stored from the same event, usually in these few moments."""

_ANALYSES = Counter("voisnap_analyses_total", "Analyses by how they went", ["method", "outcome"])
_SECONDS = Histogram(
    "voisnap_analysis_seconds",
    "Time that an analysis took, without waiting",
    ["method"],
    buckets=(0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)

_log = log.get(__name__)

AnalysisEvent = SessionEnded | AnalysisRequested


async def subscribe(bus: EventBus, database: Database, analysts: Analysts) -> Subscription:
    """Follow the ends of conversations. No event is given up while the database is away: a day's worth of attempts."""

    async def handle(event: AnalysisEvent, meta: Meta) -> None:
        await on_event(database, analysts, event, again=meta.replayed)

    return await bus.subscribe(
        CONSUMER,
        (SessionEnded, AnalysisRequested),
        handle,
        max_in_flight=_MAX_IN_FLIGHT,
        max_deliver=3000,
        backoff=_BACKOFF,
        ack_wait=_ACK_WAIT,
    )


async def on_event(database: Database, analysts: Analysts, event: AnalysisEvent, *, again: bool = False) -> None:
    """Analyse the conversation of one event, unless that is done. `again`: even one that was given up. Raises Hopeless when it is given up."""
    caller = Caller.system(event.tenant_id, event.environment)
    try:
        if again:
            async with begin_as_system(database, caller) as work:
                await usecases.reopen(work, event.conversation_id)
        job = await _take_up(database, caller, event)
        if job is not None:
            await _work(database, caller, analysts, job)
    except NotFound:
        _log.info("analysis.dropped", conversation_id=event.conversation_id, reason="deleted")
        _ANALYSES.labels("none", "dropped").inc()


async def _take_up(database: Database, caller: Caller, event: AnalysisEvent) -> Job | None:
    match event:
        case SessionEnded():
            await _note_ended(database, caller, event)
        case AnalysisRequested():
            pass
        case _:
            assert_never(event)
    async with begin_as_system(database, caller) as work:
        return await usecases.take_up(work, event.conversation_id)


async def _note_ended(database: Database, caller: Caller, event: SessionEnded) -> None:
    """Wait a moment for the conversation's end to be stored. Raises NotYet."""
    for pause in (*_PAUSES, None):
        try:
            async with begin_as_system(database, caller) as work:
                return await usecases.note_ended(work, event)
        except NotYet:
            if pause is None:
                raise
            await asyncio.sleep(pause)
    return None


async def _work(database: Database, caller: Caller, analysts: Analysts, job: Job) -> None:
    if job.attempts > MAX_ATTEMPTS:
        await _give_up(database, caller, job.conversation_id, "its worker died each time")
        raise Hopeless(f"the analysis of {job.conversation_id} killed its worker {MAX_ATTEMPTS} times")
    began = time.perf_counter()
    try:
        analysed = await analysts.analyse(caller, job.dialogue, job.task.llm, job.credentials)
        async with begin_as_system(database, caller) as work:
            is_kept = await usecases.keep(work, job, analysed)
    except (NotFound, Unavailable):
        raise
    except Exception as error:
        _ANALYSES.labels("none", "failed").inc()
        _log.warning(
            "analysis.attempt_failed",
            conversation_id=job.conversation_id,
            attempt=job.attempts,
            error=error_text(error),
        )
        if job.attempts < MAX_ATTEMPTS:
            raise
        await _give_up(database, caller, job.conversation_id, error_text(error))
        raise Hopeless(f"the analysis of {job.conversation_id} failed {MAX_ATTEMPTS} times") from error
    seconds = time.perf_counter() - began
    _SECONDS.labels(analysed.method.value).observe(seconds)
    _ANALYSES.labels(analysed.method.value, "completed" if is_kept else "superseded").inc()
    _log.info(
        "analysis.completed",
        conversation_id=job.conversation_id,
        method=analysed.method.value,
        seconds=round(seconds, 3),
        attempt=job.attempts,
    )


async def _give_up(database: Database, caller: Caller, conversation_id: ConversationId, error: str) -> None:
    async with begin_as_system(database, caller) as work:
        await usecases.give_up(work, conversation_id, error)
    _ANALYSES.labels("none", "given_up").inc()
    _log.error("analysis.given_up", conversation_id=conversation_id, error=error)

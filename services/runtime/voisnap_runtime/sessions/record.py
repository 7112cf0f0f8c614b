"""What a session has done, and what is told of it: its events, its turns, what it used, what its owner should know."""

from datetime import datetime
from typing import Protocol

import msgspec
from voisnap_domain.conversations import CallQuality, RecordingInfo, Turn
from voisnap_domain.costs import Usage
from voisnap_domain.declining import is_declined
from voisnap_domain.ids import NodeId
from voisnap_domain.resumption import Resumption
from voisnap_domain.sessions import EndReason, SessionPlan, SessionState
from voisnap_proto.events import (
    CallsDeclined,
    CallTransferChanged,
    SessionEnded,
    SessionStarted,
    TextRequested,
    TurnFinished,
)

from voisnap_runtime.transports.port import LinkQuality

from .journal import Journal, writable
from .resuming import combined, last_words
from .store import MAX_TURNS, Progress

MAX_WARNINGS = 50


class Meters(Protocol):
    """Where the figures come from, as they stand now."""

    def elapsed(self) -> float: ...
    def usage(self) -> Usage: ...
    def quality(self) -> CallQuality: ...


class Record:
    """One session's. A conversation that goes on here brings its `resumption`, and `before` is what it had done by then."""

    def __init__(
        self,
        plan: SessionPlan,
        journal: Journal,
        meters: Meters,
        *,
        resumption: Resumption | None = None,
        before: Progress | None = None,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._meters = meters
        self._resumption = resumption
        self._before = before or Progress()
        self._history: list[Turn] = [] if resumption is None else list(resumption.turns)
        self._turns = self._history[-1].sequence if self._history else 0
        self._warnings: list[str] = list(self._before.warnings)
        self._links = LinkQuality()
        self._beside = Usage()
        self.trace = ""
        """The `traceparent` of the session's span."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The finished turns, the latest of a long conversation."""
        return tuple(self._history)

    @property
    def progress(self) -> Progress:
        """What it has done so far."""
        return Progress(
            turns=self._turns,
            elapsed=self._meters.elapsed(),
            usage=self._usage(),
            quality=self._quality(),
            warnings=tuple(self._warnings),
        )

    def started(self, node_id: NodeId, at: datetime) -> None:
        """The caller is connected."""
        event = SessionStarted(
            tenant_id=self._plan.tenant_id,
            session_id=self._plan.session_id,
            conversation_id=self._plan.conversation_id,
            node_id=node_id,
            plan=self._plan.told(),
            started_at=at,
        )
        self._journal.write(self._plan.session_id, event, trace=self.trace)

    def moved(self, to: SessionState) -> None:
        """It is in another state."""
        self._journal.move(self._plan.session_id, to)

    def finished(self, turn: Turn) -> None:
        """A turn is complete."""
        self._turns = turn.sequence
        self._history.append(turn)
        del self._history[:-MAX_TURNS]
        event = TurnFinished(
            tenant_id=self._plan.tenant_id,
            environment=self._plan.environment,
            session_id=self._plan.session_id,
            conversation_id=self._plan.conversation_id,
            turn=writable(self._plan, turn),
        )
        self._journal.write(self._plan.session_id, event, self.progress, turn=turn, trace=self.trace)
        if is_declined(self._plan, self._history):
            self._declined()

    def broken_off(self) -> None:
        """Its caller did not come back to hear it go on: what was open goes on record as it was."""
        if self._resumption is not None:
            for turn in last_words(self._resumption.snapshot, last=self._turns):
                self.finished(turn)

    def transferred(self, event: CallTransferChanged) -> None:
        """The call is being handed over to somebody."""
        self._journal.write(self._plan.session_id, event, trace=self.trace)

    def asked_to_text(self, event: TextRequested) -> None:
        """The agent wants a text sent to its caller."""
        self._journal.write(self._plan.session_id, event, trace=self.trace)

    def _declined(self) -> None:
        """Its caller wants no more calls."""
        event = CallsDeclined(
            tenant_id=self._plan.tenant_id,
            environment=self._plan.environment,
            session_id=self._plan.session_id,
            conversation_id=self._plan.conversation_id,
            phone_number=self._plan.caller.phone_number or "",
        )
        self._journal.write(self._plan.session_id, event, trace=self.trace)

    def used(self, usage: Usage) -> None:
        """What was used for the session beside its conversation."""
        self._beside = self._beside.and_then(usage)

    def warned(self, text: str) -> None:
        """Something the agent's owner should know."""
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(text)

    def linked(self, quality: LinkQuality) -> None:
        """How well the packets of a transport travelled that is gone now; those of the present one are the meters' business."""
        self._links = LinkQuality(
            packets_received=self._links.packets_received + quality.packets_received,
            packets_lost=self._links.packets_lost + quality.packets_lost,
        )

    def ended(
        self,
        reason: EndReason,
        *,
        started_at: datetime | None,
        at: datetime,
        seconds: float,
        recording: RecordingInfo | None,
    ) -> None:
        """It is over."""
        event = SessionEnded(
            tenant_id=self._plan.tenant_id,
            environment=self._plan.environment,
            session_id=self._plan.session_id,
            conversation_id=self._plan.conversation_id,
            plan=self._plan.told(),
            started_at=started_at,
            ended_at=at,
            duration_seconds=round(seconds, 3),
            reason=reason,
            turns=self._turns,
            usage=self._usage(),
            quality=self._quality(),
            recording=recording,
            warnings=tuple(self._warnings),
        )
        self._journal.write(self._plan.session_id, event, trace=self.trace)

    def forget(self) -> None:
        """Nothing more will be told: the meters, which hold this, are not asked any more."""
        self._meters = _Stopped(self._meters.elapsed())

    def _usage(self) -> Usage:
        return self._before.usage.and_then(self._meters.usage()).and_then(self._beside)

    def _quality(self) -> CallQuality:
        quality = self._meters.quality()
        quality = msgspec.structs.replace(
            quality,
            packets_received=quality.packets_received + self._links.packets_received,
            packets_lost=quality.packets_lost + self._links.packets_lost,
        )
        return quality if self._resumption is None else combined(self._before.quality, quality, self._history)


class _Stopped:
    """The meters of a session that is over."""

    def __init__(self, elapsed: float) -> None:
        self._elapsed = elapsed

    def elapsed(self) -> float:
        return self._elapsed

    def usage(self) -> Usage:
        return Usage()

    def quality(self) -> CallQuality:
        return CallQuality()

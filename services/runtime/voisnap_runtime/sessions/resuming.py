"""What is left of a session whose process is gone, put in order: for the call that goes on with it, or for its record. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from voisnap_domain.conversations import CallQuality, Turn
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import Session

from .store import Progress


def resumption_of(
    session: Session, *, turns: Sequence[Turn], snapshot: CallSnapshot | None, progress: Progress, now: datetime
) -> Resumption | None:
    """How the conversation of a session goes on at `now`; None when it had not begun."""
    if session.connected_at is None:
        return None
    kept = settled(snapshot or CallSnapshot(elapsed=progress.elapsed), last=turns[-1].sequence if turns else 0)
    return Resumption(
        turns=tuple(turns),
        snapshot=kept,
        elapsed=max(kept.elapsed, progress.elapsed, (now - session.connected_at).total_seconds()),
        seamless=session.seamless,
    )


def settled(snapshot: CallSnapshot, *, last: int) -> CallSnapshot:
    """The snapshot behind the finished turns, of which `last` is the latest sequence.

    Turns are written as they finish and snapshots now and then, so a snapshot may still hold a turn that is on record by now, or count on
    one that never was.
    """
    unfinished = [turn for turn in (snapshot.user, snapshot.agent) if turn is not None and turn.sequence > last]
    numbered = {
        turn.speaker: msgspec.structs.replace(turn, sequence=sequence)
        for sequence, turn in enumerate(sorted(unfinished, key=lambda turn: turn.sequence), start=last + 1)
    }
    agent = None if snapshot.agent is None else numbered.get(snapshot.agent.speaker)
    user = None if snapshot.user is None else numbered.get(snapshot.user.speaker)
    was_heard_out = snapshot.agent is not None and agent is None
    return msgspec.structs.replace(
        snapshot,
        agent=agent,
        user=user,
        rest="" if was_heard_out else snapshot.rest,
        next_sequence=last + 1,
    )


def last_words(snapshot: CallSnapshot | None, *, last: int) -> tuple[Turn, ...]:
    """The turns that were open when a conversation broke off for good, as they go on record behind turn `last`."""
    if snapshot is None:
        return ()
    kept = settled(snapshot, last=last)
    return tuple(sorted((turn for turn in (kept.user, kept.agent) if turn is not None), key=lambda t: t.sequence))


def combined(before: CallQuality, after: CallQuality, turns: Sequence[Turn]) -> CallQuality:
    """The quality of a conversation that went on elsewhere: counts add up, latencies are those of all its turns."""
    latencies = sorted(turn.latency.total_ms for turn in turns if turn.latency is not None)
    return CallQuality(
        packets_received=before.packets_received + after.packets_received,
        packets_lost=before.packets_lost + after.packets_lost,
        interruptions=before.interruptions + after.interruptions,
        longest_silence_seconds=max(before.longest_silence_seconds, after.longest_silence_seconds),
        latency_p50_ms=_percentile(latencies, 0.5),
        latency_p95_ms=_percentile(latencies, 0.95),
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

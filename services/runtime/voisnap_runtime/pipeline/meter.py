"""How one call went: its latencies and interruptions. What it used of providers is counted around them (`voisnap_providers.metering`)."""

from itertools import pairwise

from voisnap_domain.conversations import CallQuality, Speaker, Turn, TurnLatency
from voisnap_providers.metering import CHARS_PER_TOKEN


class Meter:
    """Counts as the call goes on; can be read at any time."""

    def __init__(self) -> None:
        self._latencies: list[float] = []
        self.interruptions = 0
        self.wasted_tokens = 0
        """About how many tokens went into replies that were begun in vain."""

    def wasted_tokens_of(self, prompt_chars: int, reply_chars: int) -> None:
        """A reply was begun in vain; its tokens are counted all the same, since they are paid for."""
        self.wasted_tokens += -(-(prompt_chars + reply_chars) // CHARS_PER_TOKEN)

    def answered(self, latency: TurnLatency) -> None:
        """A reply was heard."""
        self._latencies.append(latency.total_ms)

    def quality(self, turns: list[Turn]) -> CallQuality:
        """What the turns say of the call; packet counts are the transport's."""
        ordered = sorted(self._latencies)
        turns = [turn for turn in turns if turn.speaker is not Speaker.TOOL]
        silences = (after.start_time - before.end_time for before, after in pairwise(turns))
        return CallQuality(
            interruptions=self.interruptions,
            longest_silence_seconds=round(max(silences, default=0.0), 3) if turns else 0.0,
            latency_p50_ms=_percentile(ordered, 0.5),
            latency_p95_ms=_percentile(ordered, 0.95),
        )


def _percentile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

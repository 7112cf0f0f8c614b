"""What one call used of its providers."""

from itertools import pairwise

from voisnap_domain.conversations import CallQuality, Turn, TurnLatency
from voisnap_domain.costs import LlmUsage, SttUsage, TtsUsage, Usage

CHARS_PER_TOKEN = 4
"""Rule of thumb for replies that were interrupted before the model told its count."""


class Meter:
    """Counts as the call goes on; can be read at any time."""

    def __init__(self, *, llm: str, model: str, tts: str, stt: str, stt_model: str | None) -> None:
        self._names = (llm, model, tts, stt, stt_model)
        self._input_tokens = 0
        self._output_tokens = 0
        self._characters = 0
        self._latencies: list[float] = []
        self.interruptions = 0
        self.wasted_tokens = 0
        """Of the tokens, about how many went into replies that were begun in vain."""

    def tokens(self, input_tokens: int, output_tokens: int) -> None:
        """A reply's tokens, as the model counted them."""
        self._input_tokens += input_tokens
        self._output_tokens += output_tokens

    def tokens_of(self, prompt_chars: int, reply_chars: int) -> None:
        """A reply's tokens, estimated from its length."""
        self.tokens(-(-prompt_chars // CHARS_PER_TOKEN), -(-reply_chars // CHARS_PER_TOKEN))

    def wasted_tokens_of(self, prompt_chars: int, reply_chars: int) -> None:
        """A reply was begun in vain; its tokens are counted all the same, since they are paid for."""
        self.wasted_tokens += -(-(prompt_chars + reply_chars) // CHARS_PER_TOKEN)

    def characters(self, count: int) -> None:
        """Text handed to the voice."""
        self._characters += count

    def answered(self, latency: TurnLatency) -> None:
        """A reply was heard."""
        self._latencies.append(latency.total_ms)

    def usage(self, *, stt_seconds: float) -> Usage:
        """Everything used so far."""
        llm, model, tts, stt, stt_model = self._names
        return Usage(
            llm=LlmUsage(provider=llm, model=model, input_tokens=self._input_tokens, output_tokens=self._output_tokens),
            tts=TtsUsage(provider=tts, characters=self._characters),
            stt=SttUsage(provider=stt, model=stt_model, audio_seconds=round(stt_seconds, 3)),
        )

    def quality(self, turns: list[Turn]) -> CallQuality:
        """What the turns say of the call; packet counts are the transport's."""
        ordered = sorted(self._latencies)
        silences = (after.start_time - before.end_time for before, after in pairwise(turns))
        return CallQuality(
            interruptions=self.interruptions,
            longest_silence_seconds=round(max(silences, default=0.0), 3) if turns else 0.0,
            latency_p50_ms=_percentile(ordered, 0.5),
            latency_p95_ms=_percentile(ordered, 0.95),
        )


def _percentile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

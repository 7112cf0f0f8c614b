"""Where the time between the end of the caller's speech and the agent's first sound went. Moments are the event loop's, in seconds."""

import time

from opentelemetry import context, trace
from voisnap_domain.conversations import TurnLatency

context.get_current()  # finds its implementation by entry points, tens of milliseconds that must not fall into the first call
_tracer = trace.get_tracer("voisnap.runtime.pipeline")


class Waterfall:
    """The moments of one reply: when the voice ended, the silence waited for, when the words were asked for and came, when it was decided."""

    def __init__(
        self, *, speech_ended: float, silence_ms: float, flushed: float | None, final: float | None, answered: float
    ) -> None:
        self._speech_ended = speech_ended
        self._silence_ms = silence_ms
        self._flushed = flushed
        self._final = final
        self._answered = answered

    def heard(self, at: float, *, sentence: float | None, chunk: float | None) -> TurnLatency:
        """The first frame left, after the first speakable piece and its first audio were there: the sums, and a trace span of the turn.

        What was made before the turn was over cost the caller nothing.
        """
        total = max(0.0, (at - self._speech_ended) * 1000)
        decided = max(0.0, (self._answered - self._speech_ended) * 1000)
        endpointing = min(self._silence_ms, decided)
        stt = min(_span_ms(self._flushed, self._final), decided - endpointing)
        ready = None if sentence is None else max(sentence, self._answered)
        llm = _span_ms(self._answered, ready)
        tts = _span_ms(ready, chunk)
        latency = TurnLatency(
            total_ms=round(total, 1),
            endpointing_ms=round(endpointing, 1),
            stt_ms=round(stt, 1),
            llm_ms=round(llm, 1),
            tts_ms=round(tts, 1),
            platform_ms=round(max(0.0, total - endpointing - stt - llm - tts), 1),
        )
        _trace(latency)
        return latency


def _span_ms(start: float | None, end: float | None) -> float:
    return max(0.0, (end - start) * 1000) if start is not None and end is not None else 0.0


def _trace(latency: TurnLatency) -> None:
    now = time.time_ns()
    span = _tracer.start_span(
        "turn.answered",
        start_time=now - int(latency.total_ms * 1e6),
        attributes={
            "voisnap.turn.endpointing_ms": latency.endpointing_ms,
            "voisnap.turn.stt_ms": latency.stt_ms,
            "voisnap.turn.llm_ms": latency.llm_ms,
            "voisnap.turn.tts_ms": latency.tts_ms,
            "voisnap.turn.platform_ms": latency.platform_ms,
        },
    )
    span.end(end_time=now)

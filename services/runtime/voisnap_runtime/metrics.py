"""What Prometheus is told about live sessions."""

from prometheus_client import Counter, Gauge, Histogram
from voisnap_domain.conversations import Turn

ACTIVE_SESSIONS = Gauge("voisnap_active_sessions", "Sessions that live in this process")
SESSIONS_STARTED = Counter("voisnap_sessions_started_total", "Sessions whose caller was connected")
SESSIONS_ENDED = Counter("voisnap_sessions_ended_total", "Sessions that ended", ["reason"])
SESSIONS_REFUSED = Counter("voisnap_sessions_refused_total", "Sessions that were refused", ["code"])

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0)

TURN_LATENCY = Histogram(
    "voisnap_turn_latency_seconds",
    "From the end of the caller's speech to the first agent audio, and its parts",
    ["part"],
    buckets=_BUCKETS,
)


def observe_turn(turn: Turn) -> None:
    """Count the latency of a finished turn, if it has one."""
    latency = turn.latency
    if latency is None:
        return
    for part, milliseconds in (
        ("total", latency.total_ms),
        ("endpointing", latency.endpointing_ms),
        ("stt", latency.stt_ms),
        ("llm", latency.llm_ms),
        ("tts", latency.tts_ms),
        ("platform", latency.platform_ms),
    ):
        TURN_LATENCY.labels(part).observe(milliseconds / 1000)

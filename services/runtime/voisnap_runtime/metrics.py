"""What Prometheus is told about live sessions."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram
from voisnap_domain.conversations import Turn

ACTIVE_SESSIONS = Gauge("voisnap_active_sessions", "Sessions that live in this process")
SESSIONS_STARTED = Counter("voisnap_sessions_started_total", "Sessions whose caller was connected")
SESSIONS_ENDED = Counter("voisnap_sessions_ended_total", "Sessions that ended", ["reason"])
SESSIONS_HANDED_OVER = Counter(
    "voisnap_sessions_handed_over_total", "Sessions that left this process without ending", ["how"]
)
SESSIONS_RESUMED = Counter(
    "voisnap_sessions_resumed_total", "Sessions that went on here after another process", ["how"]
)
SNAPSHOTS_KEPT = Counter("voisnap_snapshots_kept_total", "Snapshots of conversations written for a take-over")
SESSIONS_REFUSED = Counter("voisnap_sessions_refused_total", "Sessions that were refused", ["code"])

PACER_LATE = Gauge(
    "voisnap_pacer_late_seconds", "How late the 20-ms clock beats, 95th percentile of the last ten seconds"
)
PACER_LATE_MAX = Gauge(
    "voisnap_pacer_late_max_seconds", "How late the 20-ms clock beat at worst in the last twenty seconds"
)
PACER_SKIPPED = Gauge("voisnap_pacer_skipped_frames", "Frames given up after stalls since the start")

CARRIER_SOCKETS = Gauge("voisnap_carrier_sockets", "Media sockets of carriers", ["provider"])
CARRIER_REFUSED = Counter("voisnap_carrier_refused_total", "Media sockets that brought no call", ["provider"])
CARRIER_MALFORMED = Counter(
    "voisnap_carrier_malformed_total", "Frames of carriers that make no sense, unknown events among them", ["provider"]
)
CARRIER_FAULTS = Counter("voisnap_carrier_faults_total", "Complaints of carriers about our frames", ["provider"])
CARRIER_DROPPED = Counter(
    "voisnap_carrier_dropped_total", "Frames that came too fast, or that the carrier did not take", ["provider", "way"]
)
CARRIER_CLEARS = Counter(
    "voisnap_carrier_clears_total", "Times that a carrier was told to drop what it plays", ["provider"]
)
CARRIER_PLAYOUT_DELAY = Histogram(
    "voisnap_carrier_playout_delay_seconds",
    "From a frame's leaving to its having been played, by the carrier's marks",
    ["provider"],
    buckets=(0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0),
)

ASYNCIO_TASKS = Gauge("voisnap_asyncio_tasks", "Tasks of this process's event loop that are not done")

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0)

TURN_LATENCY = Histogram(
    "voisnap_turn_latency_seconds",
    "From the end of the caller's speech to the first agent audio, and its parts",
    ["part"],
    buckets=_BUCKETS,
)

TURN_JUDGED = Histogram(
    "voisnap_turn_judged_seconds",
    "From the question whether a turn sounds over to the model's answer, the wait for other calls' questions included",
    buckets=(0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.095, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0),
)


class Punctuality(Protocol):
    """What a pacer tells of its beats."""

    @property
    def late_p95_ms(self) -> float: ...
    @property
    def late_max_ms(self) -> float: ...
    @property
    def skipped_frames(self) -> int: ...


def watch_pacer(stats: Callable[[], Punctuality]) -> None:
    """Report how punctual the process's pacer is whenever somebody asks."""
    PACER_LATE.set_function(lambda: stats().late_p95_ms / 1000)
    PACER_LATE_MAX.set_function(lambda: stats().late_max_ms / 1000)
    PACER_SKIPPED.set_function(lambda: float(stats().skipped_frames))


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Report how many tasks a loop has; asked for in that loop."""
    ASYNCIO_TASKS.set_function(lambda: float(len(asyncio.all_tasks(loop))))


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

"""The figures of a load measurement as a table for people."""

import math
from collections.abc import Iterable, Sequence

from .load_steps import OVERHEAD_LIMIT_MS, Percentiles, Step, largest_that_holds

HEADINGS = (
    "server",
    "channel",
    "callers",
    "overhead ms",
    "barge-in ms",
    "jitter ms",
    "core a call",
    "MB a call",
    "stall ms",
    "turns",
    "",
)
UNDER = ("", "", "", "p50/p95/p99", "p50/p95", "p95", "%", "", "worst", "", "")

LEGEND = f"""\
overhead  from the end of the caller's speech to the first sound of the answer, without the agent's configured silence
barge-in  from the first sound of an interruption to the last sound of the agent
jitter    how far the time between two frames of 20 ms is off
held      overhead p95 below {OVERHEAD_LIMIT_MS:g} ms, and not one turn in a hundred without an answer"""


def row(step: Step) -> tuple[str, ...]:
    """One step as the cells of a row."""
    return (
        step.server,
        step.channel,
        str(step.callers),
        _many(step.overhead, "p50", "p95", "p99"),
        _many(step.barge_in, "p50", "p95"),
        _one(step.jitter.p95, 1),
        _one(step.core_percent_per_call, 2),
        _one(step.memory_mb_per_call, 2),
        _one(step.use.worst_stall_ms, 0),
        str(step.overhead.count),
        verdict(step),
    )


def verdict(step: Step) -> str:
    """Whether the step held, and what speaks against it."""
    reasons = []
    if step.refused is not None:
        reasons.append(f"refused: {step.refused}")
    if step.unanswered:
        reasons.append(f"{step.unanswered} unanswered")
    if step.lost:
        reasons.append(f"{step.lost} lines lost")
    if step.cut_off:
        reasons.append(f"{step.cut_off} cut off")
    if step.generator_was_late:
        reasons.append(f"callers {step.generator_late.p95:g} ms late themselves")
    if step.use.waited_percent is not None and step.use.waited_percent > 5:
        reasons.append(f"waited for a core {step.use.waited_percent:.0f} % of the time")
    return ", ".join(["held" if step.holds else "NOT HELD", *reasons])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows below each other, columns aligned; the last one may be long."""
    widths = [max(len(cells[at]) for cells in rows) for at in range(len(rows[0]))]
    lines = []
    for cells in rows:
        padded = [
            cell.ljust(width) if at in (0, 1, len(cells) - 1) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def report(steps: Iterable[Step]) -> str:
    """All steps as a table with its legend."""
    return f"{table([HEADINGS, UNDER, *map(row, steps)])}\n\n{LEGEND}"


def suggested_sessions(steps: Sequence[Step], share: float = 0.7) -> int:
    """MAX_SESSIONS of a process: `share` of what was carried well, so that a burst and a slow machine still fit."""
    return math.floor(largest_that_holds(steps) * share)


def _many(values: Percentiles, *names: str) -> str:
    return "/".join(_one(getattr(values, name), 0) for name in names)


def _one(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"

"""The figures of a load measurement as a table for people."""

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from .load_steps import OVERHEAD_LIMIT_MS, Percentiles, Step, largest_that_holds

HEADINGS = (
    "server",
    "channel",
    "callers",
    "overhead ms",
    "barge-in ms",
    "jitter ms",
    "CPU a call",
    "MB a call",
    "stall ms",
    "turns",
    "",
)
UNDER = ("", "", "", "p50/p95/p99", "p50/p95", "p95", "ms a second", "", "worst", "", "")

LEGEND = f"""\
overhead  from the end of the caller's speech to the first sound of the answer, without the agent's configured silence
barge-in  from the first sound of an interruption to the last sound of the agent
jitter    how far the time between two frames of 20 ms is off
CPU       what the server's processes need for one second of one call; 10 ms are 1 % of a core
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
        _one(step.cpu_ms_per_call_second, 1),
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


class Figure(msgspec.Struct, frozen=True):
    """One figure of a step, and how it is printed."""

    name: str
    of: Callable[[Step], float | None]
    digits: int = 0


FIGURES = (
    Figure("answer's overhead, p50 ms", lambda step: step.overhead.p50, 1),
    Figure("answer's overhead, p95 ms", lambda step: step.overhead.p95, 1),
    Figure("silent after an interruption, p95 ms", lambda step: step.barge_in.p95),
    Figure("jitter of frames, p95 ms", lambda step: step.jitter.p95, 1),
    Figure("CPU ms for a second of a call", lambda step: step.cpu_ms_per_call_second, 1),
    Figure("memory for a call, MB", lambda step: step.memory_mb_per_call, 2),
    Figure("million instructions for a second of a call", lambda step: step.instructions_per_call_second, 1),
)


def side_by_side(steps: Sequence[Step], ours: str = "voisnap") -> str:
    """For each channel the most calls that held, and every figure at the same number of calls, each beside the peers' and the ratio to them."""
    return "\n\n".join(
        _beside([step for step in steps if step.channel == channel], ours)
        for channel in dict.fromkeys(step.channel for step in steps)
    )


def _beside(steps: Sequence[Step], ours: str) -> str:
    peers = [name for name in dict.fromkeys(step.server for step in steps) if name != ours]
    servers = [ours, *peers]
    by_place = {(step.server, step.callers): step for step in steps}
    common = [count for name, count in by_place if name == ours and all((one, count) in by_place for one in peers)]
    head = (steps[0].channel, ours, *(cell for peer in peers for cell in (peer, "ratio")))
    most = [float(largest_that_holds(step for step in steps if step.server == name)) for name in servers]
    rows = [head, _figures("most calls that held on one core", most, 0)]
    if common:
        count = max(common)
        at = [by_place[name, count] for name in servers]
        for figure in FIGURES:
            values = [figure.of(step) for step in at]
            if any(value is not None for value in values):
                rows.append(_figures(f"{count} calls: {figure.name}", values, figure.digits))
    return table(rows)


def _figures(name: str, values: Sequence[float | None], digits: int) -> tuple[str, ...]:
    ours, *peers = values
    cells = [name, _one(ours, digits)]
    for peer in peers:
        told = ours is not None and peer is not None and not math.isnan(ours) and not math.isnan(peer) and peer > 0
        cells += [_one(peer, digits), _ratio(ours / peer) if told else "-"]  # type: ignore[operator]  # `told` says both are numbers
    return tuple(cells)


def _ratio(value: float) -> str:
    return f"{value:.1f} x" if value >= 1 else f"{value:.2f} x"


def suggested_sessions(steps: Sequence[Step], share: float = 0.7) -> int:
    """MAX_SESSIONS of a process: `share` of what was carried well, so that a burst and a slow machine still fit."""
    return math.floor(largest_that_holds(steps) * share)


def _many(values: Percentiles, *names: str) -> str:
    return "/".join(_one(getattr(values, name), 0) for name in names)


def _one(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"

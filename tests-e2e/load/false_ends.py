"""False ends of turn: the same recordings of hesitant and noisy speech through the platform and through its peers, over their WebSockets.

    .venv/bin/python tests-e2e/load/false_ends.py [--silence-ms 700] [--only voisnap-vad,pipecat-smart-turn] [--failing] [--json]

A false end is an answer before the caller was done; a missed end is no answer within four seconds after it. The recordings are human
(`hesitant_speech`); speech to text, language model and speech take no time, so an answer is heard as soon as the end of the turn is decided.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import uvloop
from hesitant_speech import KINDS, Recording, recordings
from peer_frames import PipecatFrames, RawFrames
from peer_process import PeerMissing, peer_server
from platform_server import platform_server
from voisnap_domain.agents import Endpointing, EndpointingProvider
from voisnap_stack.load_audio import SILENT_ROOM, Utterance
from voisnap_stack.load_callers import CallerClock, Line
from voisnap_stack.load_report import table
from voisnap_stack.load_socket import CallRefused, Dialect, SocketLine, open_line
from voisnap_stack.load_voice import HubJson

CALLS = 8
"""At once: few enough that no server is late."""
QUIET_SECONDS = 0.25
"""Sound after so much silence is another answer."""
MISSED_SECONDS = 4.0
REFUSED_SECONDS = (1.0, 2.0, 4.0)
"""Waits before a server that refused is called again: it sheds load while others use the machine."""
CONTENDERS = ("voisnap-vad", "voisnap-semantic", "pipecat-vad", "pipecat-smart-turn", "livekit-vad")
"""A server and what ends a turn with it. With `-vad` it is the configured silence; the others listen to how the words were said, with their
own delays."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a server made of one recording; times in milliseconds."""

    contender: str
    name: str
    kind: str
    longest_pause_ms: int
    early: tuple[float, ...]
    """Answers before the end of the voice: how long before."""
    delay: float | None
    """From the end of the voice to the answer; None when there was none, or one was being said already."""
    missed: bool


class Reciter:
    """A caller who plays one recording, whatever he hears, and notes when answers begin. For the clock it is a `Caller`."""

    def __init__(self, recording: Recording, is_loud: Callable[[bytes], bool]) -> None:
        self.line: Line | None = None
        self.is_lost = False
        self.done = asyncio.Event()
        self._recording = recording
        self._is_loud = is_loud
        self._next = 0
        self._count = len(recording.audio) // (recording.audio.rate // 50)
        self._spoken_at: float | None = None
        self._answers: list[float] = []
        self._last_loud = float("-inf")

    def tick(self, now: float) -> None:
        """20 ms of the recording."""
        if self.line is None or self.is_lost:
            return
        if self._next == self._count:
            self.done.set()
            return
        self.line.send(self._next)
        self._next += 1
        if self._next == self._recording.spoken_frames:
            self._spoken_at = now

    def heard(self, data: bytes, now: float) -> None:
        """A frame of the server's."""
        if not self._is_loud(data):
            return
        if now - self._last_loud > QUIET_SECONDS:
            self._answers.append(now)
        self._last_loud = now

    def told_to_stop(self, now: float) -> None: ...

    def was_lost(self) -> None:
        """The line broke."""
        self.is_lost = True
        self.done.set()

    def judged(self, contender: str) -> Judged:
        """What came of it. Raises RuntimeError when the line broke."""
        end = self._spoken_at
        if self.is_lost or end is None:
            raise RuntimeError(f"{contender} hung up on {self._recording.name}, {self._recording.kind}")
        early = tuple(round((end - at) * 1000) for at in self._answers if at < end)
        after = [at for at in self._answers if end <= at <= end + MISSED_SECONDS]
        return Judged(
            contender=contender,
            name=self._recording.name,
            kind=self._recording.kind,
            longest_pause_ms=self._recording.longest_pause_ms,
            early=early,
            delay=round((after[0] - end) * 1000, 1) if after else None,
            missed=not after and self._last_loud < end,
        )


@asynccontextmanager
async def contender_of(name: str, silence_ms: int) -> AsyncGenerator[Callable[[CallerClock, Recording], Any]]:
    """A running server: gives what recites to it. Raises PeerMissing."""
    server, how = name.split("-", 1)
    if server == "voisnap":
        endpointing = Endpointing(provider=EndpointingProvider(how), silence_duration_ms=silence_ms)

        def plan_for(_: Any, plan: Any) -> Any:
            config = msgspec.structs.replace(plan.agent.config, endpointing=endpointing)
            return msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))

        async with platform_server(core=None, silence_ms=silence_ms, plan_for=plan_for) as ours:
            yield partial(recite, ours.voice_url, HubJson, ours.headers, name)
    else:
        async with peer_server(server, core=None, silence_ms=silence_ms, arguments=(how,)) as peer:
            kind = PipecatFrames if server == "pipecat" else RawFrames
            yield partial(recite, f"{peer.url}/ws", kind, {}, name)


async def recite(
    url: str,
    kind: Callable[..., Dialect],
    headers: dict[str, str],
    contender: str,
    clock: CallerClock,
    recording: Recording,
) -> Judged:
    """One call."""
    dialect = kind((Utterance(audio=recording.audio),), (SILENT_ROOM,))
    caller: Any = Reciter(recording, dialect.is_loud)
    line = caller.line = await connected(lambda: open_line(url, dialect, caller, headers=headers))
    clock.add(caller)
    try:
        async with asyncio.timeout(len(recording.audio) / recording.audio.rate + 20):
            await caller.done.wait()
    finally:
        clock.remove(caller)
        await line.close()
    return caller.judged(contender)


async def connected(connect: Callable[[], Awaitable[SocketLine]]) -> SocketLine:
    """A line; a server that has no room at the moment is asked again. Raises CallRefused."""
    for pause in REFUSED_SECONDS:
        try:
            return await connect()
        except CallRefused:
            await asyncio.sleep(pause)
    return await connect()


async def measure(args: argparse.Namespace) -> list[Judged]:
    """All recordings through all servers, one server after the other."""
    judged: list[Judged] = []
    clock = CallerClock()
    clock.start()
    played = recordings()
    # The longest first, so that the calls end together.
    queue = sorted(played, key=lambda one: -len(one.audio))
    for name in args.only:
        try:
            async with contender_of(name, args.silence_ms) as recited:
                at_once = asyncio.Semaphore(CALLS)

                async def one(recording: Recording, recited: Any = recited, at_once: Any = at_once) -> Judged:
                    async with at_once:
                        return await recited(clock, recording)

                await recited(clock, min(played, key=lambda one: len(one.audio)))  # what is loaded on first use
                found = await asyncio.gather(*(one(recording) for recording in queue))
        except PeerMissing as error:
            print(f"without the peer: {error}", file=sys.stderr)
            continue
        judged += found
        print("  ".join(row(name, found)), file=sys.stderr, flush=True)
    clock.stop()
    return judged


HEADINGS = ("what ends a turn", "turns", "false ends", "missed", "delay ms", *(kind.name for kind in KINDS))
UNDER = ("", "", "turns cut into", "", "median", *("cut into" for _ in KINDS))


def row(name: str, judged: Sequence[Judged]) -> tuple[str, ...]:
    """One server's line."""
    delays = [one.delay for one in judged if one.delay is not None]
    by_kind: dict[str, int] = defaultdict(int)
    for one in judged:
        by_kind[one.kind] += bool(one.early)
    return (
        name,
        str(len(judged)),
        str(sum(bool(one.early) for one in judged)),
        str(sum(one.missed for one in judged)),
        f"{statistics.median(delays):.0f}" if delays else "-",
        *(str(by_kind[kind.name]) for kind in KINDS),
    )


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silence-ms", type=int, default=700, help="the configured silence, of all servers (700)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=CONTENDERS, help=f"of {CONTENDERS}")
    parser.add_argument("--failing", action="store_true", help="list the recordings that were cut into")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for name in args.only:
        if name not in CONTENDERS:
            parser.error(f"{name}: there are {', '.join(CONTENDERS)}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        judged = runner.run(measure(args))
    if args.json:
        print(json.dumps(msgspec.to_builtins(judged)))
        return 0
    groups = {name: [one for one in judged if one.contender == name] for name in args.only}
    print(table([HEADINGS, UNDER, *(row(name, found) for name, found in groups.items() if found)]))
    if args.failing:
        for one in judged:
            if one.early or one.missed:
                print(
                    f"{one.contender}: {one.name}, {one.kind} (pause {one.longest_pause_ms} ms):"
                    f" {'missed' if one.missed else f'{one.early} ms before the end'}"
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

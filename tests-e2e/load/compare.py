"""Callers in real time against the runtime on one core, and against its peers in the same run, one after the other at each number of callers.

    .venv/bin/python tests-e2e/load/compare.py [--channel voice,webrtc] [--peer pipecat,livekit] [--full] [--json]

Speech to text, language model and speech are scripted and take no time: what is measured is the platform's own share.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from peer_frames import PipecatFrames, RawFrames
from peer_process import PeerMissing, PeerServer, peer_server
from platform_server import PlatformServer, platform_server
from voisnap_media import files
from voisnap_media.vad import RATE, VadModel
from voisnap_stack.load_audio import Utterance, described, rooms, utterance
from voisnap_stack.load_callers import Caller, CallerClock, Habits, Measured
from voisnap_stack.load_platform import SignalledLine
from voisnap_stack.load_probe import ProcessProbe
from voisnap_stack.load_report import report, side_by_side
from voisnap_stack.load_socket import Dialect, open_line
from voisnap_stack.load_steps import Join, Measurement, Step
from voisnap_stack.load_twilio import TwilioFrames
from voisnap_stack.load_voice import HubJson, HubMessagePack
from voisnap_stack.load_webrtc import OpusSpeech, open_peer
from voisnap_stack.models import models_folder

AUDIO = Path(__file__).parent.parent / "fixtures" / "audio"
SPOKEN = ("question-teeth-cleaning.wav", "human-go-forward.wav")
CHANNELS = ("voice", "voice-msgpack", "webrtc", "phone")
"""`phone` is Twilio's Media Streams, which Pipecat speaks too. A further channel is a `Dialect` (voisnap_stack.load_socket) and an address."""
QUICK = {
    "voisnap": {
        "voice": (15, 100, 200, 250),
        "voice-msgpack": (15, 100, 200, 250),
        "webrtc": (15, 75, 100),
        "phone": (25, 100, 200, 300),
    },
    "pipecat": {
        "voice": (15, 20, 25, 30),
        "voice-msgpack": (15, 20, 25, 30),
        "webrtc": (5, 15),
        "phone": (15, 25, 35),
    },
    "livekit": {"voice": (15, 25, 50, 75), "voice-msgpack": (15, 25, 50, 75)},
}
FULL = {
    "voisnap": {
        "voice": (15, 25, 50, 100, 150, 200, 250, 300, 350, 400),
        "voice-msgpack": (15, 25, 100, 200, 250, 300, 350, 400),
        "webrtc": (15, 25, 50, 75, 100, 125, 150),
        "phone": (25, 100, 200, 250, 300, 350, 400),
    },
    "pipecat": {
        "voice": (5, 10, 15, 20, 25, 30, 35, 40),
        "voice-msgpack": (15, 20, 25, 30),
        "webrtc": (5, 10, 15, 20),
        "phone": (5, 10, 15, 20, 25, 30, 35, 40),
    },
    "livekit": {"voice": (15, 25, 35, 50, 75, 100, 125), "voice-msgpack": (15, 25, 50, 75)},
}
PEERS = ("pipecat", "livekit")
"""LiveKit Agents speaks WebRTC through LiveKit's own media server alone, which is no package: it is compared over a WebSocket."""


class Callers:
    """Makes callers that all say the same and behave alike."""

    def __init__(self, habits: Habits, said: Sequence[Utterance] = ()) -> None:
        vad = VadModel.load(models_folder() / "silero-vad" / "silero_vad.onnx")
        self.rooms = rooms()
        self.said: tuple[Utterance, ...] = tuple(said) or tuple(
            utterance(files.read(AUDIO / name, RATE), vad, self.rooms) for name in SPOKEN
        )
        self._habits = habits
        self._opus = OpusSpeech(self.said, self.rooms)

    def over_socket(self, url: str, dialect: Dialect, headers: dict[str, str]) -> Join:
        """Callers who connect with a WebSocket."""

        async def join(number: int, measured: Measured) -> Caller:
            caller = self._caller(number, measured, dialect.is_loud)
            caller.line = await open_line(url, dialect, caller, number=number, headers=headers)
            return caller

        return join

    def over_carrier(self, url: str, dialect: TwilioFrames, rung: Callable[[], Awaitable[str]]) -> Join:
        """Callers of a carrier; `rung` gives the token of each call."""

        async def join(number: int, measured: Measured) -> Caller:
            caller = self._caller(number, measured, dialect.is_loud)
            caller.line = await open_line(url, dialect.with_token(await rung()), caller, number=number)
            return caller

        return join

    def over_webrtc(self, signalling: Callable[[], Any]) -> Join:
        """Callers with a peer connection; `signalling` is a context whose value exchanges descriptions."""

        async def join(number: int, measured: Measured) -> Caller:
            async with AsyncExitStack() as stack:
                line = await open_peer(self._opus, await stack.enter_async_context(signalling()), number=number)
                caller = line.caller = self._caller(number, measured, line.is_loud)
                caller.line = SignalledLine(line, stack.pop_all())
                return caller

        return join

    def _caller(self, number: int, measured: Measured, is_loud: Callable[[bytes], bool]) -> Caller:
        # The golden ratio spreads any number of callers evenly over the length of a turn.
        pause = (number * 0.618 % 1) * 6
        return Caller(self.said, self._habits, measured, is_loud=is_loud, first_pause=pause, begin_with=number)


def platform_join(server: PlatformServer, callers: Callers, channel: str) -> Join:
    """Callers of the platform."""
    if channel == "webrtc":
        return callers.over_webrtc(server.webrtc_call)
    if channel == "phone":
        return callers.over_carrier(server.phone_url, TwilioFrames(callers.said, callers.rooms), server.rung)
    dialect = (HubJson if channel == "voice" else HubMessagePack)(callers.said, callers.rooms)
    return callers.over_socket(server.voice_url, dialect, server.headers)


def peer_join(server: PeerServer, callers: Callers, channel: str) -> Join:
    """Callers of a peer."""
    if channel == "webrtc":

        @asynccontextmanager
        async def signalling() -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
            yield server.exchange

        return callers.over_webrtc(signalling)
    if channel == "phone":
        return callers.over_socket(f"{server.url}/twilio", TwilioFrames(callers.said, callers.rooms), {})
    dialect = (PipecatFrames if server.name == "pipecat" else RawFrames)(callers.said, callers.rooms)
    return callers.over_socket(f"{server.url}/ws", dialect, {})


class Contender(msgspec.Struct, frozen=True):
    """A server, and what is asked of it."""

    name: str
    pid: int
    metrics_url: str | None
    join: Callable[[str], Join]


async def measure(args: argparse.Namespace) -> list[Step]:
    """All steps of all servers."""
    callers = Callers(Habits(silence=args.silence_ms / 1000))
    args.sent = described(callers.rooms, callers.said)
    args.told(args.sent)
    steps: list[Step] = []
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(
            platform_server(core=args.core, silence_ms=args.silence_ms, records=args.record)
        )
        contenders = [
            Contender(ours.name, ours.pid, f"{ours.url}/metrics", lambda channel: platform_join(ours, callers, channel))
        ]
        for name in PEERS:
            if name not in args.peer:
                continue
            try:
                peer = await stack.enter_async_context(peer_server(name, core=args.core, silence_ms=args.silence_ms))
            except PeerMissing as error:
                args.missing.append(str(error))
            else:
                join = partial(peer_join, peer, callers)
                contenders.append(Contender(peer.name, peer.pid, None, join))
        gc.collect()
        gc.freeze()
        clock = CallerClock()
        clock.start()
        for channel in args.channel:
            await compare(contenders, channel, args, clock, steps)
        clock.stop()
    return steps


async def compare(
    contenders: Sequence[Contender], channel: str, args: argparse.Namespace, clock: CallerClock, steps: list[Step]
) -> None:
    """Climb with all contenders, one after the other on each rung; who fails climbs no further."""
    rungs = FULL if args.full else QUICK
    ladders = {
        one.name: list(args.callers or rungs[one.name][channel])
        for one in contenders
        if channel in rungs[one.name]  # others don't speak it
    }
    while any(ladders.values()):
        for contender in contenders:
            if not ladders.get(contender.name):
                continue
            step = await one_step(contender, channel, ladders[contender.name].pop(0), args.seconds, clock)
            steps.append(step)
            args.told(progress(step))
            if not step.holds and not args.callers:
                ladders[contender.name].clear()


async def one_step(contender: Contender, channel: str, count: int, seconds: float, clock: CallerClock) -> Step:
    """So many new callers, measured for so long."""
    measurement = Measurement(
        contender.join(channel),
        clock,
        channel=channel,
        server=contender.name,
        probe=ProcessProbe([contender.pid], metrics_url=contender.metrics_url),
    )
    try:
        return await measurement.step(count, seconds)
    finally:
        await measurement.close()
        await asyncio.sleep(1)


def progress(step: Step) -> str:
    """One line."""
    o, b, use = step.overhead, step.barge_in, step.use
    return (
        f"{step.server:8} {step.channel:13} N={step.callers:3}"
        f" overhead {o.p50:.1f}/{o.p95:.1f}/{o.p99:.1f} ({o.count})"
        f" barge {b.p50:.0f}/{b.p95:.0f} ({b.count}) cleared {step.cleared.p95:.0f}"
        f" jitter {step.jitter.p95:.2f} cpu {step.cpu_ms_per_call_second or 0:.2f} ms/s"
        f" mem {step.memory_mb_per_call or 0:.2f} stall {use.worst_stall_ms} waited {use.waited_percent}"
        f" un {step.unanswered} cut {step.cut_off} lost {step.lost}"
        f" gen {step.generator_late.p95:.1f}/{step.generator_late.largest:.1f}"
        f" {step.refused or ''}"
    )


def told(steps: Sequence[Step], sent: str) -> str:
    """Everything for people: the comparison first, then each step."""
    counted = any(step.use.instructions_per_second is not None for step in steps)
    notes = (
        ""
        if counted
        else "\ninstructions cannot be counted on this machine (no hardware counters): CPU time stands for them"
    )
    return f"{side_by_side(steps)}\n\n{report(steps)}\n\n{sent}{notes}"


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--channel", type=lambda text: text.split(","), default=["voice", "webrtc"], help=f"of {CHANNELS}"
    )
    parser.add_argument("--peer", type=lambda text: text.split(","), default=None, help=f"of {PEERS}, or none")
    parser.add_argument("--callers", type=lambda text: [int(n) for n in text.split(",")], help="these numbers for all")
    parser.add_argument("--full", action="store_true", help="every rung of the ladder, which takes most of an hour")
    parser.add_argument("--seconds", type=float, default=15, help="measured at each number of callers")
    parser.add_argument("--silence-ms", type=int, default=500)
    parser.add_argument("--record", action="store_true", help="with recording")
    parser.add_argument("--core", type=int, default=0, help="the servers' core; the callers use the others")
    parser.add_argument("--nice", type=int, default=0, help="below 0: before others who use this machine (root)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for channel in args.channel:
        if channel not in CHANNELS:
            parser.error(f"{channel}: there is no such channel; there are {', '.join(CHANNELS)}")
    args.missing, asked, args.sent = [], args.peer is not None, ""
    args.told = partial(print, file=sys.stderr, flush=True)
    args.peer = args.peer or list(PEERS)
    if args.nice:
        os.nice(args.nice)
        with suppress(OSError):  # where the kernel groups processes by session, the group's own figure counts
            Path("/proc/self/autogroup").write_text(str(args.nice))
    if others := os.sched_getaffinity(0) - {args.core}:
        os.sched_setaffinity(0, others)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        steps = runner.run(measure(args))
    if args.json:
        print(json.dumps(msgspec.to_builtins(steps)))
    else:
        print(told(steps, args.sent))
    for text in args.missing:
        print(f"without the peer: {text}", file=sys.stderr)
    return 1 if args.missing and asked else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`voisnap load`: how many callers this installation carries, and how well."""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media import files
from voisnap_media.pcm import Pcm
from voisnap_media.resample import resample
from voisnap_media.vad import RATE, VadModel
from voisnap_providers.errors import ProviderError
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_simulator.accounts import launch

from .home import home_folder
from .load_audio import Utterance, described, rooms, utterance
from .load_callers import CallerClock, Habits
from .load_carrier import LINES, carrier_lines
from .load_platform import CHANNELS, Target, platform, runtime_processes
from .load_probe import ProcessProbe
from .load_report import report, suggested_sessions
from .load_socket import CallRefused
from .load_steps import Measurement, Step, largest_that_holds
from .models import models_folder

QUESTIONS = ("What are your opening hours on Friday, please?", "How much does a cleaning cost at your practice?")
VOICE = "heart"
RUNGS = (5, 10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500)
MAX_CALLERS = 2000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|)$")

_DESCRIPTION = """\
Calls a running platform with many callers at once, in real time: each asks, hears the answer, and now and then speaks
into it. Shows what the platform adds to each answer, how soon it falls silent, and what a call costs on this machine.

Without --agent an agent is made in the sandbox whose models cost nothing, so that the platform alone is measured, and
removed at the end. With --agent that agent is called as it is, with its own models: their time is in the figures then.

With --line the callers telephone: the simulated carrier rings a number of the agent's, which is got for the measurement
where it has none, and its media socket carries what they say. Calls that are refused are told with what the caller hears.

Callers, platform and databases share this machine's cores: a production machine that only runs the runtime carries more.
"""


def add_parser(subparsers: Any) -> None:
    """Add `load` to the command line."""
    parser = subparsers.add_parser(
        "load",
        help="measure how many callers this installation carries",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--callers", type=_callers, default=10, metavar="N", help="how many at once (10)")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        default=30.0,
        metavar="30s",
        help="how long each number is measured (30s)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--channel", choices=CHANNELS, default="voice", help="voice: VoiceHub (default), or webrtc")
    where.add_argument(
        "--line",
        choices=LINES,
        help="telephone calls over a simulated carrier of this machine instead: signed webhooks, its media socket, in the sandbox",
    )
    parser.add_argument(
        "--ramp", action="store_true", help="begin with few callers and add more until it does not hold"
    )
    parser.add_argument(
        "--raise-limit",
        action="store_true",
        help="lift the tenant's limit of sessions at a time while it runs (needs a platform administrator's login)",
    )
    parser.add_argument("--agent", metavar="ID", help="call this agent as it is")
    parser.add_argument("--wav", action="append", type=Path, default=[], metavar="FILE", help="what the callers say")
    parser.add_argument("--base-url", metavar="URL", help="the platform (default: the one of demo.json)")
    parser.add_argument("--api-key", help="a key of the platform; better in VOISNAP_API_KEY (default: of demo.json)")
    parser.add_argument("--email", help="the login for --raise-limit (default: the demo login)")
    parser.add_argument("--password", help="its password; better in VOISNAP_PASSWORD")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end and nothing else")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure; 0 when the asked number of callers held, 1 when it did not or nothing could be measured, 2 for bad options."""
    target = _target(args)
    if target is None:
        return _complain(
            "no platform known: run `make up` first, set VOISNAP_HOME to its state folder, or give --base-url and --api-key",
            2,
        )
    if args.line and (wrong := _no_line(target)):
        return _complain(wrong, 2)
    shown = _Progress(quiet=args.json)
    steps: list[Step] = []
    interrupted = False
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(args, target, steps, shown))
    except KeyboardInterrupt:
        interrupted = True
    except CallRefused as error:
        return _complain(str(error), 1)
    except httpx.ConnectError:
        return _complain(f"nothing answers at {target.base_url}: is the platform running (make up)?", 1)
    except (httpx.HTTPError, OSError, ValueError, ProviderError) as error:
        return _complain(str(error) or type(error).__name__, 1)
    finally:
        shown.clear()
    if not steps:
        return _complain("nothing was measured", 130 if interrupted else 1)
    if args.json:
        print(json.dumps(_document(args, steps), indent=2))
    else:
        print(f"{report(steps)}\n{args.sent}")
        print(f"\n{advice(steps, processes=max(1, len(runtime_processes())), lifted=args.raise_limit)}")
    if interrupted:
        return 130
    return 0 if steps[-1].holds else 1


async def _measure(args: argparse.Namespace, target: Target, steps: list[Step], shown: "_Progress") -> None:
    async with platform(target) as found:
        shown("preparing what the callers say")
        said, in_rooms = await _said(args.wav), rooms()
        args.sent = described(in_rooms, said) + (f", coded as {args.line} sends it" if args.line else "")
        clock = CallerClock()
        gc.collect()
        gc.freeze()
        clock.start()
        pids = runtime_processes()
        habits = Habits(silence=found.silence)
        async with contextlib.AsyncExitStack() as stack:
            if args.line:
                known = launch(home_folder().simulator_file)
                lines = carrier_lines(found.http, found.base_url, known, args.line, found.agent_id)
                join = (await stack.enter_async_context(lines)).join(said, in_rooms, habits)
            else:
                join = found.join(args.channel, said, in_rooms, habits)
            measurement = Measurement(
                join,
                clock,
                channel=args.line or args.channel,
                server="voisnap",
                probe=ProcessProbe(pids) if pids else None,
                told=shown,
            )
            try:
                await _climb(args, measurement, steps, shown)
            finally:
                clock.stop()
                await measurement.close()


async def _climb(args: argparse.Namespace, measurement: Measurement, steps: list[Step], shown: "_Progress") -> None:
    for callers in rungs(args.callers) if args.ramp else (args.callers,):
        counting = asyncio.create_task(_count_down(measurement, callers, args.seconds, shown))
        try:
            step = await measurement.step(callers, args.seconds)
        except asyncio.CancelledError:
            if measurement.has_begun:
                steps.append(measurement.figures())
            raise
        finally:
            counting.cancel()
        steps.append(step)
        if step.refused is not None and step.callers == 0:
            raise CallRefused(step.refused)
        if not step.holds:
            break


async def _count_down(measurement: Measurement, callers: int, seconds: float, shown: "_Progress") -> None:
    while True:
        await asyncio.sleep(1)
        if measurement.has_begun and measurement.callers >= callers:
            left = max(0, round(seconds - measurement.elapsed))
            shown(f"{measurement.callers} callers, {left} s left")


async def _said(wavs: Sequence[Path]) -> tuple[Utterance, ...]:
    vad = VadModel.load(models_folder() / "silero-vad" / "silero_vad.onnx")
    sounds = [files.read(path, RATE) for path in wavs] or await _spoken()
    return tuple([await asyncio.to_thread(utterance, sound, vad) for sound in sounds])


async def _spoken() -> list[Pcm]:
    """The questions in the voice of this installation."""
    registry = Registry(ProviderSettings(models_dir=models_folder()))
    try:
        voice = Voice(provider=VoiceProvider.LOCAL, voice_id=VOICE)
        tts = await asyncio.to_thread(registry.tts, VoiceProvider.LOCAL)
        return [
            resample(Pcm.concat([chunk.audio async for chunk in tts.speak(question, voice)]), RATE)
            for question in QUESTIONS
        ]
    finally:
        await registry.aclose()


def rungs(callers: int) -> tuple[int, ...]:
    """The numbers of callers of a ramp up to `callers`."""
    return (*(rung for rung in RUNGS if rung < callers), callers)


def advice(steps: Sequence[Step], *, processes: int = 1, lifted: bool = False) -> str:
    """What to make of the figures: a session cap when the limit was found, else how to find it."""
    last, most = steps[-1], largest_that_holds(steps)
    lines = []
    if last.refused is not None:
        lines.append(f"The platform took {last.callers} callers and refused more: {last.refused}")
        if ("SESSION_LIMIT_REACHED" in last.refused or "refused the call" in last.refused) and not lifted:
            lines.append("That may be the plan's limit of sessions at a time: --raise-limit lifts it while this runs.")
    elif last.holds:
        lines.append(f"{most} callers held. To find how many this machine carries: --ramp with more --callers.")
    elif most:
        each = max(1, suggested_sessions(steps) // processes)
        of_each = "" if processes == 1 else f" of each of the {processes} runtime processes"
        lines.append(f"{most} callers held, {last.callers} did not. Suggested MAX_SESSIONS{of_each}: {each}.")
    else:
        lines.append("No number of callers held: the last column says why.")
    return "\n".join(lines)


def _document(args: argparse.Namespace, steps: Sequence[Step]) -> dict[str, Any]:
    derived = (
        "core_percent_per_call",
        "memory_mb_per_call",
        "instructions_per_call_second",
        "holds",
        "generator_was_late",
    )
    return {
        "channel": args.line or args.channel,
        "sent": args.sent,
        "steps": [{**msgspec.to_builtins(step), **{name: getattr(step, name) for name in derived}} for step in steps],
        "callersHeld": largest_that_holds(steps),
        "suggestedMaxSessions": None if steps[-1].holds else suggested_sessions(steps) or None,
    }


def _target(args: argparse.Namespace) -> Target | None:
    demo = _demo()
    base_url = args.base_url or demo.get("baseUrl")
    key = args.api_key or os.environ.get("VOISNAP_API_KEY")
    if key is None and not args.base_url:
        key = demo.get("apiKeyLive" if args.agent and not args.line else "apiKeySandbox")
    if not base_url or not key:
        return None
    return Target(
        base_url=base_url.rstrip("/"),
        api_key=key,
        email=args.email or demo.get("email"),
        password=args.password or os.environ.get("VOISNAP_PASSWORD") or demo.get("password"),
        agent_id=args.agent,
        lift_limit=args.raise_limit,
    )


def _no_line(target: Target) -> str | None:
    """Why nobody can telephone there."""
    if (target.api_key or "").startswith("vsnp_live_"):
        return "--line calls over simulated carriers, which only the sandbox has: give a sandbox key (vsnp_sb_…)"
    file = home_folder().simulator_file
    try:
        launch(file)
    except ValueError:
        return f"{file.parent} has no simulated carriers: run it on the machine of the platform, started without SIMULATOR=off"
    return None


def _demo() -> dict[str, str]:
    path = Path(os.environ.get("VOISNAP_HOME") or ".voisnap") / "demo.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _callers(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_CALLERS:
        raise argparse.ArgumentTypeError(f"from 1 to {MAX_CALLERS}")
    return count


def _seconds(text: str) -> float:
    found = _DURATION.match(text)
    seconds = float(found[1]) * (60 if found[2] == "m" else 1) if found else 0.0
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("like 30s or 2m, from one second to an hour")
    return seconds


def _complain(text: str, code: int) -> int:
    print(f"voisnap load: {text}", file=sys.stderr)
    return code


class _Progress:
    """One line that changes, on a terminal; a line now and then elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._told_at = 0.0
        self._width = 0

    def __call__(self, text: str) -> None:
        if self._quiet:
            return
        if self._is_terminal:
            print(f"\r{text.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        elif time.monotonic() - self._told_at > 5:
            self._told_at = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room for what follows."""
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
            self._width = 0

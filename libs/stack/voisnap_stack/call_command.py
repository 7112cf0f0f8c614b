"""`voisnap call`: talk with an agent from the command line."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from voisnap_media import files

from .call import (
    CallEvent,
    CallFailed,
    CallPlan,
    CallReport,
    Line,
    Lost,
    Restored,
    Silenced,
    Started,
    Trouble,
    Turn,
    place_call,
)
from .call_media import MicrophoneMissing

_DESCRIPTION = """\
Calls an agent over WebRTC as a browser would, speaks WAV files or your microphone, and shows what both sides say and
how long each answer took. Without options it uses the demo agent that `make up` left in $VOISNAP_HOME/demo.json.
"""


_BROKEN = ("error", "unknown", "disconnected", "node_lost")
"""Reasons for which a call that was made still failed."""


def add_parser(subparsers: Any) -> None:
    """Add `call` to the command line."""
    parser = subparsers.add_parser(
        "call",
        help="talk with an agent from the command line",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--wav",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a sound file to speak; may be given several times: each is spoken when the agent has answered the one before",
    )
    parser.add_argument(
        "--mic", action="store_true", help="speak with the microphone and hear the agent (needs sounddevice)"
    )
    parser.add_argument("--agent", metavar="ID", help="the agent to call (default: the demo agent)")
    parser.add_argument("--base-url", metavar="URL", help="the platform (default: the one of demo.json)")
    parser.add_argument("--email", help="log in as (default: the demo login)")
    parser.add_argument("--password", help="its password; better in VOISNAP_PASSWORD")
    parser.add_argument("--token", help="an access token instead of a login; better in VOISNAP_TOKEN")
    parser.add_argument("--save", type=Path, metavar="FILE.wav", help="write what the agent said to a WAV file")
    parser.add_argument(
        "--pause", type=float, default=0.6, metavar="SECONDS", help="between an answer and the next file"
    )
    parser.add_argument(
        "--interrupt",
        type=float,
        metavar="SECONDS",
        help="speak into the agent's speech, so long after it began, and measure when it falls silent",
    )
    parser.add_argument("--max-seconds", type=float, default=600.0, metavar="SECONDS", help="hang up after so long")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end and nothing else")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the call that the options describe; 0 when it was made, 1 when it failed, 2 for bad options."""
    try:
        plan = _plan(args)
    except CallFailed as error:
        return _complain(str(error), 2)
    shown = _Silent() if args.json else _Shown()
    try:
        report = asyncio.run(_call(plan, shown))
        if args.save is not None:
            files.write_wav(args.save, report.heard)
    except (CallFailed, MicrophoneMissing) as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("the call was broken off", 130)
    except OSError as error:
        return _complain(f"cannot write {args.save}: {error.strerror or error}", 1)
    if args.json:
        print(json.dumps(_document(report), indent=2))
    else:
        _summary(report, args.save)
    return 1 if report.reason in _BROKEN else 0


def _complain(text: str, code: int) -> int:
    print(f"voisnap call: {text}", file=sys.stderr)
    return code


def _plan(args: argparse.Namespace) -> CallPlan:
    demo = _demo()
    if bool(args.wav) == args.mic:
        raise CallFailed("say something: --wav FILE (once or several times) or --mic")
    base_url, agent = args.base_url or demo.get("baseUrl"), args.agent or demo.get("agentId")
    if not base_url or not agent:
        raise CallFailed(
            "no platform known: run `make up` first, set VOISNAP_HOME to its state folder, or give --base-url and --agent"
        )
    own = bool(args.email)
    token = args.token or os.environ.get("VOISNAP_TOKEN") or None
    return CallPlan(
        base_url=base_url,
        agent_id=agent,
        token=token,
        # The demo key needs no login, of which a minute allows only a few (rate policy `auth-strict`).
        api_key=None if own or token or args.base_url else demo.get("apiKeyLive"),
        email=args.email or demo.get("email"),
        password=args.password or os.environ.get("VOISNAP_PASSWORD") or (None if own else demo.get("password")),
        sounds=tuple(_sound(path) for path in args.wav),
        microphone=args.mic,
        pause_seconds=args.pause,
        interrupt_after=args.interrupt,
        max_seconds=args.max_seconds,
    )


def _demo() -> dict[str, str]:
    path = Path(os.environ.get("VOISNAP_HOME") or ".voisnap") / "demo.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CallFailed(f"{path} cannot be read: {error}") from error


def _sound(path: Path) -> Any:
    try:
        return files.read(path, 48000)
    except OSError as error:
        raise CallFailed(f"{path} cannot be opened: {error.strerror or error}") from error
    except files.UnreadableSound as error:
        raise CallFailed(str(error)) from error


async def _call(plan: CallPlan, shown: "_Shown") -> CallReport:
    hang_up = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        # The first Ctrl-C hangs up in order, a second one ends the command.
        loop.remove_signal_handler(signal.SIGINT)
        hang_up.set()

    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGINT, interrupted)
        loop.add_signal_handler(signal.SIGTERM, hang_up.set)
    return await place_call(plan, shown.tell, hang_up)


class _Shown:
    """Writes the call to the terminal as it goes; unfinished words only where they can be overwritten."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._live = sys.stdout.isatty()
        self._pending = False

    def tell(self, event: CallEvent) -> None:
        """Show one event."""
        match event:
            case Started(agent_name=name, conversation_id=conversation):
                self._write(f"connected with {name or 'the agent'} · conversation {conversation}")
            case Line(is_final=True, text=text) if text:
                self._write(f"{self._clock()} {_who(event)} {text}")
            case Line(text=text) if self._live and text:
                print(f"\r\x1b[2K{self._clock()} {_who(event)} \x1b[2m{text[-100:]}\x1b[0m", end="", flush=True)
                self._pending = True
            case Turn():
                self._write(f"        {_latency(event)}")
            case Silenced(after_ms=after):
                self._write(f"        the agent fell silent {after:.0f} ms after you began to speak")
            case Lost():
                self._write(f"{self._clock()} the connection is lost; reconnecting …")
            case Restored(gap_seconds=gap):
                self._write(f"{self._clock()} back: nothing was heard for {gap:.1f} s")
            case Trouble(code=code, message=message):
                self._write(f"{self._clock()} error  {message} ({code})")
            case _:
                pass

    def _write(self, text: str) -> None:
        if self._pending:
            print("\r\x1b[2K", end="")
            self._pending = False
        print(text, flush=True)

    def _clock(self) -> str:
        minutes, seconds = divmod(time.monotonic() - self._began, 60)
        return f"{int(minutes):02d}:{seconds:04.1f}"


class _Silent(_Shown):
    def tell(self, event: CallEvent) -> None:
        """Show nothing."""
        del event


def _who(line: Line) -> str:
    return "agent " if line.speaker == "agent" else "caller"


def _latency(turn: Turn) -> str:
    heard = "" if turn.heard_ms is None else f"heard after {turn.heard_ms:.0f} ms"
    if turn.server is None:
        return heard
    one = turn.server
    parts = (
        f"server {one.total_ms:.0f} ms = endpointing {one.endpointing_ms:.0f} + stt {one.stt_ms:.0f} + llm {one.llm_ms:.0f}"
        f" + tts {one.tts_ms:.0f} + platform {one.platform_ms:.0f}"
    )
    return f"{heard} · {parts}" if heard else parts


def _summary(report: CallReport, saved: Path | None) -> None:
    print()
    print(f"ended         {report.reason} after {report.duration_seconds:.1f} s")
    if report.failure is not None:
        print(f"because       {report.failure}")
    print(f"turns         {len(report.heard_latencies_ms)} answered")
    p50, p95 = report.percentile(0.5), report.percentile(0.95)
    if p50 is not None and p95 is not None:
        print(f"answers       p50 {p50:.0f} ms · p95 {p95:.0f} ms (end of your voice to the agent's first sound)")
    print(f"conversation  {report.conversation_id}")
    if saved is not None:
        print(f"saved         {saved} ({report.heard.seconds:.1f} s)")


def _document(report: CallReport) -> dict[str, Any]:
    return {
        "conversationId": report.conversation_id,
        "sessionId": report.session_id,
        "agentName": report.agent_name,
        "reason": report.reason,
        "failure": report.failure,
        "durationSeconds": report.duration_seconds,
        "answers": len(report.heard_latencies_ms),
        "latencyMs": {
            "p50": report.percentile(0.5),
            "p95": report.percentile(0.95),
            "all": list(report.heard_latencies_ms),
        },
        "silencedMs": list(report.silenced_ms),
        "gapsSeconds": list(report.gaps_seconds),
        "transcript": [{"turnId": line.turn_id, "speaker": line.speaker, "text": line.text} for line in report.lines],
        "turns": [
            {"turnId": turn.turn_id, "heardMs": turn.heard_ms, "server": msgspec.to_builtins(turn.server)}
            for turn in report.turns
        ],
    }

"""Turns that end by how they sounded: what the model's decision adds, on one core, for the platform and for Pipecat with its smart-turn.

    .venv/bin/python tests-e2e/load/semantic_turns.py [--callers 20] [--json]

The callers say whole human sentences that sound over. Both servers run the same network; the overhead is what comes on top of the silence each
waits for in any case (250 ms here, 200 ms there).
"""

import argparse
import asyncio
import gc
import json
import os
import re
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import numpy as np
import uvloop
from compare import Callers, Contender, one_step, peer_join, platform_join
from hesitant_speech import voice
from peer_process import PeerMissing, peer_server
from platform_server import platform_server
from voisnap_domain.agents import Endpointing, EndpointingProvider
from voisnap_domain.turntaking.endings import LIKELY_SILENCE_MS
from voisnap_media.endpointing import SpeechGate
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.vad import RATE, WINDOW, VadModel, VadState
from voisnap_stack.load_audio import FRAME, Utterance, described
from voisnap_stack.load_callers import CallerClock, Habits
from voisnap_stack.load_report import report
from voisnap_stack.load_steps import Step
from voisnap_stack.models import models_folder

SENTENCES = ("human-had-leisure.flac", "human-more-amiable.flac", "human-two-cards.flac", "human-three-cards.flac")
"""The network takes all of them for over at their end and nowhere before, in quiet and in noise."""
PIPECAT_SILENCE = 0.2
SECONDS = 30.0


def said() -> tuple[Utterance, ...]:
    """The sentences, in whole frames that end where a voice detector hears the end: what is quieter is no one's delay."""
    vad = VadModel.load(models_folder() / "silero-vad" / "silero_vad.onnx")
    spoken: list[Samples] = [np.rint(voice(name)).astype(np.int16) for name in SENTENCES]
    voices = [one[: voiced_samples(one, vad)] for one in spoken]
    return tuple(Utterance(audio=Pcm(np.pad(one, (-len(one) % FRAME, 0)), RATE)) for one in voices)


def voiced_samples(speech: Samples, vad: VadModel) -> int:
    """Up to the end of the last window that is voice."""
    gate, states = SpeechGate(), [VadState()]
    padded = np.pad(speech, (0, WINDOW + -len(speech) % WINDOW)) * np.float32(1 / 32768)
    for start in range(0, len(padded), WINDOW):
        gate.feed(float(vad.probabilities(padded[None, start : start + WINDOW], states)[0]))
    return min(len(speech), gate.last_voiced_ms * RATE // 1000)


async def measure(args: argparse.Namespace) -> list[Step]:
    """One step of each server."""
    speech = said()
    mine = Callers(Habits(silence=LIKELY_SILENCE_MS / 1000, interrupt_every=0), speech)
    theirs = Callers(Habits(silence=PIPECAT_SILENCE, interrupt_every=0), speech)
    args.sent = described(mine.rooms, speech)
    endpointing = Endpointing(provider=EndpointingProvider.SEMANTIC)

    def plan_for(_: Any, plan: Any) -> Any:
        config = msgspec.structs.replace(plan.agent.config, endpointing=endpointing)
        return msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))

    steps: list[Step] = []
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(platform_server(core=args.core, silence_ms=700, plan_for=plan_for))
        contenders = [
            Contender(ours.name, ours.pid, f"{ours.url}/metrics", lambda channel: platform_join(ours, mine, channel))
        ]
        try:
            peer = await stack.enter_async_context(
                peer_server("pipecat", core=args.core, silence_ms=700, arguments=("smart-turn",))
            )
        except PeerMissing as error:
            args.missing = str(error)
        else:
            contenders.append(Contender(peer.name, peer.pid, None, lambda channel: peer_join(peer, theirs, channel)))
        gc.collect()
        gc.freeze()
        clock = CallerClock()
        clock.start()
        for count in args.callers:
            for contender in contenders:
                before = await judged(ours.url)
                steps.append(await one_step(contender, "voice", count, SECONDS, clock))
                if contender.name == ours.name:
                    args.judged.append(f"{count} callers: {decisions(before, await judged(ours.url))}")
        clock.stop()
    return steps


async def judged(url: str) -> dict[float, float]:
    """How many decisions took up to so many milliseconds, as the runtime counts them."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        text = (await http.get(f"{url}/metrics")).text
    found = re.findall(r'^voisnap_turn_judged_seconds_bucket\{le="([^"]+)"\} (\S+)', text, re.MULTILINE)
    return {float(limit) * 1000: float(count) for limit, count in found}


def decisions(before: dict[float, float], after: dict[float, float]) -> str:
    """What the decisions in between took."""
    counts = {limit: count - before.get(limit, 0.0) for limit, count in sorted(after.items())}
    total = max(counts.values(), default=0.0)
    if not total:
        return "the network was not asked"
    p50, p95 = (next(limit for limit, count in counts.items() if count >= share * total) for share in (0.5, 0.95))
    return f"{total:.0f} decisions of the network, from question to answer p50 <= {p50:g} ms, p95 <= {p95:g} ms"


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=lambda text: [int(n) for n in text.split(",")], default=[20])
    parser.add_argument("--core", type=int, default=0, help="the servers' core; the callers use the others")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.missing, args.judged = None, []
    if others := os.sched_getaffinity(0) - {args.core}:
        os.sched_setaffinity(0, others)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        steps = runner.run(measure(args))
    print(
        json.dumps(msgspec.to_builtins(steps))
        if args.json
        else f"{report(steps)}\n{args.sent}\n" + "\n".join(args.judged)
    )
    if args.missing:
        print(f"without the peer: {args.missing}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

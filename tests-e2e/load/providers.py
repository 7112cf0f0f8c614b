"""What adapters and chains cost, and how soon the next provider takes over, against the vendors' emulators on this machine.

    .venv/bin/python tests-e2e/load/providers.py [--rounds 5] [--turns 30] [--failovers 30] [--json]

Cost: CPU of this process for one streamed token (OpenAI), one chunk of sound (ElevenLabs) and one stretch of heard speech (Deepgram), by a bare
client of the same emulator in the same run, by our adapter, and by the adapter as a call uses it (metered, in a chain with a fallback).
Requests: from the end of a caller's speech, and from his last words, to the moment the language model's server has the request; endpointing's
silence is taken off. Failover: from asking (or from the break) to the first output of the next provider.
"""

import argparse
import asyncio
import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import websockets
from turn_latency import QUESTIONS, Microphone, Received, percentiles, plan_of, spoken
from voisnap_domain.agents import Llm, LlmProvider, Transcription, TranscriptionProvider, Voice, VoiceProvider
from voisnap_domain.sessions import EndReason
from voisnap_media.pcm import Pcm
from voisnap_media.vad import VadModel
from voisnap_providers.accounts import Account
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LlmRequest, Message, Role, TextDelta
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.resilience import Link, ResilientLlm, ResilientTts
from voisnap_providers.resilient_stt import ResilientStt
from voisnap_providers.vendors.factories import vendor
from voisnap_runtime.pipeline.call import Call
from voisnap_runtime.pipeline.ear import VadTicker
from voisnap_runtime.providers import LLM_POLICY, STT_POLICY, TTS_POLICY
from voisnap_runtime.transports.pacing import Pacer
from voisnap_stack.models import models_folder
from voisnap_testkit.anthropic_emulator import AnthropicEmulator
from voisnap_testkit.aws_emulator import AwsEmulator
from voisnap_testkit.azure_emulator import AzureEmulator
from voisnap_testkit.deepgram_emulator import DeepgramEmulator
from voisnap_testkit.elevenlabs_emulator import ElevenLabsEmulator
from voisnap_testkit.emulated_voice import ToneVoice
from voisnap_testkit.fakes_speech import FakeStt, FakeTts
from voisnap_testkit.fakes_speech import spoken as hidden
from voisnap_testkit.openai_emulator import OpenAiEmulator

TOKENS = 1500
SENTENCE = (
    "A professional teeth cleaning costs one hundred and ten dollars and takes about half an hour of your time. " * 4
)
STRETCH = "how much does a professional teeth cleaning cost if I come on a monday in the morning"
STRETCHES = 4
PACE = 0.01
"""Seconds for three frames of 20 ms: as fast as the adapter hands them on."""
LLM = Llm(provider=LlmProvider.OPENAI, model="gpt-4o-mini")
CLAUDE = Llm(provider=LlmProvider.ANTHROPIC, model="claude-haiku-4-5")
VOICE = Voice(provider=VoiceProvider.ELEVENLABS, voice_id="21m00Tcm4TlvDq8ikWAM")
JOANNA = Voice(provider=VoiceProvider.AWS, voice_id="Joanna")
HEARS = Transcription(provider=TranscriptionProvider.DEEPGRAM, model="nova-3", language="en-US")
HEARS_TOO = Transcription(provider=TranscriptionProvider.AZURE, language="en-US")
REQUEST = LlmRequest(messages=(Message(role=Role.USER, content="How much is it?"),), settings=LLM)


class Punctual(OpenAiEmulator):
    """Answers with the moment at which it got the question, by the clock that all processes of a machine share."""

    def knows(self, seen: Any) -> bool:
        self.always(f"{time.monotonic():.6f}")
        return super().knows(seen)


async def serve() -> None:
    """The vendors, in a process of their own."""
    running: dict[str, Any] = {
        "openai": OpenAiEmulator(key="key"),
        "punctual": Punctual(key="key"),
        "anthropic": AnthropicEmulator(key="key"),
        "elevenlabs": ElevenLabsEmulator(ToneVoice(), key="key"),
        "aws": AwsEmulator(voice=ToneVoice()),
        "deepgram": DeepgramEmulator(key="key"),
        "azure": AzureEmulator(key="key"),
    }
    for emulator in running.values():
        await (emulator.start(0) if hasattr(emulator, "start") else emulator.__aenter__())
    told = {name: {"base_url": emulator.url} for name, emulator in running.items()}
    for name in ("aws", "azure"):
        told[name] = {**running[name].secrets, **running[name].options}
    print(json.dumps(told), flush=True)
    await asyncio.Event().wait()


class Vendors:
    """Adapters of the emulators, and how to lead these."""

    def __init__(self, told: dict[str, dict[str, str]]) -> None:
        self.told = told

    def account(self, name: str, provider: str = "") -> Account:
        values = self.told[name]
        return Account(id="bench", provider=provider or name, secrets={"api_key": "key", **values}, options=values)

    def port(self, kind: str, name: str) -> Any:
        return vendor(kind, name, self.account(name))

    def url(self, name: str) -> str:
        values = self.told[name]
        return (values.get("base_url") or values.get("polly_url") or values["tts_url"]).removesuffix("/v1")

    def script(self, name: str, *steps: Any) -> None:
        httpx.post(f"{self.url(name)}/_emulator/script", json=list(steps), timeout=5).raise_for_status()


async def cpu(work: Callable[[], Awaitable[int]], rounds: int) -> float:
    """Microseconds of CPU for one output, the least of several rounds after one to warm up."""
    found = []
    for _ in range(rounds + 1):
        began = time.process_time()
        count = await work()
        found.append((time.process_time() - began) / count * 1e6)
    return min(found[1:])


# --- one token


async def tokens(vendors: Vendors, rounds: int) -> dict[str, float]:
    reply = {"kind": "reply", "text": "word" * TOKENS}
    adapter = vendors.port("llm", "openai")
    meter = CallMeter()
    chain = ResilientLlm(
        (Link(meter.llm(adapter), LLM), Link(meter.llm(vendors.port("llm", "anthropic")), CLAUDE)),
        policy=LLM_POLICY,
        random=random.random,
    )
    client = httpx.AsyncClient(timeout=30, headers={"Authorization": "Bearer key"})
    body = {
        "model": LLM.model,
        "messages": [{"role": "user", "content": "How much is it?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    async def bare() -> int:
        vendors.script("openai", reply)
        count = 0
        async with client.stream("POST", f"{vendors.url('openai')}/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    choices = json.loads(line[6:])["choices"]
                    count += bool(choices and choices[0]["delta"].get("content"))
        return count

    def by(model: Any) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            vendors.script("openai", reply)
            return sum([isinstance(delta, TextDelta) async for delta in model.answer(REQUEST)])

        return run

    return {
        "bare": await cpu(bare, rounds),
        "adapter": await cpu(by(adapter), rounds),
        "call": await cpu(by(chain), rounds),
    }


# --- one chunk of sound


async def chunks(vendors: Vendors, rounds: int) -> dict[str, float]:
    """By 100 ms of sound: adapters make other chunks than the network does."""
    adapter = vendors.port("tts", "elevenlabs")
    meter = CallMeter()
    links = (Link(meter.tts(adapter), VOICE), Link(meter.tts(vendors.port("tts", "aws")), JOANNA))
    chain = ResilientTts(links, policy=TTS_POLICY, random=random.random)
    client = httpx.AsyncClient(timeout=30, headers={"xi-api-key": "key"})
    url = f"{vendors.url('elevenlabs')}/v1/text-to-speech/{VOICE.voice_id}/stream/with-timestamps"
    body = {"text": SENTENCE, "model_id": "eleven_flash_v2_5"}

    async def bare() -> int:
        samples = 0
        async with client.stream("POST", url, json=body, params={"output_format": "pcm_24000"}) as answer:
            async for line in answer.aiter_lines():
                if line.strip():
                    sound = base64.b64decode(json.loads(line)["audio_base64"])
                    samples += len(np.frombuffer(sound[: len(sound) // 2 * 2], "<i2"))
        return samples // 2400

    def by(voice: Any) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            return sum([len(chunk.audio) async for chunk in voice.speak(SENTENCE, VOICE)]) // 2400

        return run

    return {
        "bare": await cpu(bare, rounds),
        "adapter": await cpu(by(adapter), rounds),
        "call": await cpu(by(chain), rounds),
    }


# --- one event of a transcript


def frames_of(text: str) -> list[Pcm]:
    sound = hidden(text)
    return [sound.slice(at, at + 20) for at in range(0, round(sound.duration_ms), 20)]


async def events(vendors: Vendors, rounds: int) -> dict[str, float]:
    """By stretch of five seconds: 250 frames in, its interim results and its final one out."""
    frames = frames_of(STRETCH)
    meter = CallMeter()
    adapter = vendors.port("stt", "deepgram")
    links = (Link(meter.stt(adapter), HEARS), Link(meter.stt(vendors.port("stt", "azure")), HEARS_TOO))
    chain = ResilientStt(links, policy=STT_POLICY, random=random.random)
    query = "model=nova-3&language=en-US&encoding=linear16&sample_rate=16000&channels=1&interim_results=true&endpointing=false"
    address = vendors.url("deepgram").replace("http", "ws") + f"/v1/listen?{query}"

    async def bare() -> int:
        async with websockets.connect(address, additional_headers={"Authorization": "Token key"}) as socket:
            for _ in range(STRETCHES):
                batch = []
                for frame in frames:
                    batch.append(frame.to_bytes())
                    if len(batch) == 3:
                        await socket.send(b"".join(batch))
                        await asyncio.sleep(PACE)
                        batch = []
                await socket.send(b"".join(batch) or frames[0].to_bytes())
                await socket.send('{"type":"Finalize"}')
                async for message in socket:
                    if json.loads(message).get("from_finalize"):
                        break
        return STRETCHES

    def by(recogniser: Any) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            stream = recogniser.open(HEARS)
            results = aiter(stream)
            for _ in range(STRETCHES):
                for number, frame in enumerate(frames):
                    stream.push(frame)
                    if number % 3 == 2:
                        await asyncio.sleep(PACE)
                stream.flush()
                while not (await anext(results)).is_final:
                    pass
            await stream.aclose()
            return STRETCHES

        return run

    return {
        "bare": await cpu(bare, rounds),
        "adapter": await cpu(by(adapter), rounds),
        "call": await cpu(by(chain), rounds),
    }


# --- from the end of speech to the request


class Noting(FakeStt):
    """Notes when it handed out its last final words."""

    final_at = 0.0

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> Any:
        stream = super().open(settings, keyterms=keyterms)
        results = stream._iterate

        async def noted() -> AsyncIterator[Any]:
            async for transcript in results():
                if transcript.is_final:
                    self.final_at = asyncio.get_running_loop().time()
                yield transcript

        stream._iterate = noted
        return stream


async def requests(vendors: Vendors, turns: int, silence_ms: int = 500) -> dict[str, Any]:
    models = models_folder()
    registry = Registry(ProviderSettings(models_dir=models))
    await registry.warm(("tts",))
    ticker = VadTicker(VadModel.load(models / "silero-vad" / "silero_vad.onnx"))
    plan = plan_of(silence_ms)
    question = await spoken(registry.tts("local"), plan.agent.config.voice, QUESTIONS[0])
    plan = msgspec.structs.replace(
        plan, agent=msgspec.structs.replace(plan.agent, config=msgspec.structs.replace(plan.agent.config, llm=LLM))
    )
    replies: asyncio.Queue[float] = asyncio.Queue()
    adapter = vendor("llm", "openai", vendors.account("punctual", "openai"))
    meter = CallMeter()
    llm = ResilientLlm(
        (Link(meter.llm(adapter), LLM), Link(meter.llm(vendors.port("llm", "anthropic")), CLAUDE)),
        policy=LLM_POLICY,
        random=random.random,
    )

    class Reading(FakeTts):
        """Reads what the model's server says of when it was asked."""

        async def speak(self, text: str, voice: Voice) -> AsyncIterator[Any]:
            replies.put_nowait(float(text.strip()))
            async for chunk in super().speak("Yes.", voice):
                yield chunk

    stt = Noting([QUESTIONS[0]] * (turns + 1), partials=False)
    call = Call(
        plan,
        stt=meter.stt(stt),
        tts=meter.tts(Reading()),
        llm=llm,
        vad=ticker,
        recorder=None,
        notify=lambda event: None,
        meter=meter,
    )
    run = asyncio.create_task(call.run())
    await asyncio.sleep(0)
    pacer, microphone = Pacer(), Microphone(call)
    for tick in (microphone.tick, ticker.tick):
        pacer.on_tick(tick)
    pacer.add(call, Received())
    pacer.start()
    await asyncio.sleep(0.7)
    from_speech, from_words = [], []
    for _ in range(turns):
        microphone.say(question)
        asked_at = await asyncio.wait_for(replies.get(), 20)
        from_speech.append((asked_at - microphone.speech_ended) * 1000 - silence_ms)
        from_words.append((asked_at - stt.final_at) * 1000)
        await asyncio.sleep(0.6)
    call.end(EndReason.USER_ENDED)
    await run
    pacer.stop()
    await registry.aclose()
    return {"after_silence_ms": percentiles(from_speech), "after_last_words_ms": percentiles(from_words)}


# --- failing over


async def failover(vendors: Vendors, times: int) -> dict[str, Any]:
    openai, claude = vendors.port("llm", "openai"), vendors.port("llm", "anthropic")
    eleven, polly = vendors.port("tts", "elevenlabs"), vendors.port("tts", "aws")
    deepgram, azure = vendors.port("stt", "deepgram"), vendors.port("stt", "azure")
    await asyncio.gather(openai.warm(), claude.warm(), eleven.warm(), polly.warm())

    async def first_word(*steps: Any, pace: float = 0.05) -> float:
        vendors.script("openai", *steps)
        link = Link(openai, LLM)
        link.circuit.began(link.label, pace)
        llm = ResilientLlm((link, Link(claude, CLAUDE)), policy=LLM_POLICY, random=random.random)
        began = time.monotonic()
        answer = llm.answer(REQUEST)
        await anext(answer)
        took = (time.monotonic() - began) * 1000
        await answer.aclose()
        return took

    async def first_sound(*steps: Any) -> float:
        vendors.script("elevenlabs", *steps)
        tts = ResilientTts((Link(eleven, VOICE), Link(polly, JOANNA)), policy=TTS_POLICY, random=random.random)
        began = last = time.monotonic()
        longest = 0.0
        async for _ in tts.speak(SENTENCE, VOICE):
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return longest * 1000 if last > began else float("nan")

    async def final_words() -> float:
        vendors.script("deepgram", {"kind": "cut", "seconds": 2.0}, *[{"kind": "refused", "status": 503}] * 4)
        links = (Link(deepgram, HEARS), Link(azure, HEARS_TOO))
        stream = ResilientStt(links, policy=STT_POLICY, random=random.random).open(HEARS)
        results = aiter(stream)
        for frame in frames_of("how much is a cleaning please and when can I come"):
            stream.push(frame)
        began = time.monotonic()
        stream.flush()
        while not (final := await anext(results)).is_final:
            pass
        took = (time.monotonic() - began) * 1000
        await stream.aclose()
        vendors.script("deepgram")
        return took if final.text else float("nan")

    cases: dict[str, Callable[[], Awaitable[float]]] = {
        "llm cut before its first word": lambda: first_word({"kind": "cut", "text": ""}),
        "llm 503": lambda: first_word({"kind": "failure", "status": 503}),
        "llm 429": lambda: first_word({"kind": "failure", "status": 429, "retry_after": 2}),
        "llm silent": lambda: first_word({"kind": "slow", "seconds": 20, "text": "late"}),
        "voice without sound": lambda: first_sound({"kind": "no_sound"}),
        "voice 503": lambda: first_sound({"kind": "refused", "status": 503}),
        "voice cut in a sentence": lambda: first_sound({"kind": "cut", "seconds": 2.0}),
        "recogniser dies": final_words,
    }
    return {name: percentiles([await case() for _ in range(times)]) for name, case in cases.items()}


async def measure(told: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    vendors = Vendors(told)
    cost = {
        "token": await tokens(vendors, arguments.rounds),
        "100 ms of sound": await chunks(vendors, arguments.rounds),
        "stretch of speech": await events(vendors, max(2, arguments.rounds // 2)),
    }
    return {
        "cost_us": cost,
        "request": await requests(vendors, arguments.turns),
        "failover_ms": await failover(vendors, arguments.failovers),
    }


def table(result: dict[str, Any]) -> str:
    """The figures as a person reads them."""
    lines = [f"{'CPU, us':24} {'bare':>9} {'adapter':>9} {'x':>6} {'in a call':>9} {'x':>6}"]
    for name, found in result["cost_us"].items():
        bare, adapter, call = (found[key] for key in ("bare", "adapter", "call"))
        lines.append(f"{name:24} {bare:9.1f} {adapter:9.1f} {adapter / bare:6.2f} {call:9.1f} {call / bare:6.2f}")
    lines.append(f"\n{'ms':32} {'p50':>8} {'p95':>8} {'max':>8}")
    for name, found in {**result["request"], **result["failover_ms"]}.items():
        lines.append(f"{name:32} {found['p50']:8.1f} {found['p95']:8.1f} {found['max']:8.1f}")
    return "\n".join(lines)


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--failovers", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return 0
    process = subprocess.Popen([sys.executable, str(Path(__file__)), "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        result = asyncio.run(measure(json.loads(process.stdout.readline()), arguments))
    finally:
        process.kill()
    print(json.dumps(result) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

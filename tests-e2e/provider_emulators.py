"""Every vendor's emulator in one process, with one voice and one recogniser among them.

    .venv/bin/python tests-e2e/provider_emulators.py

Prints a line of JSON: `environment` (what a platform needs to reach them all) and `control` (where each is led and asked for violations);
then `ready` when the models are loaded. Runs until it is stopped.
"""

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from voisnap_media.resample import resample
from voisnap_providers.accounts import PROVIDERS
from voisnap_testkit.anthropic_emulator import AnthropicEmulator
from voisnap_testkit.assemblyai_emulator import AssemblyAiEmulator
from voisnap_testkit.aws_emulator import AwsEmulator
from voisnap_testkit.azure_emulator import AzureEmulator
from voisnap_testkit.cohere_emulator import CohereEmulator
from voisnap_testkit.deepgram_emulator import DeepgramEmulator
from voisnap_testkit.elevenlabs_emulator import ElevenLabsEmulator
from voisnap_testkit.emulated_voice import LocalVoice
from voisnap_testkit.emulated_words import LocalWords
from voisnap_testkit.gemini_emulator import GeminiEmulator
from voisnap_testkit.google_speech_emulator import GoogleSpeechEmulator
from voisnap_testkit.llm_emulator import Asked, Turn
from voisnap_testkit.openai_emulator import OpenAiEmulator
from voisnap_testkit.platform import free_port


async def main() -> None:
    """Run them all."""
    voice, words = LocalVoice(), LocalWords()
    google_control = free_port()
    running: dict[str, Any] = {
        "openai": OpenAiEmulator(key="sk-test", thinks=True),
        "openai_compatible": OpenAiEmulator(key="sk-other"),
        "anthropic": AnthropicEmulator(key="sk-ant-test"),
        "gemini": GeminiEmulator(key="AIza-test"),
        "cohere": CohereEmulator(key="co-test"),
        "deepgram": DeepgramEmulator(words),
        "assemblyai": AssemblyAiEmulator(words),
        "elevenlabs": ElevenLabsEmulator(voice),
        "google": GoogleSpeechEmulator(voice, words, control_port=google_control),
        "aws": AwsEmulator(voice=voice, recogniser=words),
        "azure": AzureEmulator(voice=voice, recogniser=words),
    }
    thinker = running["openai"]._thinker
    for name in ("openai_compatible", "anthropic", "gemini", "cohere"):  # one model for all
        running[name]._thinker = thinker
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        for emulator in running.values():
            if hasattr(emulator, "__aenter__"):
                await stack.enter_async_context(emulator)
            else:
                await emulator.start(0)
                stack.push_async_callback(emulator.stop)
        control = {name: origin_of(emulator.url) for name, emulator in running.items()}
        control["google"] = f"http://127.0.0.1:{google_control}"
        told = json.dumps({"environment": environment(running), "control": control})
        print(told, flush=True)
        speech = await voice.say("Ready.")  # models are loaded before anybody calls
        await words.words(resample(speech.audio, 16000))
        await thinker.reply(Asked(model="gpt-4o-mini", system="You are Aria.", turns=(Turn(role="user", text="Hi"),)))
        print("ready", flush=True)
        await stopped.wait()
        for emulator in running.values():  # told to whoever asked; leaving must not raise
            emulator.violations.clear()


def origin_of(url: str) -> str:
    """A URL without its path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def environment(running: dict[str, Any]) -> dict[str, str]:
    """The variables of a platform whose accounts are all there."""
    values: dict[str, dict[str, str]] = {
        name: {"api_key": running[name].key, "base_url": running[name].url}
        for name in ("openai", "openai_compatible", "anthropic", "cohere", "deepgram", "assemblyai", "elevenlabs")
    }
    values["google"] = {
        "api_key": running["gemini"].key,
        "gemini_base_url": running["gemini"].url,
        "speech_endpoint": running["google"].url,
        "tts_endpoint": running["google"].url,
        "project": "voisnap-test",
    }
    for name in ("aws", "azure"):
        values[name] = {**running[name].secrets, **running[name].options}
    return {
        setting.variable: values[provider][setting.name]
        for provider in values
        for setting in PROVIDERS[provider]
        if setting.name in values[provider]
    }


if __name__ == "__main__":
    asyncio.run(main())

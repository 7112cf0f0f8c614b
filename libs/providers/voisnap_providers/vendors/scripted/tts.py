"""A voice that is a steady tone as long as its text would take, at once: for load measurements and demos without models."""

import functools
import re
from collections.abc import AsyncGenerator

import numpy as np
from voisnap_domain.agents import Voice
from voisnap_media.pcm import Pcm, Samples

from voisnap_providers.ports.tts import SpeechChunk, SpokenWord, TtsCapabilities

RATE = 24000
CHAR_SECONDS = 0.06
"""Speech of one character at speed 1: about 15 characters a second, as people read aloud."""
TONE_HZ = 220
TONE_PEAK = 6000
MAX_SECONDS = 60

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"\S+")


class ScriptedTts:
    """One a process; keeps one tone for all."""

    provider = "scripted"
    capabilities = TtsCapabilities(sample_rate=RATE, word_timings=True, voices=("tone",))

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """A tone a sentence, at most `MAX_SECONDS` each; text without anything to say yields nothing."""
        second_per_char = CHAR_SECONDS / voice.speed
        for sentence in _SENTENCE_END.split(text.strip()):
            if re.search(r"\w", sentence):
                yield _spoken(sentence[: int(MAX_SECONDS / second_per_char)], second_per_char)

    async def warm(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing to free."""


def _spoken(sentence: str, second_per_char: float) -> SpeechChunk:
    audio = Pcm(_tone()[: round(len(sentence) * second_per_char * RATE)], RATE)
    words = tuple(
        SpokenWord(word=match[0], start=match.start() * second_per_char, end=match.end() * second_per_char)
        for match in _WORD.finditer(sentence)
    )
    return SpeechChunk(audio=audio, text=sentence, words=words)


@functools.cache
def _tone() -> Samples:
    moments = np.arange(RATE) / RATE
    second = np.rint(TONE_PEAK * np.sin(2 * np.pi * TONE_HZ * moments)).astype(np.int16)
    tone = np.tile(second, MAX_SECONDS)  # whole periods: the seconds join without a step
    tone.setflags(write=False)
    return tone

"""Text to speech."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

import msgspec
from voisnap_domain.agents import Voice

if TYPE_CHECKING:  # it comes with numpy: 120 ms and 25 MB of every process that handles no sound
    from voisnap_media.pcm import Pcm


class TtsCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    sample_rate: int = 24000
    word_timings: bool = False
    voices: tuple[str, ...] = ()


class SpokenWord(msgspec.Struct, frozen=True, kw_only=True):
    """A word of the text as written and where it lies in its chunk's audio, in seconds from the chunk's start."""

    word: str
    start: float
    end: float


class SpeechChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of audio with the text it speaks and the times of its words (measured or estimated from the audio's voiced parts)."""

    audio: "Pcm"
    text: str
    words: tuple[SpokenWord, ...]


class TextToSpeech(Protocol):
    provider: str
    capabilities: TtsCapabilities

    def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """Audio of one sentence or a few, in order, first chunk as early as possible. Text without anything to say yields nothing.

        Closing the generator stops the work. Raises ProviderError, also for text that has words and gave no sound.
        """
        ...

    async def warm(self) -> None:
        """Open a connection, so that the first sentence need not wait for one. Never raises; harmless to call often."""
        ...

    async def aclose(self) -> None: ...

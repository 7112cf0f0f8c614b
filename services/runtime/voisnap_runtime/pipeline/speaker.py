"""Turns pieces of text into sound by the agent's voice: with a time limit, a second try, and at the mouth's rate."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from voisnap_domain.agents import Voice
from voisnap_media.resample import Resampler
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.tts import SpeechChunk, TextToSpeech

from . import mouth as mouths

TTS_SECONDS = 5.0
"""How long a voice may take for the first audio of a sentence, and between pieces."""


class Speaker:
    """One agent's voice in one call."""

    def __init__(self, tts: TextToSpeech, voice: Voice) -> None:
        self._tts = tts
        self._voice = voice

    async def chunks(self, text: str) -> AsyncGenerator[SpeechChunk]:
        """The sound of one piece. A voice that fails is asked once more, for what it has not spoken yet. Raises ProviderError."""
        spoken: list[str] = []
        try:
            async with aclosing(self._once(text)) as chunks:
                async for chunk in chunks:
                    spoken.append(chunk.text)
                    yield chunk
        except ProviderError as error:
            rest = unspoken(text, spoken)
            if not error.retryable or not rest:
                raise
            async with aclosing(self._once(rest)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _once(self, text: str) -> AsyncGenerator[SpeechChunk]:
        """One try. A voice of another rate is resampled as one stream, so that nothing clicks where its chunks meet; in the middle of a text
        another voice of another rate may take over."""
        resampler: Resampler | None = None
        rate = mouths.RATE
        async with aclosing(self._tts.speak(text, self._voice)) as chunks:
            while (chunk := await self._next(chunks)) is not None:
                if chunk.audio.rate != rate:
                    if resampler is not None:
                        yield SpeechChunk(audio=resampler.finish(), text="", words=())
                    rate = chunk.audio.rate
                    resampler = Resampler(rate, mouths.RATE) if rate != mouths.RATE else None
                if resampler is None:
                    yield chunk
                    continue
                yield SpeechChunk(audio=resampler.process(chunk.audio), text=chunk.text, words=chunk.words)
        if resampler is not None:
            yield SpeechChunk(audio=resampler.finish(), text="", words=())

    async def _next(self, chunks: AsyncGenerator[SpeechChunk]) -> SpeechChunk | None:
        try:
            async with asyncio.timeout(TTS_SECONDS):
                return await anext(chunks, None)
        except TimeoutError:
            detail = f"no audio within {TTS_SECONDS:g} s"
            raise ProviderTimeout(detail, provider=self._tts.provider, kind="tts") from None


def unspoken(text: str, spoken: list[str]) -> str:
    """What is left of a text after the words of these pieces."""
    return " ".join(text.split()[sum(len(piece.split()) for piece in spoken) :])

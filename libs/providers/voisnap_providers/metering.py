"""What one call uses of its providers, counted where it flows: wrappers of the ports around one `CallMeter`.

Text to speech counts the characters asked for, since that is what vendors bill even when the caller interrupts; speech to text the
audio pushed; a language model what it reports, or an estimate when its reply was cut short.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import msgspec
from voisnap_domain.agents import Transcription, Voice
from voisnap_domain.costs import LlmUsage, SttUsage, TtsUsage, Usage
from voisnap_media.pcm import Pcm

from .ports.llm import LanguageModel, LlmDelta, LlmRequest, LlmUsed, TextDelta
from .ports.stt import SpeechToText, SttStream, Transcript
from .ports.tts import SpeechChunk, TextToSpeech

CHARS_PER_TOKEN = 4


class CallMeter:
    """The usage of one call so far. A part stays None until it was used."""

    def __init__(self) -> None:
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """What was used up to now."""
        return self._usage

    def llm(self, model: LanguageModel) -> "MeteredLlm":
        """The model, counted."""
        return MeteredLlm(model, self)

    def tts(self, voice: TextToSpeech) -> "MeteredTts":
        """The voice, counted."""
        return MeteredTts(voice, self)

    def stt(self, recogniser: SpeechToText) -> "MeteredStt":
        """The recogniser, counted."""
        return MeteredStt(recogniser, self)

    def add_llm(self, provider: str, model: str, *, input_tokens: int, output_tokens: int) -> None:
        """Count a reply."""
        before = self._usage.llm or LlmUsage(provider=provider, model=model)
        self._usage = msgspec.structs.replace(
            self._usage,
            llm=msgspec.structs.replace(
                before,
                input_tokens=before.input_tokens + input_tokens,
                output_tokens=before.output_tokens + output_tokens,
            ),
        )

    def add_tts(self, provider: str, characters: int) -> None:
        """Count text given to a voice."""
        before = self._usage.tts or TtsUsage(provider=provider)
        self._usage = msgspec.structs.replace(
            self._usage, tts=msgspec.structs.replace(before, characters=before.characters + characters)
        )

    def add_stt(self, provider: str, model: str | None, seconds: float) -> None:
        """Count audio given to a recogniser."""
        before = self._usage.stt or SttUsage(provider=provider, model=model)
        self._usage = msgspec.structs.replace(
            self._usage, stt=msgspec.structs.replace(before, audio_seconds=before.audio_seconds + seconds)
        )


class MeteredLlm:
    """A language model whose replies are counted."""

    def __init__(self, model: LanguageModel, meter: CallMeter) -> None:
        self._model = model
        self._meter = meter
        self.provider = model.provider
        self.capabilities = model.capabilities

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply, counted when it ends or is cut short."""
        used: LlmUsed | None = None
        characters = 0
        began = False
        try:
            async with aclosing(self._model.answer(request)) as deltas:
                async for delta in deltas:
                    began = True
                    match delta:
                        case LlmUsed():
                            used = delta
                        case TextDelta(text=text):
                            characters += len(text)
                        case _:
                            pass
                    yield delta
        finally:
            if used is None and began:
                asked = sum(len(message.content) for message in request.messages) + sum(map(len, request.passages))
                used = LlmUsed(input_tokens=_tokens(asked), output_tokens=_tokens(characters))
            if used is not None:
                self._meter.add_llm(
                    self.provider,
                    request.settings.model,
                    input_tokens=used.input_tokens,
                    output_tokens=used.output_tokens,
                )

    async def warm(self) -> None:
        """Open a connection."""
        await self._model.warm()

    async def aclose(self) -> None:
        """Close the model."""
        await self._model.aclose()


class MeteredTts:
    """A voice whose characters are counted once it began to speak them."""

    def __init__(self, voice: TextToSpeech, meter: CallMeter) -> None:
        self._voice = voice
        self._meter = meter
        self.provider = voice.provider
        self.capabilities = voice.capabilities

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """The audio."""
        counted = False
        async with aclosing(self._voice.speak(text, voice)) as chunks:
            async for chunk in chunks:
                if not counted:
                    counted = True
                    self._meter.add_tts(self.provider, len(text))
                yield chunk

    async def warm(self) -> None:
        """Open a connection."""
        await self._voice.warm()

    async def aclose(self) -> None:
        """Close the voice."""
        await self._voice.aclose()


class MeteredStt:
    """A recogniser whose audio is counted."""

    def __init__(self, recogniser: SpeechToText, meter: CallMeter) -> None:
        self._recogniser = recogniser
        self._meter = meter
        self.provider = recogniser.provider
        self.capabilities = recogniser.capabilities

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> "MeteredSttStream":
        """Start listening."""
        stream = self._recogniser.open(settings, keyterms=keyterms)
        return MeteredSttStream(stream, self._meter, self.provider, settings.model)

    async def aclose(self) -> None:
        """Close the recogniser."""
        await self._recogniser.aclose()


class MeteredSttStream:
    """A stream whose audio is counted as it is pushed."""

    def __init__(self, stream: SttStream, meter: CallMeter, provider: str, model: str | None) -> None:
        self._stream = stream
        self._meter = meter
        self._provider = provider
        self._model = model

    def push(self, audio: Pcm) -> None:
        """Hand on and count."""
        self._stream.push(audio)
        self._meter.add_stt(self._provider, self._model, audio.seconds)

    def pause(self) -> None:
        """Hand on."""
        self._stream.pause()

    def flush(self) -> None:
        """Hand on."""
        self._stream.flush()

    def reset(self) -> None:
        """Hand on."""
        self._stream.reset()

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


def _tokens(characters: int) -> int:
    return -(-characters // CHARS_PER_TOKEN)

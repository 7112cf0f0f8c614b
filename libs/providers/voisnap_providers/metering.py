"""What one call uses of its providers, counted where it flows: wrappers of the ports around one `CallMeter`.

Text to speech counts the characters asked for, since that is what vendors bill even when the caller interrupts; speech to text the
audio pushed and the time a stream was open; a language model what it reports, or an estimate when its reply was cut short. Wrap each
provider of a chain, not the chain, so that everybody's share is kept apart.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from voisnap_domain.agents import Transcription, Voice
from voisnap_domain.costs import PLATFORM_ACCOUNT, LegKind, Usage, UsageLeg

from .errors import ProviderError
from .ports.llm import LanguageModel, LlmDelta, LlmRequest, LlmUsed, TextDelta, ToolCall
from .ports.stt import SpeechToText, SttStream, Transcript
from .ports.tts import SpeechChunk, TextToSpeech

if TYPE_CHECKING:  # see ports.stt
    from voisnap_media.pcm import Pcm

CHARS_PER_TOKEN = 4
"""Rule of thumb for replies that were cut short before the model told its count."""


class _Tally:
    """The amounts of one leg while it is being used."""

    __slots__ = ("audio_seconds", "cached", "characters", "estimated", "input", "output", "requests", "session_seconds")

    def __init__(self) -> None:
        self.requests = self.input = self.cached = self.output = self.characters = 0
        self.audio_seconds = self.session_seconds = 0.0
        self.estimated = False


class CallMeter:
    """The usage of one call so far, a leg for every model, voice and account it used. `clock` tells seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._tallies: dict[tuple[LegKind, str, str | None, str | None, str], _Tally] = {}
        self._open: dict[MeteredSttStream, float] = {}

    @property
    def usage(self) -> Usage:
        """What was used up to now; a part is None until it was used. Streams that are open count up to this moment."""
        now = self.clock()
        open_seconds: dict[int, float] = {}
        for stream, since in self._open.items():
            open_seconds[id(stream.tally)] = open_seconds.get(id(stream.tally), 0.0) + now - since
        return Usage.of(
            UsageLeg(
                kind=kind,
                provider=provider,
                model=model,
                voice=voice,
                account=account,
                requests=tally.requests,
                input_tokens=tally.input,
                cached_tokens=tally.cached,
                output_tokens=tally.output,
                characters=tally.characters,
                audio_seconds=round(tally.audio_seconds, 3),
                session_seconds=round(tally.session_seconds + open_seconds.get(id(tally), 0.0), 3),
                estimated=tally.estimated,
            )
            for (kind, provider, model, voice, account), tally in self._tallies.items()
        )

    def llm(self, model: LanguageModel, *, account: str = PLATFORM_ACCOUNT) -> "MeteredLlm":
        """The model, counted."""
        return MeteredLlm(model, self, account)

    def tts(self, voice: TextToSpeech, *, account: str = PLATFORM_ACCOUNT) -> "MeteredTts":
        """The voice, counted."""
        return MeteredTts(voice, self, account)

    def stt(self, recogniser: SpeechToText, *, account: str = PLATFORM_ACCOUNT) -> "MeteredStt":
        """The recogniser, counted."""
        return MeteredStt(recogniser, self, account)

    def add_llm(
        self, provider: str, model: str, used: LlmUsed, *, account: str = PLATFORM_ACCOUNT, estimated: bool = False
    ) -> None:
        """Count a reply."""
        tally = self._tally(LegKind.LLM, provider, model, None, account)
        tally.requests += 1
        tally.input += used.input_tokens
        tally.cached += used.cached_tokens
        tally.output += used.output_tokens
        tally.estimated |= estimated

    def add_tts(
        self,
        provider: str,
        characters: int,
        *,
        model: str | None = None,
        voice: str | None = None,
        account: str = PLATFORM_ACCOUNT,
        estimated: bool = False,
    ) -> None:
        """Count text given to a voice."""
        tally = self._tally(LegKind.TTS, provider, model, voice, account)
        tally.requests += 1
        tally.characters += characters
        tally.estimated |= estimated

    def stt_tally(self, provider: str, model: str | None, account: str) -> "_Tally":
        """Where a stream of a recogniser counts."""
        tally = self._tally(LegKind.STT, provider, model, None, account)
        tally.requests += 1
        return tally

    def opened(self, stream: "MeteredSttStream") -> None:
        """A connection is open from now on."""
        self._open[stream] = self.clock()

    def closed(self, stream: "MeteredSttStream") -> None:
        """It is not any more. A second time changes nothing."""
        since = self._open.pop(stream, None)
        if since is not None:
            stream.tally.session_seconds += self.clock() - since

    def _tally(self, kind: LegKind, provider: str, model: str | None, voice: str | None, account: str) -> _Tally:
        return self._tallies.setdefault((kind, str(provider), model, voice, account), _Tally())


class MeteredLlm:
    """A language model whose replies are counted."""

    def __init__(self, model: LanguageModel, meter: CallMeter, account: str = PLATFORM_ACCOUNT) -> None:
        self._model = model
        self._meter = meter
        self._account = account
        self.provider = model.provider
        self.capabilities = model.capabilities

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply, counted when it ends. One that is cut short, even before its first word, is estimated; one that failed before its first
        word counts nothing."""
        used: LlmUsed | None = None
        characters = 0
        began = failed = False
        try:
            async with aclosing(self._model.answer(request)) as deltas:
                async for delta in deltas:
                    began = True
                    match delta:
                        case LlmUsed():
                            used = delta
                        case TextDelta(text=text):
                            characters += len(text)
                        case ToolCall(arguments=arguments):
                            characters += len(arguments)
                        case _:
                            pass
                    yield delta
        except ProviderError:
            failed = True
            raise
        finally:
            if used is not None or began or not failed:
                self._meter.add_llm(
                    self.provider,
                    request.settings.model,
                    used or _estimated(request, characters),
                    account=self._account,
                    estimated=used is None,
                )

    async def prepare(self, prompt: str) -> None:
        """Let a model that can work out the prompt beforehand do so."""
        prepare: Any = getattr(self._model, "prepare", None)
        if prepare is not None:
            await prepare(prompt)

    async def warm(self) -> None:
        """Open a connection."""
        await self._model.warm()

    async def aclose(self) -> None:
        """Close the model."""
        await self._model.aclose()


class MeteredTts:
    """A voice whose characters are counted once it began to speak them, or was stopped before it did. Its `model`, where it has one, is part
    of what is paid for."""

    def __init__(self, voice: TextToSpeech, meter: CallMeter, account: str = PLATFORM_ACCOUNT) -> None:
        self._voice = voice
        self._meter = meter
        self._account = account
        self.provider = voice.provider
        self.capabilities = voice.capabilities

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """The audio."""
        began = ended = False
        try:
            async with aclosing(self._voice.speak(text, voice)) as chunks:
                async for chunk in chunks:
                    began = True
                    yield chunk
            ended = True
        except ProviderError:
            ended = True
            raise
        finally:
            if began or not ended:
                self._meter.add_tts(
                    self.provider,
                    len(text),
                    model=getattr(self._voice, "model", None),
                    voice=voice.voice_id,
                    account=self._account,
                    estimated=not began,
                )

    async def warm(self) -> None:
        """Open a connection."""
        await self._voice.warm()

    async def aclose(self) -> None:
        """Close the voice."""
        await self._voice.aclose()


class MeteredStt:
    """A recogniser whose audio and whose connections are counted."""

    def __init__(self, recogniser: SpeechToText, meter: CallMeter, account: str = PLATFORM_ACCOUNT) -> None:
        self._recogniser = recogniser
        self._meter = meter
        self._account = account
        self.provider = recogniser.provider
        self.capabilities = recogniser.capabilities

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> "MeteredSttStream":
        """Start listening."""
        stream = self._recogniser.open(settings, keyterms=keyterms)
        return MeteredSttStream(
            stream, self._meter, self._meter.stt_tally(self.provider, settings.model, self._account)
        )

    async def aclose(self) -> None:
        """Close the recogniser."""
        await self._recogniser.aclose()


class MeteredSttStream:
    """A stream whose audio is counted as it is pushed."""

    def __init__(self, stream: SttStream, meter: CallMeter, tally: _Tally) -> None:
        self._stream = stream
        self._meter = meter
        self.tally = tally
        meter.opened(self)

    def push(self, audio: "Pcm") -> None:
        """Hand on and count."""
        self._stream.push(audio)
        self.tally.audio_seconds += audio.seconds

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

    def __getattr__(self, name: str) -> Any:
        """What a stream can do beyond the port."""
        return getattr(self._stream, name)

    async def aclose(self) -> None:
        """Close the stream, and stop counting its time."""
        self._meter.closed(self)
        await self._stream.aclose()


def _estimated(request: LlmRequest, characters: int) -> LlmUsed:
    asked = sum(len(message.content) for message in request.messages) + sum(map(len, request.passages))
    return LlmUsed(input_tokens=-(-asked // CHARS_PER_TOKEN), output_tokens=-(-characters // CHARS_PER_TOKEN))

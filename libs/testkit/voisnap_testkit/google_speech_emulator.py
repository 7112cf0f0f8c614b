"""A server that speaks Google's gRPC services for voices (v1) and for recognition (v2) with the messages of Google's own library.

What the real one refuses is refused and kept in `violations`.

async with GoogleSpeechEmulator() as emulator:
    emulator.plan(Refused(429, retry_after=2), None, CutAfter(0.5))
    ... emulator.url (http://host:port, without credentials) ...
    emulator.spoken[0].speaking_rate, emulator.streams[0].config

As a process: python -m voisnap_testkit.google_speech_emulator --port 8702; its control (see emulator_process) is on the next port.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Literal, Self

import grpc
import grpc.aio
import msgspec
from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1.types import cloud_tts
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from voisnap_media.pcm import Pcm

from .emulated_faults import CutAfter, FailedAfter, Fault, Faults, NeverFinal, NoSound, Refused
from .emulated_segments import HeardSegment, Segments, WordsOf
from .emulated_voice import EmulatedVoice, ToneVoice, encoded
from .emulated_words import HiddenWords, LocalWords
from .emulator_process import control, run_emulator
from .local_server import answer, read_request, served

MAX_AUDIO_BYTES = 15 * 1024
MAX_TEXT_BYTES = 5000
STREAM_SECONDS = 305.0
IDLE_SECONDS = 10.0
SEGMENT_SILENCE_SECONDS = 0.6
MODELS = ("long", "short", "telephony", "telephony_short", "latest_long", "latest_short", "chirp_2", "chirp_3")

_RECOGNIZER = re.compile(r"projects/[a-z0-9-]+/locations/[a-z0-9-]+/recognizers/(_|[a-z0-9-]+)")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})|auto")
_NAMED = re.compile(r"[a-z]{2,3}-[A-Z]{2}-")
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Spoken(msgspec.Struct, kw_only=True):
    """A request for speech."""

    method: Literal["SynthesizeSpeech", "StreamingSynthesize"]
    text: str
    voice: str
    language: str
    speaking_rate: float
    outcome: Literal["open", "whole", "left", "fault"] = "open"


class Listened(msgspec.Struct, kw_only=True):
    """A stream of recognition; `config` is the StreamingRecognitionConfig as a dictionary."""

    recognizer: str = ""
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    audio_seconds: float = 0.0
    messages: int = 0
    outcome: Literal["open", "whole", "left", "fault"] = "open"


class GoogleSpeechEmulator:
    """Speaks with `voice` and hears with `recogniser`. `pace`: seconds of streamed speech a second (None: at once). `stream_seconds` and
    `idle_seconds` are the limits of a stream of recognition, on the event loop's clock."""

    def __init__(
        self,
        voice: EmulatedVoice | None = None,
        recogniser: WordsOf | None = None,
        *,
        pace: float | None = None,
        stream_seconds: float = STREAM_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        port: int = 0,
        control_port: int | None = None,
        seed: int = 0,
    ) -> None:
        self.url = ""
        self.spoken: list[Spoken] = []
        self.streams: list[Listened] = []
        self.violations: list[str] = []
        self._voice = voice or ToneVoice()
        self._recogniser = recogniser or HiddenWords()
        self._pace = pace
        self._stream_seconds = stream_seconds
        self._idle_seconds = idle_seconds
        self._port = port
        self._control_port = control_port
        self._random = random.Random(seed)  # noqa: S311 - where to cut
        self._faults = Faults()
        self._server: Any = None
        self._stack = AsyncExitStack()
        self._done = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self._voices(), self._recognition()))
        port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()
        self.url = f"http://127.0.0.1:{port}"
        if self._control_port is not None:
            await self._stack.enter_async_context(served(self._control, port=self._control_port))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
        await self._stack.aclose()

    def plan(self, *faults: Fault | None) -> None:
        """What the next requests meet; None: nothing."""
        self._faults.plan(*faults)

    def seen(self) -> list[Spoken | Listened]:
        """What was asked."""
        return [*self.spoken, *self.streams]

    async def finished(self, number: int = 0) -> Spoken:
        """The request for speech of this number once it is over."""
        async with self._done:
            await self._done.wait_for(lambda: len(self.spoken) > number and self.spoken[number].outcome != "open")
        return self.spoken[number]

    async def heard(self, seconds: float, number: int = 0) -> None:
        """Once the stream of this number got so much audio and told what it knows of it."""
        async with self._done:
            await self._done.wait_for(
                lambda: len(self.streams) > number and self.streams[number].audio_seconds >= seconds - 0.001
            )

    async def _control(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive)
        if not await control(self, scope, send, request):
            await answer(scope, send, 404, b"", {})

    def _voices(self) -> Any:
        whole, stream = cloud_tts.SynthesizeSpeechRequest, cloud_tts.StreamingSynthesizeRequest
        return grpc.method_handlers_generic_handler(
            "google.cloud.texttospeech.v1.TextToSpeech",
            {
                "SynthesizeSpeech": grpc.unary_unary_rpc_method_handler(
                    self._synthesize, whole.deserialize, cloud_tts.SynthesizeSpeechResponse.serialize
                ),
                "StreamingSynthesize": grpc.stream_stream_rpc_method_handler(
                    self._stream_speech, stream.deserialize, cloud_tts.StreamingSynthesizeResponse.serialize
                ),
            },
        )

    def _recognition(self) -> Any:
        return grpc.method_handlers_generic_handler(
            "google.cloud.speech.v2.Speech",
            {
                "StreamingRecognize": grpc.stream_stream_rpc_method_handler(
                    self._recognize,
                    cloud_speech.StreamingRecognizeRequest.deserialize,
                    cloud_speech.StreamingRecognizeResponse.serialize,
                )
            },
        )

    # -- voices

    async def _synthesize(self, request: cloud_tts.SynthesizeSpeechRequest, context: Any) -> Any:
        seen = Spoken(
            method="SynthesizeSpeech",
            text=request.input.text,
            voice=request.voice.name,
            language=request.voice.language_code,
            speaking_rate=request.audio_config.speaking_rate,
        )
        self.spoken.append(seen)
        rate = request.audio_config.sample_rate_hertz or 24000
        coding = request.audio_config.audio_encoding
        try:
            await self._judge(context, _faults_of(seen), coding.name in {"LINEAR16", "PCM", "MULAW", "ALAW"})
            fault = await self._fault(context)
            speech = await self._voice.say(seen.text, speed=seen.speaking_rate or 1.0)
            kinds = {"LINEAR16": "wav", "PCM": "pcm_s16le", "MULAW": "mulaw", "ALAW": "alaw"}
            data = encoded(speech.audio, kinds[coding.name], rate)
            seen.outcome = "whole"
            return cloud_tts.SynthesizeSpeechResponse(audio_content=b"" if isinstance(fault, NoSound) else data)
        finally:
            await self._over(seen)

    async def _stream_speech(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        first = await anext(requests, None)
        if first is None or "streaming_config" not in first:
            await self._refuse(context, ["the first message has no streaming_config"])
            return
        config = first.streaming_config
        seen = Spoken(
            method="StreamingSynthesize",
            text="",
            voice=config.voice.name,
            language=config.voice.language_code,
            speaking_rate=config.streaming_audio_config.speaking_rate,
        )
        self.spoken.append(seen)
        try:
            async for request in requests:
                seen.text += request.input.text
                if "streaming_config" in request or len(request.input.text.encode()) > MAX_TEXT_BYTES:
                    await self._refuse(context, ["input"])
            is_streaming = "Chirp3-HD" in seen.voice
            await self._judge(
                context, _faults_of(seen), is_streaming, config.streaming_audio_config.audio_encoding == 7
            )
            fault = await self._fault(context)
            rate = config.streaming_audio_config.sample_rate_hertz or 24000
            speech = await self._voice.say(seen.text, speed=seen.speaking_rate or 1.0)
            data = b"" if isinstance(fault, NoSound) else encoded(speech.audio, "pcm_s16le", rate)
            at = 0
            while at < len(data):
                if isinstance(fault, CutAfter) and at / rate / 2 >= fault.seconds:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
                end = min(len(data), at + int(self._random.uniform(0.05, 0.4) * rate * 2))
                yield cloud_tts.StreamingSynthesizeResponse(audio_content=data[at:end])
                if self._pace is not None:
                    await asyncio.sleep((end - at) / rate / 2 / self._pace)
                at = end
            seen.outcome = "whole"
        except asyncio.CancelledError:
            seen.outcome = "left"
            raise
        finally:
            await self._over(seen)

    async def _over(self, seen: Spoken) -> None:
        async with self._done:
            seen.outcome = "fault" if seen.outcome == "open" else seen.outcome
            self._done.notify_all()

    # -- recognition

    async def _recognize(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        fault = await self._fault(context)
        first = await anext(requests, None)
        if first is None:
            return
        stream = Listened(
            recognizer=first.recognizer,
            config=cloud_speech.StreamingRecognitionConfig.to_dict(
                first.streaming_config, use_integers_for_enums=False, always_print_fields_with_no_presence=False
            ),
        )
        self.streams.append(stream)
        await self._judge(context, _faults_of_config(first))
        segments = Segments(
            self._recogniser,
            silence_seconds=SEGMENT_SILENCE_SECONDS,
            is_ever_final=not isinstance(fault, NeverFinal),
        )
        ends_at = loop.time() + self._stream_seconds
        does_interim = first.streaming_config.streaming_features.interim_results
        try:
            while (request := await self._next(context, requests, ends_at)) is not None:
                size = len(request.audio)
                if "streaming_config" in request or request.recognizer or not 0 < size <= MAX_AUDIO_BYTES or size % 2:
                    await self._refuse(context, [f"a message with {size} bytes of audio"])
                stream.messages += 1
                for heard in await segments.take(Pcm.from_bytes(request.audio, 16000)):
                    if heard.is_final or does_interim:
                        yield _response(heard)
                async with self._done:
                    stream.audio_seconds += size / 32000
                    self._done.notify_all()
                await self._fail_if_due(context, fault, stream)
            for heard in await segments.end() if not isinstance(fault, NeverFinal) else []:
                yield _response(heard)
            stream.outcome = "whole"
        except asyncio.CancelledError:
            stream.outcome = "left"
            raise
        finally:
            stream.outcome = "fault" if stream.outcome == "open" else stream.outcome

    async def _next(self, context: Any, requests: AsyncIterator[Any], ends_at: float) -> Any:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(ends_at, loop.time() + self._idle_seconds)):
                return await anext(requests, None)
        except TimeoutError:
            if loop.time() >= ends_at:
                text = f"Exceeded maximum allowed stream duration of {self._stream_seconds:g} seconds."
            else:
                text = (
                    "Audio Timeout Error: Long duration elapsed without audio. Audio should be sent close to real time."
                )
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, text)

    async def _fail_if_due(self, context: Any, fault: Fault | None, stream: Listened) -> None:
        match fault:
            case CutAfter(seconds=seconds) if stream.audio_seconds >= seconds:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            case FailedAfter(code=code, seconds=seconds, message=message) if stream.audio_seconds >= seconds:
                await context.abort(grpc.StatusCode[code], message)
            case _:
                return

    # -- refusals

    async def _fault(self, context: Any) -> Fault | None:
        """The fault of this request, a refusal already told."""
        fault = await self._faults.next()
        if not isinstance(fault, Refused):
            return fault
        if fault.retry_after is not None:
            info = RetryInfo(retry_delay=Duration(seconds=fault.retry_after))
            context.set_trailing_metadata((("google.rpc.retryinfo-bin", info.SerializeToString()),))
        await context.abort(_CODES.get(fault.status, grpc.StatusCode.UNKNOWN), fault.message or "as planned")
        return None

    async def _judge(self, context: Any, wrong: list[str], *conditions: bool) -> None:
        wrong = [*wrong, *(["unsupported audio"] if not all(conditions) else [])]
        if wrong:
            await self._refuse(context, wrong)

    async def _refuse(self, context: Any, wrong: list[str]) -> None:
        self.violations += wrong
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(wrong))


def _faults_of(seen: Spoken) -> list[str]:
    wrong = []
    if not 0 < len(seen.text.encode()) <= MAX_TEXT_BYTES and seen.method == "SynthesizeSpeech":
        wrong.append("text")
    if not seen.text.strip():
        wrong.append("no text")
    if _NAMED.match(seen.voice) and not seen.voice.startswith(f"{seen.language}-"):
        wrong.append(f"the voice {seen.voice} does not speak {seen.language}")
    if _LANGUAGE.fullmatch(seen.language) is None:
        wrong.append(f"language {seen.language!r}")
    if not (seen.speaking_rate == 0 or 0.25 <= seen.speaking_rate <= 2.0):
        wrong.append(f"speaking_rate {seen.speaking_rate}")
    return wrong


def _faults_of_config(first: cloud_speech.StreamingRecognizeRequest) -> list[str]:
    wrong = []
    config = first.streaming_config.config
    if _RECOGNIZER.fullmatch(first.recognizer) is None:
        wrong.append(f"recognizer {first.recognizer!r}")
    if first.audio:
        wrong.append("audio in the first message")
    if config.model not in MODELS:
        wrong.append(f"model {config.model!r}")
    languages = list(config.language_codes)
    if not 1 <= len(languages) <= 3 or not all(_LANGUAGE.fullmatch(one) for one in languages):
        wrong.append(f"language_codes {languages}")
    coding = config.explicit_decoding_config
    if (coding.encoding.name, coding.sample_rate_hertz, coding.audio_channel_count) != ("LINEAR16", 16000, 1):
        wrong.append(f"decoding {coding.encoding.name} {coding.sample_rate_hertz} {coding.audio_channel_count}")
    return wrong


def _response(heard: HeardSegment) -> cloud_speech.StreamingRecognizeResponse:
    """Final results have words and confidence, interim ones only text and stability."""
    words = [
        cloud_speech.WordInfo(
            word=word.word,
            start_offset=timedelta(seconds=word.start_time),
            end_offset=timedelta(seconds=word.end_time),
            confidence=word.confidence,
        )
        for word in heard.words
    ]
    alternative = cloud_speech.SpeechRecognitionAlternative(transcript=heard.text)
    if heard.is_final:
        confidence = sum(word.confidence for word in heard.words) / len(heard.words)
        alternative = cloud_speech.SpeechRecognitionAlternative(
            transcript=heard.text, confidence=confidence, words=words
        )
    result = cloud_speech.StreamingRecognitionResult(
        alternatives=[alternative],
        is_final=heard.is_final,
        stability=0.0 if heard.is_final else 0.9,
        result_end_offset=timedelta(seconds=heard.end),
        language_code="en-us",
    )
    return cloud_speech.StreamingRecognizeResponse(results=[result])


def _make(*, voice: EmulatedVoice, recogniser: WordsOf | None, port: int) -> GoogleSpeechEmulator:

    return GoogleSpeechEmulator(voice, recogniser or LocalWords(), port=port, control_port=port + 1)


if __name__ == "__main__":
    run_emulator(_make, port=8702)

"""Google's voices (providers.md §4.2): Chirp 3 HD as a stream, all others sentence by sentence.

Neither way gives the times of words; they are estimated. The language is the one that a voice's name begins with.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from google.cloud.texttospeech_v1 import TextToSpeechAsyncClient
from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechGrpcAsyncIOTransport
from google.cloud.texttospeech_v1.types import cloud_tts
from voisnap_domain.agents import Voice

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderTimeout
from voisnap_providers.pcm_stream import Paces, PcmDecoder, SpokenText
from voisnap_providers.ports.tts import SpeechChunk, TtsCapabilities
from voisnap_providers.vendors.local.normalise import sentences

from .access import CONNECT_SECONDS, PROVIDER, Access, fault

log = structlog.get_logger()

HOST = "texttospeech.googleapis.com"
RATE = 24000
SLOWEST, FASTEST = 0.25, 2.0
ANSWER_SECONDS = 8.0
"""For a sentence, or between two pieces of a stream."""
STREAM_SECONDS = 120.0
MAX_INPUT_BYTES = 4000
"""The service takes 5000 at once."""
LANGUAGE = "en-US"

_NAMED_LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Z0-9]{2,4}(?=-)|[a-z]{2,3}-[A-Z][a-z]{3}-[A-Z]{2}(?=-)")
_STREAMS = "-Chirp3-HD-"


def make(account: Account) -> "GoogleTts":
    """The voices of one account. Raises ProviderUnconfigured without a service account."""
    return GoogleTts(account)


class GoogleTts:
    """One an account. Markdown is not sent; numbers are read out by the service."""

    provider = PROVIDER
    capabilities = TtsCapabilities(sample_rate=RATE, word_timings=False)

    def __init__(self, account: Account) -> None:
        self._access = Access(account, host=HOST, setting="tts_endpoint")
        self._paces = Paces()
        self._opened: Any = None

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """Closing the generator cancels the call."""
        does_stream = _STREAMS in voice.voice_id
        for part in (text,) if does_stream else sentences(text):
            spoken = SpokenText(part, provider=PROVIDER, pace=self._paces.of(voice.voice_id), speed=_speed(voice))
            if not spoken.is_speakable:
                continue
            decoder = PcmDecoder(RATE, provider=PROVIDER)
            answer = self._streamed(spoken.sent, voice) if does_stream else self._whole(spoken.sent, voice)
            async with aclosing(answer) as pieces:
                async for data in pieces:
                    for chunk in spoken.add(decoder.decode(data)):
                        yield chunk
            for chunk in spoken.finish():
                yield chunk

    async def warm(self) -> None:
        """Open the connection; it stays open."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._calls().grpc_channel.channel_ready()
        except Exception as error:
            log.info("tts.warm_failed", provider=PROVIDER, error=type(error).__name__)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._opened is not None:
            await self._opened.close()

    def _calls(self) -> Any:
        if self._opened is None:
            self._opened = self._access.transport(TextToSpeechAsyncClient, TextToSpeechGrpcAsyncIOTransport)
        return self._opened

    async def _whole(self, text: str, voice: Voice) -> AsyncGenerator[bytes]:
        request = cloud_tts.SynthesizeSpeechRequest(
            input=cloud_tts.SynthesisInput(text=text),
            voice=_selected(voice),
            audio_config=cloud_tts.AudioConfig(
                audio_encoding=cloud_tts.AudioEncoding.LINEAR16,  # in a WAV file: the decoder takes it off
                sample_rate_hertz=RATE,
                speaking_rate=_speed(voice),
            ),
        )
        try:
            answer = await self._calls().synthesize_speech(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise fault(error, "tts") from None
        yield answer.audio_content

    async def _streamed(self, text: str, voice: Voice) -> AsyncGenerator[bytes]:
        config = cloud_tts.StreamingSynthesizeConfig(
            voice=_selected(voice),
            streaming_audio_config=cloud_tts.StreamingAudioConfig(
                audio_encoding=cloud_tts.AudioEncoding.PCM, sample_rate_hertz=RATE, speaking_rate=_speed(voice)
            ),
        )
        call = self._calls().streaming_synthesize(_inputs(config, text), timeout=STREAM_SECONDS)
        try:
            answers = aiter(call)
            while (answer := await _in_time(answers)) is not None:
                yield answer.audio_content
        except grpc.RpcError as error:
            raise fault(error, "tts") from None
        finally:
            call.cancel()


async def _inputs(
    config: cloud_tts.StreamingSynthesizeConfig, text: str
) -> AsyncIterator[cloud_tts.StreamingSynthesizeRequest]:
    yield cloud_tts.StreamingSynthesizeRequest(streaming_config=config)
    for part in parts(text):
        yield cloud_tts.StreamingSynthesizeRequest(input=cloud_tts.StreamingSynthesisInput(text=part))


async def _in_time(
    answers: AsyncIterator[cloud_tts.StreamingSynthesizeResponse],
) -> cloud_tts.StreamingSynthesizeResponse | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await anext(answers, None)
    except TimeoutError:
        raise ProviderTimeout("The voice did not answer in time.", provider=PROVIDER, kind="tts") from None


def parts(text: str) -> list[str]:
    """The text in pieces that the service takes, cut between words where there are any; together they are the text."""
    found: list[str] = []
    rest = text.encode()
    while len(rest) > MAX_INPUT_BYTES:
        at = rest.rfind(b" ", 1, MAX_INPUT_BYTES) + 1
        if at <= 1:
            at = MAX_INPUT_BYTES
            while rest[at] & 0xC0 == 0x80:  # inside a character
                at -= 1
        found.append(rest[:at].decode())
        rest = rest[at:]
    return [*found, rest.decode()]


def _selected(voice: Voice) -> cloud_tts.VoiceSelectionParams:
    named = _NAMED_LANGUAGE.match(voice.voice_id)
    return cloud_tts.VoiceSelectionParams(language_code=named[0] if named else LANGUAGE, name=voice.voice_id)


def _speed(voice: Voice) -> float:
    return min(max(voice.speed, SLOWEST), FASTEST)

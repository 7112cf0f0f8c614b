"""Google's recogniser, `StreamingRecognize` of Speech-to-Text v2 (providers.md §3.3), on the engine of `live_stt`.

The service has no request for final words: it gives them after a silence, or when its input ends. So a pause is followed by a little
silence, and a flush that finds no final words ends the stream; the next one is open by then.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from google.cloud.speech_v2 import SpeechAsyncClient
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import cloud_speech
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError
from voisnap_providers.live_stt import RATE, Heard, LiveSttRules, LiveSttStream, fitted
from voisnap_providers.ports.stt import SttCapabilities

from .access import PROVIDER, Access, fault

HOST = "speech.googleapis.com"
MODEL = "long"
MOST_KEYTERMS = 500
BOOST = 10.0
UNTOLD_CONFIDENCE = 0.8
"""For models that tell none."""
REFUSAL_SECONDS = 0.5
"""How long a refusal is waited for where one is likely."""

RULES = LiveSttRules(
    batch=0.1,
    largest=0.4,  # 12.8 KB; the service takes 15
    keep_alive=4.0,  # it ends streams that get nothing for 10 s
    silence_instead=0.1,
    max_age=270.0,  # it ends them after 5 minutes; renewed after 4
    finalise_timeout=3.0,
    finalise_ends_connection=True,
    prepares=False,
    silence_after_pause=0.8,
)

_REGIONS = {
    "ar": "ar-EG",
    "cs": "cs-CZ",
    "da": "da-DK",
    "de": "de-DE",
    "el": "el-GR",
    "en": "en-US",
    "es": "es-ES",
    "fi": "fi-FI",
    "fr": "fr-FR",
    "he": "iw-IL",
    "hi": "hi-IN",
    "hu": "hu-HU",
    "id": "id-ID",
    "it": "it-IT",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "nb": "no-NO",
    "nl": "nl-NL",
    "no": "no-NO",
    "pl": "pl-PL",
    "pt": "pt-BR",
    "ro": "ro-RO",
    "ru": "ru-RU",
    "sk": "sk-SK",
    "sv": "sv-SE",
    "th": "th-TH",
    "tr": "tr-TR",
    "uk": "uk-UA",
    "vi": "vi-VN",
    "zh": "cmn-Hans-CN",
}
"""What a language without a country means here."""


def make(account: Account) -> "GoogleStt":
    """The recogniser of one account. Raises ProviderUnconfigured without a service account or project."""
    return GoogleStt(account)


class GoogleStt:
    """One an account; `language` may name several, by commas. Numbers are always written as digits: the service cannot be told otherwise."""

    provider = PROVIDER
    capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=False, sample_rate=RATE)

    def __init__(self, account: Account) -> None:
        self._access = Access(account, host=HOST, setting="speech_endpoint")
        self._recognizer = f"projects/{self._access.project}/locations/{self._access.location}/recognizers/_"
        self._opened: Any = None

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> LiveSttStream:
        """A stream for one caller."""
        first = cloud_speech.StreamingRecognizeRequest(
            recognizer=self._recognizer, streaming_config=_config(settings, keyterms)
        )

        last: GoogleConnection | None = None

        async def connect() -> GoogleConnection:
            nonlocal last
            is_doubtful = last is not None and last.ended_untold
            last = await GoogleConnection.open(self._calls(), first, is_doubtful=is_doubtful)
            return last

        return LiveSttStream(connect, RULES, provider=PROVIDER)

    async def warm(self) -> None:
        """Begin to open the connection; it stays open."""
        self._calls().grpc_channel.get_state(try_to_connect=True)

    async def aclose(self) -> None:
        """Close the connection and with it every stream."""
        if self._opened is not None:
            await self._opened.close()

    def _calls(self) -> Any:
        if self._opened is None:
            self._opened = self._access.transport(SpeechAsyncClient, SpeechGrpcAsyncIOTransport)
        return self._opened


class GoogleConnection:
    """One `StreamingRecognize` call.

    A call that the service refuses while we write to it ends as INTERNAL, and the library forgets why (`ended_untold`): more is written to
    the next one only if it is not refused for a while.
    """

    def __init__(self, call: Any) -> None:
        self.ended_untold = False
        self._call = call
        self._is_answered = False
        self._told_until = 0.0

    @classmethod
    async def open(
        cls, calls: Any, first: cloud_speech.StreamingRecognizeRequest, *, is_doubtful: bool = False
    ) -> "GoogleConnection":
        """Begin a call. Raises ProviderError."""
        connection = cls(calls.streaming_recognize())
        await connection._write(first)
        if is_doubtful:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFUSAL_SECONDS):
                    await connection._call.code()
                raise await connection._fault()
        return connection

    async def send(self, audio: bytes) -> None:
        """One message."""
        await self._write(cloud_speech.StreamingRecognizeRequest(audio=audio))

    async def finalise(self) -> None:
        """End the input: the final words follow, and the end."""
        try:
            await self._call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            raise await self._fault() from None

    async def keep_alive(self) -> None:
        """Nothing: silence does it."""

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self._results()

    async def aclose(self) -> None:
        """Cancel the call."""
        self._call.cancel()

    async def _results(self) -> AsyncGenerator[Heard]:
        try:
            async for response in self._call:
                self._is_answered = True
                for heard in self._heard(response.results):
                    yield heard
        except grpc.RpcError:
            raise await self._fault() from None

    def _heard(self, results: Sequence[cloud_speech.StreamingRecognitionResult]) -> list[Heard]:
        """Each final result, then all interim ones as one: the service tells its surest part first."""
        said = [(result, result.alternatives[0]) for result in results if result.alternatives]
        heard = [self._final(result, best) for result, best in said if result.is_final]
        interim = [best.transcript.strip() for result, best in said if not result.is_final]
        if interim:
            heard.append(Heard(text=" ".join(filter(None, interim)), is_final=False, confidence=UNTOLD_CONFIDENCE))
        return heard

    def _final(
        self, result: cloud_speech.StreamingRecognitionResult, best: cloud_speech.SpeechRecognitionAlternative
    ) -> Heard:
        since, until = self._told_until, _seconds(result.result_end_offset)
        self._told_until = max(since, until)
        text = best.transcript.strip()
        confidence = best.confidence or UNTOLD_CONFIDENCE
        words = tuple(
            Word(
                word=word.word,
                start_time=_seconds(word.start_offset),
                end_time=_seconds(word.end_offset),
                confidence=word.confidence or confidence,
            )
            for word in best.words
        )
        if text and not any(word.end_time for word in words):  # not all models tell times
            words = fitted(text, (Word(word=text, start_time=since, end_time=self._told_until, confidence=confidence),))
        return Heard(text=text, is_final=True, confidence=confidence, words=words, until=until or None)

    async def _write(self, request: cloud_speech.StreamingRecognizeRequest) -> None:
        try:
            await self._call.write(request)
        except (grpc.RpcError, asyncio.InvalidStateError):
            raise await self._fault() from None

    async def _fault(self) -> ProviderError:
        """Why the call is over."""
        code = await self._call.code()
        self.ended_untold = code is grpc.StatusCode.INTERNAL and not self._is_answered
        if code is grpc.StatusCode.OK:
            return ProviderError("The stream is over.", provider=PROVIDER, kind="stt", retryable=True)
        trailing = await self._call.trailing_metadata()
        return fault(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing), "stt")


def _config(settings: Transcription, keyterms: tuple[str, ...]) -> cloud_speech.StreamingRecognitionConfig:
    config = cloud_speech.RecognitionConfig(
        explicit_decoding_config=cloud_speech.ExplicitDecodingConfig(
            encoding=cloud_speech.ExplicitDecodingConfig.AudioEncoding.LINEAR16,
            sample_rate_hertz=RATE,
            audio_channel_count=1,
        ),
        model=settings.model or MODEL,
        language_codes=[_language(one.strip()) for one in settings.language.split(",")],
        features=cloud_speech.RecognitionFeatures(
            enable_automatic_punctuation=settings.punctuate,
            enable_word_time_offsets=True,
            enable_word_confidence=True,
            profanity_filter=settings.profanity_filter,
        ),
    )
    if keyterms:
        phrases = [cloud_speech.PhraseSet.Phrase(value=term) for term in keyterms[:MOST_KEYTERMS]]
        inline = cloud_speech.PhraseSet(phrases=phrases, boost=BOOST)
        phrase_set = cloud_speech.SpeechAdaptation.AdaptationPhraseSet(inline_phrase_set=inline)
        config.adaptation = cloud_speech.SpeechAdaptation(phrase_sets=[phrase_set])
    return cloud_speech.StreamingRecognitionConfig(
        config=config,
        streaming_features=cloud_speech.StreamingRecognitionFeatures(interim_results=True),
    )


def _language(code: str) -> str:
    return _REGIONS.get(code, code)


def _seconds(offset: Any) -> float:
    return offset.total_seconds() if offset else 0.0

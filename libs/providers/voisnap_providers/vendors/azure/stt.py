"""Azure's recogniser by its native SDK, which keeps its connection and its place in the audio by itself.

It cannot be asked for final words: silence, sent at once, ends a phrase. Its callbacks come on threads of its own.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import azure.cognitiveservices.speech as speechsdk
import structlog
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.live_stt import Heard, LiveSttRules, LiveSttStream
from voisnap_providers.ports.stt import SttCapabilities
from voisnap_providers.vendors.silence_finals import SilenceFinals
from voisnap_providers.vendors.varieties import variety

log = structlog.get_logger()

PROVIDER = "azure"
SEGMENTATION_MS = 500
SILENCE_SECONDS = 0.8
"""More than ends a phrase."""
PATIENCE_SECONDS = 1.2
START_SECONDS = 4.0
CLOSE_SECONDS = 0.5
UNTHROTTLED_MS = 60_000
"""Audio that may be sent faster than in real time: the SDK slows down after five seconds otherwise."""
TICKS = 10_000_000
"""Ticks of 100 ns a second."""
MOST_PHRASES = 500
MOST_THREADS = 32
"""Threads that start and stop recognisers; one that a dead connection holds up for seconds holds up no other."""
RULES = LiveSttRules(
    batch=0.1,
    largest=0.4,
    keep_alive=5.0,
    silence_instead=0.1,
    finalise_timeout=2.0,
    connect_timeout=START_SECONDS,
)
LANGUAGES = {"no": "nb-NO", "tl": "fil-PH"}
"""Where it means another variety than most."""

_CUSTOM_MODEL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_KEY_REFUSED = {speechsdk.CancellationErrorCode.AuthenticationFailure, speechsdk.CancellationErrorCode.Forbidden}


def make(account: Account) -> "AzureStt":
    """Azure's recogniser for one account. Raises ProviderUnconfigured without a region and an address."""
    return AzureStt(account)


class AzureStt:
    """One an account."""

    provider = PROVIDER
    capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=False)

    def __init__(self, account: Account) -> None:
        self._key = account.secret("key")
        self._region = account.option("region")
        self._address = re.sub("^http", "ws", account.option("stt_url").rstrip("/"))
        if not self._region and not self._address:
            raise ProviderUnconfigured("The stt provider azure is not set up: it needs AZURE_SPEECH_REGION.")
        self._threads = ThreadPoolExecutor(max_workers=MOST_THREADS, thread_name_prefix="azure-stt")

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> LiveSttStream:
        """Start listening to one caller."""

        async def opened() -> AzureConnection:
            return await AzureConnection.opened(self._config(settings), settings, keyterms, self._threads)

        return LiveSttStream(opened, RULES, provider=PROVIDER)

    async def aclose(self) -> None:
        """Free the threads; streams close their recognisers."""
        self._threads.shutdown(wait=False)

    def _config(self, settings: Transcription) -> speechsdk.SpeechConfig:
        # an address and a region exclude each other
        place: dict[str, Any] = {"host": self._address} if self._address else {"region": self._region}
        config = speechsdk.SpeechConfig(subscription=self._key, **place)
        config.speech_recognition_language = variety(settings.language, LANGUAGES)
        config.output_format = speechsdk.OutputFormat.Detailed
        config.request_word_level_timestamps()
        is_masked = settings.profanity_filter
        config.set_profanity(speechsdk.ProfanityOption.Masked if is_masked else speechsdk.ProfanityOption.Raw)
        if settings.smart_format:
            config.set_property(speechsdk.PropertyId.SpeechServiceResponse_PostProcessingOption, "TrueText")
        config.set_property(speechsdk.PropertyId.Speech_SegmentationSilenceTimeoutMs, str(SEGMENTATION_MS))
        config.set_property_by_name("SPEECH-TransmitLengthBeforThrottleMs", str(UNTHROTTLED_MS))
        if settings.model and _CUSTOM_MODEL.fullmatch(settings.model):
            config.endpoint_id = settings.model
        return config


class AzureConnection:
    """One recogniser of the SDK."""

    def __init__(self, settings: Transcription, threads: Executor) -> None:
        self._settings = settings
        self._threads = threads
        self._finals = SilenceFinals(silence=SILENCE_SECONDS, patience=PATIENCE_SECONDS, provider=PROVIDER)
        self._loop = asyncio.get_running_loop()
        self._audio: Any = None
        self._recogniser: Any = None
        self._link: Any = None
        self._is_closed = False

    @classmethod
    async def opened(
        cls, config: speechsdk.SpeechConfig, settings: Transcription, keyterms: tuple[str, ...], threads: Executor
    ) -> "AzureConnection":
        """Start it. Whether the vendor can be reached shows in the results."""
        connection = cls(settings, threads)
        try:
            await connection._loop.run_in_executor(threads, connection._start, config, keyterms)
        except RuntimeError as error:  # what the SDK raises for anything
            raise _failed(f"its SDK says {type(error).__name__}") from None
        except asyncio.CancelledError:
            await connection.aclose()
            raise
        return connection

    async def send(self, audio: bytes) -> None:
        """Hand over samples."""
        self._finals.carried(audio)
        self._audio.write(audio)

    async def finalise(self) -> None:
        """Silence, longer than any within a phrase."""
        self._audio.write(self._finals.ask())

    async def keep_alive(self) -> None:
        """Silence does that."""

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self._finals.results()

    async def aclose(self) -> None:
        """Stop the recogniser; its connection closes with it. One that is just connecting takes seconds, on a thread, for nobody to wait."""
        if not self._is_closed:
            self._is_closed = True
            stopped = self._loop.run_in_executor(self._threads, self._stop)
            await asyncio.wait({stopped}, timeout=CLOSE_SECONDS)

    def _start(self, config: speechsdk.SpeechConfig, keyterms: tuple[str, ...]) -> None:
        self._audio = speechsdk.audio.PushAudioInputStream(
            speechsdk.audio.AudioStreamFormat(samples_per_second=16000, bits_per_sample=16, channels=1)
        )
        recogniser = speechsdk.SpeechRecognizer(config, speechsdk.audio.AudioConfig(stream=self._audio))
        if keyterms:
            phrases = speechsdk.PhraseListGrammar.from_recognizer(recogniser)
            for term in keyterms[:MOST_PHRASES]:
                phrases.addPhrase(term)
        recogniser.recognizing.connect(lambda event: self._tell(event.result.json, is_final=False))
        recogniser.recognized.connect(lambda event: self._tell(event.result.json, is_final=True))
        recogniser.canceled.connect(self._cancelled)
        self._link = speechsdk.Connection.from_recognizer(recogniser)
        self._link.disconnected.connect(lambda _: self._call(self._finals.fail, _failed("it was closed")))
        self._recogniser = recogniser
        recogniser.start_continuous_recognition_async().get()

    def _stop(self) -> None:
        recogniser, self._recogniser = self._recogniser, None
        if recogniser is None:
            return
        for signal in (recogniser.recognizing, recogniser.recognized, recogniser.canceled, self._link.disconnected):
            signal.disconnect_all()
        try:
            recogniser.stop_continuous_recognition_async().get()
        except RuntimeError as error:
            log.info("stt.closing_failed", provider=PROVIDER, detail=type(error).__name__)

    # -- on threads of the SDK

    def _tell(self, text: str, *, is_final: bool) -> None:
        try:
            heard = _heard(json.loads(text), self._settings, is_final=is_final)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self._call(self._finals.fail, _failed(f"unreadable: {type(error).__name__}"))
        else:
            self._call(self._finals.put, heard)

    def _cancelled(self, event: Any) -> None:
        details = event.cancellation_details
        if details.reason == speechsdk.CancellationReason.EndOfStream:
            self._call(self._finals.end)
        else:
            self._call(self._finals.fail, _refused(details.code))

    def _call(self, what: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            return


def _heard(result: Mapping[str, Any], settings: Transcription, *, is_final: bool) -> Heard:
    end = (result.get("Offset", 0) + result.get("Duration", 0)) / TICKS
    if not is_final:
        return Heard(text=result.get("Text", ""), is_final=False, until=end)
    if result.get("RecognitionStatus") != "Success" or not result.get("NBest"):
        return Heard(text="", is_final=True, until=end)
    best = result["NBest"][0]
    confidence = float(best.get("Confidence") or 0.0)
    return Heard(
        text=best[_form(settings)],
        is_final=True,
        confidence=confidence,
        words=tuple(
            Word(
                word=word["Word"],
                start_time=word["Offset"] / TICKS,
                end_time=(word["Offset"] + word["Duration"]) / TICKS,
                confidence=float(word.get("Confidence") or confidence),
            )
            for word in best.get("Words", [])
        ),
        until=end,
    )


def _form(settings: Transcription) -> str:
    """Which of the result's texts the agent wants: as written, with numbers as figures alone, or as said."""
    if settings.punctuate:
        return "Display"
    if not settings.smart_format:
        return "Lexical"
    return "MaskedITN" if settings.profanity_filter else "ITN"


def _refused(code: speechsdk.CancellationErrorCode) -> ProviderError:
    if code in _KEY_REFUSED:
        return ProviderAuthError(f"Azure refused the key ({code.name}).", provider=PROVIDER, kind="stt")
    is_ours = code == speechsdk.CancellationErrorCode.BadRequest
    return ProviderError(f"Azure answered {code.name}.", provider=PROVIDER, kind="stt", retryable=not is_ours)


def _failed(detail: str) -> ProviderError:
    return ProviderError(f"The connection to Azure failed ({detail}).", provider=PROVIDER, kind="stt", retryable=True)

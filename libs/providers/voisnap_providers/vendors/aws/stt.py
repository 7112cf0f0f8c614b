"""Amazon Transcribe streaming over WebSocket.

It cannot be asked for final words: a second of silence, sent at once, makes it close a segment. It wants audio every 15 seconds. A profanity
filter and words that will probably be said are only there as named vocabularies of the account, so neither is sent.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import structlog
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer, ParserError
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.live_stt import Heard, LiveSttRules, LiveSttStream
from voisnap_providers.ports.stt import SttCapabilities
from voisnap_providers.vendors.silence_finals import SilenceFinals
from voisnap_providers.vendors.varieties import variety

from .event_stream import audio_event
from .faults import PROVIDER, refused

log = structlog.get_logger()

PATH = "/stream-transcription-websocket"
SIGNATURE_SECONDS = 60
"""How long a signed address can be opened."""
SILENCE_SECONDS = 1.0
PATIENCE_SECONDS = 1.2
OPEN_SECONDS = 4.0
CLOSE_SECONDS = 1.0
PING_SECONDS = 10.0
MAX_MESSAGE = 1 << 20
UNSURE = 0.5
"""Confidence of words that got none: interim results have none."""
RULES = LiveSttRules(
    batch=0.1,
    largest=0.4,
    keep_alive=8.0,  # idle limit: 15 s
    silence_instead=0.2,
    max_age=4 * 3600.0,  # quota of a stream
    finalise_timeout=2.0,
    connect_timeout=OPEN_SECONDS,
)
LANGUAGES = {"es": "es-US", "fil": "tl-PH", "nb": "no-NO"}
"""Where it means another variety than most."""
ORDINARY_MODELS = frozenset({"", "default", "standard", "streaming", "transcribe", "general", "transcribe-streaming"})
"""Names of the model that everybody gets; others are custom language models of the account."""


def make(account: Account) -> "TranscribeStt":
    """Transcribe for one account."""
    return TranscribeStt(account)


class TranscribeStt:
    """One an account."""

    provider = PROVIDER
    capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=False)

    def __init__(self, account: Account) -> None:
        self._region = account.option("region", "us-east-1")
        self._address = account.option(
            "transcribe_url", f"wss://transcribestreaming.{self._region}.amazonaws.com:8443"
        ).rstrip("/")
        self._credentials = Credentials(
            account.secret("access_key_id"),
            account.secret("secret_access_key"),
            account.secrets.get("session_token"),
        )

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> LiveSttStream:
        """Start listening to one caller."""

        async def opened() -> TranscribeConnection:
            return await TranscribeConnection.opened(self.url(settings), settings)

        return LiveSttStream(opened, RULES, provider=PROVIDER)

    def url(self, settings: Transcription) -> str:
        """Where a stream is opened, signed, good for a minute."""
        query = {
            "language-code": variety(settings.language, LANGUAGES),
            "media-encoding": "pcm",
            "sample-rate": "16000",
            "enable-partial-results-stabilization": "true",
            "partial-results-stability": "medium",
        }
        if settings.model and settings.model.lower() not in ORDINARY_MODELS:
            query["language-model-name"] = settings.model
        scheme, rest = self._address.split("://", 1)
        secure = "https" if scheme in {"wss", "https"} else "http"
        request: Any = AWSRequest("GET", f"{secure}://{rest}{PATH}?{urlencode(query)}")
        SigV4QueryAuth(self._credentials, "transcribe", self._region, SIGNATURE_SECONDS).add_auth(request)
        return "ws" + str(request.url).removeprefix("http")

    async def aclose(self) -> None:
        """Nothing of its own to free: streams close their connections."""


class TranscribeConnection:
    """One stream at AWS."""

    def __init__(self, socket: ClientConnection, settings: Transcription) -> None:
        self._socket = socket
        self._punctuate = settings.punctuate
        self._finals = SilenceFinals(silence=SILENCE_SECONDS, patience=PATIENCE_SECONDS, provider=PROVIDER)
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def opened(cls, url: str, settings: Transcription) -> "TranscribeConnection":
        """Connect. Raises ProviderError, whose text does not repeat the signed address."""
        try:
            socket = await connect(
                url,
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                max_size=MAX_MESSAGE,
                compression=None,
            )
        except InvalidStatus as error:
            headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
            code = headers.get("x-amzn-errortype", "").split(":")[0] or f"HTTP{error.response.status_code}"
            raise refused(code, kind="stt", status=error.response.status_code, headers=headers) from None
        except TimeoutError:
            raise ProviderTimeout("AWS did not answer in time.", provider=PROVIDER, kind="stt") from None
        except (OSError, InvalidHandshake) as error:
            raise _lost(type(error).__name__) from None
        return cls(socket, settings)

    async def send(self, audio: bytes) -> None:
        """Hand over samples."""
        self._finals.carried(audio)
        await self._send(audio)

    async def finalise(self) -> None:
        """A second of silence."""
        await self._send(self._finals.ask())

    async def keep_alive(self) -> None:
        """Silence does that."""

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self._finals.results()

    async def aclose(self) -> None:
        """Tell the end of the audio, and close."""
        self._reader.cancel()
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.send(audio_event(b""))
        await self._socket.close()
        await asyncio.wait({self._reader})

    async def _send(self, audio: bytes) -> None:
        step = round(RULES.largest * 32000)
        try:
            for at in range(0, len(audio), step):
                await self._socket.send(audio_event(audio[at : at + step]))
        except ConnectionClosed as error:
            raise _lost(type(error).__name__) from None

    async def _read(self) -> None:
        buffer = EventStreamBuffer()
        try:
            async for message in self._socket:
                buffer.add_data(message if isinstance(message, bytes) else message.encode())
                for event in buffer:
                    self._take(event.headers, event.payload)
        except ConnectionClosed as error:
            self._finals.fail(_lost(type(error).__name__))
        except ProviderError as error:
            self._finals.fail(error)
        except (ParserError, ValueError, KeyError, TypeError) as error:
            self._finals.fail(_lost(f"unreadable: {type(error).__name__}"))
        else:
            self._finals.end()

    def _take(self, headers: Mapping[str, Any], payload: bytes) -> None:
        if headers.get(":message-type") == "exception":
            raise _excepted(str(headers.get(":exception-type")), payload)
        if headers.get(":message-type") == "error":
            raise refused(str(headers.get(":error-code")), kind="stt")
        if headers.get(":event-type") != "TranscriptEvent":
            return
        for result in json.loads(payload)["Transcript"]["Results"]:
            if result["Alternatives"]:
                self._finals.put(_heard(result, punctuate=self._punctuate))


def _heard(result: Mapping[str, Any], *, punctuate: bool) -> Heard:
    best = result["Alternatives"][0]
    words: list[Word] = []
    for item in best.get("Items", []):
        content = item["Content"]
        if item.get("Type") == "punctuation":
            if words and punctuate:
                last = words.pop()
                words.append(
                    Word(
                        word=last.word + content,
                        start_time=last.start_time,
                        end_time=last.end_time,
                        confidence=last.confidence,
                    )
                )
            continue
        confidence = float(item.get("Confidence") or UNSURE)
        words.append(Word(word=content, start_time=item["StartTime"], end_time=item["EndTime"], confidence=confidence))
    text = best.get("Transcript", "") if punctuate else " ".join(word.word for word in words)
    return Heard(
        text=text,
        is_final=not result["IsPartial"],
        confidence=sum(word.confidence for word in words) / len(words) if words else 0.0,
        words=tuple(words),
        until=float(result["EndTime"]),
    )


def _excepted(code: str, payload: bytes) -> ProviderError:
    """An exception in the stream. One for silence that was too long is no fault of what was asked."""
    try:
        message = str(json.loads(payload).get("Message", ""))
    except (ValueError, AttributeError):
        message = ""
    if code == "BadRequestException" and "timed out" in message:
        return _lost("it heard no audio for too long")
    return refused(code, kind="stt")


def _lost(detail: str) -> ProviderError:
    return ProviderError(f"The connection to AWS failed ({detail}).", provider=PROVIDER, kind="stt", retryable=True)

"""ElevenLabs' voices, by `POST /v1/text-to-speech/{voice}/stream/with-timestamps` (providers.md §4.1).

One request a text over connections that stay open, rather than one WebSocket a voice with contexts: it begins as fast, gives the time of
every character, has no idle limit, leaves nothing behind when a caller interrupts (closing the response ends the work and its bill), and
takes other settings with every text.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

import httpx
import msgspec
import structlog
from voisnap_domain.agents import Voice

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.pcm_stream import PcmDecoder, SpokenText
from voisnap_providers.ports.tts import SpeechChunk, TtsCapabilities
from voisnap_providers.vendors.retry_after import seconds_of

log = structlog.get_logger()

PROVIDER = "elevenlabs"
URL = "https://api.elevenlabs.io"
MODEL = "eleven_flash_v2_5"
RATE = 24000
SLOWEST, FASTEST = 0.7, 1.2
TIMEOUT = httpx.Timeout(5.0, connect=3.0, pool=3.0)
"""Seconds; 5 is between two pieces of an answer."""
IDLE_SECONDS = 60.0
"""Unused connections are kept open so long."""
MAX_CONNECTIONS = 200
MAX_LINE_BYTES = 4_000_000
MAX_ERROR_BYTES = 20_000
LOOKAHEAD = 12
"""Characters of the text that an alignment may leave out at once."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_REFUSED_KEYS = frozenset(
    {"invalid_api_key", "missing_permissions", "needs_authorization", "detected_unusual_activity"}
)


class _Alignment(msgspec.Struct, frozen=True):
    characters: tuple[str, ...] = ()
    character_start_times_seconds: tuple[float, ...] = ()
    character_end_times_seconds: tuple[float, ...] = ()


class _Piece(msgspec.Struct, frozen=True):
    audio_base64: str | None = None
    alignment: _Alignment | None = None


_PIECE = msgspec.json.Decoder(_Piece)


def make(account: Account) -> "ElevenLabsTts":
    """The voices of one account. Raises ProviderUnconfigured without a key."""
    return ElevenLabsTts(account)


class ElevenLabsTts:
    """One an account; `model` is the account's, else the fastest. Numbers are read out by the service."""

    provider = PROVIDER
    capabilities = TtsCapabilities(sample_rate=RATE, word_timings=True)

    def __init__(self, account: Account) -> None:
        self.model = account.option("model", MODEL)
        """What its voices are spoken with, and paid for."""
        self._client = httpx.AsyncClient(
            base_url=account.option("base_url", URL),
            headers={"xi-api-key": account.secret("api_key"), "accept-encoding": "identity"},
            timeout=TIMEOUT,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=IDLE_SECONDS,
            ),
            follow_redirects=False,
        )
        self._used_at: float | None = None

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """One request; closing the generator closes it."""
        spoken = SpokenText(text, provider=PROVIDER, speed=_speed(voice), measured=True)
        if not spoken.is_speakable:
            return
        decoder = PcmDecoder(RATE, provider=PROVIDER)
        times = _SignTimes(spoken)
        async with aclosing(self._pieces(spoken.sent, voice)) as pieces:
            async for piece in pieces:
                if piece.alignment is not None:
                    times.note(piece.alignment, spoken.seconds)
                audio = decoder.decode(_audio(piece))
                for chunk in spoken.add(audio):
                    yield chunk
        for chunk in spoken.finish():
            yield chunk

    async def warm(self) -> None:
        """Open a connection unless one was used within the last minute."""
        now = asyncio.get_running_loop().time()
        if self._used_at is not None and now - self._used_at < IDLE_SECONDS / 2:
            return
        self._used_at = now
        try:
            await self._client.get("/v1/models")
        except httpx.HTTPError as error:
            self._used_at = None
            log.info("tts.warm_failed", provider=PROVIDER, error=type(error).__name__)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _pieces(self, text: str, voice: Voice) -> AsyncGenerator[_Piece]:
        self._used_at = asyncio.get_running_loop().time()
        request = self._client.build_request(
            "POST",
            f"/v1/text-to-speech/{quote(voice.voice_id, safe='')}/stream/with-timestamps",
            params={"output_format": f"pcm_{RATE}"},
            json={"text": text, "model_id": self.model, "voice_settings": _settings(voice)},
        )
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code != httpx.codes.OK:
                    raise await _refusal(response)
                async for line in _lines(response.aiter_bytes()):
                    yield _PIECE.decode(line)
            finally:
                await response.aclose()
        except httpx.TimeoutException:
            raise ProviderTimeout("The voice did not answer in time.", provider=PROVIDER, kind="tts") from None
        except httpx.HTTPError as error:
            raise _broken(f"The connection to the voice failed ({type(error).__name__}).") from None
        except msgspec.DecodeError:
            raise _broken("The voice sent what is no answer.") from None


class _SignTimes:
    """Brings the characters of alignments to their places in the text.

    Times count from the beginning of the request or from that of their piece (both are seen): from the piece when they go back.
    """

    def __init__(self, spoken: SpokenText) -> None:
        self._spoken = spoken
        self._at = 0
        self._last = 0.0

    def note(self, alignment: _Alignment, seconds_before: float) -> None:
        starts = alignment.character_start_times_seconds
        shift = seconds_before if starts and starts[0] < self._last - 0.02 else 0.0
        sent = self._spoken.sent
        for sign, start, end in zip(alignment.characters, starts, alignment.character_end_times_seconds, strict=False):
            self._last = max(self._last, end + shift)
            at = sent.find(sign, self._at, self._at + LOOKAHEAD) if sign else -1
            if at >= 0:
                self._at = at + len(sign)
                self._spoken.timed(at, self._at, start + shift, end + shift)


def _speed(voice: Voice) -> float:
    return min(max(voice.speed, SLOWEST), FASTEST)


def _settings(voice: Voice) -> dict[str, float | bool]:
    return {
        "stability": voice.stability,
        "similarity_boost": voice.similarity_boost,
        "style": voice.style,
        "use_speaker_boost": voice.use_speaker_boost,
        "speed": _speed(voice),
    }


def _audio(piece: _Piece) -> bytes:
    try:
        return base64.b64decode(piece.audio_base64 or "", validate=True)
    except binascii.Error:
        raise _broken("The voice sent what is no sound.") from None


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Lines that are not empty. Raises ProviderError for one beyond `MAX_LINE_BYTES`."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > MAX_LINE_BYTES:
            raise _broken("The voice sent a line without end.")
    if rest.strip():
        yield rest


async def _refusal(response: httpx.Response) -> ProviderError:
    """The error of an answer that is none. The vendor's words are not repeated: they may quote the text."""
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_ERROR_BYTES:
            break
    status, code = response.status_code, _code(body)
    detail = f"The voice answered {status}{f' ({code})' if code else ''}."
    if code == "quota_exceeded":
        return ProviderError("The account's characters are used up.", provider=PROVIDER, kind="tts", retryable=False)
    if status in {401, 403} or code in _REFUSED_KEYS:
        return ProviderAuthError(detail, provider=PROVIDER, kind="tts")
    return ProviderError(
        detail,
        provider=PROVIDER,
        kind="tts",
        retryable=status in {408, 409, 425, 429} or status >= 500,
        retry_after=seconds_of(response.headers),
    )


def _code(body: bytes) -> str | None:
    """The name of an error: `{"detail": {"status": name}}`, lately also as `code`."""
    try:
        detail = msgspec.json.decode(body)["detail"]
        found = detail.get("status") or detail.get("code")
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError):
        return None
    return found if isinstance(found, str) and _CODE.fullmatch(found) else None


def _broken(detail: str) -> ProviderError:
    return ProviderError(detail, provider=PROVIDER, kind="tts", retryable=True)

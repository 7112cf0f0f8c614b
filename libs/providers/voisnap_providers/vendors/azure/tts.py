"""Azure's voices by REST: SSML out, 24 kHz PCM in. Times of words are estimated: this interface tells none.

A voice is its short name, `en-US-JennyNeural`, with a speaking style behind a `#` where the voice has some: `en-US-JennyNeural#cheerful`.
The agent's `style` is how strong that style is.
"""

import contextlib
import re
import time
from collections.abc import AsyncGenerator
from xml.sax.saxutils import escape, quoteattr

import httpx
import structlog
from voisnap_domain.agents import Voice

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout, ProviderUnconfigured
from voisnap_providers.pcm_stream import Paces, PcmDecoder, SpokenText
from voisnap_providers.ports.tts import SpeechChunk, TtsCapabilities
from voisnap_providers.vendors import retry_after

log = structlog.get_logger()

PROVIDER = "azure"
RATE = 24000
FORMAT = "raw-24khz-16bit-mono-pcm"
PATH = "/cognitiveservices/v1"
DEFAULT_VOICE = "en-US-JennyNeural"
DEFAULT_LANGUAGE = "en-US"
SLOWEST, FASTEST = 0.5, 2.0
"""What `prosody rate` is heeded for."""
TIMEOUTS = httpx.Timeout(8.0, connect=3.0)
LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=60.0)
WARM_AGAIN_SECONDS = 20.0
VOICES_KEPT = 500

_LANGUAGE = re.compile(r"([a-z]{2,3}-[A-Z][A-Za-z]{1,3})-")
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Signs that no XML document may hold (XML 1.0 §2.2)."""


def make(account: Account) -> "AzureTts":
    """Azure's voices for one account. Raises ProviderUnconfigured without a region and an address."""
    return AzureTts(account)


class AzureTts:
    """One an account: its connections and what it learned about voices."""

    provider = PROVIDER
    capabilities = TtsCapabilities(sample_rate=RATE)

    def __init__(self, account: Account) -> None:
        region = account.option("region")
        address = account.option("tts_url") or (f"https://{region}.tts.speech.microsoft.com" if region else "")
        if not address:
            raise ProviderUnconfigured("The tts provider azure is not set up: it needs AZURE_SPEECH_REGION.")
        headers = {
            "Ocp-Apim-Subscription-Key": account.secret("key"),
            "Content-Type": "application/ssml+xml",
            "X-Microsoft-OutputFormat": FORMAT,
            "User-Agent": "voisnap",
        }
        self._http = httpx.AsyncClient(base_url=address, headers=headers, timeout=TIMEOUTS, limits=LIMITS)
        self._replaced: dict[str, str] = {}
        """Which voice speaks instead of one that is not known."""
        self._paces = Paces()
        self._warmed = -WARM_AGAIN_SECONDS

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """Chunks of whole words as the audio comes. An unknown voice is spoken by another one, with one warning."""
        speed = min(max(voice.speed, SLOWEST), FASTEST)
        spoken = SpokenText(text, provider=PROVIDER, pace=self._paces.of(voice.voice_id), speed=speed)
        if not spoken.is_speakable:
            return
        try:
            async with contextlib.AsyncExitStack() as stack:
                response = await self._requested(spoken.sent, voice, speed, stack)
                decoder = PcmDecoder(RATE, provider=PROVIDER)
                async for data in response.aiter_bytes():
                    for chunk in spoken.add(decoder.decode(data)):
                        yield chunk
        except httpx.TimeoutException:
            raise ProviderTimeout("Azure did not answer in time.", provider=PROVIDER, kind="tts") from None
        except httpx.HTTPError as error:
            detail = f"The connection to Azure failed ({type(error).__name__})."
            raise ProviderError(detail, provider=PROVIDER, kind="tts", retryable=True) from None
        for chunk in spoken.finish():
            yield chunk

    async def warm(self) -> None:
        """Open a connection with a request for nothing."""
        now = time.monotonic()
        if now - self._warmed < WARM_AGAIN_SECONDS:
            return
        self._warmed = now
        try:
            await self._http.head(PATH)
        except httpx.HTTPError as error:
            log.warning("tts.warming_failed", provider=PROVIDER, detail=type(error).__name__)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _requested(
        self, text: str, voice: Voice, speed: float, stack: contextlib.AsyncExitStack
    ) -> httpx.Response:
        """The answer to read audio from, closed with `stack`. Raises ProviderError, httpx.HTTPError."""
        wanted = voice.voice_id
        # 400 is what an unknown style or voice gets: the same voice without a style is next, then another voice
        tried = [wanted, wanted.partition("#")[0], DEFAULT_VOICE]
        voices = list(dict.fromkeys([self._replaced[wanted]] if wanted in self._replaced else tried))
        while True:
            body = document(text, voices[0], speed=speed, style_degree=voice.style * 2)
            response = await stack.enter_async_context(self._http.stream("POST", PATH, content=body.encode()))
            if response.status_code == 200:
                self._note_voice(wanted, voices[0])
                return response
            if response.status_code != 400 or len(voices) == 1:
                raise _refused(response)
            await response.aclose()
            voices.pop(0)

    def _note_voice(self, wanted: str, used: str) -> None:
        if used != wanted and wanted not in self._replaced and len(self._replaced) < VOICES_KEPT:
            self._replaced[wanted] = used
            log.warning("tts.voice_replaced", provider=PROVIDER, voice_id=wanted, used=used)


def document(text: str, voice_id: str, *, speed: float = 1.0, style_degree: float = 0.0) -> str:
    """SSML that says the text and nothing else. `style_degree` 0 leaves the strength of the style to the voice."""
    name, _, style = voice_id.partition("#")
    language = found[1] if (found := _LANGUAGE.match(name)) else DEFAULT_LANGUAGE
    content = escape(_FORBIDDEN.sub(" ", text), {'"': "&quot;", "'": "&apos;"})
    if speed != 1.0:
        content = f'<prosody rate="{(speed - 1) * 100:+.0f}%">{content}</prosody>'
    if style:
        degree = f' styledegree="{min(max(style_degree, 0.01), 2.0):.2f}"' if style_degree else ""
        content = f"<mstts:express-as style={quoteattr(style)}{degree}>{content}</mstts:express-as>"
    return (
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xmlns:mstts="http://www.w3.org/2001/mstts" '
        f"xml:lang={quoteattr(language)}><voice name={quoteattr(name)}>{content}</voice></speak>"
    )


def _refused(response: httpx.Response) -> ProviderError:
    status = response.status_code
    if status in {401, 403}:
        return ProviderAuthError(f"Azure refused the key (HTTP {status}).", provider=PROVIDER, kind="tts")
    return ProviderError(
        f"Azure answered HTTP {status}.",
        provider=PROVIDER,
        kind="tts",
        retryable=status in {408, 429} or status >= 500,
        retry_after=retry_after.seconds_of(response.headers),
    )

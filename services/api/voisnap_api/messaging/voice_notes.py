"""What is said in voice messages, by the agent's own recogniser or, without one here, by the local one."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

import msgspec
from voisnap_domain.agents import AgentConfig, Transcription, TranscriptionProvider
from voisnap_domain.costs import UsageLeg
from voisnap_domain.provider_credentials import SealedCredential
from voisnap_domain.sessions import SessionPlan
from voisnap_kit import log
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.stt import SpeechToText
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_providers.vendors import factories

from .media_types import type_of

if TYPE_CHECKING:  # it comes with numpy, which only a process needs that gets a voice message
    from voisnap_media.pcm import Pcm, Samples

MOST_SECONDS = 300.0
"""Of a longer message the beginning, and `CUT` behind it."""

CUT = "[The rest of this message is too long to be read.]"

_FORMATS = {
    **{one: one for one in ("ogg", "mp3", "wav", "aac", "amr", "flac")},
    **dict.fromkeys(("m4a", "mp4", "3gp", "mov"), "mp4"),
    "webm": "matroska",
}
"""FFmpeg's names of what voice messages come in, by the file's ending: nothing else is tried on what strangers send."""

PIECE_SECONDS = 15.0
"""Recognisers take utterances: a long message is cut where it is quietest near its end."""

_CUT_WITHIN = 5.0
_LOOK = 0.2
_PUSH = 0.1
_FINAL_SECONDS = 30.0

_log = log.get(__name__)


class Recognisers(Protocol):
    """What is needed of `voisnap_providers.registry.Registry`."""

    def stt(self, name: str, own: dict[str, Account]) -> SpeechToText: ...


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is said in a voice message, empty where nothing is, and what recognisers were used for it."""

    text: str
    legs: tuple[UsageLeg, ...] = ()


class VoiceNotes:
    """Reads voice messages, one at a time."""

    def __init__(self, registry: Recognisers, accounts: TenantAccounts) -> None:
        self._registry = registry
        self._accounts = accounts
        self._one = asyncio.Lock()

    async def transcript(
        self, plan: SessionPlan, content: bytes, credentials: tuple[SealedCredential, ...] = ()
    ) -> Heard:
        """What is said. Raises ValueError for what is no sound, ProviderError when nobody here can read it."""
        config = plan.agent.config
        local = msgspec.structs.replace(config.transcription, provider=TranscriptionProvider.LOCAL, model=None)
        own = self._accounts.opened(credentials, tenant_id=plan.tenant_id, environment=plan.environment)
        meter = CallMeter()
        async with self._one:
            last: Exception | None = None
            for settings in (config.transcription, *config.fallbacks.transcription, local):
                try:
                    await asyncio.to_thread(factories.load, [("stt", settings.provider.value)])
                    account = own[settings.provider].id if settings.provider in own else PLATFORM
                    stt = meter.stt(self._registry.stt(settings.provider, own), account=account)
                    text = await _heard(stt, settings, content)
                    return Heard(text=text, legs=meter.usage.legs)
                except (ProviderUnconfigured, ProviderError) as error:
                    last = error
                    _log.info("voice_note.recogniser_passed", provider=settings.provider.value, error=repr(error))
            raise ProviderError(
                "no recogniser could read it", provider=config.transcription.provider, kind="stt", retryable=False
            ) from last


def recognisers_of(config: AgentConfig) -> tuple[str, ...]:
    """The providers whose recognisers an agent names."""
    return tuple(one.provider.value for one in (config.transcription, *config.fallbacks.transcription))


async def _heard(stt: SpeechToText, settings: Transcription, content: bytes) -> str:
    sound = await asyncio.to_thread(_decoded, content, stt.capabilities.sample_rate)
    is_cut = len(sound.samples) >= MOST_SECONDS * sound.rate
    stream = stt.open(settings)
    said: list[str] = []
    try:
        results = aiter(stream)
        for piece in _pieces(sound):
            for part in _parts(piece, _PUSH):
                stream.push(part)
                await asyncio.sleep(0)
            stream.flush()
            async with asyncio.timeout(_FINAL_SECONDS):
                while not (found := await anext(results)).is_final:
                    pass
            said.append(found.text.strip())
    except (TimeoutError, StopAsyncIteration):
        raise ProviderError("no result in time", provider=stt.provider, kind="stt", retryable=True) from None
    finally:
        await stream.aclose()
    text = " ".join(text for text in said if text)
    return f"{text} {CUT}" if text and is_cut else text


def _decoded(content: bytes, rate: int) -> "Pcm":
    form = _FORMATS.get(type_of(content).extension)
    if form is None:
        raise ValueError("this is no sound")
    files = import_module("voisnap_media.files")  # FFmpeg and numpy: 200 ms and 40 MB
    try:
        return files.read(BytesIO(content), rate, most_seconds=MOST_SECONDS, format=form)
    except OSError as error:
        raise ValueError("this sound can't be read") from error


def _pieces(sound: "Pcm") -> "Iterator[Pcm]":
    """The sound in utterances."""
    samples, rate = sound.samples, sound.rate
    while len(samples) > PIECE_SECONDS * rate:
        at = _quietest(samples, rate)
        yield type(sound)(samples[:at], rate)
        samples = samples[at:]
    if len(samples):
        yield type(sound)(samples, rate)


def _quietest(samples: "Samples", rate: int) -> int:
    end, look = int(PIECE_SECONDS * rate), int(_LOOK * rate)
    starts = range(end - int(_CUT_WITHIN * rate), end - look, look)
    quietest = min(starts, key=lambda start: int(abs(samples[start : start + look].astype("int32")).sum()))
    return quietest + look // 2


def _parts(sound: "Pcm", seconds: float) -> "Iterator[Pcm]":
    step = int(seconds * sound.rate)
    for start in range(0, len(sound.samples), step):
        yield type(sound)(sound.samples[start : start + step], sound.rate)

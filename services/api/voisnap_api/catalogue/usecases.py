"""What providers offer, what of it a tenant can use now, and what about an agent will probably not work."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec
from voisnap_domain.agents import AgentConfig, Llm, Transcription, Voice
from voisnap_domain.costs import Price, PriceKind, Quote, price_of
from voisnap_domain.errors import FieldError
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Caller, Work
from voisnap_providers.accounts import PROVIDERS, Account, missing

from voisnap_api.prices.usecases import price_list
from voisnap_api.provider_credentials import usecases as provider_credentials

from .records import (
    ANY_LANGUAGE,
    Access,
    Availability,
    CatalogueFilter,
    CatalogueVoice,
    Model,
    ModelKind,
    VoiceFamily,
)

REMEMBERED_SECONDS = 5.0
"""For so long other processes may warn of a provider that a tenant has just got access to."""

_MOST_REMEMBERED = 10_000

LOCAL = "local"
SCRIPTED = "scripted"
OPENAI_COMPATIBLE = "openai_compatible"
_ANY_MODEL = frozenset({LOCAL, SCRIPTED, OPENAI_COMPATIBLE})
"""Providers that take whatever name of a model an agent gives."""

_VERSION = r"(?:-(?:\d[\d-]*|latest|preview[\w-]*))?"
"""What may follow a model's name when an agent pins a version of it."""

_GOOGLES: Mapping[ModelKind, tuple[str, ...]] = {
    ModelKind.LLM: ("api_key",),
    ModelKind.STT: ("service_account",),
    ModelKind.TTS: ("service_account",),
}
"""Google's two doors take different keys."""

_PAID_FOR: Mapping[ModelKind, tuple[PriceKind, ...]] = {
    ModelKind.LLM: (PriceKind.LLM_INPUT, PriceKind.LLM_OUTPUT, PriceKind.LLM_CACHED),
    ModelKind.STT: (PriceKind.STT,),
    ModelKind.TTS: (PriceKind.TTS,),
}

Item = TypeVar("Item", Model, CatalogueVoice)
Part = TypeVar("Part")


class _Models(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    as_of: str
    models: tuple[Model, ...]


class _Voices(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    as_of: str
    sources: dict[str, str]
    families: tuple[VoiceFamily, ...]
    voices: tuple[CatalogueVoice, ...]


class Reach:
    """With what a tenant reaches providers: the platform's accounts and the secrets of his own."""

    def __init__(
        self, platform: Mapping[str, Account], own: Mapping[str, frozenset[str]], environment: Environment
    ) -> None:
        self._platform = platform
        self._own = own
        self._environment = environment

    def of(self, provider: str, kind: ModelKind) -> Availability:
        """Whether a provider can be used for something now."""
        if provider == LOCAL:
            return Availability(available=True, access=Access.LOCAL)
        if provider == SCRIPTED:
            if self._environment is Environment.SANDBOX:
                return Availability(available=True, access=Access.LOCAL)
            return Availability(available=False, reason="It works in the sandbox only.")
        if self._opens(provider, kind, self._own.get(provider)):
            return Availability(available=True, access=Access.OWN)
        account = self._platform.get(provider)
        if self._opens(provider, kind, None if account is None else frozenset(account.secrets)):
            return Availability(available=True, access=Access.PLATFORM)
        if provider == OPENAI_COMPATIBLE:  # servers that want no key
            return Availability(available=True, access=Access.PLATFORM)
        return Availability(available=False, reason=_why_not(provider, kind))

    @staticmethod
    def _opens(provider: str, kind: ModelKind, secrets: frozenset[str] | None) -> bool:
        if secrets is None:
            return False
        return provider != "google" or bool(secrets.intersection(_GOOGLES[kind]))


class Reaches:
    """Knows with what each tenant reaches providers. What tenants have of their own is remembered for a few seconds."""

    def __init__(self, platform: Mapping[str, Account], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._monotonic = monotonic
        self._known: dict[tuple[TenantId, Environment], tuple[Reach, float]] = {}

    async def of(self, work: Work) -> Reach:
        """With what the caller's tenant reaches providers in this environment."""
        key = (work.caller.tenant_id, work.caller.environment)
        known = self._known.get(key)
        if known is not None and self._monotonic() < known[1]:
            return known[0]
        reach = Reach(self._platform, await provider_credentials.own_secrets(work), work.caller.environment)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = (reach, self._monotonic() + REMEMBERED_SECONDS)
        return reach

    def forget(self, caller: Caller) -> None:
        """Look again: what a tenant has of its own has changed."""
        self._known.pop((caller.tenant_id, caller.environment), None)


def models(wanted: CatalogueFilter, reach: Reach) -> list[tuple[Model, Availability]]:
    """The models that match, by kind and provider, each with whether it can be used."""
    kept = (
        (model, reach.of(model.provider, model.kind))
        for model in all_models()
        if (wanted.kind is None or model.kind is wanted.kind) and _fits(model, wanted)
    )
    return [(model, found) for model, found in kept if wanted.is_available in (None, found.available)]


def voices(wanted: CatalogueFilter, reach: Reach) -> list[tuple[CatalogueVoice, Availability]]:
    """The voices that match, by provider, each with whether it can be used."""
    kept = ((voice, reach.of(voice.provider, ModelKind.TTS)) for voice in all_voices() if _fits(voice, wanted))
    return [(voice, found) for voice, found in kept if wanted.is_available in (None, found.available)]


async def list_prices(work: Work) -> tuple[Price, ...]:
    """The list prices of today, before a tenant's markups."""
    return await price_list(work.tx, on=work.now.date())


def quotes_of(model: Model, prices: tuple[Price, ...]) -> tuple[Quote, ...]:
    """What a model costs; of a voice's model what its first voice costs."""
    voice = next((one.id for one in all_voices() if (one.provider, one.model) == (model.provider, model.id)), None)
    return _quotes(model, voice if model.kind is ModelKind.TTS else None, prices)


def quotes_of_voice(voice: CatalogueVoice, prices: tuple[Price, ...]) -> tuple[Quote, ...]:
    """What a voice costs."""
    return _quotes(model_of(voice), voice.id, prices)


def warnings_of(config: AgentConfig, reach: Reach) -> tuple[FieldError, ...]:
    """What about an agent will probably not work: unknown models and voices, providers without access, languages a model does not know.

    Never a reason to refuse it: the catalogue may be older than the provider.
    """
    parts: list[FieldError] = []
    for pointer, llm in _numbered("llm", config.llm, config.fallbacks.llm):
        parts += _of_llm(pointer, llm, reach)
    for pointer, voice in _numbered("voice", config.voice, config.fallbacks.voice):
        parts += _of_voice(pointer, voice, reach)
    for pointer, heard in _numbered("transcription", config.transcription, config.fallbacks.transcription):
        parts += _of_transcription(pointer, heard, reach)
    return tuple(parts)


def smallest_of(provider: str, kind: str) -> str | None:
    """What to ask a provider for, when any answer will do: its smallest language model, its first voice, its usual recogniser."""
    if kind == ModelKind.TTS:
        return next((voice.id for voice in all_voices() if voice.provider == provider), None)
    of_kind = [model for model in all_models() if (model.provider, model.kind) == (provider, kind)]
    return next((model.id for model in of_kind if model.default), of_kind[0].id if of_kind else None)


@cache
def all_models() -> tuple[Model, ...]:
    """Every model of the catalogue; of each provider the smallest language model first."""
    return msgspec.json.decode(_read("models.json"), type=_Models).models


@cache
def all_voices() -> tuple[CatalogueVoice, ...]:
    """Every voice of the catalogue."""
    found = msgspec.json.decode(_read("voices.json"), type=_Voices)
    return (*found.voices, *(voice for family in found.families for voice in family.voices()))


@cache
def as_of() -> tuple[str, str]:
    """The days on which models and voices were looked up."""
    return (
        msgspec.json.decode(_read("models.json"), type=_Models).as_of,
        msgspec.json.decode(_read("voices.json"), type=_Voices).as_of,
    )


def model_of(voice: CatalogueVoice) -> Model:
    """The model that speaks a voice."""
    wanted = (ModelKind.TTS, voice.provider, voice.model)
    return next(model for model in all_models() if (model.kind, model.provider, model.id) == wanted)


def speaks(language: str, offered: tuple[str, ...]) -> bool:
    """Whether one of the offered languages is the asked one: `en` fits `en-US`, and the other way round."""
    return any(one == ANY_LANGUAGE or _meets(language.lower(), one.lower()) for one in offered)


def _quotes(model: Model, voice: str | None, prices: tuple[Price, ...]) -> tuple[Quote, ...]:
    found = (price_of(prices, kind, model.provider, model.id, voice) for kind in _PAID_FOR[model.kind])
    return tuple(quote for quote in found if quote is not None)


def _meets(asked: str, offered: str) -> bool:
    if asked.partition("-")[0] != offered.partition("-")[0]:
        return False
    return "-" not in asked or "-" not in offered or asked == offered


def _fits(item: Item, wanted: CatalogueFilter) -> bool:
    if wanted.provider is not None and item.provider != wanted.provider:
        return False
    if wanted.language is not None and not speaks(wanted.language, item.languages):
        return False
    return wanted.search is None or wanted.search.lower() in f"{item.id} {item.name}".lower()


def _of_llm(pointer: str, llm: Llm, reach: Reach) -> Iterator[FieldError]:
    yield from _of_provider(pointer, llm.provider, ModelKind.LLM, reach)
    if not _is_model(llm.provider, ModelKind.LLM, llm.model):
        yield _unknown(f"{pointer}/model", "unknown-model", f"{llm.provider} has no model {llm.model!r}")


def _of_voice(pointer: str, voice: Voice, reach: Reach) -> Iterator[FieldError]:
    yield from _of_provider(pointer, voice.provider, ModelKind.TTS, reach)
    if voice.provider != SCRIPTED and voice.voice_id not in _voice_ids(voice.provider):
        detail = f"{voice.provider} has no voice {voice.voice_id!r}"
        yield _unknown(f"{pointer}/voiceId", "unknown-voice", detail)


def _of_transcription(pointer: str, heard: Transcription, reach: Reach) -> Iterator[FieldError]:
    """Without a model, the recogniser takes the one that fits the language."""
    yield from _of_provider(pointer, heard.provider, ModelKind.STT, reach)
    if heard.model is not None and not _is_model(heard.provider, ModelKind.STT, heard.model):
        yield _unknown(f"{pointer}/model", "unknown-model", f"{heard.provider} has no model {heard.model!r}")
    elif not _understands(heard.provider, heard.model, heard.language):
        who = heard.provider if heard.model is None else f"{heard.model} of {heard.provider}"
        detail = f"{who} is not known to understand {heard.language}"
        yield _unknown(f"{pointer}/language", "language-not-supported", detail)


def _of_provider(pointer: str, provider: str, kind: ModelKind, reach: Reach) -> Iterator[FieldError]:
    found = reach.of(provider, kind)
    if not found.available:
        yield FieldError(pointer=f"{pointer}/provider", code="provider-not-configured", detail=found.reason or "")


def _unknown(pointer: str, code: str, detail: str) -> FieldError:
    when = as_of()[1 if code == "unknown-voice" else 0]
    return FieldError(pointer=pointer, code=code, detail=f"{detail} in our catalogue of {when}. It is used as it is.")


@lru_cache(maxsize=4096)
def _is_model(provider: str, kind: ModelKind, name: str) -> bool:
    return provider in _ANY_MODEL or bool(_named(provider, kind, name))


@lru_cache(maxsize=4096)
def _understands(provider: str, name: str | None, language: str) -> bool:
    is_named = name is not None and provider not in _ANY_MODEL
    known = _named(provider, ModelKind.STT, name if is_named else None)
    return any(speaks(language, model.languages) for model in known)


def _named(provider: str, kind: ModelKind, name: str | None) -> list[Model]:
    """The models of a provider that a name means; all of them without one."""
    of_kind = [model for model in all_models() if (model.provider, model.kind) == (provider, kind)]
    if name is None:
        return of_kind
    return [model for model in of_kind if re.fullmatch(re.escape(model.id) + _VERSION, name)]


@cache
def _voice_ids(provider: str) -> frozenset[str]:
    return frozenset(voice.id for voice in all_voices() if voice.provider == provider)


@cache
def _why_not(provider: str, kind: ModelKind) -> str:
    if provider == "google":
        variable = next(one.variable for one in PROVIDERS[provider] if one.name in _GOOGLES[kind])
        lacking = f"The {kind.value} provider google is not set up on this installation: it needs {variable}."
    else:
        lacking = missing(provider, kind.value).detail
    return f"{lacking} Or add a credential of your own (POST /api/v1/provider-credentials)."


def _numbered(name: str, first: Part, fallbacks: tuple[Part, ...]) -> Iterator[tuple[str, Part]]:
    yield f"/{name}", first
    for number, part in enumerate(fallbacks):
        yield f"/fallbacks/{name}/{number}", part


def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()

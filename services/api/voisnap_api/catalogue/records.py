"""What providers offer, as `models.json` and `voices.json` of this folder list it, with the day and the sources."""

from enum import StrEnum

import msgspec


class ModelKind(StrEnum):
    """What a model does: answer, recognise or speak."""

    LLM = "llm"
    STT = "stt"
    TTS = "tts"


class LatencyClass(StrEnum):
    """How soon a model's first word, transcript or sound comes: `fast` within about 0.4 s, `standard` 1 s, `slow` beyond."""

    FAST = "fast"
    STANDARD = "standard"
    SLOW = "slow"


class Capability(StrEnum):
    """What a model can do. `structured`: answers by a JSON schema; `endpoints`: says itself when a caller is done."""

    STREAMING = "streaming"
    TOOLS = "tools"
    STRUCTURED = "structured"
    PROMPT_CACHING = "prompt_caching"
    INTERIM_RESULTS = "interim_results"
    WORD_TIMINGS = "word_timings"
    ENDPOINTS = "endpoints"


ANY_LANGUAGE = "*"
"""Stands in `languages` for every common one."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model. `default`: used where an agent names none. `languages` are BCP 47 tags or their first parts."""

    kind: ModelKind
    provider: str
    id: str
    name: str
    latency: LatencyClass
    capabilities: tuple[Capability, ...]
    languages: tuple[str, ...]
    default: bool = False
    source: str


class CatalogueVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice, by the id that agents name it with; `model` speaks it."""

    provider: str
    id: str
    name: str
    gender: str
    languages: tuple[str, ...]
    model: str


class VoiceFamily(msgspec.Struct, frozen=True, kw_only=True):
    """Voices that exist in many locales under the same names; `id` says how theirs are made."""

    provider: str
    model: str
    id: str
    locales: tuple[str, ...]
    names: dict[str, str]

    def voices(self) -> tuple[CatalogueVoice, ...]:
        """Each voice in each locale."""
        return tuple(
            CatalogueVoice(
                provider=self.provider,
                id=self.id.format(locale=locale, name=name),
                name=name,
                gender=gender,
                languages=(locale,),
                model=self.model,
            )
            for locale in self.locales
            for name, gender in self.names.items()
        )


class Access(StrEnum):
    """With whose access a tenant uses a provider."""

    OWN = "own"
    PLATFORM = "platform"
    LOCAL = "local"


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a tenant can use something now: with whose access, or why not."""

    available: bool
    access: Access | None = None
    reason: str | None = None


class CatalogueFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None means all. `language` is a BCP 47 tag or its first part; `search` a part of id or name."""

    kind: ModelKind | None = None
    provider: str | None = None
    language: str | None = None
    search: str | None = None
    is_available: bool | None = None

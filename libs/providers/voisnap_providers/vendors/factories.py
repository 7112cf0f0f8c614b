"""How each provider is made. Vendor modules are imported inside these functions: that is what keeps a process small."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import structlog

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured

log = structlog.get_logger()

LOCAL = "voisnap_providers.vendors.local"


def _moonshine(settings: Any) -> Any:
    return import_module(f"{LOCAL}.stt").Moonshine(settings.models_dir / "moonshine-tiny-en")


def _hibari(settings: Any) -> Any:
    return import_module(f"{LOCAL}.tts").HibariVoice()


def _minilm(settings: Any) -> Any:
    return import_module(f"{LOCAL}.embeddings").MiniLm(settings.models_dir / "minilm")


def _local_stt(registry: Any) -> Any:
    return import_module(f"{LOCAL}.stt").LocalStt(registry.part("moonshine"), registry.pool)


def _local_tts(registry: Any) -> Any:
    return import_module(f"{LOCAL}.tts").LocalTts(registry.part("hibari"), registry.pool)


def _local_llm(registry: Any) -> Any:
    return import_module(f"{LOCAL}.llm").LocalLlm(registry.part("minilm"), registry.pool)


def _local_embedder(registry: Any) -> Any:
    return import_module(f"{LOCAL}.embeddings").LocalEmbedder(registry.part("minilm"), registry.pool)


def _local_analyst(registry: Any) -> Any:
    """Without the embedding model it goes by words and rules alone, and says so in the log."""
    try:
        embed = registry.part("minilm")
    except ProviderError as error:
        log.warning("analysis.model_missing", detail=error.detail)
        embed = None
    return import_module(f"{LOCAL}.analysis.analyst").LocalAnalyst(embed, registry.pool)


def _local_turn_end(registry: Any) -> Any:
    path = registry.settings.models_dir / "smart-turn" / "smart-turn-v3.2-cpu.onnx"
    return import_module(f"{LOCAL}.turn_end").LocalTurnEnd(path, registry.pool)


def _scripted_llm(registry: Any) -> Any:
    return import_module("voisnap_providers.vendors.scripted.llm").ScriptedLlm(registry.settings.scripts)


def _scripted_stt(registry: Any) -> Any:
    return import_module("voisnap_providers.vendors.scripted.stt").ScriptedStt()


def _scripted_tts(registry: Any) -> Any:
    return import_module("voisnap_providers.vendors.scripted.tts").ScriptedTts()


LOADERS: dict[str, Callable[[Any], Any]] = {"moonshine": _moonshine, "hibari": _hibari, "minilm": _minilm}
"""Models that are loaded once and may serve several providers."""

PARTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("stt", "local"): ("moonshine",),
    ("tts", "local"): ("hibari",),
    ("llm", "local"): ("minilm",),
    ("embeddings", "local"): ("minilm",),
    ("analysis", "local"): ("minilm",),
}
"""Which models a provider needs."""

FACTORIES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("stt", "local"): _local_stt,
    ("tts", "local"): _local_tts,
    ("llm", "local"): _local_llm,
    ("stt", "scripted"): _scripted_stt,
    ("tts", "scripted"): _scripted_tts,
    ("llm", "scripted"): _scripted_llm,
    ("embeddings", "local"): _local_embedder,
    ("turn_end", "local"): _local_turn_end,
    ("analysis", "local"): _local_analyst,
}

_VENDORS = "voisnap_providers.vendors"

VENDORS: Mapping[tuple[str, str], str] = {
    ("llm", "openai"): f"{_VENDORS}.openai.llm",
    ("llm", "openai_compatible"): f"{_VENDORS}.openai.llm",
    ("llm", "anthropic"): f"{_VENDORS}.anthropic.llm",
    ("llm", "google"): f"{_VENDORS}.gemini.llm",
    ("llm", "cohere"): f"{_VENDORS}.cohere.llm",
    ("stt", "deepgram"): f"{_VENDORS}.deepgram.stt",
    ("stt", "assemblyai"): f"{_VENDORS}.assemblyai.stt",
    ("stt", "google"): f"{_VENDORS}.google.stt",
    ("stt", "aws"): f"{_VENDORS}.aws.stt",
    ("stt", "azure"): f"{_VENDORS}.azure.stt",
    ("tts", "elevenlabs"): f"{_VENDORS}.elevenlabs.tts",
    ("tts", "google"): f"{_VENDORS}.google.tts",
    ("tts", "aws"): f"{_VENDORS}.aws.tts",
    ("tts", "azure"): f"{_VENDORS}.azure.tts",
}
"""The module of each provider that needs an account; its `make(account)` gives the port."""

EXTRAS: Mapping[str, str] = {
    f"{_VENDORS}.anthropic.llm": "anthropic",
    f"{_VENDORS}.gemini.llm": "gemini",
    f"{_VENDORS}.google.stt": "google",
    f"{_VENDORS}.google.tts": "google",
    f"{_VENDORS}.aws.stt": "aws",
    f"{_VENDORS}.aws.tts": "aws",
    f"{_VENDORS}.azure.stt": "azure",
}
"""The optional part of this package that a module's library comes with."""


def load(providers: Iterable[tuple[str, str]]) -> None:
    """Import the modules of vendors (kind, name), which takes up to a second each: off the event loop. What is missing is told when asked for."""
    for path in {VENDORS[provider] for provider in providers if provider in VENDORS}:
        try:
            import_module(path)
        except ImportError as error:
            log.info("provider.not_installed", module=path, error=str(error))


def vendor(kind: str, name: str, account: Account) -> Any:
    """A vendor's port for one account. Raises ProviderUnconfigured, which names what is missing."""
    path = VENDORS[kind, name]
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if path not in EXTRAS or (error.name or "").startswith("voisnap"):
            raise
        raise ProviderUnconfigured(
            f"The {kind} provider {name} is not installed here: pip install voisnap-providers[{EXTRAS[path]}]"
        ) from error
    return module.make(account)

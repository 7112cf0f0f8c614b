"""How each provider is made. Vendor modules are imported inside these functions: that is what keeps a process small."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import structlog
from voisnap_domain.agents import LlmProvider

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


def _openai(registry: Any, provider: LlmProvider) -> Any:
    settings = registry.settings
    module = import_module("voisnap_providers.vendors.openai.llm")
    account = module.OpenAiAccount(
        key=settings.openai_api_key,
        url=settings.openai_base_url,
        compatible_url=settings.openai_compatible_base_url,
        compatible_key=settings.openai_compatible_api_key,
    )
    return module.OpenAiLlm(provider, account)


def _openai_llm(registry: Any) -> Any:
    if not registry.settings.openai_api_key:
        raise ProviderUnconfigured(
            "The llm provider openai is not set up on this installation: it needs OPENAI_API_KEY."
        )
    return _openai(registry, LlmProvider.OPENAI)


def _openai_compatible_llm(registry: Any) -> Any:
    return _openai(registry, LlmProvider.OPENAI_COMPATIBLE)


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
    ("llm", "openai"): _openai_llm,
    ("llm", "openai_compatible"): _openai_compatible_llm,
    ("embeddings", "local"): _local_embedder,
    ("turn_end", "local"): _local_turn_end,
    ("analysis", "local"): _local_analyst,
}

"""Says in words what a change of an agent's configuration was about (decisions, "changesSummary")."""

from collections.abc import Iterator

import msgspec
from voisnap_domain.agents import AgentConfig

_NAMES = {
    "llm": "LLM",
    "system_prompt_template": "system prompt",
    "dtmf_enabled": "DTMF",
    "hipaa_compliant": "HIPAA mode",
    "ai_disclosure_message": "AI disclosure message",
    "knowledge_base_ids": "knowledge base",
    "analysis_config": "analysis",
    "max_duration_seconds": "maximum duration",
    "max_idle_time_seconds": "maximum idle time",
    "voice_id": "voice",
    "max_tokens": "maximum tokens",
    "top_p": "top P",
    "silence_duration_ms": "silence duration",
    "utterance_end_ms": "utterance end",
}


def summary(before: AgentConfig, after: AgentConfig) -> str:
    """`Updated system prompt and LLM temperature`."""
    changed = list(_changed(before, after))
    if not changed:
        return "No changes"
    *first, last = changed
    return f"Updated {', '.join(first)} and {last}" if first else f"Updated {last}"


def _changed(before: AgentConfig, after: AgentConfig) -> Iterator[str]:
    for field in msgspec.structs.fields(AgentConfig):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct):
            parts = [
                name.name for name in msgspec.structs.fields(old) if getattr(old, name.name) != getattr(new, name.name)
            ]
            yield f"{_name(field.name)} {_name(parts[0])}" if len(parts) == 1 else f"{_name(field.name)} settings"
        else:
            yield _name(field.name)


def _name(field: str) -> str:
    return _NAMES.get(field, field.replace("_", " "))

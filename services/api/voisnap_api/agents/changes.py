"""What differs between two configurations of an agent: in words, and member by member (decisions, "changesSummary")."""

from collections.abc import Iterator
from typing import Any

import msgspec
from voisnap_domain.agents import AgentConfig

MAX_NAMED_PARTS = 3
"""Of one group; beyond that its settings have changed."""
MAX_NAMED = 6

_ORDER = (
    "name",
    "description",
    "system_prompt_template",
    "first_message",
    "first_message_mode",
    "persona",
    "llm",
    "voice",
    "transcription",
)
"""What is named first; the rest follows in the order of the agent object."""

_NAMES = {
    "llm": "LLM",
    "system_prompt_template": "system prompt",
    "dtmf_enabled": "DTMF",
    "hipaa_compliant": "HIPAA mode",
    "ai_disclosure_message": "AI disclosure message",
    "knowledge_base_ids": "knowledge bases",
    "analysis_config": "analysis",
    "cost_tracking": "cost tracking",
    "max_duration_seconds": "maximum duration",
    "max_idle_time_seconds": "maximum idle time",
    "voice_id": "ID",
    "base_url": "base URL",
    "max_tokens": "maximum tokens",
    "top_p": "top P",
    "similarity_boost": "similarity boost",
    "silence_duration_ms": "silence duration",
    "utterance_end_ms": "utterance end",
    "timeout_seconds": "timeout",
    "delay_ms": "delay",
    "storage_retention_days": "retention",
    "allowed_origins": "allowed origins",
    "ui_config": "UI configuration",
    "webrtc": "WebRTC",
    "webchat": "web chat",
    "sms": "SMS",
    "whatsapp": "WhatsApp",
    "telegram": "Telegram",
}
_SWITCH = "enabled"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One member that differs, by its JSON pointer (RFC 6901); None where it is not there."""

    path: str
    old: Any
    new: Any


def summary(before: AgentConfig, after: AgentConfig) -> str:
    """`Updated system prompt and LLM temperature`."""
    changed = list(_changed(before, after))
    if not changed:
        return "No changes"
    if len(changed) > MAX_NAMED:
        changed = [*changed[: MAX_NAMED - 1], f"{len(changed) - MAX_NAMED + 1} more"]
    *first, last = changed
    return f"Updated {', '.join(first)} and {last}" if first else f"Updated {last}"


def differences(old: Any, new: Any, *, at: str = "") -> Iterator[Change]:
    """Which members of two JSON documents differ; arrays are compared as a whole, as merge patches replace them."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield Change(path=at, old=old, new=new)
        return
    for name in dict.fromkeys((*old, *new)):
        place = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        yield from differences(old.get(name), new.get(name), at=place)


def _changed(before: AgentConfig, after: AgentConfig) -> Iterator[str]:
    fields = [field.name for field in msgspec.structs.fields(AgentConfig)]
    for name in dict.fromkeys((*_ORDER, *fields)):
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct):
            yield from _parts(_name(name), old, new)
        else:
            yield _name(name)


def _parts(group: str, old: msgspec.Struct, new: msgspec.Struct) -> Iterator[str]:
    names = [field.name for field in msgspec.structs.fields(old)]
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    if len(changed) > MAX_NAMED_PARTS:
        yield f"{group} settings"
        return
    for name in changed:
        yield group if name == _SWITCH else f"{group} {_name(name)}"


def _name(field: str) -> str:
    return _NAMES.get(field, field.replace("_", " "))

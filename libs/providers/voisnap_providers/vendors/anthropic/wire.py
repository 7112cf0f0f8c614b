"""Requests of Anthropic's Messages API: `POST {base}/v1/messages`.

Facts: Claude platform documentation, "Messages", "Tool use", "Prompt caching", "Structured outputs", "Errors", "Versions".
"""

import json
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal

import msgspec
from voisnap_domain.agents import Llm

from voisnap_providers.ports.llm import LlmUsed, ToolCall, ToolSpec
from voisnap_providers.vendors.alternation import Alternation, Exchange

from .models import THINKING_TOKENS, traits_of

KIND = "llm"
SAMPLING_VERSION = "2023-06-01"
"""The last version of the API that takes a temperature."""
MAX_TEMPERATURE = 1.0
DEFAULT_TEMPERATURE = Llm.__struct_defaults__[0]
CACHED: Mapping[str, Any] = {"type": "ephemeral"}

THINKING, EFFORT, SAMPLING = "thinking", "effort", "sampling"
"""Parts of a request that not every model takes."""
_REFUSALS = {THINKING: ("thinking.type",), EFFORT: ("effort",), SAMPLING: ("temperature", "top_p")}

_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
)
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")


def body_of(
    dialogue: Alternation,
    settings: Llm,
    *,
    tools: Sequence[ToolSpec] = (),
    cached: bool,
    without: Set[str] = frozenset(),
) -> dict[str, Any]:
    """The request but for `stream` and the sampling. `cached`: the beginning (tools, then the prompt) is kept by the vendor for the next
    request of the call. The parts in `without` are left out."""
    traits = traits_of(settings.model)
    thinking = traits.thinking if THINKING not in without else None
    thinks = traits.has_low_effort or THINKING in without
    body: dict[str, Any] = {
        "model": settings.model,
        "max_tokens": settings.max_tokens + (THINKING_TOKENS if thinks else 0),
        "messages": [_message(exchange, settings.model) for exchange in dialogue.exchanges],
    }
    if system := _system(dialogue, cached=cached):
        body["system"] = system
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
        if cached and not dialogue.prompt:
            body["tools"][-1]["cache_control"] = CACHED
    if thinking is not None:
        body["thinking"] = thinking
    if traits.has_low_effort and EFFORT not in without:
        body["output_config"] = {"effort": "low"}
    return body


def sampling_of(settings: Llm, without: Set[str] = frozenset()) -> dict[str, float]:
    """Temperature or top_p, never both: Claude 4.1 and later refuse them together. A top_p counts where the temperature is the default one.

    Anthropic's temperature ends at 1, where the seed's ends at 2: what is above is 1. Scaling it would make every usual value colder.
    """
    if SAMPLING in without or not traits_of(settings.model).takes_sampling:
        return {}
    if settings.top_p < 1.0 and settings.temperature == DEFAULT_TEMPERATURE:
        return {"top_p": settings.top_p}
    return {"temperature": min(settings.temperature, MAX_TEMPERATURE)}


def refused_part(message: str) -> str | None:
    """Which part of a request the vendor's words refuse, if one that can be left out."""
    return next((part for part, words in _REFUSALS.items() if any(word in message for word in words)), None)


def output_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Structured outputs: the answer is held to the schema."""
    return {"type": "json_schema", "schema": _supported(schema)}


def schema_order(schema: Mapping[str, Any]) -> str:
    """The same by words, for models and schemas that structured outputs refuse."""
    return f"Answer with one JSON object by this JSON Schema, and nothing else: {json.dumps(schema, separators=(',', ':'))}"


def used(usage: Any, before: LlmUsed | None = None) -> LlmUsed:
    """Tokens so far. The vendor's counts are cumulative, and its input leaves out what was read from or written to the cache. What an event
    does not tell stays as `before`."""
    cached = getattr(usage, "cache_read_input_tokens", None)
    written = getattr(usage, "cache_creation_input_tokens", None) or 0
    asked = getattr(usage, "input_tokens", None)
    made = getattr(usage, "output_tokens", None) or 0
    if asked is None:
        kept = before or LlmUsed(input_tokens=0, output_tokens=0)
        return LlmUsed(input_tokens=kept.input_tokens, output_tokens=made, cached_tokens=kept.cached_tokens)
    return LlmUsed(input_tokens=asked + (cached or 0) + written, output_tokens=made, cached_tokens=cached or 0)


class Thoughts(msgspec.Struct, frozen=True, kw_only=True):
    """The thinking blocks that led to a call, before anything was said and after; `model` is whose they are."""

    by: Literal["anthropic"]
    model: str
    before: tuple[dict[str, Any], ...] = ()
    after: tuple[dict[str, Any], ...] = ()

    def signature(self) -> str | None:
        """As a call carries them: the model that thought them refuses to go on without them."""
        return msgspec.json.encode(self).decode() if self.before or self.after else None


def _thoughts(call: ToolCall, model: str) -> Thoughts:
    """A call's thoughts; none of another model or vendor, which this one would refuse."""
    none = Thoughts(by="anthropic", model=model)
    try:
        thoughts = msgspec.json.decode(call.signature or "", type=Thoughts)
    except msgspec.DecodeError:
        return none
    return thoughts if thoughts.model == model else none


def _system(dialogue: Alternation, *, cached: bool) -> list[dict[str, Any]]:
    kept = {"cache_control": CACHED} if cached else {}
    prompt = [{"type": "text", "text": dialogue.prompt, **kept}] if dialogue.prompt else []
    return [*prompt, *({"type": "text", "text": text} for text in dialogue.more)]


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": {"type": "object", **tool.parameters}}


def _message(exchange: Exchange, model: str) -> dict[str, Any]:
    texts = [{"type": "text", "text": text.rstrip()} for text in exchange.texts]
    if exchange.is_users:
        results = [
            {"type": "tool_result", "tool_use_id": _id(result.call), "content": result.content}
            for result in exchange.results
        ]
        return {"role": "user", "content": [*results, *texts]}
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []
    for call in exchange.calls:
        if exchange.is_current:
            thoughts = _thoughts(call, model)
            before.extend(thoughts.before)
            after.extend(thoughts.after)
        after.append({"type": "tool_use", "id": _id(call), "name": call.name, "input": _input(call)})
    return {"role": "assistant", "content": [*before, *texts, *after]}


def _id(call: ToolCall) -> str:
    return _NOT_IN_ID.sub("_", call.call_id) or "_"


def _input(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _supported(schema: Any) -> Any:
    """A schema in the part of JSON Schema that structured outputs know: bounds become words, lists of types alternatives."""
    if isinstance(schema, list):
        return [_supported(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    bounds = {name: schema[name] for name in _BOUNDS if name in schema}
    kept = {name: value for name, value in schema.items() if name not in bounds}
    for name in ("items", "anyOf", "allOf"):
        if name in kept:
            kept[name] = _supported(kept[name])
    for name in ("properties", "$defs"):
        if name in kept:
            kept[name] = {key: _supported(value) for key, value in kept[name].items()}
    if "enum" in kept:
        kept.pop("type", None)
    elif isinstance(kept.get("type"), list):
        kept["anyOf"] = [{"type": one} for one in kept.pop("type")]
    if bounds:
        told = ", ".join(f"{name} {value}" for name, value in bounds.items())
        kept["description"] = f"{kept.get('description', '')} ({told})".strip()
    return kept

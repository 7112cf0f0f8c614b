"""Requests and answers of the Gemini API: `POST {base}/v1/models/{model}:streamGenerateContent?alt=sse`.

Facts: Gemini API documentation, "Text generation", "Function calling", "Thinking", "Thought signatures", "Structured outputs", and the
reference of `generateContent` (finish reasons, usage metadata, errors by google.rpc).
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from google.genai import types
from voisnap_domain.agents import Llm

from voisnap_providers.ports.llm import LlmUsed, ToolCall, ToolSpec
from voisnap_providers.vendors.alternation import Alternation, Exchange, Result

KIND = "llm"
THINKING_TOKENS = 1024
"""Room for the thoughts of models that can't be kept from thinking: the vendor counts thoughts against `maxOutputTokens`."""
UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""In place of a signature, for calls that another model made: newer models refuse a call without one."""

WHOLE = frozenset({"STOP", "MAX_TOKENS", "CONTINUATION", "FINISH_REASON_UNSPECIFIED"})
MISHAPS = frozenset(
    {"OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"}
)
"""Endings that another try may not have. Every other one is a refusal."""

THINKING, PENALTIES = "thinking", "penalties"
"""Parts of a request that not every model takes."""
MOST_PENALTY = 1.99
"""Gemini's penalties end below 2."""
_REFUSALS = {THINKING: ("thinking",), PENALTIES: ("penalty",)}

_SIGNED = "gemini:"
_VERSION = re.compile(r"(?:models/)?gemini-(?P<major>\d+)(?:\.(?P<minor>\d+))?-?(?P<rest>.*)")
_ALIAS = re.compile(r"(?:models/)?gemini-[a-z-]+-latest$")
_KNOWS_MINIMAL = re.compile(r"flash-lite|^(?:3|3\.5|3\.6)-flash")


def body_of(
    dialogue: Alternation,
    settings: Llm,
    *,
    tools: Sequence[ToolSpec] = (),
    schema: Mapping[str, Any] | None = None,
    without: Set[str] = frozenset(),
) -> dict[str, Any]:
    """The request. Penalties are sent where an agent has some: not every model takes them. With a `schema` the answer is held to it. The
    parts in `without` are left out."""
    thinking = thinking_of(settings.model)
    thinks = THINKING in without or (bool(thinking) and thinking.get("thinkingBudget") != 0)
    config: dict[str, Any] = {
        "temperature": settings.temperature,
        "topP": settings.top_p,
        "maxOutputTokens": settings.max_tokens + (THINKING_TOKENS if thinks else 0),
    }
    if settings.frequency_penalty and PENALTIES not in without:
        config["frequencyPenalty"] = min(settings.frequency_penalty, MOST_PENALTY)
    if settings.presence_penalty and PENALTIES not in without:
        config["presencePenalty"] = min(settings.presence_penalty, MOST_PENALTY)
    if thinking and THINKING not in without:
        config["thinkingConfig"] = thinking
    if schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    signs = _thinks_by_level(settings.model)
    body: dict[str, Any] = {
        "contents": [_content(exchange, signs=signs) for exchange in dialogue.exchanges],
        "generationConfig": config,
    }
    if system := [{"text": text} for text in (dialogue.prompt, *dialogue.more) if text]:
        body["systemInstruction"] = {"parts": system}
    if tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}]
    return body


def refused_part(message: str) -> str | None:
    """Which part of a request the vendor's words refuse, if one that can be left out."""
    return next((part for part, words in _REFUSALS.items() if any(word in message.lower() for word in words)), None)


def thinking_of(model: str) -> dict[str, Any] | None:
    """How a model is told to think as little as it can be: a caller waits on the line. None for models that do not think."""
    known = _VERSION.match(model)
    if _thinks_by_level(model):
        version = f"{known['major']}{'.' + known['minor'] if known['minor'] else ''}-{known['rest']}" if known else ""
        is_minimal = known is not None and known["major"] == "3" and _KNOWS_MINIMAL.search(version)
        return {"thinkingLevel": "MINIMAL" if is_minimal else "LOW"}
    if known is None or (known["major"], known["minor"]) != ("2", "5"):
        return None
    return {"thinkingBudget": 128 if known["rest"].startswith("pro") else 0}


def used(usage: types.GenerateContentResponseUsageMetadata) -> LlmUsed:
    """Tokens so far: the counts of every chunk are those of the whole reply. The prompt includes what was cached, the output the thoughts."""
    return LlmUsed(
        input_tokens=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        cached_tokens=usage.cached_content_token_count or 0,
    )


def call_of(part: types.Part, unnamed: Iterator[str]) -> ToolCall | None:
    """The call in a part. One without an id gets the next of `unnamed`."""
    made = part.function_call
    if made is None or not made.name:
        return None
    signature = _SIGNED + base64.b64encode(part.thought_signature).decode() if part.thought_signature else None
    return ToolCall(
        call_id=made.id or next(unnamed),
        name=made.name,
        arguments=json.dumps(made.args or {}, ensure_ascii=False),
        signature=signature,
    )


def _thinks_by_level(model: str) -> bool:
    known = _VERSION.match(model)
    return int(known["major"]) >= 3 if known else _ALIAS.match(model) is not None


def _declaration(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}


def _content(exchange: Exchange, *, signs: bool) -> dict[str, Any]:
    texts = [{"text": text} for text in exchange.texts]
    if exchange.is_users:
        return {"role": "user", "parts": [*map(_result_part, exchange.results), *texts]}
    calls = [_call_part(call, is_first=at == 0, signs=signs) for at, call in enumerate(exchange.calls)]
    return {"role": "model", "parts": [*texts, *calls]}


def _result_part(result: Result) -> dict[str, Any]:
    given = {"id": result.call.call_id, "name": result.call.name, "response": _object(result.content)}
    return {"functionResponse": given}


def _call_part(call: ToolCall, *, is_first: bool, signs: bool) -> dict[str, Any]:
    """The vendor signs the first of parallel calls only, and asks for just that signature."""
    made = {"id": call.call_id, "name": call.name, "args": _object(call.arguments, whole_as=None)}
    signature = _signature(call)
    if signature is None and is_first and signs:
        signature = UNSIGNED
    return {"functionCall": made, **({"thoughtSignature": signature} if signature else {})}


def _signature(call: ToolCall) -> str | None:
    if call.signature is None or not call.signature.startswith(_SIGNED):
        return None
    return call.signature.removeprefix(_SIGNED)


def _object(text: str, *, whole_as: str | None = "result") -> dict[str, Any]:
    """JSON text of an object; anything else under the name `whole_as`, or nothing."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict):
        return value
    return {whole_as: value} if whole_as else {}

"""Requests and answers of the Gemini API: `POST {base}/v1/models/{model}:streamGenerateContent?alt=sse`.

Facts: Gemini API documentation, "Text generation", "Function calling", "Thinking", "Thought signatures", "Structured outputs", and the
reference of `generateContent` (finish reasons, usage metadata, errors by google.rpc).
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from google.genai import types
from voisnap_domain.agents import Llm

from voisnap_providers.ports.llm import LlmUsed, ToolCall, ToolSpec
from voisnap_providers.vendors.alternation import Alternation, Exchange

KIND = "llm"
THINKING_TOKENS = 1024
"""Room for the thoughts of models that can't be kept from thinking: the vendor counts thoughts against `maxOutputTokens`."""
UNSIGNED = b"skip_thought_signature_validator"
"""In place of a signature, for calls that another model made: newer models refuse a call without one."""

WHOLE = frozenset({"STOP", "MAX_TOKENS", "CONTINUATION", "FINISH_REASON_UNSPECIFIED"})
MISHAPS = frozenset(
    {"OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"}
)
"""Endings that another try may not have. Every other one is a refusal."""

_SIGNED = "gemini:"
_VERSION = re.compile(r"(?:models/)?gemini-(?P<major>\d+)(?:\.(?P<minor>\d+))?-?(?P<rest>.*)")
_ALIAS = re.compile(r"(?:models/)?gemini-[a-z-]+-latest$")
_KNOWS_MINIMAL = re.compile(r"flash-lite|^(?:3|3\.5|3\.6)-flash")


def contents_of(dialogue: Alternation, model: str) -> list[types.Content]:
    """The turns; of each side's in a row one."""
    return [_content(exchange, signs=_thinks_by_level(model)) for exchange in dialogue.exchanges]


def config_of(dialogue: Alternation, settings: Llm, tools: Sequence[ToolSpec] = ()) -> types.GenerateContentConfig:
    """All of a request but the turns. Penalties are sent where an agent has some: most models refuse them."""
    system = [types.Part(text=text) for text in (dialogue.prompt, *dialogue.more) if text]
    thinking = thinking_of(settings.model)
    thinks = thinking is not None and thinking.thinking_budget != 0
    declared = [
        types.FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
        for tool in tools
    ]
    return types.GenerateContentConfig(
        system_instruction=types.Content(parts=system) if system else None,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_output_tokens=settings.max_tokens + (THINKING_TOKENS if thinks else 0),
        frequency_penalty=settings.frequency_penalty or None,
        presence_penalty=settings.presence_penalty or None,
        thinking_config=thinking,
        tools=[types.Tool(function_declarations=declared)] if declared else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
    )


def thinking_of(model: str) -> types.ThinkingConfig | None:
    """How a model is told to think as little as it can be: a caller waits on the line. None for models that do not think."""
    if _thinks_by_level(model):
        known = _VERSION.match(model)
        version = f"{known['major']}{'.' + known['minor'] if known['minor'] else ''}-{known['rest']}" if known else ""
        is_minimal = known is not None and known["major"] == "3" and _KNOWS_MINIMAL.search(version)
        return types.ThinkingConfig(
            thinking_level=types.ThinkingLevel.MINIMAL if is_minimal else types.ThinkingLevel.LOW
        )
    known = _VERSION.match(model)
    if known is None or (known["major"], known["minor"]) != ("2", "5"):
        return None
    return types.ThinkingConfig(thinking_budget=128 if known["rest"].startswith("pro") else 0)


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


def _content(exchange: Exchange, *, signs: bool) -> types.Content:
    texts = [types.Part(text=text) for text in exchange.texts]
    if exchange.is_users:
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=result.call.call_id, name=result.call.name, response=_object(result.content)
                )
            )
            for result in exchange.results
        ]
        return types.Content(role="user", parts=[*results, *texts])
    calls = [_call_part(call, is_first=at == 0, signs=signs) for at, call in enumerate(exchange.calls)]
    return types.Content(role="model", parts=[*texts, *calls])


def _call_part(call: ToolCall, *, is_first: bool, signs: bool) -> types.Part:
    """The vendor signs the first of parallel calls only, and asks for just that signature."""
    signature = _signature(call)
    if signature is None and is_first and signs:
        signature = UNSIGNED
    made = types.FunctionCall(id=call.call_id, name=call.name, args=_object(call.arguments, whole_as=None))
    return types.Part(function_call=made, thought_signature=signature)


def _signature(call: ToolCall) -> bytes | None:
    if call.signature is None or not call.signature.startswith(_SIGNED):
        return None
    try:
        return base64.b64decode(call.signature.removeprefix(_SIGNED), validate=True)
    except binascii.Error:
        return None


def _object(text: str, *, whole_as: str | None = "result") -> dict[str, Any]:
    """JSON text of an object; anything else under the name `whole_as`, or nothing."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict):
        return value
    return {whole_as: value} if whole_as else {}

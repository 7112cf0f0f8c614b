"""The wire of Cohere's chat: `POST {base}/v2/chat`, Bearer key, JSON or server-sent events of a `type`.

Facts: Cohere API reference v2, "Chat" and "Chat with Streaming"; guides "Tool use", "Structured outputs", "Reasoning". Only what is sent
and read here; unknown events and members are ignored.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from voisnap_domain.agents import Llm

from voisnap_providers.ports.llm import LlmRequest, LlmUsed, Message, ToolSpec
from voisnap_providers.vendors.alternation import Exchange, alternation_of

PATH = "/v2/chat"
INVALID_TOKEN = 498
MAX_CALLS = 128
MAX_CALL_CHARS = 200_000

_REASONING = ("command-a-reasoning", "command-a-plus")
"""Models that think before they speak unless they are told not to."""


class BilledUnits(msgspec.Struct, frozen=True):
    input_tokens: float | None = None
    output_tokens: float | None = None


class Usage(msgspec.Struct, frozen=True):
    """`billed_units` are paid for; `tokens` count Cohere's own additions to the prompt too."""

    billed_units: BilledUnits | None = None
    tokens: BilledUnits | None = None
    cached_tokens: float | None = None


class Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class CallPart(msgspec.Struct, frozen=True):
    id: str | None = None
    function: Function | None = None


class Content(msgspec.Struct, frozen=True):
    """A piece of a content block; `thinking` is not said."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class DeltaMessage(msgspec.Struct, frozen=True):
    content: Content | tuple[Content, ...] | None = None
    tool_plan: str | None = None
    tool_calls: CallPart | tuple[CallPart, ...] | None = None


class Delta(msgspec.Struct, frozen=True):
    message: DeltaMessage | None = None
    finish_reason: str | None = None
    error: Any = None
    usage: Usage | None = None


class Event(msgspec.Struct, frozen=True):
    """An event of a stream."""

    type: str
    index: int | None = None
    delta: Delta | None = None


class ReplyMessage(msgspec.Struct, frozen=True):
    content: tuple[Content, ...] | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    message: ReplyMessage
    finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """What is said in it."""
        return "".join(part.text or "" for part in self.message.content or () if part.type != "thinking")


event_of = msgspec.json.Decoder(Event).decode
answer_of = msgspec.json.Decoder(Answer).decode


def asked_of(request: LlmRequest) -> dict[str, Any]:
    """The body of a reply that is streamed."""
    body = body_of(request.messages, request.settings, passages=request.passages) | {"stream": True}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["citation_options"] = {"mode": "OFF"}  # nobody hears them, and they take time
    return body


def body_of(messages: Sequence[Message], settings: Llm, *, passages: Sequence[str] = ()) -> dict[str, Any]:
    """The part of a body that every request has. Numbers beyond Cohere's ranges go to their ends: it refuses a `p` of 1."""
    dialogue = alternation_of(messages, passages)
    system = "\n\n".join(text for text in (dialogue.prompt, *dialogue.more) if text)
    written = [line for exchange in dialogue.exchanges for line in _written(exchange)]
    return {
        "model": settings.model,
        "messages": [*([{"role": "system", "content": system}] if system else ()), *written],
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "p": min(max(settings.top_p, 0.01), 0.99),
        "frequency_penalty": min(max(settings.frequency_penalty, 0.0), 1.0),
        "presence_penalty": min(max(settings.presence_penalty, 0.0), 1.0),
        **({"thinking": {"type": "disabled"}} if settings.model.startswith(_REASONING) else {}),
    }


def response_format(schema: dict[str, Any] | None) -> dict[str, Any]:
    """Some JSON object; by a schema, if there is one."""
    return {"type": "json_object", **({"json_schema": schema} if schema is not None else {})}


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Cohere wants to see again with the calls it led to."""

    tool_plan: str


def signature_of(plan: str) -> str | None:
    """A plan as the opaque state of a call."""
    return msgspec.json.encode(Plan(plan)).decode() if plan else None


def _plan_of(signature: str | None) -> str | None:
    """The plan in a call's state; None for the state of another vendor, who made the call before a fallback."""
    try:
        return msgspec.json.decode(signature or "", type=Plan).tool_plan
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def used(usage: Usage) -> LlmUsed:
    """Tokens as the platform counts them: those that are billed."""
    counts = usage.billed_units or usage.tokens or BilledUnits()
    into = int(counts.input_tokens or 0)
    return LlmUsed(
        input_tokens=into,
        output_tokens=int(counts.output_tokens or 0),
        cached_tokens=min(int(usage.cached_tokens or 0), into),
    )


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _written(exchange: Exchange) -> list[dict[str, Any]]:
    """What one side said, as messages. The plan that came with calls goes back with them."""
    text = "\n\n".join(exchange.texts)
    results = [
        {"role": "tool", "tool_call_id": result.call.call_id, "content": _result(result.content)}
        for result in exchange.results
    ]
    if exchange.is_users:
        return [*results, *([{"role": "user", "content": text}] if text else ())]
    if not exchange.calls:
        return [{"role": "assistant", "content": text}]
    calls = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
        for call in exchange.calls
    ]
    plan = "\n\n".join(filter(None, (text, *(_plan_of(call.signature) for call in exchange.calls))))
    return [{"role": "assistant", "tool_calls": calls, **({"tool_plan": plan} if plan else {})}]


def _result(content: str) -> str:
    """What a tool gave, as the JSON object that the API asks for."""
    try:
        is_object = isinstance(msgspec.json.decode(content), dict)
    except msgspec.DecodeError:
        is_object = False
    return content if is_object else json.dumps({"result": content}, ensure_ascii=False)

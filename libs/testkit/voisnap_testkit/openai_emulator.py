"""A server that speaks OpenAI's chat completions as the real one does. It refuses what the real one refuses: unknown parameters, loose
schemas, a temperature for models that reason, results of tools that nobody called.

Facts: OpenAI API reference, "Chat" (create, objects, streaming), "Function calling", "Structured outputs", "Error codes". With `azure` it
is spoken to as Azure OpenAI is: `api-key` header, `?api-version=`, a deployment in the path.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from .llm_emulator import (
    Asked,
    Call,
    Cut,
    Failure,
    Filtered,
    Held,
    LlmEmulator,
    Raw,
    Refusal,
    Reply,
    Seen,
    Slow,
    Trouble,
    Turn,
    call_id,
    counted,
    pieces,
    serve,
)

__all__ = [
    "Call",
    "Cut",
    "Failure",
    "Filtered",
    "Held",
    "OpenAiEmulator",
    "Raw",
    "Refusal",
    "Reply",
    "Slow",
    "Trouble",
]

_PARAMETERS = frozenset(
    [
        "model",
        "messages",
        "temperature",
        "top_p",
        "n",
        "stream",
        "stream_options",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "user",
        "seed",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "verbosity",
        "service_tier",
        "store",
        "metadata",
        "modalities",
        "prediction",
        "prompt_cache_key",
        "safety_identifier",
    ]
)
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_REASONING = ("o1", "o3", "o4", "gpt-5", "gpt-6")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FINISH = {"end": "stop", "length": "length", "filter": "content_filter"}


class OpenAiEmulator(LlmEmulator):
    """OpenAI's chat completions. `knows_schemas=False`: an older compatible server; `azure`: Azure OpenAI's way of addressing."""

    prefix: ClassVar[str] = "/v1"

    def __init__(
        self, *, key: str | None = "sk-test", knows_schemas: bool = True, azure: bool = False, thinks: bool = False
    ) -> None:
        super().__init__(key=key, thinks=thinks)
        self._knows_schemas = knows_schemas
        self._azure = azure
        self.cumulative_usage = False
        """Whether usage comes with every chunk, growing, as some compatible servers send it."""

    def knows(self, seen: Seen) -> bool:
        if self._azure:
            return seen.headers.get("api-key") == self.key
        return seen.headers.get("authorization") == f"Bearer {self.key}"

    def judge(self, seen: Seen) -> Failure | None:
        path_fits = (
            re.fullmatch(r"/v1/openai/deployments/[^/]+/chat/completions", seen.path) and "api-version=" in seen.query
            if self._azure
            else seen.path == "/v1/chat/completions" and not seen.query
        )
        if seen.method != "POST" or not path_fits:
            return Failure(404, "unknown_url", f"Invalid URL ({seen.method} {seen.path})")
        return _judge_body(seen.body) or _judge_format(seen.body)

    def lacks(self, seen: Seen) -> Failure | None:
        if self._knows_schemas or (seen.body.get("response_format") or {}).get("type") != "json_schema":
            return None
        return Failure(400, "invalid_value", "Invalid parameter: 'response_format'.", "response_format")

    def understood(self, seen: Seen) -> Asked:
        body = seen.body
        messages = [message for message in body["messages"] if message["role"] not in ("system", "developer")]
        prompts = [_text(message) for message in body["messages"] if message["role"] in ("system", "developer")]
        return Asked(
            model=body["model"],
            system="\n\n".join(prompts),
            turns=tuple(_turn(message) for message in messages),
            stream=bool(body.get("stream")),
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            max_tokens=body.get("max_completion_tokens", body.get("max_tokens")),
            frequency_penalty=body.get("frequency_penalty"),
            presence_penalty=body.get("presence_penalty"),
            tools={tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body.get("tools", ())},
            schema=(body.get("response_format") or {}).get("json_schema", {}).get("schema"),
            cache_key=body.get("prompt_cache_key"),
        )

    def whole(self, seen: Seen, reply: Reply) -> dict[str, Any]:
        calls = [
            {"id": call_id(call, number), "type": "function", "function": {"name": call.name, "arguments": call.text}}
            for number, call in enumerate(reply.calls)
        ]
        message = {
            "role": "assistant",
            "content": None if reply.refusal or (calls and not reply.text) else reply.text,
            "refusal": reply.refusal,
            "annotations": [],
            **({"tool_calls": calls} if calls else {}),
        }
        return {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 1_763_000_000,
            "model": seen.body["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}],
            "usage": _usage(self.understood(seen), reply),
            "service_tier": "default",
            "system_fingerprint": "fp_test",
        }

    def opening(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        if self._azure:  # what Azure's filter says of the prompt comes first, without choices
            yield _event(seen, [], prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {}}])
        yield b": keep-alive\n\n"
        yield _event(seen, _choice({"role": "assistant", "content": "", "refusal": None}))

    def content(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        made = 0
        for name, text in (("content", reply.text), ("refusal", reply.refusal or "")):
            for piece in pieces(text):
                made += 1
                usage = {"prompt_tokens": 10, "completion_tokens": made, "total_tokens": 10 + made}
                yield _event(seen, _choice({name: piece}), **({"usage": usage} if self.cumulative_usage else {}))
        for delta in _call_deltas(reply):
            yield _event(seen, _choice({"tool_calls": [delta]}))

    def closing(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        yield _event(seen, _choice({}, _finish(reply)))
        if _wants_usage(seen):
            yield _event(seen, [], usage=_usage(self.understood(seen), reply))
        yield b"data: [DONE]\n\n"

    def trouble(self, seen: Seen, message: str) -> bytes:
        error = {"message": message, "type": "server_error", "param": None, "code": None}
        return f"data: {json.dumps({'error': error})}\n\n".encode()

    def failure(self, failure: Failure) -> Any:
        kinds = {401: "invalid_request_error", 429: "rate_limit_exceeded", 500: "server_error", 503: "server_error"}
        return {
            "error": {
                "message": failure.message,
                "type": kinds.get(failure.status, "invalid_request_error"),
                "param": failure.param,
                "code": failure.code or ("invalid_api_key" if failure.status == 401 else None),
            }
        }


def _judge_body(body: dict[str, Any]) -> Failure | None:
    unknown = next((name for name in body if name not in _PARAMETERS), None)
    if unknown:
        return Failure(400, "unknown_parameter", f"Unknown parameter: '{unknown}'.", unknown)
    if not isinstance(body.get("model"), str) or not body["model"]:
        return Failure(400, None, "you must provide a model parameter")
    for name, (least, most) in _RANGES.items():
        if not least <= (body.get(name) or 0) <= most:
            return Failure(400, "invalid_value", f"Invalid '{name}': expected {least} to {most}.", name)
    if "stream_options" in body and not body.get("stream"):
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return Failure(400, "invalid_request", text, "stream_options")
    return _judge_reasoning(body) or _judge_tools(body) or _judge_messages(body.get("messages"))


def _judge_reasoning(body: dict[str, Any]) -> Failure | None:
    if not body["model"].startswith(_REASONING) or body["model"].startswith("gpt-5-chat"):
        return None
    if "max_tokens" in body:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return Failure(400, "unsupported_parameter", text, "max_tokens")
    for name, only in (("temperature", 1), ("top_p", 1), ("presence_penalty", 0), ("frequency_penalty", 0)):
        if body.get(name, only) != only:
            return Failure(400, "unsupported_value", f"'{name}' does not support this value.", name)
    return None


def _judge_tools(body: dict[str, Any]) -> Failure | None:
    tools = body.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in body:
                return Failure(400, None, f"'{name}' is only allowed when 'tools' are specified.", name)
        return None
    if not tools:
        return Failure(400, "empty_array", "Invalid 'tools': empty array.", "tools")
    for tool in tools:
        function = tool.get("function", {})
        if tool.get("type") != "function" or not _NAME.fullmatch(function.get("name", "")):
            return Failure(400, "invalid_value", "Invalid 'tools'.", "tools")
        if function.get("parameters", {"type": "object"}).get("type") != "object":
            return Failure(400, "invalid_function_parameters", "schema must be of type 'object'", "tools")
    return None


def _judge_messages(messages: Any) -> Failure | None:
    if not isinstance(messages, list) or not messages:
        return Failure(400, "empty_array", "Invalid 'messages': empty array.", "messages")
    waiting: set[str] = set()
    for message in messages:
        role, content = message.get("role"), message.get("content")
        called = message.get("tool_calls")
        if role not in _ROLES or not (isinstance(content, str | list) or (role == "assistant" and called)):
            return Failure(400, "invalid_value", "Invalid value: 'messages'.", "messages")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                return Failure(400, None, text, "messages")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            return Failure(
                400, None, "An assistant message with 'tool_calls' must be followed by tool messages.", "messages"
            )
        if called is not None and (role != "assistant" or not called):
            return Failure(400, None, "Invalid 'tool_calls'.", "messages")
        for call in called or ():
            if (
                call.get("type") != "function"
                or not call.get("id")
                or not isinstance(call["function"]["arguments"], str)
            ):
                return Failure(400, None, "Invalid 'tool_calls'.", "messages")
            waiting.add(call["id"])
    if waiting:
        return Failure(
            400, None, "An assistant message with 'tool_calls' must be followed by tool messages.", "messages"
        )
    return None


def _judge_format(body: dict[str, Any]) -> Failure | None:
    match body.get("response_format"):
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            if any("json" in str(message.get("content")).lower() for message in body["messages"]):
                return None
            text = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
            )
            return Failure(400, None, text, "messages")
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema)}}:
            strict = body["response_format"]["json_schema"].get("strict")
            fault = _schema_fault(schema) if strict else None
            if not _NAME.fullmatch(name):
                fault = "invalid name"
            if fault:
                text = f"Invalid schema for response_format '{name}': {fault}"
                return Failure(400, "invalid_json_schema", text, "response_format")
            return None
        case _:
            return Failure(400, "invalid_value", "Invalid parameter: 'response_format'.", "response_format")


def _schema_fault(node: Any) -> str | None:
    """What a strict schema lacks: closed objects with all members required."""
    if isinstance(node, list):
        return next((fault for item in node if (fault := _schema_fault(item))), None)
    if not isinstance(node, dict):
        return None
    if node.get("type") == "object" or "properties" in node:
        if node.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false."
        if set(node.get("required", ())) != set(node.get("properties", {})):
            return "'required' is required to be supplied and to be an array including every key in properties."
        return next((fault for member in node["properties"].values() if (fault := _schema_fault(member))), None)
    return next((fault for key in ("items", "anyOf", "$defs") if (fault := _schema_fault(node.get(key)))), None)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _turn(message: dict[str, Any]) -> Turn:
    if message["role"] == "tool":
        return Turn(role="tool", results=((message["tool_call_id"], _text(message)),))
    calls = tuple(
        Call(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in message.get("tool_calls", ())
    )
    return Turn(role=message["role"], text=_text(message), calls=calls)


def _call_deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    """The pieces of the calls: id and name come with the first only, every piece has the call's index."""
    rows = []
    for number, call in enumerate(reply.calls):
        head = {
            "index": number,
            "id": call_id(call, number),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        parts = [{"index": number, "function": {"arguments": piece}} for piece in pieces(call.text)]
        rows.append([head, *parts])
    if not reply.interleaved:
        yield from (delta for row in rows for delta in row)
        return
    for place in range(max(map(len, rows), default=0)):
        yield from (row[place] for row in rows if place < len(row))


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls and reply.stop == "end" else _FINISH[reply.stop]


def _wants_usage(seen: Seen) -> bool:
    return bool((seen.body.get("stream_options") or {}).get("include_usage"))


def _usage(asked: Asked, reply: Reply) -> dict[str, Any]:
    into, out = counted(asked, reply)
    return {
        "prompt_tokens": into,
        "completion_tokens": out,
        "total_tokens": into + out,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens, "audio_tokens": 0},
    }


def _choice(delta: dict[str, Any], finish: str | None = None) -> list[Any]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]


def _event(seen: Seen, choices: list[Any], **more: Any) -> bytes:
    chunk = {
        "id": "chatcmpl-test",
        "object": "chat.completion.chunk",
        "created": 1_763_000_000,
        "model": seen.body["model"],
        "choices": choices,
        **({"usage": None} if _wants_usage(seen) else {}),
        **more,
    }
    # the real one does not escape: a line separator inside a text arrives as it is
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


if __name__ == "__main__":
    serve(OpenAiEmulator, "sk-test")

"""A server that speaks version 2 of Cohere's chat as the real one does, and refuses what the real one refuses: a `p` of 1, penalties
beyond 0 to 1, unknown members, a dialogue that ends with the assistant, results of tools that nobody called.

Facts: Cohere API reference v2, "Chat", "Chat with Streaming", "Errors"; guides "Tool use", "Structured outputs".
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from .llm_emulator import Asked, Call, Failure, LlmEmulator, Reply, Seen, Turn, call_id, counted, pieces, serve

_PARAMETERS = frozenset(
    [
        "model",
        "messages",
        "stream",
        "tools",
        "strict_tools",
        "documents",
        "citation_options",
        "response_format",
        "safety_mode",
        "max_tokens",
        "stop_sequences",
        "temperature",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "k",
        "p",
        "logprobs",
        "tool_choice",
        "thinking",
        "priority",
    ]
)
_RANGES = {"temperature": (0, 2), "p": (0.01, 0.99), "frequency_penalty": (0, 1), "presence_penalty": (0, 1)}
_FINISH = {"end": "COMPLETE", "length": "MAX_TOKENS", "filter": "ERROR_TOXIC"}
_MEMBERS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "tool_plan", "citations"},
    "tool": {"role", "content", "tool_call_id"},
}
_UNHELD = frozenset({"anyOf", "allOf", "oneOf", "not", "minimum", "maximum", "minItems", "maxItems", "minLength"})
"""What schemas of structured outputs may not contain."""


class CohereEmulator(LlmEmulator):
    """Cohere's chat, version 2. `knows_schemas=False`: a model that is held to no schema."""

    def __init__(self, *, key: str | None = "co-test", knows_schemas: bool = True, thinks: bool = False) -> None:
        super().__init__(key=key, thinks=thinks)
        self._knows_schemas = knows_schemas

    def knows(self, seen: Seen) -> bool:
        return seen.headers.get("authorization", "") == f"Bearer {self.key}"

    def judge(self, seen: Seen) -> Failure | None:
        if seen.method != "POST" or seen.path != "/v2/chat":
            return Failure(404, None, f"404 page not found: {seen.path}")
        return _judge_body(seen.body) or _judge_messages(seen.body.get("messages"))

    def lacks(self, seen: Seen) -> Failure | None:
        schema = (seen.body.get("response_format") or {}).get("json_schema")
        if schema is None or (self._knows_schemas and not _unheld(schema)):
            return None
        return Failure(400, None, "invalid request: the provided json_schema is not supported")

    def understood(self, seen: Seen) -> Asked:
        body = seen.body
        return Asked(
            model=body["model"],
            system="\n\n".join(_text(message) for message in body["messages"] if message["role"] == "system"),
            turns=tuple(_turn(message) for message in body["messages"] if message["role"] != "system"),
            stream=bool(body.get("stream")),
            temperature=body.get("temperature"),
            top_p=body.get("p"),
            max_tokens=body.get("max_tokens"),
            frequency_penalty=body.get("frequency_penalty"),
            presence_penalty=body.get("presence_penalty"),
            tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools", ())},
            schema=(body.get("response_format") or {}).get("json_schema"),
        )

    def whole(self, seen: Seen, reply: Reply) -> dict[str, Any]:
        calls = [_call(call, number) for number, call in enumerate(reply.calls)]
        content = [{"type": "thinking", "thinking": reply.thoughts}] if reply.thoughts and not calls else []
        text = reply.refusal or reply.text
        message = {
            "role": "assistant",
            **({"tool_calls": calls, "tool_plan": reply.thoughts} if calls else {}),
            **({"content": [*content, {"type": "text", "text": text}]} if text or not calls else {}),
        }
        return {
            "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
            "finish_reason": _finish(reply),
            "message": message,
            "usage": _usage(self.understood(seen), reply),
        }

    def opening(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield _event({"id": "29f14a5a", "type": "message-start", "delta": {"message": message}})

    def content(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        index = 0
        if reply.thoughts and reply.calls:
            for piece in pieces(reply.thoughts):
                yield _event({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}})
        for kind, text in (("thinking", "" if reply.calls else reply.thoughts), ("text", reply.refusal or reply.text)):
            if not text:
                continue
            yield _content("content-start", index, {"type": kind, kind: ""})
            for piece in pieces(text):
                yield _content("content-delta", index, {kind: piece})
            yield _event({"type": "content-end", "index": index})
            index += 1
        yield from _call_events(reply)

    def closing(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        delta = {"finish_reason": _finish(reply), "usage": _usage(self.understood(seen), reply)}
        yield _event({"id": "29f14a5a", "type": "message-end", "delta": delta})

    def trouble(self, seen: Seen, message: str) -> bytes:
        return _event({"id": "29f14a5a", "type": "message-end", "delta": {"error": message, "finish_reason": "ERROR"}})

    def failure(self, failure: Failure) -> Any:
        return {"id": "f5f3a0a2", "message": failure.message}


def _judge_body(body: dict[str, Any]) -> Failure | None:
    unknown = next((name for name in body if name not in _PARAMETERS), None)
    if unknown:
        return Failure(422, None, f"unknown field: parameter '{unknown}' is not a valid field")
    if not isinstance(body.get("model"), str) or not body["model"]:
        return Failure(400, None, "invalid request: model must be specified")
    if not isinstance(body.get("stream", False), bool):
        return Failure(400, None, "invalid type: stream must be a boolean")
    for name, (least, most) in _RANGES.items():
        if name in body and not least <= body[name] <= most:
            return Failure(400, None, f"invalid request: {name} must be between {least} and {most} inclusive")
    if "tools" in body and "response_format" in body:
        return Failure(400, None, "invalid request: response_format is not supported with tools")
    for tool in body.get("tools", ()):
        function = tool.get("function", {})
        if tool.get("type") != "function" or not function.get("name") or "parameters" not in function:
            return Failure(400, None, "invalid request: tools must have a function with a name and parameters")
    wanted = body.get("response_format")
    if wanted is not None and wanted.get("type") not in ("text", "json_object"):
        return Failure(400, None, "invalid request: response_format.type must be text or json_object")
    return None


def _judge_messages(messages: Any) -> Failure | None:
    if not isinstance(messages, list) or not messages:
        return Failure(400, None, "invalid request: messages must not be empty")
    waiting: list[str] = []
    for message in messages:
        role = message.get("role")
        if role not in _MEMBERS or set(message) - _MEMBERS[role]:
            return Failure(400, None, "invalid request: unknown role or member of a message")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                return Failure(400, None, "invalid request: tool call id not found in previous tool calls")
            if not isinstance(message.get("content"), str | list):
                return Failure(400, None, "invalid request: tool message must have content")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return Failure(400, None, "invalid request: all tool calls must be answered")
        calls = message.get("tool_calls") or []
        if not calls and not message.get("content"):
            return Failure(400, None, f"invalid request: {role} message must have content")
        waiting += [call["id"] for call in calls]
    if waiting or messages[-1]["role"] not in ("user", "tool"):
        return Failure(400, None, "invalid request: the last message must be from the user or a tool")
    return None


def _unheld(schema: Any) -> bool:
    if isinstance(schema, dict):
        return bool(_UNHELD & set(schema)) or any(_unheld(member) for member in schema.values())
    return isinstance(schema, list) and any(_unheld(item) for item in schema)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _turn(message: dict[str, Any]) -> Turn:
    if message["role"] == "tool":
        return Turn(role="tool", results=((message["tool_call_id"], _text(message)),))
    calls = tuple(
        Call(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in message.get("tool_calls") or ()
    )
    return Turn(role=message["role"], text=_text(message) or message.get("tool_plan", ""), calls=calls)


def _call(call: Call, number: int) -> dict[str, Any]:
    return {
        "id": call_id(call, number),
        "type": "function",
        "function": {"name": call.name, "arguments": call.text},
    }


def _call_events(reply: Reply) -> Iterator[bytes]:
    """The calls, each with an index of its own."""
    rows: list[list[bytes]] = []
    for number, call in enumerate(reply.calls):
        head = {**_call(call, number), "function": {"name": call.name, "arguments": ""}}
        parts = [{"function": {"arguments": piece}} for piece in pieces(call.text)]
        rows.append(
            [
                _event({"type": "tool-call-start", "index": number, "delta": {"message": {"tool_calls": head}}}),
                *(
                    _event({"type": "tool-call-delta", "index": number, "delta": {"message": {"tool_calls": part}}})
                    for part in parts
                ),
                _event({"type": "tool-call-end", "index": number}),
            ]
        )
    if not reply.interleaved:
        yield from (event for row in rows for event in row)
        return
    for place in range(max(map(len, rows), default=0)):
        yield from (row[place] for row in rows if place < len(row))


def _content(kind: str, index: int, content: dict[str, Any]) -> bytes:
    return _event({"type": kind, "index": index, "delta": {"message": {"content": content}}})


def _finish(reply: Reply) -> str:
    return "TOOL_CALL" if reply.calls and reply.stop == "end" else _FINISH["filter" if reply.refusal else reply.stop]


def _usage(asked: Asked, reply: Reply) -> dict[str, Any]:
    into, out = counted(asked, reply)
    return {
        "billed_units": {"input_tokens": into, "output_tokens": out},
        "tokens": {"input_tokens": into + 80, "output_tokens": out + 2},
        "cached_tokens": reply.cached_tokens,
    }


def _event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"


if __name__ == "__main__":
    serve(CohereEmulator, "co-test")

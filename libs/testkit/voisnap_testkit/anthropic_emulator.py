"""A server that speaks Anthropic's Messages API as the real one does, in both of its versions. It refuses what the real one refuses: a
temperature where none is taken, thinking that a model can't leave or do, thoughts that it never thought, calls of tools without results;
and, though the real one would merge them, turns that do not alternate.

Facts: Claude platform documentation, "Messages" (create, streaming), "Versions", "Errors", "Tool use", "Thinking", "Prompt caching",
"Structured outputs". Which model takes what is written down here by name, apart from the adapter's own table.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from .llm_emulator import Asked, Call, Failure, LlmEmulator, Reply, Seen, Turn, call_id, counted, pieces, serve

OLD, NEW = "2023-06-01", "2026-10-21"

_PARAMETERS = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "system",
        "stream",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "stop_sequences",
        "metadata",
        "service_tier",
        "cache_control",
        "container",
        "inference_geo",
        "speed",
        "diagnostics",
    ]
)
_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 500}
_SAMPLED = (
    "claude-3",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
)
"""Models that take a temperature, by the old version only."""
_ALWAYS_THINK = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable", "claude-mythos")
_BETWEEN_TOOLS = ("claude-sonnet-5-5",)
_THINK_AT_WILL = ("claude-opus-5", "claude-sonnet-5", "claude-haiku-5", "claude-fable", "claude-mythos")
_NO_EFFORT = ("claude-3", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-1")
_NO_SCHEMAS = ("claude-3",)
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_ID = re.compile(r"[A-Za-z0-9_-]+")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SCHEMA_MEMBERS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "description",
        "title",
        "format",
        "$ref",
        "$defs",
        "default",
    ]
)
_MAX_UNIONS = 16
_MAX_BREAKPOINTS = 4
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOPS = {"end": "end_turn", "length": "max_tokens", "filter": "refusal"}


class AnthropicEmulator(LlmEmulator):
    """Anthropic's Messages API."""

    prefix: ClassVar[str] = ""

    def __init__(self, *, key: str | None = "sk-ant-test", thinks: bool = False) -> None:
        super().__init__(key=key, thinks=thinks)
        self._thoughts: dict[str, dict[str, Any]] = {}
        """What was thought before a call, by the call's id: it must come back with the result."""

    def knows(self, seen: Seen) -> bool:
        """Either pair of headers; where both are sent the older one counts."""
        old = seen.headers.get("x-api-key")
        return (old or seen.headers.get("authorization", "").removeprefix("Bearer ")) == self.key

    def judge(self, seen: Seen) -> Failure | None:
        if seen.method != "POST" or seen.path != "/v1/messages":
            return Failure(404, None, f"Not found: {seen.method} {seen.path}")
        version = seen.headers.get("anthropic-version")
        if version not in (OLD, NEW):
            return _invalid(f"anthropic-version: '{version}' is not a valid version.")
        body = seen.body
        if not isinstance(body.get("model"), str) or not body["model"].startswith("claude-"):
            return Failure(404, None, f"model: {body.get('model')}")
        unknown = next((name for name in body if name not in _PARAMETERS and name not in _SAMPLING), None)
        if unknown:
            return _invalid(f"{unknown}: Extra inputs are not permitted")
        return (
            _judge_sampling(body, version)
            or _judge_limits(body)
            or _judge_thinking(body)
            or _judge_output(body)
            or _judge_system(body)
            or _judge_tools(body)
            or _judge_messages(body["messages"])
            or self._judge_thoughts(body)
        )

    def lacks(self, seen: Seen) -> Failure | None:
        wants = (seen.body.get("output_config") or {}).get("format")
        if wants is None:
            return None
        if seen.body["model"].startswith(_NO_SCHEMAS):
            return _invalid("output_config.format: structured outputs are not supported by this model.")
        unions = _unions(wants["schema"])
        return _invalid(f"The schema has {unions} parameters with union types.") if unions > _MAX_UNIONS else None

    def understood(self, seen: Seen) -> Asked:
        body = seen.body
        return Asked(
            model=body["model"],
            system="\n\n".join(block["text"] for block in _blocks(body.get("system", []))),
            turns=tuple(_turn(message) for message in body["messages"]),
            stream=bool(body.get("stream")),
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            max_tokens=body["max_tokens"],
            tools={tool["name"]: tool["input_schema"] for tool in body.get("tools", ())},
            schema=((body.get("output_config") or {}).get("format") or {}).get("schema"),
        )

    def whole(self, seen: Seen, reply: Reply) -> dict[str, Any]:
        text = [{"type": "text", "text": reply.text, "citations": None}] if reply.text else []
        calls = [
            {
                "type": "tool_use",
                "id": _call_id(call, number),
                "name": call.name,
                "input": msgspec.json.decode(call.text),
            }
            for number, call in enumerate(reply.calls)
        ]
        return {
            **_message(seen),
            "content": [*self._thought(seen, reply), *text, *calls],
            "stop_reason": _stop(reply),
            "usage": _usage(self.understood(seen), reply),
        }

    def opening(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        usage = {**_usage(self.understood(seen), reply), "output_tokens": 1}
        yield _event("message_start", message={**_message(seen), "usage": usage})
        yield _event("ping")

    def content(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        rows: list[list[bytes]] = []
        for thought in self._thought(seen, reply):
            yield from _thought_events(thought)
            rows.append([])
        if reply.text:
            at = len(rows)
            yield _event("content_block_start", index=at, content_block={"type": "text", "text": ""})
            for piece in pieces(reply.text):
                yield _event("content_block_delta", index=at, delta={"type": "text_delta", "text": piece})
            yield _event("content_block_stop", index=at)
            rows.append([])
        calls = [_call_events(len(rows) + number, call, number) for number, call in enumerate(reply.calls)]
        if not reply.interleaved:
            yield from (event for row in calls for event in row)
            return
        for place in range(max(map(len, calls), default=0)):
            yield from (row[place] for row in calls if place < len(row))

    def closing(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        yield _event(
            "message_delta",
            delta={"stop_reason": _stop(reply), "stop_sequence": None},
            usage=_usage(self.understood(seen), reply),
        )
        yield _event("message_stop")

    def trouble(self, seen: Seen, message: str) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": message})

    def failure(self, failure: Failure) -> Any:
        kind = failure.code or _KINDS.get(failure.status, "api_error" if failure.status >= 500 else _KINDS[400])
        return {"type": "error", "error": {"type": kind, "message": failure.message}, "request_id": "req_test"}

    def _thought(self, seen: Seen, reply: Reply) -> list[dict[str, Any]]:
        """The thinking block before a reply, kept until the result of its call comes back."""
        if not reply.thoughts:
            return []
        block = {
            "type": "thinking",
            "thinking": reply.thoughts,
            "signature": f"sig+{seen.body['model']}/{len(self.requests)}==",
        }
        if reply.calls:
            self._thoughts[_call_id(reply.calls[0], 0)] = block
        return [block]

    def _judge_thoughts(self, body: dict[str, Any]) -> Failure | None:
        """What was thought must come back unchanged and first, as long as the user has said nothing new; nothing else may come."""
        messages = body["messages"]
        last_words = max(
            (
                at
                for at, one in enumerate(messages)
                if one["role"] == "user" and any(block["type"] == "text" for block in _blocks(one["content"]))
            ),
            default=-1,
        )
        for at, message in enumerate(messages):
            blocks = _blocks(message["content"])
            shown = [block for block in blocks if block["type"] in ("thinking", "redacted_thinking")]
            if any(
                block not in self._thoughts.values() or f"+{body['model']}/" not in block["signature"]
                for block in shown
            ):
                return _invalid(f"messages.{at}: Invalid `signature` in `thinking` block")
            thought = next(
                (
                    self._thoughts[one["id"]]
                    for one in blocks
                    if one["type"] == "tool_use" and one["id"] in self._thoughts
                ),
                None,
            )
            is_own = thought is not None and f"+{body['model']}/" in thought["signature"]
            if at > last_words and is_own and blocks[0] != thought:
                return _invalid(f"messages.{at}.content.0: Expected `thinking`, but found `{blocks[0]['type']}`.")
        return None


def _invalid(message: str) -> Failure:
    return Failure(400, None, message)


def _judge_sampling(body: dict[str, Any], version: str) -> Failure | None:
    sent = [name for name in _SAMPLING if name in body]
    if sent and version != OLD:
        return _invalid(f"{sent[0]}: Extra inputs are not permitted")
    if sent and not body["model"].startswith(_SAMPLED):
        return _invalid(f"`{sent[0]}` is deprecated for this model.")
    if {"temperature", "top_p"} <= set(sent):
        return _invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    wrong = next((name for name in sent if not 0 <= body[name] <= _SAMPLING[name]), None)
    return _invalid(f"{wrong}: range: 0..{_SAMPLING[wrong]:g}") if wrong else None


def _judge_limits(body: dict[str, Any]) -> Failure | None:
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return _invalid("max_tokens: Field required")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return _invalid("messages: at least one message is required")
    marked = sum("cache_control" in block for block in _all_blocks(body))
    if marked > _MAX_BREAKPOINTS:
        return _invalid(f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {marked}.")
    if any(block.get("cache_control", {"type": "ephemeral"}).get("type") != "ephemeral" for block in _all_blocks(body)):
        return _invalid("cache_control.type: Input should be 'ephemeral'")
    return None


def _judge_thinking(body: dict[str, Any]) -> Failure | None:
    model, thinking = body["model"], body.get("thinking")
    if thinking is None:
        return None
    kind = thinking.get("type")
    thinks_at_will = model.startswith(_THINK_AT_WILL)
    allowed = {
        "disabled": not model.startswith(_ALWAYS_THINK),
        "between_tools": model.startswith(_BETWEEN_TOOLS),
        "adaptive": thinks_at_will or model.startswith(("claude-opus-4-6", "claude-opus-4-7", "claude-sonnet-4-6")),
        "enabled": not thinks_at_will and 1024 <= thinking.get("budget_tokens", 0) < body["max_tokens"],
    }
    return None if allowed.get(kind) else _invalid(f'"thinking.type.{kind}" is not supported for this model.')


def _judge_output(body: dict[str, Any]) -> Failure | None:
    output = body.get("output_config") or {}
    if unknown := set(output) - {"effort", "format"}:
        return _invalid(f"output_config.{unknown.pop()}: Extra inputs are not permitted")
    effort, wanted = output.get("effort"), output.get("format")
    if effort is not None and (effort not in _EFFORTS or body["model"].startswith(_NO_EFFORT)):
        return _invalid("This model does not support the effort parameter.")
    if wanted is None:
        return None
    if set(wanted) != {"type", "schema"} or wanted["type"] != "json_schema":
        return _invalid("output_config.format: Input should be a 'json_schema'")
    fault = _schema_fault(wanted["schema"])
    return _invalid(f"output_config.format.schema: {fault}") if fault else None


def _judge_system(body: dict[str, Any]) -> Failure | None:
    for at, block in enumerate(_blocks(body.get("system", []))):
        if block.get("type") != "text" or not str(block.get("text", "")).strip():
            return _invalid(f"system.{at}: text content blocks must contain non-whitespace text")
    return None


def _judge_tools(body: dict[str, Any]) -> Failure | None:
    tools, choice = body.get("tools", []), body.get("tool_choice")
    names = [tool.get("name", "") for tool in tools]
    if len(set(names)) != len(names):
        return _invalid("tools: Tool names must be unique.")
    for at, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(tool.get("name", "")):
            return _invalid(f"tools.{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if (tool.get("input_schema") or {}).get("type") != "object":
            return _invalid(f"tools.{at}.input_schema.type: Input should be 'object'")
    if choice is not None and choice.get("type") in ("any", "tool") and body["model"].startswith(_ALWAYS_THINK):
        return _invalid("tool_choice: forced tool use is not supported for this model.")
    return None


def _judge_messages(messages: list[dict[str, Any]]) -> Failure | None:
    waiting: list[str] = []
    seen_ids: set[str] = set()
    for at, message in enumerate(messages):
        if message.get("role") != ("assistant" if at % 2 else "user"):
            return _invalid(
                f'messages.{at}: roles must alternate between "user" and "assistant", beginning with "user"'
            )
        blocks = _blocks(message.get("content"))
        fault = _block_fault(message["role"], blocks, at)
        if fault:
            return fault
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(results) != sorted(waiting) or [block["type"] for block in blocks[: len(results)]] != [
            "tool_result"
        ] * len(results):
            return _invalid(
                f"messages.{at}: `tool_use` ids must have corresponding `tool_result` blocks right after, at the beginning"
            )
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(waiting)) != len(waiting) or seen_ids & set(waiting):
            return _invalid(f"messages.{at}: `tool_use` ids must be unique")
        seen_ids |= set(waiting)
    if messages[-1]["role"] != "user":
        return _invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    return None


def _block_fault(role: str, blocks: Sequence[dict[str, Any]], at: int) -> Failure | None:
    if not blocks:
        return _invalid(f"messages.{at}.content: must not be empty")
    allowed = {"text", "tool_result"} if role == "user" else {"text", "tool_use", "thinking", "redacted_thinking"}
    for block in blocks:
        kind = block.get("type")
        if kind not in allowed:
            return _invalid(f"messages.{at}.content: unexpected `{kind}` block in a message of the {role}")
        if kind == "text" and not block.get("text", "").strip():
            return _invalid(f"messages.{at}.content: text content blocks must contain non-whitespace text")
        if kind == "text" and role == "assistant" and block["text"] != block["text"].rstrip():
            return _invalid(f"messages.{at}.content: assistant content cannot end with trailing whitespace")
        if kind == "tool_use" and not (_ID.fullmatch(block.get("id", "")) and isinstance(block.get("input"), dict)):
            return _invalid(f"messages.{at}.content.tool_use: id or input")
        if kind == "tool_result" and not (
            _ID.fullmatch(block.get("tool_use_id", "")) and isinstance(block.get("content"), str | list)
        ):
            return _invalid(f"messages.{at}.content.tool_result: tool_use_id or content")
    return None


def _schema_fault(node: Any) -> str | None:
    """What structured outputs do not know: open objects, bounds, lists of types."""
    unknown = set(node) - _SCHEMA_MEMBERS
    if unknown:
        return f"For '{node.get('type')}' type, property '{unknown.pop()}' is not supported"
    if not any(name in node for name in ("type", "enum", "const", "anyOf", "allOf", "$ref")):
        return "a type is missing"
    if node.get("type") == "object" and node.get("additionalProperties") is not False:
        return "For 'object' type, 'additionalProperties' must be explicitly set to false"
    nested = [*node.get("properties", {}).values(), *node.get("anyOf", ()), *node.get("allOf", ())]
    if "items" in node:
        nested.append(node["items"])
    return next((fault for one in nested if (fault := _schema_fault(one))), None)


def _unions(node: Any) -> int:
    if not isinstance(node, dict):
        return 0
    nested = [*node.get("properties", {}).values(), *node.get("anyOf", ()), node.get("items")]
    return ("anyOf" in node or isinstance(node.get("type"), list)) + sum(map(_unions, nested))


def _blocks(content: Any) -> list[dict[str, Any]]:
    """Content as blocks: a text is shorthand for one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _all_blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    said = [block for message in body["messages"] for block in _blocks(message.get("content"))]
    return [*_blocks(body.get("system", [])), *body.get("tools", []), *said]


def _turn(message: dict[str, Any]) -> Turn:
    blocks = _blocks(message["content"])
    results = [(one["tool_use_id"], _text(one["content"])) for one in blocks if one["type"] == "tool_result"]
    return Turn(
        role=message["role"],
        text="\n".join(one["text"] for one in blocks if one["type"] == "text"),
        calls=tuple(Call(one["name"], one["input"], one["id"]) for one in blocks if one["type"] == "tool_use"),
        results=tuple(results),
    )


def _text(content: Any) -> str:
    return "".join(block.get("text", "") for block in _blocks(content))


def _message(seen: Seen) -> dict[str, Any]:
    return {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": seen.body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _call_id(call: Call, number: int) -> str:
    return call.id or "toolu_" + call_id(call, number)


def _stop(reply: Reply) -> str:
    if reply.refusal is not None:
        return "refusal"
    return "tool_use" if reply.calls and reply.stop == "end" else _STOPS[reply.stop]


def _usage(asked: Asked, reply: Reply) -> dict[str, Any]:
    """The input leaves out what the cache held; a tenth of that was written just now."""
    into, out = counted(asked, reply)
    written = reply.cached_tokens // 10
    return {
        "input_tokens": into - reply.cached_tokens - written,
        "cache_read_input_tokens": reply.cached_tokens,
        "cache_creation_input_tokens": written,
        "output_tokens": out,
        "service_tier": "standard",
    }


def _thought_events(block: dict[str, Any]) -> Iterator[bytes]:
    yield _event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""})
    for piece in pieces(block["thinking"]):
        yield _event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": piece})
    yield _event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": block["signature"]})
    yield _event("content_block_stop", index=0)


def _call_events(index: int, call: Call, number: int) -> list[bytes]:
    head = {"type": "tool_use", "id": _call_id(call, number), "name": call.name, "input": {}}
    parts = ["", *pieces(call.text)]
    return [
        _event("content_block_start", index=index, content_block=head),
        *(
            _event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": part})
            for part in parts
        ),
        _event("content_block_stop", index=index),
    ]


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **members}) + b"\n\n"


if __name__ == "__main__":
    serve(AnthropicEmulator, "sk-ant-test")

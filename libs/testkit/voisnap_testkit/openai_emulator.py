"""A server that speaks OpenAI's chat completions as the real one does, and answers what the test says. It refuses what the real one
refuses: unknown parameters, loose schemas, a temperature for models that reason.

async with OpenAiEmulator() as emulator:
    emulator.script("Hello!", Failure(429), Cut("Hel"))
    ... emulator.url, emulator.key ...
    emulator.requests[0].body
"""

import asyncio
import json
import socket
from collections import deque
from typing import Any, Self

import msgspec
import uvicorn

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


class Failure(msgspec.Struct, frozen=True):
    """An HTTP error instead of an answer."""

    status: int
    code: str | None = None
    message: str = "Something is wrong."
    param: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """The model declines."""

    text: str = "I'm sorry, I can't help with that."


class Cut(msgspec.Struct, frozen=True):
    """The connection ends in the middle of a stream, after this text."""

    text: str = ""


class Slow(msgspec.Struct, frozen=True):
    """Nothing for so long, then the text."""

    seconds: float
    text: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Step = str | dict[str, Any] | Failure | Refusal | Cut | Slow


class OpenAiEmulator:
    """`url` is the base URL, `key` the only key it takes. Without a script it answers "ok". `knows_schemas=False`: an older server."""

    def __init__(self, *, key: str | None = "sk-test", knows_schemas: bool = True) -> None:
        self.key = key
        self.requests: list[Seen] = []
        self._knows_schemas = knows_schemas
        self._script: deque[Step] = deque()
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    def script(self, *steps: Step) -> None:
        """What the next requests get, in order; a dict is sent as JSON text."""
        self._script.extend(steps)

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        config = uvicorn.Config(self._serve, interface="asgi3", log_level="critical", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await asyncio.wait({self._task}, timeout=5)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        payload = b""
        while True:
            message = await receive()
            payload += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        failure = self._judge(scope, headers, payload)
        if failure is None:
            body = json.loads(payload)
            self.requests.append(Seen(path=scope["path"], headers=headers, body=body))
            failure = self._judge_body(body)
        if failure is not None:
            await _fail(send, failure)
            return
        step = self._script.popleft() if self._script else "ok"
        if isinstance(step, Slow):
            await asyncio.sleep(step.seconds)
            step = step.text
        if isinstance(step, Failure):
            await _fail(send, step)
        elif body.get("stream"):
            await _stream(send, body, step)
        else:
            await _answer(send, 200, _completion(body, step))

    def _judge(self, scope: Any, headers: dict[str, str], payload: bytes) -> Failure | None:
        if scope["method"] != "POST" or scope["path"] != "/v1/chat/completions":
            return Failure(404, "unknown_url", f"Invalid URL ({scope['method']} {scope['path']})")
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            return Failure(401, "invalid_api_key", "Incorrect API key provided.")
        if not headers.get("content-type", "").startswith("application/json"):
            return Failure(415, "unsupported_content_type", "Use application/json.")
        try:
            is_object = isinstance(json.loads(payload), dict)
        except ValueError:
            is_object = False
        return None if is_object else Failure(400, None, "We could not parse the JSON body of your request.")

    def _judge_body(self, body: dict[str, Any]) -> Failure | None:
        unknown = next((name for name in body if name not in _PARAMETERS), None)
        if unknown:
            return Failure(400, "unknown_parameter", f"Unknown parameter: '{unknown}'.", unknown)
        if not isinstance(body.get("model"), str):
            return Failure(400, None, "you must provide a model parameter")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return Failure(400, "invalid_type", "Invalid 'messages': empty array.", "messages")
        for message in messages:
            if message.get("role") not in _ROLES or not isinstance(message.get("content"), str | list):
                return Failure(400, "invalid_value", "Invalid value: 'messages'.", "messages")
        if body["model"].startswith(_REASONING):
            if "max_tokens" in body:
                text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
                return Failure(400, "unsupported_parameter", text, "max_tokens")
            if body.get("temperature", 1) != 1:
                return Failure(400, "unsupported_value", "'temperature' does not support this value.", "temperature")
        if "stream_options" in body and not body.get("stream"):
            text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            return Failure(400, "invalid_request", text, "stream_options")
        return self._judge_format(body.get("response_format"), messages)

    def _judge_format(self, wanted: Any, messages: list[Any]) -> Failure | None:
        match wanted:
            case None | {"type": "text"}:
                return None
            case {"type": "json_object"}:
                if any("json" in str(message["content"]).lower() for message in messages):
                    return None
                text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
                return Failure(400, None, text, "messages")
            case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema)}} if (
                self._knows_schemas
            ):
                strict = wanted["json_schema"].get("strict")
                fault = _schema_fault(schema) if strict else None
                if not name.replace("_", "").replace("-", "").isalnum() or len(name) > 64:
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


def _text(step: Step) -> str:
    return json.dumps(step) if isinstance(step, dict) else step if isinstance(step, str) else ""


def _usage(body: dict[str, Any], text: str) -> dict[str, Any]:
    asked = sum(len(str(message["content"])) for message in body["messages"]) // 4 + 3
    made = len(text) // 4 + 1
    return {
        "prompt_tokens": asked,
        "completion_tokens": made,
        "total_tokens": asked + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _completion(body: dict[str, Any], step: Step) -> dict[str, Any]:
    text = _text(step)
    refusal = step.text if isinstance(step, Refusal) else None
    message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal, "annotations": []}
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 1_763_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(body, text),
        "service_tier": "default",
        "system_fingerprint": "fp_test",
    }


async def _stream(send: Any, body: dict[str, Any], step: Step) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-request-id", b"req_test")],
        }
    )
    has_usage = bool(body.get("stream_options", {}).get("include_usage"))

    async def event(choices: list[Any], **more: Any) -> None:
        chunk = {
            "id": "chatcmpl-test",
            "object": "chat.completion.chunk",
            "created": 1_763_000_000,
            "model": body["model"],
            "choices": choices,
            **({"usage": None} if has_usage else {}),
            **more,
        }
        await send({"type": "http.response.body", "body": f"data: {json.dumps(chunk)}\n\n".encode(), "more_body": True})

    def choice(delta: dict[str, Any], finish: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    text = step.text if isinstance(step, Cut | Refusal) else _text(step)
    await event(choice({"role": "assistant", "content": "", "refusal": None}))
    for at in range(0, len(text), 4):
        await event(choice({"refusal" if isinstance(step, Refusal) else "content": text[at : at + 4]}))
    if isinstance(step, Cut):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    await event(choice({}, "stop"))
    if has_usage:
        await event([], usage=_usage(body, text))
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


async def _fail(send: Any, failure: Failure) -> None:
    kinds = {401: "invalid_request_error", 429: "rate_limit_exceeded", 500: "server_error", 503: "server_error"}
    error = {
        "message": failure.message,
        "type": kinds.get(failure.status, "invalid_request_error"),
        "param": failure.param,
        "code": failure.code,
    }
    await _answer(send, failure.status, {"error": error})


async def _answer(send: Any, status: int, body: dict[str, Any]) -> None:
    payload = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(payload)).encode()),
        (b"x-request-id", b"req_test"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload, "more_body": False})

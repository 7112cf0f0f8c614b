"""A server that speaks the Gemini API as the real one does, under `/v1` and `/v1beta`. It refuses what the real one refuses: unknown members,
thinking that a model does not know, calls of tools without as many results, calls of newer models without their signature.

Facts: Gemini API documentation, "Text generation", "Function calling", "Thinking", "Thought signatures", "Structured outputs", "Error codes",
and the reference of `generateContent` and `streamGenerateContent`. Which model takes what is written down here by name, apart from the
adapter's own table.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from .llm_emulator import Asked, Call, Failure, LlmEmulator, Reply, Seen, Turn, call_id, counted, pieces, serve

_PATH = re.compile(r"/(?:v1|v1beta)/models/(?P<model>[\w.-]+):(?P<verb>streamGenerateContent|generateContent)")
_MEMBERS = frozenset(
    ["contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings", "cachedContent"]
)
_CONFIG = frozenset(
    [
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "candidateCount",
        "stopSequences",
        "frequencyPenalty",
        "presencePenalty",
        "seed",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "thinkingConfig",
    ]
)
_PART = frozenset(["text", "functionCall", "functionResponse", "thoughtSignature", "thought"])
_RANGES = {"temperature": (0, 2), "topP": (0, 1), "presencePenalty": (-2, 2), "frequencyPenalty": (-2, 2)}
_LEVELS = frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH"})
_NO_MINIMAL = ("gemini-3-pro", "gemini-3.1-pro", "gemini-3.7-flash", "gemini-3.8-flash", "gemini-4")
_SIGNS = ("gemini-3", "gemini-4")
_BUDGETS = {"gemini-2.5-pro": (128, 32768), "gemini-2.5-flash": (0, 24576)}
_UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"end": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}


_OPAQUE = frozenset({"parametersJsonSchema", "responseJsonSchema", "args", "response"})


def proto(value: Any) -> Any:
    """JSON of a protocol buffer in one spelling: the vendor takes `max_output_tokens` for `maxOutputTokens`, and its own client sends both."""
    if isinstance(value, list):
        return [proto(item) for item in value]
    if not isinstance(value, dict):
        return value
    spelt = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): member for name, member in value.items()}
    return {name: member if name in _OPAQUE else proto(member) for name, member in spelt.items()}


class GeminiEmulator(LlmEmulator):
    """The Gemini API."""

    prefix: ClassVar[str] = ""
    stream_type: ClassVar[bytes] = b"text/event-stream"
    wrong_key: ClassVar[Failure] = Failure(400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key.")

    def __init__(self, *, key: str | None = "AIza-test", thinks: bool = False) -> None:
        super().__init__(key=key, thinks=thinks)
        self._signed: set[str] = set()

    def knows(self, seen: Seen) -> bool:
        return seen.headers.get("x-goog-api-key") == self.key

    def judge(self, seen: Seen) -> Failure | None:
        path = _PATH.fullmatch(seen.path)
        if seen.method != "POST" or path is None:
            return Failure(404, None, f"Not found: {seen.method} {seen.path}")
        if not path["model"].startswith("gemini-"):
            return Failure(404, None, f"models/{path['model']} is not found for API version v1.")
        if seen.query != ("alt=sse" if _streams(seen) else ""):
            return _invalid(f"unexpected query: {seen.query}")
        body = proto(seen.body)
        config = body.get("generationConfig", {})
        unknown = [*(body.keys() - _MEMBERS), *(config.keys() - _CONFIG)]
        if unknown:
            return _invalid(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
        return (
            _judge_config(config)
            or _judge_thinking(path["model"], config)
            or _judge_tools(body)
            or self._judge_contents(path["model"], body)
        )

    def understood(self, seen: Seen) -> Asked:
        body = proto(seen.body)
        config = body.get("generationConfig", {})
        declared = [one for tool in body.get("tools", ()) for one in tool["functionDeclarations"]]
        return Asked(
            model=_model(seen),
            system="\n\n".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())),
            turns=tuple(_turn(content) for content in body["contents"]),
            stream=_streams(seen),
            temperature=config.get("temperature"),
            top_p=config.get("topP"),
            max_tokens=config.get("maxOutputTokens"),
            frequency_penalty=config.get("frequencyPenalty"),
            presence_penalty=config.get("presencePenalty"),
            tools={one["name"]: one.get("parametersJsonSchema") or {} for one in declared},
            schema=config.get("responseJsonSchema"),
        )

    def whole(self, seen: Seen, reply: Reply) -> dict[str, Any]:
        parts = [*self._thoughts(reply), *([{"text": reply.text}] if reply.text else []), *self._calls(seen, reply)]
        return self._chunk(seen, reply, parts, _finish(reply))

    def opening(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        yield from ()

    def content(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        for part in self._thoughts(reply):
            yield _event(self._chunk(seen, reply, [part]))
        for piece in pieces(reply.text):
            yield _event(self._chunk(seen, reply, [{"text": piece}]))
        calls = self._calls(seen, reply)
        for row in [calls] if reply.interleaved else [[call] for call in calls]:
            yield _event(self._chunk(seen, reply, row))

    def closing(self, seen: Seen, reply: Reply) -> Iterator[bytes]:
        ended = reply.stop == "end" and reply.refusal is None
        yield _event(self._chunk(seen, reply, [{"text": ""}] if ended else [], _finish(reply)))

    def trouble(self, seen: Seen, message: str) -> bytes:
        return _event({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})

    def failure(self, failure: Failure) -> Any:
        """A key that it does not know is answered as such by the reason in the details, whatever the status."""
        details: list[dict[str, Any]] = []
        if failure.code is not None:
            info = {"reason": failure.code, "domain": "googleapis.com", "metadata": {"service": "generativelanguage"}}
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info})
        if failure.retry_after is not None:
            delay = f"{failure.retry_after:g}s"
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
        error = {
            "code": failure.status,
            "message": failure.message,
            "status": _STATUS.get(failure.status, "INTERNAL" if failure.status >= 500 else "INVALID_ARGUMENT"),
        }
        return {"error": {**error, **({"details": details} if details else {})}}

    def _chunk(
        self, seen: Seen, reply: Reply, parts: Sequence[dict[str, Any]], finish: str | None = None
    ) -> dict[str, Any]:
        into, out = counted(self.understood(seen), reply)
        usage = {
            "promptTokenCount": into,
            "candidatesTokenCount": out - reply.reasoning_tokens if finish else 1,
            **({"thoughtsTokenCount": reply.reasoning_tokens} if reply.reasoning_tokens else {}),
            **({"cachedContentTokenCount": reply.cached_tokens} if reply.cached_tokens else {}),
            "totalTokenCount": into + out,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": into}],
        }
        content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
        return {
            "candidates": [{**content, "index": 0, **({"finishReason": finish} if finish else {})}],
            "usageMetadata": usage,
            "modelVersion": _model(seen),
            "responseId": "resp-test",
        }

    def _thoughts(self, reply: Reply) -> list[dict[str, Any]]:
        return [{"text": reply.thoughts, "thought": True}] if reply.thoughts else []

    def _calls(self, seen: Seen, reply: Reply) -> list[dict[str, Any]]:
        """Calls come whole. Newer models name them, and sign the first."""
        names_calls = _model(seen).startswith(_SIGNS)
        parts: list[dict[str, Any]] = []
        for number, call in enumerate(reply.calls):
            made: dict[str, Any] = {"name": call.name, "args": msgspec.json.decode(call.text)}
            if names_calls or call.id:
                made["id"] = call_id(call, number)
            parts.append({"functionCall": made})
        if parts and names_calls:
            signature = base64.b64encode(f"signature {len(self.requests)}".encode()).decode()
            self._signed.add(signature)
            parts[0]["thoughtSignature"] = signature
        return parts

    def _judge_contents(self, model: str, body: dict[str, Any]) -> Failure | None:
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            return _invalid("* GenerateContentRequest.contents: contents is not specified")
        for at, content in enumerate([*contents, body.get("systemInstruction", {"parts": [{"text": "-"}]})]):
            for part in content.get("parts") or [{}]:
                kinds = part.keys() & {"text", "functionCall", "functionResponse"}
                if len(kinds) != 1 or part.keys() - _PART or part.get("text") == "":
                    return _invalid(f"* GenerateContentRequest.contents[{at}].parts: required oneof field 'data'")
        if any(content.get("role") not in ("user", "model") for content in contents):
            return _invalid("Please use a valid role: user, model.")
        if contents[-1]["role"] != "user":
            return _invalid("Please ensure that multiturn requests end with a user role.")
        return _judge_order(contents) or self._judge_signatures(model, contents)

    def _judge_signatures(self, model: str, contents: list[dict[str, Any]]) -> Failure | None:
        """In the turn that is being made the first call of each step must be signed; a signature must be one of ours."""
        last_words = max(
            (
                at
                for at, one in enumerate(contents)
                if one["role"] == "user" and any("text" in part for part in one["parts"])
            ),
            default=-1,
        )
        for at, content in enumerate(contents):
            calls = [part for part in content["parts"] if "functionCall" in part]
            for part in content["parts"]:
                signature = part.get("thoughtSignature")
                if signature is not None and signature != _UNSIGNED and signature not in self._signed:
                    return _invalid("Corrupted thought signature.")
            if calls and at > last_words and model.startswith(_SIGNS) and "thoughtSignature" not in calls[0]:
                return _invalid("Function call is missing a thought_signature in functionCall parts.")
        return None


def _invalid(message: str) -> Failure:
    return Failure(400, None, message)


def _judge_config(config: dict[str, Any]) -> Failure | None:
    for name, (least, most) in _RANGES.items():
        if not least <= config.get(name, 0) <= most:
            return _invalid(f"Unable to submit request because {name} must be in the range [{least}, {most}].")
    if config.get("maxOutputTokens", 1) < 1:
        return _invalid("maxOutputTokens must be positive.")
    schemas = config.keys() & {"responseSchema", "responseJsonSchema"}
    if schemas and config.get("responseMimeType") != "application/json":
        return _invalid("A response schema is only supported with the response mime type application/json.")
    return _invalid("Only one of responseSchema and responseJsonSchema may be set.") if len(schemas) > 1 else None


def _judge_thinking(model: str, config: dict[str, Any]) -> Failure | None:
    thinking = config.get("thinkingConfig")
    if thinking is None:
        return None
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        return _invalid("You can only set one of thinking budget and thinking level.")
    if level is not None:
        is_known = (
            level in _LEVELS and model.startswith(_SIGNS) and not (level == "MINIMAL" and model.startswith(_NO_MINIMAL))
        )
        return None if is_known else _invalid(f"Thinking level {level} is not supported for this model.")
    least, most = next((span for name, span in _BUDGETS.items() if model.startswith(name)), (1, 0))
    if budget is not None and budget != -1 and not least <= budget <= most:
        return _invalid(f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}.")
    return None


def _judge_tools(body: dict[str, Any]) -> Failure | None:
    declared = [one for tool in body.get("tools", ()) for one in tool.get("functionDeclarations", ())]
    if "tools" in body and not declared:
        return _invalid("tools: no function declarations")
    for one in declared:
        if not _TOOL_NAME.fullmatch(one.get("name", "")) or not one.get("description"):
            return _invalid("Invalid function name. Must start with a letter or an underscore.")
        if one.get("parametersJsonSchema", {"type": "object"}).get("type") != "object":
            return _invalid("function declaration parameters schema should be of type OBJECT")
    return None


def _judge_order(contents: list[dict[str, Any]]) -> Failure | None:
    """A turn of calls comes after one of the user, and its results, as many and of the same names and ids, right after it."""
    waiting: list[tuple[str, str | None]] = []
    for at, content in enumerate(contents):
        given = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if any(not isinstance(result.get("response"), dict) for result in given):
            return _invalid("functionResponse.response must be an object.")
        if sorted((one["name"], one.get("id")) for one in given) != sorted(waiting):
            return _invalid(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
            )
        waiting = [
            (part["functionCall"]["name"], part["functionCall"].get("id"))
            for part in content["parts"]
            if "functionCall" in part
        ]
        if waiting and (content["role"] != "model" or at == 0 or contents[at - 1]["role"] != "user"):
            return _invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
            )
    return None


def _turn(content: dict[str, Any]) -> Turn:
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
    return Turn(
        role="assistant" if content["role"] == "model" else "user",
        text="\n".join(part["text"] for part in content["parts"] if "text" in part),
        calls=tuple(Call(call["name"], call.get("args", {}), call.get("id")) for call in calls),
        results=tuple((one.get("id") or one["name"], _said(one["response"])) for one in results),
    )


def _said(response: dict[str, Any]) -> str:
    """What a tool said: a text that was no object came in one."""
    if response.keys() == {"result"} and isinstance(response["result"], str):
        return response["result"]
    return msgspec.json.encode(response).decode()


def _model(seen: Seen) -> str:
    path = _PATH.fullmatch(seen.path)
    return path["model"] if path else ""


def _streams(seen: Seen) -> bool:
    return seen.path.endswith(":streamGenerateContent")


def _finish(reply: Reply) -> str:
    return "SAFETY" if reply.refusal is not None else _FINISH[reply.stop]


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\r\n\r\n"


if __name__ == "__main__":
    serve(GeminiEmulator, "AIza-test")

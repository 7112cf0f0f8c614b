"""The wire of OpenAI's chat completions: `POST {base}/chat/completions`, Bearer key, JSON or server-sent events.

Facts: OpenAI API reference, "Chat" (create, the chat completion object, the chat completion chunk object), "Function calling", "Prompt
caching" and "Structured outputs"; Azure OpenAI REST reference. Only what is sent and read here; unknown members of answers are ignored.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from voisnap_domain.agents import Llm, LlmProvider

from voisnap_providers.ports.llm import LlmRequest, LlmUsed, Message, Role, ToolCall, ToolSpec

PATH = "/chat/completions"
DONE = b"[DONE]"
UNANSWERED = "(No result: the call was broken off.)"
MAX_CALLS = 128
MAX_CALL_CHARS = 200_000
MAX_TOKENS = 100_000_000
"""Of one reply, beyond which no server's count is believed."""

_REASONING = ("o1", "o3", "o4", "gpt-5", "gpt-6")
"""Models that reason: they count hidden tokens, and refuse a temperature and its like."""
_TALKING = ("gpt-5-chat",)
"""Models that do not, though their names begin alike."""

_WORD = re.compile(r"[\w.-]{1,64}")

OPTIONAL = frozenset(
    {
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "stream_options",
        "reasoning_effort",
        "prompt_cache_key",
    }
)
"""What a request can do without, should a server not know it."""


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class FunctionPart(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class CallPart(msgspec.Struct, frozen=True):
    """A piece of a tool call: id and name come with its first piece only."""

    index: int | None = None
    id: str | None = None
    function: FunctionPart = msgspec.field(default_factory=FunctionPart)


class ReplyMessage(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct, frozen=True):
    message: ReplyMessage
    finish_reason: str | None = None


class Completion(msgspec.Struct, frozen=True):
    """A whole answer (`chat.completion`)."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """Content of several kinds, as models send it that show their thoughts beside their words."""

    type: str = "text"
    text: str | None = None


class Delta(msgspec.Struct, frozen=True):
    content: str | tuple[ContentPart, ...] | None = None
    refusal: str | None = None
    tool_calls: tuple[CallPart, ...] | None = None

    @property
    def text(self) -> str:
        """What is to be said, without NULs, which no transcript could be stored with."""
        if self.content is None or isinstance(self.content, str):
            return (self.content or "").replace("\0", "")
        return "".join(part.text or "" for part in self.content if part.type == "text").replace("\0", "")


class ChunkChoice(msgspec.Struct, frozen=True):
    delta: Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """A piece of an answer (`chat.completion.chunk`); the one with the usage has no choices. `error` comes in the middle of a stream."""

    choices: tuple[ChunkChoice, ...] | None = ()
    usage: Usage | None = None
    error: Any = None


class ErrorBody(msgspec.Struct, frozen=True):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None

    @property
    def reason(self) -> str:
        """What went wrong in a word, for a sentence may repeat the prompt."""
        words = (str(word) for word in (self.code, self.type) if word)
        return next((word for word in words if _WORD.fullmatch(word)), "no reason given")


class ErrorReply(msgspec.Struct, frozen=True):
    error: ErrorBody


chunk_of = msgspec.json.Decoder(Chunk).decode
completion_of = msgspec.json.Decoder(Completion).decode


def asked_of(request: LlmRequest, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The body of a reply that is streamed. Parameters in `without` are left out."""
    settings = request.settings
    body = body_of(with_passages(request), settings, without=without)
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if settings.provider is LlmProvider.OPENAI:
        if request.cache_key:
            body["prompt_cache_key"] = request.cache_key[:64]
        if reasons(settings.model):
            body["reasoning_effort"] = "low"  # a caller waits, and what is thought counts against max_tokens
    return {name: value for name, value in body.items() if name not in without}


def body_of(messages: Sequence[Message], settings: Llm, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The part of a body that every request has."""
    is_new = settings.provider is LlmProvider.OPENAI or reasons(settings.model) or "max_tokens" in without
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [_message(message) for message in _answered(messages)],
        "max_completion_tokens" if is_new else "max_tokens": settings.max_tokens,
    }
    if not reasons(settings.model):
        body |= {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "frequency_penalty": settings.frequency_penalty,
            "presence_penalty": settings.presence_penalty,
        }
    return {name: value for name, value in body.items() if name not in without}


def reasons(model: str) -> bool:
    """Whether a model thinks before it speaks. Gateways put the vendor before the name (`openai/gpt-5`)."""
    name = model.rpartition("/")[2]
    return name.startswith(_REASONING) and not name.startswith(_TALKING)


def with_passages(request: LlmRequest) -> tuple[Message, ...]:
    """The dialogue with what was found for its last question. It stands before that question and not with the prompt: what comes before
    it is the same in every request of a call, which a cache of prompts lives by."""
    if not request.passages:
        return request.messages
    known = Message(role=Role.SYSTEM, content="What you know that may help:\n\n" + "\n\n".join(request.passages))
    asked = [at for at, message in enumerate(request.messages) if message.role is Role.USER]
    place = asked[-1] if asked else len(request.messages)
    return (*request.messages[:place], known, *request.messages[place:])


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Structured outputs: the answer is held to the schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


JSON_OBJECT: dict[str, Any] = {"type": "json_object"}
"""The older promise, of servers that know no schemas: some JSON object."""


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as part of a prompt, for servers that are not held to it."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def used(usage: Usage) -> LlmUsed:
    """Tokens as the platform counts them: here too the prompt's include the cached ones, the completion's the reasoning."""
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
    return LlmUsed(
        input_tokens=_sane(usage.prompt_tokens),
        output_tokens=_sane(usage.completion_tokens),
        cached_tokens=_sane(cached),
    )


def _sane(tokens: int | None) -> int:
    """What a server of a tenant counts may be any number; its sum has to fit into a message."""
    return min(max(tokens or 0, 0), MAX_TOKENS)


def error_body(payload: bytes) -> ErrorBody:
    """The error in a body; an empty one for any other body."""
    try:
        return msgspec.json.decode(payload, type=ErrorReply).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorBody()


class CallParts:
    """The calls of a reply as their pieces come in, kept apart by index."""

    def __init__(self) -> None:
        self._calls: list[_Gathered] = []
        self._by_index: dict[int, _Gathered] = {}
        self._chars = 0

    def add(self, part: CallPart) -> tuple[str, str] | None:
        """Take a piece; id and name of a call that begins with it. Raises ValueError for more than a reply can need."""
        index = part.index if part.index is not None else 0
        call = self._by_index.get(index)
        if call is None or (part.id and call.id and part.id != call.id):  # some count every call as number 0
            call = self._by_index[index] = _Gathered()
            self._calls.append(call)
        call.id = call.id or part.id or ""
        call.name = call.name or part.function.name or ""
        call.arguments.append(part.function.arguments or "")
        self._chars += len(call.arguments[-1])
        if len(self._calls) > MAX_CALLS or self._chars > MAX_CALL_CHARS:
            raise ValueError("too many calls")
        if call.is_announced or not call.name:
            return None
        call.id = call.id or f"call_{len(self._calls)}"
        call.is_announced = True
        return call.id, call.name

    def whole(self, *, is_cut: bool) -> tuple[ToolCall, ...]:
        """The calls in the order they began. A function without parameters may be called with no text at all."""
        return tuple(
            ToolCall(call_id=call.id, name=call.name, arguments="".join(call.arguments) or ("" if is_cut else "{}"))
            for call in self._calls
            if call.is_announced
        )


class _Gathered:
    """A call so far."""

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []
        self.is_announced = False


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _answered(messages: Sequence[Message]) -> list[Message]:
    """The dialogue with every call answered at once and once, as the API wants it: a result may have come late, or never."""
    results = {message.tool_call_id: message for message in messages if message.role is Role.TOOL}
    ordered: list[Message] = []
    for message in messages:
        if message.role is Role.TOOL:
            continue
        ordered.append(message)
        for call in message.tool_calls:
            missing = Message(role=Role.TOOL, content=UNANSWERED, tool_call_id=call.call_id)
            ordered.append(results.get(call.call_id, missing))
    return ordered


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.tool_call_id is not None and message.role is Role.TOOL:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["content"] = message.content or None
        said["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in message.tool_calls
        ]
    return said

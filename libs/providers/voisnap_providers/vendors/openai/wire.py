"""The wire of OpenAI's chat completions: `POST {base}/chat/completions`, Bearer key, JSON or server-sent events.

Facts: OpenAI API reference, "Chat" (create, the chat completion object, the chat completion chunk object) and "Structured outputs".
Only what is sent and read here; unknown members of answers are ignored.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any

import msgspec
from voisnap_domain.agents import Llm, LlmProvider

from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LlmUsed, Message, Role

PATH = "/chat/completions"
KIND = "llm"
DONE = "[DONE]"
MAX_EVENT_CHARS = 1_000_000

_REASONING = ("o1", "o3", "o4", "gpt-5", "gpt-6")
"""Models that reason: they count hidden tokens, and refuse a temperature and its like."""


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ReplyMessage(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct, frozen=True):
    message: ReplyMessage
    finish_reason: str | None = None


class Completion(msgspec.Struct, frozen=True):
    """A whole answer (`chat.completion`)."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None


class Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class ChunkChoice(msgspec.Struct, frozen=True):
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """A piece of an answer (`chat.completion.chunk`); the one with the usage has no choices. `error` comes in the middle of a stream."""

    choices: tuple[ChunkChoice, ...] = ()
    usage: Usage | None = None
    error: Any = None


class ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class ErrorReply(msgspec.Struct, frozen=True):
    error: ErrorBody


def body_of(messages: Sequence[Message], settings: Llm, *, stream: bool) -> dict[str, Any]:
    """The request's body without a response format."""
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [
            {"role": message.role.value, "content": message.content}
            for message in messages
            if message.role is not Role.TOOL
        ],
    }
    if settings.provider is LlmProvider.OPENAI:
        body["max_completion_tokens"] = settings.max_tokens
    else:
        body["max_tokens"] = settings.max_tokens
    if not (settings.provider is LlmProvider.OPENAI and settings.model.startswith(_REASONING)):
        body |= {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "frequency_penalty": settings.frequency_penalty,
            "presence_penalty": settings.presence_penalty,
        }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Structured outputs: the answer is held to the schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}


JSON_OBJECT: dict[str, Any] = {"type": "json_object"}
"""The older promise, of servers that know no schemas: some JSON object."""


def completion_of(payload: bytes, provider: str) -> Completion:
    """The answer in a body. Raises ProviderError for anything else."""
    try:
        return msgspec.json.decode(payload, type=Completion)
    except msgspec.DecodeError as error:
        raise ProviderError(
            "The answer is no chat completion.", provider=provider, kind=KIND, retryable=True
        ) from error


async def chunks_of(lines: AsyncIterable[str], provider: str) -> AsyncGenerator[Chunk]:
    """The pieces of a stream of server-sent events, up to `[DONE]`. Raises ProviderError for an error or a stream that just ends."""
    async for line in lines:
        if not line.startswith("data:"):
            continue  # comments that keep the connection alive, and other fields
        data = line[5:].strip()
        if data == DONE:
            return
        if len(data) > MAX_EVENT_CHARS:
            raise ProviderError("An event is too long.", provider=provider, kind=KIND, retryable=False)
        try:
            chunk = msgspec.json.decode(data, type=Chunk)
        except msgspec.DecodeError as error:
            raise ProviderError("An event is no chunk.", provider=provider, kind=KIND, retryable=True) from error
        if chunk.error is not None:
            raise ProviderError("The model failed in the middle.", provider=provider, kind=KIND, retryable=True)
        yield chunk
    raise ProviderError("The stream ended too early.", provider=provider, kind=KIND, retryable=True)


def used(usage: Usage) -> LlmUsed:
    """Tokens as the platform counts them."""
    return LlmUsed(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)


def error_of(status: int, payload: bytes, provider: str) -> ProviderError:
    """What an answer that is no 200 means. The provider's text stays out: it may repeat the prompt."""
    body = error_body(payload)
    reason = body.code or body.type or "no reason given"
    if status in (401, 403):
        detail = f"{provider} refused the key ({status})."
    elif status == 404:
        detail = f"{provider} has no such model or path ({reason})."
    else:
        detail = f"{provider} answered {status} ({reason})."
    is_out_of_credit = body.code == "insufficient_quota"
    retryable = (status in (408, 409, 425, 429) or status >= 500) and not is_out_of_credit
    return ProviderError(detail[:200], provider=provider, kind=KIND, retryable=retryable)


def error_body(payload: bytes) -> ErrorBody:
    """The error in a body; an empty one for any other body."""
    try:
        return msgspec.json.decode(payload, type=ErrorReply).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorBody()


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as part of a prompt, for servers that are not held to it."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))

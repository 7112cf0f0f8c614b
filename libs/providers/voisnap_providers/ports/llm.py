"""Language models."""

from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from voisnap_domain.agents import Llm


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Something the model may call; `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCallBegun(msgspec.Struct, frozen=True, kw_only=True):
    """The model began to call a tool: its arguments are still being written. A reply may have several at once."""

    call_id: str
    name: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A whole call of a tool. `arguments` is the JSON text as the model wrote it, checked by nobody yet; `signature` is opaque state that
    the vendor wants to see again with the call's result."""

    call_id: str
    name: str
    arguments: str
    signature: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a dialogue. An assistant's may hold calls of tools; a tool's is the result of the call `tool_call_id`."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class LlmRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One reply to make. `passages` are retrieved pieces of the agent's knowledge. Requests with the same `cache_key` begin alike, so that
    a vendor may keep what it made of the beginning."""

    messages: tuple[Message, ...]
    settings: Llm
    passages: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    cache_key: str | None = None
    context: dict[str, Any] = msgspec.field(default_factory=dict)


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class EndCall(msgspec.Struct, frozen=True, kw_only=True):
    """The model wants the call to end once its reply is spoken."""


class LlmUsed(msgspec.Struct, frozen=True, kw_only=True):
    """Last item of every reply that was read to its end: tokens used. Of the input `cached_tokens` were read from the vendor's cache;
    the output includes what the model thought unheard."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


LlmDelta = TextDelta | ToolCallBegun | ToolCall | EndCall | LlmUsed


class LlmCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`structured`: it is a `StructuredModel` too. `generative`: it writes what it is asked to, at a price; the others answer callers with
    what their owner wrote, and cost nothing."""

    streaming: bool = True
    tools: bool = False
    structured: bool = False
    generative: bool = True


class StructuredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to make as JSON by a schema (JSON Schema, every object closed). `name` is what the schema is called, `[a-z_]+`."""

    messages: tuple[Message, ...]
    settings: Llm
    name: str
    schema: dict[str, Any]


class StructuredReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered: text that ought to be JSON by the schema, and the tokens used."""

    text: str
    used: LlmUsed


class LanguageModel(Protocol):
    provider: str
    capabilities: LlmCapabilities

    def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply as it is made. Closing the generator stops the model. A reply cut off by `max_tokens` is a reply.

        Raises ProviderError: not retryable for a refusal, retryable for a stream that just ends.
        """
        ...

    async def warm(self) -> None:
        """Open a connection, so that the first request need not wait for one. Never raises; harmless to call often."""
        ...

    async def aclose(self) -> None: ...


class StructuredModel(Protocol):
    """A language model that can be held to a schema."""

    provider: str

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """The whole answer. Nothing is validated here. Raises ProviderError."""
        ...

    async def aclose(self) -> None: ...

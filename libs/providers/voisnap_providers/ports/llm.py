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


class Message(msgspec.Struct, frozen=True, kw_only=True):
    role: Role
    content: str


class LlmRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One reply to make. `passages` are retrieved pieces of the agent's knowledge."""

    messages: tuple[Message, ...]
    settings: Llm
    passages: tuple[str, ...] = ()
    context: dict[str, Any] = msgspec.field(default_factory=dict)


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    text: str


class EndCall(msgspec.Struct, frozen=True, kw_only=True):
    """The model wants the call to end once its reply is spoken."""


class LlmUsed(msgspec.Struct, frozen=True, kw_only=True):
    """Last item of every reply that was read to its end: tokens used."""

    input_tokens: int
    output_tokens: int


LlmDelta = TextDelta | EndCall | LlmUsed


class LlmCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`structured`: it is a `StructuredModel` too."""

    streaming: bool = True
    tools: bool = False
    structured: bool = False


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
        """The reply as it is made. Closing the generator stops the model. Raises ProviderError."""
        ...

    async def aclose(self) -> None: ...


class StructuredModel(Protocol):
    """A language model that can be held to a schema."""

    provider: str

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """The whole answer. Nothing is validated here. Raises ProviderError."""
        ...

    async def aclose(self) -> None: ...

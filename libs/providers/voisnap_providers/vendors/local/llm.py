"""A local brain: answers from the agent's own prompt and knowledge, word for word where it can, and says so when it has nothing.

No large model is involved, so nothing is invented: every answer is a fact its owner wrote, or one of a few fixed sentences.
"""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import structlog

from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.inference import InferencePool, PoolClosedError, PoolFullError, Priority
from voisnap_providers.ports.llm import (
    EndCall,
    LlmCapabilities,
    LlmDelta,
    LlmRequest,
    LlmUsed,
    Role,
    TextDelta,
    ToolCall,
    ToolCallBegun,
)

from . import handover
from .dialogue import LocalAgent, Reply
from .embeddings import MiniLm
from .wire import PROVIDER

log = structlog.get_logger()

ANSWER_TIMEOUT_SECONDS = 10.0
CHARS_PER_TOKEN = 4


class LocalLlm:
    """The local brain behind the language-model port."""

    provider = PROVIDER
    capabilities = LlmCapabilities(streaming=True, tools=True, generative=False)

    def __init__(self, model: MiniLm, pool: InferencePool) -> None:
        self._agent = LocalAgent(model)
        self._pool = pool

    async def prepare(self, prompt: str, passages: tuple[str, ...] = ()) -> None:
        """Work out a prompt before the first question, so that the first answer is as quick as the rest. Optional."""
        await self._pool.run(lambda: self._agent.prepare(prompt, passages), Priority.BACKGROUND)

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply, a sentence at a time; `LlmUsed` estimates tokens by length."""
        reply = await self._reply(request)
        for number, sentence in enumerate(reply.sentences):
            yield TextDelta(text=f" {sentence}" if number else sentence)
        if reply.transfer:
            reason = handover.reason_of(_last_heard(request))
            arguments = msgspec.json.encode({"target": reply.transfer, "reason": reason}).decode()
            call_id = f"call_{len(request.messages)}"
            yield ToolCallBegun(call_id=call_id, name=handover.TOOL)
            yield ToolCall(call_id=call_id, name=handover.TOOL, arguments=arguments)
        if reply.stays:
            call_id = f"call_{len(request.messages)}"
            yield ToolCallBegun(call_id=call_id, name=handover.CANCEL_TOOL)
            yield ToolCall(call_id=call_id, name=handover.CANCEL_TOOL, arguments="{}")
        if reply.ends_call:
            yield EndCall()
        yield LlmUsed(
            input_tokens=sum(_tokens(message.content) for message in request.messages)
            + sum(_tokens(passage) for passage in request.passages),
            output_tokens=_tokens(reply.text),
        )

    async def warm(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing of its own to free."""

    async def _reply(self, request: LlmRequest) -> Reply:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                return await self._pool.run(lambda: self._agent.reply(request), Priority.ANSWER)
        except TimeoutError:
            raise ProviderTimeout(
                f"No answer within {ANSWER_TIMEOUT_SECONDS:g} s.", provider=PROVIDER, kind="llm"
            ) from None
        except (PoolFullError, PoolClosedError) as error:
            raise ProviderError(
                f"The local model cannot follow: {error}.", provider=PROVIDER, kind="llm", retryable=True
            ) from error


def _last_heard(request: LlmRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role is Role.USER), "")


def _tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)

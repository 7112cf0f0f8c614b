"""Claude, by Anthropic's own library."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2
import msgspec
import structlog
from anthropic import AsyncAnthropic, Omit
from voisnap_domain.agents import Llm

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.ports.llm import (
    LlmCapabilities,
    LlmDelta,
    LlmRequest,
    LlmUsed,
    Message,
    Role,
    StructuredReply,
    StructuredRequest,
    TextDelta,
    ToolCall,
    ToolCallBegun,
)
from voisnap_providers.vendors.alternation import alternation_for, alternation_of
from voisnap_providers.vendors.retry_after import seconds_of
from voisnap_providers.vendors.sdk_http import TooLong, bounded_client
from voisnap_providers.vendors.untaken import NotTakenError, Untaken

from . import wire

PROVIDER = "anthropic"
URL = "https://api.anthropic.com"
WARM_SECONDS = 5.0

_PASSING = frozenset({"overloaded_error", "api_error", "timeout_error", "rate_limit_error"})
_LASTING = frozenset(
    {"invalid_request_error", "not_found_error", "permission_error", "request_too_large", "billing_error"}
)

_log = structlog.get_logger()

logging.getLogger("anthropic").setLevel(logging.INFO)  # below that it writes keys and prompts into the log


def make(account: Account) -> "AnthropicLlm":
    """Claude by an account. Raises ProviderUnconfigured."""
    return AnthropicLlm(account.secret("api_key"), account.option("base_url", URL))


class AnthropicLlm:
    """Messages behind the ports, streamed or held to a schema. One instance serves every agent of an account."""

    provider = PROVIDER
    capabilities = LlmCapabilities(streaming=True, tools=True, structured=True)

    def __init__(self, key: str, url: str = URL) -> None:
        self._key = key
        self._url = url
        self._untaken = Untaken()
        self._http = bounded_client()
        self._client = AsyncAnthropic(api_key=key, base_url=url, max_retries=0, http_client=self._http)

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply as it is made. Closing the generator closes the response, which stops the model."""
        dialogue = alternation_for(request)

        def body(without: Set[str]) -> dict[str, Any]:
            return wire.body_of(dialogue, request.settings, tools=request.tools, cached=True, without=without)

        stream = await self._created(body, request.settings, stream=True)
        reply = _Reply(request.settings.model)
        try:
            with _translated():  # the library checks no event: a broken one fails where it is read
                async for event in stream:
                    for delta in reply.deltas_of(event):
                        yield delta
        finally:
            await stream.close()
        if not reply.is_whole:
            raise _error("The stream ended too early.", retryable=True)
        if not reply.has_spoken:
            raise _error("The model said nothing.", retryable=True)
        yield reply.used

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """An answer by a schema. What structured outputs refuse is asked for in words."""
        try:
            held = {"format": wire.output_format(request.schema)}
            return await self._completed(request.messages, request.settings, held)
        except _NoSchema:
            order = Message(role=Role.SYSTEM, content=wire.schema_order(request.schema))
            return await self._completed((*request.messages, order), request.settings, {})

    async def warm(self) -> None:
        """Open a connection."""
        try:
            await self._http.head(self._url, timeout=WARM_SECONDS)
        except httpx2.HTTPError:
            _log.info("provider.not_warmed", provider=PROVIDER)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _completed(self, messages: Sequence[Message], settings: Llm, output: dict[str, Any]) -> StructuredReply:
        dialogue = alternation_of(messages)

        def body(without: Set[str]) -> dict[str, Any]:
            made = wire.body_of(dialogue, settings, cached=False, without=without)
            output_config = {**made.get("output_config", {}), **output}
            return made | ({"output_config": output_config} if output_config else {})

        message = await self._created(body, settings, stream=False, asked_schema=bool(output))
        with _translated():
            text = "".join(block.text for block in message.content if block.type == "text")
            counted = wire.used(message.usage)
        if message.stop_reason == "refusal":
            raise _refused()
        return StructuredReply(text=text, used=counted)

    async def _created(
        self,
        body: Callable[[Set[str]], dict[str, Any]],
        settings: Llm,
        *,
        stream: bool,
        asked_schema: bool = False,
    ) -> Any:
        """The answer to a request, without the parts that its model turns out not to take."""

        async def created(without: Set[str]) -> Any:
            extras = self._extras(settings, without)
            with _translated(asked_schema=asked_schema):
                return await self._client.messages.create(**body(without), **extras, stream=stream)

        return await self._untaken.asked(settings.model, created)

    def _extras(self, settings: Llm, without: Set[str]) -> dict[str, Any]:
        """A temperature needs the older version of the API, and goes with that version's header for the key."""
        sampling = wire.sampling_of(settings, without)
        if not sampling:
            return {}
        headers = {"anthropic-version": wire.SAMPLING_VERSION, "x-api-key": self._key, "Authorization": Omit()}
        return {"extra_headers": headers, "extra_body": sampling}


class _Block(msgspec.Struct):
    """A part of a reply that is being made: a call's name and arguments, or a thought."""

    call_id: str = ""
    name: str = ""
    arguments: list[str] = msgspec.field(default_factory=list)
    thought: dict[str, Any] | None = None


class _Reply:
    """Reads the events of one reply, in order. Blocks are kept apart by their index, for several may be open."""

    def __init__(self, model: str) -> None:
        self.used = LlmUsed(input_tokens=0, output_tokens=0)
        self.is_whole = False
        self._model = model
        self._blocks: dict[int, _Block] = {}
        self._before: list[dict[str, Any]] = []
        self._after: list[dict[str, Any]] = []
        self.has_spoken = False

    def deltas_of(self, event: Any) -> Iterator[LlmDelta]:
        """What an event gives to the listener. Raises ProviderError for a refusal."""
        match event.type:
            case "message_start":
                self.used = wire.used(event.message.usage)
            case "content_block_start":
                yield from self._begun(event.index, event.content_block)
            case "content_block_delta":
                yield from self._grown(event.index, event.delta)
            case "content_block_stop":
                yield from self._ended(event.index)
            case "message_delta":
                self.used = wire.used(event.usage, self.used)
                if event.delta.stop_reason == "refusal":
                    raise _refused()
            case "message_stop":
                self.is_whole = True
            case _:
                pass  # events of tomorrow, which the vendor reserves the right to send

    def _begun(self, index: int, block: Any) -> Iterator[LlmDelta]:
        match block.type:
            case "text":
                yield from self._text(block.text)
            case "tool_use":
                self._blocks[index] = _Block(call_id=block.id, name=block.name)
                yield ToolCallBegun(call_id=block.id, name=block.name)
            case "thinking":
                thought = {"type": "thinking", "thinking": block.thinking or "", "signature": block.signature or ""}
                self._blocks[index] = _Block(thought=thought)
            case "redacted_thinking":
                self._blocks[index] = _Block(thought={"type": "redacted_thinking", "data": block.data})
            case _:
                pass

    def _grown(self, index: int, delta: Any) -> Iterator[LlmDelta]:
        block = self._blocks.get(index)
        match delta.type:
            case "text_delta":
                yield from self._text(delta.text)
            case "input_json_delta" if block is not None:
                block.arguments.append(delta.partial_json)
            case "thinking_delta" if block is not None and block.thought is not None:
                block.thought["thinking"] += delta.thinking
            case "signature_delta" if block is not None and block.thought is not None:
                block.thought["signature"] += delta.signature
            case _:
                pass

    def _ended(self, index: int) -> Iterator[LlmDelta]:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.thought is not None:
            (self._after if self.has_spoken else self._before).append(block.thought)
            return
        thoughts = wire.Thoughts(by=PROVIDER, model=self._model, before=tuple(self._before), after=tuple(self._after))
        self._before, self._after = [], []
        self.has_spoken = True
        arguments = "".join(block.arguments) or "{}"
        yield ToolCall(call_id=block.call_id, name=block.name, arguments=arguments, signature=thoughts.signature())

    def _text(self, text: str) -> Iterator[LlmDelta]:
        if text:
            self.has_spoken = self.has_spoken or not text.isspace()
            yield TextDelta(text=text)


class _NoSchema(ProviderError):
    """Structured outputs refuse this model or this schema."""

    def __init__(self) -> None:
        super().__init__("The schema was refused.", provider=PROVIDER, kind=wire.KIND, retryable=False)


@contextmanager
def _translated(*, asked_schema: bool = False) -> Iterator[None]:
    """The library's faults as ours. Its messages repeat what was sent, and are left out."""
    try:
        yield
    except anthropic.APIStatusError as error:
        raise _status_error(error, asked_schema=asked_schema) from None
    except (anthropic.APITimeoutError, httpx2.TimeoutException):
        raise ProviderTimeout("anthropic did not answer in time.", provider=PROVIDER, kind=wire.KIND) from None
    except TooLong:
        raise _error("An answer is too long.", retryable=False) from None
    except anthropic.APIConnectionError as error:
        if isinstance(error.__cause__, TooLong):
            raise _error("An answer is too long.", retryable=False) from None
        raise _error("anthropic can't be reached.", retryable=True) from None
    except (httpx2.HTTPError, httpx2.StreamError):
        raise _error("The connection to anthropic broke.", retryable=True) from None
    except (anthropic.AnthropicError, ValueError, TypeError, AttributeError, KeyError):
        raise _error("An answer of anthropic can't be read.", retryable=True) from None


def _status_error(error: anthropic.APIStatusError, *, asked_schema: bool) -> ProviderError:
    """By the type in the body, which errors in the middle of a stream (status 200) have alone; else by the status."""
    fault, status = error.type or "", error.status_code
    if fault == "authentication_error" or status == 401:
        return ProviderAuthError("anthropic refused the key.", provider=PROVIDER, kind=wire.KIND)
    part = wire.refused_part(error.api_message or "") if status == 400 else None
    if part is not None:
        return NotTakenError(part, provider=PROVIDER)
    if asked_schema and status == 400 and _is_about_schema(error.api_message or ""):
        return _NoSchema()
    retryable = fault in _PASSING or (
        fault not in _LASTING and (status in (408, 409, 429) or status >= 500 or status == 200)
    )
    reason = fault if fault in _PASSING | _LASTING else "no known reason"
    detail = f"anthropic failed: {reason} (status {status})."
    return _error(detail, retryable=retryable, retry_after=seconds_of(error.response.headers) if retryable else None)


def _is_about_schema(message: str) -> bool:
    return any(word in message for word in ("output_config", "output_format", "schema", "structured"))


def _refused() -> ProviderError:
    return _error("The model refused to answer.", retryable=False)


def _error(detail: str, *, retryable: bool, retry_after: float | None = None) -> ProviderError:
    return ProviderError(detail, provider=PROVIDER, kind=wire.KIND, retryable=retryable, retry_after=retry_after)

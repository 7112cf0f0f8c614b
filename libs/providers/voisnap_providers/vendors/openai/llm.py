"""Language models of OpenAI, and of servers that speak its chat completions."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import structlog
from voisnap_domain.agents import Llm, LlmProvider

from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.endpoint import Endpoint, foreign_endpoint
from voisnap_providers.errors import ProviderError, ProviderTimeout, ProviderUnconfigured
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
)

from . import wire

OPENAI_URL = "https://api.openai.com/v1"
MAX_REPLY_BYTES = 2_000_000
_TIMEOUT = httpx.Timeout(60.0, connect=5.0, pool=5.0)
_WARM_TIMEOUT = 5.0

_log = structlog.get_logger()


class OpenAiLlm:
    """Chat completions behind the ports, streamed or held to a schema. One instance serves every agent of an account."""

    capabilities = LlmCapabilities(streaming=True, tools=False, structured=True)

    def __init__(self, account: Account) -> None:
        self.provider = account.provider
        if self.provider == LlmProvider.OPENAI:
            account.secret()
        self._account = account
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=True)

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply as it is made. Closing the generator closes the response, which stops the model."""
        body = wire.body_of(_with_passages(request), request.settings, stream=True)
        counted: LlmUsed | None = None
        async with self._posted(request.settings, body) as response:
            async for chunk in wire.chunks_of(response.aiter_lines(), self.provider):
                for choice in chunk.choices[:1]:
                    if choice.delta.content:
                        yield TextDelta(text=choice.delta.content)
                    self._refuse(choice.delta.refusal, choice.finish_reason)
                counted = (
                    wire.used(chunk.usage) if chunk.usage else counted
                )  # some send it with every chunk: the last counts
        if counted is not None:
            yield counted

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """An answer by a schema. A server that knows no schemas is asked for a JSON object, with the schema in the prompt."""
        body = wire.body_of(request.messages, request.settings, stream=False)
        body["response_format"] = wire.response_format(request.name, request.schema)
        try:
            return await self._completed(request.settings, body)
        except _NoSchemas:
            order = Message(
                role=Role.SYSTEM,
                content=f"Answer with one JSON object by this JSON Schema: {wire.schema_text(request.schema)}",
            )
            body = wire.body_of((*request.messages, order), request.settings, stream=False)
            return await self._completed(request.settings, body | {"response_format": wire.JSON_OBJECT})

    async def warm(self) -> None:
        """Open a connection to the platform's own endpoint; an agent's own address is met with its first request."""
        if self.provider != LlmProvider.OPENAI:
            return
        try:
            await self._client.head(self._account.option("base_url", OPENAI_URL), timeout=_WARM_TIMEOUT)
        except httpx.HTTPError:
            _log.info("provider.not_warmed", provider=self.provider)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _completed(self, settings: Llm, body: dict[str, Any]) -> StructuredReply:
        async with self._posted(settings, body) as response:
            payload = await _read(response, self.provider)
        completion = wire.completion_of(payload, self.provider)
        if not completion.choices:
            raise ProviderError("The answer is empty.", provider=self.provider, kind=wire.KIND, retryable=True)
        choice = completion.choices[0]
        self._refuse(choice.message.refusal, choice.finish_reason)
        counted = wire.used(completion.usage) if completion.usage else LlmUsed(input_tokens=0, output_tokens=0)
        return StructuredReply(text=choice.message.content or "", used=counted)

    def _refuse(self, refusal: str | None, finish_reason: str | None) -> None:
        if refusal or finish_reason == "content_filter":
            raise ProviderError("The model refused to answer.", provider=self.provider, kind=wire.KIND, retryable=False)

    @asynccontextmanager
    async def _posted(self, settings: Llm, body: dict[str, Any]) -> AsyncGenerator[httpx.Response]:
        endpoint, key = await self._endpoint(settings)
        headers = {**endpoint.headers(), **({"Authorization": f"Bearer {key}"} if key else {})}
        try:
            async with self._client.stream(
                "POST", endpoint.url + wire.PATH, json=body, headers=headers, extensions=endpoint.extensions()
            ) as response:
                if response.status_code != 200:
                    payload = await _read(response, self.provider)
                    if _knows_no_schemas(response.status_code, payload, body):
                        raise _NoSchemas(self.provider)
                    raise wire.error_of(response.status_code, payload, self.provider)
                yield response
        except httpx.TimeoutException as error:
            raise ProviderTimeout(
                f"{self.provider} did not answer in time.", provider=self.provider, kind=wire.KIND
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderError(
                f"{self.provider} can't be reached.", provider=self.provider, kind=wire.KIND, retryable=True
            ) from error

    async def _endpoint(self, settings: Llm) -> tuple[Endpoint, str | None]:
        account = self._account
        if self.provider == LlmProvider.OPENAI:
            return Endpoint(url=account.option("base_url", OPENAI_URL).rstrip("/")), account.secret()
        own_url = account.option("base_url").rstrip("/")
        base_url = settings.base_url or own_url
        if not base_url:
            raise ProviderUnconfigured("The llm provider openai_compatible needs a baseUrl.")
        if base_url.rstrip("/") == own_url:
            key = account.secrets.get("api_key")
            is_ours = account.id == PLATFORM
            return Endpoint(url=own_url) if is_ours else await foreign_endpoint(own_url, self.provider), key
        return await foreign_endpoint(base_url, self.provider), None


class _NoSchemas(ProviderError):
    """The server does not know `response_format: json_schema`."""

    def __init__(self, provider: str) -> None:
        super().__init__("The server knows no schemas.", provider=provider, kind=wire.KIND, retryable=False)


def _knows_no_schemas(status: int, payload: bytes, body: Mapping[str, Any]) -> bool:
    asked = body.get("response_format")
    if status not in (400, 422) or asked is None or asked == wire.JSON_OBJECT:
        return False
    fault = wire.error_body(payload)
    return (
        "response_format" in (fault.param or "") or "response_format" in fault.message or "json_schema" in fault.message
    )


def _with_passages(request: LlmRequest) -> tuple[Message, ...]:
    if not request.passages:
        return request.messages
    known = Message(role=Role.SYSTEM, content="What you know that may help:\n\n" + "\n\n".join(request.passages))
    place = 1 if request.messages and request.messages[0].role is Role.SYSTEM else 0
    return (*request.messages[:place], known, *request.messages[place:])


async def _read(response: httpx.Response, provider: str) -> bytes:
    """The body, if it is of a sane size."""
    payload = bytearray()
    async for piece in response.aiter_bytes():
        payload += piece
        if len(payload) > MAX_REPLY_BYTES:
            raise ProviderError("The answer is too long.", provider=provider, kind=wire.KIND, retryable=False)
    return bytes(payload)


def make(account: Account) -> OpenAiLlm:
    """Chat completions for one account: of `openai`, or of `openai_compatible`, whose key goes to its own address only."""
    return OpenAiLlm(account)

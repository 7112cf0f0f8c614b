"""Language models of OpenAI, and of servers that speak its chat completions."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import msgspec
import structlog
from voisnap_domain.agents import Llm, LlmProvider

from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.endpoint import Endpoint, foreign_endpoint
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
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
    ToolCallBegun,
)
from voisnap_providers.vendors.chat_http import ChatHttp, Rejected

from . import thoughts, wire

OPENAI_URL = "https://api.openai.com/v1"
MAX_REMEMBERED = 1000
MAX_FOREIGN = 100
JUDGED_SECONDS = 30.0
ANY_NETWORK = "any"
"""What an operator sets for servers of tenants in private networks and on this machine; whatever else is set means public ones only."""
_FAILED = ("error", "abort", "insufficient_system_resource")
"""Ends of compatible servers and gateways (vLLM, OpenRouter, DeepSeek) that are none."""
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")

_log = structlog.get_logger()


class OpenAiLlm:
    """Chat completions behind the ports, streamed or held to a schema. One instance serves every agent of an account."""

    capabilities = LlmCapabilities(streaming=True, tools=True, structured=True)

    def __init__(self, account: Account) -> None:
        self.provider = account.provider
        if self.provider == LlmProvider.OPENAI:
            account.secret()
        self._account = account
        self._http = ChatHttp(self.provider)
        self._foreign: dict[str, ChatHttp] = {}
        self._judged: dict[str, tuple[float, Endpoint]] = {}
        self._unknown: dict[tuple[str | None, str], frozenset[str]] = {}

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply as it is made. Closing the generator closes the response, which stops the model."""
        reply = _Reply(self._http)
        async with (
            self._posted(request.settings, lambda without: wire.asked_of(request, without=without)) as response,
            aclosing(self._http.events(response)) as events,
        ):
            async for data in events:
                if data == wire.DONE:
                    reply.is_done = True
                    break
                for delta in reply.read(data):
                    yield delta
            for delta in reply.ended():
                yield delta
            await self._http.drain(events)

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """An answer by a schema. A server that knows no schemas is asked for a JSON object, with the schema in the prompt."""
        held = {"response_format": wire.response_format(request.name, request.schema)}
        try:
            return await self._completed(
                request.settings,
                lambda without: wire.body_of(request.messages, request.settings, without=without) | held,
            )
        except Rejected as rejected:
            if not _knows_no_schemas(rejected):
                raise self._fault_of(rejected) from None
        order = Message(
            role=Role.SYSTEM,
            content=f"Answer with one JSON object by this JSON Schema: {wire.schema_text(request.schema)}",
        )
        messages = (*request.messages, order)
        loose = {"response_format": wire.JSON_OBJECT}
        try:
            return await self._completed(
                request.settings, lambda without: wire.body_of(messages, request.settings, without=without) | loose
            )
        except Rejected as rejected:
            raise self._fault_of(rejected) from None

    async def warm(self) -> None:
        """Open a connection to the account's own endpoint; an agent's own address is met with its first request."""
        if self.provider != LlmProvider.OPENAI and not self._account.option("base_url"):
            return
        try:
            endpoint, _ = await self._endpoint(None)
        except ProviderError as error:
            _log.info("provider.not_warmed", provider=self.provider, detail=error.detail)
            return
        http = await self._http_of(endpoint)
        await http.warm(endpoint.url, endpoint.headers(), endpoint.extensions())

    async def aclose(self) -> None:
        """Close the connections."""
        for http in (self._http, *self._foreign.values()):
            await http.aclose()

    async def _completed(self, settings: Llm, body: "Body") -> StructuredReply:
        async with self._posted(settings, body, raw=True) as response:
            payload = await self._http.read(response)
        try:
            completion = wire.completion_of(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._http.fault("The answer is no chat completion.") from None
        if not completion.choices:
            raise self._http.fault("The answer is empty.")
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise self._http.fault("The model refused to answer.", retryable=False)
        counted = wire.used(completion.usage) if completion.usage else LlmUsed(input_tokens=0, output_tokens=0)
        return StructuredReply(text=thoughts.spoken(choice.message.content or ""), used=counted)

    @asynccontextmanager
    async def _posted(self, settings: Llm, body: "Body", *, raw: bool = False) -> AsyncGenerator[httpx.Response]:
        """The answer to `body`, without the parameters that this server does not take. `raw`: raises Rejected as it is.

        Remembered is what a request could do without and worked: a refusal may quote one customer's words, or mean something else by them.
        """
        endpoint, headers = await self._endpoint(settings.base_url)
        http = await self._http_of(endpoint)
        server = (settings.base_url, settings.model)
        without = known = self._unknown.get(server, frozenset())
        for _ in range(len(wire.OPTIONAL) + 2):
            asked = body(without)
            try:
                async with http.posted(endpoint.url, asked, headers, endpoint.extensions()) as response:
                    if without != known:
                        self._remember(server, without)
                    yield response
                    return
            except Rejected as rejected:
                unknown = _unknown(rejected, asked)
                if unknown is None:
                    raise rejected if raw else self._fault_of(rejected) from None
                without |= {unknown}

    def _remember(self, server: tuple[str | None, str], unknown: frozenset[str]) -> None:
        if len(self._unknown) >= MAX_REMEMBERED:
            self._unknown.clear()
        self._unknown[server] = self._unknown.get(server, frozenset()) | unknown

    async def _http_of(self, endpoint: Endpoint) -> ChatHttp:
        """The connections to use. Two servers may have one address: who was vouched for as one must not be spoken to as the other."""
        if endpoint.host is None:
            return self._http
        idle = [host for host, one in self._foreign.items() if host != endpoint.host and not one.is_busy]
        excess = len(self._foreign) + (endpoint.host not in self._foreign) - MAX_FOREIGN
        for unused in [self._foreign.pop(host) for host in idle[: max(excess, 0)]]:
            await unused.aclose()
        http = self._foreign.pop(endpoint.host, None) or ChatHttp(self.provider)
        self._foreign[endpoint.host] = http  # the one used last is the last
        return http

    def _fault_of(self, rejected: Rejected) -> ProviderError:
        body = wire.error_body(rejected.payload)
        if rejected.status == 403 and body.reason == "model_not_found":  # the key is good, for others' models
            return self._http.fault(f"{self.provider} has no such model for this account.", retryable=False)
        return self._http.fault_of(rejected, body.reason, is_final=body.reason == "insufficient_quota")

    async def _endpoint(self, base_url: str | None) -> tuple[Endpoint, dict[str, str]]:
        """Where to post, and with which headers. A key goes nowhere but where its owner said."""
        account = self._account
        if self.provider == LlmProvider.OPENAI:
            endpoint = Endpoint(url=_path_added(account.option("base_url", OPENAI_URL)))
            organization = account.option("organization")
            more = {"OpenAI-Organization": organization} if organization else {}
            return endpoint, {"Authorization": f"Bearer {account.secret()}", **more}
        own_url = account.option("base_url").rstrip("/")
        url = (base_url or own_url).rstrip("/")
        if not url:
            raise ProviderUnconfigured("The llm provider openai_compatible needs a baseUrl.")
        is_own = url == own_url
        if is_own and account.id == PLATFORM:
            endpoint = Endpoint(url=url)
        else:
            endpoint = await self._judged_endpoint(url)
        trusts = is_own or (
            account.id != PLATFORM and not own_url
        )  # a tenant's key without an address: he wrote the agent's too
        key = account.secrets.get("api_key") if trusts else None
        pinned = msgspec.structs.replace(endpoint, url=_path_added(endpoint.url))
        return pinned, {**endpoint.headers(), **_key_header(url, key)}

    async def _judged_endpoint(self, url: str) -> Endpoint:
        """Where a tenant's URL leads, for a while: what was judged is what is connected to, and a caller need not wait for names again."""
        now = asyncio.get_running_loop().time()
        known = self._judged.get(url)
        if known is not None and now < known[0]:
            return known[1]
        networks = self._account.option("networks", ANY_NETWORK)  # the operator's, whoever's account it is
        endpoint = await foreign_endpoint(url, self.provider, public_only=networks != ANY_NETWORK)
        if len(self._judged) >= MAX_REMEMBERED:
            self._judged.clear()
        self._judged[url] = (now + JUDGED_SECONDS, endpoint)
        return endpoint


Body = Callable[[frozenset[str]], dict[str, Any]]
"""A request's body without some parameters."""


class _Reply:
    """What a stream has said so far."""

    def __init__(self, http: ChatHttp) -> None:
        self.is_done = False
        self._http = http
        self._calls = wire.CallParts()
        self._words = thoughts.Spoken()
        self._finish: str | None = None
        self._used: LlmUsed | None = None
        self._has_spoken = False

    def read(self, data: bytes) -> list[LlmDelta]:
        """The deltas of an event. Raises ProviderError for a refusal, an error inside the stream, and for no event at all."""
        try:
            chunk = wire.chunk_of(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._http.fault("An event is no chunk.") from None
        if chunk.error is not None or (chunk.choices and chunk.choices[0].finish_reason in _FAILED):
            raise self._http.fault("The model failed in the middle.")
        if chunk.usage is not None:
            self._used = wire.used(chunk.usage)  # some send it with every chunk, growing: the last counts
        if not chunk.choices:
            return []
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta or wire.Delta()
        if delta.refusal or choice.finish_reason == "content_filter":
            raise self._http.fault("The model refused to answer.", retryable=False)
        deltas: list[LlmDelta] = []
        if delta.content and (text := self._words.add(delta.text)):
            self._has_spoken = self._has_spoken or not text.isspace()
            deltas.append(TextDelta(text=text))
        for part in delta.tool_calls or ():
            try:
                begun = self._calls.add(part)
            except ValueError:
                raise self._http.fault("The answer is too long.", retryable=False) from None
            if begun is not None:
                deltas.append(ToolCallBegun(call_id=begun[0], name=begun[1]))
        return deltas

    def ended(self) -> list[LlmDelta]:
        """The calls and the count. Raises ProviderError for a stream that just ended, and for a reply without anything in it."""
        if not self.is_done and self._finish is None:
            raise self._http.fault("The stream ended too early.")
        calls = self._calls.whole(is_cut=self._finish == "length")
        rest = self._words.rest()
        if not calls and not self._has_spoken and not rest.strip():
            raise self._http.fault("The model gave no answer.")
        return [*((TextDelta(text=rest),) if rest else ()), *calls, *((self._used,) if self._used else ())]


def _path_added(base_url: str) -> str:
    """The address of chat completions below a base URL, which may have a query (`?api-version=` of Azure)."""
    url = httpx.URL(base_url)
    return str(url.copy_with(path=url.path.rstrip("/") + wire.PATH))


def _key_header(base_url: str, key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    url = httpx.URL(base_url)
    if url.host.endswith(_AZURE_HOSTS) or "api-version" in url.params:
        return {"api-key": key}
    return {"Authorization": f"Bearer {key}"}


def _unknown(rejected: Rejected, asked: dict[str, Any]) -> str | None:
    """The parameter that a server says it does not take, if the request can do without it."""
    if rejected.status not in (400, 422):
        return None
    fault = wire.error_body(rejected.payload)
    said = f"{fault.param or ''} {fault.message or rejected.payload[:2000].decode(errors='replace')}"
    droppable = [name for name in asked if name in wire.OPTIONAL or name == "max_tokens"]
    named = [name for name in droppable if fault.param == name] or [name for name in droppable if name in said]
    return named[0] if named else None


def _knows_no_schemas(rejected: Rejected) -> bool:
    if rejected.status not in (400, 422):
        return False
    fault = wire.error_body(rejected.payload)
    message = fault.message or ""
    return "response_format" in (fault.param or "") or "response_format" in message or "json_schema" in message


def make(account: Account) -> OpenAiLlm:
    """Chat completions for one account: of `openai`, or of `openai_compatible`, whose key goes to its own address only."""
    return OpenAiLlm(account)

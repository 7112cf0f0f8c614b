"""Language models of Cohere."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import msgspec

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
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
from voisnap_providers.vendors.chat_http import KIND, ChatHttp, Rejected

from . import wire

COHERE_URL = "https://api.cohere.com"


class CohereLlm:
    """Cohere's chat behind the ports, streamed or held to a schema. One instance serves every agent of an account."""

    capabilities = LlmCapabilities(streaming=True, tools=True, structured=True)

    def __init__(self, account: Account) -> None:
        self.provider = account.provider
        self._url = account.option("base_url", COHERE_URL).rstrip("/")
        self._headers = {"Authorization": f"Bearer {account.secret()}", "X-Client-Name": "voisnap"}
        self._http = ChatHttp(self.provider)

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply as it is made. Closing the generator closes the response, which stops the model."""
        reply = _Reply(self._http)
        async with (
            self._posted(wire.asked_of(request)) as response,
            aclosing(self._http.events(response)) as events,
        ):
            async for data in events:
                for delta in reply.read(data):
                    yield delta
                if reply.is_done:
                    break
            for delta in reply.ended():
                yield delta
            await self._http.drain(events)

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """An answer by a schema. One that Cohere can't hold a model to goes into the prompt."""
        asked = {"stream": False, "response_format": wire.response_format(request.schema)}
        try:
            return await self._completed(wire.body_of(request.messages, request.settings) | asked, is_schemas=True)
        except Rejected:
            pass
        schema = msgspec.json.encode(request.schema).decode()
        order = Message(role=Role.SYSTEM, content=f"Answer with one JSON object by this JSON Schema: {schema}")
        asked = {"stream": False, "response_format": wire.response_format(None)}
        return await self._completed(wire.body_of((*request.messages, order), request.settings) | asked)

    async def warm(self) -> None:
        """Open a connection."""
        await self._http.warm(self._url, self._headers)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _completed(self, body: dict[str, Any], *, is_schemas: bool = False) -> StructuredReply:
        async with self._posted(body, is_schemas=is_schemas) as response:
            payload = await self._http.read(response)
        try:
            answer = wire.answer_of(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._http.fault("The answer is no chat answer.") from None
        fault = _finish_fault(self._http, answer.finish_reason)
        if fault is not None:
            raise fault
        counted = wire.used(answer.usage) if answer.usage else LlmUsed(input_tokens=0, output_tokens=0)
        return StructuredReply(text=answer.text, used=counted)

    @asynccontextmanager
    async def _posted(self, body: Mapping[str, Any], *, is_schemas: bool = False) -> AsyncGenerator[httpx.Response]:
        """The answer to a body. `is_schemas`: raises Rejected where the schema may be what was not taken."""
        try:
            async with self._http.posted(self._url + wire.PATH, body, self._headers) as response:
                yield response
        except Rejected as rejected:
            if is_schemas and rejected.status in (400, 422) and b"schema" in rejected.payload:
                raise
            raise self._fault_of(rejected) from None

    def _fault_of(self, rejected: Rejected) -> ProviderError:
        if rejected.status == wire.INVALID_TOKEN:
            return ProviderAuthError(f"{self.provider} refused the key (498).", provider=self.provider, kind=KIND)
        return self._http.fault_of(rejected, "no reason given")


class _Reply:
    """What a stream has said so far."""

    def __init__(self, http: ChatHttp) -> None:
        self.is_done = False
        self._http = http
        self._plan = ""
        self._calls: dict[int, _Gathered] = {}
        self._chars = 0
        self._used: LlmUsed | None = None
        self._has_spoken = False

    def read(self, data: bytes) -> list[LlmDelta]:
        """The deltas of an event. Raises ProviderError for an error inside the stream, and for no event at all."""
        try:
            event = wire.event_of(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._http.fault("An event is no chat event.") from None
        delta = event.delta or wire.Delta()
        message = delta.message or wire.DeltaMessage()
        match event.type:
            case "content-start" | "content-delta":
                return self._said(message)
            case "tool-plan-delta":
                self._plan += (message.tool_plan or "")[: wire.MAX_CALL_CHARS - len(self._plan)]
                return []
            case "tool-call-start" | "tool-call-delta":
                return self._called(event.index or 0, message)
            case "tool-call-end" if event.index in self._calls:
                return self._ended(event.index)
            case "message-end":
                self.is_done = True
                self._used = wire.used(delta.usage) if delta.usage else None
                fault = _finish_fault(self._http, delta.finish_reason, has_error=delta.error is not None)
                if fault is not None:
                    raise fault
                return []
            case _:
                return []

    def ended(self) -> list[LlmDelta]:
        """Calls whose end nobody told, and the count. Raises ProviderError for a stream that just ended, and for an empty reply."""
        if not self.is_done:
            raise self._http.fault("The stream ended too early.")
        calls = [delta for index in list(self._calls) for delta in self._ended(index, untold="")]
        if not calls and not self._has_spoken:
            raise self._http.fault("The model gave no answer.")
        return [*calls, *((self._used,) if self._used else ())]

    def _said(self, message: wire.DeltaMessage) -> list[LlmDelta]:
        content = message.content if isinstance(message.content, tuple) else (message.content,)
        texts = [part.text for part in content if part is not None and part.text]
        self._has_spoken = self._has_spoken or bool(texts)
        return [TextDelta(text=text) for text in texts]

    def _called(self, index: int, message: wire.DeltaMessage) -> list[LlmDelta]:
        parts = message.tool_calls if isinstance(message.tool_calls, tuple) else (message.tool_calls,)
        deltas: list[LlmDelta] = []
        for part in parts:
            if part is None:
                continue
            function = part.function or wire.Function()
            call = self._calls.get(index)
            if call is None:
                call = self._calls[index] = _Gathered(part.id or f"call_{index}", function.name or "")
                deltas.append(ToolCallBegun(call_id=call.id, name=call.name))
            call.arguments.append(function.arguments or "")
            self._chars += len(call.arguments[-1])
        if len(self._calls) > wire.MAX_CALLS or self._chars > wire.MAX_CALL_CHARS:
            raise self._http.fault("The answer is too long.", retryable=False)
        return deltas

    def _ended(self, index: int, *, untold: str = "{}") -> list[LlmDelta]:
        call = self._calls.pop(index)
        self._has_spoken = True
        signature = wire.signature_of(self._plan)
        self._plan = ""  # it goes with the first call
        arguments = "".join(call.arguments) or untold
        return [ToolCall(call_id=call.id, name=call.name, arguments=arguments, signature=signature)]


class _Gathered:
    """A call so far."""

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.arguments: list[str] = []


def _finish_fault(http: ChatHttp, reason: str | None, *, has_error: bool = False) -> ProviderError | None:
    """What is wrong with an end; a reply that was cut at its longest is all right."""
    if reason is not None and ("TOXIC" in reason or "SAFETY" in reason or "FILTER" in reason):
        return http.fault("The model refused to answer.", retryable=False)
    if has_error or reason in ("ERROR", "TIMEOUT"):
        return http.fault("The model failed in the middle.")
    return None


def make(account: Account) -> CohereLlm:
    """Cohere's chat for one account."""
    return CohereLlm(account)

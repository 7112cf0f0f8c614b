"""Gemini, by Google's own library."""

import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Set
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
import structlog
from google.genai import Client, errors, types

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.ports.llm import (
    LlmCapabilities,
    LlmDelta,
    LlmRequest,
    LlmUsed,
    StructuredReply,
    StructuredRequest,
    TextDelta,
    ToolCallBegun,
)
from voisnap_providers.vendors.alternation import alternation_for, alternation_of
from voisnap_providers.vendors.retry_after import seconds_of
from voisnap_providers.vendors.sdk_http import READ_SECONDS, TooLong, bounded_client, noting_responses, tls
from voisnap_providers.vendors.untaken import NotTakenError, Untaken

from . import wire

PROVIDER = "google"
URL = "https://generativelanguage.googleapis.com"
WARM_SECONDS = 5.0

_T = TypeVar("_T")
_MODEL = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/@-]{0,199}")
"""It becomes part of an address. What the library finds wrong with one would look like a fault of the vendor."""
_PLACEHOLDER = "-"
"""The library wants some contents; those of the body take their place."""

_log = structlog.get_logger()

logging.getLogger("google_genai").setLevel(
    logging.WARNING
)  # below that it tells of requests what is the caller's business


def make(account: Account) -> "GeminiLlm":
    """Gemini by an account. Raises ProviderUnconfigured."""
    return GeminiLlm(account.secret("api_key"), account.option("gemini_base_url", URL))


class GeminiLlm:
    """`generateContent` behind the ports, streamed or held to a schema. One instance serves every agent of an account."""

    provider = PROVIDER
    capabilities = LlmCapabilities(streaming=True, tools=True, structured=True)

    def __init__(self, key: str, url: str = URL) -> None:
        self._url = url
        self._untaken = Untaken()
        self._http = bounded_client()
        options = types.HttpOptions(
            base_url=url,
            timeout=round(READ_SECONDS * 1000),
            httpx_async_client=self._http,
            client_args={"verify": tls()},  # for clients that it makes and we never use
            async_client_args={"ssl": tls()},
        )
        self._models = Client(vertexai=False, api_key=key, http_options=options).aio.models

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply as it is made. Closing the generator closes the response, which stops the model."""
        reply = _Reply()
        responses: list[httpx2.Response] = []
        try:
            chunks, chunk = await self._begun(request, responses)
            with _translated():
                while chunk is not None:
                    for delta in reply.deltas_of(chunk):
                        yield delta
                    chunk = await anext(chunks, None)
        finally:
            for response in responses:
                await response.aclose()
        if not reply.is_whole:
            raise _error("The stream ended too early.", retryable=True)
        if not reply.has_spoken:
            raise _error("The model said nothing.", retryable=True)
        yield reply.used

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """An answer by a schema."""
        dialogue = alternation_of(request.messages)

        async def asked(without: Set[str]) -> tuple[str, _Reply]:
            body = wire.body_of(dialogue, request.settings, schema=request.schema, without=without)
            response = await self._models.generate_content(
                model=request.settings.model, contents=_PLACEHOLDER, config=_sending(body)
            )
            reply = _Reply()
            said = [delta.text for delta in reply.deltas_of(response) if isinstance(delta, TextDelta)]
            return "".join(said), reply

        text, reply = await self._taken(request.settings.model, asked)
        if not reply.is_whole:
            raise _error("The answer is empty.", retryable=True)
        return StructuredReply(text=text, used=reply.used)

    async def warm(self) -> None:
        """Open a connection."""
        try:
            await self._http.head(self._url, timeout=WARM_SECONDS)
        except httpx2.HTTPError:
            _log.info("provider.not_warmed", provider=PROVIDER)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _begun(self, request: LlmRequest, responses: list[httpx2.Response]) -> tuple[Any, Any]:
        """The chunks of a reply, and the first of them, with which the library sends the request."""
        dialogue = alternation_for(request)

        async def asked(without: Set[str]) -> tuple[Any, Any]:
            body = wire.body_of(dialogue, request.settings, tools=request.tools, without=without)
            with noting_responses(responses):
                chunks: Any = await self._models.generate_content_stream(
                    model=request.settings.model, contents=_PLACEHOLDER, config=_sending(body)
                )
                return chunks, await anext(chunks, None)

        return await self._taken(request.settings.model, asked)

    async def _taken(self, model: str, asked: Callable[[Set[str]], Awaitable[_T]]) -> _T:
        """What `asked` gives, without the parts that the model turns out not to take."""
        if _MODEL.fullmatch(model) is None:
            raise _error("google has no model of such a name.", retryable=False)

        async def translated(without: Set[str]) -> _T:
            with _translated():
                return await asked(without)

        return await self._untaken.asked(model, translated)


def _sending(body: dict[str, Any]) -> types.GenerateContentConfig:
    """Let the library send this body. Its own types for it take 20 ms to make and to turn into JSON where a call is sixty turns old."""
    return types.GenerateContentConfig(
        http_options=types.HttpOptions(extra_body=body),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
    )


class _Reply:
    """Reads the chunks of one reply, in order."""

    def __init__(self) -> None:
        self.used = LlmUsed(input_tokens=0, output_tokens=0)
        self.is_whole = False
        self.has_spoken = False
        self._unnamed = iter(lambda: f"call_{uuid4().hex}", "")

    def deltas_of(self, chunk: types.GenerateContentResponse) -> Iterator[LlmDelta]:
        """What a chunk gives to the listener. Raises ProviderError for a refusal and for an ending that is a mishap."""
        if chunk.usage_metadata is not None:
            self.used = wire.used(chunk.usage_metadata)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            raise _refused()
        for candidate in (chunk.candidates or ())[:1]:
            parts = (candidate.content.parts or ()) if candidate.content is not None else ()
            for part in parts:
                yield from self._part(part)
            if candidate.finish_reason is not None:
                self._finish(candidate.finish_reason.value)

    def _part(self, part: types.Part) -> Iterator[LlmDelta]:
        call = wire.call_of(part, self._unnamed)
        if call is not None:
            self.has_spoken = True
            yield ToolCallBegun(call_id=call.call_id, name=call.name)
            yield call
        elif part.text and not part.thought:
            self.has_spoken = self.has_spoken or not part.text.isspace()
            yield TextDelta(text=part.text)

    def _finish(self, reason: str) -> None:
        if reason in wire.MISHAPS:
            raise _error(f"The model broke off: {reason}.", retryable=True)
        if reason == "MISSING_THOUGHT_SIGNATURE":
            raise _error("The model broke off: a signature is missing.", retryable=False)
        if reason not in wire.WHOLE:
            raise _refused()
        self.is_whole = True


@contextmanager
def _translated() -> Iterator[None]:
    """The library's faults as ours. Its messages repeat what was sent and received, and are left out."""
    try:
        yield
    except errors.APIError as error:
        raise _status_error(error) from None
    except httpx2.TimeoutException:
        raise ProviderTimeout("google did not answer in time.", provider=PROVIDER, kind=wire.KIND) from None
    except TooLong:
        raise _error("An answer is too long.", retryable=False) from None
    except (httpx2.HTTPError, httpx2.StreamError):
        raise _error("google can't be reached, or the connection broke.", retryable=True) from None
    except (ValueError, TypeError, AttributeError, KeyError):
        raise _error("An answer of google can't be read.", retryable=True) from None


def _status_error(error: errors.APIError) -> ProviderError:
    """By the status: of the response, or of an error in the middle of a stream. A wrong key is a 400 with a reason of its own."""
    code = error.code or 0
    status = error.status if re.fullmatch(r"[A-Z_]{1,40}", str(error.status)) else "no known reason"
    details = _details(error)
    if code in (401, 403) or any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        return ProviderAuthError("google refused the key.", provider=PROVIDER, kind=wire.KIND)
    part = wire.refused_part(error.message or "") if code == 400 else None
    if part is not None:
        return NotTakenError(part, provider=PROVIDER)
    retryable = code in (408, 409, 429, 499) or code >= 500
    return _error(f"google failed: {status} (status {code}).", retryable=retryable, retry_after=_wait(error, details))


def _details(error: errors.APIError) -> tuple[dict[str, Any], ...]:
    body: Any = error.details
    fault = body.get("error") if isinstance(body, dict) else None
    details = fault.get("details") if isinstance(fault, dict) else None
    return tuple(detail for detail in details if isinstance(detail, dict)) if isinstance(details, list) else ()


def _wait(error: errors.APIError, details: tuple[dict[str, Any], ...]) -> float | None:
    """Seconds that the vendor asks to wait: google.rpc.RetryInfo, else the header."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return seconds_of({"retry-after": delay[:-1]})
    headers = getattr(error.response, "headers", None)
    return seconds_of(headers) if headers is not None else None


def _refused() -> ProviderError:
    return _error("The model refused to answer.", retryable=False)


def _error(detail: str, *, retryable: bool, retry_after: float | None = None) -> ProviderError:
    return ProviderError(detail, provider=PROVIDER, kind=wire.KIND, retryable=retryable, retry_after=retry_after)

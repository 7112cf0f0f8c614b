"""The HTTP client that vendors' own libraries are given: bounded in time and in size, and its responses can be closed from outside.

The libraries of Anthropic and Google speak through httpx2. Some of their calls ask for no timeout at all, none bounds what it reads, and a
stream of Google's is closed only when the garbage collector comes by.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import httpx2

MAX_EVENT_BYTES = 1_000_000
"""One server-sent event, or one answer that is no stream."""
MAX_REPLY_BYTES = 16_000_000
"""A whole stream: 4,096 tokens in events of a few hundred bytes take a tenth of it."""

READ_SECONDS = 60.0
CONNECT_SECONDS = 5.0
_TIMEOUT = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=90.0)
"""A reply holds a connection while it is made; callers think for longer than the 5 s that httpx2 keeps an idle one."""
_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")

_opened: ContextVar[list[httpx2.Response] | None] = ContextVar("opened_responses", default=None)


class TooLong(httpx2.StreamError):
    """A server sends more than any reply needs."""


class _BoundedStream(httpx2.AsyncByteStream):
    """A response's bytes, up to the bounds. Raises TooLong."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reply = event = 0
        async for chunk in self._stream:
            reply += len(chunk)
            ends = max(chunk.rfind(blank) + len(blank) if blank in chunk else -1 for blank in _BLANK_LINES)
            event = event + len(chunk) if ends < 0 else len(chunk) - ends
            if event > MAX_EVENT_BYTES or reply > MAX_REPLY_BYTES:
                raise TooLong("The answer is too long.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


@cache
def tls() -> ssl.SSLContext:
    """The trusted authorities, read once: that takes 20 ms, and every account has clients of its own."""
    return httpx2.create_ssl_context()


def bounded_client() -> httpx2.AsyncClient:
    """A client that follows no redirects (a key goes to its vendor only) and heeds the environment's proxies. Compressed answers are not
    asked for: compression holds tokens back, and its bombs would pass the bounds."""
    return httpx2.AsyncClient(
        verify=tls(),
        timeout=_TIMEOUT,
        limits=_LIMITS,
        follow_redirects=False,
        trust_env=True,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"request": [_in_time], "response": [_bounded]},
    )


@contextmanager
def noting_responses(responses: list[httpx2.Response]) -> Iterator[None]:
    """Add the responses that begin inside this block to `responses`, to be closed by whoever reads them."""
    token = _opened.set(responses)
    try:
        yield
    finally:
        _opened.reset(token)


async def _in_time(request: httpx2.Request) -> None:
    request.extensions = {**request.extensions, "timeout": _TIMEOUT.as_dict()}


async def _bounded(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream)
    responses = _opened.get()
    if responses is not None:
        responses.append(response)

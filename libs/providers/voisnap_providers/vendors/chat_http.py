"""JSON over HTTP to a language model's vendor: one pool of connections an account, bounded in time and in size, every fault a ProviderError."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import cache

import httpx
import msgspec
import structlog

from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout

from . import retry_after, sse

KIND = "llm"
MAX_REPLY_BYTES = 2_000_000
MAX_PIECES = 50_000
"""Of one answer. Each costs some 40 µs whatever it holds: a server that sends single bytes would keep the whole process busy."""
PIECES_AT_ONCE = 32
"""That many may lie in one read from a connection; then it is the others' turn."""
_TIMEOUT = httpx.Timeout(60.0, connect=5.0, pool=5.0)
_LIMITS = httpx.Limits(max_connections=500, max_keepalive_connections=100, keepalive_expiry=90.0)
"""A caller thinks and speaks for longer than the 5 s after which httpx closes an idle connection."""
_WARM_TIMEOUT = 5.0
_DRAIN_SECONDS = 0.2

_log = structlog.get_logger()


class Rejected(Exception):
    """An answer that is no 200, with what it said."""

    def __init__(self, status: int, payload: bytes, wait: float | None) -> None:
        super().__init__(str(status))
        self.status = status
        self.payload = payload
        self.wait = wait


class ChatHttp:
    """Posts to one vendor. Compressed answers are not asked for: compression holds tokens back, and its bombs would pass the bounds."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._open = 0
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT,
            limits=_LIMITS,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            verify=_authorities(),
        )

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being read."""
        return self._open > 0

    @asynccontextmanager
    async def posted(
        self,
        url: httpx.URL | str,
        body: Mapping[str, object],
        headers: Mapping[str, str],
        extensions: Mapping[str, object] | None = None,
    ) -> AsyncGenerator[httpx.Response]:
        """The answer to a request, closed on the way out. Raises Rejected, ProviderError."""
        self._open += 1
        try:
            async with self._client.stream(
                "POST",
                url,
                content=msgspec.json.encode(body),
                headers={"Content-Type": "application/json", **headers},
                extensions=dict(extensions or {}),
            ) as response:
                if response.status_code != 200:
                    wait = retry_after.seconds_of(response.headers)
                    raise Rejected(response.status_code, await self.read(response), wait)
                yield response
        except httpx.TimeoutException as error:
            raise ProviderTimeout(
                f"{self._provider} did not answer in time.", provider=self._provider, kind=KIND
            ) from error
        except httpx.ConnectError as error:
            raise self.fault(f"{self._provider} can't be reached.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.fault(f"The connection to {self._provider} broke.") from error
        finally:
            self._open -= 1

    async def events(self, response: httpx.Response) -> AsyncGenerator[bytes]:
        """The data of the events of a stream. Raises ProviderError for one that is too long, or no stream of events."""
        content_type = response.headers.get("content-type", "text/event-stream")
        if not content_type.startswith(("text/event-stream", "text/plain", "application/octet-stream")):
            await self.read(response)
            raise self.fault("The answer is no stream of events.")
        try:
            async with aclosing(self._pieces(response)) as pieces, aclosing(sse.data_of(pieces)) as events:
                async for data in events:
                    yield data
        except sse.TooLongError:
            raise self.fault("The answer is too long.", retryable=False) from None

    async def drain(self, events: AsyncGenerator[bytes]) -> None:
        """Read what follows the last event, so that the connection can be used again; a server that dawdles loses it."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in events:
                    pass
        except (TimeoutError, httpx.HTTPError, ProviderError):
            pass

    async def read(self, response: httpx.Response) -> bytes:
        """The whole body. Raises ProviderError for one of no sane size."""
        payload = bytearray()
        async with aclosing(self._pieces(response)) as pieces:
            async for piece in pieces:
                payload += piece
                if len(payload) > MAX_REPLY_BYTES:
                    raise self.fault("The answer is too long.", retryable=False)
        return bytes(payload)

    async def _pieces(self, response: httpx.Response) -> AsyncGenerator[bytes]:
        """The body as it comes. A thousand pieces may be there at once, and nothing below here waits between them: other calls go first."""
        count = 0
        async for piece in response.aiter_raw():
            count += 1
            if count > MAX_PIECES:
                raise self.fault("The answer is in too many pieces.", retryable=False)
            if count % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
            yield piece

    async def warm(
        self, url: httpx.URL | str, headers: Mapping[str, str], extensions: Mapping[str, object] | None = None
    ) -> None:
        """Open a connection to the server. Says so in the log when it can't."""
        try:
            await self._client.head(
                url, headers=dict(headers), extensions=dict(extensions or {}), timeout=_WARM_TIMEOUT
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            _log.info("provider.not_warmed", provider=self._provider)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def fault(self, detail: str, *, retryable: bool = True, wait: float | None = None) -> ProviderError:
        """A fault of this vendor."""
        return ProviderError(detail[:200], provider=self._provider, kind=KIND, retryable=retryable, retry_after=wait)

    def fault_of(self, rejected: Rejected, reason: str, *, is_final: bool = False) -> ProviderError:
        """What an answer that is no 200 means. `reason` is the vendor's code, never its text, which may repeat the prompt."""
        status = rejected.status
        if status in (401, 403):
            return ProviderAuthError(
                f"{self._provider} refused the key ({status}).", provider=self._provider, kind=KIND
            )
        if status == 404:
            return self.fault(f"{self._provider} has no such model or path ({reason}).", retryable=False)
        passes = status in (408, 409, 425, 429) or status >= 500
        return self.fault(
            f"{self._provider} answered {status} ({reason}).", retryable=passes and not is_final, wait=rejected.wait
        )


@cache
def _authorities() -> ssl.SSLContext:
    """Who may vouch for a server; reading them takes 20 ms, on the loop of every call, so it is done once."""
    return httpx.create_ssl_context()

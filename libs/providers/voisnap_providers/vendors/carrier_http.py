"""Commands to a carrier's or a messaging network's REST API: one pool of connections an account, bounded in time and in size, every fault a ProviderError."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import cache
from typing import Any, NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx
import msgspec

from voisnap_providers.errors import DialUncertain, ProviderAuthError, ProviderError, ProviderTimeout

from . import retry_after

KIND = "carrier"
MAX_REPLY_BYTES = 1_000_000
_TIMEOUT = httpx.Timeout(10.0, connect=5.0, pool=5.0)
_WHOLE_SECONDS = 15.0
"""For one command: whoever waits is on the telephone."""
FETCH_SECONDS = 240.0
"""For one whole recording: an hour of it is some 30 MB."""
MAX_REDIRECTS = 3
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=90.0)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Faults before the first byte of a request."""


class Rejected(Exception):
    """An answer of 400 to 499 that only its carrier can judge; `body` is its JSON, or nothing."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(status))
        self.status = status
        self.body = body


class CarrierHttp:
    """Asks one carrier. The address may be a server of our own that speaks its protocol. `kind` is the one of its faults; `wait_of` finds in
    the JSON of a refusal how long to wait, where its header doesn't say."""

    def __init__(
        self,
        provider: str,
        *,
        base_url: str,
        auth: httpx.Auth | tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        kind: str = KIND,
        wait_of: Callable[[Any], float | None] | None = None,
    ) -> None:
        self._provider = provider
        self._kind = kind
        self._wait_of = wait_of
        self._base_url = base_url.rstrip("/")
        self._stranger: httpx.AsyncClient | None = None
        self._client = httpx.AsyncClient(
            base_url=base_url,
            auth=auth,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})},
            timeout=_TIMEOUT,
            limits=_LIMITS,
            follow_redirects=False,
            verify=tls(),
        )

    async def asked(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        dialling: bool = False,
    ) -> Any:
        """The JSON of an answer of 200 to 299, None where it has none. Raises Rejected, ProviderError; with `dialling` DialUncertain for
        every fault after which the carrier may have done it."""
        content = None if json is None else msgspec.json.encode(json)
        kind = {} if json is None else {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(_WHOLE_SECONDS),
                self._client.stream(
                    method, path, data=form, content=content, headers={**kind, **(headers or {})}
                ) as response,
            ):
                status, wait = response.status_code, retry_after.seconds_of(response.headers)
                body = await _read(response)
        except _UNSENT as error:
            raise self.fault(f"{self._provider} can't be reached.", retryable=True) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            if dialling:
                raise DialUncertain(f"{self._provider} did not answer in time.", provider=self._provider) from error
            raise ProviderTimeout(
                f"{self._provider} did not answer in time.", provider=self._provider, kind=self._kind
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._broken("The connection broke.", dialling=dialling, cause=error)
        return self._judged(status, wait, body, dialling=dialling)

    async def streamed(
        self, url: str, *, most: int, hosts: tuple[str, ...] = (), trusted: bool = False
    ) -> AsyncGenerator[bytes]:
        """The content behind an address of the carrier, in pieces and `most` bytes in all; a path is below `base_url`. The credentials are
        shown to `base_url` alone, and where `trusted` to `hosts`: others of the carrier's, over https, and only where `base_url` is https
        itself; an ending that begins with a dot stands for all that end so. Raises ProviderError, not retryable for what is gone, elsewhere, or too long."""
        home, left = _origin(urlsplit(self._base_url)), most
        address = f"{self._base_url}{url}" if url.startswith("/") and not url.startswith("//") else url
        due = (
            asyncio.get_running_loop().time() + FETCH_SECONDS
        )  # by hand: who reads may do so in a task for every piece
        try:
            for _ in range(MAX_REDIRECTS + 1):
                parts = urlsplit(address)
                at_home = _origin(parts) == home
                is_theirs = home[0] == "https" == parts.scheme and _is_host(parts.hostname, hosts)
                if parts.username is not None or not (at_home or is_theirs):
                    raise self.fault("The recording lies outside of the carrier.", retryable=False)
                async with (self._client if at_home or trusted else self._strangers()).stream(
                    "GET", address
                ) as response:
                    if response.status_code in (301, 302, 303, 307, 308):
                        address = urljoin(address, response.headers.get("location", ""))
                        continue
                    self._check_fetched(response.status_code, at_home=at_home)
                    async for piece in response.aiter_raw(65536):
                        left -= len(piece)
                        if left < 0:
                            raise self.fault(f"The recording has more than {most} bytes.", retryable=False)
                        if asyncio.get_running_loop().time() > due:
                            raise TimeoutError
                        yield piece
                    return
        except (httpx.TimeoutException, TimeoutError) as error:
            raise ProviderTimeout(
                f"{self._provider} did not give the recording in time.", provider=self._provider, kind=self._kind
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self.fault("The recording can't be fetched.", retryable=isinstance(error, httpx.HTTPError)) from error
        raise self.fault("The recording is sent from one place to the next.", retryable=False)

    def fault(self, detail: str, *, retryable: bool, wait: float | None = None) -> ProviderError:
        """A fault of this carrier."""
        return ProviderError(
            detail[:200], provider=self._provider, kind=self._kind, retryable=retryable, retry_after=wait
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        if self._stranger is not None:
            await self._stranger.aclose()

    def _strangers(self) -> httpx.AsyncClient:
        """For hosts that are shown no credentials: what they are to be shown is in the address."""
        if self._stranger is None:
            self._stranger = httpx.AsyncClient(
                headers={"Accept-Encoding": "identity"}, timeout=_TIMEOUT, follow_redirects=False, verify=tls()
            )
        return self._stranger

    def _check_fetched(self, status: int, *, at_home: bool) -> None:
        if status in (401, 403) and at_home:
            detail = f"{self._provider} refused the credentials ({status})."
            raise ProviderAuthError(detail, provider=self._provider, kind=self._kind)
        if status in (404, 410):
            raise self.fault("The recording is not there.", retryable=False)
        if status != 200:
            raise self.fault(f"{self._provider} answered {status}.", retryable=status == 403 or status >= 429)

    def _judged(self, status: int, wait: float | None, body: bytes, *, dialling: bool) -> Any:
        if status == 401:
            detail = f"{self._provider} refused the credentials ({status})."
            raise ProviderAuthError(detail, provider=self._provider, kind=self._kind)
        if status in (425, 429) or (status in (408, 503) and not dialling):
            if wait is None and self._wait_of is not None:
                wait = self._wait_of(_json(body))
            # Too many requests are turned away before anything is done; of the others one cannot be sure.
            raise self.fault(f"{self._provider} answered {status}.", retryable=True, wait=wait)
        if 400 <= status < 500 and status != 408:
            raise Rejected(status, _json(body))
        if not 200 <= status < 300:
            self._broken(f"{self._provider} answered {status}.", dialling=dialling)
        read = _json(body)
        if body and read is None:
            self._broken(f"{self._provider} answered {status} without JSON.", dialling=dialling)
        return read

    def _broken(self, detail: str, *, dialling: bool, cause: Exception | None = None) -> NoReturn:
        if dialling:
            raise DialUncertain(detail, provider=self._provider) from cause
        raise self.fault(detail, retryable=True) from cause


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _is_host(host: str | None, hosts: tuple[str, ...]) -> bool:
    return host is not None and any(host.endswith(one) if one.startswith(".") else host == one for one in hosts)


@cache
def tls() -> ssl.SSLContext:
    """Whom to trust. One for all accounts: to read the authorities takes 25 ms."""
    return httpx.create_ssl_context()


async def _read(response: httpx.Response) -> bytes:
    """A body, cut where no sane one goes on."""
    payload = bytearray()
    async for piece in response.aiter_raw():
        payload += piece
        if len(payload) > MAX_REPLY_BYTES:
            break
    return bytes(payload)


def _json(body: bytes) -> Any:
    """What a body says; None for nothing and for nonsense."""
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None

"""Commands to a carrier's or a messaging network's REST API: one pool of connections an account, bounded in time and in size, every fault a ProviderError."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

import httpx
import msgspec

from voisnap_providers.errors import DialUncertain, ProviderAuthError, ProviderError, ProviderTimeout

from . import retry_after

KIND = "carrier"
MAX_REPLY_BYTES = 1_000_000
_TIMEOUT = httpx.Timeout(10.0, connect=5.0, pool=5.0)
_WHOLE_SECONDS = 15.0
"""For one command: whoever waits is on the telephone."""
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

    def fault(self, detail: str, *, retryable: bool, wait: float | None = None) -> ProviderError:
        """A fault of this carrier."""
        return ProviderError(
            detail[:200], provider=self._provider, kind=self._kind, retryable=retryable, retry_after=wait
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

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

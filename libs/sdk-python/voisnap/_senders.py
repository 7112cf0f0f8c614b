"""Sending calls over httpx: credentials, retries, log-ins that stay fresh. Once for blocking programs, once for asyncio."""

import asyncio
import os
import platform
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

import httpx

from ._calls import Call, may_repeat_after_break, pause, pause_before_retry
from .errors import ConfigurationError, ConnectionFailed, RequestTimeout

VERSION = "0.1.0"
PRODUCTION = "https://api.voisnap.ai"
SANDBOX = "https://sandbox.api.voisnap.ai"
TIMEOUT = 30.0
RETRIES = 3
_wait = time.sleep
_await = asyncio.sleep
_RENEW_BEFORE = 30.0
"""Seconds before its end at which an access token of a log-in is renewed."""


class Credential:
    """What goes into the Authorization header: an API key, an access token, or a log-in with its refresh token."""

    def __init__(self, token: str, *, refresh_token: str | None = None, expires_in: float | None = None) -> None:
        self.token = token
        self.refresh_token = refresh_token
        self._expires_at = None if expires_in is None else time.monotonic() + expires_in

    @property
    def is_stale(self) -> bool:
        """Whether it should be renewed before the next call."""
        return (
            self.refresh_token is not None
            and self._expires_at is not None
            and time.monotonic() > self._expires_at - _RENEW_BEFORE
        )

    def renewal(self) -> Call[Any]:
        """The call that exchanges the refresh token."""
        return Call(
            operation="auth.refresh",
            method="POST",
            path="/api/v1/auth/refresh",
            body={"refreshToken": self.refresh_token},
            answer=Any,
        )

    def renewed(self, answer: Mapping[str, Any]) -> None:
        """Take over a new pair of tokens."""
        self.token = answer["accessToken"]
        self.refresh_token = answer["refreshToken"]
        self._expires_at = time.monotonic() + float(answer["expiresIn"])

    @classmethod
    def chosen(cls, api_key: str | None, access_token: str | None, refresh_token: str | None) -> Self:
        """The credential that was given, else the key in VOISNAP_API_KEY. Raises ConfigurationError."""
        if api_key and access_token:
            raise ConfigurationError("Give an api_key or an access_token, not both.")
        if access_token:
            return cls(access_token, refresh_token=refresh_token, expires_in=0.0 if refresh_token else None)
        key = api_key or os.environ.get("VOISNAP_API_KEY", "")
        if not key:
            raise ConfigurationError("Give an api_key or an access_token, or set VOISNAP_API_KEY.")
        if not key.startswith("vsnp_"):
            raise ConfigurationError(
                "An API key starts with vsnp_live_ or vsnp_sb_; an access token goes into access_token."
            )
        return cls(key)


def base_url_of(base_url: str | None, credential: str) -> str:
    """The platform's address: the one given, else VOISNAP_BASE_URL, else the hosted platform's environment the key belongs to."""
    url = (
        base_url or os.environ.get("VOISNAP_BASE_URL") or (SANDBOX if credential.startswith("vsnp_sb_") else PRODUCTION)
    )
    url = url.rstrip("/").removesuffix("/api/v1")
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"base_url must begin with https:// (or http://): {url!r}")
    return url


def _headers(call: Call[Any], token: str | None) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "User-Agent": f"voisnap-python/{VERSION} (Python {platform.python_version()})",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers | call.all_headers()


def _failure(call: Call[Any], error: httpx.TransportError) -> ConnectionFailed:
    kind = RequestTimeout if isinstance(error, httpx.TimeoutException) else ConnectionFailed
    return kind(f"{call.method} {call.path}: {error or type(error).__name__}")


class Sender:
    """Sends calls and waits for their answers."""

    def __init__(
        self, base_url: str, credential: Credential | None, *, timeout: float, retries: int, client: httpx.Client | None
    ) -> None:
        self.base_url = base_url
        self.credential = credential
        self._retries = retries
        self._owns_client = client is None
        self._client = client or httpx.Client(timeout=timeout)
        self._renewing = threading.Lock()

    def __call__(self, call: Call[Any]) -> Any:
        """The answer. Raises VoisnapError."""
        if self.credential is not None and self.credential.is_stale:
            self._renew()
        return self._send(call, self.credential.token if self.credential else None)

    def close(self) -> None:
        """Close the connections, unless they are the program's own."""
        if self._owns_client:
            self._client.close()

    def _renew(self) -> None:
        with self._renewing:
            if self.credential is not None and self.credential.is_stale:
                self.credential.renewed(self._send(self.credential.renewal(), None))

    def _send(self, call: Call[Any], token: str | None) -> Any:
        headers, content = _headers(call, token), call.content()
        attempt = 0
        while True:
            try:
                response = self._client.request(
                    call.method, self.base_url + call.url(), params=call.parameters(), headers=headers, content=content
                )
            except httpx.TransportError as error:
                if attempt >= self._retries or not may_repeat_after_break(call, error):
                    raise _failure(call, error) from error
                delay = pause(attempt)
            else:
                again = pause_before_retry(call, response, attempt) if attempt < self._retries else None
                if again is None:
                    return call.read(response)
                delay = again
            _wait(delay)
            attempt += 1


class AsyncSender:
    """Sends calls and awaits their answers."""

    def __init__(
        self,
        base_url: str,
        credential: Credential | None,
        *,
        timeout: float,
        retries: int,
        client: httpx.AsyncClient | None,
    ) -> None:
        self.base_url = base_url
        self.credential = credential
        self._retries = retries
        self._owns_client = client is None
        self._client = client or httpx.AsyncClient(timeout=timeout)
        self._renewing = asyncio.Lock()

    async def __call__(self, call: Call[Any]) -> Any:
        """The answer. Raises VoisnapError."""
        if self.credential is not None and self.credential.is_stale:
            await self._renew()
        return await self._send(call, self.credential.token if self.credential else None)

    async def close(self) -> None:
        """Close the connections, unless they are the program's own."""
        if self._owns_client:
            await self._client.aclose()

    async def _renew(self) -> None:
        async with self._renewing:
            if self.credential is not None and self.credential.is_stale:
                self.credential.renewed(await self._send(self.credential.renewal(), None))

    async def _send(self, call: Call[Any], token: str | None) -> Any:
        headers, content = _headers(call, token), call.content()
        attempt = 0
        while True:
            try:
                response = await self._client.request(
                    call.method, self.base_url + call.url(), params=call.parameters(), headers=headers, content=content
                )
            except httpx.TransportError as error:
                if attempt >= self._retries or not may_repeat_after_break(call, error):
                    raise _failure(call, error) from error
                delay = pause(attempt)
            else:
                again = pause_before_retry(call, response, attempt) if attempt < self._retries else None
                if again is None:
                    return call.read(response)
                delay = again
            await _await(delay)
            attempt += 1

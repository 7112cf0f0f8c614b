"""Requests to a messaging network: as to a carrier, every fault a ProviderError of the kind `messaging`, and media from its own hosts alone."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx
from voisnap_domain.texting import MessageFailure

from voisnap_providers.errors import DialUncertain, MessageRefused, MessageUncertain, ProviderError, ProviderTimeout
from voisnap_providers.ports.messaging import FetchedMedia

from .carrier_http import CarrierHttp, tls

KIND = "messaging"
MAX_REDIRECTS = 3
FETCH_SECONDS = 30.0
_FETCH_TIMEOUT = httpx.Timeout(10.0, connect=5.0, pool=5.0)
_FETCH_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=4, keepalive_expiry=30.0)


class MessageHttp(CarrierHttp):
    """Asks one network. `media_hosts` are endings of host names (`.example.com`) whose media may be fetched over https beside those of
    `base_url`; the credentials are shown to `base_url` and to `trusted_hosts` among them only. A network of this machine, without https, has
    no other hosts."""

    def __init__(
        self,
        provider: str,
        *,
        base_url: str,
        auth: httpx.Auth | tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_of: Callable[[Any], float | None] | None = None,
        media_hosts: tuple[str, ...] = (),
        trusted_hosts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(provider, base_url=base_url, auth=auth, headers=headers, kind=KIND, wait_of=wait_of)
        self._home = _origin(urlsplit(base_url))
        self._base_url = base_url.rstrip("/")
        is_real = self._home[0] == "https"
        self._media_hosts = (*media_hosts, *trusted_hosts) if is_real else ()
        self._trusted_hosts = trusted_hosts if is_real else ()
        self._media = httpx.AsyncClient(
            timeout=_FETCH_TIMEOUT, limits=_FETCH_LIMITS, follow_redirects=False, verify=tls()
        )
        self._auth = httpx.BasicAuth(*auth) if isinstance(auth, tuple) else auth
        self._key_headers = dict(headers or {})

    async def sent(
        self,
        path: str,
        *,
        form: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """POSTs a message. Raises Rejected, ProviderError; MessageUncertain for every fault after which it may have been sent."""
        try:
            return await self.asked("POST", path, form=form, json=json, headers=headers, dialling=True)
        except DialUncertain as uncertain:
            raise MessageUncertain(uncertain.detail, provider=self._provider) from uncertain.__cause__

    async def fetched(self, url: str, *, most: int) -> FetchedMedia:
        """The content of an address of the network, of `most` bytes at most. A path is below `base_url`."""
        address = f"{self._base_url}{url}" if url.startswith("/") and not url.startswith("//") else url
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                for _ in range(MAX_REDIRECTS + 1):
                    found = await self._step(address, most)
                    if isinstance(found, FetchedMedia):
                        return found
                    address = urljoin(address, found)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise ProviderTimeout(
                f"{self._provider} did not give the media in time.", provider=self._provider, kind=KIND
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self.fault("The media can't be fetched.", retryable=isinstance(error, httpx.HTTPError)) from error
        raise self.refused("The media is sent from one place to the next.", MessageFailure.CONTENT)

    def refused(
        self,
        detail: str,
        failure: MessageFailure,
        *,
        code: str = "",
        retryable: bool = False,
        wait: float | None = None,
    ) -> MessageRefused:
        """Why a message is not sent, or something not fetched."""
        return MessageRefused(
            detail[:200],
            provider=self._provider,
            failure=failure,
            code=code[:40],
            retryable=retryable,
            retry_after=wait,
        )

    def judged(self, failure: MessageFailure, *, code: str, wait: float | None = None) -> ProviderError:
        """A refusal by its meaning. What the network says of it may repeat the text or the address: its code says enough."""
        return self.refused(
            f"{self._provider} refused it: {failure.value.replace('_', ' ')} (error {code[:40] or 'none'}).",
            failure,
            code=code,
            retryable=failure is MessageFailure.RATE_LIMITED,
            wait=wait,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await super().aclose()
        await self._media.aclose()

    async def _step(self, address: str, most: int) -> FetchedMedia | str:
        """The content, or where it went."""
        parts = urlsplit(address)
        at_home = _origin(parts) == self._home
        if not at_home and not (parts.scheme == "https" and _ends(parts.hostname, self._media_hosts)):
            raise self.refused("The media lies outside of the network.", MessageFailure.CONTENT)
        is_trusted = at_home or _ends(parts.hostname, self._trusted_hosts)
        request = self._media.build_request("GET", address, headers=self._shown(is_trusted))
        response = await self._media.send(request, stream=True, auth=self._auth if is_trusted else None)
        try:
            if response.status_code in (301, 302, 303, 307, 308):
                return response.headers.get("location", "")
            if response.status_code in (404, 410):
                raise self.refused("The media is not there any more.", MessageFailure.EXPIRED)
            if response.status_code != 200:
                raise self.fault(
                    f"The media's host answered {response.status_code}.", retryable=response.status_code >= 429
                )
            content = bytearray()
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > most:
                    raise self.refused(f"The media has more than {most} bytes.", MessageFailure.CONTENT)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return FetchedMedia(content=bytes(content), content_type=kind)
        finally:
            await response.aclose()

    def _shown(self, is_trusted: bool) -> dict[str, str]:
        return {"Accept-Encoding": "identity", **(self._key_headers if is_trusted else {})}


def sendable(text: str) -> str:
    """A text as every network takes it: half a character, which no UTF-8 has, becomes a question mark, and a zero nothing."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _ends(host: str | None, endings: tuple[str, ...]) -> bool:
    return host is not None and any(host == ending.lstrip(".") or host.endswith(ending) for ending in endings)

"""Where a request goes. An address that a tenant wrote may lead to no place inside the platform's own network: its host is resolved once,
judged, and that very address is connected to."""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
from voisnap_domain.endpoints import Address, endpoint_fault, is_forbidden, is_public

from .errors import ProviderError

LOOKUP_SECONDS = 4.0
_KIND = "llm"
_LOOKUPS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="tenants-names")
"""A server of names that a tenant chose may take half a minute. The threads it holds are none of those that look up everybody else's names."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A base URL to connect to; `host` and `sni` are what the server is called where the URL has its address instead."""

    url: str
    host: str | None = None
    sni: str | None = None

    def headers(self) -> dict[str, str]:
        """The Host of the request."""
        return {"Host": self.host} if self.host else {}

    def extensions(self) -> dict[str, str]:
        """The name that the certificate must have."""
        return {"sni_hostname": self.sni} if self.sni else {}


async def foreign_endpoint(base_url: str, provider: str, *, public_only: bool = False) -> Endpoint:
    """The endpoint that a tenant's URL leads to; with `public_only` none of this machine or of a private network. Raises ProviderError for
    one that may not be called."""
    if endpoint_fault(base_url) is not None:
        raise _refused(provider)
    url = httpx.URL(base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await looked_up(url.host, port)
    except OSError as error:  # TimeoutError is one
        raise ProviderError(
            "The host of the baseUrl is not known.", provider=provider, kind=_KIND, retryable=True
        ) from error
    addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    if not addresses or not all(_is_allowed(address, url.scheme, public_only) for address in addresses):
        raise _refused(provider)
    chosen = addresses[0]
    pinned = url.copy_with(host=str(chosen))
    return Endpoint(url=str(pinned).rstrip("/"), host=url.netloc.decode("ascii"), sni=url.host)


async def looked_up(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().run_in_executor(
        _LOOKUPS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return [str(entry[4][0]) for entry in found]


def _is_allowed(address: Address, scheme: str, public_only: bool) -> bool:
    """A name may lead elsewhere than its spelling says: what the rules of agents refuse by spelling is refused here by address."""
    if public_only and not is_public(address):
        return False
    return not is_forbidden(address) and (scheme == "https" or address.is_loopback)


def _refused(provider: str) -> ProviderError:
    return ProviderError("The baseUrl may not be called.", provider=provider, kind=_KIND, retryable=False)

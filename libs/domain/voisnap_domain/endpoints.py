"""Addresses that customers name and we call: which of them are refused before anybody looks them up.

`https` to any host, `http` to this machine only. Addresses of the link and of cloud metadata services are refused in every spelling that
resolvers understand. A name may still resolve to such an address: whoever connects checks again.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

MAX_URL_CHARS = 2000

_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254"), ip_address("192.0.0.192")})
_NAT64 = ip_network("64:ff9b::/96")
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*\.?"
)
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)")
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}")
_PLAIN = re.compile(r"[\x21-\x7e]+")

Address = IPv4Address | IPv6Address


def endpoint_fault(url: str, *, placeholders: bool = False) -> str | None:
    """Why a URL can't be called; None when it can. `placeholders`: `{{name}}` may stand in path and query, not in the host."""
    if len(url) > MAX_URL_CHARS:
        return f"must have at most {MAX_URL_CHARS} characters"
    plain = _PLACEHOLDER.sub("x", url) if placeholders else url
    if not _PLAIN.fullmatch(plain):
        return "must be an absolute URL without spaces"
    try:
        parts = urlsplit(plain)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "must be an absolute URL"
    if parts.scheme not in {"https", "http"} or not host:
        return "must be an absolute https URL"
    if placeholders and "{{" in url.split("/", 3)[2]:
        return "must not have a placeholder in its host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user name or a password"
    if parts.fragment:
        return "must not have a fragment"
    return _host_fault(host, is_plain_http=parts.scheme == "http")


def origin_fault(origin: str) -> str | None:
    """Why a text is no origin of web pages (`https://shop.example.com`, `http://localhost:3000`); None when it is one."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "must be an origin such as https://shop.example.com"
    written = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port is not None else ''}"
    known = _HOST.fullmatch(host) or (":" in host and _address(host) is not None)
    if parts.scheme not in {"https", "http"} or not known or written != origin:
        return "must be an origin such as https://shop.example.com"
    if parts.scheme == "http" and not is_loopback(host):
        return "must be an https origin"
    return None


def is_forbidden(address: Address) -> bool:
    """Whether nothing that a customer names may be at this address: the link's own, metadata services, groups, none at all."""
    address = _inner(address)
    if address.is_loopback:  # which counts as reserved among IPv6 addresses
        return False
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or address in _METADATA_ADDRESSES
    )


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet: neither this machine's, nor one of a private network."""
    return _inner(address).is_global and not is_forbidden(address)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and _inner(address).is_loopback


def _host_fault(host: str, *, is_plain_http: bool) -> str | None:
    address = _address(host)
    if address is None:
        if not _HOST.fullmatch(host) or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return "must name a host or an IP address"
        if host.rstrip(".") in _METADATA_HOSTS:
            return "must not name a metadata service"
    elif is_forbidden(address):
        return "must not name an address of the link or of a metadata service"
    if is_plain_http and not is_loopback(host):
        return "must be an https URL; http is for this machine only"
    return None


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, NAT64), or itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address

"""WebSockets to vendors: opened within bounds, and every way they fail said as a `ProviderError`."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.vendors import retry_after

MAX_MESSAGE_BYTES = 1 << 20
MAX_WAITING_MESSAGES = 256
PING_SECONDS = 10.0
"""A connection whose other end is gone without a word is found out within two of these."""
CLOSE_SECONDS = 2.0

_SECRETIVE = logging.getLogger("voisnap.sockets")
_SECRETIVE.setLevel(logging.WARNING)  # the library would log the headers of the opening, the key among them
_CODE = re.compile(r"\b[A-Z]{3,8}-\d{4}\b")
"""A vendor's own code in a close reason, like NET-0001."""


def socket_address(base_url: str) -> str:
    """`https://host` as `wss://host`, without a slash at its end; `http` becomes `ws`."""
    base = base_url.rstrip("/")
    return f"ws{base.removeprefix('http')}" if base.startswith("http") else base


async def open_socket(url: str, headers: Mapping[str, str], *, provider: str) -> ClientConnection:
    """An open socket. Raises `ProviderAuthError` for a refused key, `ProviderError` for everything else; times out by the caller's clock."""
    try:
        return await connect(
            url,
            additional_headers=dict(headers),
            logger=_SECRETIVE,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_WAITING_MESSAGES,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=CLOSE_SECONDS,
            open_timeout=None,
            proxy=None if _is_loopback(url) else True,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise ProviderAuthError(f"It refused the key ({status}).", provider=provider, kind="stt") from None
        raise ProviderError(
            f"It refused the connection ({status}).",
            provider=provider,
            kind="stt",
            retryable=status >= 500 or status in {408, 429},
            retry_after=retry_after.seconds_of(error.response.headers),
        ) from None
    except InvalidURI:
        raise ProviderError("Its address is no URL.", provider=provider, kind="stt", retryable=False) from None
    except (OSError, EOFError, InvalidHandshake, WebSocketException) as error:
        raise ProviderError(
            f"No connection: {type(error).__name__}.", provider=provider, kind="stt", retryable=True
        ) from None


async def sent(sending: Awaitable[None], *, provider: str) -> None:
    """Wait until a message is handed over. Raises `ProviderError` on a closed socket."""
    try:
        await sending
    except ConnectionClosed as error:
        raise closed(error, provider=provider) from None


def ended_well(error: ConnectionClosed) -> bool:
    """Whether the other side closed as one closes when everything is said."""
    return error.rcvd is not None and error.rcvd.code == 1000


def close_code(error: ConnectionClosed) -> int:
    """The other side's code; 1006 when it went without one."""
    return error.rcvd.code if error.rcvd is not None else 1006


def closed(error: ConnectionClosed, *, provider: str, retryable: bool = True) -> ProviderError:
    """A socket that was closed, by its code and by the vendor's own, never by its prose."""
    named = _CODE.search(error.rcvd.reason) if error.rcvd is not None else None
    detail = f"It closed the connection ({close_code(error)}{', ' + named[0] if named else ''})."
    return ProviderError(detail, provider=provider, kind="stt", retryable=retryable)


async def close(socket: ClientConnection, last: str | None = None) -> None:
    """Say a last message, if there is one, and close; a socket that is closed already is no error."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            if last is not None:
                await socket.send(last)
            await socket.close()
    except (ConnectionClosed, TimeoutError, OSError):
        return


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

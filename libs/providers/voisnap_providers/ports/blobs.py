"""Object storage: recordings, documents, exports."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    size_bytes: int


class Blobs(Protocol):
    """Keys are `/`-separated, without leading slash or `..`; anything else raises ValueError."""

    async def put(self, key: str, data: bytes) -> None:
        """Store whole, atomically; replaces."""
        ...

    async def put_stream(self, key: str, parts: AsyncIterator[bytes]) -> int:
        """Store a stream without holding it in memory; returns its size. Nothing is visible unless it ends well."""
        ...

    async def get(self, key: str) -> bytes:
        """The whole object. Raises BlobNotFound."""
        ...

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes [start, end) in pieces. Raises BlobNotFound."""
        ...

    async def head(self, key: str) -> BlobInfo | None: ...

    async def list(self, prefix: str) -> tuple[BlobInfo, ...]:
        """Objects under a prefix, by key."""
        ...

    async def delete(self, keys: tuple[str, ...]) -> None:
        """Delete; missing keys are no error."""
        ...

    def signed_url(self, key: str, *, expires_in: int, content_type: str, filename: str) -> str | None:
        """A pre-signed absolute URL valid for `expires_in` seconds where the store can sign by itself, else None (the API then signs its own route)."""
        ...


class BlobNotFound(Exception):
    """No object has this key."""

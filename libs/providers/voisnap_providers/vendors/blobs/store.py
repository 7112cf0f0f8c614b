"""The blobs port over obstore, which speaks to local folders, S3 and memory alike."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, S3Store

from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.blobs import BlobInfo, BlobNotFound

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CALL_TIMEOUT_SECONDS = 30.0
PART_BYTES = 8 * 1024 * 1024
READ_BYTES = 256 * 1024
MAX_DELETE = 1000
MAX_KEY_CHARS = 900

_KEY = re.compile(r"[^/\x00-\x1f\\]+(?:/[^/\x00-\x1f\\]+)*")

Store = LocalStore | MemoryStore | S3Store


def blobs_from_url(url: str) -> "ObjectBlobs":
    """Blobs by address: `file:///var/lib/voisnap/blobs`, `s3://bucket/prefix?region=eu-central-1&endpoint=https://…`, `memory://`.

    S3 credentials come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` or the machine's role). Raises `ValueError`.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            folder = Path(unquote(parts.path))
            if parts.netloc or not folder.is_absolute():
                raise ValueError(f"BLOBS_URL wants an absolute path: file:///path, not {url}")
            folder.mkdir(parents=True, exist_ok=True)
            return ObjectBlobs(LocalStore(folder, automatic_cleanup=True), can_sign=False)
        case "memory":
            return ObjectBlobs(MemoryStore(), can_sign=False)
        case "s3":
            return ObjectBlobs(_s3(parts.netloc, parts.path.strip("/"), dict(parse_qsl(parts.query))), can_sign=True)
        case _:
            raise ValueError(f"BLOBS_URL has an unknown scheme: {parts.scheme or url}")


class ObjectBlobs:
    """Objects in one store. `provider` names it in errors."""

    provider = "blobs"

    def __init__(self, store: Store, *, can_sign: bool, part_bytes: int = PART_BYTES) -> None:
        self._store = store
        self._can_sign = can_sign
        self._part_bytes = part_bytes

    async def put(self, key: str, data: bytes) -> None:
        """Store whole. Readers see the old object or the new one, never a part."""
        require_key(key)
        await self._call(obstore.put_async(self._store, key, data), key)

    async def put_stream(self, key: str, parts: AsyncIterator[bytes]) -> int:
        """Store as it comes, at most a few parts in memory. When `parts` raises, nothing is stored and the error goes on."""
        require_key(key)
        size = 0
        try:
            async with obstore.open_writer_async(self._store, key, buffer_size=self._part_bytes) as writer:
                async for part in parts:
                    size += len(part)
                    async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                        await writer.write(part)
        except BaseError as error:
            raise self._translated(error, key) from error
        except TimeoutError as error:
            raise _timeout(key) from error
        return size

    async def get(self, key: str) -> bytes:
        """The whole object."""
        require_key(key)
        result = await self._call(obstore.get_async(self._store, key), key)
        return bytes(await self._call(result.bytes_async(), key))

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """Bytes [start, end); an end beyond the object means its end, an empty range gives nothing."""
        require_key(key)
        info = await self.head(key)
        if info is None:
            raise BlobNotFound(key)
        last = info.size_bytes if end is None else min(end, info.size_bytes)
        if start < 0 or start >= last:
            return
        options: Any = {"range": (start, last)}
        result = await self._call(obstore.get_async(self._store, key, options=options), key)
        try:
            async for piece in result.stream(min_chunk_size=READ_BYTES):
                yield bytes(piece)
        except BaseError as error:
            raise self._translated(error, key) from error

    async def head(self, key: str) -> BlobInfo | None:
        """Size of an object, None when there is none."""
        require_key(key)
        try:
            meta = await self._call(obstore.head_async(self._store, key), key)
        except BlobNotFound:
            return None
        return BlobInfo(key=key, size_bytes=int(meta["size"]))

    async def list(self, prefix: str) -> tuple[BlobInfo, ...]:
        """Objects whose key begins with `prefix` (a folder, with or without its slash), by key."""
        folder = prefix.strip("/")
        if folder:
            require_key(folder)
        found: list[BlobInfo] = []
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                async for batch in obstore.list(self._store, folder or None):
                    found.extend(BlobInfo(key=str(meta["path"]), size_bytes=int(meta["size"])) for meta in batch)
        except BaseError as error:
            raise self._translated(error, prefix) from error
        except TimeoutError as error:
            raise _timeout(prefix) from error
        return tuple(sorted(found, key=lambda info: info.key))

    async def delete(self, keys: tuple[str, ...]) -> None:
        """Delete; missing keys are no error."""
        for key in keys:
            require_key(key)
        for begin in range(0, len(keys), MAX_DELETE):
            for key in keys[begin : begin + MAX_DELETE]:
                try:
                    await self._call(obstore.delete_async(self._store, key), key)
                except BlobNotFound:
                    continue

    def signed_url(self, key: str, *, expires_in: int, content_type: str, filename: str) -> str | None:
        """A pre-signed URL (S3), else None: the API then signs its own route."""
        require_key(key)
        if not self._can_sign:
            return None
        return obstore.sign(cast(S3Store, self._store), "GET", key, timedelta(seconds=expires_in))

    async def _call(self, awaitable: Any, key: str) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                return await awaitable
        except TimeoutError as error:
            raise _timeout(key) from error
        except (BaseError, FileNotFoundError) as error:
            raise self._translated(error, key) from error

    def _translated(self, error: Exception, key: str) -> Exception:
        if isinstance(error, NotFoundError | FileNotFoundError):
            return BlobNotFound(key)
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        detail = "refused the credentials" if denied else "failed"
        return ProviderError(
            f"Object storage {detail}: {error}", provider=self.provider, kind="blobs", retryable=not denied
        )


def require_key(key: str) -> None:
    """Raises `ValueError` unless the key is `/`-separated names without `.` and `..`."""
    if len(key) > MAX_KEY_CHARS or not _KEY.fullmatch(key) or any(part in {".", ".."} for part in key.split("/")):
        raise ValueError(f"not an object key: {quote(key[:100])}")


def _s3(bucket: str, prefix: str, options: dict[str, str]) -> S3Store:
    config: dict[str, Any] = {"region": options.get("region") or os.environ.get("AWS_REGION", "us-east-1")}
    client: ClientConfig = {"timeout": f"{CALL_TIMEOUT_SECONDS:g} seconds", "connect_timeout": "5 seconds"}
    if endpoint := options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL"):
        config["endpoint"] = endpoint
        config["virtual_hosted_style_request"] = False
        client["allow_http"] = endpoint.startswith("http://")
    return S3Store(bucket, prefix=prefix or None, client_options=client, **config)


def _timeout(key: str) -> ProviderTimeout:
    return ProviderTimeout(f"Object storage took too long for {key}.", provider="blobs", kind="blobs")

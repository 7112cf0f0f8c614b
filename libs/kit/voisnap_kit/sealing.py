"""Secrets at rest: envelope encryption. Each secret has a data key of its own, and a key service wraps the data keys.

What is sealed opens only in the context it was sealed in (tenant, environment, what and which): a row that was copied elsewhere opens
nothing. AES-256-GCM (NIST SP 800-38D) throughout.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from voisnap_domain.errors import Conflict

from .failures import SetUpFault

VARIABLE = "VOISNAP_SEALING_KEYS"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class CannotOpen(Conflict):
    """Something sealed does not open: another key, another context, or damage. Tells nothing of what was in it."""

    code = "sealed-unreadable"


class WrappedKey(msgspec.Struct, frozen=True, array_like=True):
    """A data key as a key service returns it, and the id of the key that wrapped it."""

    key_id: str
    wrapped: bytes


class KeyService(Protocol):
    """Keeps the keys that wrap data keys; those never leave it. Called on the event loop: an adapter to a service across the network
    answers from what it fetched before."""

    @property
    def current(self) -> str:
        """The id of the key that wraps now."""
        ...

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        """A data key, wrapped for one context."""
        ...

    def unwrap(self, key: WrappedKey, context: bytes) -> bytes:
        """The data key again. Raises CannotOpen."""
        ...


class Keyring:
    """A key service of keys from the environment. The first one wraps, all of them unwrap."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Keys as `id:base64` of 32 bytes each, separated by commas. Raises SetUpFault, which shows no key."""
        keys: dict[str, bytes] = {}
        problems: list[str] = []
        for number, part in enumerate((part.strip() for part in text.split(",") if part.strip()), start=1):
            key_id, _, encoded = part.partition(":")
            key = _decoded(encoded.strip())
            if not _KEY_ID.fullmatch(key_id) or key is None:
                problems.append(f"{VARIABLE}: key {number} is not id:base64 of {_KEY_BYTES} bytes")
            elif key_id in keys:
                problems.append(f"{VARIABLE}: key {number} has the id of another one")
            else:
                keys[key_id] = key
        if not keys and not problems:
            problems.append(f"{VARIABLE}: names no key")
        if problems:
            raise SetUpFault(*problems)
        return cls(keys)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._ciphers)})"

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        """A data key under the first key."""
        return WrappedKey(self.current, _encrypted(self._ciphers[self.current], data_key, context))

    def unwrap(self, key: WrappedKey, context: bytes) -> bytes:
        """The data key again. Raises CannotOpen for a key that is not on the ring."""
        cipher = self._ciphers.get(key.key_id)
        if cipher is None:
            raise CannotOpen("The key it was sealed with is not here.")
        return _decrypted(cipher, key.wrapped, context)


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What `seal` makes, as MessagePack."""

    version: int
    key: WrappedKey
    content: bytes


def seal(keys: KeyService, content: bytes, *, context: tuple[str, ...]) -> bytes:
    """The content under a new data key, to be opened in the same context only."""
    bound = _bound(context)
    data_key = secrets.token_bytes(_KEY_BYTES)
    envelope = _Envelope(1, keys.wrap(data_key, bound), _encrypted(AESGCM(data_key), content, bound))
    return msgspec.msgpack.encode(envelope)


def unseal(keys: KeyService, sealed: bytes, *, context: tuple[str, ...]) -> bytes:
    """The content again. Raises CannotOpen."""
    envelope, bound = _parsed(sealed), _bound(context)
    return _decrypted(_cipher(keys.unwrap(envelope.key, bound)), envelope.content, bound)


def opener(keys: KeyService | None) -> Callable[[bytes, tuple[str, ...]], bytes] | None:
    """`unseal` with these keys, for who is to open things without holding the keys; None where there are none."""
    if keys is None:
        return None
    return lambda sealed, context: unseal(keys, sealed, context=context)


def rewrapped(keys: KeyService, sealed: bytes, *, context: tuple[str, ...]) -> bytes:
    """The same content with its data key under the current key; the content itself is not opened. Raises CannotOpen."""
    envelope, bound = _parsed(sealed), _bound(context)
    key = keys.wrap(keys.unwrap(envelope.key, bound), bound)
    return msgspec.msgpack.encode(msgspec.structs.replace(envelope, key=key))


def sealed_with(sealed: bytes) -> str:
    """The id of the key that something was sealed with. Raises CannotOpen for what was never sealed."""
    return _parsed(sealed).key.key_id


def new_key() -> bytes:
    """A key for a ring."""
    return secrets.token_bytes(_KEY_BYTES)


def _bound(context: tuple[str, ...]) -> bytes:
    """The context as bytes, in which no two contexts look alike."""
    return msgspec.json.encode(context)


def _parsed(sealed: bytes) -> _Envelope:
    try:
        envelope = msgspec.msgpack.decode(sealed, type=_Envelope)
    except (msgspec.MsgspecError, ValueError):
        raise CannotOpen("This was never sealed, or is damaged.") from None
    if envelope.version != 1:
        raise CannotOpen("This was sealed by a later version.")
    return envelope


def _cipher(data_key: bytes) -> AESGCM:
    try:
        return AESGCM(data_key)
    except ValueError:
        raise CannotOpen("The data key is damaged.") from None


def _encrypted(cipher: AESGCM, content: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, context)


def _decrypted(cipher: AESGCM, content: bytes, context: bytes) -> bytes:
    try:
        return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise CannotOpen("It was sealed with another key or for something else, or is damaged.") from None


def _decoded(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None

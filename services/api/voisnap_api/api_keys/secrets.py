"""API keys as text: `vsnp_live_` or `vsnp_sb_`, 32 random characters (more than 160 bits) and a checksum of six.

The checksum finds typing errors and made-up keys without a look into the database. Only the hash of a key is kept.
"""

import hashlib
import secrets
import zlib

from voisnap_domain.errors import Unauthenticated
from voisnap_domain.tenants import Environment

PREFIXES: dict[Environment, str] = {Environment.LIVE: "vsnp_live_", Environment.SANDBOX: "vsnp_sb_"}

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_RANDOM = 32
_CHECK = 6
SHOWN = 6
"""Random characters that stay visible in lists."""


def generate(environment: Environment) -> str:
    """A new key; shown to its owner once."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    text = PREFIXES[environment] + random
    return text + _checksum(text)


def environment_of(key: str) -> Environment:
    """The environment a well-formed key belongs to. Raises Unauthenticated for any other text, saying what is wrong."""
    for environment, prefix in PREFIXES.items():
        if key.startswith(prefix):
            body = key[:-_CHECK]
            if len(key) != len(prefix) + _RANDOM + _CHECK or not secrets.compare_digest(key[-_CHECK:], _checksum(body)):
                raise Unauthenticated("This API key is mistyped or incomplete.", code="invalid-api-key")
            return environment
    raise Unauthenticated(
        "An API key starts with vsnp_live_ (production) or vsnp_sb_ (sandbox).", code="invalid-api-key"
    )


def hash_of(key: str) -> bytes:
    """What is stored instead of the key. The key is random, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).digest()


def shown(key: str) -> str:
    """The beginning of the key, for lists: prefix and a few characters."""
    prefix = PREFIXES[environment_of(key)]
    return key[: len(prefix) + SHOWN]


def _checksum(text: str) -> str:
    value = zlib.crc32(text.encode())
    digits = []
    for _ in range(_CHECK):
        value, digit = divmod(value, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)

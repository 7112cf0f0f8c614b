"""What a call was answered with opens its media socket: it is kept sealed."""

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class TokenSeal:
    """Seals the one-time tokens of calls for as long as their carriers may ask again; each opens for its own call alone."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"carrier-call:" + secret).digest())

    def sealed(self, token: str, *, call: tuple[str, str, str]) -> bytes:
        """The token, for the call (provider, account, id)."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, token.encode(), _context(call))

    def opened(self, sealed: bytes, *, call: tuple[str, str, str]) -> str | None:
        """The token; None where the secret has changed since, or the call is another one."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(call)).decode()
        except (InvalidTag, ValueError):
            return None


def _context(call: tuple[str, str, str]) -> bytes:
    return "\0".join(call).encode()

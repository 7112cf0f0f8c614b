"""JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), and the key set (RFC 7517) that verifies them without a call.

The audience is the platform itself; the `env`, `scope`, `agent` and `sid` claims narrow what a token may do.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from voisnap_domain.errors import Unauthenticated

from . import log
from .backoff import Backoff
from .extras import without

with without("pygments", "rich"):  # for its command line: 45 ms
    import httpx

_log = log.get(__name__)

ISSUER = "voisnap"
_ALGORITHM = "EdDSA"
_LEEWAY = 10
"""Seconds by which the clocks of two machines may differ."""


class InvalidToken(Unauthenticated):
    """The token is malformed, expired, not ours, or signed by an unknown key. The text is safe to show."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token says. `sub` is a user id, `tid` a tenant id; `agent` and `sid` bind a hub token to an agent or a session."""

    sub: str
    tid: str
    env: str
    role: str
    scope: str
    iat: int
    exp: int
    jti: str
    iss: str = ISSUER
    agent: str | None = None
    sid: str | None = None
    origin: str | None = None
    pa: bool = False

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(self.scope.split())


Keys = dict[str, Ed25519PublicKey]
"""Key id → public key."""


class TokenSigner:
    """Signs tokens with one private key; its `kid` is the key's thumbprint (RFC 7638).

    `others` (private or public keys, PEM) are published too: former ones while their tokens live, the next one before it signs, so that
    whoever verifies knows it in time.
    """

    def __init__(self, private_key_pem: bytes, others: tuple[bytes, ...] = ()) -> None:
        key = serialization.load_pem_private_key(private_key_pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the JWT key is not an Ed25519 private key")
        self._key = key
        self._jwk = _public_jwk(key.public_key())
        self.kid: str = self._jwk["kid"]
        self._published = {self.kid: key.public_key()}
        for pem in others:
            other = _public_key(pem)
            self._published.setdefault(_public_jwk(other)["kid"], other)

    @classmethod
    def generate(cls) -> Self:
        """A signer with a new key, for tests and first starts."""
        return cls(generate_private_key())

    def sign(
        self,
        *,
        subject: str,
        tenant_id: str,
        environment: str,
        role: str,
        scopes: frozenset[str],
        now: datetime,
        lifetime: timedelta,
        token_id: str,
        agent: str | None = None,
        session_id: str | None = None,
        origin: str | None = None,
        platform_admin: bool = False,
    ) -> str:
        """A signed token that expires `lifetime` after `now`."""
        claims = Claims(
            sub=subject,
            tid=tenant_id,
            env=environment,
            role=role,
            scope=" ".join(sorted(scopes)),
            iat=int(now.timestamp()),
            exp=int((now + lifetime).timestamp()),
            jti=token_id,
            agent=agent,
            sid=session_id,
            origin=origin,
            pa=platform_admin,
        )
        payload = msgspec.to_builtins(claims) | {"iss": ISSUER}
        return jwt.encode(payload, self._key, algorithm=_ALGORITHM, headers={"kid": self.kid})

    def jwks(self) -> dict[str, Any]:
        """The key set document to publish at `/.well-known/jwks.json`."""
        return {"keys": [_public_jwk(key) for key in self._published.values()]}

    def keys(self) -> Keys:
        """The published keys, for verifying in the same process."""
        return dict(self._published)


def generate_private_key() -> bytes:
    """A new Ed25519 private key as PKCS#8 PEM."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_id_of(token: str) -> str:
    """The `kid` in a token's header. Raises InvalidToken."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise InvalidToken("The access token is malformed.") from None
    if not isinstance(kid, str):
        raise InvalidToken("The access token names no key.")
    return kid


def verify(token: str, keys: Keys, *, now: datetime | None = None) -> Claims:
    """The claims of a token whose signature, issuer and times are right. Raises InvalidToken."""
    key = keys.get(key_id_of(token))
    if key is None:
        raise InvalidToken("The access token is signed by an unknown key.")
    try:
        payload = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=ISSUER,
            options={
                "require": ["exp", "iat", "sub", "iss", "jti"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_aud": False,
            },
        )
        claims = msgspec.convert(payload, Claims)
    except (jwt.PyJWTError, msgspec.ValidationError):
        raise InvalidToken("The access token is not valid.") from None
    seconds = (now or datetime.now(UTC)).timestamp()
    if claims.exp + _LEEWAY <= seconds:
        raise InvalidToken("The access token has expired.")
    if claims.iat - _LEEWAY > seconds:
        raise InvalidToken("The access token is not valid yet.")
    return claims


def parse_jwks(document: dict[str, Any]) -> Keys:
    """The Ed25519 keys of a key set document; others are skipped."""
    keys: Keys = {}
    for jwk in document.get("keys", ()):
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519" and isinstance(jwk.get("kid"), str):
            keys[jwk["kid"]] = Ed25519PublicKey.from_public_bytes(_from_base64url(jwk["x"]))
    return keys


class JwksClient:
    """Verifies tokens against a published key set: fetched once, cached, fetched again for an unknown key at most every 10 s.

    Keys once fetched stay in use while the publisher is away.
    """

    REFETCH_SECONDS = 10.0
    RETRY_SECONDS = 0.5
    """The pause while no key is known at all."""

    def __init__(self, url: str, *, http: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: Keys = {}
        self._fetched_at: float | None = None
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, url: str, *, patience: float = 30.0) -> Self:
        """Fetch the key set, with backoff for up to `patience` seconds; if the publisher is still away, tokens are refused until it answers."""
        client = cls(url, http=httpx.AsyncClient(timeout=3.0))
        backoff = Backoff(first=0.05, cap=2.0)
        deadline = client._clock() + patience
        while not await client.refresh():
            delay = backoff.next()
            if client._clock() + delay > deadline:
                _log.error("jwks.unavailable", url=url)
                break
            await asyncio.sleep(delay)
        return client

    async def verify(self, token: str, *, now: datetime | None = None) -> Claims:
        """The token's claims. Raises InvalidToken."""
        if key_id_of(token) not in self._keys:
            await self._refresh_if_due()
        return verify(token, self._keys, now=now)

    async def refresh(self) -> bool:
        """Fetch now; False when the publisher did not answer with a key set."""
        self._fetched_at = self._clock()
        try:
            response = await self._http.get(self._url)
            response.raise_for_status()
            keys = parse_jwks(msgspec.json.decode(response.content))
        except (httpx.HTTPError, msgspec.DecodeError, ValueError, KeyError, AttributeError) as error:
            _log.warning("jwks.fetch_failed", url=self._url, error=repr(error))
            return False
        self._keys = keys
        return bool(keys)

    async def check(self) -> None:
        """A readiness check: raise while no key is known."""
        if not self._keys:
            await self._refresh_if_due()
        if not self._keys:
            raise RuntimeError("no verification key yet")

    async def close(self) -> None:
        await self._http.aclose()

    async def _refresh_if_due(self) -> None:
        pause = self.REFETCH_SECONDS if self._keys else self.RETRY_SECONDS
        async with self._lock:
            if self._fetched_at is None or self._clock() - self._fetched_at >= pause:
                await self.refresh()


def _public_key(pem: bytes) -> Ed25519PublicKey:
    """The public half of a private or public key. Raises ValueError."""
    if b"PRIVATE KEY" in pem:
        private = serialization.load_pem_private_key(pem, password=None)
        key = private.public_key() if isinstance(private, Ed25519PrivateKey) else None
    else:
        key = serialization.load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return key


def _public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    x = _base64url(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": _base64url(thumbprint), "use": "sig", "alg": _ALGORITHM}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

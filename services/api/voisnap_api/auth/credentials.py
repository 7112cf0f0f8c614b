"""From an Authorization header to a caller: API keys and access tokens."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from voisnap_domain.errors import Unauthenticated
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment, TenantStatus
from voisnap_kit.ids import made_at
from voisnap_kit.postgres import Database
from voisnap_kit.tokens import InvalidToken, Keys, verify
from voisnap_kit.work import Caller, Clock, utc_now

from voisnap_api.api_keys import secrets
from voisnap_api.api_keys.records import ApiKey
from voisnap_api.api_keys.usecases import find_key, note_uses
from voisnap_api.tenants.usecases import find_tenant

from .revocations import revoked_until
from .scopes import scopes_of_key

REMEMBERED_SECONDS = 5.0
"""How long a verified credential is trusted without another look; a revocation takes effect within that time."""

_MOST_REMEMBERED = 10_000


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what a hub token is bound to. `rate_key` names the credential to the rate limits; `expires_at` is a token's end."""

    caller: Caller
    rate_key: str
    expires_at: datetime | None = None
    agent: str | None = None
    session_id: str | None = None


class Credentials:
    """Resolves credentials; remembers verified ones for a few seconds. The uses of keys are noted by `flush_uses`, many at once."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._monotonic = monotonic
        self._remembered: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()
        self._revocations: OrderedDict[str, tuple[int | None, float]] = OrderedDict()
        self._uses: dict[str, datetime] = {}

    async def identify(self, authorization: str | None) -> Identity:
        """The caller behind the header `Authorization: Bearer …`. Raises Unauthenticated, saying what is wrong."""
        scheme, _, credential = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise Unauthenticated("Send an API key or an access token as Authorization: Bearer …")
        credential = credential.strip()
        if credential.startswith("vsnp_"):
            return await self._by_key(credential)
        return await self._by_token(credential)

    async def flush_uses(self) -> int:
        """Write down when keys were last used; how many."""
        uses, self._uses = self._uses, {}
        if uses:
            try:
                async with self._database.transaction_as_system() as tx:
                    await note_uses(tx, uses)
            except Exception:
                self._uses = {**uses, **self._uses}
                raise
        return len(uses)

    async def _by_key(self, text: str) -> Identity:
        environment = secrets.environment_of(text)
        key = await self._key(secrets.hash_of(text))
        now = self._clock()
        if key is None or key.environment is not environment or not key.is_good(at=now):
            raise Unauthenticated("This API key is unknown, revoked or expired.", code="invalid-api-key")
        self._uses[key.id] = now
        caller = Caller(
            tenant_id=key.tenant_id,
            environment=key.environment,
            key_id=key.id,
            role="ApiKey",
            scopes=scopes_of_key(frozenset(key.scopes)),
        )
        return Identity(caller=caller, rate_key=key.id)

    async def _key(self, key_hash: bytes) -> ApiKey | None:
        remembered = self._remembered.get(key_hash)
        if remembered is not None and self._monotonic() < remembered[1]:
            return remembered[0]
        async with self._database.transaction_as_system() as tx:
            key = await find_key(tx, key_hash)
            tenant = None if key is None else await find_tenant(tx, key.tenant_id)
        if tenant is not None and tenant.status is TenantStatus.DELETED:
            key = None
        if key is None:
            self._remembered.pop(key_hash, None)
            return None
        self._remembered[key_hash] = (key, self._monotonic() + REMEMBERED_SECONDS)
        self._remembered.move_to_end(key_hash)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return key

    async def _revoked_until(self, tenant_id: str, subject: str) -> int | None:
        """Tokens of this person or key that were made before this moment (Unix milliseconds) are no good; remembered for a few seconds."""
        remembered = self._revocations.get(subject)
        if remembered is not None and self._monotonic() < remembered[1]:
            return remembered[0]
        async with self._database.transaction_as_system() as tx:
            moment = await revoked_until(tx, TenantId(tenant_id), subject)
        until = None if moment is None else int(moment.timestamp() * 1000)
        self._revocations[subject] = (until, self._monotonic() + REMEMBERED_SECONDS)
        self._revocations.move_to_end(subject)
        while len(self._revocations) > _MOST_REMEMBERED:
            self._revocations.popitem(last=False)
        return until

    async def _by_token(self, token: str) -> Identity:
        try:
            claims = verify(token, self._keys, now=self._clock())
            environment = Environment(claims.env)
        except (InvalidToken, ValueError) as error:
            raise Unauthenticated(str(error), code="invalid-token") from None
        subject = claims.sub.partition(":")[0]
        is_user = subject.startswith("usr_")
        revoked_until = await self._revoked_until(claims.tid, subject)
        if revoked_until is not None and made_at(claims.jti) < revoked_until:
            raise Unauthenticated("This access token was revoked: log in again, or refresh it.", code="token-revoked")
        caller = Caller(
            tenant_id=TenantId(claims.tid),
            environment=environment,
            user_id=UserId(claims.sub) if is_user else None,
            key_id=None if is_user else claims.sub,
            role=claims.role,
            scopes=claims.scopes,
            platform_admin=claims.pa,
        )
        return Identity(
            caller=caller,
            rate_key=claims.sub,
            expires_at=datetime.fromtimestamp(claims.exp, UTC),
            agent=claims.agent,
            session_id=claims.sid,
        )


def check_environment(identity: Identity, wanted: Environment | None) -> None:
    """Refuse a credential of the other environment. Raises Unauthenticated that says which environment it belongs to."""
    has = identity.caller.environment
    if wanted is not None and has is not wanted:
        raise Unauthenticated(
            f"This credential belongs to the {has.value} environment and can't be used in {wanted.value}.",
            code="wrong-environment",
        )

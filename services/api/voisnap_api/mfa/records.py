"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment


class Method(StrEnum):
    """How somebody proves a second time who they are."""

    TOTP = "totp"
    WEBAUTHN = "webauthn"
    RECOVERY_CODE = "recovery_code"


class TotpSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The secret an authenticator app shares with us, sealed. Before `confirmed_at` it opens nothing."""

    user_id: UserId
    tenant_id: TenantId
    sealed: bytes
    created_at: datetime
    confirmed_at: datetime | None = None
    last_step: int = 0


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of an authenticator (W3C WebAuthn level 2 §4, "credential record")."""

    id: str
    credential_id: bytes
    tenant_id: TenantId
    user_id: UserId
    rp_id: str
    name: str
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None = None


class ChallengePurpose(StrEnum):
    """`LOGIN` stands between a right password and the tokens, `ENROLMENT` between the options of a new passkey and its key."""

    LOGIN = "login"
    ENROLMENT = "enrolment"


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was begun and waits for its proof; known by the hash of its token."""

    token_hash: bytes
    purpose: ChallengePurpose
    tenant_id: TenantId
    user_id: UserId
    login_env: Environment
    challenge: bytes | None
    rp_id: str | None
    attempts: int
    expires_at: datetime


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has enrolled."""

    totp_since: datetime | None
    passkeys: tuple[Passkey, ...]
    recovery_codes_left: int

    @property
    def any(self) -> bool:
        """Whether a log-in asks for a second factor."""
        return self.totp_since is not None or bool(self.passkeys)

    @property
    def methods(self) -> tuple[Method, ...]:
        """How the person may prove who they are."""
        found = []
        if self.totp_since is not None:
            found.append(Method.TOTP)
        if self.passkeys:
            found.append(Method.WEBAUTHN)
        if self.recovery_codes_left:
            found.append(Method.RECOVERY_CODE)
        return tuple(found)

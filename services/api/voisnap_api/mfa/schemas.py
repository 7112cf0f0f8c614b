"""Second factors on the wire."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from voisnap_api.wire import Body, View, instant

from .records import Factors, Method, Passkey

Password = Annotated[str, Meta(max_length=1024)]
Code = Annotated[str, Meta(max_length=64)]
Token = Annotated[str, Meta(max_length=200)]


class PasswordBody(Body, frozen=True, kw_only=True):
    """The password once more, because this changes how the account is protected."""

    password: Password


class TotpView(View, frozen=True, kw_only=True):
    """A new secret, shown once: as text, as the address that authenticator apps read, and as a QR code of it (an SVG picture)."""

    secret: str
    otpauth_uri: str
    qr_code_svg: str


class CodeBody(Body, frozen=True, kw_only=True):
    """The code that the app shows."""

    code: Code


class RecoveryCodesView(View, frozen=True, kw_only=True):
    """Codes that replace the second factor, each once. Shown this once; empty when there are some already."""

    recovery_codes: tuple[str, ...]


class PasskeyOptionsView(View, frozen=True, kw_only=True):
    """What to hand to `navigator.credentials.create`, and the token to send back with its answer."""

    enrolment_token: str
    public_key: dict[str, Any]


class PasskeyBody(Body, frozen=True, kw_only=True):
    """The answer of `navigator.credentials.create`, as `toJSON()` gives it."""

    enrolment_token: Token
    name: Annotated[str, Meta(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    credential: dict[str, Any]


class PasskeyView(View, frozen=True, kw_only=True):
    """A passkey."""

    id: str
    name: str
    host_name: str
    created_at: str
    last_used_at: str | None

    @classmethod
    def of(cls, passkey: Passkey) -> "PasskeyView":
        return cls(
            id=passkey.id,
            name=passkey.name,
            host_name=passkey.rp_id,
            created_at=instant(passkey.created_at),
            last_used_at=instant(passkey.last_used_at) if passkey.last_used_at else None,
        )


class NewPasskeyView(View, frozen=True, kw_only=True):
    """A passkey that was just added; recovery codes come with the first factor."""

    passkey: PasskeyView
    recovery_codes: tuple[str, ...]


class FactorsView(View, frozen=True, kw_only=True):
    """How the log-in of the person who asks is protected."""

    enabled: bool
    totp_enabled: bool
    totp_since: str | None
    passkeys: tuple[PasskeyView, ...]
    recovery_codes_left: int

    @classmethod
    def of(cls, factors: Factors) -> "FactorsView":
        return cls(
            enabled=factors.any,
            totp_enabled=factors.totp_since is not None,
            totp_since=instant(factors.totp_since) if factors.totp_since else None,
            passkeys=tuple(PasskeyView.of(passkey) for passkey in factors.passkeys),
            recovery_codes_left=factors.recovery_codes_left,
        )


class MfaTokenBody(Body, frozen=True, kw_only=True):
    """The token of a log-in whose password was right."""

    mfa_token: Token


class AssertionOptionsView(View, frozen=True, kw_only=True):
    """What to hand to `navigator.credentials.get`."""

    public_key: dict[str, Any]


class VerifyBody(Body, frozen=True, kw_only=True):
    """The second factor: `code` for an app or a recovery code, `credential` for a passkey (the answer of `navigator.credentials.get`)."""

    mfa_token: Token
    method: Method = Method.TOTP
    code: Code = ""
    credential: dict[str, Any] = {}


class MfaRequiredView(View, frozen=True, kw_only=True):
    """The password was right, and a second factor is needed: `POST /auth/mfa/verify` with this token, within five minutes."""

    mfa_required: Literal[True]
    mfa_token: str
    methods: tuple[Method, ...]

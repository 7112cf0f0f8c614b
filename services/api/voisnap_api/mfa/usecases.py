"""Enrolling second factors, and asking for them at log-in.

The proof at log-in is judged in work that always commits: a wrong one has to be counted, and only then refused.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from voisnap_domain.errors import Conflict, FieldError, Invalid, NotFound, Unauthenticated
from voisnap_domain.ids import UserId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import UniqueViolated
from voisnap_kit.work import Work

from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.mail import texts
from voisnap_api.mail.texts import Pages
from voisnap_api.mail.usecases import post_mail
from voisnap_api.users import usecases as users
from voisnap_api.users.records import User, UserStatus

from . import passkeys, store, totp
from .passkeys import Site
from .records import Challenge, ChallengePurpose, Factors, Method, Passkey, TotpSecret

CHALLENGE_LIFETIME = timedelta(minutes=5)
MOST_ATTEMPTS = 5
"""Wrong proofs before a log-in has to begin again with the password."""

MOST_PASSKEYS = 10
RECOVERY_CODES = 10
_CODE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_CODE_LENGTH = 10
_NONCE = 12


class Vault:
    """Seals the secrets of authenticator apps, each for its owner."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hashlib.sha256(b"totp:" + key).digest())

    def seal(self, secret: bytes, user_id: UserId) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, user_id.encode())

    def open(self, sealed: bytes, user_id: UserId) -> bytes:
        """The secret. Raises Conflict `mfa-unreadable` when it was sealed with another key."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], user_id.encode())
        except InvalidTag:
            raise Conflict(
                "The authenticator app was set up under another key of this installation; use a recovery code.",
                code="mfa-unreadable",
            ) from None


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody offers as second factor: a code, or the answer of an authenticator."""

    method: Method
    code: str = ""
    credential: dict[str, Any] = {}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Who offered a proof for which log-in, and whether it was right."""

    user: User
    environment: Environment
    is_right: bool


async def factors_of(work: Work, user: User) -> Factors:
    """What a person has enrolled."""
    secret = await store.totp_for_change(work.tx, user.tenant_id, user.id)
    return Factors(
        totp_since=secret.confirmed_at if secret else None,
        passkeys=tuple(await store.passkeys_of(work.tx, user.tenant_id, user.id)),
        recovery_codes_left=await store.count_recovery_codes(work.tx, user.tenant_id, user.id),
    )


# Enrolment: the password of the person who asks was checked.


async def begin_totp(work: Work, vault: Vault, user: User) -> bytes:
    """A new secret for an authenticator app, which opens nothing before it is confirmed. Raises Conflict `totp-enabled`."""
    known = await store.totp_for_change(work.tx, user.tenant_id, user.id)
    if known is not None and known.confirmed_at is not None:
        raise Conflict("An authenticator app is set up already; remove it first.", code="totp-enabled")
    secret = secrets.token_bytes(totp.SECRET_BYTES)
    await store.put_totp(
        work.tx,
        TotpSecret(user_id=user.id, tenant_id=user.tenant_id, sealed=vault.seal(secret, user.id), created_at=work.now),
    )
    return secret


async def confirm_totp(work: Work, vault: Vault, pages: Pages, user: User, code: str) -> tuple[str, ...]:
    """Switch the app on with its first code; recovery codes if these are the first. Raises Conflict `totp-not-begun`, Invalid."""
    known = await store.totp_for_change(work.tx, user.tenant_id, user.id)
    if known is None:
        raise Conflict("Begin with a new secret first.", code="totp-not-begun")
    if known.confirmed_at is not None:
        raise Conflict("The authenticator app is set up already.", code="totp-enabled")
    step = totp.matching_step(vault.open(known.sealed, user.id), _tidy(code), now=work.now, after=known.last_step)
    if step is None:
        raise _wrong_code()
    await store.use_totp(work.tx, user.tenant_id, user.id, step=step, at=work.now)
    return await _enrolled(work, pages, user, "An authenticator app was added to your Voisnap account.", Method.TOTP)


async def remove_totp(work: Work, pages: Pages, user: User) -> None:
    """Take the authenticator app away."""
    await store.delete_totp(work.tx, user.tenant_id, user.id)
    await _removed(work, pages, user, "The authenticator app of your Voisnap account was removed.", Method.TOTP)


async def begin_passkey(work: Work, site: Site, user: User, environment: Environment) -> tuple[str, dict[str, Any]]:
    """What to ask an authenticator for a new key, and the token that names the question. Raises Conflict."""
    known = tuple(await store.passkeys_of(work.tx, user.tenant_id, user.id))
    if len(known) >= MOST_PASSKEYS:
        raise Conflict(f"There are {MOST_PASSKEYS} passkeys already; remove one first.", code="too-many-passkeys")
    challenge = secrets.token_bytes(32)
    options = passkeys.creation_options(
        site,
        challenge=challenge,
        user_handle=hashlib.sha256(user.id.encode()).digest(),
        account=user.email,
        name=f"{user.first_name} {user.last_name}".strip(),
        known=known,
    )
    token = await _challenge(work, ChallengePurpose.ENROLMENT, user, environment, challenge=challenge, rp_id=site.rp_id)
    return token, options


async def add_passkey(
    work: Work, site: Site, pages: Pages, user: User, *, token: str, name: str, credential: dict[str, Any]
) -> tuple[Passkey, tuple[str, ...]]:
    """The new key, and recovery codes if it is the first factor. Raises Conflict, Invalid."""
    asked = await store.challenge_for_change(work.tx, _hash(token))
    if (
        asked is None
        or asked.purpose is not ChallengePurpose.ENROLMENT
        or asked.user_id != user.id
        or asked.expires_at <= work.now
        or asked.challenge is None
    ):
        raise Conflict("This was begun too long ago, or not at all. Begin again.", code="enrolment-ended")
    verified = None
    if asked.rp_id == site.rp_id:
        verified = passkeys.verify_creation(site, credential, challenge=asked.challenge)
    if verified is None:
        detail = "This is not the answer of an authenticator to what was asked."
        raise Invalid((FieldError(pointer="/credential", code="invalid", detail=detail),))
    passkey = Passkey(
        id=work.new_id("pky"),
        credential_id=verified.credential_id,
        tenant_id=user.tenant_id,
        user_id=user.id,
        rp_id=site.rp_id,
        name=name.strip() or "Passkey",
        public_key=verified.public_key,
        sign_count=verified.sign_count,
        transports=verified.transports,
        created_at=work.now,
    )
    try:
        async with work.tx.savepoint():
            await store.insert_passkey(work.tx, passkey)
    except UniqueViolated as error:
        raise Conflict("This passkey is known already.", code="passkey-known") from error
    await store.delete_challenge(work.tx, asked.token_hash)
    codes = await _enrolled(
        work, pages, user, f"The passkey “{passkey.name}” was added to your Voisnap account.", Method.WEBAUTHN
    )
    return passkey, codes


async def remove_passkey(work: Work, pages: Pages, user: User, passkey_id: str) -> None:
    """Take one passkey away. Raises NotFound."""
    if not await store.delete_passkey(work.tx, user.tenant_id, user.id, passkey_id):
        raise NotFound("passkey", passkey_id)
    await _removed(work, pages, user, "A passkey of your Voisnap account was removed.", Method.WEBAUTHN)


async def renew_recovery_codes(work: Work, user: User) -> tuple[str, ...]:
    """New recovery codes; the old ones are no good any more. Raises Conflict `mfa-not-enabled`."""
    if not (await factors_of(work, user)).any:
        raise Conflict(
            "Recovery codes come with an authenticator app or a passkey; set one up first.", code="mfa-not-enabled"
        )
    await audit.note(work, action="user.recovery_codes_renewed", target=Target(type="user", id=user.id))
    return await _new_recovery_codes(work, user)


async def reset_factors(work: Work, pages: Pages, user: User) -> None:
    """Take all factors away, for somebody who lost them; an administrator vouches."""
    await store.delete_totp(work.tx, user.tenant_id, user.id)
    await store.delete_passkeys(work.tx, user.tenant_id, user.id)
    await _removed(work, pages, user, "An administrator reset the second factor of your Voisnap account.", None)


# Log-in


async def begin_log_in(work: Work, user: User, environment: Environment) -> tuple[str, tuple[Method, ...]]:
    """The token that stands for a log-in whose password was right, and how it may be completed. The work runs as the system."""
    factors = await factors_of(work, user)
    return await _challenge(work, ChallengePurpose.LOGIN, user, environment), factors.methods


async def ask_passkey(work: Work, site: Site, token: str) -> dict[str, Any]:
    """What to ask an authenticator for a log-in. Raises Unauthenticated, Conflict `no-passkey`."""
    asked = await _log_in_behind(work, token)
    rp_id = site.rp_id
    known = await store.passkeys_of(work.tx, asked.tenant_id, asked.user_id)
    usable = tuple(passkey for passkey in known if passkey.rp_id == rp_id)
    if not usable:
        raise Conflict(f"There is no passkey for {rp_id}.", code="no-passkey")
    challenge = secrets.token_bytes(32)
    await store.ask_passkey(work.tx, asked.token_hash, challenge=challenge, rp_id=rp_id)
    return passkeys.request_options(site, challenge=challenge, known=usable)


async def user_behind(work: Work, token: str) -> User:
    """Whose log-in a token stands for. Raises Unauthenticated."""
    asked = await _log_in_behind(work, token)
    return await _user(work, asked)


async def judge(work: Work, vault: Vault, site: Site, token: str, proof: Proof) -> Judged:
    """Judge a proof. A right one uses the token up, a wrong one is counted; the caller commits, then refuses.

    Raises Unauthenticated when the token stands for no log-in any more.
    """
    asked = await _log_in_behind(work, token)
    user = await _user(work, asked)
    is_right = await _is_right(work, vault, site, asked, proof)
    if is_right or asked.attempts + 1 >= MOST_ATTEMPTS:
        await store.delete_challenge(work.tx, asked.token_hash)
    else:
        await store.count_attempt(work.tx, asked.token_hash)
    return Judged(user=user, environment=asked.login_env, is_right=is_right)


async def _is_right(work: Work, vault: Vault, site: Site, asked: Challenge, proof: Proof) -> bool:
    match proof.method:
        case Method.TOTP:
            return await _is_right_code(work, vault, asked, proof.code)
        case Method.RECOVERY_CODE:
            code_hash = _hash(_tidy(proof.code).lower())
            return await store.use_recovery_code(work.tx, asked.tenant_id, asked.user_id, code_hash, at=work.now)
        case Method.WEBAUTHN:
            return await _is_right_signature(work, site, asked, proof.credential)


async def _is_right_code(work: Work, vault: Vault, asked: Challenge, code: str) -> bool:
    known = await store.totp_for_change(work.tx, asked.tenant_id, asked.user_id)
    if known is None or known.confirmed_at is None:
        return False
    secret = vault.open(known.sealed, asked.user_id)
    step = totp.matching_step(secret, _tidy(code), now=work.now, after=known.last_step)
    if step is None:
        return False
    await store.use_totp(work.tx, asked.tenant_id, asked.user_id, step=step, at=work.now)
    return True


async def _is_right_signature(work: Work, site: Site, asked: Challenge, credential: dict[str, Any]) -> bool:
    credential_id = passkeys.credential_id_of(credential)
    if asked.challenge is None or credential_id is None:
        return False
    known = await store.passkeys_of(work.tx, asked.tenant_id, asked.user_id)
    passkey = next(
        (one for one in known if one.credential_id == credential_id and one.rp_id == asked.rp_id == site.rp_id), None
    )
    if passkey is None:
        return False
    count = passkeys.verify_assertion(site, credential, passkey, challenge=asked.challenge)
    if count is None:
        return False
    await store.use_passkey(work.tx, asked.tenant_id, passkey.id, sign_count=count, at=work.now)
    return True


async def _log_in_behind(work: Work, token: str) -> Challenge:
    asked = await store.challenge_for_change(work.tx, _hash(token))
    if asked is None or asked.purpose is not ChallengePurpose.LOGIN or asked.expires_at <= work.now:
        raise Unauthenticated(
            "This log-in took too long or had too many wrong codes. Begin again with the password.",
            code="invalid-mfa-token",
        )
    return asked


async def _user(work: Work, asked: Challenge) -> User:
    user = await users.find_user(work, asked.tenant_id, asked.user_id)
    if user is None or user.status != UserStatus.ACTIVE:
        raise Unauthenticated("This account is not active.", code="invalid-mfa-token")
    return user


async def _challenge(
    work: Work,
    purpose: ChallengePurpose,
    user: User,
    environment: Environment,
    *,
    challenge: bytes | None = None,
    rp_id: str | None = None,
) -> str:
    token = f"mfa_{secrets.token_urlsafe(32)}"
    await store.insert_challenge(
        work.tx,
        Challenge(
            token_hash=_hash(token),
            purpose=purpose,
            tenant_id=user.tenant_id,
            user_id=user.id,
            login_env=environment,
            challenge=challenge,
            rp_id=rp_id,
            attempts=0,
            expires_at=work.now + CHALLENGE_LIFETIME,
        ),
    )
    return token


async def _enrolled(work: Work, pages: Pages, user: User, sentence: str, method: Method) -> tuple[str, ...]:
    """After a new factor: recovery codes if there are none, the log-in asks from now on, the person is told."""
    codes: tuple[str, ...] = ()
    if not await store.count_recovery_codes(work.tx, user.tenant_id, user.id):
        codes = await _new_recovery_codes(work, user)
    await users.note_mfa(work, user, enabled=True)
    await _tell(work, pages, user, sentence, "user.mfa_added", method)
    return codes


async def _removed(work: Work, pages: Pages, user: User, sentence: str, method: Method | None) -> None:
    """After a factor went: with the last one go the recovery codes, and the log-in asks no more."""
    if not (await factors_of(work, user)).any:
        await store.delete_recovery_codes(work.tx, user.tenant_id, user.id)
        await users.note_mfa(work, user, enabled=False)
    await _tell(work, pages, user, sentence, "user.mfa_removed", method)


async def _tell(work: Work, pages: Pages, user: User, sentence: str, action: str, method: Method | None) -> None:
    await post_mail(work, user, texts.mfa_changed(name=user.first_name, change=sentence, link=pages.forgotten()))
    detail = {"method": method.value} if method else {}
    await audit.note(work, action=action, target=Target(type="user", id=user.id), detail=detail)


async def _new_recovery_codes(work: Work, user: User) -> tuple[str, ...]:
    await store.delete_recovery_codes(work.tx, user.tenant_id, user.id)
    codes = tuple("".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES))
    for code in codes:
        await store.insert_recovery_code(work.tx, user.tenant_id, user.id, _hash(code), at=work.now)
    return tuple(f"{code[:5]}-{code[5:]}" for code in codes)


def _tidy(code: str) -> str:
    """A code as people type it: with spaces and hyphens."""
    return code.replace(" ", "").replace("-", "")


def _wrong_code() -> Invalid:
    detail = "This is not the code of this moment. Check the clock of your phone."
    return Invalid((FieldError(pointer="/code", code="wrong-code", detail=detail),))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

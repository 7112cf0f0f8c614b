"""The SQL of `totp_secrets`, `passkeys`, `recovery_codes` and `login_challenges`."""

from datetime import datetime

from voisnap_domain.ids import TenantId, UserId
from voisnap_kit.postgres import Tx

from .records import Challenge, Passkey, TotpSecret


async def put_totp(tx: Tx, secret: TotpSecret) -> None:
    """Store a secret that is not confirmed yet, in place of an earlier one."""
    await tx.exec(
        """
        INSERT INTO totp_secrets (user_id, tenant_id, sealed, created_at)
        VALUES (%(user_id)s, %(tenant_id)s, %(sealed)s, %(created_at)s)
        ON CONFLICT (user_id) DO UPDATE
           SET sealed = excluded.sealed, created_at = excluded.created_at, confirmed_at = NULL, last_step = 0
        """,
        user_id=secret.user_id,
        tenant_id=secret.tenant_id,
        sealed=secret.sealed,
        created_at=secret.created_at,
    )


async def totp_for_change(tx: Tx, tenant_id: TenantId, user_id: UserId) -> TotpSecret | None:
    """A person's secret, locked until the transaction ends: a code is taken once."""
    return await tx.maybe(
        TotpSecret,
        """
        SELECT user_id, tenant_id, sealed, created_at, confirmed_at, last_step
          FROM totp_secrets
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def use_totp(tx: Tx, tenant_id: TenantId, user_id: UserId, *, step: int, at: datetime) -> None:
    """Note the time step whose code was taken; the first one confirms the secret."""
    await tx.exec(
        """
        UPDATE totp_secrets SET last_step = %(step)s, confirmed_at = coalesce(confirmed_at, %(at)s)
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s
        """,
        step=step,
        at=at,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def delete_totp(tx: Tx, tenant_id: TenantId, user_id: UserId) -> None:
    """Forget a person's secret."""
    await tx.exec(
        "DELETE FROM totp_secrets WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def insert_passkey(tx: Tx, passkey: Passkey) -> None:
    """Store a new passkey. Raises UniqueViolated when its authenticator's key is known already."""
    await tx.exec(
        """
        INSERT INTO passkeys (id, credential_id, tenant_id, user_id, rp_id, name, public_key, sign_count, transports, created_at)
        VALUES (%(id)s, %(credential_id)s, %(tenant_id)s, %(user_id)s, %(rp_id)s, %(name)s, %(public_key)s, %(sign_count)s,
                %(transports)s::text[], %(created_at)s)
        """,
        id=passkey.id,
        credential_id=passkey.credential_id,
        tenant_id=passkey.tenant_id,
        user_id=passkey.user_id,
        rp_id=passkey.rp_id,
        name=passkey.name,
        public_key=passkey.public_key,
        sign_count=passkey.sign_count,
        transports=passkey.transports,
        created_at=passkey.created_at,
    )


async def passkeys_of(tx: Tx, tenant_id: TenantId, user_id: UserId) -> list[Passkey]:
    """A person's passkeys, oldest first, locked until the transaction ends: the counter of a passkey only rises."""
    return await tx.all(
        Passkey,
        """
        SELECT id, credential_id, tenant_id, user_id, rp_id, name, public_key, sign_count, transports, created_at, last_used_at
          FROM passkeys
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s
         ORDER BY created_at, id
           FOR UPDATE
        """,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def use_passkey(tx: Tx, tenant_id: TenantId, passkey_id: str, *, sign_count: int, at: datetime) -> None:
    """Note that a passkey was used, and its counter."""
    await tx.exec(
        """
        UPDATE passkeys SET sign_count = %(sign_count)s, last_used_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND id = %(id)s
        """,
        sign_count=sign_count,
        at=at,
        tenant_id=tenant_id,
        id=passkey_id,
    )


async def delete_passkey(tx: Tx, tenant_id: TenantId, user_id: UserId, passkey_id: str) -> int:
    """Forget one passkey of a person; how many there were with this id."""
    return await tx.exec(
        "DELETE FROM passkeys WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND id = %(id)s",
        tenant_id=tenant_id,
        user_id=user_id,
        id=passkey_id,
    )


async def delete_passkeys(tx: Tx, tenant_id: TenantId, user_id: UserId) -> None:
    """Forget all passkeys of a person."""
    await tx.exec(
        "DELETE FROM passkeys WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def insert_recovery_code(tx: Tx, tenant_id: TenantId, user_id: UserId, code_hash: bytes, *, at: datetime) -> None:
    """Store one recovery code by its hash."""
    await tx.exec(
        """
        INSERT INTO recovery_codes (user_id, code_hash, tenant_id, created_at)
        VALUES (%(user_id)s, %(code_hash)s, %(tenant_id)s, %(at)s)
        """,
        user_id=user_id,
        code_hash=code_hash,
        tenant_id=tenant_id,
        at=at,
    )


async def use_recovery_code(tx: Tx, tenant_id: TenantId, user_id: UserId, code_hash: bytes, *, at: datetime) -> bool:
    """Use a code up; whether there was such a code that was not used."""
    touched = await tx.exec(
        """
        UPDATE recovery_codes SET used_at = %(at)s
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND code_hash = %(code_hash)s AND used_at IS NULL
        """,
        at=at,
        tenant_id=tenant_id,
        user_id=user_id,
        code_hash=code_hash,
    )
    return touched == 1


async def count_recovery_codes(tx: Tx, tenant_id: TenantId, user_id: UserId) -> int:
    """How many codes a person has left."""
    return await tx.one(
        int,
        """
        SELECT count(*)
          FROM recovery_codes
         WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s AND used_at IS NULL
        """,
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def delete_recovery_codes(tx: Tx, tenant_id: TenantId, user_id: UserId) -> None:
    """Forget a person's codes."""
    await tx.exec(
        "DELETE FROM recovery_codes WHERE tenant_id = %(tenant_id)s AND user_id = %(user_id)s",
        tenant_id=tenant_id,
        user_id=user_id,
    )


async def insert_challenge(tx: Tx, challenge: Challenge) -> None:
    """Store something that waits for its proof."""
    await tx.exec(
        """
        INSERT INTO login_challenges (token_hash, purpose, tenant_id, user_id, login_env, challenge, rp_id, expires_at)
        VALUES (%(token_hash)s, %(purpose)s, %(tenant_id)s, %(user_id)s, %(login_env)s, %(challenge)s, %(rp_id)s,
                %(expires_at)s)
        """,
        token_hash=challenge.token_hash,
        purpose=challenge.purpose,
        tenant_id=challenge.tenant_id,
        user_id=challenge.user_id,
        login_env=challenge.login_env,
        challenge=challenge.challenge,
        rp_id=challenge.rp_id,
        expires_at=challenge.expires_at,
    )


async def challenge_for_change(tx: Tx, token_hash: bytes) -> Challenge | None:
    """What a token stands for, locked until the transaction ends; runs as the system, because nobody is logged in yet."""
    return await tx.maybe(
        Challenge,
        """
        SELECT token_hash, purpose, tenant_id, user_id, login_env, challenge, rp_id, attempts, expires_at
          FROM login_challenges
         WHERE token_hash = %(token_hash)s
           FOR UPDATE
        """,
        token_hash=token_hash,
    )


async def ask_passkey(tx: Tx, token_hash: bytes, *, challenge: bytes, rp_id: str) -> None:
    """Note what an authenticator was asked to sign; runs as the system."""
    await tx.exec(
        "UPDATE login_challenges SET challenge = %(challenge)s, rp_id = %(rp_id)s WHERE token_hash = %(token_hash)s",
        challenge=challenge,
        rp_id=rp_id,
        token_hash=token_hash,
    )


async def count_attempt(tx: Tx, token_hash: bytes) -> None:
    """Count a wrong proof; what was asked of an authenticator is asked anew. Runs as the system."""
    await tx.exec(
        "UPDATE login_challenges SET attempts = attempts + 1, challenge = NULL WHERE token_hash = %(token_hash)s",
        token_hash=token_hash,
    )


async def delete_challenge(tx: Tx, token_hash: bytes) -> None:
    """Forget what was proved or given up; runs as the system."""
    await tx.exec("DELETE FROM login_challenges WHERE token_hash = %(token_hash)s", token_hash=token_hash)


async def delete_old_challenges(tx: Tx, *, before: datetime) -> int:
    """Delete what ran out before a moment; how many."""
    return await tx.exec("DELETE FROM login_challenges WHERE expires_at < %(before)s", before=before)

"""Guessing is slowed down by address: after a few wrong passwords or codes in a row the address is locked, each time for longer.

Addresses that nobody has are counted and locked like others, so that a lock tells nothing about who is here.
"""

import hashlib
from datetime import timedelta

from voisnap_domain.errors import TooManyRequests
from voisnap_kit.work import Work

from . import store
from .records import Failures

FREE_FAILURES = 5
"""Wrong passwords in a row before the first lock."""

FIRST_LOCK = timedelta(minutes=1)
LONGEST_LOCK = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(hours=24)


class AccountLocked(TooManyRequests):
    """Too many wrong passwords; `retry_after` says how long the lock lasts."""

    code = "account-locked"


def lock_after(failures: int) -> timedelta | None:
    """How long an address is locked after so many failures in a row: 1, 2, 4 … minutes, at most an hour; None while it is not."""
    if failures < FREE_FAILURES:
        return None
    doublings = min(failures - FREE_FAILURES, 10)
    return min(FIRST_LOCK * 2**doublings, LONGEST_LOCK)


async def check_lock(work: Work, email: str) -> None:
    """Raise AccountLocked while the address is locked. Work that runs as the system; it holds the address until it ends."""
    known = await store.failures_of(work.tx, _hash(email))
    if known is not None and known.locked_until is not None and known.locked_until > work.now:
        raise AccountLocked(
            "Too many wrong passwords or codes: log-ins with this address are locked for a while."
            " Wait, or ask for the mail that unlocks it.",
            retry_after=max(1, -(-int((known.locked_until - work.now).total_seconds() * 1000) // 1000)),
        )


async def note_failure(work: Work, email: str) -> bool:
    """Count a wrong password or code; whether that locked the address for the first time."""
    known: Failures = await store.count_failure(
        work.tx, _hash(email), at=work.now, forgotten_before=work.now - FORGOTTEN_AFTER
    )
    pause = lock_after(known.failures)
    if pause is None:
        return False
    await store.lock_address(work.tx, _hash(email), until=work.now + pause)
    return known.failures == FREE_FAILURES


async def forgive(work: Work, email: str) -> None:
    """Forget the failures: somebody proved who they are, or an administrator vouches."""
    await store.forgive(work.tx, _hash(email))


async def forget_old_failures(work: Work) -> int:
    """Delete counts nobody added to for a day; how many."""
    return await store.delete_failures(work.tx, before=work.now - FORGOTTEN_AFTER)


def _hash(email: str) -> bytes:
    return hashlib.sha256(email.strip().lower().encode()).digest()

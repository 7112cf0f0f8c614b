"""Password hashes: argon2id (RFC 9106), computed in threads, because one takes tens of milliseconds on purpose."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""The second recommended set of the OWASP password storage sheet: 19 MiB, two passes, one lane."""

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
"""Hashes computed at the same time; more wait, so that a flood of log-ins can't take all memory."""

_NOBODY = _HASHER.hash("a password that nobody has")


async def hashed(password: str) -> str:
    """The hash to store, with its parameters and salt."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _HASHER.hash, password)


async def matches(password_hash: str | None, password: str) -> bool:
    """Whether the password belongs to the hash; takes the same time when there is no hash."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _verify, password_hash, password)


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        _HASHER.verify(password_hash or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None

"""Passwords: which are taken, and their hashes: argon2id (RFC 9106), computed in threads, because one takes tens of milliseconds on
purpose."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from voisnap_domain.errors import FieldError, Invalid

SHORTEST = 12
LONGEST = 256
_WEAKEST_SCORE = 2
"""Of zxcvbn's scores 0 to 4: below, a password falls within a million guesses."""

_JUDGED = 64
"""Characters that are judged: the time grows with the square of the length."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""The second recommended set of the OWASP password storage sheet: 19 MiB, two passes, one lane."""

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
"""Hashes computed at the same time; more wait, so that a flood of log-ins can't take all memory."""

_NOBODY = f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}${'A' * 22}${'A' * 43}"
"""A hash like all others, but no password's; to compute a real one would take 30 ms of every start."""


async def check_rules(password: str, *, pointer: str, email: str = "", names: tuple[str, ...] = ()) -> None:
    """Raise Invalid unless the password is long enough, not the address, and neither common nor easy to guess."""
    fault = await asyncio.get_running_loop().run_in_executor(_THREADS, _fault, password, email, names)
    if fault is not None:
        code, detail = fault
        raise Invalid((FieldError(pointer=pointer, code=code, detail=detail),))


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
    return bool(password_hash)


def _fault(password: str, email: str, names: tuple[str, ...]) -> tuple[str, str] | None:
    if len(password) < SHORTEST:
        return "too-short", f"A password has at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return "too-long", f"A password has at most {LONGEST} characters."
    address = email.strip().lower()
    if address and password.strip().lower() in {address, address.partition("@")[0]}:
        return "is-address", "The password must not be your e-mail address."
    from zxcvbn import zxcvbn  # noqa: PLC0415 - 30 ms with its lists of words, in a thread the first time a password is chosen

    known = [word for word in (address, *address.split("@"), *names, "voisnap") if word]
    if zxcvbn(password[:_JUDGED], user_inputs=known)["score"] < _WEAKEST_SCORE:
        return (
            "too-common",
            "This password is among those that are guessed first. Take another, such as four random words.",
        )
    return None

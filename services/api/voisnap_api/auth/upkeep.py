"""What log-ins leave behind. Apart from `usecases`, so that who only cleans up loads no passwords and keys (200 ms of the worker's start)."""

from voisnap_kit.work import Work

from . import store


async def forget_expired_tokens(work: Work) -> int:
    """Delete refresh tokens that ran out; how many."""
    return await store.delete_expired(work.tx, before=work.now)

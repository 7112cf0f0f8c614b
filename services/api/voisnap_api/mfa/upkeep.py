"""What second factors leave behind. Apart from `usecases`, as `auth.upkeep` is."""

from voisnap_kit.work import Work

from . import store


async def forget_old_challenges(work: Work) -> int:
    """Delete what nobody completed; how many."""
    return await store.delete_old_challenges(work.tx, before=work.now)

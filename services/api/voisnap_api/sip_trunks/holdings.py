"""What other slices ask of trunks when something goes away that trunks hang on."""

from voisnap_kit.work import Work

from . import store


async def made_with(work: Work, account: str, *, limit: int) -> list[str]:
    """Trunks that are made with an account, and would be out of reach without it."""
    caller = work.caller
    return await store.trunks_with_account(work.tx, caller.tenant_id, caller.environment, account, limit=limit)

"""Deletes what log-ins leave behind: refresh tokens, links, half log-ins, counts and revocations that have had their time."""

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from voisnap_api.links.usecases import forget_old_links
from voisnap_api.mfa.upkeep import forget_old_challenges
from voisnap_api.users.usecases import forget_unverified

from .lockout import forget_old_failures
from .revocations import forget_old_revocations
from .upkeep import forget_expired_tokens


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each were deleted."""

    tokens: int
    links: int
    challenges: int
    failures: int
    revocations: int
    unverified: int


def old_log_ins(database: Database) -> Reconciler[Deleted]:
    """Deletes what ran out, every hour."""

    async def task() -> Deleted:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            return Deleted(
                tokens=await forget_expired_tokens(work),
                links=await forget_old_links(work),
                challenges=await forget_old_challenges(work),
                failures=await forget_old_failures(work),
                revocations=await forget_old_revocations(work),
                unverified=await forget_unverified(work),
            )

    return Reconciler("old-log-ins", 3600.0, task)

"""Leave to use an account: how many calls at once, how many a minute and how much money it may take is shared by all processes."""

from typing import Protocol

import msgspec


class AccountLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What may be taken from one account; None is without limit. `concurrent` counts replies, sentences or open recognisers, each kind for
    itself; `per_minute` requests begun; `usd_per_month` what was spent in the calendar month (UTC)."""

    concurrent: int | None = None
    per_minute: int | None = None
    usd_per_month: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is no limit at all."""
        return self.concurrent is None and self.per_minute is None and self.usd_per_month is None


class Lease(Protocol):
    """The right to one piece of work. It ends by itself soon after its process."""

    async def release(self) -> None:
        """Give it back. Never raises; twice is no error."""
        ...


class Slots(Protocol):
    """Gives out leases. Fair: who asked first is served first."""

    async def take(self, kind: str, account: str, limits: AccountLimits, *, patience: float) -> Lease | None:
        """A lease, waited for at most `patience` seconds; None when there was none. An outage of the counter gives leases to everybody."""
        ...

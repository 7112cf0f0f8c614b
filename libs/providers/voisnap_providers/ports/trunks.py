"""SIP trunks at a carrier: calls to numbers go to servers of the tenant's, and these servers call out over the carrier."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from .numbers import HeldNumber

Parts = Mapping[str, str]
"""The carrier's objects that a trunk is made of, by what they are; their ids."""
USER = "user"
"""The part whose value is the user that has a password at the carrier."""
Keep = Callable[[Parts], Awaitable[None]]
"""Writes down what there is of a trunk as soon as there is more, so that nothing is lost and made again."""


class Origination(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls to the trunk's numbers go: the lowest `priority` first, among equals by `weight`. `sip_uri` is `sip:host[:port][;transport=…]`."""

    sip_uri: str
    priority: int = 10
    weight: int = 10


class TrunkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a trunk shall be. `reference` is ours, and finds what was made of it. The password is known only while it is being set."""

    reference: str
    name: str
    origination: tuple[Origination, ...] = ()
    username: str | None = None
    password: str | None = None
    allowed_ips: tuple[str, ...] = ()


class PartReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the carrier knows of one part of a trunk."""

    part: str
    is_well: bool
    detail: str


class Unfit(ValueError):
    """A carrier has no such trunks. `field` names what does not fit: origination, credentials or allowed_ips."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


class TrunkDesk(Protocol):
    """The trunks of one account with one carrier. Raises ProviderError with the kind `carrier`."""

    def check(self, plan: TrunkPlan, parts: Parts) -> None:
        """Raises Unfit for what this carrier can't do or change, before anything is asked of it."""
        ...

    async def apply(self, plan: TrunkPlan, parts: Parts, keep: Keep) -> Parts:
        """Makes what is missing and changes what differs; doing it again changes nothing. With a password the credentials are set anew."""
        ...

    def domain(self, parts: Parts) -> str:
        """Where the tenant's servers call out."""
        ...

    async def attach(self, parts: Parts, number: HeldNumber, plan: TrunkPlan) -> None:
        """Sends a number's calls over the trunk."""
        ...

    async def detach(self, parts: Parts, number: HeldNumber) -> None:
        """Takes a number off the trunk; where its calls go then, `NumberDesk.configure` says."""
        ...

    async def report(self, plan: TrunkPlan, parts: Parts, numbers: tuple[HeldNumber, ...]) -> tuple[PartReport, ...]:
        """What the carrier has of each part, read there."""
        ...

    async def remove(self, parts: Parts) -> None:
        """Takes the trunk away with all that was made for it; what is gone already is fine."""
        ...

    async def aclose(self) -> None: ...

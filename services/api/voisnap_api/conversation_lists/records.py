"""Rows of the index behind lists, and what a list finds."""

from datetime import UTC, datetime

import msgspec
from voisnap_domain.tenants import Environment


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a conversation is in the order of all; two moments at least lie between those of the calendar's ends and any call."""

    started_at: datetime
    id: str


BEGINNING = Position(started_at=datetime.min.replace(tzinfo=UTC), id="")
END = Position(started_at=datetime.max.replace(tzinfo=UTC), id="")


class Indexed(msgspec.Struct, frozen=True, kw_only=True):
    """What the index keeps of a conversation."""

    id: str
    started_at: datetime
    agent_id: str
    channel: str
    direction: str
    status: str
    outcome: str | None
    seconds: int | None
    archived: bool
    tags: tuple[str, ...]


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The conversations after a position, up to and with another; `segment` is None where none was built yet."""

    segment: int | None = None
    after_at: datetime
    after_id: str
    until_at: datetime
    until_id: str

    @property
    def after(self) -> Position:
        return Position(started_at=self.after_at, id=self.after_id)

    @property
    def until(self) -> Position:
        return Position(started_at=self.until_at, id=self.until_id)


class Part(Stretch, frozen=True, kw_only=True):
    """A stretch and how many of its conversations match. `clean`: the bits of its segment say all about it."""

    clean: bool
    matches: int


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversations of a segment match: a `1` in their places, a `0` in the others."""

    segment: int
    bits: str


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """A duration at a rank of a list, in whole seconds, and how many of the list are longer and as long."""

    seconds: int
    longer: int
    as_long: int


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's environment."""

    tenant_id: str
    environment: Environment


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list: ids in their order, whether more follow, and how many match in all."""

    ids: tuple[str, ...]
    more: bool
    total: int


class IndexStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the builder did; `behind`: there is more to do."""

    built: int
    behind: bool

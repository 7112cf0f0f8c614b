"""Rows and filters of this slice that are no nouns of the domain."""

from datetime import datetime

import msgspec
from voisnap_domain.agents import AgentConfig, AgentStatus
from voisnap_domain.ids import AgentId


class AgentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an agent's configuration; immutable once published."""

    agent_id: AgentId
    version: int
    config: AgentConfig
    changes_summary: str
    created_at: datetime
    created_by: str | None = None
    published_at: datetime | None = None
    notes: str | None = None


class AgentPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a list of agents: behind the one with this id, whose name or moment the list is sorted by."""

    id: str
    name: str | None = None
    moment: datetime | None = None


class AgentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which agents a list shows and in which order: `sort` is `name`, `created_at` or `updated_at`, a blank, `asc` or `desc`."""

    status: AgentStatus | None = None
    search: str | None = None
    tags: tuple[str, ...] = ()
    sort: str = "created_at desc"

    @property
    def by(self) -> str:
        """The column that `sort` names."""
        return self.sort.partition(" ")[0]

"""Rows and filters of this slice that are no nouns of the domain."""

from datetime import datetime
from functools import lru_cache

import msgspec
from voisnap_domain.agents import Agent, AgentConfig, AgentStatus
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.tenants import Environment


class StoredAgent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `agents`, its configuration still JSON."""

    id: AgentId
    tenant_id: TenantId
    environment: Environment
    status: AgentStatus
    version: int
    published_version: int | None
    config: str
    widget_key: str
    created_at: datetime
    updated_at: datetime

    @property
    def agent(self) -> Agent:
        """The agent it means."""
        read = _read_again if len(self.config) <= _SHORT else _decode
        return Agent(
            id=self.id,
            tenant_id=self.tenant_id,
            environment=self.environment,
            status=self.status,
            version=self.version,
            published_version=self.published_version,
            config=read(self.config),
            widget_key=self.widget_key,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


_SHORT = 16_384
"""Characters of a configuration that is remembered: all of them together stay below some 50 MB."""

_decode = msgspec.json.Decoder(AgentConfig).decode
_read_again = lru_cache(maxsize=1000)(_decode)
"""Lists show the same configurations again and again. Nobody changes one in place, so all may hold the same."""


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

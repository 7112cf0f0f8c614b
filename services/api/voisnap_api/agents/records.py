"""Rows of this slice that are no nouns of the domain."""

from datetime import datetime

import msgspec
from voisnap_domain.agents import AgentConfig
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

"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import AgentId, ChannelConnectionId, TenantId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment


class ConnectionStatus(StrEnum):
    """`unverified`: the network did not confirm that its messages come here."""

    ACTIVE = "active"
    UNVERIFIED = "unverified"


class ReopenTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent on WhatsApp instead of a text when the person wrote too long ago; `values` may say `{text}`."""

    name: str
    language: str
    values: tuple[str, ...] = ()


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is different at this address."""

    reopen_template: ReopenTemplate | None = None


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the network posts messages, as it said when it was asked last."""

    url: str
    pending: int = 0
    last_error: str = ""


class ChannelConnection(msgspec.Struct, frozen=True, kw_only=True):
    """An address of a tenant at a messaging network, and the agent that answers there. `account` names whose access is used."""

    id: ChannelConnectionId
    tenant_id: TenantId
    environment: Environment
    channel: Channel
    provider: str
    account: str
    address: str
    name: str = ""
    handle: str = ""
    agent_id: AgentId
    settings: ConnectionSettings = msgspec.field(default_factory=ConnectionSettings)
    status: ConnectionStatus
    status_detail: str | None = None
    webhook: Webhook | None = None
    verified_at: datetime | None = None
    created_by: str | None = None
    created_at: datetime
    updated_at: datetime


class ConnectionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which connections; None means all."""

    channel: str | None = None
    agent_id: str | None = None

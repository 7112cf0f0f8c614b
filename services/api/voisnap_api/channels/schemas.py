"""Channel connections on the wire."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from voisnap_domain.tenants import Environment

from voisnap_api.wire import Body, View, instant

from .records import ChannelConnection, ConnectionSettings, ConnectionStatus, ReopenTemplate


class ConnectableChannel(StrEnum):
    """Channels whose accounts are connected; SMS goes with telephone numbers."""

    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"


Id = Annotated[str, Meta(min_length=1, max_length=100)]
Value = Annotated[str, Meta(max_length=1024)]


class ReopenTemplateBody(Body, frozen=True, kw_only=True):
    """An approved WhatsApp template that goes out instead of a text when the person wrote more than 24 hours ago. `{text}` in a value becomes
    the text; without a template texts are held until the person writes again."""

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    language: Annotated[str, Meta(min_length=2, max_length=15)]
    values: Annotated[tuple[Value, ...], Meta(max_length=20)] = ()


class ChannelConnectionSettingsBody(Body, frozen=True, kw_only=True):
    """What is different at this address."""

    reopen_template: ReopenTemplateBody | None = None

    @property
    def record(self) -> ConnectionSettings:
        template = self.reopen_template
        return ConnectionSettings(
            reopen_template=None
            if template is None
            else ReopenTemplate(name=template.name, language=template.language, values=template.values)
        )


class ChannelBody(Body, frozen=True, kw_only=True):
    """An account with WhatsApp or Telegram to connect with an agent: one of your credentials, or without `credentialId` the platform's own."""

    channel: ConnectableChannel
    agent_id: Id
    credential_id: Id | None = None
    settings: ChannelConnectionSettingsBody = msgspec.field(default_factory=ChannelConnectionSettingsBody)


class ChannelPatch(Body, frozen=True, kw_only=True):
    """What to change."""

    agent_id: Id | UnsetType = UNSET
    settings: ChannelConnectionSettingsBody | UnsetType = UNSET


class ChannelWebhookView(View, frozen=True, kw_only=True):
    """Where the network posts messages, as it said when it was asked last."""

    url: str
    pending: int
    last_error: str | None


class ChannelView(View, frozen=True, kw_only=True):
    """A connection. `address` is what the network calls the account, `handle` what people look for. `unverified`: the network did not confirm
    that it posts here; `statusDetail` says why."""

    id: str
    channel: ConnectableChannel
    environment: Environment
    agent_id: str
    credential_id: str | None
    address: str
    name: str
    handle: str
    settings: ChannelConnectionSettingsBody
    status: ConnectionStatus
    status_detail: str | None
    webhook: ChannelWebhookView | None
    verified_at: str | None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, connection: ChannelConnection) -> "ChannelView":
        webhook, template = connection.webhook, connection.settings.reopen_template
        return cls(
            id=connection.id,
            channel=ConnectableChannel(connection.channel.value),
            environment=connection.environment,
            agent_id=connection.agent_id,
            credential_id=connection.account if connection.account.startswith("pcred_") else None,
            address=connection.address,
            name=connection.name,
            handle=connection.handle,
            settings=ChannelConnectionSettingsBody(
                reopen_template=None
                if template is None
                else ReopenTemplateBody(name=template.name, language=template.language, values=template.values)
            ),
            status=connection.status,
            status_detail=connection.status_detail,
            webhook=None
            if webhook is None
            else ChannelWebhookView(url=webhook.url, pending=webhook.pending, last_error=webhook.last_error or None),
            verified_at=instant(connection.verified_at) if connection.verified_at else None,
            created_at=instant(connection.created_at),
            updated_at=instant(connection.updated_at),
        )

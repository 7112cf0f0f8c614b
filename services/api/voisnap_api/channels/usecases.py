"""Which agent answers at which of a tenant's addresses with WhatsApp and Telegram."""

import msgspec
from voisnap_domain.errors import Conflict, FieldError, Forbidden, Invalid, LimitReached, NotFound
from voisnap_domain.ids import AgentId, ChannelConnectionId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import UniqueViolated
from voisnap_kit.work import Caller, Work
from voisnap_providers.accounts import PLATFORM
from voisnap_providers.carriers import SIMULATOR
from voisnap_providers.ports.messaging import OwnAddress

from voisnap_api.agents import usecases as agents
from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target

from . import store
from .clients import Verdict
from .records import ChannelConnection, ConnectionFilter, ConnectionSettings, ConnectionStatus

MOST = 200
"""Connections of one tenant and environment."""


async def connection_at(work: Work, provider: str, account: str, address: str) -> ChannelConnection | None:
    """Whose an address is that was written to, of whatever tenant: runs as the system."""
    return await store.at(work.tx, provider, account, address)


async def connection_of(work: Work, agent_id: AgentId, channel: Channel) -> ChannelConnection | None:
    """With which address an agent writes on a channel, if it has one."""
    return await store.of_agent(work.tx, work.caller.tenant_id, work.caller.environment, agent_id, channel)


def account_for(caller: Caller, credential_id: str | None) -> str:
    """The account that is meant: the tenant's credential, else the shared one of its environment. The platform's own has one address, which
    its operator gives out. Raises Invalid, Forbidden `platform-channel`."""
    if caller.environment is Environment.SANDBOX:
        if credential_id is not None:
            detail = "the sandbox talks to simulated networks alone: leave it out"
            raise Invalid((FieldError(pointer="/credentialId", code="not-in-sandbox", detail=detail),))
        return SIMULATOR
    if credential_id is None and not caller.platform_admin:
        raise Forbidden(
            "The platform's own account is given out by its operator. Name yours: POST /api/v1/provider-credentials, then `credentialId`.",
            code="platform-channel",
        )
    return credential_id or PLATFORM


async def check_wanted(work: Work, channel: Channel, agent_id: AgentId, settings: ConnectionSettings) -> None:
    """Raises NotFound for an agent that is not there, Invalid, LimitReached `channel-limit-reached`."""
    await agents.get_agent(work, agent_id)
    _check_settings(channel, settings)
    caller = work.caller
    if await store.count(work.tx, caller.tenant_id, caller.environment, ConnectionFilter()) >= MOST:
        raise LimitReached(f"There can be {MOST} channel connections at most.", code="channel-limit-reached")


async def create_connection(
    work: Work,
    *,
    channel: Channel,
    account: str,
    own: OwnAddress,
    agent_id: AgentId,
    settings: ConnectionSettings,
) -> ChannelConnection:
    """Let an agent answer at an address, which the network has confirmed to be the account's. Raises Conflict `channel-taken`."""
    caller = work.caller
    connection = ChannelConnection(
        id=ChannelConnectionId(work.new_id("chan")),
        tenant_id=caller.tenant_id,
        environment=caller.environment,
        channel=channel,
        provider=channel.value,
        account=account,
        address=own.address,
        name=own.name,
        handle=own.handle,
        agent_id=agent_id,
        settings=settings,
        status=ConnectionStatus.UNVERIFIED,
        created_by=caller.user_id or caller.key_id,
        created_at=work.now,
        updated_at=work.now,
    )
    try:
        await store.insert(work.tx, connection)
    except UniqueViolated:
        raise Conflict(
            f"The {channel.value} address {own.handle or own.address} is connected already.", code="channel-taken"
        ) from None
    await _note(work, "connected", connection, {"agentId": agent_id, "account": account})
    return connection


async def get_connection(work: Work, connection_id: ChannelConnectionId) -> ChannelConnection:
    """One connection. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, connection_id)
    if found is None:
        raise NotFound("channel connection", connection_id)
    return found


async def list_connections(
    work: Work, wanted: ConnectionFilter, *, limit: int, offset: int
) -> tuple[list[ChannelConnection], int]:
    """A page of connections, newest first, and how many there are."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, wanted, limit=limit, offset=offset)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, wanted)


async def change_connection(
    work: Work,
    connection_id: ChannelConnectionId,
    *,
    agent_id: AgentId | None = None,
    settings: ConnectionSettings | None = None,
) -> ChannelConnection:
    """Let another agent answer, or change the settings. Raises NotFound, Invalid."""
    before = await get_connection(work, connection_id)
    if agent_id is not None:
        await agents.get_agent(work, agent_id)
    if settings is not None:
        _check_settings(before.channel, settings)
    after = msgspec.structs.replace(
        before,
        agent_id=agent_id or before.agent_id,
        settings=before.settings if settings is None else settings,
    )
    if after == before:
        return before
    after = msgspec.structs.replace(after, updated_at=work.now)
    await store.update(work.tx, after)
    await _note(work, "changed", after, {"agentId": after.agent_id})
    return after


async def note_verdict(work: Work, connection_id: ChannelConnectionId, verdict: Verdict) -> ChannelConnection:
    """Keep what the network said of where it posts. Raises NotFound when the connection is gone by now."""
    connection = msgspec.structs.replace(
        await get_connection(work, connection_id),
        status=verdict.status,
        status_detail=verdict.detail,
        webhook=verdict.webhook,
        verified_at=work.now,
        updated_at=work.now,
    )
    await store.update(work.tx, connection)
    return connection


async def delete_connection(work: Work, connection_id: ChannelConnectionId) -> ChannelConnection:
    """Let nobody answer there any more; what was written stays. Raises NotFound."""
    connection = await get_connection(work, connection_id)
    await store.delete(work.tx, connection.tenant_id, connection.environment, connection.id)
    await _note(work, "disconnected", connection, {"agentId": connection.agent_id})
    return connection


def _check_settings(channel: Channel, settings: ConnectionSettings) -> None:
    if settings.reopen_template is not None and channel is not Channel.WHATSAPP:
        detail = "only WhatsApp has templates"
        raise Invalid((FieldError(pointer="/settings/reopenTemplate", code="unsupported", detail=detail),))


async def _note(work: Work, verb: str, connection: ChannelConnection, detail: dict[str, object]) -> None:
    target = Target(type="channel", id=connection.id)
    whole = {"channel": connection.channel.value, "address": connection.address, **detail}
    await audit.note(work, action=f"channel.{verb}", target=target, detail=whole)

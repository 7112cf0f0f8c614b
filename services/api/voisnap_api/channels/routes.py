"""`/api/v1/channels`."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from msgspec import UnsetType
from voisnap_domain.ids import AgentId, ChannelConnectionId
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin, begin_reading
from voisnap_providers.messengers import sandbox_address

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.messaging.networks import Networks

from . import usecases
from .clients import Connector
from .records import ConnectionFilter
from .schemas import ChannelBody, ChannelPatch, ChannelView, ConnectableChannel

InjectedNetworks = NamedDependency[SkipValidation[Networks]]
InjectedConnector = NamedDependency[SkipValidation[Connector]]


class ChannelController(Controller):
    """Accounts with WhatsApp and Telegram, and the agents that answer there."""

    path = "/api/v1/channels"
    tags = ("Messaging",)

    @post("/", guards=[requires("telephony:write")])
    async def create(
        self,
        data: JSONBody[ChannelBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        networks: InjectedNetworks,
        connector: InjectedConnector,
    ) -> Response[ChannelView]:
        """Connect an account with an agent. The network is asked who the account is, and told to post its messages here.

        409 `channel-taken` when the address is connected already, `credential-refused` when the network does not know the key; 403
        `platform-channel` without a credential, unless the caller is the platform's operator.
        """
        channel, agent_id = Channel(data.channel.value), AgentId(data.agent_id)
        account = usecases.account_for(caller, data.credential_id)
        async with begin(database, caller) as work:
            await usecases.check_wanted(work, channel, agent_id, data.settings.record)
            messenger = await networks.messenger(work, channel.value, account, caller.environment)
        own = await connector.own_address(messenger)
        if caller.environment is Environment.SANDBOX:
            own = sandbox_address(own, caller.tenant_id)
        async with begin(database, caller) as work:
            connection = await usecases.create_connection(
                work, channel=channel, account=account, own=own, agent_id=agent_id, settings=data.settings.record
            )
        verdict = await connector.connect(messenger, account, connection.address)
        async with begin(database, caller) as work:
            connection = await usecases.note_verdict(work, connection.id, verdict)
        headers = {"Location": f"/api/v1/channels/{connection.id}"}
        return Response(ChannelView.of(connection), status_code=201, headers=headers)

    @get("/", guards=[requires("telephony:read")], opt={"policy": API_READ_HEAVY})
    async def list_channels(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        channel: FromQuery[ConnectableChannel | None] = None,
        agent_id: Annotated[str | None, QueryParameter(name="agentId", max_length=100)] = None,
    ) -> Page[ChannelView]:
        """List connections, newest first."""
        wanted = ConnectionFilter(channel=channel.value if channel else None, agent_id=agent_id)
        async with begin_reading(database, caller) as work:
            found, total = await usecases.list_connections(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([ChannelView.of(one) for one in found], paging, total)

    @get("/{channel_id:str}", guards=[requires("telephony:read")])
    async def read(self, channel_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> ChannelView:
        """One connection."""
        async with begin_reading(database, caller) as work:
            return ChannelView.of(await usecases.get_connection(work, ChannelConnectionId(channel_id)))

    @patch("/{channel_id:str}", guards=[requires("telephony:write")])
    async def change(
        self,
        channel_id: FromPath[str],
        data: JSONBody[ChannelPatch],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> ChannelView:
        """Let another agent answer, which ends running conversations with the next message, or change the settings."""
        async with begin(database, caller) as work:
            connection = await usecases.change_connection(
                work,
                ChannelConnectionId(channel_id),
                agent_id=None if isinstance(data.agent_id, UnsetType) else AgentId(data.agent_id),
                settings=None if isinstance(data.settings, UnsetType) else data.settings.record,
            )
        return ChannelView.of(connection)

    @post("/{channel_id:str}/verify", status_code=200, guards=[requires("telephony:write")])
    async def verify(
        self,
        channel_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        networks: InjectedNetworks,
        connector: InjectedConnector,
    ) -> ChannelView:
        """Ask the network where it posts messages; if not here, it is told to."""
        async with begin(database, caller) as work:
            connection = await usecases.get_connection(work, ChannelConnectionId(channel_id))
            messenger = await networks.messenger(work, connection.provider, connection.account, connection.environment)
        verdict = await connector.verify(messenger, connection.account, connection.address)
        async with begin(database, caller) as work:
            return ChannelView.of(await usecases.note_verdict(work, connection.id, verdict))

    @delete("/{channel_id:str}", guards=[requires("telephony:write")])
    async def remove(
        self,
        channel_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        networks: InjectedNetworks,
        connector: InjectedConnector,
    ) -> None:
        """Disconnect an account: nobody answers there any more, and the network is told to post nothing. What was written stays."""
        async with begin(database, caller) as work:
            connection = await usecases.delete_connection(work, ChannelConnectionId(channel_id))
            messenger = await networks.find(work, connection.provider, connection.account, connection.environment)
        if messenger is not None:
            await connector.disconnect(messenger, connection.account, connection.address)

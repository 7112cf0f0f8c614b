"""`/api/v1/messages`."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from voisnap_domain.ids import AgentId, ContactId, MessageId
from voisnap_domain.sessions import Channel, Direction
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import Work, begin, begin_reading

from voisnap_api.channels.routes import InjectedNetworks
from voisnap_api.gate import API_READ_HEAVY, OUTBOUND_CALLS, InjectedCaller, InjectedDatabase, requires
from voisnap_api.recordings.links import RecordingLinks
from voisnap_api.recordings.routes import InjectedLinks

from . import usecases
from .records import MessageFilter, State
from .schemas import Link, MessageBody, MessagingChannel, SentMessageView, SentView


class MessageController(Controller):
    """What agents and people write each other by SMS, WhatsApp and Telegram."""

    path = "/api/v1/messages"
    tags = ("Messaging",)

    @post("/", status_code=202, guards=[requires("conversations:write")], opt={"policy": OUTBOUND_CALLS})
    async def create(
        self,
        data: JSONBody[MessageBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        networks: InjectedNetworks,
        links: InjectedLinks,
    ) -> SentView:
        """Have an agent write to somebody, by SMS from its number, by WhatsApp or Telegram from its connected account.

        It goes out within seconds; `GET /api/v1/messages/{id}` tells what became of it. On WhatsApp a text reaches only people who wrote within
        24 hours: later it is held, or goes out as the connection's template. 409 `opted-out` for who wants no messages.
        """
        wanted = usecases.Wanted(
            channel=Channel(data.channel.value),
            agent_id=AgentId(data.agent_id),
            to=data.to,
            contact_id=None if data.contact_id is None else ContactId(data.contact_id),
            text=data.text,
            template=None if data.template is None else data.template.record,
        )
        async with begin(database, caller) as work:
            sent = await usecases.send(work, networks, wanted)
        return SentView(messages=tuple(SentMessageView.of(message, (), _link(links, work)) for message in sent))

    @get("/", guards=[requires("conversations:read")], opt={"policy": API_READ_HEAVY})
    async def list_messages(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        links: InjectedLinks,
        paging: InjectedPageQuery,
        conversation_id: Annotated[str | None, QueryParameter(name="conversationId", max_length=100)] = None,
        thread_id: Annotated[str | None, QueryParameter(name="threadId", max_length=100)] = None,
        contact_id: Annotated[str | None, QueryParameter(name="contactId", max_length=100)] = None,
        agent_id: Annotated[str | None, QueryParameter(name="agentId", max_length=100)] = None,
        channel: FromQuery[MessagingChannel | None] = None,
        direction: FromQuery[Direction | None] = None,
        status: FromQuery[State | None] = None,
    ) -> Page[SentMessageView]:
        """List messages: those of one conversation or thread in their order, others newest first."""
        wanted = MessageFilter(
            conversation_id=conversation_id,
            thread_id=thread_id,
            contact_id=contact_id,
            agent_id=agent_id,
            channel=channel.value if channel else None,
            direction=direction.value if direction else None,
            state=status.value if status else None,
        )
        async with begin_reading(database, caller) as work:
            found, total = await usecases.list_messages(work, wanted, limit=paging.page_size, offset=paging.offset)
            kept = await usecases.kept_media(work, found)
        views = [SentMessageView.of(message, kept, _link(links, work)) for message in found]
        return Page.of(views, paging, total)

    @get("/{message_id:str}", guards=[requires("conversations:read")])
    async def read(
        self, message_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase, links: InjectedLinks
    ) -> SentMessageView:
        """One message, and what became of it."""
        async with begin_reading(database, caller) as work:
            found = await usecases.get_message(work, MessageId(message_id))
            return SentMessageView.of(found, await usecases.kept_media(work, [found]), _link(links, work))


def _link(links: RecordingLinks, work: Work) -> Link:
    return lambda key: links.link(key, at=work.now)

"""`/api/v1/conversations`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from voisnap_domain.conversations import ConversationStatus
from voisnap_domain.errors import FieldError, Invalid
from voisnap_domain.ids import ConversationId
from voisnap_domain.sessions import Channel, Direction
from voisnap_kit.http import InjectedPageQuery, Page, cursor_of, position_of
from voisnap_kit.work import begin
from voisnap_providers.ports.blobs import Blobs

from voisnap_api.auth.scopes import DELETE_CONVERSATIONS
from voisnap_api.conversation_lists.records import Found, Position
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.periods import period
from voisnap_api.recordings.links import RecordingLinks

from . import usecases
from .records import Archived, ConversationFilter, Sort, StoredConversation
from .schemas import (
    ConversationView,
    CostsView,
    MessagesView,
    OutcomeBody,
    RecordingView,
    TagsBody,
    TranscriptView,
)

InjectedLinks = NamedDependency[SkipValidation[RecordingLinks]]
InjectedBlobs = NamedDependency[SkipValidation[Blobs]]


class ConversationController(Controller):
    """What was said, heard and paid."""

    path = "/api/v1/conversations"
    tags = ("Conversations",)

    @get("/", guards=[requires("conversations:read")], opt={"policy": API_READ_HEAVY})
    async def list_conversations(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        agent_id: Annotated[str | None, QueryParameter(name="agentId", description="Only this agent's")] = None,
        channel: Annotated[Channel | None, QueryParameter(description="Only on this channel")] = None,
        status: Annotated[ConversationStatus | None, QueryParameter(description="Only in this status")] = None,
        direction: Annotated[Direction | None, QueryParameter(description="inbound or outbound")] = None,
        date_from: Annotated[
            str | None, QueryParameter(name="dateFrom", description="Started on or after; ISO 8601")
        ] = None,
        date_to: Annotated[
            str | None, QueryParameter(name="dateTo", description="Started on or before; ISO 8601")
        ] = None,
        outcome: Annotated[str | None, QueryParameter(description="Only with this outcome")] = None,
        tags: Annotated[str | None, QueryParameter(description="Only with all these tags, comma-separated")] = None,
        min_duration: Annotated[
            int | None,
            QueryParameter(name="minDuration", ge=0, le=1_000_000, description="At least so many seconds long"),
        ] = None,
        max_duration: Annotated[
            int | None,
            QueryParameter(name="maxDuration", ge=0, le=1_000_000, description="At most so many seconds long"),
        ] = None,
        archived: Annotated[
            Archived, QueryParameter(description="Only those that were not archived, only those that were, or all")
        ] = Archived.NO,
        sort_by: Annotated[Sort, QueryParameter(name="sortBy", description="By time or by duration")] = Sort.STARTED,
        sort_order: Annotated[
            Literal["asc", "desc"], QueryParameter(name="sortOrder", description="Ascending or descending")
        ] = "desc",
    ) -> Page[ConversationView]:
        """List conversations, newest first unless asked otherwise."""
        wanted = ConversationFilter(
            agent_id=agent_id,
            channel=channel,
            status=status,
            direction=direction,
            period=period(date_from, date_to),
            outcome=outcome,
            tags=tuple(tag.strip() for tag in (tags or "").split(",") if tag.strip()),
            min_duration=min_duration,
            max_duration=max_duration,
            archived=archived,
            sort=sort_by,
            ascending=sort_order == "asc",
        )
        position = _position(paging.cursor, wanted)
        async with begin(database, caller) as work:
            if position is None:
                shown, found = await usecases.list_conversations(
                    work, wanted, limit=paging.page_size, offset=paging.offset
                )
            else:
                shown, found = await usecases.list_conversations_after(work, wanted, position, limit=paging.page_size)
        views = [ConversationView.of(one, at=work.now) for one in shown]
        return Page.of(views, paging, found.total, next_cursor=_cursor(shown, found, wanted))

    @get("/{conversation_id:str}", guards=[requires("conversations:read")])
    async def read(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> ConversationView:
        """Get a conversation."""
        async with begin(database, caller) as work:
            conversation = await usecases.open_conversation(work, ConversationId(conversation_id), part="conversation")
        return ConversationView.of(conversation, at=work.now)

    @get("/{conversation_id:str}/messages", guards=[requires("conversations:read")])
    async def messages(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> MessagesView:
        """Get what was said, turn by turn; also while the conversation goes on."""
        async with begin(database, caller) as work:
            found = await usecases.open_turns(work, ConversationId(conversation_id), part="messages")
        return MessagesView.of(*found)

    @get("/{conversation_id:str}/transcript", guards=[requires("conversations:read")])
    async def transcript(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> TranscriptView:
        """Get what was said with the time of every word."""
        async with begin(database, caller) as work:
            found = await usecases.open_turns(work, ConversationId(conversation_id), part="transcript")
        return TranscriptView.of(*found)

    @get("/{conversation_id:str}/costs", guards=[requires("conversations:read")])
    async def costs(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> CostsView:
        """Get what a conversation cost, part by part."""
        async with begin(database, caller) as work:
            conversation = await usecases.open_conversation(work, ConversationId(conversation_id), part="costs")
        return CostsView.of(conversation)

    @get("/{conversation_id:str}/recording", guards=[requires("conversations:read")])
    async def recording(
        self,
        conversation_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        links: InjectedLinks,
        blobs: InjectedBlobs,
    ) -> RecordingView:
        """Get a link to the recording, good for an hour. 404 `recording-not-available` says why there is none. `parts` also has what the
        carrier recorded after the call was handed over, where the agent's `recording.afterTransfer` asks for it."""
        async with begin(database, caller) as work:
            found = await usecases.get_recording(work, ConversationId(conversation_id))
            further = await usecases.further_recordings(work, ConversationId(conversation_id))
        if await blobs.head(found.key) is None:  # a late recording is linked before it is composed
            raise usecases.no_recording(ConversationId(conversation_id), usecases.WhyNoRecording.PROCESSING)
        url, expires_at = links.link(found.key, at=work.now)
        parts = tuple((one, *links.link(one.key, at=work.now)) for one in further)
        return RecordingView.of(found, url=url, expires_at=expires_at, further=parts)

    @post("/{conversation_id:str}/tags", status_code=200, guards=[requires("conversations:write")])
    async def add_tags(
        self,
        conversation_id: FromPath[str],
        data: JSONBody[TagsBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> ConversationView:
        """Add tags; those that are there stay."""
        async with begin(database, caller) as work:
            conversation = await usecases.add_tags(work, ConversationId(conversation_id), data.tags)
        return ConversationView.of(conversation, at=work.now)

    @delete("/{conversation_id:str}/tags/{tag:str}", guards=[requires("conversations:write")])
    async def remove_tag(
        self, conversation_id: FromPath[str], tag: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> None:
        """Remove a tag."""
        async with begin(database, caller) as work:
            await usecases.remove_tag(work, ConversationId(conversation_id), tag)

    @put("/{conversation_id:str}/outcome", guards=[requires("conversations:write")])
    async def set_outcome(
        self,
        conversation_id: FromPath[str],
        data: JSONBody[OutcomeBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> ConversationView:
        """Say how a conversation turned out."""
        async with begin(database, caller) as work:
            conversation = await usecases.set_outcome(work, ConversationId(conversation_id), data.outcome, data.notes)
        return ConversationView.of(conversation, at=work.now)

    @post("/{conversation_id:str}/archive", status_code=200, guards=[requires("conversations:write")])
    async def archive(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> ConversationView:
        """Take a conversation out of the lists; it stays as it is and can be read by its id."""
        async with begin(database, caller) as work:
            conversation = await usecases.archive(work, ConversationId(conversation_id), archived=True)
        return ConversationView.of(conversation, at=work.now)

    @post("/{conversation_id:str}/unarchive", status_code=200, guards=[requires("conversations:write")])
    async def unarchive(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> ConversationView:
        """Put an archived conversation back into the lists."""
        async with begin(database, caller) as work:
            conversation = await usecases.archive(work, ConversationId(conversation_id), archived=False)
        return ConversationView.of(conversation, at=work.now)

    @delete("/{conversation_id:str}", guards=[requires("conversations:write"), requires(DELETE_CONVERSATIONS)])
    async def remove(
        self,
        conversation_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        blobs: InjectedBlobs,
    ) -> None:
        """Delete a conversation, its transcript and its recording for good."""
        async with begin(database, caller) as work:
            await usecases.delete_conversation(work, ConversationId(conversation_id))
            # Asked before the commit, so that storage that is away undoes the deletion and it can be tried again.
            keys = await usecases.recording_keys(blobs, caller.tenant_id, ConversationId(conversation_id))
        await blobs.delete(keys)


def _cursor(shown: Sequence[StoredConversation], found: Found, wanted: ConversationFilter) -> str | None:
    """Where the next page begins; None behind the last, and in lists that are not in the order of time."""
    if wanted.sort is not Sort.STARTED or not found.more or not shown:
        return None
    return cursor_of(shown[-1].started_at, shown[-1].id)


def _position(cursor: str | None, wanted: ConversationFilter) -> Position | None:
    if cursor is None:
        return None
    if wanted.sort is not Sort.STARTED:
        detail = "cursor: works in lists that are sorted by startedAt; use page."
        raise Invalid((FieldError(pointer="?cursor", code="not-allowed", detail=detail),))
    started_at, id = position_of(cursor, tuple[Annotated[datetime, msgspec.Meta(tz=True)], str])
    return Position(started_at=started_at, id=id)

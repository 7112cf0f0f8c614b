"""`/api/v1/conversations`."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from voisnap_domain.conversations import ConversationStatus
from voisnap_domain.errors import FieldError, Invalid
from voisnap_domain.ids import ConversationId
from voisnap_domain.sessions import Channel, Direction
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin
from voisnap_providers.ports.blobs import Blobs

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires
from voisnap_api.recordings.links import RecordingLinks

from . import usecases
from .records import ConversationFilter
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

_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")


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
            int | None, QueryParameter(name="minDuration", ge=0, description="At least so many seconds long")
        ] = None,
        sort_by: Annotated[str, QueryParameter(name="sortBy", description="startedAt")] = "startedAt",
        sort_order: Annotated[str, QueryParameter(name="sortOrder", description="asc or desc")] = "desc",
    ) -> Page[ConversationView]:
        """List conversations, newest first unless asked otherwise."""
        wanted = ConversationFilter(
            agent_id=agent_id,
            channel=channel,
            status=status,
            direction=direction,
            started_from=_moment("dateFrom", date_from, end=False),
            started_before=_moment("dateTo", date_to, end=True),
            outcome=outcome,
            tags=tuple(tag.strip() for tag in (tags or "").split(",") if tag.strip()),
            min_duration=min_duration,
            ascending=_is_ascending(sort_by, sort_order),
        )
        async with begin(database, caller) as work:
            found, total = await usecases.list_conversations(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([ConversationView.of(one, at=work.now) for one in found], paging, total)

    @get("/{conversation_id:str}", guards=[requires("conversations:read")])
    async def read(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> ConversationView:
        """Get a conversation."""
        async with begin(database, caller) as work:
            conversation = await usecases.get_conversation(work, ConversationId(conversation_id))
        return ConversationView.of(conversation, at=work.now)

    @get("/{conversation_id:str}/messages", guards=[requires("conversations:read")])
    async def messages(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> MessagesView:
        """Get what was said, turn by turn; also while the conversation goes on."""
        async with begin(database, caller) as work:
            return MessagesView.of(*await usecases.read_turns(work, ConversationId(conversation_id)))

    @get("/{conversation_id:str}/transcript", guards=[requires("conversations:read")])
    async def transcript(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> TranscriptView:
        """Get what was said with the time of every word."""
        async with begin(database, caller) as work:
            return TranscriptView.of(*await usecases.read_turns(work, ConversationId(conversation_id)))

    @get("/{conversation_id:str}/costs", guards=[requires("conversations:read")])
    async def costs(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> CostsView:
        """Get what a conversation cost, part by part."""
        async with begin(database, caller) as work:
            return CostsView.of(await usecases.get_conversation(work, ConversationId(conversation_id)))

    @get("/{conversation_id:str}/recording", guards=[requires("conversations:read")])
    async def recording(
        self,
        conversation_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        links: InjectedLinks,
        blobs: InjectedBlobs,
    ) -> RecordingView:
        """Get a link to the recording, good for an hour. 404 `recording-not-available` says why there is none."""
        async with begin(database, caller) as work:
            found = await usecases.get_recording(work, ConversationId(conversation_id))
        if await blobs.head(found.key) is None:  # a late recording is linked before it is composed
            raise usecases.no_recording(ConversationId(conversation_id), usecases.WhyNoRecording.PROCESSING)
        url, expires_at = links.link(found.key, at=work.now)
        return RecordingView.of(found, url=url, expires_at=expires_at)

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

    @delete("/{conversation_id:str}", guards=[requires("conversations:write")])
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


def _moment(name: str, text: str | None, *, end: bool) -> datetime | None:
    """A moment or a whole day of the query; an end is exclusive, so that a day is contained and a moment is too."""
    if not text:
        return None
    try:
        if _DAY.match(text):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), tzinfo=UTC)
            return day + timedelta(days=1) if end else day
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        detail = "Must be a day such as 2025-06-01 or a moment such as 2025-06-01T12:00:00Z."
        raise Invalid((FieldError(pointer=f"?{name}", code="invalid", detail=detail),)) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment + timedelta(microseconds=1) if end else moment


def _is_ascending(sort_by: str, sort_order: str) -> bool:
    if sort_by not in {"startedAt", "createdAt"}:
        raise Invalid((FieldError(pointer="?sortBy", code="not-allowed", detail="Must be startedAt."),))
    if sort_order not in {"asc", "desc"}:
        raise Invalid((FieldError(pointer="?sortOrder", code="not-allowed", detail="Must be one of asc, desc."),))
    return sort_order == "asc"

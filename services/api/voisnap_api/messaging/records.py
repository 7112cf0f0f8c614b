"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import AgentId, ContactId, ConversationId, MessageId, MessageThreadId, TenantId
from voisnap_domain.sessions import Channel, Direction, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import MessageState
from voisnap_providers.ports.messaging import MessageMedia, Price, Template


class State(StrEnum):
    """Where a message is. Of what came: `received` waits for an answer, `ignored` gets none. Of what goes out: `held` waits until the person
    writes again, `sending` is with the network, `unconfirmed` may have been sent and may not."""

    RECEIVED = "received"
    ANSWERED = "answered"
    IGNORED = "ignored"
    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    UNCONFIRMED = "unconfirmed"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"

    @property
    def told(self) -> MessageState:
        """As networks tell it."""
        return MessageState(self.value) if self.value in _TOLD else MessageState.QUEUED


_TOLD = frozenset(state.value for state in MessageState)


class Source(StrEnum):
    """Why there is a message: somebody `wrote`, `began` a chat without a word, or corrected (`edit`) another one; the agent's `reply` or its
    `tool`, a `notice` of ours (STOP, HELP, what can't be read), or the `api`."""

    WROTE = "wrote"
    BEGAN = "began"
    EDIT = "edit"
    REPLY = "reply"
    TOOL = "tool"
    NOTICE = "notice"
    API = "api"


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """One person at one address of ours. `plan` (JSON) is what the running conversation was opened with."""

    id: MessageThreadId
    tenant_id: TenantId
    environment: Environment
    contact_id: ContactId
    channel: Channel
    provider: str
    account: str
    our_address: str
    their_key: str
    their_address: str
    their_user_id: str | None = None
    agent_id: AgentId
    conversation_id: ConversationId | None = None
    plan: str | None = None
    last_at: datetime | None = None
    last_inbound_at: datetime | None = None
    attempts: int = 0
    created_at: datetime

    @property
    def running(self) -> SessionPlan | None:
        """What the conversation was opened with that was spoken of last, if any."""
        return None if self.plan is None else msgspec.json.decode(self.plan, type=SessionPlan)

    @property
    def their_addresses(self) -> tuple[str, ...]:
        """All that the person is reached by here."""
        return tuple(one for one in dict.fromkeys((self.their_address, self.their_user_id)) if one)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, either way."""

    id: MessageId
    tenant_id: TenantId
    environment: Environment
    thread_id: MessageThreadId
    conversation_id: ConversationId | None = None
    direction: Direction
    network_id: str | None = None
    dedupe: str | None = None
    source: Source
    text: str
    media: tuple[MessageMedia, ...] = ()
    template: Template | None = None
    reply_to: str | None = None
    is_edit: bool = False
    transcript: str | None = None
    exchange_id: str | None = None
    place: int = 0
    state: State
    failure: str | None = None
    code: str = ""
    detail: str = ""
    segments: int | None = None
    price: Price | None = None
    due_at: datetime | None = None
    attempts: int = 0
    created_by: str | None = None
    created_at: datetime
    sending_since: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    updated_at: datetime
    is_secret: bool = False
    """No word of it is kept longer than it is used (HIPAA)."""


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as lists show it, with what its thread says of it."""

    id: MessageId
    thread_id: MessageThreadId
    contact_id: ContactId
    agent_id: AgentId
    conversation_id: ConversationId | None
    channel: Channel
    provider: str
    direction: Direction
    our_address: str
    their_address: str
    their_user_id: str | None
    source: Source
    text: str
    media: tuple[MessageMedia, ...]
    template: Template | None
    is_edit: bool
    transcript: str | None
    state: State
    failure: str | None
    code: str
    detail: str
    segments: int | None
    price: Price | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


class MediaState(StrEnum):
    """Whether what came with a message is still to be fetched, kept, or will never be."""

    WAITING = "waiting"
    KEPT = "kept"
    REFUSED = "refused"


class KeptMedia(msgspec.Struct, frozen=True, kw_only=True):
    """What came with a message in a place, under its key in object storage (while it waits: without the ending)."""

    message_id: MessageId
    place: int
    state: MediaState
    key: str
    content_type: str | None = None
    size_bytes: int | None = None
    failure: str | None = None


class WaitingMedia(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be fetched, and from which account of which network."""

    message_id: MessageId
    place: int
    tenant_id: TenantId
    environment: Environment
    key: str
    attempts: int
    provider: str
    account: str
    media: MessageMedia


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages; None means all."""

    conversation_id: str | None = None
    thread_id: str | None = None
    contact_id: str | None = None
    agent_id: str | None = None
    channel: str | None = None
    direction: str | None = None
    state: str | None = None


class MessageCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many segments of a kind a conversation had with somebody; `tariff` where the network prices what has arrived by one."""

    channel: Channel
    direction: Direction
    provider: str
    account: str
    their_address: str
    their_user_id: str | None
    tariff: str | None
    segments: int


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One of our addresses at a network: whose it is, and who answers there."""

    tenant_id: TenantId
    environment: Environment
    agent_id: AgentId
    channel: Channel
    provider: str
    account: str
    address: str

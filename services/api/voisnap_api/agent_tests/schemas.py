"""Tests of agents on the wire."""

from typing import Annotated, Any

import msgspec
from voisnap_domain.rehearsals import MAX_LINE_CHARS, MAX_LINES
from voisnap_domain.sessions import Channel

from voisnap_api.wire import Body, View, instant

from .records import Standing, TestStatus

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LINE_CHARS, pattern=r"\S")]
Number = Annotated[int, msgspec.Meta(ge=1, le=2_147_483_647)]


class TestBody(Body, frozen=True, kw_only=True):
    """On which channel to try an agent out. `phone` needs a `phoneNumber` (E.164); in live sms, whatsapp and telegram do, too.

    `version`: the number of a version or `draft` for the newest; without it, the version that talks. `script`: what the simulated caller
    says; without it, a few lines that fit the agent and the metadata's `testScenario`.
    """

    channel: Channel
    phone_number: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    version: Number | str | None = None
    script: Annotated[tuple[Line, ...], msgspec.Meta(max_length=MAX_LINES)] = ()


class TestStarted(View, frozen=True, kw_only=True):
    """A test has begun."""

    test_session_id: str
    status: TestStatus
    estimated_connect_seconds: int


class TestView(View, frozen=True, kw_only=True):
    """A test and where it stands. The conversation can be read while it goes on; that of a test that calls or writes to somebody is
    empty until he answers. `outboundCallId`, `messageId`: the call or the message that this was."""

    test_session_id: str
    status: TestStatus
    agent_id: str
    agent_version: int
    channel: Channel
    phone_number: str | None
    metadata: dict[str, Any]
    simulated: bool
    conversation_id: str
    outbound_call_id: str | None
    message_id: str | None
    created_at: str
    created_by: str | None

    @classmethod
    def of(cls, standing: Standing) -> "TestView":
        test = standing.test
        return cls(
            test_session_id=test.id,
            status=standing.status,
            agent_id=test.agent_id,
            agent_version=test.agent_version,
            channel=test.channel,
            phone_number=test.phone_number,
            metadata=test.metadata,
            simulated=test.is_simulated,
            conversation_id=standing.conversation_id or "",
            outbound_call_id=test.outbound_call_id,
            message_id=test.message_id,
            created_at=instant(test.created_at),
            created_by=test.created_by,
        )

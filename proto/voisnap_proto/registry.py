"""Who says which event and who listens: the table behind SUBJECTS.md and asyncapi.json, with an example of each.

A test holds this against the code: a tag that is missing here, or here only, fails.
"""

from datetime import UTC, datetime

import msgspec
from voisnap_domain.agents import AgentConfig, AgentSnapshot, Llm, Persona, Transcription, Voice
from voisnap_domain.calls import AnsweredBy, CallPhase, TransferMode, TransferStage
from voisnap_domain.conversations import CallQuality, RecordingInfo, Speaker, Turn, TurnLatency, Word
from voisnap_domain.costs import LegKind, Usage, UsageLeg
from voisnap_domain.ids import (
    AgentId,
    ContactId,
    ConversationId,
    MessageId,
    MessageThreadId,
    NodeId,
    SessionId,
    TenantId,
    UserId,
)
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment, Owner, Tenant, TenantStatus, UsageLimits

from . import events


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One event: its type, the service that says it, the consumers by durable name, an example without customer data."""

    event: type
    producer: str
    consumers: tuple[str, ...]
    example: events.Event


_AT = datetime(2026, 1, 2, 9, 30, tzinfo=UTC)
_TENANT_ID = TenantId("ten_01JGKZ0000000000000000TEN1")
_SESSION_ID = SessionId("wrtc_01JGKZ0000000000000000SES1")
_CONVERSATION_ID = ConversationId("conv_01JGKZ0000000000000000CNV1")
_AGENT_ID = AgentId("agt_01JGKZ0000000000000000AGT1")
_TENANT = Tenant(
    id=_TENANT_ID,
    name="Example Ltd",
    slug="example",
    status=TenantStatus.ACTIVE,
    plan="professional",
    agency_id=None,
    billing_mode="self_billed",
    usage_limits=UsageLimits(max_concurrent_calls=20),
    owner=Owner(id="usr_01JGKZ0000000000000000USR1", email="owner@example.com", name="Example Owner"),
    created_at=_AT,
    updated_at=_AT,
)
_PLAN = SessionPlan(
    session_id=_SESSION_ID,
    conversation_id=_CONVERSATION_ID,
    tenant_id=_TENANT_ID,
    environment=Environment.LIVE,
    channel=Channel.WEBRTC,
    direction=Direction.INBOUND,
    agent=AgentSnapshot(
        agent_id=_AGENT_ID,
        version=3,
        config=AgentConfig(
            name="Example agent",
            persona=Persona(name="Aria"),
            voice=Voice(provider="local", voice_id="heart"),  # pyright: ignore[reportArgumentType] # decoded form of the wire
            llm=Llm(provider="local", model="brain"),  # pyright: ignore[reportArgumentType]
            transcription=Transcription(provider="local"),  # pyright: ignore[reportArgumentType]
            system_prompt_template="You are Aria. We open at nine.",
        ),
    ),
    created_at=_AT,
)

TOPICS: tuple[Topic, ...] = (
    Topic(
        event=events.TenantCreated,
        producer="admin",
        consumers=("api-tenants",),
        example=events.TenantCreated(tenant_id=_TENANT_ID, tenant=_TENANT),
    ),
    Topic(
        event=events.TenantUpdated,
        producer="admin",
        consumers=("api-tenants",),
        example=events.TenantUpdated(tenant_id=_TENANT_ID, tenant=_TENANT),
    ),
    Topic(
        event=events.TenantSuspended,
        producer="admin",
        consumers=("api-tenants",),
        example=events.TenantSuspended(tenant_id=_TENANT_ID, tenant=_TENANT, reason="unpaid"),
    ),
    Topic(
        event=events.TenantResumed,
        producer="admin",
        consumers=("api-tenants",),
        example=events.TenantResumed(tenant_id=_TENANT_ID, tenant=_TENANT),
    ),
    Topic(
        event=events.TenantDeleted,
        producer="admin",
        consumers=("api-tenants",),
        example=events.TenantDeleted(tenant_id=_TENANT_ID, tenant=_TENANT),
    ),
    Topic(
        event=events.AgentChanged,
        producer="api",
        consumers=(),
        example=events.AgentChanged(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            agent_id=_AGENT_ID,
            version=3,
            change="published",
            by=UserId("usr_01JGKZ0000000000000000USR1"),
        ),
    ),
    Topic(
        event=events.SessionStarted,
        producer="runtime",
        consumers=("api-conversations", "api-contacts"),
        example=events.SessionStarted(
            tenant_id=_TENANT_ID,
            session_id=_SESSION_ID,
            conversation_id=_CONVERSATION_ID,
            node_id=NodeId("node_1"),
            plan=_PLAN,
            started_at=_AT,
        ),
    ),
    Topic(
        event=events.TurnFinished,
        producer="runtime",
        consumers=("api-conversations",),
        example=events.TurnFinished(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=_SESSION_ID,
            conversation_id=_CONVERSATION_ID,
            turn=Turn(
                sequence=1,
                speaker=Speaker.AGENT,
                text="Hello!",
                start_time=0.0,
                end_time=0.4,
                confidence=1.0,
                words=(Word(word="Hello!", start_time=0.0, end_time=0.38, confidence=1.0),),
                latency=TurnLatency(total_ms=710, endpointing_ms=500, stt_ms=20, llm_ms=90, tts_ms=80, platform_ms=20),
            ),
        ),
    ),
    Topic(
        event=events.SessionEnded,
        producer="runtime",
        consumers=("api-conversations", "api-analysis"),
        example=events.SessionEnded(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=_SESSION_ID,
            conversation_id=_CONVERSATION_ID,
            plan=_PLAN,
            started_at=_AT,
            ended_at=_AT,
            duration_seconds=42.5,
            reason=EndReason.USER_ENDED,
            turns=5,
            usage=Usage.of(
                (
                    UsageLeg(
                        kind=LegKind.LLM,
                        provider="openai",
                        model="gpt-4o",
                        requests=2,
                        input_tokens=1240,
                        cached_tokens=1024,
                        output_tokens=40,
                    ),
                    UsageLeg(
                        kind=LegKind.LLM,
                        provider="local",
                        model="brain",
                        requests=1,
                        input_tokens=120,
                        output_tokens=12,
                        estimated=True,
                    ),
                    UsageLeg(kind=LegKind.TTS, provider="local", voice="heart", requests=3, characters=310),
                    UsageLeg(kind=LegKind.STT, provider="local", requests=1, audio_seconds=12.4, session_seconds=42.5),
                )
            ),
            quality=CallQuality(packets_received=2000),
            recording=RecordingInfo(
                key="recordings/ten_1/conv_1.mp3", format="mp3", duration_seconds=42.5, size_bytes=340000
            ),
        ),
    ),
    Topic(
        event=events.AnalysisRequested,
        producer="api",
        consumers=("api-analysis",),
        example=events.AnalysisRequested(
            tenant_id=_TENANT_ID, environment=Environment.LIVE, conversation_id=_CONVERSATION_ID
        ),
    ),
    Topic(
        event=events.CallProgressed,
        producer="api",
        consumers=("api-outbound-calls",),
        example=events.CallProgressed(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=SessionId("call_01JGKZ0000000000000000SES2"),
            provider="twilio",
            account="platform",
            call_id="CA00000000000000000000000000000001",
            phase=CallPhase.COMPLETED,
            at=_AT,
            attempt_id="att_01JGKZ0000000000000000ATT1",
            seconds=42.0,
        ),
    ),
    Topic(
        event=events.AnswererDetected,
        producer="api",
        consumers=("api-outbound-calls",),
        example=events.AnswererDetected(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=SessionId("call_01JGKZ0000000000000000SES2"),
            attempt_id="att_01JGKZ0000000000000000ATT1",
            answered_by=AnsweredBy.HUMAN,
            at=_AT,
        ),
    ),
    Topic(
        event=events.CallTransferChanged,
        producer="runtime",
        consumers=("api-call-transfers",),
        example=events.CallTransferChanged(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=SessionId("call_01JGKZ0000000000000000SES2"),
            conversation_id=_CONVERSATION_ID,
            agent_id=_AGENT_ID,
            transfer_id="xfer_01JGKZ0000000000000000XFR1",
            stage=TransferStage.INITIATED,
            mode=TransferMode.WARM,
            to="+14155550123",
            name="Billing",
            requested_by="agent",
            at=_AT,
            reason="The caller disputes an invoice.",
        ),
    ),
    Topic(
        event=events.MessageReceived,
        producer="api",
        consumers=("api-message-exchanges",),
        example=events.MessageReceived(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            message_id=MessageId("msg_01JGKZ0000000000000000MSG1"),
            thread_id=MessageThreadId("thr_01JGKZ0000000000000000THR1"),
            contact_id=ContactId("cont_01JGKZ0000000000000000CNT1"),
            agent_id=_AGENT_ID,
            channel=Channel.SMS,
            at=_AT,
        ),
    ),
    Topic(
        event=events.TextRequested,
        producer="runtime",
        consumers=("api-messages",),
        example=events.TextRequested(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=SessionId("call_01JGKZ0000000000000000SES2"),
            conversation_id=_CONVERSATION_ID,
            agent_id=_AGENT_ID,
            request_id="call_01JGKZ0000000000000000SES2:tool_1",
            phone_number="+14155550123",
            text="Here is the link: https://example.com/book",
            at=_AT,
        ),
    ),
    Topic(
        event=events.CallsDeclined,
        producer="runtime",
        consumers=("api-outbound-calls",),
        example=events.CallsDeclined(
            tenant_id=_TENANT_ID,
            environment=Environment.LIVE,
            session_id=SessionId("call_01JGKZ0000000000000000SES2"),
            conversation_id=_CONVERSATION_ID,
            phone_number="+14155550123",
        ),
    ),
)

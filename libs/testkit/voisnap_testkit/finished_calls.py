"""The events of one finished call, as the runtime tells them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from voisnap_domain.agents import (
    AgentConfig,
    AgentSnapshot,
    Llm,
    LlmProvider,
    Persona,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.conversations import CallQuality, RecordingInfo, Speaker, Turn, TurnLatency, Word
from voisnap_domain.costs import LlmUsage, SttUsage, TelephonyUsage, TtsUsage, Usage
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit.ids import new_id
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished

NOW = datetime.now(UTC).replace(microsecond=0)
WORDS = (
    Word(word="Hello!", start_time=0.0, end_time=0.38, confidence=0.99),
    Word(word="Thanks", start_time=0.5, end_time=0.82, confidence=0.98),
)
AGENT_TURN = Turn(
    sequence=1, speaker=Speaker.AGENT, text="Hello! Thanks", start_time=0.0, end_time=3.2, confidence=0.99, words=WORDS
)
USER_TURN = Turn(
    sequence=2,
    speaker=Speaker.USER,
    text="Hi.",
    start_time=3.8,
    end_time=6.4,
    confidence=0.96,
    latency=TurnLatency(total_ms=700, endpointing_ms=500, stt_ms=20, llm_ms=80, tts_ms=80, platform_ms=20),
)
USAGE = Usage(
    llm=LlmUsage(provider="openai", model="gpt-4o", input_tokens=1840, output_tokens=620),
    tts=TtsUsage(provider="elevenlabs", characters=2340),
    stt=SttUsage(provider="deepgram", model="nova-2", audio_seconds=108),
    telephony=TelephonyUsage(provider="twilio", seconds=227),
)


class Call:
    """The events of one conversation; `config` changes the agent's."""

    def __init__(
        self,
        *,
        tenant_id: str = "ten_a",
        agent_id: str = "agt_1",
        channel: Channel = Channel.WEBRTC,
        started_at: datetime = NOW,
        **config: Any,
    ) -> None:
        self.started_at = started_at
        values: dict[str, Any] = {
            "name": "Aria",
            "persona": Persona(name="Aria"),
            "voice": Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
            "llm": Llm(provider=LlmProvider.LOCAL, model="brain"),
            "transcription": Transcription(provider=TranscriptionProvider.LOCAL),
            "system_prompt_template": "You are Aria.",
        }
        self.plan = SessionPlan(
            session_id=SessionId(new_id("wrtc")),
            conversation_id=ConversationId(new_id("conv")),
            tenant_id=TenantId(tenant_id),
            environment=Environment.LIVE,
            channel=channel,
            direction=Direction.INBOUND,
            agent=AgentSnapshot(agent_id=AgentId(agent_id), version=3, config=AgentConfig(**(values | config))),
            metadata={"customerId": "cust_1", "campaignId": None},
            created_at=started_at,
        )
        self.id = self.plan.conversation_id
        self.url = f"/api/v1/conversations/{self.id}"

    @property
    def started(self) -> SessionStarted:
        return SessionStarted(
            tenant_id=self.plan.tenant_id,
            session_id=self.plan.session_id,
            conversation_id=self.id,
            node_id=NodeId("node_1"),
            plan=self.plan,
            started_at=self.started_at,
        )

    def turn(self, turn: Turn) -> TurnFinished:
        return TurnFinished(
            tenant_id=self.plan.tenant_id,
            environment=self.plan.environment,
            session_id=self.plan.session_id,
            conversation_id=self.id,
            turn=turn,
        )

    def ended(self, **changes: Any) -> SessionEnded:
        values: dict[str, Any] = {
            "tenant_id": self.plan.tenant_id,
            "environment": self.plan.environment,
            "session_id": self.plan.session_id,
            "conversation_id": self.id,
            "plan": self.plan,
            "started_at": self.started_at,
            "ended_at": self.started_at + timedelta(seconds=227),
            "duration_seconds": 227.4,
            "reason": EndReason.USER_ENDED,
            "turns": 2,
            "usage": USAGE,
            "quality": CallQuality(packets_received=100),
            "recording": RecordingInfo(
                key=f"recordings/{self.plan.tenant_id}/{self.id}.mp3",
                format="mp3",
                duration_seconds=227.4,
                size_bytes=20,
            ),
        }
        return SessionEnded(**(values | changes))

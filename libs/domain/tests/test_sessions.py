from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
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
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.sessions import (
    TRANSITIONS,
    Channel,
    Direction,
    EndReason,
    IllegalMove,
    Session,
    SessionPlan,
    SessionState,
)
from voisnap_domain.tenants import Environment

pytestmark = pytest.mark.unit

AT = datetime(2026, 1, 1, tzinfo=UTC)


def config() -> AgentConfig:
    return AgentConfig(
        name="Desk",
        persona=Persona(name="Ada"),
        voice=Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
        llm=Llm(provider=LlmProvider.LOCAL, model="brain"),
        transcription=Transcription(provider=TranscriptionProvider.LOCAL),
        system_prompt_template="We open at nine.",
    )


def session(state: SessionState) -> Session:
    plan = SessionPlan(
        session_id=SessionId("wrtc_1"),
        conversation_id=ConversationId("conv_1"),
        tenant_id=TenantId("ten_1"),
        environment=Environment.LIVE,
        channel=Channel.WEBRTC,
        direction=Direction.INBOUND,
        agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=1, config=config()),
        created_at=AT,
    )
    return Session(plan=plan, state=state, revision=4, deadline=AT + timedelta(minutes=10))


@pytest.mark.parametrize(("start", "to"), list(product(SessionState, SessionState)))
def test_only_the_moves_of_the_table_happen(start: SessionState, to: SessionState) -> None:
    before = session(start)

    if to in TRANSITIONS[start]:
        after = before.moved(to, reason=EndReason.USER_ENDED, at=AT)
        assert (to, 5) == (after.state, after.revision)
    else:
        with pytest.raises(IllegalMove):
            before.moved(to, at=AT)


def test_every_state_can_reach_the_end() -> None:
    for start in SessionState:
        reached, frontier = {start}, [start]
        while frontier:
            for state in TRANSITIONS[frontier.pop()] - reached:
                reached.add(state)
                frontier.append(state)
        assert SessionState.ENDED in reached


def test_first_end_reason_is_kept() -> None:
    ending = session(SessionState.ACTIVE).moved(SessionState.ENDING, reason=EndReason.MAX_DURATION)

    ended = ending.moved(SessionState.ENDED, reason=EndReason.USER_ENDED, at=AT)

    assert (ended.end_reason, ended.ended_at) == (EndReason.MAX_DURATION, AT)


def test_conversation_time_starts_at_the_first_connection_only() -> None:
    active = session(SessionState.CONNECTING).moved(SessionState.ACTIVE, at=AT)
    again = active.moved(SessionState.RECONNECTING).moved(SessionState.ACTIVE, at=AT + timedelta(seconds=20))

    assert (active.connected_at, again.connected_at) == (AT, AT)


def test_claim_raises_the_revision_so_that_a_rival_loses() -> None:
    claimed = session(SessionState.CREATED).claimed(NodeId("node_a"), lease_until=AT)

    assert (NodeId("node_a"), AT, 5) == (claimed.owner, claimed.lease_until, claimed.revision)

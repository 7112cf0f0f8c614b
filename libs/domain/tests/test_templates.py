from datetime import UTC, datetime

import msgspec
import pytest
from voisnap_domain.agents import AgentConfig, AgentSnapshot
from voisnap_domain.sessions import Direction, SessionPlan
from voisnap_domain.templates import MAX_VALUE_CHARS, render, variables_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("template", "text", "unknown"),
    [
        ("Hello {{name}}!", "Hello Ann!", ()),
        ("Hello {{ name }}!", "Hello Ann!", ()),
        ("Hello {{nmae}}!", "Hello !", ("nmae",)),
        ("Hello {{nmae|there}}!", "Hello there!", ()),
        ("Hello {{ nmae | there you }}!", "Hello there you!", ()),
        ("{{empty|default}}", "default", ()),
        ("{{empty}}", "", ()),
        ("{{none|default}}", "default", ()),
        ("{{a}} {{b}} {{a}}", "  ", ("a", "b")),
        ("{{count}} {{price}} {{flag}} {{list}}", "3 1.5 yes x, 2", ()),
        ("{{order.id}} {{order.address.city}}", "A1 Bonn", ()),
        ("{{order.nothing}}", "", ("order.nothing",)),
        ("{{ 1name }} { {name} } {name}", "{{ 1name }} { {name} } {name}", ()),
        ("{{injected}}", "{{name}}", ()),
        ("{{name|}}", "Ann", ()),
        ("{{nmae|}}", "", ()),
    ],
)
def test_a_template_is_filled(template, text, unknown):
    variables = {
        "name": "Ann",
        "empty": "",
        "none": None,
        "count": 3,
        "price": 1.5,
        "flag": True,
        "list": ["x", 2],
        "order": {"id": "A1", "address": {"city": "Bonn"}},
        "injected": "{{name}}",
    }
    rendered = render(template, variables)
    assert (rendered.text, rendered.unknown) == (text, unknown)


def test_a_long_value_is_cut():
    assert len(render("{{text}}", {"text": "x" * 10_000}).text) == MAX_VALUE_CHARS


def test_metadata_wins_over_the_agents_variables_and_built_ins_over_both():
    plan = plan_of(
        variables={"shop": "old", "city": "Bonn", "channel": "mine"},
        metadata={"shop": "new", "agentName": "Eve"},
    )
    variables = variables_of(plan, now=datetime(2026, 11, 21, 15, 5, tzinfo=UTC))
    assert render("{{shop}} {{city}} {{channel}} {{agentName}}", variables).text == "new Bonn webrtc Aria"
    assert render("{{date}}, {{time}} {{timezone}}", variables).text == "Saturday, November 21, 2026, 3:05 PM UTC"
    assert render("{{conversationId}}", variables).text == "conv_1"


def test_the_caller_is_who_calls():
    inbound = plan_of(metadata={"calledNumber": "+1555"}, caller={"phone_number": "+1444"})
    outbound = msgspec.structs.replace(inbound, direction=Direction.OUTBOUND)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert render("{{callerNumber}} {{calledNumber}}", variables_of(inbound, now=now)).text == "+1444 +1555"
    assert render("{{callerNumber}} {{calledNumber}}", variables_of(outbound, now=now)).text == "+1555 +1444"


def plan_of(*, variables=None, metadata=None, caller=None) -> SessionPlan:
    config = {
        "name": "Aria",
        "persona": {"name": "Aria"},
        "voice": {"provider": "local", "voice_id": "heart"},
        "llm": {"provider": "local", "model": "local"},
        "transcription": {"provider": "local"},
        "system_prompt_template": "x",
        "variables": variables or {},
    }
    snapshot = AgentSnapshot(agent_id="agt_1", version=1, config=msgspec.convert(config, AgentConfig))
    plan = {
        "session_id": "wrtc_1",
        "conversation_id": "conv_1",
        "tenant_id": "ten_1",
        "environment": "live",
        "channel": "webrtc",
        "direction": "inbound",
        "agent": msgspec.to_builtins(snapshot),
        "caller": caller or {},
        "metadata": metadata or {},
        "created_at": "2026-11-21T00:00:00Z",
    }
    return msgspec.convert(plan, SessionPlan)

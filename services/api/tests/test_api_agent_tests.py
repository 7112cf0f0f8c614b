"""`POST /api/v1/agents/{agentId}/test` over HTTP, with a runtime that answers; and sums over an agent's conversations."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from voisnap_api.agent_tests.clients import RehearsalLines
from voisnap_api.agents.usecases import talking_version
from voisnap_api.conversations.records import AnalysisSummary
from voisnap_api.conversations.usecases import store_analysis
from voisnap_api.messaging.networks import Networks
from voisnap_api.messaging.records import State
from voisnap_api.phone_numbers import store as numbers
from voisnap_api.phone_numbers.records import LineSource, LineStatus, PhoneLine
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.conversations import CallQuality, Speaker, Turn
from voisnap_domain.costs import LlmUsage, Usage
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import AgentId, ConversationId, NodeId, PhoneNumberId, SessionId, TenantId
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import TextLimit
from voisnap_kit.ids import new_id
from voisnap_kit.work import Caller, begin
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_proto.requests import END_SESSION, EndSession, SessionEnding
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import Dial
from voisnap_providers.ports.messaging import MessagingCapabilities
from voisnap_providers.ports.numbers import NumberFeature

pytestmark = pytest.mark.slice

CALL = {"channel": "phone", "phoneNumber": "+14155550100", "metadata": {"testScenario": "billing-inquiry"}}


@pytest.fixture
def sandbox(api):
    return api.token("ten_a", environment=Environment.SANDBOX)


async def drafted(api, headers, **changes: Any) -> str:
    body = {
        "name": "Aria",
        "persona": {"name": "Aria"},
        "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
        "llm": {"provider": "openai", "model": "gpt-4o"},
        "transcription": {"provider": "deepgram"},
        "systemPromptTemplate": "We bill monthly. We open at nine.",
    }
    answer = await api.client.post("/api/v1/agents", json=body | changes, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def test_a_test_has_the_documented_shape_and_a_caller_with_a_scenario(api, sandbox):
    url = await drafted(api, sandbox)
    await api.start_runtime()
    answer = await api.client.post(f"{url}/test", json=CALL, headers=sandbox)
    assert answer.status_code == 202, answer.text
    started = answer.json()
    assert (set(started), started["status"]) == ({"testSessionId", "status", "estimatedConnectSeconds"}, "initiated")
    assert started["testSessionId"].startswith("test_")
    request = api.opened[0]
    assert (request.plan.channel, request.plan.direction) == (Channel.PHONE, Direction.OUTBOUND)
    assert (request.plan.environment, request.plan.caller.phone_number) == (Environment.SANDBOX, "+14155550100")
    assert request.plan.metadata == {
        "testScenario": "billing-inquiry",
        "testSessionId": started["testSessionId"],
        "simulated": True,
    }
    assert request.rehearsal.lines == (
        "Hi, I'm calling about billing inquiry.",
        "I have a question about my last invoice.",
        "What are your opening hours?",
        "That's all. Thank you, goodbye.",
    )


async def test_a_test_stands_where_its_conversation_stands(api, sandbox):
    await api.follow()
    url = await drafted(api, sandbox)
    await api.start_runtime()
    posted = await api.client.post(f"{url}/test", json={"channel": "webrtc", "script": ["Hello."]}, headers=sandbox)
    place, plan = posted.headers["location"], api.opened[0].plan
    assert api.opened[0].rehearsal.lines == ("Hello.",)
    before = (await api.client.get(place, headers=sandbox)).json()
    assert (before["status"], before["conversationId"]) == ("initiated", plan.conversation_id)
    assert (before["simulated"], before["channel"], before["agentVersion"]) == (True, "webrtc", 1)
    await api.tell(started(plan))
    assert (await api.client.get(place, headers=sandbox)).json()["status"] == "in_progress"
    await api.tell(ended(plan, turns=0))
    assert (await api.client.get(place, headers=sandbox)).json()["status"] == "completed"
    listed = (await api.client.get(f"{url}/tests", headers=sandbox)).json()
    assert (listed["total"], listed["data"][0]["testSessionId"]) == (1, posted.json()["testSessionId"])
    for stranger in (api.token("ten_b", environment=Environment.SANDBOX), api.token("ten_a")):
        assert (await api.client.get(place, headers=stranger)).status_code == 404
    other = await drafted(api, sandbox)
    assert (await api.client.get(f"{other}/tests/{posted.json()['testSessionId']}", headers=sandbox)).status_code == 404


async def test_in_live_nobody_is_called_without_a_carrier(api):
    headers = api.token("ten_a")
    url = await drafted(api, headers)
    await api.start_runtime()
    for channel in ("phone", "sms", "whatsapp", "telegram"):
        answer = await api.client.post(f"{url}/test", json=CALL | {"channel": channel}, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (
            409,
            "https://docs.voisnap.ai/errors/carrier-not-configured",
        )
    assert api.opened == []
    for channel in ("webrtc", "webchat"):
        answer = await api.client.post(f"{url}/test", json={"channel": channel}, headers=headers)
        assert answer.status_code == 202, answer.text
    assert [request.plan.metadata["simulated"] for request in api.opened] == [True, True]


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"channel": "fax"}, {"/channel"}),
        ({"phoneNumber": None}, {"/phoneNumber"}),
        ({"phoneNumber": "0170 123"}, {"/phoneNumber"}),
        ({"phoneNumber": "+1415"}, {"/phoneNumber"}),
        ({"phoneNumber": "+1" + "2" * 15}, {"/phoneNumber"}),
        ({"phoneNumber": "+٤٤٢٠٧٩٤٦٠٩٥٨"}, {"/phoneNumber"}),
        ({"metadata": {"x": "y" * 16_400}}, {"/metadata"}),
        ({"metadata": {"x": "y" * 16_400}, "phoneNumber": "1"}, {"/metadata", "/phoneNumber"}),
        ({"metadata": []}, {"/metadata"}),
        ({"version": "newest"}, {"/version"}),
        ({"version": 0}, {"/version"}),
        ({"script": ["x"] * 21}, {"/script"}),
        ({"script": ["x" * 501, " "]}, {"/script/0", "/script/1"}),
        ({"number": "x"}, {"/number"}),
    ],
)
async def test_what_makes_no_sense_is_refused_with_every_fault(api, sandbox, change, pointers):
    url = await drafted(api, sandbox)
    await api.start_runtime()
    answer = await api.client.post(f"{url}/test", json=CALL | change, headers=sandbox)
    assert answer.status_code == 422, answer.text
    assert {fault["pointer"] for fault in answer.json()["errors"]} == pointers
    assert api.opened == []


async def test_metadata_may_be_as_large_as_a_sessions(api, sandbox):
    url = await drafted(api, sandbox)
    await api.start_runtime()
    metadata = {"x": "y" * (16_384 - len('{"x":""}'))}
    answer = await api.client.post(f"{url}/test", json={"channel": "webchat", "metadata": metadata}, headers=sandbox)
    assert answer.status_code == 202, answer.text


async def test_any_version_of_an_agent_can_be_tried_out(api, sandbox):
    url = await drafted(api, sandbox, firstMessage="one")
    await api.start_runtime()
    await api.client.post(f"{url}/publish", headers=sandbox)
    await api.client.patch(url, json={"firstMessage": "two"}, headers=sandbox)
    await api.client.patch(url, json={"firstMessage": "three"}, headers=sandbox)
    for version in (None, "draft", 2, "2"):
        body = {"channel": "webrtc"} | ({} if version is None else {"version": version})
        assert (await api.client.post(f"{url}/test", json=body, headers=sandbox)).status_code == 202
    spoken = [request.plan.agent.config.first_message for request in api.opened]
    assert spoken == ["one", "three", "two", "two"]
    missing = await api.client.post(f"{url}/test", json={"channel": "webrtc", "version": 9}, headers=sandbox)
    assert missing.status_code == 404


async def test_what_the_runtime_refuses_is_told_and_not_kept(api, sandbox):
    url = await drafted(api, sandbox)

    def full(_request: Any) -> Any:
        raise LimitReached("full", code="node-full")

    assert (await api.client.post(f"{url}/test", json=CALL, headers=sandbox)).status_code == 503
    await api.start_runtime(full)
    assert (await api.client.post(f"{url}/test", json=CALL, headers=sandbox)).status_code == 503
    assert (await api.client.get(f"{url}/tests", headers=sandbox)).json()["total"] == 0


async def test_tests_need_the_right_to_write(api, sandbox):
    url = await drafted(api, sandbox)
    reader = api.token("ten_a", environment=Environment.SANDBOX, scopes=frozenset({"agents:read"}))
    assert (await api.client.post(f"{url}/test", json=CALL, headers=reader)).status_code == 403
    assert (await api.client.get(f"{url}/tests", headers=reader)).status_code == 200


async def test_channels_say_what_is_different_there(api, sandbox):
    channels = {
        "phone": {"firstMessage": "You called.", "systemPromptAppend": "Be brief.", "maxDurationSeconds": 60},
        "webchat": {"enabled": False},
        "sms": {"firstMessage": ""},
    }
    url = await drafted(api, sandbox, firstMessage="Hello.", channels=channels)
    await api.start_runtime()
    for channel in ("phone", "webrtc", "sms"):
        assert (await api.client.post(f"{url}/test", json=CALL | {"channel": channel}, headers=sandbox)).is_success
    configs = [request.plan.agent.config for request in api.opened]
    assert [(config.first_message, config.max_duration_seconds) for config in configs] == [
        ("You called.", 60),
        ("Hello.", 600),
        ("", 600),
    ]
    assert [config.system_prompt_template.endswith("nine.\n\nBe brief.") for config in configs] == [True, False, False]
    refused = await api.client.post(f"{url}/test", json={"channel": "webchat"}, headers=sandbox)
    assert (refused.status_code, refused.json()["type"]) == (409, "https://docs.voisnap.ai/errors/channel-disabled")


# Sums


def started(plan: SessionPlan) -> SessionStarted:
    return SessionStarted(
        tenant_id=plan.tenant_id,
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        node_id=NodeId("node_1"),
        plan=plan,
        started_at=plan.created_at,
    )


def ended(plan: SessionPlan, *, turns: int, seconds: float = 60, reason: EndReason = EndReason.AGENT_ENDED) -> Any:
    return SessionEnded(
        tenant_id=plan.tenant_id,
        environment=plan.environment,
        session_id=plan.session_id,
        conversation_id=plan.conversation_id,
        plan=plan,
        started_at=plan.created_at,
        ended_at=plan.created_at + timedelta(seconds=seconds),
        duration_seconds=seconds,
        reason=reason,
        turns=turns,
        usage=Usage(llm=LlmUsage(provider="openai", model="gpt-4o", input_tokens=10_000, output_tokens=1000)),
        quality=CallQuality(),
        recording=None,
    )


async def held(api, agent: dict[str, Any], day: str, channel: Channel, **end: Any) -> str:
    """A conversation that went by."""
    caller = Caller.system(TenantId("ten_a"), Environment.LIVE)
    async with begin(api.database, caller) as work:
        snapshot = await talking_version(work, agent["id"])
    plan = SessionPlan(
        session_id=SessionId(new_id("call")),
        conversation_id=ConversationId(new_id("conv")),
        tenant_id=caller.tenant_id,
        environment=Environment.LIVE,
        channel=channel,
        direction=Direction.INBOUND,
        agent=snapshot,
        created_at=datetime.fromisoformat(day).replace(tzinfo=UTC),
    )
    await api.tell(started(plan))
    if "heard" in end:
        turn = Turn(sequence=1, speaker=Speaker.USER, text=end.pop("heard"), start_time=0, end_time=1, confidence=1)
        told = TurnFinished(
            tenant_id=plan.tenant_id,
            environment=plan.environment,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            turn=turn,
        )
        await api.tell(told)
        await api.tell(msgspec.structs.replace(ended(plan, turns=1, **end)))
    elif end:
        await api.tell(ended(plan, turns=0, **end))
    return plan.conversation_id


async def test_stats_sum_up_the_conversations_of_a_period(api):
    await api.follow()
    headers = api.token("ten_a")
    agent, other = await api.add_agent(headers), await api.add_agent(headers)
    resolved = await held(api, agent, "2026-11-01T00:00:00", Channel.PHONE, heard="Hi.", seconds=100)
    browsed = await held(api, agent, "2026-11-30T23:59:59", Channel.WEBRTC, heard="Hi.", seconds=51)
    await held(api, agent, "2026-11-15T12:00:00", Channel.PHONE, seconds=4, reason=EndReason.USER_ENDED)
    for day in ("2026-10-31T23:59:59", "2026-12-01T00:00:00"):
        await held(api, agent, day, Channel.PHONE, heard="Hi.", seconds=1000)
    await held(api, other, "2026-11-15T12:00:00", Channel.WEBCHAT, heard="Hi.", seconds=1000)
    caller = Caller.system(TenantId("ten_a"), Environment.LIVE)
    async with begin(api.database, caller) as work:
        for conversation_id, score, outcome in ((resolved, 0.9, "escalated"), (browsed, 0.545, None)):
            analysis = AnalysisSummary(sentiment="positive", sentiment_score=score)
            assert await store_analysis(work, ConversationId(conversation_id), analysis, outcome)
    done = await api.client.put(
        f"/api/v1/conversations/{resolved}/outcome", json={"outcome": "resolved"}, headers=headers
    )
    assert done.is_success, done.text

    url = f"/api/v1/agents/{agent['id']}/stats"
    answer = await api.client.get(f"{url}?dateFrom=2026-11-01&dateTo=2026-11-30", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "agentId": agent["id"],
        "period": {"from": "2026-11-01", "to": "2026-11-30"},
        "totalConversations": 3,
        "totalDurationSeconds": 155,
        "avgDurationSeconds": 52,
        "totalCostUsd": 0.105,  # 3 x (10,000 x 2.50 + 1000 x 10) / 1,000,000
        "avgCostUsdPerConversation": 0.035,
        "channelBreakdown": {"phone": 2, "webrtc": 1, "webchat": 0},
        "outcomeBreakdown": {"resolved": 1, "escalated": 0, "abandoned": 1, "unknown": 1},
        "avgSentimentScore": 0.72,
    }


async def test_conversations_outlive_their_agent(api):
    await api.follow()
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    held_id = await held(api, agent, "2025-06-15T12:00:00", Channel.PHONE, heard="Hi.", seconds=10)
    assert (await api.client.delete(f"/api/v1/agents/{agent['id']}", headers=headers)).status_code == 204
    conversation = (await api.client.get(f"/api/v1/conversations/{held_id}", headers=headers)).json()
    assert (conversation["agentId"], conversation["agentName"]) == (agent["id"], agent["name"])
    messages = (await api.client.get(f"/api/v1/conversations/{held_id}/messages", headers=headers)).json()
    assert [message["content"] for message in messages["messages"]] == ["Hi."]
    assert (await api.client.get(f"/api/v1/agents/{agent['id']}/stats", headers=headers)).status_code == 404


async def test_stats_of_an_agent_without_conversations(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    stats = (await api.client.get(f"/api/v1/agents/{agent['id']}/stats", headers=headers)).json()
    today = datetime.now(UTC).date().isoformat()
    assert stats["period"] == {"from": agent["createdAt"][:10], "to": today}
    assert (stats["totalConversations"], stats["avgDurationSeconds"], stats["totalCostUsd"]) == (0, 0, 0)
    assert (stats["outcomeBreakdown"], stats["avgSentimentScore"]) == (
        {"resolved": 0, "escalated": 0, "abandoned": 0},
        None,
    )


@pytest.mark.parametrize("query", ["dateFrom=yesterday", "dateTo=2025-02-30", "dateFrom=2025-06-02&dateTo=2025-06-01"])
async def test_stats_refuse_dates_that_are_none(api, query):
    agent = await api.add_agent(api.token("ten_a"))
    answer = await api.client.get(f"/api/v1/agents/{agent['id']}/stats?{query}", headers=api.token("ten_a"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "?" + query.partition("=")[0]


class Control:
    """A carrier that dials, or says why not."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.orders: list[Dial] = []

    async def dial(self, order: Dial) -> str:
        self.orders.append(order)
        if self.fault is not None:
            raise self.fault
        return "CA0123"


@pytest.fixture
def control(monkeypatch):
    """The agent has a number in the sandbox, and a simulated telephone knows what to say."""
    made = Control()
    told: list[tuple[str, tuple[str, ...]]] = []

    async def leg_for(self, work, plan, test_id):
        return CarrierLeg(provider="twilio", account="simulator", number="+14155550199", attempt_id=test_id), made

    async def expects(self, number, rehearsal):
        told.append((number, rehearsal.lines))
        return True

    monkeypatch.setattr(RehearsalLines, "leg_for", leg_for)
    monkeypatch.setattr(RehearsalLines, "expects", expects)
    made.told = told
    return made


async def test_by_phone_an_agent_with_a_number_calls_over_the_simulated_carrier(api, sandbox, control):
    url = await drafted(api, sandbox)
    await api.start_runtime()
    answer = await api.client.post(f"{url}/test", json=CALL | {"script": ["Hello."]}, headers=sandbox)
    assert answer.status_code == 202, answer.text
    assert control.told == [("+14155550100", ("Hello.",))]
    (request,) = api.opened
    assert request.rehearsal is None
    assert (request.plan.leg.provider, request.plan.leg.account) == ("twilio", "simulator")
    (order,) = control.orders
    assert (order.callee, order.caller) == ("+14155550100", "+14155550199")
    assert order.target.token
    assert order.target.url.endswith("/carriers/twilio/media")
    assert f"session={request.plan.session_id}" in order.events_url
    told = await api.client.get(answer.headers["location"], headers=sandbox)
    assert told.json()["conversationId"] == request.plan.conversation_id


async def test_a_simulated_carrier_that_does_not_dial_leaves_no_session(api, sandbox, control):
    url = await drafted(api, sandbox)
    await api.start_runtime()
    ended: list[EndSession] = []

    async def end(request: EndSession) -> SessionEnding:
        ended.append(request)
        return SessionEnding(found=True)

    await api.bus.respond(END_SESSION, "runtime", EndSession, end)
    control.fault = ProviderError("twilio does not answer.", provider="twilio", kind="carrier", retryable=True)
    answer = await api.client.post(f"{url}/test", json=CALL, headers=sandbox)
    assert answer.status_code == 503
    assert [one.session_id for one in ended] == [api.opened[0].plan.session_id]


async def test_without_a_simulator_nobody_there_is_told_anything(tmp_path):
    lines = RehearsalLines(None, CarrierUrls("https://voice.example"), tmp_path / "missing.json")
    assert not await lines.expects("+14155550100", Rehearsal(lines=("Hello.",)))
    file = tmp_path / "simulator.json"
    file.write_text('{"simulator": {"secrets": {"bearer": "b"}, "options": {"url": "http://127.0.0.1:9"}}}')
    lines = RehearsalLines(None, CarrierUrls("https://voice.example"), file)
    assert not await lines.expects("+14155550100", Rehearsal(lines=("Hello.",)))


@pytest.fixture
def texting(monkeypatch):
    """Networks that are there, whoever asks."""

    async def messenger(self, work, provider, account, environment):
        return SimpleNamespace(sender=SimpleNamespace(capabilities=MessagingCapabilities(text=TextLimit(most=1000))))

    monkeypatch.setattr(Networks, "messenger", messenger)


async def test_a_live_test_in_writing_sends_what_the_agent_says_first(api, texting):
    headers = api.token("ten_a")
    url = await drafted(
        api,
        headers,
        firstMessage="Hi {{name}}!",
        aiDisclosureMessage="I am an AI.",
        channels={"sms": {"enabled": True}},
    )
    line = PhoneLine(
        id=PhoneNumberId(new_id("num")),
        tenant_id=TenantId("ten_a"),
        environment=Environment.LIVE,
        phone_number="+14155550199",
        provider="twilio",
        account="platform",
        provider_id="PN1",
        country="US",
        capabilities=(NumberFeature.SMS,),
        agent_id=AgentId(url.rpartition("/")[2]),
        source=LineSource.PURCHASE,
        status=LineStatus.ACTIVE,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
    async with api.database.transaction_as_system() as tx:
        await numbers.insert(tx, line)
    body = {"channel": "sms", "phoneNumber": "+14155550100", "metadata": {"name": "Ada"}}
    answer = await api.client.post(f"{url}/test", json=body, headers=headers)
    assert (answer.status_code, answer.json()["estimatedConnectSeconds"]) == (202, 0), answer.text
    place = answer.headers["location"]
    told = (await api.client.get(place, headers=headers)).json()
    assert (told["status"], told["simulated"], told["conversationId"]) == ("initiated", False, "")
    message = (await api.client.get(f"/api/v1/messages/{told['messageId']}", headers=headers)).json()
    assert (message["text"], message["ourAddress"], message["theirAddress"]) == (
        "I am an AI.\nHi Ada!",
        "+14155550199",
        "+14155550100",
    )
    for state, status in ((State.SENDING, "in_progress"), (State.DELIVERED, "completed"), (State.FAILED, "failed")):
        async with api.database.transaction_as_system() as tx:
            await tx.exec("UPDATE messages SET state = %(state)s WHERE id = %(id)s", state=state, id=told["messageId"])
        assert (await api.client.get(place, headers=headers)).json()["status"] == status
    # Nothing to say, nobody to say it to.
    answer = await api.client.post(f"{url}/test", json={"channel": "sms"}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/phoneNumber")
    await api.client.patch(url, json={"firstMessage": "", "aiDisclosureMessage": None}, headers=headers)
    answer = await api.client.post(f"{url}/test", json=body, headers=headers)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "no-first-message"), answer.text

"""Analyses: made once from the event of a conversation's end, whatever happens meanwhile, and read in the documented shape."""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from voisnap_api.analysis import subscribers
from voisnap_api.analysis.clients import Analysts
from voisnap_domain.agents import (
    AgentConfig,
    AgentSnapshot,
    AnalysisConfig,
    CustomField,
    CustomFieldType,
    Llm,
    LlmProvider,
    Persona,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.analysis import AnalysisMethod, Dialogue, Findings
from voisnap_domain.conversations import CallQuality, Speaker, Turn
from voisnap_domain.costs import LlmUsage, Usage
from voisnap_domain.ids import AgentId, ConversationId, NodeId, SessionId, TenantId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit import sealing
from voisnap_kit.bus import Hopeless
from voisnap_kit.ids import new_id
from voisnap_kit.sealing import Keyring
from voisnap_proto.events import AnalysisRequested, SessionEnded, SessionStarted, TurnFinished
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.ports.analysis import Analysed
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.tenant_accounts import TenantAccounts

pytestmark = pytest.mark.slice

SEALING_KEYS = "test:" + base64.b64encode(b"s" * 32).decode()
"""The keys of the installation under test."""

NOW = datetime.now(UTC).replace(microsecond=0)
SEED_FIELDS = [
    "conversationId",
    "completedAt",
    "sentiment",
    "sentimentScore",
    "sentimentBreakdown",
    "intent",
    "entities",
    "summary",
    "topics",
    "customFields",
    "callQualityScore",
    "agentPerformanceNotes",
]
SAID = (
    (Speaker.AGENT, "Hello! Thanks for calling. How can I help you today?"),
    (Speaker.USER, "Hi, I have a question about my last invoice, INV-2025-0612. Why was I charged $149.00?"),
    (Speaker.AGENT, "That is the annual plan upgrade. I've sent you a detailed breakdown by email."),
    (Speaker.USER, "Perfect, that's very helpful. Thank you so much, bye!"),
)
CONFIG = AnalysisConfig(
    custom_fields=(
        CustomField(
            name="resolution_status",
            type=CustomFieldType.ENUM,
            options=("resolved", "escalated", "callback_scheduled", "unresolved"),
        ),
        CustomField(name="issue_category", type=CustomFieldType.STRING),
    )
)


class Talk:
    """The events of one conversation."""

    def __init__(
        self,
        *,
        said: tuple[tuple[Speaker, str], ...] = SAID,
        analysis: AnalysisConfig = CONFIG,
        quality: CallQuality | None = None,
        **config: Any,
    ) -> None:
        values: dict[str, Any] = {
            "name": "Aria",
            "persona": Persona(name="Aria"),
            "voice": Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
            "llm": Llm(provider=LlmProvider.OPENAI, model="gpt-4o"),
            "transcription": Transcription(provider=TranscriptionProvider.LOCAL),
            "system_prompt_template": "You are Aria.",
            "analysis_config": analysis,
        }
        self.quality = quality or CallQuality()
        self.said = said
        self.plan = SessionPlan(
            session_id=SessionId(new_id("wrtc")),
            conversation_id=ConversationId(new_id("conv")),
            tenant_id=TenantId("ten_a"),
            environment=Environment.LIVE,
            channel=Channel.WEBRTC,
            direction=Direction.INBOUND,
            agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=1, config=AgentConfig(**(values | config))),
            created_at=NOW,
        )
        self.id = self.plan.conversation_id
        self.url = f"/api/v1/conversations/{self.id}"
        self._ids = {"tenant_id": self.plan.tenant_id, "session_id": self.plan.session_id, "conversation_id": self.id}

    def events(self) -> list[Any]:
        """What the runtime tells, in order."""
        turns = [
            TurnFinished(
                **self._ids,
                environment=Environment.LIVE,
                turn=Turn(
                    sequence=number,
                    speaker=speaker,
                    text=text,
                    start_time=5.0 * number,
                    end_time=5.0 * number + 4,
                    confidence=0.97,
                ),
            )
            for number, (speaker, text) in enumerate(self.said, start=1)
        ]
        return [
            SessionStarted(**self._ids, node_id=NodeId("node_1"), plan=self.plan, started_at=NOW),
            *turns,
            self.ended(),
        ]

    def ended(self) -> SessionEnded:
        return SessionEnded(
            **self._ids,
            environment=Environment.LIVE,
            plan=self.plan,
            started_at=NOW,
            ended_at=NOW + timedelta(seconds=22),
            duration_seconds=22.0,
            reason=EndReason.USER_ENDED,
            turns=len(self.said),
            usage=Usage(),
            quality=self.quality,
            recording=None,
        )


class Reader:
    """An analyst that does what the test says, and counts how often it was asked."""

    provider = "test"

    def __init__(self, behave: Callable[[int], Any] = lambda _call: None) -> None:
        self.calls = 0
        self.began = asyncio.Event()
        self._behave = behave

    async def analyse(self, dialogue: Dialogue) -> Analysed:
        self.calls += 1
        self.began.set()
        done = self._behave(self.calls)
        if asyncio.iscoroutine(done):
            await done
        return Analysed(findings=Findings(summary=f"Made by call {self.calls}."), method=AnalysisMethod.LOCAL)

    async def aclose(self) -> None: ...


class Readers:
    """A registry of at most two analysts."""

    def __init__(self, local: Any, llm: Any = None) -> None:
        self._local, self._llm = local, llm
        self.own: list[Mapping[str, Account]] = []

    async def warm(self, kinds: Iterable[str]) -> None:
        assert tuple(kinds) == ("analysis",)

    def analyst(self, name: str) -> Any:
        assert name == "local"
        return self._local

    def llm_analyst(self, settings: Llm, own: Mapping[str, Account]) -> Any:
        self.own.append(own)
        if self._llm is None:
            raise ProviderUnconfigured("no key")
        return self._llm


def analysts(readers: Readers, keys: str = SEALING_KEYS) -> Analysts:
    return Analysts(readers, TenantAccounts(sealing.opener(Keyring.parse(keys)), {"OPENAI_BASE_URL": "http://here"}))


@pytest.fixture
async def rules(tmp_path: Path):
    """The local analyst without its model: words and rules alone."""
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1))
    yield registry.analyst("local")
    await registry.aclose()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without pauses."""
    monkeypatch.setattr(subscribers, "_BACKOFF", (0.0,))
    monkeypatch.setattr(subscribers, "_PAUSES", (0.01,) * 100)


async def follow(api: Any, local: Any, llm: Any = None) -> None:
    await api.follow()
    await subscribers.subscribe(api.bus, api.database, analysts(Readers(local, llm)))


async def tell(api: Any, talk: Talk) -> None:
    for event in talk.events():
        await api.bus.publish(event, event_id=new_id("evt"), tenant_id="ten_a")
    await api.bus.settle()


async def test_a_finished_conversation_has_the_documented_analysis(api, rules):
    talk = Talk(quality=CallQuality(latency_p50_ms=700, latency_p95_ms=900, longest_silence_seconds=1.0))
    await follow(api, rules)
    await tell(api, talk)
    headers = api.token("ten_a")
    answer = await api.client.get(f"{talk.url}/analysis", headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert list(found)[: len(SEED_FIELDS)] == SEED_FIELDS
    assert found["conversationId"] == talk.id
    assert datetime.fromisoformat(found["completedAt"]) >= NOW - timedelta(minutes=1)
    assert found["sentiment"] == "positive"
    assert found["sentimentScore"] > 0.6
    assert set(found["sentimentBreakdown"]) == {"agent", "user"}
    assert found["intent"] == "billing_inquiry"
    assert {"type": "invoice_id", "value": "INV-2025-0612"} in found["entities"]
    assert {"type": "amount", "value": "$149.00"} in found["entities"]
    assert "billing" in found["topics"]
    assert found["customFields"] == {"resolution_status": "resolved", "issue_category": "billing"}
    assert found["callQualityScore"] == 5.0
    assert "within expected range" in found["agentPerformanceNotes"]
    assert (found["method"], found["warnings"], found["cost"]) == ("local", [], None)
    conversation = (await api.client.get(talk.url, headers=headers)).json()
    names = ("sentiment", "sentimentScore", "intent", "summary", "customFields")
    assert conversation["analysis"] == {name: found[name] for name in names}
    assert conversation["outcome"] == "resolved"


async def test_what_the_config_leaves_out_is_null(api, rules):
    bare = AnalysisConfig(sentiment_analysis=False, intent_detection=False, summary_enabled=False)
    talk = Talk(analysis=bare)
    await follow(api, rules)
    await tell(api, talk)
    found = (await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))).json()
    assert (found["sentiment"], found["sentimentScore"], found["sentimentBreakdown"]) == (None, None, None)
    assert (found["intent"], found["summary"], found["customFields"]) == (None, None, {})


async def test_the_event_may_come_twice_and_before_the_conversation_is_stored(api, quick):
    reader, talk = Reader(), Talk()
    await follow(api, reader)
    *before, ended = talk.events()
    await api.bus.publish(ended, event_id="evt_end", tenant_id="ten_a")
    for event in before:
        await api.bus.publish(event, event_id=new_id("evt"), tenant_id="ten_a")
    await api.bus.settle()
    await api.tell(ended, event_id="evt_end_again")
    assert reader.calls == 1
    assert (await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))).status_code == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"analysis": AnalysisConfig(enabled=False)}, "disabled"),
        ({"hipaa_compliant": True}, "hipaa"),
        ({"said": SAID[:1]}, "nothing_said"),
        ({"said": (SAID[0], (Speaker.USER, " "))}, "nothing_said"),
    ],
)
async def test_a_missing_analysis_says_why(api, quick, changes, reason):
    reader, talk = Reader(), Talk(**changes)
    await follow(api, reader)
    await tell(api, talk)
    answer = await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/analysis-not-available")
    assert f"({reason})" in answer.json()["detail"]
    assert reader.calls == 0
    again = await api.client.post(f"{talk.url}/analysis/retry", headers=api.token("ten_a"))
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "nothing-to-analyse")
    assert (await api.client.get(talk.url, headers=api.token("ten_a"))).json()["analysis"] is None


async def test_an_analysis_in_work_says_so(api, quick):
    release = asyncio.Event()
    reader, talk = Reader(lambda _call: release.wait()), Talk()
    await follow(api, reader)
    for event in talk.events():
        await api.bus.publish(event, event_id=new_id("evt"), tenant_id="ten_a")
    async with asyncio.timeout(10):
        await reader.began.wait()
    answer = await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))
    assert "(processing)" in answer.json()["detail"]
    again = await api.client.post(f"{talk.url}/analysis/retry", headers=api.token("ten_a"))
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "analysis-in-progress")
    release.set()
    await api.bus.settle()
    assert (await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))).status_code == 200


async def test_a_conversation_deleted_meanwhile_stays_deleted(api, quick):
    talk = Talk()

    async def delete() -> None:
        assert (await api.client.delete(talk.url, headers=api.token("ten_a"))).status_code == 204

    reader = Reader(lambda _call: delete())
    await follow(api, reader)
    await tell(api, talk)
    await api.tell(talk.ended(), event_id="evt_late")
    assert reader.calls == 1
    assert (await api.client.get(talk.url, headers=api.token("ten_a"))).status_code == 404
    assert (await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))).status_code == 404
    async with api.database.transaction_as_system() as tx:
        assert await tx.one(int, "SELECT count(*) FROM analyses") == 0
    assert api.bus.dead == []


async def test_a_poisoned_conversation_is_given_up_seen_and_tried_again(api, quick):
    def poisoned(call: int) -> None:
        if call <= subscribers.MAX_ATTEMPTS:
            raise ValueError("a word of the transcript")

    reader, talk = Reader(poisoned), Talk()
    await follow(api, reader)
    await tell(api, talk)
    assert reader.calls == subscribers.MAX_ATTEMPTS
    assert [consumer for consumer, _ in api.bus.dead] == ["api-analysis"]
    headers = api.token("ten_a")
    assert "(failed)" in (await api.client.get(f"{talk.url}/analysis", headers=headers)).json()["detail"]
    failures = (await api.client.get("/api/v1/analysis/failures", headers=headers)).json()
    assert failures["total"] == 1
    assert failures["data"][0]["conversationId"] == talk.id
    assert failures["data"][0]["attempts"] == subscribers.MAX_ATTEMPTS
    assert failures["data"][0]["error"] == "ValueError", "no word of the conversation"
    assert (await api.client.get("/api/v1/analysis/failures", headers=api.token("ten_b"))).json()["total"] == 0
    assert (await api.client.post(f"{talk.url}/analysis/retry", headers=api.token("ten_b"))).status_code == 404

    again = await api.client.post(f"{talk.url}/analysis/retry", headers=headers)
    assert (again.status_code, again.json()["status"]) == (202, "processing")
    await api.published(len(talk.events()) + 1)
    assert isinstance(api.bus.published[-1], AnalysisRequested)
    await api.bus.settle()
    assert (await api.client.get(f"{talk.url}/analysis", headers=headers)).status_code == 200
    assert (await api.client.get("/api/v1/analysis/failures", headers=headers)).json()["total"] == 0


async def test_a_conversation_that_kills_its_workers_is_given_up_too(api, quick):
    reader, talk = Reader(), Talk()
    await api.follow()
    await tell(api, talk)
    for _ in range(subscribers.MAX_ATTEMPTS):
        killed = Reader(lambda _call: asyncio.sleep(60))
        attempt = asyncio.create_task(subscribers.on_event(api.database, analysts(Readers(killed)), talk.ended()))
        async with asyncio.timeout(10):
            await killed.began.wait()
        attempt.cancel()
        await asyncio.wait({attempt})
    with pytest.raises(Hopeless):
        await subscribers.on_event(api.database, analysts(Readers(reader)), talk.ended())
    assert reader.calls == 0
    answer = await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))
    assert "(failed)" in answer.json()["detail"]


async def test_an_outcome_that_was_put_stays(api, rules):
    talk = Talk()
    await api.follow()
    await tell(api, talk)
    headers = api.token("ten_a")
    assert (await api.client.put(f"{talk.url}/outcome", json={"outcome": "mine"}, headers=headers)).status_code == 200
    await subscribers.on_event(api.database, analysts(Readers(rules)), talk.ended())
    conversation = (await api.client.get(talk.url, headers=headers)).json()
    assert (conversation["outcome"], conversation["analysis"]["intent"]) == ("mine", "billing_inquiry")


async def test_a_model_is_asked_first_and_priced_and_its_failure_falls_back(api, rules):
    class Model(Reader):
        async def analyse(self, dialogue: Dialogue) -> Analysed:
            found = await super().analyse(dialogue)
            usage = LlmUsage(provider="openai", model="gpt-4o", input_tokens=1_000_000, output_tokens=100_000)
            return msgspec.structs.replace(found, method=AnalysisMethod.LLM, usage=usage)

    def down(_call: int) -> None:
        raise ProviderError("down", provider="openai", kind="llm", retryable=True)

    await api.follow()
    headers = api.token("ten_a")
    read, fell_back = Talk(), Talk()
    for talk, model in ((read, Model()), (fell_back, Model(down))):
        await tell(api, talk)
        await subscribers.on_event(api.database, analysts(Readers(rules, model)), talk.ended())
    by_model = (await api.client.get(f"{read.url}/analysis", headers=headers)).json()
    assert (by_model["method"], by_model["summary"]) == ("llm", "Made by call 1.")
    cost = {"provider": "openai", "model": "gpt-4o", "inputTokens": 1_000_000, "outputTokens": 100_000, "usd": 3.5}
    assert by_model["cost"] == cost
    by_rules = (await api.client.get(f"{fell_back.url}/analysis", headers=headers)).json()
    assert (by_rules["method"], by_rules["intent"]) == ("local", "billing_inquiry")
    assert "openai" in by_rules["warnings"][0]


async def test_analyses_are_read_and_retried_with_the_right_scopes(api, quick):
    talk = Talk()
    await follow(api, Reader())
    await tell(api, talk)
    reading = api.token("ten_a", scopes=frozenset({"conversations:read"}))
    writing = api.token("ten_a", scopes=frozenset({"conversations:write"}))
    assert (await api.client.get(f"{talk.url}/analysis", headers=writing)).status_code == 403
    assert (await api.client.get("/api/v1/analysis/failures", headers=writing)).status_code == 403
    assert (await api.client.post(f"{talk.url}/analysis/retry", headers=reading)).status_code == 403
    sandbox = api.token("ten_a", environment=Environment.SANDBOX)
    assert (await api.client.get(f"{talk.url}/analysis", headers=sandbox)).status_code == 404
    assert (await api.client.post(f"{talk.url}/analysis/retry", headers=writing)).status_code == 202


async def test_a_replayed_dead_letter_is_analysed(api, quick):
    def poisoned(call: int) -> None:
        if call <= subscribers.MAX_ATTEMPTS:
            raise ValueError("poison")

    reader, talk = Reader(poisoned), Talk()
    await follow(api, reader)
    await tell(api, talk)
    (letter,), _ = await api.bus.dead_letters(consumer="api-analysis")
    assert letter.about["conversation_id"] == talk.id
    assert await api.bus.replay(letter.sequence)
    await api.bus.settle()
    assert reader.calls == subscribers.MAX_ATTEMPTS + 1
    assert (await api.client.get(f"{talk.url}/analysis", headers=api.token("ten_a"))).status_code == 200


async def test_the_tenants_own_access_is_used_and_an_unreadable_one_costs_only_the_model(api, rules):
    await api.follow()
    headers = api.token("ten_a")
    body = {"provider": "openai", "name": "Ours", "secrets": {"apiKey": "sk-our-own-key-1"}}
    made = (await api.client.post("/api/v1/provider-credentials", json=body, headers=headers)).json()
    read, unread = Talk(), Talk()
    readers = Readers(rules, Reader())
    await tell(api, read)
    await subscribers.on_event(api.database, analysts(readers), read.ended())
    [own] = readers.own
    account = own["openai"]
    assert (account.id, account.secret(), account.option("base_url")) == (
        f"{made['id']}.1",
        "sk-our-own-key-1",
        "http://here",
    )
    await tell(api, unread)
    lost = analysts(readers, "test:" + base64.b64encode(b"x" * 32).decode())
    await subscribers.on_event(api.database, lost, unread.ended())
    found = (await api.client.get(f"{unread.url}/analysis", headers=headers)).json()
    assert (found["method"], len(readers.own)) == ("local", 1)
    assert "could not be opened" in found["warnings"][0]

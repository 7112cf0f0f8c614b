"""Bodies of agents that are wrong in every way: one clear problem document each, nothing half-written, never a fault of ours."""

import time
from typing import Any

import pytest

pytestmark = pytest.mark.slice

BODY: dict[str, Any] = {
    "name": "Aria",
    "persona": {"name": "Aria"},
    "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
    "llm": {"provider": "openai", "model": "gpt-4o"},
    "transcription": {"provider": "deepgram"},
    "systemPromptTemplate": "You are Aria.",
}
CUSTOM = {"name": "f", "type": "string"}
TOOL = {"name": "t", "description": "d", "type": "rest_api", "config": {"url": "https://a.example"}}

WRONG: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"name": None}, {"/name"}),
    ({"name": 3}, {"/name"}),
    ({"name": ["x"]}, {"/name"}),
    ({"persona": None}, {"/persona"}),
    ({"persona": []}, {"/persona"}),
    ({"persona": {}}, {"/persona/name"}),
    ({"persona": "Aria"}, {"/persona"}),
    ({"persona": {"name": None, "role": 3}}, {"/persona/name", "/persona/role"}),
    ({"voice": {"provider": "elevenlabs"}}, {"/voice/voiceId"}),
    ({"voice": {"provider": "Elevenlabs", "voiceId": "v"}}, {"/voice/provider"}),
    ({"llm": {"provider": "openai", "model": "m", "temperature": "0.5"}}, {"/llm/temperature"}),
    ({"llm": {"provider": "openai", "model": "m", "maxTokens": 1.5}}, {"/llm/maxTokens"}),
    ({"llm": {"provider": "openai", "model": "m", "max_tokens": 5}}, {"/llm/max_tokens"}),
    ({"maxDurationSeconds": True}, {"/maxDurationSeconds"}),
    ({"maxDurationSeconds": 10**30}, {"/maxDurationSeconds"}),
    ({"maxDurationSeconds": -1}, {"/maxDurationSeconds"}),
    ({"dtmfEnabled": "yes"}, {"/dtmfEnabled"}),
    ({"dtmfEnabled": 1}, {"/dtmfEnabled"}),
    ({"tags": "a,b"}, {"/tags"}),
    ({"tags": [1, "", "a"]}, {"/tags/0"}),
    ({"tags": ["", "a,b"]}, {"/tags/0", "/tags/1"}),
    ({"endCallPhrases": {}}, {"/endCallPhrases"}),
    (
        {"analysisConfig": {"customFields": [CUSTOM, {"type": "colour"}]}},
        {
            "/analysisConfig/customFields/1/name",
            "/analysisConfig/customFields/1/type",
        },
    ),
    ({"analysisConfig": {"customFields": [CUSTOM | {"options": None}]}}, {"/analysisConfig/customFields/0/options"}),
    ({"tools": [TOOL | {"kind": 1}, TOOL]}, {"/tools/0/kind"}),
    (
        {"tools": [TOOL, TOOL | {"config": {"url": "http://169.254.169.254/"}}]},
        {"/tools/1/config/url", "/tools/1/name"},
    ),
    ({"channels": {"fax": {}}}, {"/channels/fax"}),
    ({"channels": {"phone": {"enabled": None, "greeting": "x"}}}, {"/channels/phone/greeting"}),
    ({"fallbacks": {"llm": [{"provider": "openai"}]}}, {"/fallbacks/llm/0/model"}),
    ({"widget": {"agentKey": "mine"}}, {"/widget/agentKey"}),
    ({"knowledgeBaseIds": ["conv_1"]}, {"/knowledgeBaseIds/0"}),
    ({"variables": []}, {"/variables"}),
    ({"id": "agt_1", "version": 3, "status": "active"}, {"/id", "/version", "/status"}),
    ({"a/b~c": 1}, {"/a~1b~0c"}),
    (
        {"name": "", "llm": {"provider": "x", "model": "", "topP": 7}, "maxIdleTimeSeconds": 4, "tags": [""]},
        {
            "/name",
            "/llm/provider",
            "/llm/model",
            "/llm/topP",
            "/maxIdleTimeSeconds",
            "/tags/0",
        },
    ),
)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_every_wrong_member_is_named_and_nothing_else(api, method):
    headers = api.token("ten_a")
    created = await api.client.post("/api/v1/agents", json=BODY, headers=headers)
    url = "/api/v1/agents" if method == "POST" else created.headers["location"]
    for change, pointers in WRONG:
        body = BODY | change if method == "POST" else change
        if method == "PATCH":
            # What is left out of a patch is there already.
            merged = pointers - {"/voice/voiceId"}
            merged = merged - ({"/persona/name"} if change == {"persona": {}} else set())
            if not merged:
                continue
            pointers = merged
        answer = await api.client.request(method, url, json=body, headers=headers)
        assert answer.status_code == 422, (change, answer.text)
        problem = answer.json()
        assert {fault["pointer"] for fault in problem["errors"]} == pointers, change
        assert all(fault["detail"] and fault["code"] for fault in problem["errors"])
        assert problem["traceId"].startswith("trace_")
    agents = (await api.client.get("/api/v1/agents", headers=headers)).json()
    assert [(agent["id"], agent["version"]) for agent in agents["data"]] == [(created.json()["id"], 1)]


async def test_null_and_absence_mean_the_default(api):
    headers = api.token("ten_a")
    optional = ("description", "firstMessage", "endCallPhrases", "recording", "channels", "tools", "variables", "tags")
    body = BODY | dict.fromkeys(optional)
    bare = (await api.client.post("/api/v1/agents", json=BODY, headers=headers)).json()
    nulls = (await api.client.post("/api/v1/agents", json=body, headers=headers)).json()
    own = {"id", "createdAt", "updatedAt", "widget"}
    assert {name: value for name, value in nulls.items() if name not in own} == {
        name: value for name, value in bare.items() if name not in own
    }
    changed = {"recording": {"format": "wav", "stereo": True}, "tags": ["x"], "channels": {"sms": {"enabled": False}}}
    url = f"/api/v1/agents/{bare['id']}"
    await api.client.patch(url, json=changed, headers=headers)
    cleared = {"recording": {"stereo": None}, "tags": None, "channels": None}
    back = (await api.client.patch(url, json=cleared, headers=headers)).json()
    assert (back["recording"], back["tags"], back["channels"]) == (
        bare["recording"] | {"format": "wav"},
        [],
        bare["channels"],
    )


async def test_the_documented_object_is_a_body_but_for_what_is_ours(api):
    headers = api.token("ten_a")
    whole = BODY | {
        "description": "Front-line customer support for Acme Corp",
        "persona": {
            "name": "Aria",
            "personality": "friendly, concise, professional",
            "role": "customer support specialist",
        },
        "endCallPhrases": ["goodbye", "have a good day", "thank you, bye"],
        "voicemailDetection": {"enabled": True, "action": "leave_message", "message": "Hi, this is Aria."},
        "recording": {"enabled": True, "format": "mp3", "storageRetentionDays": 90, "stereo": False},
        "analysisConfig": {
            "enabled": True,
            "customFields": [
                {"name": "resolution_status", "type": "enum", "options": ["resolved", "escalated"]},
                {"name": "issue_category", "type": "string"},
            ],
        },
        "knowledgeBaseIds": ["kb_01HXK9ABCDEF"],
        "tags": ["support", "tier-1"],
    }
    agent = (await api.client.post("/api/v1/agents", json=whole, headers=headers)).json()
    for name, value in whole.items():
        if isinstance(value, dict):
            assert {member: agent[name][member] for member in value if member != "customFields"} == {
                member: part for member, part in value.items() if member != "customFields"
            }
        else:
            assert agent[name] == value
    # What was read goes back as it is, without what is ours.
    ours = {"id", "status", "version", "publishedVersion", "createdAt", "updatedAt"}
    sent_back = {name: value for name, value in agent.items() if name not in ours}
    answer = await api.client.patch(f"/api/v1/agents/{agent['id']}", json=sent_back, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == agent | {"version": 2, "updatedAt": answer.json()["updatedAt"]}


async def test_a_body_of_nothing_but_faults_is_refused_at_once(api):
    body = BODY | {f"x{number}": 1 for number in range(20_000)}
    began = time.process_time()
    refused = await api.client.post("/api/v1/agents", json=body, headers=api.token("ten_a"))
    assert refused.status_code == 422
    assert time.process_time() - began < 5.0

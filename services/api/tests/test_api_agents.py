"""`/api/v1/agents` over HTTP on a real database."""

import asyncio
from typing import Any

import pytest
from voisnap_domain.tenants import Environment
from voisnap_proto.events import AgentChanged

pytestmark = pytest.mark.slice

BODY: dict[str, Any] = {
    "name": "Aria – Support Agent",
    "persona": {"name": "Aria", "personality": "friendly, professional"},
    "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
    "llm": {"provider": "openai", "model": "gpt-4o"},
    "transcription": {"provider": "deepgram", "model": "nova-2", "language": "en-US"},
    "systemPromptTemplate": "You are Aria, a support agent for Acme Corp...",
    "firstMessage": "Hello! How can I help you today?",
    "firstMessageMode": "assistant_speaks_first",
}
SEED_FIELDS = [
    "id",
    "name",
    "description",
    "status",
    "version",
    "publishedVersion",
    "persona",
    "voice",
    "llm",
    "transcription",
    "systemPromptTemplate",
    "firstMessage",
    "firstMessageMode",
    "endCallPhrases",
    "maxDurationSeconds",
    "maxIdleTimeSeconds",
    "dtmfEnabled",
    "hipaaCompliant",
    "aiDisclosureMessage",
    "silenceDetection",
    "endpointing",
    "interruption",
    "voicemailDetection",
    "recording",
    "costTracking",
    "analysisConfig",
    "knowledgeBaseIds",
    "tags",
    "createdAt",
    "updatedAt",
]


async def test_created_agent_has_the_documented_shape_and_defaults(api):
    headers = api.token("ten_a")
    answer = await api.client.post("/api/v1/agents", json=BODY, headers=headers)
    assert answer.status_code == 201, answer.text
    agent = answer.json()
    assert set(SEED_FIELDS) <= set(agent)
    assert answer.headers["location"] == f"/api/v1/agents/{agent['id']}"
    assert answer.headers["x-api-version"] == "1"
    assert answer.headers["x-request-id"].startswith("req_")
    assert (agent["status"], agent["version"], agent["publishedVersion"]) == ("draft", 1, None)
    assert agent["voice"]["similarityBoost"] == 0.75
    assert agent["endpointing"] == {"provider": "vad", "silenceDurationMs": 700, "utteranceEndMs": 1000}
    assert agent["createdAt"].endswith("Z")
    read = await api.client.get(f"/api/v1/agents/{agent['id']}", headers=headers)
    assert read.json() == agent
    assert read.headers["etag"] == answer.headers["etag"]


async def test_every_wrong_field_is_named_at_once(api):
    wrong = BODY | {
        "nickname": "x",
        "voice": {"provider": "tape", "voiceId": "v", "speed": "fast"},
        "maxDurationSeconds": "long",
    }
    del wrong["persona"]
    answer = await api.client.post("/api/v1/agents", json=wrong, headers=api.token("ten_a"))
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["type"] == "https://docs.voisnap.ai/errors/validation-failed"
    assert problem["traceId"].startswith("trace_")
    assert {fault["pointer"] for fault in problem["errors"]} == {
        "/nickname",
        "/voice/provider",
        "/voice/speed",
        "/maxDurationSeconds",
        "/persona",
    }


async def test_values_out_of_range_are_named_at_once(api):
    wrong = BODY | {"name": "", "maxDurationSeconds": 5, "llm": BODY["llm"] | {"temperature": 3}}
    answer = await api.client.post("/api/v1/agents", json=wrong, headers=api.token("ten_a"))
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {
        "/name",
        "/maxDurationSeconds",
        "/llm/temperature",
    }


async def test_fillers_are_kept_and_merged(api):
    headers = api.token("ten_a")
    body = BODY | {"fillers": {"delayMs": 1500, "phrases": ["Let me look."]}}
    agent = (await api.client.post("/api/v1/agents", json=body, headers=headers)).json()
    assert agent["fillers"] == {"enabled": True, "delayMs": 1500, "phrases": ["Let me look."]}
    url = f"/api/v1/agents/{agent['id']}"
    patched = (await api.client.patch(url, json={"fillers": {"enabled": False}}, headers=headers)).json()
    assert patched["fillers"] == {"enabled": False, "delayMs": 1500, "phrases": ["Let me look."]}


async def test_malformed_json_is_a_400(api):
    headers = api.token("ten_a") | {"Content-Type": "application/json"}
    answer = await api.client.post("/api/v1/agents", content=b'{"name": ', headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/malformed-json")


async def test_a_body_that_is_no_object_is_a_422(api):
    for body in ([], "text", 3):
        answer = await api.client.post("/api/v1/agents", json=body, headers=api.token("ten_a"))
        assert answer.status_code == 422, answer.text


async def test_patch_merges_and_makes_the_next_version(api):
    headers = api.token("ten_a")
    agent = (await api.client.post("/api/v1/agents", json=BODY | {"description": "old"}, headers=headers)).json()
    url = f"/api/v1/agents/{agent['id']}"
    change = {"systemPromptTemplate": "Updated.", "llm": {"temperature": 0.5}, "description": None, "tags": ["a", "b"]}
    patched = (await api.client.patch(url, json=change, headers=headers)).json()
    assert patched["version"] == 2
    assert patched["llm"] == agent["llm"] | {"temperature": 0.5}
    assert (patched["description"], patched["tags"]) == (None, ["a", "b"])
    again = (await api.client.patch(url, json={"tags": ["a", "b"]}, headers=headers)).json()
    assert again["version"] == 3
    versions = (await api.client.get(f"{url}/versions", headers=headers)).json()["data"]
    assert [version["version"] for version in versions] == [3, 2, 1]
    summaries = [version["changesSummary"] for version in versions]
    assert summaries == [
        "No changes",
        "Updated description, system prompt, LLM temperature and tags",
        "Initial version",
    ]
    assert {version["createdBy"] for version in versions} == {"usr_1"}
    old = (await api.client.get(f"{url}/versions/1", headers=headers)).json()
    assert old["config"]["description"] == "old"


async def test_patch_that_would_break_the_agent_changes_nothing(api):
    headers = api.token("ten_a")
    agent = (await api.client.post("/api/v1/agents", json=BODY, headers=headers)).json()
    url = f"/api/v1/agents/{agent['id']}"
    answer = await api.client.patch(url, json={"name": None, "llm": {"topP": 7}, "id": "agt_x"}, headers=headers)
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {"/name", "/id", "/llm/topP"}
    assert (await api.client.get(url, headers=headers)).json() == agent


async def test_only_one_of_two_concurrent_changes_with_the_same_etag_wins(api):
    headers = api.token("ten_a")
    created = await api.client.post("/api/v1/agents", json=BODY, headers=headers)
    url, seen = created.headers["location"], created.headers["etag"]
    answers = await asyncio.gather(
        *(api.client.patch(url, json={"description": text}, headers=headers | {"If-Match": seen}) for text in "ab")
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert (await api.client.get(url, headers=headers)).json()["version"] == 2


async def test_list_filters_sorts_and_pages(api):
    headers = api.token("ten_a")
    for name, tags in (("Carol", ["x"]), ("alice", ["x", "y"]), ("Bob", ["y"])):
        await api.add_agent(headers, name=name, tags=tags)
    await api.client.post("/api/v1/agents", json=BODY | {"name": "Draft"}, headers=headers)

    async def names(query: str) -> list[str]:
        answer = await api.client.get(f"/api/v1/agents?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [agent["name"] for agent in answer.json()["data"]]

    assert await names("status=active&sortBy=name&sortOrder=asc") == ["alice", "Bob", "Carol"]
    assert await names("tags=x,y") == ["alice"]
    assert await names("search=AR") == ["Carol"]
    assert await names("sortBy=createdAt&sortOrder=asc") == ["Carol", "alice", "Bob", "Draft"]
    assert (await names(""))[0] == "Draft"
    page = (await api.client.get("/api/v1/agents?page=2&pageSize=3&sortBy=name&sortOrder=asc", headers=headers)).json()
    assert [agent["name"] for agent in page["data"]] == ["Draft"]
    assert (page["page"], page["pageSize"], page["total"], page["totalPages"]) == (2, 3, 4, 2)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ["name", "createdAt", "updatedAt"])
async def test_cursors_walk_a_list_that_grows_and_shrinks_without_loss(api, by, order):
    headers = api.token("ten_a")
    names = ["bob", "Bob", "alice", "Zoë", "bob", "Carol", "ALICE"]
    made = [
        (await api.client.post("/api/v1/agents", json=BODY | {"name": name}, headers=headers)).json() for name in names
    ]
    query = f"sortBy={by}&sortOrder={order}"
    whole = (await api.client.get(f"/api/v1/agents?{query}&pageSize=100", headers=headers)).json()
    assert whole["nextCursor"] is None
    wanted = [agent["id"] for agent in whole["data"]]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        follow = f"&cursor={cursor}" if cursor else ""
        answer = await api.client.get(f"/api/v1/agents?{query}&pageSize=2{follow}", headers=headers)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["total"] == len(names)
        found += [agent["id"] for agent in page["data"]]
        cursor = page["nextCursor"]
    assert found == wanted
    assert set(found) == {agent["id"] for agent in made}


async def test_a_cursor_is_good_for_its_own_order_only(api):
    headers = api.token("ten_a")
    for name in "ab":
        await api.client.post("/api/v1/agents", json=BODY | {"name": name}, headers=headers)
    page = (await api.client.get("/api/v1/agents?pageSize=1", headers=headers)).json()
    for query in (
        f"cursor={page['nextCursor']}&sortOrder=asc",
        f"cursor={page['nextCursor']}&sortBy=name",
        f"cursor={page['nextCursor']}&sortBy=updatedAt",
        "cursor=x",
        "cursor=",
        "cursor=bnVsbA",
    ):
        answer = await api.client.get(f"/api/v1/agents?{query}", headers=headers)
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["pointer"] == "?cursor"


@pytest.mark.parametrize("query", ["status=sleeping", "sortBy=age", "sortOrder=up", "page=0", "pageSize=101", "page=x"])
async def test_list_refuses_what_it_does_not_know(api, query):
    answer = await api.client.get(f"/api/v1/agents?{query}", headers=api.token("ten_a"))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].replace("page_size", "pageSize") == "?" + query.partition("=")[0]


async def test_activate_publish_duplicate_deactivate_delete(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    url = f"/api/v1/agents/{agent['id']}"
    assert agent["status"] == "active"
    published = (await api.client.post(f"{url}/publish", json={"notes": "first"}, headers=headers)).json()
    assert published["publishedVersion"] == 1
    assert (await api.client.get(f"{url}/versions", headers=headers)).json()["data"][0]["notes"] == "first"
    copy = await api.client.post(f"{url}/duplicate", json={"name": "Copy"}, headers=headers)
    assert copy.status_code == 201
    assert (copy.json()["name"], copy.json()["status"], copy.json()["version"]) == ("Copy", "inactive", 1)
    plain = await api.client.post(f"{url}/duplicate", headers=headers)
    assert plain.json()["name"] == "Aria – Support Agent (Copy)"
    assert (await api.client.post(f"{url}/deactivate", headers=headers)).json()["status"] == "inactive"
    assert (await api.client.delete(url, headers=headers)).status_code == 204
    gone = await api.client.get(url, headers=headers)
    assert gone.status_code == 404
    assert gone.json()["type"] == "https://docs.voisnap.ai/errors/not-found"
    assert agent["id"] in gone.json()["detail"]


async def test_changes_are_told_after_the_commit(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    await api.published(2)
    assert [(event.change, event.version) for event in api.bus.published if isinstance(event, AgentChanged)] == [
        ("created", 1),
        ("activated", 1),
    ]
    assert api.bus.published[0].agent_id == agent["id"]


async def test_another_tenant_and_the_other_environment_see_nothing(api):
    agent = await api.add_agent(api.token("ten_a"))
    url = f"/api/v1/agents/{agent['id']}"
    for headers in (api.token("ten_b"), api.token("ten_a", environment=Environment.SANDBOX)):
        assert (await api.client.get(url, headers=headers)).status_code == 404
        assert (await api.client.patch(url, json={"name": "mine"}, headers=headers)).status_code == 404
        assert (await api.client.delete(url, headers=headers)).status_code == 404
        assert (await api.client.post(f"{url}/activate", headers=headers)).status_code == 404
        assert (await api.client.get("/api/v1/agents", headers=headers)).json()["total"] == 0
    assert (await api.client.get(url, headers=api.token("ten_a"))).json() == agent


async def test_scopes_are_enforced(api):
    reader = api.token("ten_a", scopes=frozenset({"agents:read"}))
    refused = await api.client.post("/api/v1/agents", json=BODY, headers=reader)
    assert refused.status_code == 403
    assert "agents:write" in refused.json()["detail"]
    assert (await api.client.get("/api/v1/agents", headers=reader)).status_code == 200

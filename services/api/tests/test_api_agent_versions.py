"""Versions of agents: concurrent changes, conditional requests, comparing, restoring, publishing."""

import asyncio
from typing import Any

import pytest
from voisnap_proto.events import AgentChanged

pytestmark = pytest.mark.slice

BODY: dict[str, Any] = {
    "name": "Aria",
    "persona": {"name": "Aria"},
    "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
    "llm": {"provider": "openai", "model": "gpt-4o"},
    "transcription": {"provider": "deepgram"},
    "systemPromptTemplate": "You are Aria.",
}

CHANGES: tuple[dict[str, Any], ...] = (
    {"name": "Bea"},
    {"description": "d"},
    {"persona": {"personality": "calm"}},
    {"persona": {"role": "clerk"}},
    {"voice": {"stability": 0.25}},
    {"voice": {"speed": 1.1}},
    {"llm": {"temperature": 0.5}},
    {"llm": {"maxTokens": 50}},
    {"llm": {"topP": 0.5}},
    {"transcription": {"language": "es-MX"}},
    {"transcription": {"model": "nova-3"}},
    {"systemPromptTemplate": "You are Bea."},
    {"firstMessage": "Hi."},
    {"maxDurationSeconds": 900},
    {"maxIdleTimeSeconds": 20},
    {"tags": ["a"]},
    {"recording": {"format": "wav"}},
    {"endpointing": {"silenceDurationMs": 500}},
    {"channels": {"phone": {"firstMessage": "Calling."}}},
    {"widget": {"theme": {"color": "red"}}},
)


async def created(api, headers, **changes: Any) -> str:
    answer = await api.client.post("/api/v1/agents", json=BODY | changes, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(contains(whole[name], value) for name, value in part.items())
    return whole == part


async def test_concurrent_changes_lose_nothing_and_leave_no_gap(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    answers = await asyncio.gather(*(api.client.patch(url, json=change, headers=headers) for change in CHANGES))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 22))
    agent = (await api.client.get(url, headers=headers)).json()
    assert [change for change in CHANGES if not contains(agent, change)] == []
    versions = (await api.client.get(f"{url}/versions", headers=headers)).json()["data"]
    assert [version["version"] for version in versions] == list(range(21, 0, -1))
    assert len({version["changesSummary"] for version in versions}) == 21


async def test_the_documented_change_is_said_in_the_documented_words(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    change = {"systemPromptTemplate": "You are Aria, updated prompt...", "llm": {"temperature": 0.5}}
    await api.client.patch(url, json=change, headers=headers)
    await api.client.patch(url, json={"voicemailDetection": {"enabled": False}}, headers=headers)
    many = {"voice": {"stability": 0.1, "style": 0.1, "speed": 1.1, "similarityBoost": 0.1}, "tools": []}
    await api.client.patch(url, json=many | {"channels": {"webchat": {"enabled": False}}}, headers=headers)
    versions = (await api.client.get(f"{url}/versions", headers=headers)).json()["data"]
    assert [version["changesSummary"] for version in versions] == [
        "Updated voice settings and channels web chat",
        "Updated voicemail detection",
        "Updated system prompt and LLM temperature",
        "Initial version",
    ]


async def test_if_match_takes_lists_and_never_a_weak_tag(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    seen = (await api.client.get(url, headers=headers)).headers["etag"]

    async def patch(if_match: str) -> int:
        answer = await api.client.patch(url, json={"description": "x"}, headers=headers | {"If-Match": if_match})
        return answer.status_code

    for refused in ('"other"', f"W/{seen}", seen.strip('"'), '"a", "b"', ""):
        assert await patch(refused) == 412, refused
    assert (await api.client.get(url, headers=headers)).json()["version"] == 1
    assert await patch(f'"other", {seen}') == 200
    assert await patch("*") == 200
    for method, path in (
        ("POST", f"{url}/publish"),
        ("POST", f"{url}/activate"),
        ("POST", f"{url}/deactivate"),
        ("POST", f"{url}/versions/1/restore"),
        ("DELETE", url),
    ):
        answer = await api.client.request(method, path, headers=headers | {"If-Match": seen})
        assert answer.status_code == 412, path
        assert answer.json()["type"].endswith("/precondition-failed")
    assert (await api.client.get(url, headers=headers)).json()["version"] == 3


async def test_what_a_reader_has_is_not_sent_again(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    tag = (await api.client.get(url, headers=headers)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await api.client.get(url, headers=headers | {"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    await api.client.post(f"{url}/activate", headers=headers)
    changed = await api.client.get(url, headers=headers | {"If-None-Match": tag})
    assert (changed.status_code, changed.json()["status"]) == (200, "active")
    assert changed.headers["etag"] != tag


async def test_versions_are_compared_member_by_member(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    await api.client.patch(url, json={"llm": {"temperature": 0.5}, "tags": ["a"]}, headers=headers)
    await api.client.patch(url, json={"tags": ["a", "b"], "variables": {"shop": "X"}}, headers=headers)
    compared = (await api.client.get(f"{url}/versions/1/compare/3", headers=headers)).json()
    assert (compared["fromVersion"], compared["toVersion"]) == (1, 3)
    assert compared["changesSummary"] == "Updated LLM temperature, tags and variables"
    assert compared["changes"] == [
        {"path": "/llm/temperature", "old": 0.7, "new": 0.5},
        {"path": "/tags", "old": [], "new": ["a", "b"]},
        {"path": "/variables/shop", "old": None, "new": "X"},
    ]
    back = (await api.client.get(f"{url}/versions/3/compare/1", headers=headers)).json()
    assert back["changes"][0] == {"path": "/llm/temperature", "old": 0.5, "new": 0.7}
    assert (await api.client.get(f"{url}/versions/2/compare/2", headers=headers)).json()["changes"] == []
    missing = await api.client.get(f"{url}/versions/1/compare/9", headers=headers)
    assert (missing.status_code, "no version 9" in missing.json()["detail"]) == (404, True)


async def test_an_earlier_version_is_restored_as_the_next_one(api):
    headers = api.token("ten_a")
    url = await created(api, headers, description="first")
    await api.client.post(f"{url}/publish", headers=headers)
    await api.client.patch(url, json={"description": "second"}, headers=headers)
    await api.client.post(f"{url}/publish", headers=headers)
    restored = await api.client.post(f"{url}/versions/1/restore", headers=headers)
    assert restored.status_code == 200, restored.text
    agent = restored.json()
    assert (agent["version"], agent["publishedVersion"], agent["description"]) == (3, 2, "first")
    assert restored.headers["etag"] == (await api.client.get(url, headers=headers)).headers["etag"]
    newest, second, _ = (await api.client.get(f"{url}/versions", headers=headers)).json()["data"]
    assert (newest["changesSummary"], "publishedAt" in newest, "publishedAt" in second) == (
        "Restored version 1",
        False,
        True,
    )
    for number in (0, -1, 4, 99999999999999999999):
        assert (await api.client.post(f"{url}/versions/{number}/restore", headers=headers)).status_code == 404
        assert (await api.client.get(f"{url}/versions/{number}", headers=headers)).status_code == 404


async def test_of_two_that_publish_at_once_both_hear_the_same(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    answers = await asyncio.gather(
        *(api.client.post(f"{url}/publish", json={"notes": note}, headers=headers) for note in ("one", "two"))
    )
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["publishedVersion"] == 1
    version = (await api.client.get(f"{url}/versions/1", headers=headers)).json()
    assert version["notes"] in {"one", "two"}
    assert version["publishedAt"] is not None
    await api.published(2)
    assert [event.change for event in api.bus.published if isinstance(event, AgentChanged)] == ["created", "published"]


async def test_a_published_version_never_changes(api):
    headers = api.token("ten_a")
    url = await created(api, headers, description="first")
    await api.client.post(f"{url}/publish", json={"notes": "first"}, headers=headers)
    published = (await api.client.get(f"{url}/versions/1", headers=headers)).json()
    await api.client.patch(url, json={"description": "second"}, headers=headers)
    await api.client.post(f"{url}/versions/1/restore", headers=headers)
    await api.client.post(f"{url}/publish", json={"notes": "again"}, headers=headers)
    assert (await api.client.get(f"{url}/versions/1", headers=headers)).json() == published


async def test_a_version_made_with_a_key_names_the_key(api):
    key = await api.add_key("ten_a")
    headers = {"Authorization": f"Bearer {key}"}
    url = await created(api, headers)
    version = (await api.client.get(f"{url}/versions/1", headers=headers)).json()
    assert version["createdBy"].startswith("key_")


async def test_names_and_notes_have_their_limits(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    for path, body, status in (
        ("duplicate", {"name": "x" * 100}, 201),
        ("duplicate", {"name": "x" * 101}, 422),
        ("duplicate", {"name": ""}, 422),
        ("duplicate", {"name": "  "}, 422),
        ("duplicate", {"nam": "x"}, 422),
        ("publish", {"notes": "x" * 2001}, 422),
        ("publish", {"notes": 3}, 422),
        ("publish", {"notes": "x" * 2000}, 200),
    ):
        answer = await api.client.post(f"{url}/{path}", json=body, headers=headers)
        assert answer.status_code == status, (path, answer.text)
        if status == 422:
            assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/{next(iter(body))}"]


async def test_copies_have_a_widget_key_of_their_own(api):
    headers = api.token("ten_a")
    url = await created(api, headers, widget={"allowedOrigins": ["https://shop.example.com"], "theme": {"a": 1}})
    agent = (await api.client.get(url, headers=headers)).json()
    copy = (await api.client.post(f"{url}/duplicate", headers=headers)).json()
    assert copy["widget"] == agent["widget"] | {"agentKey": copy["widget"]["agentKey"]}
    assert copy["widget"]["agentKey"] != agent["widget"]["agentKey"]
    sent_back = await api.client.patch(url, json={"widget": agent["widget"] | {"theme": {"a": 2}}}, headers=headers)
    assert sent_back.json()["widget"] == agent["widget"] | {"theme": {"a": 2}}
    stolen = await api.client.patch(url, json={"widget": copy["widget"]}, headers=headers)
    assert [fault["pointer"] for fault in stolen.json()["errors"]] == ["/widget/agentKey"]


async def test_a_deleted_agent_is_gone_for_every_request(api):
    headers = api.token("ten_a")
    url = await created(api, headers)
    assert (await api.client.delete(url, headers=headers)).status_code == 204
    for method, path in (
        ("GET", url),
        ("PATCH", url),
        ("DELETE", url),
        ("POST", f"{url}/publish"),
        ("POST", f"{url}/activate"),
        ("POST", f"{url}/duplicate"),
        ("GET", f"{url}/versions"),
        ("GET", f"{url}/versions/1"),
        ("GET", f"{url}/stats"),
        ("GET", f"{url}/tests"),
    ):
        body = {"json": {"name": "x"}} if method == "PATCH" else {}
        answer = await api.client.request(method, path, headers=headers, **body)
        assert (answer.status_code, answer.json()["type"]) == (404, "https://docs.voisnap.ai/errors/not-found"), path
    await api.published(2)
    assert [event.change for event in api.bus.published if isinstance(event, AgentChanged)] == ["created", "deleted"]


@pytest.mark.parametrize(
    ("agent_id", "word"),
    [("conv_01HXDEF456GHI", "conversation"), ("usr_1", "user"), ("x", "agt_"), ("agt_", "agt_"), ("agt_%00", "agt_")],
)
async def test_ids_of_another_kind_are_named(api, agent_id, word):
    answer = await api.client.get(f"/api/v1/agents/{agent_id}", headers=api.token("ten_a"))
    assert answer.status_code in {404, 422}
    if answer.status_code == 404:
        assert word in answer.json()["detail"]

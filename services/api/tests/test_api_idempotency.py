"""`Idempotency-Key` over HTTP."""

import asyncio
from datetime import UTC, datetime

import pytest
from voisnap_domain.ids import NodeId
from voisnap_proto.requests import OPEN_SESSION, OpenSession, SessionOpened

pytestmark = pytest.mark.slice

BODY = {
    "name": "Aria",
    "persona": {"name": "Aria"},
    "voice": {"provider": "local", "voiceId": "heart"},
    "llm": {"provider": "local", "model": "brain"},
    "transcription": {"provider": "local"},
    "systemPromptTemplate": "You are Aria.",
}


async def total(api, headers) -> int:
    return (await api.client.get("/api/v1/agents", headers=headers)).json()["total"]


async def test_a_repeated_post_gets_the_first_answer_and_nothing_happens_twice(api):
    headers = api.token("ten_a")
    once = headers | {"Idempotency-Key": "order-1"}
    first = await api.client.post("/api/v1/agents", json=BODY, headers=once)
    again = await api.client.post("/api/v1/agents", json=BODY, headers=once)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert (again.headers["location"], again.headers["etag"]) == (first.headers["location"], first.headers["etag"])
    assert (again.headers["idempotency-replayed"], "idempotency-replayed" in first.headers) == ("true", False)
    assert await total(api, headers) == 1
    other = await api.client.post("/api/v1/agents", json=BODY | {"name": "Other"}, headers=once)
    assert other.status_code == 422
    assert other.json()["errors"][0]["code"] == "idempotency-key-reused"
    foreign = await api.client.post(
        "/api/v1/agents", json=BODY, headers=api.token("ten_b") | {"Idempotency-Key": "order-1"}
    )
    assert foreign.json()["id"] != first.json()["id"]


async def test_two_at_the_same_time_make_one(api):
    headers = api.token("ten_a")
    once = headers | {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(*(api.client.post("/api/v1/agents", json=BODY, headers=once) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await total(api, headers) == 1


async def test_a_wrong_request_is_answered_the_same_way_and_a_failed_one_may_be_tried_again(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    wrong = headers | {"Idempotency-Key": "wrong"}
    answers = [await api.client.post("/api/v1/agents", json={}, headers=wrong) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json() == answers[1].json()
    session = headers | {"Idempotency-Key": "call"}
    body = {"agentId": agent["id"]}
    assert (await api.client.post("/api/v1/webrtc/sessions", json=body, headers=session)).status_code == 503
    await api.start_runtime()
    assert (await api.client.post("/api/v1/webrtc/sessions", json=body, headers=session)).status_code == 201


async def test_a_kept_answer_does_not_show_a_secret(api):
    headers = api.token("ten_a") | {"Idempotency-Key": "key"}
    body = {"name": "k", "scopes": ["agents:read"]}
    first = await api.client.post("/api/v1/api-keys", json=body, headers=headers)
    again = await api.client.post("/api/v1/api-keys", json=body, headers=headers)
    assert again.json()["key"] == first.json()["key"]
    async with api.database.transaction_as_system() as tx:
        stored = await tx.one(bytes, "SELECT response_body FROM idempotency_keys")
    assert first.json()["key"].encode() not in stored


async def test_an_overlong_body_or_key_is_refused(api):
    headers = api.token("ten_a") | {"Idempotency-Key": "big"}
    large = await api.client.post(
        "/api/v1/agents", json=BODY | {"systemPromptTemplate": "x" * 1_100_000}, headers=headers
    )
    assert large.status_code == 413
    long_key = api.token("ten_a") | {"Idempotency-Key": "x" * 300}
    assert (await api.client.post("/api/v1/agents", json=BODY, headers=long_key)).status_code == 422


async def test_an_answer_is_not_given_to_another_credential_of_the_tenant(api):
    body = {"name": "ci", "scopes": ["agents:read"]}
    key = {"Idempotency-Key": "order-9"}
    made = await api.client.post("/api/v1/api-keys", json=body, headers=api.token("ten_a") | key)
    assert made.status_code == 201
    for other in (api.token("ten_a", user_id="usr_2"), api.token("ten_a", scopes=frozenset({"agents:read"}))):
        answer = await api.client.post("/api/v1/api-keys", json=body, headers=other | key)
        assert answer.status_code == 422
        assert made.json()["key"] not in answer.text


async def test_a_key_belongs_to_one_path_and_a_compressed_answer_is_given_to_everybody(api):
    headers = api.token("ten_a") | {"Idempotency-Key": "same"}
    large = BODY | {"systemPromptTemplate": "You are Aria. " * 400}
    first = await api.client.post("/api/v1/agents", json=large, headers=headers | {"Accept-Encoding": "br"})
    assert first.headers["content-encoding"] == "br"
    again = await api.client.post("/api/v1/agents", json=large, headers=headers | {"Accept-Encoding": "identity"})
    assert (again.json(), "content-encoding" in again.headers) == (first.json(), False)
    other = await api.client.post(f"/api/v1/agents/{first.json()['id']}/activate", headers=headers)
    assert (other.status_code, "idempotency-replayed" in other.headers) == (200, False)


async def test_a_request_in_work_is_refused_until_it_ends_and_its_key_is_free_when_its_process_died(api):
    headers = api.token("ten_a") | {"Idempotency-Key": "slow"}
    agent = await api.add_agent(api.token("ten_a"))
    body = {"agentId": agent["id"]}
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(request):
        asked.set()
        await answer.wait()
        return SessionOpened(
            session_id=request.plan.session_id,
            conversation_id=request.plan.conversation_id,
            session_token="wrtc_tok_secret",
            expires_at=datetime(2026, 1, 2, tzinfo=UTC),
            ice_servers=(),
            node_id=NodeId("node_1"),
        )

    await api.bus.respond(OPEN_SESSION, "runtime", OpenSession, slow)
    first = asyncio.create_task(api.client.post("/api/v1/webrtc/sessions", json=body, headers=headers))
    await asyncio.wait_for(asked.wait(), 5)
    meanwhile = await api.client.post("/api/v1/webrtc/sessions", json=body, headers=headers)
    assert (meanwhile.status_code, meanwhile.headers["retry-after"]) == (409, "1")
    assert meanwhile.json()["type"].endswith("/idempotency-in-flight")
    other = await api.client.post("/api/v1/webrtc/sessions", json=body | {"metadata": {"a": 1}}, headers=headers)
    assert other.status_code == 422
    async with api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE idempotency_keys SET created_at = created_at - interval '2 minutes'")
    answer.set()
    assert (await first).status_code == 201
    async with api.database.transaction_as_system() as tx:  # as if the process had died before it could settle
        await tx.exec("UPDATE idempotency_keys SET response_status = NULL, response_body = NULL")
    retried = await api.client.post("/api/v1/webrtc/sessions", json=body, headers=headers)
    assert (retried.status_code, "idempotency-replayed" in retried.headers) == (201, False)

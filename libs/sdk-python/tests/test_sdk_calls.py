"""What the Python package sends, what it makes of answers, and what it does when they don't come."""

from datetime import UTC, datetime

import httpx
import pytest
import voisnap
from voisnap import AsyncVoisnapClient, VoisnapClient
from voisnap.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    UnexpectedAnswer,
    ValidationError,
)
from voisnap_testkit.scripted_http import Answer, ScriptedServer, problem

pytestmark = pytest.mark.unit

AGENT = {"id": "agt_1", "name": "Aria", "version": 3, "createdAt": "2025-06-15T10:00:00Z", "voice": {"voiceId": "v"}}


@pytest.fixture
def client(server: ScriptedServer, pauses: list[float]):
    with VoisnapClient(api_key="vsnp_live_x", base_url=server.url, timeout=0.5) as made:
        yield made


def test_arguments_become_the_documented_json_but_for_what_is_the_callers_own(client, server) -> None:
    server.plays(Answer(AGENT, 201))

    client.agents.create(
        name="Aria – Support Agent",
        persona={"name": "Aria"},
        voice={"provider": "elevenlabs", "voice_id": "EXAV"},
        llm={"provider": "openai", "model": "gpt-4o", "max_tokens": 300},
        transcription={"provider": "deepgram"},
        system_prompt_template="You are {{first_name}}",
        variables={"first_name": "Ada", "nested_one": {"deep_key": 1}},
        analysis_config={"custom_fields": [{"name": "issue_category", "type": "string"}]},
        description=None,
    )

    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/api/v1/agents")
    assert asked.body["voice"] == {"provider": "elevenlabs", "voiceId": "EXAV"}
    assert asked.body["llm"]["maxTokens"] == 300
    assert asked.body["variables"] == {"first_name": "Ada", "nested_one": {"deep_key": 1}}
    assert asked.body["analysisConfig"] == {"customFields": [{"name": "issue_category", "type": "string"}]}
    assert asked.body["description"] is None
    assert "firstMessage" not in asked.body
    assert asked.headers["authorization"] == "Bearer vsnp_live_x"
    assert asked.headers["user-agent"].startswith("voisnap-python/")
    assert asked.headers["content-type"] == "application/json"


def test_answers_are_typed_and_keep_what_is_new_or_missing(client, server) -> None:
    server.plays(Answer(AGENT | {"mood": "sunny"}, headers={"etag": '"3-a"'}))

    agent = client.agents.get("agt_1")

    assert isinstance(agent, voisnap.models.Agent)
    assert (agent.id, agent.version, agent.voice.voice_id) == ("agt_1", 3, "v")
    assert agent.created_at == datetime(2025, 6, 15, 10, tzinfo=UTC)
    assert agent.extra == {"mood": "sunny"}
    assert agent.etag == '"3-a"'
    assert agent.description is None


def test_an_answer_goes_back_as_an_argument(client, server) -> None:
    server.plays(Answer(AGENT))
    agent = client.agents.get("agt_1")

    client.agents.update("agt_1", voice=agent.voice, if_match='"3-a"')

    assert server.asked[1].body == {"voice": {"voiceId": "v"}}
    assert server.asked[1].headers["if-match"] == '"3-a"'


def test_ids_are_escaped_in_paths_and_lists_joined_in_queries(client, server) -> None:
    server.plays(Answer(None, 204), Answer({"data": [], "page": 1, "pageSize": 20, "total": 0, "totalPages": 0}))

    client.conversations.remove_tag("conv_1", "a/b c")
    found = list(client.conversations.list(tags=["x", "y"], date_from=datetime(2025, 6, 1, tzinfo=UTC), min_duration=3))

    assert server.asked[0].path == "/api/v1/conversations/conv_1/tags/a%2Fb%20c"
    query = httpx.URL(server.asked[1].path).params
    assert (query["tags"], query["dateFrom"], query["minDuration"]) == ("x,y", "2025-06-01T00:00:00Z", "3")
    assert found == []


def test_the_outcome_is_found_in_the_analysis_as_the_documentation_prints_it(client, server) -> None:
    analysed = {"id": "conv_1", "outcome": "resolved", "analysis": {"sentiment": "positive"}}
    running = {"id": "conv_2", "outcome": None, "analysis": None}
    server.plays(Answer({"data": [analysed, running], "page": 1, "pageSize": 20, "total": 2, "totalPages": 1}))

    first, second = client.conversations.list()

    assert (first.analysis.outcome, first.analysis.sentiment) == ("resolved", "positive")
    assert (second.analysis.outcome, second.analysis.sentiment) == (None, None)


def pages(*, cursor: bool) -> list[Answer]:
    made = []
    for number in (1, 2, 3):
        body = {
            "data": [{"id": f"agt_{number}{index}"} for index in "ab"],
            "page": number,
            "pageSize": 2,
            "total": 6,
            "totalPages": 3,
        }
        made.append(Answer(body | ({"nextCursor": f"c{number}" if number < 3 else None} if cursor else {})))
    return made


@pytest.mark.parametrize(
    ("cursor", "steps"), [(False, ["page=1", "page=2", "page=3"]), (True, ["page=1", "cursor=c1", "cursor=c2"])]
)
def test_lists_load_page_after_page_as_they_are_read(client, server, cursor: bool, steps: list[str]) -> None:
    server.plays(*pages(cursor=cursor))
    agents = iter(client.agents.list(page_size=2))

    assert server.asked == []
    assert next(agents).id == "agt_1a"
    assert len(server.asked) == 1
    assert [agent.id for agent in agents] == ["agt_1b", "agt_2a", "agt_2b", "agt_3a", "agt_3b"]
    for asked, step in zip(server.asked, steps, strict=True):
        assert step in asked.path
        assert "pageSize=2" in asked.path


def test_a_page_and_the_total_can_be_asked_for(client, server) -> None:
    server.plays(pages(cursor=False)[1])

    page = client.agents.list(page_size=2).page(2)

    assert ([agent.id for agent in page], page.total, page.total_pages) == (["agt_2a", "agt_2b"], 6, 3)
    assert client.agents.list().total == 6


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, voisnap.BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (412, PreconditionFailedError),
        (422, ValidationError),
        (418, voisnap.ApiError),
        (501, ServerError),
    ],
)
def test_problem_documents_become_errors(client, server, pauses, status: int, kind: type[voisnap.ApiError]) -> None:
    fault = {"pointer": "/voice/voiceId", "code": "required", "detail": "is required"}
    server.plays(problem(status, "agent-inactive", "Agent agt_1 is a draft.", errors=[fault]))

    with pytest.raises(kind) as raised:
        client.agents.get("agt_1")

    error = raised.value
    assert (error.status, error.code, error.detail) == (status, "agent-inactive", "Agent agt_1 is a draft.")
    assert (error.trace_id, error.request_id) == ("trace_1", "req_1")
    assert [(one.pointer, one.code) for one in error.errors] == [("/voice/voiceId", "required")]
    assert "/voice/voiceId: is required" in str(error)
    assert pauses == []
    assert len(server.asked) == 1


def test_a_rate_limit_is_waited_out_as_long_as_the_server_says(client, server, pauses) -> None:
    server.plays(problem(429, "rate-limit-exceeded", headers={"retry-after": "7"}), Answer(AGENT))

    assert client.agents.get("agt_1").id == "agt_1"
    assert pauses == [7.0]


def test_a_rate_limit_that_lasts_is_told_at_once(client, server, pauses) -> None:
    server.plays(
        problem(429, "rate-limit-exceeded", headers={"retry-after": "3600", "x-ratelimit-policy": "api-write"})
    )

    with pytest.raises(RateLimitError) as raised:
        client.agents.activate("agt_1")

    assert (raised.value.retry_after, raised.value.policy) == (3600.0, "api-write")
    assert pauses == []


def test_failing_servers_are_asked_again_with_growing_pauses_and_then_given_up(client, server, pauses) -> None:
    server.plays(problem(503, "temporarily-unavailable"))

    with pytest.raises(ServerError):
        client.agents.get("agt_1")

    assert len(server.asked) == 4
    assert len(pauses) == 3
    for number, made in enumerate(pauses):
        assert 0.1 <= made <= 0.5 * 2**number


def test_a_post_is_sent_again_with_the_same_idempotency_key(client, server, pauses) -> None:
    server.plays(
        Answer(breaks=True), problem(409, "idempotency-in-flight"), problem(502, "provider-failed"), Answer(AGENT)
    )

    client.agents.duplicate("agt_1", name="Copy")
    client.agents.duplicate("agt_1", name="Copy", idempotency_key="mine")

    keys = [asked.headers["idempotency-key"] for asked in server.asked]
    assert len(set(keys[:4])) == 1
    assert keys[4] == "mine"
    assert keys[0] != "mine"


def test_a_change_that_may_have_been_made_is_not_sent_twice(client, server, pauses) -> None:
    server.plays(Answer(breaks=True))
    with pytest.raises(ConnectionFailed):
        client.agents.update("agt_1", name="New")
    server.plays(problem(500, "internal-error"))
    with pytest.raises(ServerError):
        client.agents.update("agt_1", name="New")

    assert len(server.asked) == 2


def test_other_conflicts_are_not_tried_again(client, server, pauses) -> None:
    server.plays(problem(409, "agent-inactive"))

    with pytest.raises(ConflictError):
        client.agents.activate("agt_1")

    assert len(server.asked) == 1


def test_no_answer_in_time_is_a_timeout_and_no_server_a_failed_connection(server, pauses) -> None:
    server.plays(Answer(AGENT, late=0.4))
    with VoisnapClient(api_key="vsnp_live_x", base_url=server.url, timeout=0.05, max_retries=1) as hasty:
        with pytest.raises(RequestTimeout):
            hasty.agents.get("agt_1")
    with VoisnapClient(api_key="vsnp_live_x", base_url="http://127.0.0.1:9", max_retries=2) as lost:
        with pytest.raises(ConnectionFailed):
            lost.agents.update("agt_1", name="x")

    assert len(pauses) == 3


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"{", b""])
@pytest.mark.parametrize("status", [200, 404])
def test_what_no_api_answers_is_told_as_that(client, server, body: bytes, status: int) -> None:
    server.plays(Answer(body, status, {"content-type": "text/html"}))

    with pytest.raises(UnexpectedAnswer) as raised:
        client.agents.get("agt_1")

    assert raised.value.status == status
    assert raised.value.body == body.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "VOISNAP_API_KEY"),
        ({"api_key": "eyJhbGci"}, "access_token"),
        ({"api_key": "vsnp_live_x", "access_token": "t"}, "not both"),
        ({"api_key": "vsnp_live_x", "base_url": "api.voisnap.ai"}, "https://"),
    ],
)
def test_a_client_without_a_usable_credential_or_address_says_so(arguments, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        VoisnapClient(**arguments)


def test_key_and_address_come_from_the_environment_and_the_key_chooses_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("VOISNAP_API_KEY", "vsnp_sb_x")
    assert VoisnapClient().base_url == "https://sandbox.api.voisnap.ai"
    assert VoisnapClient(api_key="vsnp_live_x").base_url == "https://api.voisnap.ai"
    monkeypatch.setenv("VOISNAP_BASE_URL", "http://127.0.0.1:8080/")
    assert VoisnapClient().base_url == "http://127.0.0.1:8080"


def test_hub_tokens_are_kept_and_made_anew_in_time(client, server, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(client._tokens, "_clock", lambda: now[0])
    server.plays(*(Answer({"accessToken": f"t{number}", "expiresIn": 100}) for number in range(4)))

    tokens = [client.get_access_token(agent_id="agt_1"), client.get_access_token(agent_id="agt_1")]
    tokens.append(client.get_access_token(session_id="sess_1"))
    now[0] = 79.0
    tokens.append(client.get_access_token(agent_id="agt_1"))
    now[0] = 81.0
    tokens.append(client.get_access_token(agent_id="agt_1"))

    assert tokens == ["t0", "t0", "t1", "t0", "t2"]
    assert server.asked[0].body == {"agentId": "agt_1"}
    assert server.asked[1].body == {"sessionId": "sess_1"}


def test_a_log_in_stays_fresh(server, pauses) -> None:
    pair = {"accessToken": "a1", "refreshToken": "r1", "expiresIn": 900, "tokenType": "Bearer"}
    server.plays(Answer(pair), Answer(AGENT), Answer(pair | {"accessToken": "a2", "refreshToken": "r2"}), Answer(AGENT))
    with VoisnapClient.login("ada@example.com", "secret", base_url=server.url) as client:
        client.agents.get("agt_1")
        client._sender.credential._expires_at = 0.0
        client.agents.get("agt_1")

    assert "authorization" not in server.asked[0].headers
    assert server.asked[1].headers["authorization"] == "Bearer a1"
    assert (server.asked[2].path, server.asked[2].body) == ("/api/v1/auth/refresh", {"refreshToken": "r1"})
    assert server.asked[3].headers["authorization"] == "Bearer a2"


async def test_the_asyncio_client_does_the_same(server, pauses) -> None:
    server.plays(problem(503, "temporarily-unavailable", headers={"retry-after": "2"}), *pages(cursor=True))
    async with AsyncVoisnapClient(api_key="vsnp_live_x", base_url=server.url) as client:
        ids = [agent.id async for agent in client.agents.list(page_size=2)]
        server.plays(problem(404, "not-found"))
        with pytest.raises(NotFoundError):
            await client.agents.get("agt_9")
        server.plays(Answer({"accessToken": "t", "expiresIn": 100}))
        tokens = {await client.get_access_token(), await client.get_access_token()}

    assert ids == ["agt_1a", "agt_1b", "agt_2a", "agt_2b", "agt_3a", "agt_3b"]
    assert pauses == [2.0]
    assert tokens == {"t"}
    assert len(server.asked) == 6


def test_numbers_are_searched_by_a_list_of_capabilities(client, server) -> None:
    offer = {"phoneNumber": "+14155550100", "provider": "twilio", "capabilities": ["voice", "sms"], "monthlyCostUsd": 1}
    server.plays(Answer({"numbers": [offer], "warnings": []}))

    found = client.telephony.numbers.search(country="US", area_code="415", capabilities=["voice", "sms"], limit=5)

    [number] = found.numbers
    assert (number.phone_number, number.capabilities, number.monthly_cost_usd) == (
        "+14155550100",
        ("voice", "sms"),
        1.0,
    )
    path, _, query = server.asked[0].path.partition("?")
    assert path == "/api/v1/telephony/numbers/search"
    assert httpx.QueryParams(query) == httpx.QueryParams(
        country="US", areaCode="415", capabilities="voice,sms", limit="5"
    )

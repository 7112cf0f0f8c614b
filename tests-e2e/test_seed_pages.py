"""The documentation pages against the running platform: every request as printed, every documented answer field by field.

Host, key and ids of a page are replaced by those of the platform; nothing else. The conversation behind the answers is a real call.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from voisnap_testkit.platform import Platform, wait_until
from voisnap_testkit.seed_pages import Example, Kind, Row, enumerated, limits, seed_page
from voisnap_testkit.shapes import differences

pytestmark = pytest.mark.e2e

AGENTS, CONVERSATIONS = seed_page("agents"), seed_page("conversations")
AGENT_ID, CONVERSATION_ID = "agt_01HXK8Z3MNPQRS", "conv_01HXDEF456GHI"
ANALYSED_SECONDS = 20.0

Api = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def api(platform: Platform) -> Iterator[Api]:
    """`api("GET", "/agents")` below /api/v1 with the live key."""
    headers = {"Authorization": f"Bearer {platform.demo['apiKeyLive']}"}
    with httpx.Client(base_url=f"{platform.base_url}/api/v1", headers=headers, timeout=20) as client:
        yield lambda method, path, **options: client.request(method, path, **options)


@pytest.fixture(scope="module")
def agent_id(platform: Platform, api: Api) -> str:
    """An agent with everything the documented object has, which talks with local speech, in its third version, made by a person."""
    person = {"Authorization": f"Bearer {platform.login()}"}
    copy = api("POST", f"/agents/{platform.demo['agentId']}/duplicate", json={}, headers=person).json()
    documented = AGENTS.object("Agent object")
    kept = ("name", "description", "persona", "endCallPhrases", "aiDisclosureMessage", "voicemailDetection", "tags")
    changes = {name: documented[name] for name in (*kept, "analysisConfig")}
    steps = (
        ("PATCH", "", changes),
        ("POST", "/publish", {"notes": "First"}),
        ("PATCH", "", {"dtmfEnabled": True, "maxDurationSeconds": 500}),
        ("POST", "/activate", None),
    )
    for method, path, body in steps:
        done = api(method, f"/agents/{copy['id']}{path}", json=body, headers=person)
        assert done.status_code == 200, done.text
    return copy["id"]


@pytest.fixture(scope="module")
def conversation_id(platform: Platform, api: Api, agent_id: str, spoken) -> str:
    """A finished and analysed call."""
    spoken_words = spoken("I have a question about my last invoice, it says one hundred and forty nine dollars.")
    done = platform.voisnap("call", "--json", "--agent", agent_id, "--wav", str(spoken_words))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["conversationId"]

    def is_analysed() -> bool:
        return api("GET", f"/conversations/{found}/analysis").status_code == 200

    wait_until(is_analysed, seconds=ANALYSED_SECONDS, what="the analysis of the call")
    assert api("PUT", f"/conversations/{found}/outcome", json={"outcome": "resolved"}).status_code == 200
    return found


@pytest.fixture(scope="module")
def printed(platform: Platform, api: Api, conversation_id: str) -> Callable[[Example], str]:
    """The text of an example with this platform's host, key and ids; the agent is one that the requests may change."""
    token = platform.login()
    changed = api("POST", f"/agents/{platform.demo['agentId']}/duplicate", json={"name": "Changed"}).json()["id"]
    assert api("POST", f"/agents/{changed}/activate").status_code == 200

    def adapt(example: Example) -> str:
        text = example.text.replace("https://api.voisnap.ai", platform.base_url)
        text = text.replace("vsnp_live_...", platform.demo["apiKeyLive"]).replace("eyJhbGci...", token)
        return text.replace(AGENT_ID, changed).replace(CONVERSATION_ID, conversation_id)

    return adapt


def curl(text: str) -> tuple[int, Any]:
    """What a curl line answers: status and JSON. Where curl is not installed its options are read here."""
    arguments = shlex.split(text.replace("\\\n", " "))
    if shutil.which("curl") is None:
        values = {
            option: [after for word, after in pairwise(arguments) if word == option] for option in ("-X", "-H", "-d")
        }
        answer = httpx.request(
            next(iter(values["-X"]), "GET"),
            next(word for word in arguments if word.startswith("http")),
            headers=dict(header.split(": ", 1) for header in values["-H"]),
            content=next(iter(values["-d"]), None),
            timeout=20,
        )
        return answer.status_code, answer.json() if answer.content else None
    more = ("--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}")
    done = subprocess.run([*arguments, *more], capture_output=True, text=True, check=True, timeout=30)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.strip() else None


REQUESTS = tuple(
    example for page in (AGENTS, CONVERSATIONS, seed_page("webrtc")) for example in page.of_kind(Kind.CURL)
)
CREATES = {"POST /api/v1/agents", "POST /api/v1/agents/{agentId}/duplicate", "POST /api/v1/webrtc/sessions"}


@pytest.mark.parametrize("example", REQUESTS, ids=lambda example: example.operation.replace(" /api/v1", ""))
def test_request_runs_as_printed(platform: Platform, api: Api, printed, example: Example) -> None:
    operation, line = example.operation or "", printed(example)
    if operation.startswith("DELETE"):
        spare = api("POST", f"/agents/{platform.demo['agentId']}/duplicate", json={"name": "Spare"}).json()["id"]
        assert curl(re.sub(r"agt_\w+", spare, line)) == (204, None)
        assert api("GET", f"/agents/{spare}").status_code == 404
        return

    status, answer = curl(line)

    if operation.endswith("/test"):
        # Without a carrier a phone can't be called: said clearly, never pretended.
        assert (status, answer["type"].rpartition("/")[2]) == (409, "carrier-not-configured")
    else:
        assert status == (201 if operation in CREATES else 200), answer


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("GET /api/v1/agents/{agentId}/versions", {}),
        ("GET /api/v1/agents/{agentId}/stats", {"maps": frozenset({"/channelBreakdown", "/outcomeBreakdown"})}),
        ("GET /api/v1/conversations/{conversationId}/messages", {"enums": {"/messages/*/role": ("agent", "user")}}),
        (
            "GET /api/v1/conversations/{conversationId}/costs",
            {"nullable": frozenset({"/breakdown/telephony/provider"})},
        ),
        ("GET /api/v1/conversations/{conversationId}/recording", {"enums": {"/format": ("mp3", "wav", "ogg")}}),
        ("GET /api/v1/conversations/{conversationId}/transcript", {"enums": {"/turns/*/speaker": ("agent", "user")}}),
        (
            "GET /api/v1/conversations/{conversationId}/analysis",
            {
                "enums": {"/sentiment": ("positive", "neutral", "negative")},
                "nullable": frozenset({"/customFields/issue_category"}),
            },
        ),
    ],
    ids=lambda value: value.rpartition("/")[2] if isinstance(value, str) else "",
)
def test_answer_has_the_documented_shape(
    api: Api, agent_id: str, conversation_id: str, operation: str, options
) -> None:
    page = AGENTS if "/agents" in operation else CONVERSATIONS
    path = operation.removeprefix("GET /api/v1").format(agentId=agent_id, conversationId=conversation_id)
    today = datetime.now(UTC).date().isoformat()
    query = {"dateFrom": today, "dateTo": today} if path.endswith("/stats") else {}

    answer = api("GET", path, params=query)

    assert answer.status_code == 200, answer.text
    assert list(differences(page.response(operation), answer.json(), **options)) == []
    assert _emptied(page.response(operation), answer.json()) == []


def test_agent_has_the_documented_shape(api: Api, agent_id: str) -> None:
    answer = api("GET", f"/agents/{agent_id}").json()

    local_speech_has_no = frozenset({"/transcription/model"})
    assert list(differences(AGENTS.object("Agent object"), answer, nullable=local_speech_has_no)) == []
    assert (answer["version"], answer["publishedVersion"]) == (3, 2)


def test_conversation_has_the_documented_shape(api: Api, conversation_id: str) -> None:
    answer = api("GET", f"/conversations/{conversation_id}").json()
    web_callers_have_no = frozenset({"/caller/phoneNumber", "/caller/country"})
    enums = {f"/{row.name}": enumerated(row) for row in CONVERSATIONS.rows if enumerated(row)}

    found = differences(
        CONVERSATIONS.object("Conversation object"),
        answer,
        nullable=web_callers_have_no | {"/analysis/customFields/issue_category"},
        maps=frozenset({"/metadata"}),
        enums=enums,
    )

    assert list(found) == []
    assert answer["outcome"] == "resolved"


def _rows(operation: str) -> tuple[Row, ...]:
    return tuple(row for page in (AGENTS, CONVERSATIONS) for row in page.rows if row.operation == operation)


@pytest.mark.parametrize("resource", ["agents", "conversations"])
def test_list_takes_every_documented_parameter_and_value(api: Api, agent_id: str, resource: str) -> None:
    values = {"integer": "1", "string": "billing"}
    special = {"agentId": agent_id, "dateFrom": "2025-06-01", "dateTo": "2025-06-30T12:00:00Z"}

    for row in _rows(f"GET /api/v1/{resource}"):
        for value in enumerated(row) or (special.get(row.name, values[row.type]),):
            answer = api("GET", f"/{resource}", params={row.name: value})
            assert answer.status_code == 200, (row.name, value, answer.text)
            assert {"data", "page", "pageSize", "total", "totalPages"} <= set(answer.json())
        wrong = "no-such-value" if enumerated(row) or row.type == "integer" or row.name.startswith("date") else None
        if wrong:
            refused = api("GET", f"/{resource}", params={row.name: wrong})
            assert refused.status_code == 422, (row.name, refused.text)
            assert [error["pointer"] for error in refused.json()["errors"]] == [f"?{row.name}"]


def _example_body() -> dict[str, Any]:
    create = next(example for example in AGENTS.of_kind(Kind.CURL) if example.operation == "POST /api/v1/agents")
    return json.loads(re.search(r"-d '(.*)'$", create.text, re.DOTALL)[1])  # type: ignore[index]


def _with(body: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The body with a field such as `voice.provider` set, or removed by `...`."""
    first, _, rest = name.partition(".")
    inner = _with(body.get(first, {}), rest, value) if rest else value
    return {key: kept for key, kept in (body | {first: inner}).items() if kept is not ...}


def test_every_required_field_is_demanded_and_every_other_is_not(api: Api) -> None:
    for row in _rows("POST /api/v1/agents"):
        answer = api("POST", "/agents", json=_with(_example_body(), row.name, ...))
        pointer = "/" + row.name.replace(".", "/")
        if row.required:
            assert answer.status_code == 422, row.name
            assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        else:
            assert answer.status_code == 201, (row.name, answer.text)


def test_documented_values_and_ranges_hold_to_the_last_one(api: Api) -> None:
    for row in _rows("POST /api/v1/agents"):
        low, high = limits(row) or (1, 1)
        good = (*enumerated(row), *((low, high) if limits(row) else ()))
        bad = (*(("no-such-value",) if enumerated(row) else ()), *((low - 1, high + 1) if limits(row) else ()))
        for value, status in [*((value, 201) for value in good), *((value, 422) for value in bad)]:
            answer = api("POST", "/agents", json=_with(_example_body(), row.name, value))
            assert answer.status_code == status, (row.name, value, answer.text)
    for length, status in ((100, 201), (101, 422)):
        assert api("POST", "/agents", json=_with(_example_body(), "name", "n" * length)).status_code == status


def _emptied(documented: Any, actual: Any, at: str = "") -> list[str]:
    """Lists and objects that the page shows filled and the answer leaves empty: their shape was not seen then."""
    if isinstance(documented, dict) and isinstance(actual, dict):
        return [
            one
            for name in documented
            if name in actual
            for one in _emptied(documented[name], actual[name], f"{at}/{name}")
        ]
    is_emptied = isinstance(documented, list) and bool(documented) and not actual
    return [at] if is_emptied and at != "/entities" else []

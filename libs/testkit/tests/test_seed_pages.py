"""The documentation pages are read whole: no operation, request, response or table row of them is overlooked."""

import re
from pathlib import Path

import pytest
from voisnap_testkit import seed_pages
from voisnap_testkit.seed_pages import Kind, enumerated, limits, seed_page

pytestmark = pytest.mark.unit

PAGES = ("introduction", "agents", "conversations", "realtime-overview", "webrtc")


def text_of(name: str) -> str:
    return (Path(seed_pages.__file__).with_name("seeds") / f"seed-{name}.txt").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_every_request_and_document_of_a_page_is_found(name: str) -> None:
    text, page = text_of(name), seed_page(name)

    assert len(page.of_kind(Kind.CURL)) == len(re.findall(r"^curl ", text, re.MULTILINE))
    assert len(page.of_kind(Kind.JSON)) == len(re.findall(r"^\{$", text, re.MULTILINE))
    assert list(page.operations) == re.findall(r"^(?:GET|POST|PUT|PATCH|DELETE) /api/\S+$", text, re.MULTILINE)
    for example in page.of_kind(Kind.JSON):
        assert isinstance(example.value, dict)
    for example in page.of_kind(Kind.CURL):
        assert example.operation in page.operations


@pytest.mark.parametrize(("name", "python", "typescript"), [("agents", 4, 2), ("conversations", 1, 1)])
def test_every_line_of_the_sdks_is_found_whole(name: str, python: int, typescript: int) -> None:
    page = seed_page(name)

    assert (len(page.of_kind(Kind.PYTHON)), len(page.of_kind(Kind.TYPESCRIPT))) == (python, typescript)
    assert sum(example.text.count("client.") for example in page.examples) == text_of(name).count("client.")
    for example in page.of_kind(Kind.PYTHON):
        compile(example.text, name, "exec")


def test_responses_belong_to_the_operation_they_answer() -> None:
    page = seed_page("agents")

    assert page.response("GET /api/v1/agents/{agentId}/stats")["totalConversations"] == 1482
    assert page.response("GET /api/v1/agents/{agentId}/versions")["data"][0]["version"] == 3
    assert page.object("Agent object")["llm"]["model"] == "gpt-4o"


def test_tables_tell_types_duties_values_and_ranges() -> None:
    rows = {(row.operation, row.name): row for row in seed_page("agents").rows}
    name = rows["POST /api/v1/agents", "name"]
    duration = rows["POST /api/v1/agents", "maxDurationSeconds"]

    assert (name.type, name.required) == ("string", True)
    assert enumerated(rows["GET /api/v1/agents", "status"]) == ("active", "inactive", "draft")
    assert enumerated(rows["POST /api/v1/agents", "voice.provider"]) == ("elevenlabs", "google", "aws", "azure")
    assert enumerated(name) == ()
    assert limits(duration) == (30, 3600)
    assert len(rows) == 22

"""The OpenAPI document: served, committed, and true about its references."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import voisnap_api
from voisnap_api.app import openapi_document
from voisnap_testkit.seed_examples import seed_examples

pytestmark = pytest.mark.slice

COMMITTED = Path(__file__).parents[3] / "proto" / "openapi" / "api.json"


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {text for key, text in value.items() if key == "$ref"}.union(
            *(references(item) for item in value.values())
        )
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


def test_the_committed_document_is_the_code():
    assert COMMITTED.read_text() == openapi_document(), "run `make proto` and commit"


def test_the_document_is_complete():
    document = json.loads(openapi_document())
    assert document["openapi"].startswith("3.1")
    known = {f"#/components/{kind}/{name}" for kind, parts in document["components"].items() for name in parts}
    assert references(document) <= known
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation.get("summary") or operation.get("description") for operation in operations)
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    create = document["paths"]["/api/v1/agents"]["post"]
    assert create["operationId"] == "agents.create"
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/AgentBody"}


def test_every_operation_says_what_it_needs_and_how_it_is_refused():
    document = json.loads(openapi_document())
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            assert set(operation["tags"]) <= tags, name
            wanted = {"406", "422", "429", "default"}
            if operation.get("security") != []:
                wanted |= {"401"}
            if "{" in path:
                wanted |= {"404"}
            if "requestBody" in operation:
                wanted |= {"400", "413", "415"}
            if method != "get":
                wanted |= {"409"}
            assert wanted <= set(operation["responses"]), name
            assert not re.search(r"\{\w*_", path), path
            has_key = {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", [])
            assert has_key == (method == "post" and operation.get("security") != []), name
            success = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
            assert "X-RateLimit-Remaining" in success["headers"], name


def test_items_of_a_request_are_of_one_kind():
    schemas = json.loads(openapi_document())["components"]["schemas"]
    assert schemas["OutboundBatchBody"]["properties"]["calls"]["items"] == {"$ref": "#/components/schemas/BatchCall"}
    assert schemas["DoNotCallImport"]["properties"]["phoneNumbers"]["items"] == {"type": "string"}
    assert '"items":{"oneOf":[' not in json.dumps(schemas, separators=(",", ":"))


def test_the_limits_of_agents_are_in_the_document():
    schemas = json.loads(openapi_document())["components"]["schemas"]
    fields = schemas["AgentBody"]["properties"]
    assert (fields["maxDurationSeconds"]["minimum"], fields["maxDurationSeconds"]["maximum"]) == (30, 3600)
    assert (fields["name"]["minLength"], fields["name"]["maxLength"]) == (1, 100)
    assert schemas["LlmBody"]["properties"]["temperature"]["maximum"] == 2
    assert fields["description"]["oneOf"][0] == {"type": "string", "minLength": 0, "maxLength": 2000}


def test_the_examples_are_the_documentations():
    examples = seed_examples()
    assert json.loads((Path(voisnap_api.__file__).parent / "openapi_examples.json").read_text()) == examples
    document = json.loads(openapi_document())
    for name, parts in examples.items():
        method, path = name.split(" ")
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            continue
        if "request" in parts:
            assert operation["requestBody"]["content"]["application/json"]["example"] == parts["request"], name
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        if "response" in parts:
            assert answers[0]["content"]["application/json"]["example"] == parts["response"], name


async def test_the_document_is_served(api):
    answer = await api.client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == json.loads(COMMITTED.read_text())


async def test_a_merge_patch_content_type_is_accepted(api):
    headers = api.token("ten_a")
    agent = await api.add_agent(headers)
    answer = await api.client.patch(
        f"/api/v1/agents/{agent['id']}",
        content=b'{"description": "new"}',
        headers=headers | {"Content-Type": "application/merge-patch+json"},
    )
    assert (answer.status_code, answer.json()["description"]) == (200, "new")

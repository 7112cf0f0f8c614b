"""The OpenAPI document: served, committed, and true about its references."""

import json
from pathlib import Path
from typing import Any

import pytest
from voisnap_api.app import openapi_document

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
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation.get("summary") or operation.get("description") for operation in operations)
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    create = document["paths"]["/api/v1/agents"]["post"]
    assert create["operationId"] == "agents.create"
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/AgentBody"}


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

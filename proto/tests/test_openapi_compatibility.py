"""What breaks clients of the released OpenAPI document, and what does not."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from voisnap_proto.openapi_compatibility import DOCUMENTS, FOLDER, breaks

pytestmark = pytest.mark.unit

LAMP = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "watts": {"type": "integer", "minimum": 0},
        "colour": {"oneOf": [{"$ref": "#/components/schemas/Colour"}, {"type": "null"}]},
        "rooms": {"type": "array", "items": {"$ref": "#/components/schemas/Room"}},
    },
}
OLD: dict[str, Any] = {
    "paths": {
        "/lamps": {
            "post": {
                "operationId": "lamps.create",
                "x-required-scopes": ["lamps:write"],
                "parameters": [{"name": "quick", "in": "query", "schema": {"type": "boolean"}}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/LampBody"}}},
                },
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Lamp"}}}}
                },
            },
            "get": {"operationId": "lamps.list", "security": [], "responses": {"200": {}}},
        }
    },
    "components": {
        "schemas": {
            "Colour": {"type": "string", "enum": ["red", "blue"]},
            "Room": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "lamps": {"$ref": "#/components/schemas/Lamp"}},
            },
            "LampBody": LAMP | {"properties": {name: LAMP["properties"][name] for name in ("name", "watts", "colour")}},
            "Lamp": copy.deepcopy(LAMP),
        }
    },
}
Change = Callable[[dict[str, Any], dict[str, Any]], Any]


def changed(change: Change) -> tuple[str, ...]:
    new = copy.deepcopy(OLD)
    change(new["paths"]["/lamps"]["post"], new["components"]["schemas"])
    return breaks(OLD, new)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda post, _: post.update(operationId="lamps.add"), "is called lamps.add"),
        (lambda post, _: post["x-required-scopes"].append("lamps:admin"), "needs the scope lamps:admin"),
        (lambda post, _: post["parameters"].clear(), "parameter quick is gone"),
        (lambda post, _: post["parameters"][0].update(required=True), "quick became required"),
        (lambda post, _: post["parameters"][0].update(schema={"type": "string"}), "quick no longer takes boolean"),
        (lambda post, _: post["responses"].pop("201"), "no longer answers 201"),
        (lambda post, _: post.pop("requestBody"), "takes no body"),
        (lambda _, all: all["LampBody"]["required"].append("watts"), "watts became required"),
        (lambda _, all: all["LampBody"]["properties"].pop("watts"), "watts is gone"),
        (lambda _, all: all["LampBody"]["properties"]["name"].update(maxLength=9), "maxLength is 9 instead of 10"),
        (lambda _, all: all["LampBody"]["properties"]["name"].update(minLength=1), "minLength is 1 instead of open"),
        (lambda _, all: all["Colour"]["enum"].remove("red"), "colour no longer takes red"),
        (lambda _, all: all["LampBody"]["properties"].update(colour={"type": "string"}), "no longer takes null"),
        (lambda _, all: all["Lamp"]["properties"].pop("watts"), "watts is gone"),
        (lambda _, all: all["Lamp"]["required"].clear(), "name may now be missing"),
        (lambda _, all: all["Lamp"]["properties"]["watts"].update(type="string"), "watts may now be string"),
        (lambda _, all: all["Lamp"]["properties"]["name"].update(type=["string", "null"]), "name may now be null"),
        (lambda _, all: all["Room"]["required"].clear(), "rooms[].id may now be missing"),
    ],
)
def test_a_break_is_named(change: Change, words: str) -> None:
    found = changed(change)
    assert any(words in sentence for sentence in found), found
    assert all(sentence.startswith("POST /lamps") for sentence in found)


@pytest.mark.parametrize(
    "change",
    [
        lambda post, _: post["parameters"].append({"name": "new", "in": "query", "schema": {"type": "string"}}),
        lambda post, _: post["responses"].update({"409": {}}),
        lambda post, _: post.pop("x-required-scopes"),
        lambda _, all: all["LampBody"]["properties"].update(extra={"type": "string"}),
        lambda _, all: all["Lamp"]["properties"].update(extra={"type": "string"}),
        lambda _, all: all["Lamp"]["required"].append("watts"),
        lambda _, all: all["LampBody"]["required"].clear(),
        lambda _, all: all["LampBody"]["properties"]["watts"].update(type="number"),
        lambda _, all: all["LampBody"]["properties"]["name"].update(maxLength=11),
        lambda _, all: all["Colour"]["enum"].append("green"),
    ],
)
def test_an_addition_is_no_break(change: Change) -> None:
    assert changed(change) == ()


def test_operations_that_go_or_close_are_named() -> None:
    new = copy.deepcopy(OLD)
    del new["paths"]["/lamps"]["post"]
    del new["paths"]["/lamps"]["get"]["security"]
    assert breaks(OLD, new) == ("POST /lamps is gone", "GET /lamps needs a credential")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_document_keeps_the_released_one(name: str) -> None:
    released = FOLDER / "released" / name
    if released.exists():
        assert breaks(json.loads(released.read_text()), json.loads((FOLDER / name).read_text())) == ()

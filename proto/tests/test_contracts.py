import msgspec
import pytest
from voisnap_proto import EVENTS, Event, tag_of
from voisnap_proto.compatibility import breaks
from voisnap_proto.generate import check, render, write
from voisnap_proto.registry import TOPICS

pytestmark = pytest.mark.unit


def test_every_event_stands_in_the_registry_once() -> None:
    assert sorted(EVENTS) == sorted(tag_of(topic.event) for topic in TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: tag_of(topic.event))
def test_example_survives_the_wire_unchanged(topic) -> None:
    wire = msgspec.json.encode(topic.example)

    assert topic.example == msgspec.json.decode(wire, type=Event)


def test_committed_contracts_are_true() -> None:
    assert check() == []


def test_changed_committed_contract_is_named(tmp_path) -> None:
    write(tmp_path)
    (tmp_path / "schemas" / "session.ended.v1.json").write_text("{}")

    assert check(tmp_path) == [
        "proto/schemas/session.ended.v1.json differs from the structs; run `make proto` and commit it."
    ]


def test_removed_tag_is_named(tmp_path) -> None:
    write(tmp_path)
    (tmp_path / "schemas" / "session.vanished.v1.json").write_text("{}")

    assert check(tmp_path) == [
        "proto/schemas/session.vanished.v1.json belongs to no message; a published tag is never removed."
    ]


def test_rendering_is_repeatable() -> None:
    assert render() == render()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"properties": {"a": {"type": "string"}}}, {"properties": {}}, ("Thing.a is gone",)),
        (
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"a": {"type": "integer"}}},
            ("Thing.a changed its type",),
        ),
        (
            {"properties": {}},
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            ("Thing.a became required",),
        ),
        ({"enum": ["x", "y"]}, {"enum": ["x"]}, ("Thing no longer has the value 'y'",)),
        ({"properties": {}}, {"properties": {"a": {"type": "string", "default": ""}}}, ()),
        ({"enum": ["x"]}, {"enum": ["x", "y"]}, ()),
    ],
)
def test_breaking_changes_are_told_from_additions(before, after, expected) -> None:
    assert expected == breaks({"$defs": {"Thing": before}}, {"$defs": {"Thing": after}})


def test_missing_definition_breaks() -> None:
    assert breaks({"$defs": {"Thing": {}}}, {"$defs": {}}) == ("Thing is gone",)

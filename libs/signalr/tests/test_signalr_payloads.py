"""Payloads by type, with property names in any case."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from voisnap_signalr.json_codec import JsonCodec
from voisnap_signalr.msgpack_codec import MsgpackCodec
from voisnap_signalr.payloads import decoder_of

pytestmark = pytest.mark.unit


class Note(msgspec.Struct, frozen=True, rename="camel"):
    first_name: str
    data: bytes = b""
    made_at: datetime | None = None
    price: Decimal | None = None
    inner: "Note | None" = None
    others: tuple["Note", ...] = ()
    by_name: dict[str, "Note"] = {}
    free: Any = None


AT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(params=[JsonCodec(), MsgpackCodec()], ids=lambda codec: codec.name)
def codec(request) -> Any:
    return request.param


@pytest.fixture
def decode(codec):
    """Write a value as the codec does and decode it as a type."""
    encode = msgspec.json.encode if codec.name == "json" else msgspec.msgpack.encode

    def decode(kind: Any, value: Any) -> Any:
        return decoder_of(kind, codec)(msgspec.Raw(encode(value)))

    return decode


@pytest.mark.parametrize("name", ["firstName", "FirstName", "FIRSTNAME", "firstname"])
def test_names_count_in_any_case(decode, name) -> None:
    assert decode(Note, {name: "Ada"}) == Note("Ada")


def test_names_inside_count_in_any_case_too(decode) -> None:
    value = {
        "FirstName": "a",
        "Data": b"\x00\xff",
        "MadeAt": AT,
        "Inner": {"FirstName": "b", "Others": [{"FirstName": "c"}]},
        "ByName": {"Key": {"FirstName": "d", "Data": b"x"}},
    }
    assert decode(Note, value) == Note(
        "a", b"\x00\xff", AT, inner=Note("b", others=(Note("c"),)), by_name={"Key": Note("d", b"x")}
    )


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Note | None, {"FirstName": "a"}, Note("a")),
        (Note | None, None, None),
        (list[Note], [{"FirstName": "a"}, {"firstName": "b"}], [Note("a"), Note("b")]),
        (tuple[Note, ...], [{"FirstName": "a"}], (Note("a"),)),
        (dict[str, Note], {"Key": {"FirstName": "a"}}, {"Key": Note("a")}),
    ],
)
def test_structs_are_found_inside_other_types(decode, kind, value, expected) -> None:
    assert decode(kind, value) == expected


def test_right_name_counts_where_both_are_there(decode) -> None:
    assert decode(Note, {"FIRSTNAME": "wrong", "firstName": "right"}) == Note("right")
    assert decode(Note, {"firstName": "right", "FIRSTNAME": "wrong"}) == Note("right")


def test_what_has_no_names_is_left_alone(decode) -> None:
    value = {"FirstName": {"Inner": 1}, "free": [1, None]}
    assert decode(Any, value) == value
    assert decode(dict[str, Any], value) == value
    assert decode(Note, {"FirstName": "a", "Free": value}).free == value


def test_right_names_keep_what_a_second_pass_would_lose() -> None:
    decode = decoder_of(Note, JsonCodec())
    raw = msgspec.Raw(b'{"firstName":"a","price":0.1000000000000000000001}')
    assert decode(raw).price == Decimal("0.1000000000000000000001")


@pytest.mark.parametrize("value", [{}, {"FirstName": 7}, {"FirstName": "a", "Inner": 3}, [], 7, None])
def test_what_does_not_fit_is_refused(decode, value) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(Note, value)

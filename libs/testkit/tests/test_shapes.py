"""The comparison of answers with documented ones finds what a client would trip over, and only that."""

import pytest
from voisnap_testkit.shapes import differences

pytestmark = pytest.mark.unit

DOCUMENTED = {
    "id": "agt_01HX",
    "count": 3,
    "score": 0.5,
    "at": "2025-06-15T10:00:00Z",
    "tags": ["a"],
    "by": {"phone": 1},
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": "conv_01HX"}, "/id"),
        ({"id": "01HX"}, "/id"),
        ({"count": 3.0}, "/count"),
        ({"count": True}, "/count"),
        ({"score": "0.5"}, "/score"),
        ({"score": None}, "/score"),
        ({"at": "2025-06-15 10:00"}, "/at"),
        ({"tags": [1]}, "/tags/0"),
        ({"tags": "a"}, "/tags"),
        ({"by": {}}, "/by/phone"),
    ],
)
def test_another_type_or_form_is_told_with_its_path(change, complaint) -> None:
    found = list(differences(DOCUMENTED, DOCUMENTED | change))

    assert len(found) == 1
    assert found[0].startswith(f"{complaint}:")


def test_a_missing_member_is_told() -> None:
    assert list(differences({"count": 1}, {})) == ["/count: missing"]


@pytest.mark.parametrize("change", [{"more": 1}, {"score": 1}, {"tags": []}, {"id": "agt_7"}])
def test_what_a_client_can_live_with_is_fine(change) -> None:
    assert list(differences(DOCUMENTED, DOCUMENTED | change)) == []


def test_null_is_fine_where_it_is_allowed_and_maps_have_keys_of_their_own() -> None:
    actual = DOCUMENTED | {"score": None, "by": {"webrtc": 4}}

    assert list(differences(DOCUMENTED, actual, nullable=frozenset({"/score"}), maps=frozenset({"/by"}))) == []
    assert list(
        differences(
            DOCUMENTED, actual | {"by": {"webrtc": "4"}}, nullable=frozenset({"/score"}), maps=frozenset({"/by"})
        )
    )


def test_elements_of_a_list_need_what_all_documented_elements_have() -> None:
    documented = {"data": [{"version": 3}, {"version": 2, "publishedAt": "2025-06-15T14:00:00Z"}]}

    assert list(differences(documented, {"data": [{"version": 1}]})) == []
    assert list(differences(documented, {"data": [{}]})) == ["/data/0/version: missing"]


def test_values_outside_an_enumeration_are_told_for_every_element() -> None:
    found = differences([{"role": "user"}], [{"role": "bot"}, {"role": "agent"}], enums={"/*/role": ("user", "agent")})

    assert list(found) == ["/0/role: 'bot' is none of user, agent"]

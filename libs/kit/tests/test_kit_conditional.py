"""`If-Match` and `If-None-Match` (RFC 9110 §13.1)."""

import pytest
from voisnap_kit.conditional import allows_change, is_known

pytestmark = pytest.mark.unit

TAG = '"1-a"'


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (None, True),
        ("*", True),
        (" * ", True),
        (TAG, True),
        (f'"x", {TAG}', True),
        (f'{TAG},"x"', True),
        (f", {TAG},, ", True),
        (f'W/"x", {TAG}', True),
        (f"W/{TAG}", False),
        ('"x"', False),
        ("1-a", False),
        ("", False),
        (f"{TAG} {TAG}", False),
        (f"{TAG}, broken", False),
        ('"a,"1-a""', False),
        ('"', False),
    ],
)
def test_changes_need_the_very_state(header, allowed) -> None:
    assert allows_change(header, TAG) is allowed


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("*", True),
        (TAG, True),
        (f"W/{TAG}", True),
        (f'"x", W/{TAG}', True),
        ('"x"', False),
        ("1-a", False),
        ("", False),
    ],
)
def test_readers_may_have_a_weak_tag(header, known) -> None:
    assert is_known(header, TAG) is known


def test_tags_with_commas_and_foreign_signs_are_one_tag() -> None:
    assert allows_change('"x", "a,b", "\xe9"', '"a,b"')
    assert not allows_change('"a,b"', '"a"')

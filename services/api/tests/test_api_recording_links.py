"""Signed links and byte ranges, without a server."""

from datetime import UTC, datetime, timedelta

import pytest
from voisnap_api.recordings.links import RecordingLinks
from voisnap_api.recordings.ranges import Unsatisfiable, parse
from voisnap_domain.errors import NotFound

pytestmark = pytest.mark.unit

AT = datetime(2026, 1, 2, tzinfo=UTC)
LINKS = RecordingLinks("http://host/", b"k" * 32)
KEY = "recordings/ten_a/conv_1.mp3"


def token_of(key: str) -> str:
    return LINKS.link(key, at=AT)[0].partition("?token=")[2]


def test_a_link_names_its_key_until_it_expires():
    url, expires_at = LINKS.link(KEY, at=AT)
    assert url.startswith("http://host/api/v1/recordings/ten_a/conv_1.mp3?token=")
    assert expires_at == AT + timedelta(hours=1)
    assert LINKS.key_of("/ten_a/conv_1.mp3", token_of(KEY), at=AT + timedelta(minutes=59)) == KEY
    with pytest.raises(NotFound):
        LINKS.key_of("ten_a/conv_1.mp3", token_of(KEY), at=expires_at)


@pytest.mark.parametrize("address", ["ten_a/conv_2.mp3", "ten_a/../ten_a/conv_1.mp3", "../secrets", "ten_a/a b", ""])
def test_a_token_opens_no_other_address(address):
    with pytest.raises(NotFound):
        LINKS.key_of(address, token_of(KEY), at=AT)


def test_a_path_that_climbs_is_refused_even_when_signed():
    key = "recordings/../secrets"
    with pytest.raises(NotFound):
        LINKS.key_of("../secrets", token_of(key), at=AT)


def test_another_signing_key_refuses():
    with pytest.raises(NotFound):
        RecordingLinks("http://host", b"x" * 32).key_of("ten_a/conv_1.mp3", token_of(KEY), at=AT)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-40", (0, 10)),
        ("bytes=3-100", (3, 10)),
        ("bytes=5-3", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_ranges(header, expected):
    found = parse(header, 10)
    assert (None if found is None else (found.start, found.end)) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_ranges_beyond_the_end(header, size):
    with pytest.raises(Unsatisfiable):
        parse(header, size)


def test_absurdly_long_numbers_are_refused_like_any_others():
    with pytest.raises(NotFound):
        LINKS.key_of("ten_a/conv_1.mp3", f"{'9' * 5000}.x", at=AT)
    assert parse(f"bytes=0-{'9' * 5000}", 10) is None

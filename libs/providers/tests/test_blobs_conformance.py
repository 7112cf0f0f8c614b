"""What every store must do, on a folder and in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from voisnap_providers.ports.blobs import BlobInfo, BlobNotFound, Blobs
from voisnap_providers.vendors.blobs import blobs_from_url

pytestmark = pytest.mark.conformance

BIG = 3 * 1024 * 1024


@pytest.fixture(params=["memory", "folder"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return blobs_from_url("memory://" if request.param == "memory" else (tmp_path / "blobs with space").as_uri())


async def parts(*sizes: int, error: Exception | None = None) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number]) * size
    if error:
        raise error


async def test_an_object_comes_back_and_is_replaced(blobs: Blobs):
    await blobs.put("a/b.txt", b"one")
    await blobs.put("a/b.txt", b"three")
    assert await blobs.get("a/b.txt") == b"three"
    assert await blobs.head("a/b.txt") == BlobInfo(key="a/b.txt", size_bytes=5)


@pytest.mark.parametrize(
    ("start", "end", "piece"),
    [(0, None, b"hello world"), (6, None, b"world"), (2, 5, b"llo"), (6, 500, b"world"), (11, None, b""), (5, 5, b"")],
)
async def test_ranges_are_half_open_and_end_with_the_object(blobs: Blobs, start: int, end: int | None, piece: bytes):
    await blobs.put("x", b"hello world")
    assert b"".join([part async for part in blobs.read("x", start=start, end=end)]) == piece


async def test_a_stream_of_several_parts_is_stored_whole(blobs: Blobs):
    sizes = (BIG, BIG, BIG, BIG, 10)
    assert await blobs.put_stream("big", parts(*sizes)) == sum(sizes)
    stored = await blobs.get("big")
    assert len(stored) == sum(sizes)
    assert stored[BIG - 1 : BIG + 1] == b"\x00\x01"
    assert stored[-10:] == b"\x04" * 10


@pytest.mark.parametrize("sizes", [(10,), (BIG, BIG, BIG, BIG)])
async def test_a_stream_that_breaks_off_leaves_nothing(blobs: Blobs, sizes: tuple[int, ...]):
    with pytest.raises(RuntimeError, match="broke off"):
        await blobs.put_stream("half", parts(*sizes, error=RuntimeError("broke off")))
    assert await blobs.head("half") is None
    assert await blobs.list("") == ()


async def test_an_empty_stream_is_an_empty_object(blobs: Blobs):
    assert await blobs.put_stream("none", parts()) == 0
    assert await blobs.get("none") == b""


async def test_missing_objects_are_told_apart(blobs: Blobs):
    with pytest.raises(BlobNotFound):
        await blobs.get("no")
    with pytest.raises(BlobNotFound):
        _ = [part async for part in blobs.read("no")]
    assert await blobs.head("no") is None


async def test_listing_is_by_folder_and_sorted(blobs: Blobs):
    for key in ("r/2", "r/1", "r2/1", "q"):
        await blobs.put(key, b"x")
    assert [info.key for info in await blobs.list("r")] == ["r/1", "r/2"]
    assert [info.key for info in await blobs.list("r/")] == ["r/1", "r/2"]
    assert [info.key for info in await blobs.list("")] == ["q", "r/1", "r/2", "r2/1"]
    assert await blobs.list("nothing") == ()


async def test_deleting_forgives_what_is_missing(blobs: Blobs):
    await blobs.put("a", b"x")
    await blobs.put("b", b"x")
    await blobs.delete(("a", "missing"))
    assert [info.key for info in await blobs.list("")] == ["b"]


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\x00b", "x" * 2000])
async def test_keys_that_could_leave_the_store_are_refused(blobs: Blobs, key: str):
    with pytest.raises(ValueError, match="key"):
        await blobs.put(key, b"x")
    with pytest.raises(ValueError, match="key"):
        await blobs.get(key)


def test_stores_that_cannot_sign_say_so(blobs: Blobs):
    assert blobs.signed_url("a", expires_in=60, content_type="audio/mpeg", filename="a.mp3") is None


def test_s3_signs_without_asking_anybody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    blobs = blobs_from_url("s3://bucket/pre?endpoint=http://127.0.0.1:9000&region=eu-central-1")
    url = blobs.signed_url("a/b.mp3", expires_in=60, content_type="audio/mpeg", filename="b.mp3")
    assert url is not None
    assert url.startswith("http://127.0.0.1:9000/bucket/pre/a/b.mp3?")
    assert "X-Amz-Expires=60" in url


@pytest.mark.parametrize("url", ["ftp://x", "file:relative", "blobs"])
def test_other_addresses_are_refused(url: str):
    with pytest.raises(ValueError, match="BLOBS_URL"):
        blobs_from_url(url)

"""Server-sent events: whatever the pieces they come in, the same events come out."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_providers.vendors import sse

pytestmark = pytest.mark.unit


async def read(*chunks: bytes) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [data async for data in sse.data_of(stream())]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("data: a\n\ndata:b\n\n", ["a", "b"]),
        ("data: a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"]),
        ("data: one\ndata:  two\n\n", ["one\n two"]),
        (": comment\n\nevent: x\nid: 1\nretry: 5\n\nevent: y\ndata: a\n\n", ["a"]),
        ("data: a\n\ndata: the end", ["a", "the end"]),
        ("data: a\n\ndata: the end\n", ["a", "the end"]),
        ("data\n\ndatabase: x\n\n", []),
        ("data: \u2028\u0085\x0b\x0c\n\n", ["\u2028\u0085\x0b\x0c"]),
        ("", []),
    ],
)
async def test_events_end_where_the_standard_says(text, events):
    assert await read(text.encode()) == [event.encode() for event in events]


@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=5
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    data=st.data(),
)
async def test_pieces_do_not_matter(texts, end, data):
    stream = "".join(f"event: x{end}data: {text}{end}{end}" for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[begin:stop] for begin, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert await read(*chunks) == [text.encode() for text in texts]


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 1_100_000],
        [b"data: " + b"x" * 600_000 + b"\n"] * 2,
        [b"data: " + b"x" * 900_000 + b"\n\n"] * 20,
    ],
    ids=["a line", "an event", "a stream"],
)
async def test_more_than_a_reply_needs_is_given_up(chunks):
    with pytest.raises(sse.TooLongError):
        await read(*chunks)

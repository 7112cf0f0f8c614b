import re

import pytest
from voisnap_runtime.pipeline.sentences import LONGEST_PIECE_CHARS, sentences

pytestmark = pytest.mark.unit


async def pieces_of(*pieces: str) -> list[str]:
    async def stream():
        for piece in pieces:
            yield piece

    return [sentence async for sentence in sentences(stream())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("We open at 3 p.m. on Friday.", ["We open at 3 p.m. on Friday."]),
        ("We open at 3 p.m. Come early.", ["We open at 3 p.m.", "Come early."]),
        ("It costs 3.50 dollars. Fine?", ["It costs 3.50 dollars.", "Fine?"]),
        ("Ask for Dr. Smith today.", ["Ask for Dr. Smith today."]),
        ("It is on Main St. near the bank.", ["It is on Main St. near the bank."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("Wait... what? No!", ["Wait...", "what?", "No!"]),
        ("Call J. R. Smith now.", ["Call J. R. Smith now."]),
        ("It was me and I. You know.", ["It was me and I.", "You know."]),
        ("1. Open the box.\n2. Close it.", ["1. Open the box.", "2. Close it."]),
        ("No end", ["No end"]),
        ("", []),
        ("   \n ", []),
        ("Visit example.com today. Bye.", ["Visit example.com today.", "Bye."]),
    ],
)
async def test_text_is_cut_into_sentences_whatever_the_pieces_it_comes_in(text, expected):
    assert await pieces_of(text) == expected
    assert await pieces_of(*text) == expected
    assert await pieces_of(*re.findall(r"\s*\S+", text)) == expected


async def test_a_long_first_sentence_leaves_at_its_comma():
    text = "We are open from Monday to Friday from eight to six, and on Saturday from nine to one, but not on Sunday."
    first, second = await pieces_of(*re.findall(r"\s*\S+", text))
    assert first == "We are open from Monday to Friday from eight to six,"
    assert second == "and on Saturday from nine to one, but not on Sunday."


async def test_a_text_without_any_end_is_cut_all_the_same():
    pieces = await pieces_of("word " * 200)
    assert max(map(len, pieces)) <= LONGEST_PIECE_CHARS
    assert " ".join(pieces) == ("word " * 200).strip()


async def test_the_first_sentence_is_there_before_the_second_is_written():
    written = []

    async def stream():
        for piece in ("One.", " Two", " more."):
            written.append(piece)
            yield piece

    async for sentence in sentences(stream()):
        assert sentence == "One."
        assert written == ["One.", " Two"]
        break

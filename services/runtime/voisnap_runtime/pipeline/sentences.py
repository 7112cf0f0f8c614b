"""Cutting a reply that is still being written into pieces a voice can speak.

The first piece leaves early, at a comma if need be, so that the voice starts soon; later ones are whole sentences.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable

FIRST_PIECE_CHARS = 48
"""A first piece this long may end at a comma, semicolon, colon or dash."""
LONGEST_PIECE_CHARS = 240
"""A piece without any end is cut at its last space here."""

ABBREVIATIONS = frozenset(
    word
    for group in (
        ("mr", "mrs", "ms", "dr", "prof", "hon", "rev", "gen", "gov", "lt", "col", "sgt", "rep", "sen", "jr", "sr"),
        (
            "st",
            "ave",
            "blvd",
            "rd",
            "apt",
            "ste",
            "dept",
            "no",
            "nos",
            "ext",
            "fig",
            "tel",
            "est",
            "approx",
            "min",
            "max",
        ),
        ("inc", "ltd", "co", "corp", "vs", "etc", "a.m", "p.m", "e.g", "i.e", "u.s", "u.k", "d.c", "ph.d"),
        ("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
        ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    )
    for word in group
)
"""Words whose full stop does not end a sentence by itself."""
CLOSING_ABBREVIATIONS = frozenset(
    {"a.m", "p.m", "etc", "inc", "ltd", "jr", "sr", "u.s", "u.k", "d.c", "ph.d", "co", "corp"}
)
"""Those which may end a sentence all the same: when a capital letter follows."""

_END = re.compile(r"(?P<mark>[.!?…。！？]+)(?P<quote>[\"'”’)\]]*)(?=\s)|\n+")
_SOFT_END = re.compile(r"[,;:–—](?=\s)")
_LAST_WORD = re.compile(r"([\w.]+)$")
_CAN_START = re.compile(r"[\"'“‘(\[]*[A-Z0-9]")


async def sentences(pieces: AsyncIterable[str]) -> AsyncGenerator[str]:
    """Regroup a stream of text into speakable pieces, each as soon as it is sure."""
    pending = ""
    first = True
    async for piece in pieces:
        pending += piece
        while (end := _cut(pending, first=first)) is not None:
            spoken, pending = pending[:end].strip(), pending[end:].lstrip()
            if spoken:
                first = False
                yield spoken
    if pending.strip():
        yield pending.strip()


def unfinished_sentence(text: str) -> str:
    """The last sentence of a text that broke off; empty when it broke off between two."""
    ends = [match.end() for match in _END.finditer(f"{text} ") if _is_end(f"{text} ", match)]
    return text[ends[-1] :].strip() if ends else text.strip()


def whole_sentences(text: str) -> str:
    """A text without the sentence at its end that broke off."""
    ends = [match.end() for match in _END.finditer(f"{text} ") if _is_end(f"{text} ", match)]
    return text[: ends[-1]].strip() if ends else ""


def _cut(text: str, *, first: bool) -> int | None:
    for match in _END.finditer(text):
        if _is_end(text, match):
            return match.end()
    if first and len(text) > FIRST_PIECE_CHARS:
        soft = [match.end() for match in _SOFT_END.finditer(text) if match.end() >= FIRST_PIECE_CHARS // 2]
        if soft:
            return soft[0]
    if len(text) > LONGEST_PIECE_CHARS:
        space = text.rfind(" ", 0, LONGEST_PIECE_CHARS)
        return space if space > 0 else LONGEST_PIECE_CHARS
    return None


def _is_end(text: str, match: re.Match[str]) -> bool:
    if match["mark"] != ".":
        return True
    word = _LAST_WORD.search(text[: match.start()])
    if word is None:
        return True
    last = word[1].lower()
    after = text[match.end() :].lstrip()
    if last in ABBREVIATIONS:
        return last in CLOSING_ABBREVIATIONS and bool(_CAN_START.match(after)) and not after[:1].isdigit()
    if len(last) == 1 and last.isalpha() and last != "i":
        return False
    return not (last.isdigit() and _starts_a_line(text, word.start()))


def _starts_a_line(text: str, position: int) -> bool:
    """A number at the start of a line is a list's, not a sentence."""
    return not text[:position].rpartition("\n")[2].strip()

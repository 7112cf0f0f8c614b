"""The documentation pages that are the contract, read as data: operations, requests as printed, responses, tables, enumerations.

The pages are plain text without fences, so a block is known by how it begins and ends where its brackets and quotes are closed.
"""

import json
import re
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

_FOLDER = Path(__file__).with_name("seeds")
_OPERATION = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/api/v1/\S+)$")
_ROW = re.compile(
    r"^(?P<name>[a-z][A-Za-z]*(?:\.[a-z][A-Za-z]*)?)"
    r"(?P<type>string\[\]|string|integer|boolean)"
    r"(?P<required>Yes|No)?(?P<text>\S.*)$"
)
_CURL = re.compile(r"^curl ")
_PYTHON = re.compile(r"^(?:[a-z_]+ = client\.|client\.[a-z_.]+\(|for \w+ in client\.)")
_TYPESCRIPT = re.compile(r"^(?:const \w+ = await client\.|await client\.|for await \()")
_CURL_METHOD = re.compile(r"-X (\w+)")
_CURL_PATH = re.compile(r"https://api\.voisnap\.ai(/api/v1/[^\s\"?]*)")
_CLOSED = {"(": ")", "[": "]", "{": "}"}


class Kind(StrEnum):
    """What an example is written in."""

    CURL = "curl"
    PYTHON = "python"
    TYPESCRIPT = "typescript"
    JSON = "json"


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One block as printed. `heading` is the section it stands in; `operation` (`GET /api/v1/…`) is what a curl line asks, for the other
    blocks what the curl line before them in the section asks, else the last operation the section names."""

    kind: Kind
    page: str
    heading: str
    operation: str | None
    text: str

    @property
    def value(self) -> Any:
        """The content of a JSON block."""
        return json.loads(self.text)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table of fields or parameters. `required` is None in a table without that column."""

    operation: str
    name: str
    type: str
    required: bool | None
    text: str


class SeedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    name: str
    operations: tuple[str, ...]
    examples: tuple[Example, ...]
    rows: tuple[Row, ...]

    def of_kind(self, kind: Kind) -> tuple[Example, ...]:
        """The examples written in one language, in their order."""
        return tuple(example for example in self.examples if example.kind is kind)

    def response(self, operation: str) -> Any:
        """The documented response of an operation. Raises KeyError when the page prints none."""
        for example in self.of_kind(Kind.JSON):
            if example.operation == operation:
                return example.value
        raise KeyError(operation)

    def object(self, heading: str) -> Any:
        """The JSON printed under a heading, such as `Agent object`."""
        return next(example.value for example in self.of_kind(Kind.JSON) if example.heading == heading)


@cache
def seed_page(name: str) -> SeedPage:
    """A page by its name: `introduction`, `agents`, `conversations`, `realtime-overview`, `webrtc`."""
    lines = (_FOLDER / f"seed-{name}.txt").read_text().splitlines()
    operations: list[str] = []
    examples: list[Example] = []
    rows: list[Row] = []
    heading, operation = "", None
    at = 0
    while at < len(lines):
        line = lines[at]
        kind = _kind_of(line)
        if kind is not None:
            end = _end_of(lines, at, kind)
            text = "\n".join(lines[at:end])
            if kind is Kind.CURL:
                operation = _asked(text, operations)
            examples.append(Example(kind=kind, page=name, heading=heading, operation=operation, text=text))
            at = end
            continue
        if found := _OPERATION.match(line):
            operation = f"{found[1]} {found[2]}"
            operations.append(operation)
        elif operation is not None and (row := _ROW.match(line)):
            required = {"Yes": True, "No": False, None: None}[row["required"]]
            rows.append(
                Row(operation=operation, name=row["name"], type=row["type"], required=required, text=row["text"])
            )
        elif _is_heading(lines, at):
            heading, operation = line.strip(), None
        at += 1
    return SeedPage(name=name, operations=tuple(operations), examples=tuple(examples), rows=tuple(rows))


def enumerated(row: Row) -> tuple[str, ...]:
    """The literals a row's text lists (`Filter by active, inactive, draft`, `asc or desc`); empty when it lists none."""
    text = row.text.removeprefix("Filter by ").removeprefix("Must be ")
    words = [word.strip() for word in re.split(r", | or ", text)]
    return tuple(words) if len(words) > 1 and all(re.fullmatch(r"[a-z][A-Za-z_]+", word) for word in words) else ()


def limits(row: Row) -> tuple[int, int] | None:
    """The range a row's text states (`30–3600`); None when it states none."""
    found = re.search(r"\((\d+)–(\d+)", row.text)
    return (int(found[1]), int(found[2])) if found else None


def _asked(curl: str, operations: list[str]) -> str | None:
    """The operation of the page that a curl line calls."""
    method, path = _CURL_METHOD.search(curl), _CURL_PATH.search(curl)
    wanted = f"{method[1] if method else 'GET'} {path[1] if path else ''}"
    shapes = ((operation, re.sub(r"\\{\w+\\}", "[^/ ]+", re.escape(operation))) for operation in operations)
    return next((operation for operation, shape in shapes if re.fullmatch(shape, wanted)), None)


def _kind_of(line: str) -> Kind | None:
    if _CURL.match(line):
        return Kind.CURL
    if line == "{":
        return Kind.JSON
    if _PYTHON.match(line):
        return Kind.PYTHON
    return Kind.TYPESCRIPT if _TYPESCRIPT.match(line) else None


def _end_of(lines: list[str], start: int, kind: Kind) -> int:
    """The line after the block: brackets and quotes are closed, no line is continued, no indented line follows."""
    end = start + 1
    while end < len(lines):
        text = "\n".join(lines[start:end])
        is_whole = text.count("'") % 2 == 0 and not text.endswith("\\") if kind is Kind.CURL else _is_balanced(text)
        goes_on = kind is Kind.PYTHON and (lines[end].startswith("    ") or _is_same_python(lines, start, end))
        if is_whole and not goes_on:
            return end
        end += 1
    return end


def _is_same_python(lines: list[str], start: int, end: int) -> bool:
    """A statement right below one that assigned what it uses: `for conv in conversations:`."""
    assigned = re.match(r"^(\w+) = ", lines[start])
    return assigned is not None and re.match(rf"^for \w+ in {assigned[1]}:", lines[end]) is not None


def _is_balanced(text: str) -> bool:
    """Whether every bracket outside of quotes is closed."""
    open_brackets: list[str] = []
    quote = ""
    for before, character in zip(" " + text, text, strict=False):
        if quote:
            quote = "" if character == quote and before != "\\" else quote
        elif character in "\"'`":
            quote = character
        elif character in _CLOSED:
            open_brackets.append(_CLOSED[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
    return not open_brackets and not quote


def _is_heading(lines: list[str], at: int) -> bool:
    """A short line of words that stands alone between empty lines."""
    line = lines[at].strip()
    alone = (at == 0 or not lines[at - 1].strip()) and (at + 1 == len(lines) or not lines[at + 1].strip())
    return (
        alone
        and 0 < len(line) <= 60
        and line[0].isupper()
        and not re.search(r"[.:]$|: ", line.removeprefix("Step 1: "))
    )

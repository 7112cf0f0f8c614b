"""Byte ranges (RFC 9110 §14): the one range a player asks for."""

import re

import msgspec

_RANGE = re.compile(r"^bytes=([0-9]{0,18})-([0-9]{0,18})$")


class ByteRange(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes [start, end) of `size`."""

    start: int
    end: int
    size: int

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def content_range(self) -> str:
        """The header's value: positions are inclusive on the wire."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


class Unsatisfiable(Exception):
    """The range begins beyond the end."""


def parse(header: str | None, size: int) -> ByteRange | None:
    """The range a header asks for; None means everything, also for a header that is not understood or asks for several ranges.

    Raises Unsatisfiable when nothing of the range exists.
    """
    found = _RANGE.match((header or "").replace(" ", ""))
    if not found or found[1] == found[2] == "":
        return None
    if found[1] == "":
        length = min(int(found[2]), size)
        if length == 0:
            raise Unsatisfiable
        return ByteRange(start=size - length, end=size, size=size)
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return ByteRange(start=start, end=end, size=size)

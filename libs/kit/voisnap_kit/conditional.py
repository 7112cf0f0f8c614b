"""Conditional requests (RFC 9110 §13): what `If-Match` and `If-None-Match` say about an entity tag. Pure."""

import re

_TAG = re.compile(r'(?P<weak>W/)?(?P<opaque>"[\x21\x23-\x7e\x80-\xff]*")')
_LIST = re.compile(rf"[\s,]*(?:{_TAG.pattern.replace('?P<weak>', '?:').replace('?P<opaque>', '?:')}\s*(?:,[\s,]*|$))+")


def allows_change(if_match: str | None, tag: str) -> bool:
    """Whether a change of what has the strong entity tag `tag` may happen (§13.1.1): strong comparison, so a weak tag never fits.

    Without the header it may; with one that is no list of tags it may not, because somebody wanted to be careful.
    """
    if if_match is None or if_match.strip() == "*":
        return True
    return tag in {opaque for weak, opaque in _tags(if_match) if not weak}


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether a reader has what has this entity tag already (§13.1.2): weak comparison. A header that is no list of tags says nothing."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return tag.removeprefix("W/") in {opaque for _, opaque in _tags(if_none_match)}


def _tags(header: str) -> list[tuple[str, str]]:
    """(weak mark, opaque tag) of each tag of a list; none of what is no list."""
    return _TAG.findall(header) if _LIST.fullmatch(header.strip()) else []

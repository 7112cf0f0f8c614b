"""How JSON looks on this API: camelCase, unknown fields refused; times as the documentation prints them."""

from datetime import UTC, datetime

import msgspec


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request body."""


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A response body."""


def instant(moment: datetime) -> str:
    """ISO 8601, UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

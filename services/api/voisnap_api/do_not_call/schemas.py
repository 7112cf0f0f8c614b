"""Numbers that must not be called, on the wire."""

from typing import Annotated

import msgspec

from voisnap_api.wire import Body, View, instant

from .records import Listed

MOST_IMPORTED = 10_000

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Source = Annotated[
    str,
    msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$", description="Where it comes from, such as `manual` or `crm`"),
]
Number = Annotated[str, msgspec.Meta(description="In E.164 form", examples=["+14155550100"])]


class DoNotCallBody(Body, frozen=True, kw_only=True):
    """A number not to be called any more."""

    phone_number: Number
    reason: Reason | None = None
    source: Source = "manual"


class DoNotCallImport(Body, frozen=True, kw_only=True):
    """Many numbers not to be called any more."""

    phone_numbers: Annotated[tuple[Number, ...], msgspec.Meta(min_length=1, max_length=MOST_IMPORTED)]
    reason: Reason | None = None
    source: Source = "import"


class DoNotCallImported(View, frozen=True, kw_only=True):
    """How many numbers were put on the list, and how many were on it before or came twice."""

    added: int
    already_listed: int


class DoNotCallView(View, frozen=True, kw_only=True):
    """A number that must not be called."""

    phone_number: str
    reason: str | None
    source: str
    created_at: str
    created_by: str | None

    @classmethod
    def of(cls, listed: Listed) -> "DoNotCallView":
        return cls(
            phone_number=listed.phone_number,
            reason=listed.reason,
            source=listed.source,
            created_at=instant(listed.created_at),
            created_by=listed.created_by,
        )

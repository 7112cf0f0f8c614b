"""Dead letters on the wire."""

from voisnap_kit.bus import DeadLetter

from voisnap_admin.wire import View, instant


class DeadLetterView(View, frozen=True, kw_only=True):
    """An event that a consumer gave up, and why. `about` holds the ids that the event carries, such as conversationId."""

    sequence: int
    consumer: str
    subject: str
    event_id: str
    tenant_id: str
    reason: str
    buried_at: str
    about: dict[str, str]

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterView":
        return cls(
            sequence=letter.sequence,
            consumer=letter.consumer,
            subject=letter.subject,
            event_id=letter.event_id,
            tenant_id=letter.tenant_id,
            reason=letter.reason,
            buried_at=instant(letter.buried_at),
            about={_camel(name): value for name, value in letter.about.items() if name != "tenant_id"},
        )


class DeadLettersView(View, frozen=True, kw_only=True):
    """Letters, the oldest first; `nextCursor` is null behind the last. `total` counts all of them."""

    data: tuple[DeadLetterView, ...]
    total: int
    next_cursor: str | None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

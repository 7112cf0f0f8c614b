"""What a conversation can be filtered by, as facets: short texts such as `status=completed`. Pure.

A duration is a whole number of seconds, as it is shown, and is kept in binary: one facet a digit.
"""

from collections.abc import Iterator, Sequence

from voisnap_api.conversations.records import Archived, ConversationFilter

from .records import Indexed

DIGITS = 20
"""Binary digits of a duration: up to twelve days; a longer one counts as that, so that a list is asked for less only."""

LONGEST = (1 << DIGITS) - 1
DIGIT_FACETS = tuple(f"seconds.{digit:02d}" for digit in range(DIGITS))
"""The facets of a duration's digits, the lowest first; their order as texts is the same."""

_ANY = "any"
_TIMED = "timed"
_LISTED = "listed"
_ARCHIVED = "archived"


def facets_of(conversation: Indexed) -> Iterator[str]:
    """Every facet that a conversation has."""
    yield _ANY
    yield _ARCHIVED if conversation.archived else _LISTED
    yield f"agent={conversation.agent_id}"
    yield f"channel={conversation.channel}"
    yield f"direction={conversation.direction}"
    yield f"status={conversation.status}"
    if conversation.outcome is not None:
        yield f"outcome={conversation.outcome}"
    for tag in set(conversation.tags):
        yield f"tag={tag}"
    if conversation.seconds is not None:
        yield _TIMED
        seconds = min(max(conversation.seconds, 0), LONGEST)
        for digit, facet in enumerate(DIGIT_FACETS):
            if seconds >> digit & 1:
                yield facet


def facets_wanted(wanted: ConversationFilter) -> tuple[str, ...]:
    """The facets that every conversation of a list has; dates and durations are beside them."""
    facets = [{Archived.NO: _LISTED, Archived.YES: _ARCHIVED, Archived.ALL: _ANY}[wanted.archived]]
    named = {
        "agent": wanted.agent_id,
        "channel": wanted.channel,
        "direction": wanted.direction,
        "status": wanted.status,
        "outcome": wanted.outcome,
    }
    facets += [f"{name}={value}" for name, value in named.items() if value is not None]
    facets += [f"tag={tag}" for tag in dict.fromkeys(wanted.tags)]
    if wanted.min_duration is not None or wanted.max_duration is not None:
        facets.append(_TIMED)
    return tuple(facets)


def bits_of(conversations: Sequence[Indexed]) -> dict[str, str]:
    """The bits of every facet over these conversations, as a text of 0 and 1 with a place for each."""
    size = len(conversations)
    bits: dict[str, bytearray] = {}
    for place, conversation in enumerate(conversations):
        for facet in facets_of(conversation):
            found = bits.get(facet)
            if found is None:
                found = bits[facet] = bytearray(b"0" * size)
            found[place] = 49  # "1"
    return {facet: found.decode() for facet, found in bits.items()}

"""Is the caller still there? Hub and media are lost and come back separately; only the two together decide.

Pure: times are seconds of any clock that never goes back.
"""

from enum import Enum, auto

import msgspec
from voisnap_domain.sessions import EndReason

FIRST_MEDIA_SECONDS = 120.0
"""A page may ask for the microphone after it has connected: how long it may take until media flow."""

HUB_BEFORE_MEDIA_SECONDS = 10.0
"""How long a hub that left before there were media may take to come back."""

MEDIA_SECONDS = 30.0
"""How long media may be away while the hub is there, for an ICE restart."""

BOTH_SECONDS = 8.0
"""How long both may be away."""

CLOSED_SECONDS = 2.0
"""The same, when the peer said goodbye to its media."""

SILENT_SECONDS = 5.0
"""Without a hub, media that carry no packet for so long count as gone (a browser that was killed says nothing)."""

_GONE = frozenset({"disconnected", "failed", "closed"})


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a caller now.

    `hub_lost_at` is None while the hub is connected; `media` is the transport's state; `media_changed_at` when it became so; `heard_at` when
    the last audio packet came.
    """

    claimed_at: float
    connected: bool
    hub_lost_at: float | None
    media: str
    media_changed_at: float
    heard_at: float


class Presence(Enum):
    """What follows for the session."""

    PRESENT = auto()
    AWAY = auto()


def presence(seen: Sighting, now: float) -> Presence | EndReason:
    """Whether the caller is there, away and awaited back, or gone: then the reason to end with."""
    if not seen.connected:
        return _before_media(seen, now)
    lost_at = _media_lost_at(seen, now)
    if lost_at is None:
        return Presence.PRESENT
    if seen.hub_lost_at is None:
        return EndReason.DISCONNECTED if now - lost_at >= MEDIA_SECONDS else Presence.AWAY
    patience = CLOSED_SECONDS if seen.media == "closed" else BOTH_SECONDS
    return EndReason.DISCONNECTED if now - lost_at >= patience else Presence.AWAY


def _before_media(seen: Sighting, now: float) -> Presence | EndReason:
    if seen.hub_lost_at is not None:
        return EndReason.DISCONNECTED if now - seen.hub_lost_at >= HUB_BEFORE_MEDIA_SECONDS else Presence.PRESENT
    return EndReason.TIMEOUT if now - seen.claimed_at >= FIRST_MEDIA_SECONDS else Presence.PRESENT


def _media_lost_at(seen: Sighting, now: float) -> float | None:
    """Since when the media are gone; the transport notices silence later than we do."""
    signs: list[float] = []
    if seen.media in _GONE:
        signs.append(seen.media_changed_at)
    if seen.hub_lost_at is not None and now - seen.heard_at >= SILENT_SECONDS:
        signs.append(seen.heard_at)
    return min(signs, default=None)

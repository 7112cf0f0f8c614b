"""Is the caller still there? Hub and media are lost and come back separately; only the two together decide.

Media of their own (WebRTC) live without the hub; media that come over the hub (VoiceHub, ChatHub) die with it.
Pure: times are seconds of any clock that never goes back.
"""

from enum import Enum, auto

import msgspec
from voisnap_domain.sessions import EndReason

RESUME_SECONDS = 30.0
"""How long a caller who is gone may take to come back (decisions, "Hubs": resume)."""

FIRST_MEDIA_SECONDS = 120.0
"""A page may ask for the microphone after it has connected: how long it may take until media flow."""

HUB_BEFORE_MEDIA_SECONDS = 10.0
"""How long a hub that left before there were media may take to come back."""

CLOSED_SECONDS = 2.0
"""How long hub and media may both be away when the peer said goodbye to its media."""

SILENT_SECONDS = 5.0
"""Without a hub, media that carry no packet for so long count as gone (a browser that was killed says nothing)."""

_GONE = frozenset({"none", "disconnected", "failed", "closed"})


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a caller now.

    `hub_lost_at` is None while the hub is connected; `media` is the transport's state, `none` without one; `media_changed_at` when it became
    so; `heard_at` when the last audio packet came. `over_hub`: the media come over the hub. `window`: seconds to come back within.
    """

    claimed_at: float
    connected: bool
    hub_lost_at: float | None
    media: str
    media_changed_at: float
    heard_at: float
    over_hub: bool = False
    window: float = RESUME_SECONDS


class Presence(Enum):
    """What follows for the session."""

    PRESENT = auto()
    AWAY = auto()


def presence(seen: Sighting, now: float) -> Presence | EndReason:
    """Whether the caller is there, away and awaited back, or gone: then the reason to end with."""
    if not seen.connected:
        return _before_media(seen, now)
    lost_at = _lost_at(seen, now)
    if lost_at is None:
        return Presence.PRESENT
    said_goodbye = seen.media == "closed" and seen.hub_lost_at is not None and not seen.over_hub
    patience = min(CLOSED_SECONDS, seen.window) if said_goodbye else seen.window
    return EndReason.DISCONNECTED if now - lost_at >= patience else Presence.AWAY


def _before_media(seen: Sighting, now: float) -> Presence | EndReason:
    if seen.hub_lost_at is not None:
        return EndReason.DISCONNECTED if now - seen.hub_lost_at >= HUB_BEFORE_MEDIA_SECONDS else Presence.PRESENT
    return EndReason.TIMEOUT if now - seen.claimed_at >= FIRST_MEDIA_SECONDS else Presence.PRESENT


def _lost_at(seen: Sighting, now: float) -> float | None:
    """Since when the caller can't be reached; of media that went silent the transport hears later than we do."""
    if seen.over_hub:
        return seen.hub_lost_at
    signs: list[float] = []
    if seen.media in _GONE:
        signs.append(seen.media_changed_at)
    if seen.hub_lost_at is not None and now - seen.heard_at >= SILENT_SECONDS:
        signs.append(seen.heard_at)
    return min(signs, default=None)

"""What is known of a caller, as it comes in: hub and media, since when, and when anything was heard last."""

from voisnap_domain.sessions import EndReason

from .presence import Presence, Sighting, presence

HALF_OPEN_SECONDS = 8.0
"""A client that streamed its audio and sends none for so long has probably lost its connection, though nobody told us."""

ON_THE_WAY_SECONDS = 2.0
"""How long after its claim a session waits for its hub before others may have it."""


class Attendance:
    """One caller's hub and media. Times are seconds of the event loop's clock; `window` is how long he may take to come back."""

    def __init__(self, now: float, *, window: float) -> None:
        self._window = window
        self._claimed_at = self._media_changed_at = self._heard_at = now
        self._hub_lost_at: float | None = now
        self._was_watched = False
        self._over_hub = False
        self._streams = False

    def hub_came(self) -> None:
        """A hub is connected."""
        self._was_watched = True
        self._streams = False
        self._hub_lost_at = None

    def hub_left(self, now: float) -> None:
        """The hub is gone."""
        self._hub_lost_at = now

    def media_come(self, *, over_hub: bool) -> None:
        """Which way the media come from now on: those over the hub die with it."""
        self._over_hub = over_hub

    def media_changed(self, state: str, now: float) -> None:
        """The transport is in another state."""
        self._media_changed_at = now
        if state == "connected":
            self._heard_at = now

    def heard(self, at: float) -> None:
        """Audio of the caller came."""
        self._heard_at = at
        self._streams = True

    def is_taken(self, now: float) -> bool:
        """Whether a hub is connected, or about to be: whoever claimed it a moment ago is on the way in.

        A hub whose audio has stopped for seconds may seem connected and be dead: its client may come back over another one.
        """
        if self._hub_lost_at is None:
            return not (self._over_hub and self._streams and now - self._heard_at >= HALF_OPEN_SECONDS)
        return not self._was_watched and now - self._claimed_at < ON_THE_WAY_SECONDS

    def verdict(self, *, connected: bool, media: str, now: float) -> Presence | EndReason:
        """Whether the caller is there, away, or gone; `connected` tells whether media have flowed, `media` how they are."""
        seen = Sighting(
            claimed_at=self._claimed_at,
            connected=connected,
            hub_lost_at=self._hub_lost_at,
            media=media,
            media_changed_at=self._media_changed_at,
            heard_at=self._heard_at,
            over_hub=self._over_hub,
            window=self._window,
        )
        return presence(seen, now)

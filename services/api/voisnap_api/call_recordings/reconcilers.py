"""Fetches recordings from carriers every few seconds."""

from voisnap_kit.reconcile import Reconciler

from .fetching import Fetched, Fetcher

_EVERY = 3.0


def carrier_recordings(fetcher: Fetcher) -> Reconciler[Fetched]:
    """Fetches what carriers have recorded, and deletes it there."""
    return Reconciler("carrier-recordings", _EVERY, fetcher.look_after_due, timeout=1200.0)

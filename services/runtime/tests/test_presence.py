"""When is a caller gone? Hub and media, lost and found."""

import msgspec
import pytest
from voisnap_domain.sessions import EndReason
from voisnap_runtime.sessions.presence import Presence, Sighting, presence

pytestmark = pytest.mark.unit

TALKING = Sighting(claimed_at=0, connected=True, hub_lost_at=None, media="connected", media_changed_at=10, heard_at=100)


def seen(**changes) -> Sighting:
    return msgspec.structs.replace(TALKING, **changes)


@pytest.mark.parametrize(
    ("sighting", "now", "verdict"),
    [
        (TALKING, 100, Presence.PRESENT),
        (seen(heard_at=10), 300, Presence.PRESENT),  # a muted page sends nothing
        (seen(hub_lost_at=90), 102, Presence.PRESENT),  # the hub is lost, the media are not
        (seen(hub_lost_at=90, heard_at=500), 501, Presence.PRESENT),
        (seen(media="disconnected", media_changed_at=100), 129, Presence.AWAY),
        (seen(media="disconnected", media_changed_at=100), 130, EndReason.DISCONNECTED),
        (seen(hub_lost_at=100, heard_at=100), 105, Presence.AWAY),  # the browser was killed
        (seen(hub_lost_at=100, heard_at=100), 129, Presence.AWAY),
        (seen(hub_lost_at=100, heard_at=100), 130, EndReason.DISCONNECTED),
        (seen(hub_lost_at=100, heard_at=100, media="disconnected", media_changed_at=106), 129, Presence.AWAY),
        (seen(hub_lost_at=100, heard_at=100, media="disconnected", media_changed_at=106), 130, EndReason.DISCONNECTED),
        (seen(hub_lost_at=100, heard_at=100, window=8.0), 108, EndReason.DISCONNECTED),
        (seen(hub_lost_at=100, media="closed", media_changed_at=100), 101, Presence.AWAY),
        (seen(hub_lost_at=100, media="closed", media_changed_at=100), 102, EndReason.DISCONNECTED),
        (seen(hub_lost_at=100, media="failed", media_changed_at=100), 130, EndReason.DISCONNECTED),
        (seen(media="none", media_changed_at=100), 101, Presence.AWAY),  # taken over, the media follow
        (seen(over_hub=True, heard_at=10), 300, Presence.PRESENT),  # a client that sends nothing while it is silent
        (seen(over_hub=True, hub_lost_at=100, heard_at=100), 100, Presence.AWAY),  # audio died with the hub
        (seen(over_hub=True, hub_lost_at=100, media="closed", media_changed_at=100), 129, Presence.AWAY),
        (seen(over_hub=True, hub_lost_at=100, heard_at=129), 130, EndReason.DISCONNECTED),
        (seen(connected=False, media="none"), 119, Presence.PRESENT),  # asking for the microphone
        (seen(connected=False, media="connecting"), 120, EndReason.TIMEOUT),
        (seen(connected=False, media="none", hub_lost_at=20), 29, Presence.PRESENT),
        (seen(connected=False, media="none", hub_lost_at=20), 30, EndReason.DISCONNECTED),
    ],
)
def test_hub_and_media_together_tell_whether_the_caller_is_there(sighting, now, verdict):
    assert presence(sighting, now) == verdict

"""Numbers and trunks of the simulated carriers: their REST APIs."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from voisnap_simulator.world import World

from . import telnyx, telnyx_trunks, twilio, twilio_trunks, vonage


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Handlers with whole paths (`/twilio/…`, `/vonage/…`, `/telnyx/v2/…`)."""
    return (
        *(*twilio.handlers(world), *twilio_trunks.handlers(world)),
        *vonage.handlers(world),
        *(*telnyx.handlers(world), *telnyx_trunks.handlers(world)),
    )

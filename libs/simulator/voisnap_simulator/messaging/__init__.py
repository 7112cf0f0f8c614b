"""Messages of the simulated networks: SMS at three carriers, WhatsApp and Telegram, with people who write and read."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from voisnap_simulator.world import World

from . import control, telegram, telnyx, twilio, vonage, whatsapp

_PROVIDERS = {"twilio": twilio, "vonage": vonage, "telnyx": telnyx, "whatsapp": whatsapp, "telegram": telegram}


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Handlers with whole paths (`/twilio/…`, `/vonage/…`, `/telnyx/v2/…`, `/whatsapp/…`, `/telegram/…`, `/simulator/…`), of the providers
    that the world has accounts with."""
    found = [handler for name, part in _PROVIDERS.items() if name in world.accounts for handler in part.handlers(world)]
    return (*found, *control.handlers(world))

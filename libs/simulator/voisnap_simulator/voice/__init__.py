"""Calls of the simulated carriers: their REST APIs, webhooks and media sockets."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from voisnap_simulator.faults import NONE, Faults
from voisnap_simulator.persona.behaviour import Behaviour
from voisnap_simulator.world import World

from . import telnyx, twilio, vonage
from .calls import Call
from .exchange import exchange_of

_CARRIERS = {"twilio": twilio, "vonage": vonage, "telnyx": telnyx}


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """Handlers with whole paths (`/twilio/…`, `/vonage/…`, `/telnyx/v2/…`), of the carriers that have an account."""
    return tuple(
        handler
        for provider, carrier in _CARRIERS.items()
        if provider in world.accounts
        for handler in carrier.handlers(world)
    )


def ring(
    world: World,
    provider: str,
    *,
    caller: str,
    callee: str,
    behaviour: Behaviour,
    faults: Faults = NONE,
    keeps_audio: bool = False,
) -> Call:
    """Somebody calls one of the platform's numbers. Raises Busy."""
    carrier = _CARRIERS[provider]
    call = exchange_of(world).call_from(
        provider,
        carrier.new_id(world),
        caller=caller,
        callee=callee,
        behaviour=behaviour,
        faults=faults,
        keeps_audio=keeps_audio,
    )
    carrier.ring(world, call, world.number(provider, callee))
    return call

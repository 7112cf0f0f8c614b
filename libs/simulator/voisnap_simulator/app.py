"""All simulated carriers behind one address: `/twilio`, `/vonage`, `/telnyx`, `/whatsapp`, `/telegram`, and `/simulator` to control them."""

from typing import Any

from litestar import Litestar, Response, get

from . import control, messaging, numbers, voice
from .answers import MAX_BODY, Refused, refusal
from .world import World


def build(world: World) -> Litestar:
    """The application of a world."""

    async def shut() -> None:
        await control.shut(world)

    return Litestar(
        route_handlers=[
            _livez,
            _readyz,
            *voice.handlers(world),
            *numbers.handlers(world),
            *messaging.handlers(world),
            *control.handlers(world),
        ],
        exception_handlers={Refused: refusal},
        request_max_body_size=MAX_BODY,
        openapi_config=None,
        logging_config=None,
        debug=False,
        on_shutdown=[shut],
    )


@get("/livez", sync_to_thread=False)
def _livez() -> dict[str, Any]:
    return {"status": "ok"}


@get("/readyz", sync_to_thread=False)
def _readyz() -> Response[dict[str, Any]]:
    return Response({"status": "ready", "checks": {}})

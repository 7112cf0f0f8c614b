"""The routes under `/simulator`, by which a developer or a test lets somebody call, write, pick up or hang up."""

import hmac
from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.types import ControllerRouterHandler

from .answers import Refused
from .world import World

PREFIX = "/simulator"


def check_bearer(world: World, request: Request[Any, Any, Any]) -> None:
    """Raises Refused unless the request holds the secret of the accounts file and comes from this machine itself."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    host = request.client.host if request.client else ""
    if not world.bearer or not hmac.compare_digest(given.encode(), world.bearer.encode()) or host not in _LOOPBACK:
        raise Refused(401, {"error": "this wants the bearer of the simulator's accounts file, from this machine"})


_LOOPBACK = frozenset({"127.0.0.1", "::1", "testclient", ""})


def handlers(world: World) -> Sequence[ControllerRouterHandler]:
    """What is the same for all carriers."""

    @get(f"{PREFIX}/numbers")
    async def numbers(request: Request[Any, Any, Any]) -> list[dict[str, Any]]:
        check_bearer(world, request)
        return [
            {"provider": one.provider, "number": one.number, "id": one.id, "voiceUrl": one.voice_url}
            for one in world.numbers.values()
        ]

    return (numbers,)


async def shut(world: World) -> None:
    """Ends everything that the parts of the world still do."""
    for part in world.parts.values():
        if (close := getattr(part, "aclose", None)) is not None:
            await close()

"""`python -m voisnap_simulator`: the simulated carriers of this machine, on loopback."""

import logging
import os
from pathlib import Path
from typing import Any

from voisnap_kit.memory import loading

with loading():
    import msgspec
    from voisnap_kit import log
    from voisnap_kit.failures import SetUpFault
    from voisnap_kit.serve import run, serve
    from voisnap_kit.settings import load

    from .accounts import language_models, launch
    from .world import World


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One variable a field, in upper case. Numbers are kept beside the accounts file; `models_dir` holds the callers' voice."""

    simulator_accounts_file: Path
    public_url: str
    http_host: str = "127.0.0.1"
    http_port: int = 8085
    models_dir: Path | None = None
    log_level: str = "INFO"
    log_format: str = "json"


class Waiting:
    """The application, made when somebody asks it something: its framework and eighty routes take 25 MB and a third of a second, which a
    platform whose sandbox nobody uses does without."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None and scope["type"] == "http" and scope["path"] in ("/livez", "/readyz"):
            body = b'{"status":"ready"}'
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            if self._app is None:
                from .app import build  # noqa: PLC0415 - see above

                self._app = build(self._world)
            await self._app(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                if self._app is not None:
                    from .control import shut  # noqa: PLC0415 - it is loaded by now

                    await shut(self._world)
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})


async def main() -> None:
    """Serve until SIGTERM."""
    settings = load(SimulatorSettings, os.environ)
    log.configure("simulator", level=settings.log_level, fmt=settings.log_format)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    path = settings.simulator_accounts_file
    try:
        launched = launch(path)
    except ValueError as error:
        raise SetUpFault(f"SIMULATOR_ACCOUNTS_FILE: {error}") from None
    world = World.of(
        launched,
        settings.public_url,
        state_file=path.with_name("simulator-numbers.json"),
        models=settings.models_dir,
        providers=language_models(os.environ),
    )
    await serve(Waiting(world), settings.http_host, settings.http_port)


if __name__ == "__main__":
    run(main)

"""`python -m voisnap_simulator`: the simulated carriers of this machine, on loopback."""

import logging
import os
from pathlib import Path

from voisnap_kit.memory import loading

with loading():
    import msgspec
    from voisnap_kit import log
    from voisnap_kit.failures import SetUpFault
    from voisnap_kit.serve import run, serve
    from voisnap_kit.settings import load

    from .accounts import launch
    from .app import build
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
        launched, settings.public_url, state_file=path.with_name("simulator-numbers.json"), models=settings.models_dir
    )
    await serve(build(world), settings.http_host, settings.http_port)


if __name__ == "__main__":
    run(main)

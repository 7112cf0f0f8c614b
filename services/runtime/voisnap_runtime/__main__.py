"""`python -m voisnap_runtime`: one runtime process."""

import logging
import os

from voisnap_kit.memory import loading

with loading():
    from voisnap_kit import log, trace
    from voisnap_kit.serve import run, serve
    from voisnap_kit.settings import load

    from .app import open_runtime
    from .settings import RuntimeSettings


async def main() -> None:
    """Load, serve, and go when asked to."""
    settings = load(RuntimeSettings, os.environ)
    log.configure("runtime", level=settings.log_level, fmt=settings.log_format)
    # At INFO it names every candidate, which is somebody's address.
    logging.getLogger("aioice").setLevel(logging.WARNING)
    for library in ("httpx", "httpx2"):  # at INFO a line for every request, with its address
        logging.getLogger(library).setLevel(logging.WARNING)
    trace.configure("runtime", settings.otel_exporter_otlp_endpoint)
    async with open_runtime(settings) as runtime:
        await serve(runtime.app, settings.http_host, settings.http_port, on_drain=runtime.drain)


if __name__ == "__main__":
    run(main)

"""An emulator of speech services as a process of its own, with real speech, and what is asked of it from outside.

POST /_emulator/script     faults of the next requests: [{"kind": "refused", "status": 429}, null]
GET  /_emulator/requests   what was asked
GET  /_emulator/violations
"""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from .emulated_faults import decoded_faults
from .emulated_voice import LocalVoice
from .emulated_words import LocalWords
from .local_server import HttpRequest, answer

PREFIX = "/_emulator/"


async def control(emulator: Any, scope: Any, send: Any, request: HttpRequest) -> bool:
    """Answer a request that is about the emulator itself; whether it was one."""
    if scope["type"] != "http" or not request.path.startswith(PREFIX):
        return False
    status, body = 200, b"[]"
    match request.method, request.path.removeprefix(PREFIX):
        case "POST", "script":
            try:
                emulator.plan(*decoded_faults(request.body))
            except msgspec.DecodeError as error:
                status, body = 400, msgspec.json.encode([str(error)])
        case "GET", "requests":
            body = msgspec.json.encode(emulator.seen())
        case "GET", "violations":
            body = msgspec.json.encode(emulator.violations)
        case _:
            status = 404
    await answer(scope, send, status, body, {"content-type": "application/json"})
    return True


def run_emulator(make: Callable[..., Any], *, port: int) -> None:
    """Run until killed: speaks with the local voice, hears with the local recogniser; prints its address."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=port)
    options = parser.parse_args()

    async def run() -> None:
        async with make(voice=LocalVoice(), recogniser=LocalWords(), port=options.port) as emulator:
            print(emulator.url, flush=True)  # noqa: T201 - a process tells its address so
            await asyncio.Event().wait()

    asyncio.run(run())

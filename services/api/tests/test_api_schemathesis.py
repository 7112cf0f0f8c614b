"""schemathesis (generated requests, valid and not) against the live application on a real database, with all of its checks.

`VOISNAP_FUZZ_EXAMPLES=100` tries more; `VOISNAP_FUZZ_ONLY=agents` only operations whose id holds the text.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from litestar import Litestar
from voisnap_testkit.finished_calls import AGENT_TURN, USER_TURN, Call

pytestmark = pytest.mark.slice

SETTINGS = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("VOISNAP_FUZZ_EXAMPLES", "1")
ONLY = os.environ.get("VOISNAP_FUZZ_ONLY", "")


async def test_generated_requests_find_nothing(api, tmp_path):
    await api.follow()
    await api.start_runtime()
    for user_id in ("usr_1", "usr_2"):
        await api.add_user(f"{user_id}@acme.test", id=user_id)
    credentials = {
        "FUZZ_KEY": f"Bearer {await api.add_key()}",
        "FUZZ_PERSON": api.token("ten_a")["Authorization"],
        "FUZZ_LEAVER": api.token("ten_a", user_id="usr_2")["Authorization"],
    }
    call = Call()
    for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended()):
        await api.tell(event)
    async with served(api.app) as port:
        status, output = await run(port, credentials, tmp_path)
    (tmp_path / "report.txt").write_text(output)
    assert status == 0, output[-30_000:]
    for operation in ("GET /api/v1/agents", "GET /api/v1/auth/me"):
        assert f"- {operation}\n" not in output, "the credentials did not hold: " + output[-30_000:]


class Server(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@asynccontextmanager
async def served(app: Litestar) -> AsyncGenerator[int]:
    """The application on a port of the loopback."""
    server = Server(
        uvicorn.Config(app, port=0, http="httptools", ws="none", lifespan="off", log_config=None, server_header=False)
    )
    task = asyncio.create_task(server._serve())  # `serve` would take over the signals of the test run
    try:
        async with asyncio.timeout(10):
            await server.is_up.wait()
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait({task}, timeout=10)


async def run(port: int, credentials: dict[str, str], folder: Path) -> tuple[int, str]:
    """schemathesis's exit status and report."""
    selection = ("--include-operation-id-regex", ONLY) if ONLY else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS)),
        *("run", f"http://127.0.0.1:{port}/api/v1/openapi.json"),
        *("--max-examples", EXAMPLES, *selection),
        cwd=folder,
        env={**os.environ, **credentials, "NO_COLOR": "1", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 1800)
    return process.returncode or 0, output.decode()

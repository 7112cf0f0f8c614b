"""The clients of docs/guides/reconnecting.md, as they stand there, against a hub that is cut off once."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import uvicorn
from voisnap_signalr import Hub, HubApp, HubRequest, Unauthorized

pytestmark = pytest.mark.hub

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guides" / "reconnecting.md").read_text()
SNIPPETS: dict[str, str] = dict(re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL))
KNOWN = {"origin": "", "agentId": "agt_1", "agent_id": "agt_1", "token": "good"}


class Cut(Hub):
    """Starts a session for each client, and takes it back over the next connection if the client shows which one it had."""

    sessions: ClassVar[dict[str, str]] = {}
    back: ClassVar[dict[str, asyncio.Event]] = {}
    cut: ClassVar[dict[str, asyncio.Event]] = {}

    async def on_connected(self) -> None:
        client = self.connection.query["client"]
        known = self.connection.query.get("sessionId") == f"vs_{client}"
        known = known or any(digest == self.sessions.get(client) for digest in self.connection.previous)
        started = {"sessionId": f"vs_{client}", "resumed": known and client in self.sessions}
        self.connection.send("SessionStarted", started)
        if client not in self.sessions:
            self.sessions[client] = self.connection.digest
            asyncio.get_running_loop().call_later(0.3, self.cut[client].set)
        elif known:
            self.back[client].set()


async def admit(request: HubRequest) -> str:
    if request.access_token != "good":
        raise Unauthorized
    return "user_1"


class Server:
    """The hubs behind a socket that breaks without a word."""

    def __init__(self) -> None:
        self._hubs = HubApp({"voice": Cut}, authenticate=admit, continuity=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await self._hubs(scope, receive, send)
            return
        client = dict(re.findall(r"(\w+)=(\w+)", scope["query_string"].decode()))["client"]
        serving = asyncio.ensure_future(self._hubs(scope, receive, send))
        cut = asyncio.ensure_future(Cut.cut[client].wait())
        await asyncio.wait({serving, cut}, return_when=asyncio.FIRST_COMPLETED)
        Cut.cut[client].clear()
        for task in (serving, cut):
            task.cancel()
        await asyncio.wait({serving, cut})


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    Cut.sessions, Cut.back, Cut.cut = {}, {}, {}
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(Server(), ws="websockets-sansio", ws_ping_interval=None, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    async with asyncio.timeout(10):
        await serving
    listener.close()


def script(name: str, origin: str) -> str:
    """The snippet, with what the reader is to fill in."""
    known = KNOWN | {"origin": origin}
    code = SNIPPETS[name].replace("/hubs/voice?", f"/hubs/voice?client={name}&")
    if name == "npm":
        return "".join(f"const {key} = {value!r};\n" for key, value in known.items() if "_" not in key) + code
    ends = "\nimport time; time.sleep(60)\n" if name == "signalrcore" else ""
    return "".join(f"{key} = {value!r}\n" for key, value in known.items() if key != "agentId") + code + ends


async def test_every_client_of_the_guide_comes_back_to_its_session(origin: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed for this test"
    assert sorted(SNIPPETS) == ["npm", "pysignalr", "signalrcore"]
    (tmp_path / "node_modules").symlink_to(ROOT / "tests-e2e" / "node_modules")
    processes: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name in SNIPPETS:
            Cut.back[name], Cut.cut[name] = asyncio.Event(), asyncio.Event()
            path = tmp_path / f"with_{name}.{'mjs' if name == 'npm' else 'py'}"
            path.write_text(script(name, origin))
            processes[name] = await asyncio.create_subprocess_exec(
                node if name == "npm" else sys.executable,
                str(path),
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        seen: dict[str, list[str]] = {}
        async with asyncio.timeout(30):
            for name, process in processes.items():
                seen[name] = await said(process, f"resumed vs_{name}")
        for name, lines in seen.items():
            assert f"started vs_{name}" in lines, lines
    finally:
        for process in processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def said(process: asyncio.subprocess.Process, wanted: str) -> list[str]:
    """What a client printed, up to the line that is wanted. Fails when it ends before."""
    lines: list[str] = []
    assert process.stdout is not None
    while wanted not in lines:
        line = (await process.stdout.readline()).decode()
        assert line, lines
        lines.append(line.strip())
    return lines

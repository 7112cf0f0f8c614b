"""A peer to compare with: its environment below the user's cache, made on first use, and its server on a core of its own."""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
from voisnap_stack.load_socket import CallRefused
from voisnap_testkit.platform import free_port

HERE = Path(__file__).parent / "peers"
READY_SECONDS = 90.0


class PeerMissing(Exception):
    """The peer cannot be installed or started; the text says why."""


class PeerServer(msgspec.Struct, frozen=True, kw_only=True):
    """A running server of a peer."""

    name: str
    url: str
    pid: int

    async def exchange(self, offer: str) -> str:
        """Its answer to a WebRTC offer. Raises CallRefused."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            answer = await http.post(f"{self.url}/offer", json={"sdp": offer, "type": "offer"})
        if answer.status_code != 200:
            raise CallRefused(f"the peer answered {answer.status_code}")
        return answer.json()["sdp"]


def installed(name: str) -> Path:
    """The Python of the peer's environment (`peers/<name>.txt` is what is in it), made on first use. Raises PeerMissing."""
    requirements = HERE / f"{name}.txt"
    pinned = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voisnap" / "peers"
    folder = cache / f"{name}-{pinned}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    print(f"installing the peer into {folder}, once", file=sys.stderr)
    uv = Path(sys.executable).with_name("uv")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True, timeout=120)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "-r", requirements], check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissing(f"{name} cannot be installed: {error}") from error
    (folder / "complete").touch()
    return python


@asynccontextmanager
async def peer_server(
    name: str, *, core: int | None, silence_ms: int, arguments: Sequence[str] = ()
) -> AsyncGenerator[PeerServer]:
    """Start `peers/<name>_server.py PORT SILENCE_SECONDS ARGUMENTS…`; at the end of the block it is gone. Raises PeerMissing."""
    python = await asyncio.to_thread(installed, name)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = await asyncio.create_subprocess_exec(
        python,
        HERE / f"{name}_server.py",
        str(port),
        str(silence_ms / 1000),
        *arguments,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        await _until_ready(name, process, f"{url}/ready")
        yield PeerServer(name=name, url=url, pid=process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_ready(name: str, process: asyncio.subprocess.Process, url: str) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while process.returncode is None:
                try:
                    if (await http.get(url)).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise PeerMissing(f"{name} was not ready within {READY_SECONDS:g} s") from None
    raise PeerMissing(f"{name} ended with status {process.returncode}")

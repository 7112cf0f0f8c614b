"""The control socket of a running `voisnap up`: one line of JSON in, one line out, readable by its owner only."""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .supervise import StackError

Handler = Callable[[str, str | None], Awaitable[dict[str, Any]]]
"""(verb, part) → answer; raises StackError with what to say."""

LINE_LIMIT = 65_536
ANSWER_SECONDS = 60.0


async def serve_control(path: Path, handler: Handler) -> asyncio.Server:
    """Listen on `path` with mode 0600, replacing what an ended run left."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await asyncio.wait_for(reader.readline(), 5.0))
            answer = {"ok": True, **await handler(str(request.get("verb")), request.get("part"))}
        except StackError as error:
            answer = {"ok": False, "error": str(error)}
        except (ValueError, TimeoutError, AttributeError):
            answer = {"ok": False, "error": "not a request"}
        with suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    await asyncio.to_thread(path.unlink, missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    # The socket's own mode becomes the file's (unix(7)). The process's umask would also reach what other threads create meanwhile.
    os.fchmod(listener.fileno(), 0o600)
    with _ShortPath(path) as short:
        listener.bind(short)
    await asyncio.to_thread(path.chmod, 0o600)
    return await asyncio.start_unix_server(handle, sock=listener, limit=LINE_LIMIT)


def ask(path: Path, verb: str, part: str | None = None) -> dict[str, Any]:
    """One request to the running launcher. Raises StackError if none runs or it refuses."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            with _ShortPath(path) as short:
                client.connect(short)
            client.sendall(json.dumps({"verb": verb, "part": part}).encode() + b"\n")
            answer = json.loads(client.makefile("rb").readline())
        except (OSError, ValueError) as error:
            raise StackError(f"no `voisnap up` is running on {path.parent}: start it with `make up`") from error
    if not answer["ok"]:
        raise StackError(answer["error"])
    return answer


class _ShortPath:
    """A name for a socket path that fits in sun_path (108 bytes, unix(7)), however deep the folder is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 100 or not Path("/proc/self/fd").exists():
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *error: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)

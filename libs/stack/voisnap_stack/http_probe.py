"""The little HTTP that the launcher speaks: readiness probes of its services, and the aggregated `/healthz`.

Written on asyncio streams, so that starting the launcher imports no HTTP library.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from .ports import LOOPBACK
from .supervise import Probe

MAX_HEAD = 8192
HTTP_OK, HTTP_NOT_FOUND, HTTP_UNAVAILABLE = 200, 404, 503
_REASONS = {HTTP_OK: "OK", HTTP_NOT_FOUND: "Not Found", HTTP_UNAVAILABLE: "Service Unavailable"}


async def get(port: int, path: str, *, timeout: float = 2.0) -> tuple[int, bytes]:
    """Status and body of a GET on loopback. Status 0 when there is no answer in time."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        return int(head.split(b" ", 2)[1]), body
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0, b""


def readyz(port: int) -> Probe:
    """Ready when the service's own `/readyz` says so; the detail names its failed checks."""

    async def probe() -> str | None:
        status, body = await get(port, "/readyz", timeout=3.0)
        if status == HTTP_OK:
            return None
        return "no answer" if status == 0 else _failed_checks(body) or f"/readyz answers {status}"

    return probe


def listens(port: int) -> Probe:
    """Ready when something answers HTTP there, whatever it says. Not asked for `/healthz`, which would ask back."""

    async def probe() -> str | None:
        status, _ = await get(port, "/favicon.svg")
        return None if status else "no answer"

    return probe


def _failed_checks(body: bytes) -> str | None:
    try:
        checks: dict[str, dict[str, Any]] = json.loads(body)["checks"]
    except (ValueError, KeyError, TypeError):
        return None
    failed = (f"{name}: {check.get('detail', 'failed')}" for name, check in checks.items() if check["status"] != "ok")
    return "; ".join(failed) or None


async def serve_health(answer: Callable[[], Awaitable[dict[str, Any]]], port: int) -> asyncio.Server:
    """Serve `GET /healthz` on loopback: what `answer` says, 200 if its status is `ready`, else 503."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5.0):
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].split(b"?")[0]
                report = await answer() if target == b"/healthz" else {"status": "unknown path"}
            status = HTTP_NOT_FOUND if target != b"/healthz" else HTTP_UNAVAILABLE
            _reply(writer, HTTP_OK if report["status"] == "ready" else status, report)
            await writer.drain()
        except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    return await asyncio.start_server(handle, LOOPBACK, port, limit=MAX_HEAD)


def _reply(writer: asyncio.StreamWriter, status: int, report: dict[str, Any]) -> None:
    body = json.dumps(report).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)

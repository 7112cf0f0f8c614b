"""Running a service: one process, one loop, HTTP on one port, and an end within four seconds of SIGTERM."""

import asyncio
import contextlib
import inspect
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Any

import uvicorn
import uvloop
import websockets.http11

from . import log
from .failures import SetUpFault, Unavailable
from .health import Check, DrainGate
from .websocket import WebSocketProtocol

_log = log.get(__name__)

GRACE_SECONDS = 3
"""How long requests and sockets in progress may take to end; with the application's own shutdown the process is gone within 4 s."""

WS_MAX_BYTES = 256 * 1024

WS_MAX_URL_BYTES = 128 * 1024
"""The query of a hub holds up to 16 KiB of metadata, of which URL encoding makes up to three times as much."""

websockets.http11.MAX_LINE_LENGTH = (
    WS_MAX_URL_BYTES  # 8 KiB otherwise, and the library offers only an environment variable
)
UNAVAILABLE, SET_UP_FAULT = 1, 2
"""Exit statuses: a restart may help; only a person can help."""

PEER_SECONDS = 30
"""What is sent to a peer that takes nothing or is away is given up after that; its socket would stay open for ever."""

Drain = Callable[[], Awaitable[None] | None]


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service's main coroutine on uvloop. A fault of the set-up is one clear line a problem and exit status 2; a
    part that does not answer is one line and exit status 1."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except SetUpFault as error:
        _complain(*error.problems)
        sys.exit(SET_UP_FAULT)
    except Unavailable as error:
        _complain(str(error))
        sys.exit(UNAVAILABLE)
    except KeyboardInterrupt:
        sys.exit(130)


async def serve(
    app: Any, host: str, port: int, *, on_drain: Drain | None = None, on_ready: Callable[[int], None] | None = None
) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT; a second signal ends at once.

    `on_drain` runs first and may wait (a runtime hands its calls over there). WebSockets still open then are closed with 1012.
    `on_ready` gets the port once it listens, which matters for port 0. Cancelling it is a graceful stop too, without `on_drain`.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http="httptools",
            ws=_WebSocketProtocol,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            ws_max_size=WS_MAX_BYTES,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"),
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
            lifespan="on",
        ),
        on_drain=on_drain,
        on_ready=on_ready,
    )
    serving = asyncio.ensure_future(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True  # uvicorn, cancelled itself, would leave its sockets open
        await asyncio.wait({serving}, timeout=GRACE_SECONDS + 1)
        raise


class _WebSocketProtocol(WebSocketProtocol):
    """uvicorn's WebSockets, with an answer to a handshake that can't be read: uvicorn itself keeps its connection open for ever."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


async def run_worker(
    main: Callable[[], Awaitable[None]],
    *,
    service: str,
    host: str,
    port: int,
    checks: Mapping[str, Check],
    on_drain: Drain | None = None,
) -> None:
    """Run work that serves no requests, with the health endpoints beside it. Ends with the work, or cancels it on SIGTERM.

    An exception of the work ends the process with it.
    """
    from .http import build_app  # noqa: PLC0415 - 0.15 s with its framework, in which commands that serve nothing have no part

    gate = DrainGate()
    work = asyncio.ensure_future(main())

    async def drain() -> None:
        gate.close()
        if on_drain is not None and inspect.isawaitable(waiting := on_drain()):
            await waiting

    web = asyncio.create_task(
        serve(build_app([], service=service, checks=checks, gate=gate), host, port, on_drain=drain)
    )
    await asyncio.wait({work, web}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if work.done():
            work.result()
    finally:
        for task in (work, web):
            task.cancel()
        await asyncio.wait({work, web}, timeout=GRACE_SECONDS)
    if web.done() and not web.cancelled():
        web.result()


class _Server(uvicorn.Server):
    """uvicorn with our signals: drain first, then stop, and exit with status 0."""

    def __init__(
        self, config: uvicorn.Config, *, on_drain: Drain | None, on_ready: Callable[[int], None] | None
    ) -> None:
        super().__init__(config)
        self._on_drain = on_drain
        self._on_ready = on_ready
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        for listening in (listening for server in self.servers for listening in server.sockets):
            _give_up_on_stuck_peers(listening.fileno())
        if self.started and self._on_ready is not None:
            self._on_ready(self.servers[0].sockets[0].getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                    loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if self._draining is not None:
            self.force_exit = self.should_exit = True
            return
        _log.info("service.stopping", signal=signal.Signals(number).name)
        self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            if self._on_drain is not None and inspect.isawaitable(waiting := self._on_drain()):
                await waiting
        except Exception:
            _log.exception("service.drain_failed")
        self.should_exit = True


def _give_up_on_stuck_peers(listening: int) -> None:
    """Connections inherit the time limit of what is sent and not acknowledged, also for want of room (tcp(7), TCP_USER_TIMEOUT)."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with socket.socket(fileno=os.dup(listening)) as own:
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_SECONDS * 1000)


def _complain(*problems: str) -> None:
    for text in problems:
        sys.stderr.write(f"voisnap: {text}\n")

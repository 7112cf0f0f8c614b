"""A real server with the test hub, for clients that are other processes: uvicorn as in production, behind a TCP proxy
that can break connections off, and with pages for browsers.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import scenario_app
import uvicorn
from voisnap_signalr import ConnectionSettings, HubApp, HubAppSettings, Transport, hub_method


class MoreHub(scenario_app.ScenarioHub):
    """Served at `/more`: for what the tests' hub has no method for."""

    def __init__(self) -> None:
        self._gate = asyncio.Event()

    @hub_method("Gate")
    async def gate(self, word: str) -> str:
        """`wait` is answered after an `open` that came later."""
        if word == "open":
            self._gate.set()
        else:
            await self._gate.wait()
        return word

    @hub_method("ConcatAndTell")
    async def concat_and_tell(self, source: AsyncIterable[str]) -> None:
        self.connection.send("Concatenated", "".join([item async for item in source]))

    @hub_method("GetDigest")
    async def own_digest(self) -> str:
        return self.connection.digest

    @hub_method("HasHeld")
    async def has_held(self, digest: str) -> bool:
        return digest in self.connection.previous


class _Silence:
    """A log that keeps nothing: the failures of the test hub are meant."""

    def debug(self, event: str, **values: Any) -> None: ...
    def info(self, event: str, **values: Any) -> None: ...
    def warning(self, event: str, **values: Any) -> None: ...
    def error(self, event: str, **values: Any) -> None: ...


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """Where one client connects, where it has all its connections broken off, and pages of its own and of another origin."""

    origin: str
    cut: str
    page: str
    foreign_page: str


def _app(proxies: Sequence["CuttingProxy"], files: Mapping[str, Path]) -> Any:
    # Quick pings: signalrcore's stop() waits until something arrives.
    settings = HubAppSettings(connection=ConnectionSettings(keep_alive_s=0.3), tick_s=0.1)
    hubs = HubApp(
        {**scenario_app.HUBS, "/more": MoreHub, "/nosockets": scenario_app.ScenarioHub},
        authenticate=scenario_app.authenticate,
        allowed_origins=["http://127.0.0.1:*"],
        transports={"/nosockets": (Transport.SERVER_SENT_EVENTS, Transport.LONG_POLLING)},
        continuity=True,
        logger=_Silence(),
        settings=settings,
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] in files:
            path = files[scope["path"]]
            await _answer(send, path.read_bytes(), "text/html" if path.suffix == ".html" else "text/javascript")
        elif scope["type"] == "http" and scope["path"] == "/cut":
            proxies[int(parse_qs(scope["query_string"].decode())["of"][0])].cut()
            await _answer(send, b"", "text/plain")
        else:
            await hubs(scope, receive, send)

    return app


async def _answer(send: Any, body: bytes, content_type: str) -> None:
    headers = {
        "access-control-allow-origin": "*",
        "connection": "close",
        "content-length": str(len(body)),
        "content-type": content_type,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


class CuttingProxy:
    """Passes TCP on."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break all connections off, without a goodbye."""
        for writer in self._connections:
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        there = None
        try:
            from_there, there = await asyncio.open_connection("127.0.0.1", self._port)
            up = asyncio.create_task(_copy(reader, there))
            down = asyncio.create_task(_copy(from_there, writer))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            down.cancel()
        except OSError:
            pass
        finally:
            self._connections.discard(writer)
            if there is not None:
                there.transport.abort()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextmanager
def running(count: int, files: Mapping[str, Path]) -> Iterator[tuple[Front, ...]]:
    """Serve the test hub behind `count` proxies, and `files` (path to file), until the end of the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    fronts = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [front.getsockname()[1] for front in (listener, *fronts)]
    proxies = [CuttingProxy(ports[0]) for _ in fronts]
    config = uvicorn.Config(
        _app(proxies, files),
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,  # as the services: at the default of 5 a busy client can write to a connection that is just closed
    )
    server = uvicorn.Server(config)

    async def serve() -> None:
        fronted = [
            await asyncio.start_server(proxy.pass_on, sock=front) for proxy, front in zip(proxies, fronts, strict=True)
        ]
        await server.serve(sockets=[listener])
        for front in fronted:
            front.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="scenario server")
    thread.start()
    beside, *origins = (f"http://127.0.0.1:{port}" for port in ports)
    try:
        yield tuple(
            Front(
                origin=origin,
                cut=f"{beside}/cut?of={number}",
                page=f"{origin}/page.html",
                foreign_page=f"{beside}/page.html",
            )
            for number, origin in enumerate(origins)
        )
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()

"""The stack's embedded servers for one test run: without fsync, in a folder of their own, gone at the end of the run.

They run on a loop in a thread of their own, because tests come and go with their loops; the thread lives as long as the servers, whose
parent-death signal is tied to it.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from voisnap_stack.servers import EmbeddedServers

T = TypeVar("T")

_PATIENCE = 60.0


class EmbeddedTestServers:
    """Starts servers one by one on free loopback ports and stops them all in `stop`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="voisnap-test-"))
        self.folder.chmod(0o755)  # as root PostgreSQL runs as another user, who has to pass through
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded test servers", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._running: dict[str, EmbeddedServers] = {}
        self._count = 0

    def start_postgres(self) -> str:
        """A superuser's URL."""
        url = self._start("postgres").database_url
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            # Of the roles that tests make: at the default of 4096 checking the password is half of what a connection costs.
            connection.execute("ALTER ROLE CURRENT_USER SET scram_iterations = 1")
        return url

    def start_redis(self) -> str:
        return self._start("valkey").redis_url

    def start_nats(self) -> str:
        """URL of a server with JetStream; each call starts another one."""
        return self._start("nats").nats_url

    def pause(self, name: str) -> None:
        """Stop the latest server of this name in its tracks: it takes connections but says nothing."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused server go on."""
        self._signal(name, signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End a server without a chance to say goodbye; it stays down."""
        self._signal(name, signal.SIGSTOP)  # so that it can't act on the polite signal that comes first
        self._wait(self._running[name].parts[name].stop(0))

    def revive(self, name: str) -> None:
        """Start a killed server again on its port and its data."""
        self._wait(self._running[name].parts[name].start())

    def stop(self) -> None:
        """Stop all and remove the folder."""
        if self._loop.is_closed():
            return
        self._wait(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=_PATIENCE)
        self._loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str) -> EmbeddedServers:
        self._count += 1
        home = self.folder / f"{name}-{self._count}"
        servers = self._wait(self._stack.enter_async_context(EmbeddedServers.start(home, fsync=False, parts=(name,))))
        self._running[name] = servers
        return servers

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self._running[name].parts[name].pid
        if pid is None:
            raise ProcessLookupError(f"{name} is not running")
        os.kill(pid, number)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the servers' loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=_PATIENCE)

"""The servers tests run against: `TEST_DATABASE_URL`, `TEST_REDIS_URL`, `TEST_NATS_URL` if set; containers if
`VOISNAP_TEST_SERVERS=containers` and an engine answers; else the embedded wheels. Each starts when the first test asks for it.

Given servers are emptied by tests: never point these variables at one that matters.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from .embedded import EmbeddedTestServers

DATABASE, REDIS, NATS = "TEST_DATABASE_URL", "TEST_REDIS_URL", "TEST_NATS_URL"

_POSTGRES_IMAGE = "pgvector/pgvector:pg18"
_VALKEY_IMAGE = "valkey/valkey:9"
_NATS_IMAGE = "nats:2"


def containers_wanted(environ: dict[str, str] | os._Environ[str] = os.environ) -> bool:
    """Whether containers were asked for and an engine answers. The client on PATH proves nothing: the engine is asked."""
    if environ.get("VOISNAP_TEST_SERVERS") != "containers" or shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0  # noqa: S607 - found on PATH


class TestServers:
    """URLs of the servers of this test run, started on first use."""

    __test__ = False

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._embedded: EmbeddedTestServers | None = None
        self._containers: bool | None = None
        self._urls: dict[str, str] = {}

    @property
    def database_url(self) -> str:
        """PostgreSQL, as a role that may create databases and roles."""
        return self._url(DATABASE, lambda: self._wheels().start_postgres(), self._postgres_container)

    @property
    def redis_url(self) -> str:
        return self._url(REDIS, lambda: self._wheels().start_redis(), self._valkey_container)

    @property
    def nats_url(self) -> str:
        return self._url(NATS, lambda: self._wheels().start_nats(), self._nats_container)

    def own_nats(self) -> str:
        """Another NATS server from the wheel, for a process or a test that must not share streams."""
        return self._wheels().start_nats()

    @property
    def nats_is_given(self) -> bool:
        """Whether NATS is not ours to start."""
        return bool(os.environ.get(NATS)) and not os.environ.get("VOISNAP_TEST_STARTED")

    def stop(self) -> None:
        """Stop what was started here."""
        self._stack.close()
        self._urls.clear()
        self._embedded = None

    def _url(self, variable: str, embedded: Callable[[], str], container: Callable[[], str]) -> str:
        if given := os.environ.get(variable):
            return given
        if variable not in self._urls:
            if self._containers is None:
                self._containers = containers_wanted()
            self._urls[variable] = container() if self._containers else embedded()
        return self._urls[variable]

    def _wheels(self) -> EmbeddedTestServers:
        if self._embedded is None:
            self._embedded = EmbeddedTestServers()
            self._stack.callback(self._embedded.stop)
        return self._embedded

    def _postgres_container(self) -> str:
        container = (
            DockerContainer(_POSTGRES_IMAGE).with_env("POSTGRES_HOST_AUTH_METHOD", "trust").with_exposed_ports(5432)
        )
        container.with_command("postgres -c fsync=off -c max_connections=200")
        host, port = self._run(container, 5432, "listening on IPv4 address")
        return f"postgresql://postgres@{host}:{port}/postgres"

    def _valkey_container(self) -> str:
        host, port = self._run(
            DockerContainer(_VALKEY_IMAGE).with_exposed_ports(6379), 6379, "Ready to accept connections"
        )
        return f"redis://{host}:{port}"

    def _nats_container(self) -> str:
        container = DockerContainer(_NATS_IMAGE).with_exposed_ports(4222).with_command("-js")
        host, port = self._run(container, 4222, "Server is ready")
        return f"nats://{host}:{port}"

    def _run(self, container: DockerContainer, port: int, ready: str) -> tuple[str, Any]:
        container.waiting_for(LogMessageWaitStrategy(ready))
        running = self._stack.enter_context(container)
        return running.get_container_host_ip(), running.get_exposed_port(port)

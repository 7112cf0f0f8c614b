"""The pytest plugin: `servers`, `database_for`, `redis_url`, `nats_url`, and `@pytest.mark.virtual_time`."""

import ast
import asyncio
import gc
import os
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import redis
import structlog
from httpx._transports import default
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from xdist.scheduler import LoadScopeScheduling

from . import statements
from .databases import DatabaseFactory, TestDatabase, run_apart
from .node import put_on_path
from .servers import DATABASE, NATS, REDIS, TestServers
from .virtual_time import VirtualTimeLoop

_CATEGORIES = frozenset({"unit", "conformance", "slice", "hub", "media", "e2e"})
_COSTLY = ("two_runtimes", "platform")
"""Fixtures of a session that take so long that a run makes them once; whoever asks for one runs together."""

_REDIS_DATABASES = 16
_STARTED = "VOISNAP_TEST_STARTED"

_run_servers: pytest.StashKey[TestServers] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: run the test on a loop whose clock jumps to the next timer")
    config.stash[_run_servers] = TestServers()
    # Each application that a test builds makes 100,000 objects that live: at the default of 700, an eighth of a run goes into collecting.
    gc.set_threshold(100_000, 20, 20)
    _log_through_pytest()
    put_on_path()
    _share_certificates()
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        # Controller of a parallel run: start what all workers share and hand it on by environment, which they inherit.
        servers = config.stash[_run_servers]
        for variable, url in ((DATABASE, servers.database_url), (REDIS, servers.redis_url), (NATS, servers.nats_url)):
            if not os.environ.get(variable):
                os.environ[variable] = url
                os.environ[_STARTED] = "1"


def _share_certificates() -> None:
    """Among the HTTP clients of a process, of which each test makes some: httpx takes 30 ms for each to read who is trusted by default."""
    made = httpx.create_ssl_context

    @cache
    def trusted(trust_env: bool, _file: str | None, _folder: str | None) -> ssl.SSLContext:
        return made(trust_env=trust_env)

    def create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is not True or cert is not None:
            return made(verify, cert, trust_env)
        return trusted(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    default.create_ssl_context = create


def _log_through_pytest() -> None:
    """Log lines go to pytest, which shows those of a failed test; no local variables in tracebacks."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    servers = config.stash.get(_run_servers, None)
    if servers is not None:
        servers.stop()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m "e2e or media"` files of other kinds aren't even read: a quarter of a minute of every process that runs tests."""
    wanted = str(getattr(config.option, "markexpr", "")).split(" or ")
    if not _CATEGORIES.issuperset(wanted) or not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text()
    named = {name for name in _CATEGORIES if f"mark.{name}" in text}
    # One that names none is read, and told so.
    return True if named and named.isdisjoint(wanted) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test module declares what kind of test it holds."""
    unmarked = sorted(
        {str(item.path) for item in items if not any(mark.name in _CATEGORIES for mark in item.iter_markers())}
    )
    if unmarked:
        raise pytest.UsageError(f"no category marker ({', '.join(sorted(_CATEGORIES))}) in: {', '.join(unmarked)}")
    sizes = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, bool, int]:
        group = shared_by(str(item.path))
        rank = _COSTLY.index(group) if group in _COSTLY else len(_COSTLY)
        return rank, "tests-e2e" not in item.path.parts, sizes[item.path]

    # What shares something costly, then whole systems, then files of few tests, which are the long ones: quick ones fill the end.
    items.sort(key=place)


class _Together(LoadScopeScheduling):
    """A file runs in one process, and all files that share something costly in the same. Names of groups in node ids (`--dist loadgroup`)
    are not understood by this release of pytest."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return shared_by(file) or file


@cache
def shared_by(file: str) -> str | None:
    """The costly fixture that tests and fixtures of a file ask for and that it does not make itself: of several the first of the list."""
    functions = [
        function
        for function in ast.parse(Path(file).read_text()).body
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and (function.name.startswith("test_") or function.decorator_list)
    ]
    asked = {argument.arg for function in functions for argument in function.args.args}
    asked -= {function.name for function in functions}
    return next((name for name in _COSTLY if name in asked), None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """The scheduler of `--dist loadscope`; node ids are relative to the root, where pytest runs."""
    return _Together(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """pytest-asyncio's hook: tests marked `virtual_time` get the virtual loop, others the standard one."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": VirtualTimeLoop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> TestServers:
    """The servers of this run; a server starts when its URL is first read."""
    return pytestconfig.stash[_run_servers]


@pytest.fixture(scope="session")
def worker_name() -> str:
    """Name of this process in a parallel run: `gw0`, or `main`."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def _databases(servers: TestServers, worker_name: str) -> Iterator[DatabaseFactory]:
    factory = DatabaseFactory(servers.database_url, f"{worker_name}_{os.getpid()}")
    yield factory
    factory.close()


@pytest.fixture
def database_for(_databases: DatabaseFactory) -> Iterator[Callable[..., TestDatabase]]:
    """`database_for("voisnap_api")`: a migrated, empty database that lives as long as the test."""
    made: list[TestDatabase] = []

    def create(package: str, migrations: Path | None = None) -> TestDatabase:
        made.append(_databases.create(package, migrations))
        return made[-1]

    yield create
    for database in made:
        _databases.give_back(database)


@pytest.fixture(scope="session")
def plan_statements() -> Callable[[TestDatabase, Path], Awaitable[int]]:
    """`await plan_statements(database, package_folder)`: plan every statement of a service's stores; how many."""
    return statements.plan_statements


@pytest.fixture(scope="session")
def _redis_numbers(worker_name: str) -> list[int]:
    """Database numbers of this process, used in turn: the tests of one process follow each other."""
    index = int(worker_name.removeprefix("gw")) if worker_name.startswith("gw") else 0
    return [(index * 4 + step) % _REDIS_DATABASES for step in range(4)]


@pytest.fixture
def redis_url(servers: TestServers, _redis_numbers: list[int]) -> str:
    """An empty Redis database of the test's own."""
    _redis_numbers.append(_redis_numbers.pop(0))
    url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{_redis_numbers[0]}"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def _worker_nats_url(servers: TestServers, worker_name: str) -> str:
    """Streams belong to a server, so each process of a parallel run has its own, unless one was given."""
    if worker_name == "main" or servers.nats_is_given:
        return servers.nats_url
    return servers.own_nats()


@pytest.fixture
def nats_url(_worker_nats_url: str) -> str:
    """A NATS server without streams."""
    run_apart(_delete_streams(_worker_nats_url))
    return _worker_nats_url


async def _delete_streams(url: str) -> None:
    client = Client()
    await client.connect(url, connect_timeout=3)
    try:
        jetstream = client.jetstream(timeout=3)
        for info in await jetstream.streams_info():
            try:
                await jetstream.delete_stream(str(info.config.name))
            except NotFoundError:
                continue
    finally:
        await client.close()

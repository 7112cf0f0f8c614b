import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis.asyncio
from voisnap_stack import home as homes
from voisnap_stack import servers as servers_module
from voisnap_stack.servers import EmbeddedServers
from voisnap_stack.supervise import PartState, StackError

pytestmark = pytest.mark.e2e

PARENT = """
import asyncio, sys
from pathlib import Path
from voisnap_stack.servers import EmbeddedServers

async def main():
    async with EmbeddedServers.start(Path(sys.argv[1]), fsync=False) as servers:
        print(" ".join(str(part.pid) for part in servers.parts.values()), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_lines() -> str:
    """What every user sees of every process."""
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


async def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(statement)).fetchall()


async def until(holds: object, *, seconds: float = 10.0) -> None:
    """Wait for another process, which has no event to wait on."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


async def test_servers_keep_data_and_addresses_over_a_restart_of_one(tmp_path: Path) -> None:
    async with EmbeddedServers.start(tmp_path / "home", fsync=False) as servers:
        url = servers.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        store = redis.asyncio.Redis.from_url(servers.redis_url)
        await store.set("kept", "yes")
        await store.aclose()
        await asyncio.gather(servers.restart("postgres"), servers.restart("valkey"), servers.restart("nats"))
        assert servers.database_url == url
        assert await rows(url, "SELECT n FROM kept") == [(7,)]
        again = redis.asyncio.Redis.from_url(servers.redis_url)
        assert await again.get("kept") == b"yes"
        await again.aclose()


async def test_passwords_are_demanded_and_kept_private(tmp_path: Path) -> None:
    async with EmbeddedServers.start(tmp_path / "home", fsync=False) as servers:
        wrong = servers.database_url.replace(servers.database_url.split("@")[0], "postgresql://postgres:wrong")
        with pytest.raises(psycopg.OperationalError, match="password"):
            await rows(wrong, "SELECT 1")
        stranger = redis.asyncio.Redis.from_url("redis://" + servers.redis_url.rpartition("@")[2])
        with pytest.raises(redis.AuthenticationError):
            await stranger.ping()
        await stranger.aclose()
        for private in ("secrets.json", "valkey/valkey.conf", "nats/nats.conf"):
            assert (tmp_path / "home" / private).stat().st_mode & 0o077 == 0, private
        commands = await asyncio.to_thread(command_lines)
        for secret in json.loads((tmp_path / "home" / "secrets.json").read_text()).values():
            assert secret not in commands


async def test_nothing_listens_beyond_loopback(tmp_path: Path) -> None:
    async with EmbeddedServers.start(tmp_path / "home", fsync=False) as servers:
        ports = json.loads((tmp_path / "home" / "ports.json").read_text()).values()
        listening = [
            line.split() for line in (await asyncio.to_thread(Path("/proc/net/tcp").read_text)).splitlines()[1:]
        ]
        ours = [row[1].split(":") for row in listening if row[3] == "0A" and int(row[1].split(":")[1], 16) in ports]
        assert sorted(host for host, _ in ours) == ["0100007F"] * 3
        assert set(servers.parts) == {"postgres", "valkey", "nats"}


async def test_a_crashed_server_comes_back(tmp_path: Path) -> None:
    async with EmbeddedServers.start(tmp_path / "home", fsync=False, parts=("valkey",)) as servers:
        part = servers.parts["valkey"]
        first = part.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: part.state is PartState.RUNNING and part.pid not in (None, first))


async def test_a_second_parent_is_refused_at_once(tmp_path: Path) -> None:
    async with EmbeddedServers.start(tmp_path / "home", parts=("nats",)):
        began = time.monotonic()
        with pytest.raises(StackError, match="another `voisnap up` is using"):
            async with EmbeddedServers.start(tmp_path / "home", parts=("nats",)):
                pass
        assert time.monotonic() - began < 1.0


async def test_a_noted_port_that_was_taken_is_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (home / "ports.json").write_text(json.dumps({"nats": taken.getsockname()[1]}))
        async with EmbeddedServers.start(home, parts=("nats",)) as servers:
            assert not servers.nats_url.endswith(f":{taken.getsockname()[1]}")


async def test_servers_end_with_a_killed_parent_and_the_next_start_works(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", PARENT, str(home)]
    parent = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await asyncio.to_thread(parent.stdout.readline)).split()]
    assert len(pids) == 3
    parent.kill()
    parent.wait()
    parent.stdout.close()
    async with EmbeddedServers.start(home, fsync=False) as servers:
        assert not any(is_alive(pid) for pid in pids)
        assert await rows(servers.database_url, "SELECT 1") == [(1,)]


async def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "SPACE_NEEDED_FIRST", 1 << 62)
    with pytest.raises(StackError, match=r"^the disk of .* is full.*VOISNAP_HOME"):
        async with EmbeddedServers.start(tmp_path / "home"):
            pass


@pytest.fixture
def outside_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stands in for /var/lib/voisnap, where root keeps what PostgreSQL's user could not reach in the state folder."""
    store = Path(tempfile.mkdtemp(prefix="voisnap-store-"))
    store.chmod(0o755)
    monkeypatch.setattr(servers_module, "ROOT_STORE", store)
    yield store
    shutil.rmtree(store)


async def test_data_of_a_deleted_state_folder_is_removed_by_the_next_start(tmp_path: Path, outside_store: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    async with EmbeddedServers.start(locked / "first", fsync=False, parts=("postgres",)):
        first = (locked / "first" / "postgres").resolve()
        assert first.parent == (outside_store if os.geteuid() == 0 else locked / "first")
    shutil.rmtree(locked / "first")
    async with EmbeddedServers.start(locked / "second", fsync=False, parts=("postgres",)) as servers:
        assert await rows(servers.database_url, "SELECT 1") == [(1,)]
        assert not first.exists()
    assert locked.stat().st_mode & 0o777 == 0o700

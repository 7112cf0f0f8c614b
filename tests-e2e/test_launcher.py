"""`voisnap up` seen from outside: what it offers, what it keeps secret, how it ends, and what it says when it cannot start.

One state folder lives through three runs in the order of this file: ended by SIGTERM, lost to `kill -9`, ended by Ctrl-C.
"""

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from voisnap_testkit.platform import VOISNAP, Platform, free_port, patience, wait_until

pytestmark = pytest.mark.e2e

PARTS = {"postgres", "valkey", "nats", "caddy", "api", "api-worker", "runtime", "reaper", "admin"}
DEMO_KEYS = {"baseUrl", "email", "password", "apiKeyLive", "apiKeySandbox", "agentId"}
START_SECONDS = 90.0
STOP_SECONDS = 5.0
"""An asked-for end takes no longer."""
ORPHANED_SECONDS = 10.0
"""After the supervisor was killed nothing of it runs any longer than this."""
REFUSAL_SECONDS = 10.0
SECOND_START_SECONDS = 15.0
"""A bound for any machine; the figure itself is printed."""
LISTENING = "0A"
RECORDED_VOICE = Path(__file__).parent / "fixtures" / "audio" / "human-go-forward.wav"
MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "voisnap" / "models")


class Process(NamedTuple):
    """A process that cannot be mistaken for a later one with its id: `started` is in ticks since boot."""

    pid: int
    started: int


class Stat(NamedTuple):
    parent: int
    started: int
    is_zombie: bool


class Endpoint(NamedTuple):
    """Where a process can be reached."""

    pid: int
    protocol: str
    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """A platform that became ready, what `/healthz` answered on the way, and how long that took in seconds."""

    platform: Platform
    health: tuple[tuple[int, dict[str, Any]], ...]
    seconds: float

    @property
    def output(self) -> list[str]:
        return self.platform.output.read_text().splitlines()


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an asked-for end went: its exit status, its length in seconds, and who ran until then."""

    status: int
    seconds: float
    family: frozenset[Process]
    demo: dict[str, Any]


# What runs ----------------------------------------------------------------------------------------------------------


def running() -> dict[int, Stat]:
    """Every process of the machine, from proc(5)."""
    found: dict[int, Stat] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            found[int(path.parent.name)] = Stat(int(fields[1]), int(fields[19]), fields[0] in "ZX")
    return found


def mentions(pid: int, marks: tuple[bytes, ...]) -> bool:
    folder, told = Path(f"/proc/{pid}"), b""
    for name in ("cmdline", "environ"):
        with contextlib.suppress(OSError):
            told += (folder / name).read_bytes()
    with contextlib.suppress(OSError):
        told += os.fsencode((folder / "cwd").readlink())
    return any(mark in told for mark in marks)


def family_of(home: Path) -> frozenset[Process]:
    """The processes that know a state folder by command, environment or working folder, those it names, and all their children."""
    marks = (os.fsencode(home), os.fsencode((home / "postgres").resolve()))
    everybody = {pid: one for pid, one in running().items() if not one.is_zombie}
    members = {pid for pid in everybody if pid != os.getpid() and mentions(pid, marks)}
    members |= {one.pid for one in noted_in(home).values() if pid_is(one, everybody)}
    while grown := {pid for pid, one in everybody.items() if one.parent in members} - members:
        members |= grown
    return frozenset(Process(pid, everybody[pid].started) for pid in members)


def noted_in(home: Path) -> dict[str, Process]:
    """Part → process, as the state folder names them."""
    try:
        noted = json.loads((home / "processes.json").read_text())
    except OSError:
        return {}
    return {name: Process(one["pid"], int(one["started"])) for name, one in noted.items()}


def pid_is(process: Process, everybody: dict[int, Stat]) -> bool:
    found = everybody.get(process.pid)
    return found is not None and found.started == process.started and not found.is_zombie


def left_of(family: frozenset[Process], home: Path) -> set[Process]:
    """Who still runs, of those that did and of any others of the folder."""
    everybody = running()
    return {one for one in family if pid_is(one, everybody)} | family_of(home)


def reachable(family: frozenset[Process]) -> set[Endpoint]:
    """Listening TCP sockets and all UDP sockets of processes."""
    owners: dict[str, int] = {}
    for one in family:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{one.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    owners[os.readlink(descriptor)] = one.pid
    found: set[Endpoint] = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            pid = owners.get(f"socket:[{fields[9]}]")
            if pid is not None and (protocol.startswith("udp") or fields[3] == LISTENING):
                host, _, port = fields[1].partition(":")
                found.add(Endpoint(pid, protocol, address(host), int(port, 16)))
    return found


def address(text: str) -> str:
    """The address that the kernel writes as words of four bytes, each in the machine's (little-endian) order."""
    words = (bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    return str(ipaddress.ip_address(b"".join(words)))


def beyond_loopback(endpoints: set[Endpoint]) -> set[Endpoint]:
    return {one for one in endpoints if not ipaddress.ip_address(one.host).is_loopback}


# Starting and ending ------------------------------------------------------------------------------------------------


def launch(home: Path, port: int, *, command: tuple[str, ...] = (str(VOISNAP), "up"), **extra: str) -> Platform:
    """Start without waiting for anything."""
    output = home.parent / f"{home.name}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | {"PORT": str(port), "VOISNAP_HOME": str(home)} | extra,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return Platform(base_url=f"http://127.0.0.1:{port}", home=home, demo={}, process=process, output=output)


def health_of(platform: Platform) -> tuple[int, dict[str, Any]] | None:
    """Status and report of the public health page; None while nobody listens."""
    with contextlib.suppress(httpx.TransportError):
        answer = httpx.get(f"{platform.base_url}/healthz", timeout=5)
        return answer.status_code, answer.json() if answer.headers.get("Content-Type") == "application/json" else {}
    return None


def start(home: Path) -> Run:
    """Start on another free port and wait for the `ready` line."""
    began, health = time.monotonic(), []
    platform = launch(home, free_port())

    def is_up() -> bool:
        assert platform.process.poll() is None, platform.output.read_text()
        if (answer := health_of(platform)) is not None:
            health.append(answer)
        return f"ready {platform.base_url}\n" in platform.output.read_text()

    wait_until(is_up, seconds=START_SECONDS, what="the ready line of voisnap up")
    seconds = time.monotonic() - began
    wait_until(lambda: is_up() and health[-1][0] == 200, seconds=STOP_SECONDS, what="a health page that says 200")
    demo = json.loads((home / "demo.json").read_text())
    platform = Platform(
        base_url=platform.base_url, home=home, demo=demo, process=platform.process, output=platform.output
    )
    return Run(platform=platform, health=tuple(health), seconds=seconds)


def end(platform: Platform, number: signal.Signals) -> Ending:
    family = family_of(platform.home)
    began = time.monotonic()
    platform.process.send_signal(number)
    status = platform.process.wait(timeout=3 * STOP_SECONDS * patience())
    return Ending(status=status, seconds=time.monotonic() - began, family=family, demo=platform.demo)


def wait_for_first_answer(platform: Platform) -> None:
    """Until the gateway says that the rest is starting."""

    def is_starting() -> bool:
        assert platform.process.poll() is None, platform.output.read_text()
        return (answer := health_of(platform)) is not None and answer[0] == 503

    wait_until(is_starting, seconds=START_SECONDS, what="a health page that says 503")


def refused(folder: Path, **environment: str) -> str:
    """What `voisnap up` says when it ends at once: its one line, after the progress of downloads if there is any."""
    began = time.monotonic()
    done = subprocess.run(
        [str(VOISNAP), "up"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS * patience(),
        check=False,
    )
    assert done.returncode == 1, done
    assert "ready " not in done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("speech models ")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("voisnap: ")
    assert "PIP_NO_INDEX" in environment or time.monotonic() - began < REFUSAL_SECONDS * patience()
    return lines[0]


@contextlib.contextmanager
def state_folder(folder: Path) -> Iterator[Path]:
    """A state folder's path; whatever a failed test left of it is ended and removed."""
    try:
        yield folder
    finally:
        for one in family_of(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
        outside = (folder / "postgres").resolve()
        if not outside.is_relative_to(folder.resolve()):  # root keeps the database where its user can reach it
            shutil.rmtree(outside, ignore_errors=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with state_folder(tmp_path_factory.mktemp("launcher") / "through-three-runs") as folder:
        yield folder


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Path]:
    with state_folder(tmp_path / "state") as folder:
        yield folder


@pytest.fixture(scope="module")
def first(home: Path) -> Run:
    return start(home)


@pytest.fixture(scope="module")
def terminated(first: Run) -> Ending:
    return end(first.platform, signal.SIGTERM)


@pytest.fixture(scope="module")
def second(home: Path, terminated: Ending) -> Run:
    assert terminated.status == 0
    return start(home)


@pytest.fixture(scope="module")
def lost(second: Run) -> Ending:
    return end(second.platform, signal.SIGKILL)


@pytest.fixture(scope="module")
def third(home: Path, lost: Ending) -> Run:
    assert lost.status == -signal.SIGKILL
    return start(home)


# The first run ------------------------------------------------------------------------------------------------------


def test_credentials_are_in_a_private_file_and_on_the_screen(first: Run) -> None:
    path = first.platform.home / "demo.json"
    demo = first.platform.demo
    said = "\n".join(first.output)

    assert set(demo) == DEMO_KEYS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert demo["baseUrl"] == first.platform.base_url
    assert all(demo[key] in said for key in DEMO_KEYS)
    assert first.output[-1] == f"ready {first.platform.base_url}"


def test_health_says_503_until_every_part_is_ready(first: Run) -> None:
    statuses = [status for status, _ in first.health]
    *before, (_, at_last) = first.health

    assert statuses == sorted(statuses, reverse=True)
    assert set(statuses) == {503, 200}
    assert all(report["status"] == "starting" for status, report in before if status == 503)
    assert at_last["status"] == "ready"
    assert set(at_last["parts"]) >= PARTS
    for status, report in first.health:
        states = {part["status"] for part in report["parts"].values()}
        assert status == 503 or states == {"ready"}


def test_status_names_every_process(first: Run) -> None:
    done = first.platform.voisnap("status")
    shown = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    noted = noted_in(first.platform.home)

    assert done.returncode == 0, done.stderr
    assert set(shown) >= PARTS
    assert {name: ["ready", str(noted[name].pid)] for name in PARTS} == {name: shown[name] for name in PARTS}


def test_everything_is_on_one_origin(first: Run) -> None:
    platform = first.platform
    with httpx.Client(base_url=platform.base_url, timeout=10) as http:
        bearer = {"Authorization": f"Bearer {platform.login()}"}
        agent = platform.get(f"/agents/{platform.demo['agentId']}")
        administration = http.get("/api/v1/admin/openapi.json").json()
        stranger = http.get("/api/v1/admin/tenants")
        tenants = http.get("/api/v1/admin/tenants", headers=bearer)
        (key,) = http.get("/.well-known/jwks.json").json()["keys"]
        anonymous = http.post("/hubs/webrtc/negotiate?negotiateVersion=1")
        asked = http.post("/api/v1/webrtc/sessions", headers=bearer, json={"agentId": platform.demo["agentId"]})
        hub = http.post("/hubs/webrtc/negotiate?negotiateVersion=1", headers=bearer)
        page = http.get("/")

    assert agent.json()["id"] == platform.demo["agentId"]
    assert administration["info"]["title"] == "Voisnap Admin API"
    assert (stranger.status_code, stranger.headers["Content-Type"]) == (401, "application/problem+json")
    assert "Demo" in tenants.text
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    assert "d" not in key
    assert anonymous.status_code == 401
    assert asked.status_code in {200, 201}, asked.text
    assert hub.status_code == 200, hub.text
    assert hub.json()["connectionToken"]
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (200, "text/html")


def test_servers_want_their_passwords(first: Run) -> None:
    ports = json.loads((first.platform.home / "ports.json").read_text())

    with socket.create_connection(("127.0.0.1", ports["valkey"]), timeout=5) as valkey:
        valkey.sendall(b"PING\r\n")
        assert valkey.recv(100).startswith(b"-NOAUTH")
    with socket.create_connection(("127.0.0.1", ports["nats"]), timeout=5) as nats:
        assert json.loads(nats.makefile("rb").readline().removeprefix(b"INFO "))["auth_required"] is True
    for user in ("postgres", "voisnap_api", "voisnap_admin"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(
                host="127.0.0.1", port=ports["postgres"], user=user, password=user, dbname="voisnap", connect_timeout=5
            )


def test_secrets_are_seen_by_their_owner_only(first: Run) -> None:
    home = first.platform.home
    secrets = [value.encode() for value in json.loads((home / "secrets.json").read_text()).values()]
    files = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size < 1_000_000]
    holding = {path for path in files if any(secret in path.read_bytes() for secret in secrets)}

    assert {home / "secrets.json", home / "demo.json", home / "nats" / "nats.conf"} <= holding
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in (*holding, home / "keys" / "jwt.pem")} == {"0o600"}
    assert not [path for path in holding if path.is_relative_to(home / "logs")]
    for one in family_of(home):
        command = Path(f"/proc/{one.pid}/cmdline").read_bytes()
        assert not any(secret in command for secret in secrets), command


def test_nothing_listens_beyond_loopback_even_during_a_call(first: Run) -> None:
    platform = first.platform
    family = family_of(platform.home)
    idle = reachable(family)
    during: set[Endpoint] = set()
    call = subprocess.Popen(
        [str(VOISNAP), "call", "--json", "--wav", str(RECORDED_VOICE)],
        env=os.environ | {"VOISNAP_HOME": str(platform.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def is_over() -> bool:
        during.update(reachable(family))
        return call.poll() is not None

    wait_until(is_over, seconds=60, what="the end of the call")
    runtime = noted_in(platform.home)["runtime"].pid

    assert call.returncode == 0
    assert int(platform.base_url.rpartition(":")[2]) in {one.port for one in idle}
    assert {one.pid for one in idle} >= {noted_in(platform.home)[name].pid for name in PARTS - {"api-worker"}}
    assert [one for one in during - idle if one.pid == runtime and one.protocol.startswith("udp")]
    assert not beyond_loopback(idle | during)


def test_second_up_on_the_same_folder_is_refused_and_the_first_goes_on(first: Run) -> None:
    platform = first.platform
    before = (platform.home / "demo.json").read_bytes(), noted_in(platform.home)

    for port in (str(free_port()), platform.base_url.rpartition(":")[2]):
        line = refused(platform.home.parent, VOISNAP_HOME=str(platform.home), PORT=port)
        assert str(platform.home) in line
        assert "VOISNAP_HOME" in line

    assert platform.process.poll() is None
    assert ((platform.home / "demo.json").read_bytes(), noted_in(platform.home)) == before
    assert platform.is_ready()


def test_part_that_dies_is_told_and_comes_back(first: Run) -> None:
    platform = first.platform
    died = noted_in(platform.home)["admin"]
    os.kill(died.pid, signal.SIGKILL)

    def told() -> dict[str, Any] | None:
        status, report = health_of(platform) or (0, {})
        return report if status == 503 else None

    report = wait_until(told, seconds=10, what="a health page that says 503")
    wait_until(platform.is_ready, seconds=30, what="the dead part ready again")

    assert report["status"] == "degraded"
    assert {name for name, part in report["parts"].items() if part["status"] != "ready"} == {"admin"}
    assert noted_in(platform.home)["admin"] != died


def test_taken_port_is_one_clear_line(first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without VOISNAP_HOME, so in `.voisnap` of the current folder."""
    monkeypatch.delenv("VOISNAP_HOME", raising=False)
    port = first.platform.base_url.rpartition(":")[2]

    line = refused(tmp_path, PORT=port)

    assert f"port {port} " in line
    assert "PORT=" in line
    assert (tmp_path / ".voisnap").is_dir()
    assert not family_of(tmp_path / ".voisnap")


# Its end, and the runs after it -------------------------------------------------------------------------------------


def test_sigterm_ends_everything_within_five_seconds(terminated: Ending, home: Path) -> None:
    assert len(terminated.family) > len(PARTS)  # with the supervisor and what PostgreSQL starts
    assert terminated.status == 0
    assert terminated.seconds < STOP_SECONDS * patience()
    assert not left_of(terminated.family, home)


def test_second_start_is_quick_and_keeps_the_credentials(
    terminated: Ending, second: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nsecond start ready after {second.seconds:.1f} s")

    assert second.seconds < SECOND_START_SECONDS * patience()
    assert second.platform.demo == terminated.demo | {"baseUrl": second.platform.base_url}
    assert second.platform.get(f"/agents/{terminated.demo['agentId']}").status_code == 200


def test_killed_supervisor_leaves_nothing_running(lost: Ending, home: Path) -> None:
    assert len(lost.family) > len(PARTS)
    wait_until(
        lambda: not left_of(lost.family, home), seconds=ORPHANED_SECONDS, what="no process of a killed supervisor"
    )


def test_start_after_a_kill_works_with_the_same_credentials(lost: Ending, third: Run) -> None:
    platform = third.platform

    assert platform.demo == lost.demo | {"baseUrl": platform.base_url}
    assert platform.login()
    assert platform.get(f"/agents/{lost.demo['agentId']}").status_code == 200
    assert platform.is_ready()


def test_ctrl_c_ends_everything_within_five_seconds(third: Run) -> None:
    ending = end(third.platform, signal.SIGINT)

    assert len(ending.family) > len(PARTS)
    assert ending.status == 0
    assert ending.seconds < STOP_SECONDS * patience()
    assert not left_of(ending.family, third.platform.home)


# Starts that do not succeed -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Ending, set[Process]]]:
    """A first start that Ctrl-C ended while PostgreSQL's data was being made; the last is who ran at the supervisor's end."""
    with state_folder(tmp_path_factory.mktemp("cut-short") / "state") as folder:
        platform = launch(folder, free_port())
        wait_until(lambda: makes_database(folder), seconds=START_SECONDS, what="the making of a new database")
        ending = end(platform, signal.SIGINT)
        yield folder, ending, left_of(ending.family, folder)


def makes_database(home: Path) -> bool:
    for one in family_of(home):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{one.pid}/comm").read_text() == "initdb\n":
                return True
    return False


def test_start_that_is_interrupted_ends_everything_within_five_seconds(cut_short) -> None:
    folder, ending, _ = cut_short

    assert ending.status == 0
    assert ending.seconds < STOP_SECONDS * patience()
    wait_until(lambda: not left_of(ending.family, folder), seconds=STOP_SECONDS, what="no process of the ended start")


def test_start_that_is_interrupted_is_outlived_by_nothing(cut_short) -> None:
    _, _, left = cut_short

    assert not left


def test_two_state_folders_share_no_secret(home: Path, first: Run, cut_short) -> None:
    folders = (home, cut_short[0])
    mine, others = (json.loads((folder / "secrets.json").read_text()) for folder in folders)
    values = [*mine.values(), *others.values()]

    assert set(mine) == set(others)
    assert len(set(values)) == len(values)
    assert min(len(value) for value in values) >= 32


def test_start_ends_with_the_make_that_began_it(fresh_home: Path) -> None:
    shell = ("/bin/sh", "-c", '"$0" up; exit', str(VOISNAP))
    platform = launch(fresh_home, free_port(), command=shell, VOISNAP_FOLLOW_PARENT="1")
    wait_for_first_answer(platform)

    ending = end(platform, signal.SIGKILL)

    assert len(ending.family) > 2
    wait_until(
        lambda: not left_of(ending.family, fresh_home), seconds=ORPHANED_SECONDS, what="no process of a killed make"
    )


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_wrong_port_is_one_clear_line(tmp_path: Path, port: str) -> None:
    line = refused(tmp_path, PORT=port, VOISNAP_HOME=str(tmp_path / "state"))

    assert f"PORT is '{port}'" in line
    assert "65535" in line


def test_unusable_state_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    line = refused(tmp_path, PORT=str(free_port()), VOISNAP_HOME=str(tmp_path / "file" / "state"))

    assert str(tmp_path / "file" / "state") in line
    assert "VOISNAP_HOME" in line


def test_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    mount = ("unshare", "--user", "--mount", "--map-root-user", "sh", "-ec")
    script = 'mount -t tmpfs -o size=16m tmpfs "$0"; shift 0; exec "$@"'
    command = (*mount, script, str(tmp_path))
    if shutil.which("unshare") is None or subprocess.run((*command, "true"), check=False, stderr=-3).returncode:
        pytest.skip("a small disk cannot be mounted here")

    done = subprocess.run(
        (*command, str(VOISNAP), "up"),
        env=os.environ | {"PORT": str(free_port()), "VOISNAP_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=START_SECONDS * patience(),
        check=False,
    )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("voisnap: ")
    assert "full" in line
    assert "free some space" in line


@pytest.fixture
def own_models(tmp_path: Path) -> Path:
    """A copy of the speech models in which single files can be damaged; the others are links."""
    folder = tmp_path / "models"
    for path in (path for path in MODELS.rglob("*") if path.is_file()):
        copy = folder / path.relative_to(MODELS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(path)
    stamps = folder / ".checked.json"
    if stamps.exists():
        stamps.unlink()
        shutil.copy2(MODELS / stamps.name, stamps)
    return folder


def test_truncated_model_that_cannot_be_fetched_is_one_clear_line(fresh_home: Path, own_models: Path) -> None:
    path = own_models / "silero-vad" / "silero_vad.onnx"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])

    line = refused(
        own_models, PORT=str(free_port()), VOISNAP_HOME=str(fresh_home), MODELS_DIR=str(own_models), PIP_NO_INDEX="1"
    )

    assert "silero-vad/silero_vad.onnx" in line
    assert "could not be fetched" in line
    assert "check the network" in line
    assert not family_of(fresh_home)


def test_model_that_a_disk_damaged_unnoticed_is_one_clear_line(fresh_home: Path, own_models: Path) -> None:
    path = own_models / "silero-vad" / "silero_vad.onnx"
    content, times = path.read_bytes(), path.stat()
    path.unlink()
    path.write_bytes(b"\xff" * 4096 + content[4096:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    line = refused(
        own_models, PORT=str(free_port()), VOISNAP_HOME=str(fresh_home), MODELS_DIR=str(own_models), PIP_NO_INDEX="1"
    )

    assert f"{path} is damaged" in line
    assert "voisnap models fetch" in line
    assert not family_of(fresh_home)

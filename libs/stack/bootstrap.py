#!/usr/bin/env python3
"""Makes `.venv` from `requirements.lock`; the first step of every Makefile target, on nothing but a plain Python 3.11 or newer.

Standard library only. When a stamp says that nothing changed it ends at once. Every way to fail ends in one line that says what to do.
Packages are installed as wheels with their hashes checked; nothing is compiled.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "voisnap.stamp"
MINIMUM = (3, 11)
NEEDED_BYTES = 2_000_000_000
"""What the environment takes at its largest, wheels included."""
INSTALL_SECONDS = 900


def main() -> None:
    """Bring `.venv` up to date, or say in one line why that can't be done and exit with 1."""
    if sys.version_info < MINIMUM:
        fail(
            f"Python {sys.version.split()[0]} is too old: Voisnap needs Python 3.11 or newer. Try: make PYTHON=python3.12 up"
        )
    stamp = fingerprint()
    if STAMP.exists() and STAMP.read_text() == stamp:
        return
    if os.name != "posix":
        fail("Voisnap runs on Linux and macOS; on Windows use WSL 2.")
    if not VENV.exists() and shutil.disk_usage(ROOT).free < NEEDED_BYTES:
        fail(f"Too little room on the disk of {ROOT}: the environment needs 2 GB. Free some and try again.")
    say("Preparing the environment in .venv (once, about a quarter of a minute) …")
    if VENV.exists() and not is_usable():
        shutil.rmtree(VENV)
    if not VENV.exists():
        create()
    install_uv()
    install_locked()
    install_members()
    STAMP.write_text(stamp)


def fingerprint() -> str:
    """Changes with anything that the environment is made from."""
    digest = hashlib.sha256(f"{sys.version}{sys.executable}{ROOT}".encode())
    for path in (LOCK, Path(__file__), *members()):
        digest.update((path / "pyproject.toml" if path.is_dir() else path).read_bytes())
    return digest.hexdigest()


def members() -> list[Path]:
    """The workspace's packages."""
    return sorted(
        path.parent for pattern in ("libs/*", "proto", "services/*") for path in ROOT.glob(f"{pattern}/pyproject.toml")
    )


def is_usable() -> bool:
    """Whether the environment's Python runs, and is the version that runs this."""
    probe = [str(VENV / "bin" / "python"), "-c", "import sys; print(sys.version)"]
    try:
        answer = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return answer.stdout.strip() == sys.version


def create() -> None:
    """A fresh virtual environment, with pip in it or reachable by it."""
    made = run([sys.executable, "-m", "venv", str(VENV)])
    if made.returncode == 0:
        return
    # Debian ships Python without ensurepip; its pip, if there, can install into an environment that has none.
    shutil.rmtree(VENV, ignore_errors=True)
    without = run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    if without.returncode == 0 and run([sys.executable, "-m", "pip", "--version"]).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    explain(made.stdout + made.stderr)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fail(f"This Python can't make virtual environments. On Debian or Ubuntu: apt install python{version}-venv")


def pip() -> list[str]:
    """A pip that installs into the environment."""
    if (VENV / "bin" / "pip").exists():
        return [str(VENV / "bin" / "python"), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(VENV / "bin" / "python")]


def install_uv() -> None:
    """uv at the lock's version and hash: it installs the rest five times faster than pip."""
    block = re.search(r"^uv==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    if block is None:
        fail("requirements.lock names no uv; write it anew with `make lock`.")
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(block.group(0))
        options = [
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
            "-r",
            str(requirement),
        ]
        done = run([*pip(), *options])
    if done.returncode != 0:
        explain(done.stdout + done.stderr)


def install_locked() -> None:
    """Everything in the lock, by hash, wheels only."""
    options = ["--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)]
    uv = str(VENV / "bin" / "uv")
    done = run([uv, "pip", "install", "-q", *options])
    if done.returncode == 0:
        return
    if is_network(done.stderr):
        # uv does not read pip's configuration: behind a mirror that only pip knows, pip finds the packages.
        slow = run([*pip(), "install", "-q", "--disable-pip-version-check", *options])
        if slow.returncode == 0:
            return
        explain(slow.stdout + slow.stderr)
    explain(done.stdout + done.stderr)


def install_members() -> None:
    """The workspace's own packages, editable."""
    targets = [word for path in members() for word in ("-e", str(path))]
    done = run(
        [str(VENV / "bin" / "uv"), "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--offline", *targets]
    )
    if done.returncode != 0:
        explain(done.stdout + done.stderr)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command for the environment, its output kept."""
    environment = os.environ | {"VIRTUAL_ENV": str(VENV), "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    try:
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        fail(
            f"Installing took longer than {INSTALL_SECONDS // 60} minutes. Check the connection to the package index and try again."
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def is_network(output: str) -> bool:
    """Whether an installer failed because it did not reach its index."""
    signs = (
        "error sending request",
        "Failed to fetch",
        "dns error",
        "Connection",
        "timed out",
        "Temporary failure",
        "NewConnectionError",
    )
    return any(sign in output for sign in signs)


def explain(output: str) -> NoReturn:
    """End with the one line that this failure deserves."""
    if "No space left on device" in output or "os error 28" in output or "Errno 28" in output:
        fail(f"The disk of {ROOT} is full: the environment needs 2 GB. Free some and try again.")
    missing = re.search(
        r"(?:distribution|Because|for|of) `?([a-z0-9][\w.-]*)(?:==[\w.]+)?`?.*?(?:no wheels|no usable wheels|has no)",
        output,
        re.DOTALL,
    )
    if "no wheels" in output or "No matching distribution" in output or "usable wheels" in output:
        name = (
            missing.group(1)
            if missing
            else (re.search(r"No matching distribution found for (\S+)", output) or [None, "a package"])[1]
        )
        platform = f"{sysconfig.get_platform()}, Python {sys.version_info.major}.{sys.version_info.minor}"
        fail(
            f"There is no ready-made package of {name} for this platform ({platform}). Use Linux x86_64 or arm64 with glibc 2.28 or newer, or macOS, and Python 3.11 to 3.13: make PYTHON=python3.12 up"
        )
    if "hash" in output.lower() and "mismatch" in output.lower():
        fail(
            "A downloaded package does not match requirements.lock: its index served other bytes. Check your mirror or proxy and try again."
        )
    if "Permission denied" in output or "os error 13" in output:
        fail(f"No permission to write below {VENV}. Run as the owner of this folder, or remove .venv first.")
    if is_network(output):
        fail(
            "The package index can't be reached. Check the network or proxy (HTTPS_PROXY, pip.conf) and try again; what was fetched is kept."
        )
    last = next((line.strip() for line in reversed(output.strip().splitlines()) if line.strip()), "no output")
    fail(f"Installing the packages failed: {last}")


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def fail(text: str) -> NoReturn:
    """One line, and the end."""
    say(f"voisnap: {text}")
    sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        fail(
            f"{error.strerror or error}: {error.filename or ROOT}"
            + (" The disk is full: free some room." if error.errno == 28 else "")
        )

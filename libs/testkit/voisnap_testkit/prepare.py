"""Fetches what the tests need beyond the environment: speech models, JavaScript packages, a browser.

`python -m voisnap_testkit.prepare [--models]`. Each thing is fetched once. What can't be had is one clear line and exit code 1, never a test that
quietly does not run; `VOISNAP_SKIP_BROWSER=1` leaves the browser out on purpose, and its tests then fail when they are selected.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from .node import build, npm, put_on_path

ROOT = Path(__file__).resolve().parents[3]
VOISNAP = Path(sys.executable).with_name("voisnap")
LOCKS = (ROOT / "libs" / "js" / "package-lock.json", ROOT / "tests-e2e" / "package-lock.json")
PACKAGES = (ROOT / "libs" / "js" / "sdk",)
"""JavaScript packages of ours, in the order in which they are built."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(arguments: list[str]) -> None:
    """Fetch everything, or with `--models` the models only."""
    _run([str(VOISNAP), "models", "fetch"], "The speech models could not be fetched.")
    if "--models" in arguments:
        return
    put_on_path()
    for lock in sorted((*ROOT.glob("libs/*/tests/js/package-lock.json"), *LOCKS)):
        _install_javascript(lock)
    for package in PACKAGES:
        build(package)
    if not os.environ.get("VOISNAP_SKIP_BROWSER"):
        _install_browser()


def _install_javascript(lock: Path) -> None:
    """`npm ci` beside a lock file, unless it was done for this very lock."""
    stamp = lock.parent / "node_modules" / "voisnap.stamp"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    _run(
        [*npm(), "ci", "--silent", "--no-audit", "--no-fund"],
        f"npm ci failed in {lock.parent.relative_to(ROOT)}.",
        folder=lock.parent,
    )
    stamp.write_text(digest)


def _install_browser() -> None:
    if any(shutil.which(name) for name in BROWSERS):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        _fail(
            "Chromium is needed for the browser tests: apt install chromium (or VOISNAP_SKIP_BROWSER=1 to leave them out)."
        )
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], "apt-get update failed.", environment=environment)
    _run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
        "Chromium could not be installed.",
        environment=environment,
    )


def _run(command: list[str], otherwise: str, *, folder: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=os.environ | (environment or {}), timeout=900, check=False)
    if done.returncode != 0:
        _fail(otherwise)


def _fail(text: str) -> NoReturn:
    sys.stderr.write(f"voisnap: {text}\n")
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

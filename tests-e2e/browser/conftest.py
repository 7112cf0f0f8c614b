"""What browser tests need: a loopback server for static files, and scripts run under Node with Chromium."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent
NODE_MODULES = SCRIPTS.parent / "node_modules"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def static_server(folder: Path) -> Iterator[str]:
    """Serve `folder`; gives the origin."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def serve() -> Callable[[Path], AbstractContextManager[str]]:
    """Serve a folder on a loopback port of its own; gives the origin."""
    return static_server


@pytest.fixture(scope="session")
def run_script() -> Callable[..., Any]:
    """Run a script of this folder under Node and give what it printed as JSON."""
    node = shutil.which("node")
    assert node, "Node.js is needed for this test"
    assert NODE_MODULES.is_dir(), "run 'npm ci' in tests-e2e first"

    def run(script: str, *arguments: str, timeout: float) -> Any:
        done = subprocess.run(
            [node, str(SCRIPTS / script), *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run

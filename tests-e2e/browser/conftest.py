"""What browser tests need: a loopback server for static files, and scripts run under Node with Chromium."""

import functools
import http.server
import json
import shutil
import subprocess
import threading
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPTS = Path(__file__).parent
NODE_MODULES = SCRIPTS.parent / "node_modules"
AUDIO = SCRIPTS.parent / "fixtures" / "audio"
RATE = 16_000
MICROPHONE_SECONDS = 60


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


@pytest.fixture(scope="session")
def microphone() -> Callable[[Path, Sequence[tuple[float, str]]], float]:
    """Write what a fake microphone says: silence with the named recordings at their seconds. Gives the last one's end."""

    def write(path: Path, says: Sequence[tuple[float, str]]) -> float:
        track = np.zeros(MICROPHONE_SECONDS * RATE, dtype="<i2")
        end = 0
        for at, name in says:
            with wave.open(str(AUDIO / name), "rb") as sound:
                assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
                voice = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")
            start = int(at * RATE)
            end = start + len(voice)
            track[start:end] = voice
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(track.tobytes())
        return end / RATE

    return write

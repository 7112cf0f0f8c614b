"""What the processes that touch no sound and compute nothing don't load when they start."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

LIGHT = ("voisnap_admin.__main__", "voisnap_admin.app", "voisnap_api.worker", "voisnap_api.__main__", "voisnap_api.app")
HEAVY = (
    "numpy",
    "onnxruntime",
    "av",
    "aiortc",
    "aiohttp",
    "rich",
    "opentelemetry.exporter",
    "opentelemetry.sdk.metrics",
)
"""Each 30 to 130 ms of a start."""

_IMPORT = """
import importlib, sys
for name in sys.argv[1].split():
    importlib.import_module(name)
    print(name, *(heavy for heavy in sys.argv[2].split() if sys.modules.get(heavy)))
"""


def test_light_processes_load_nothing_heavy() -> None:
    """In one interpreter one after another: whoever loads something first is named with it."""
    told = subprocess.run(
        [sys.executable, "-c", _IMPORT, " ".join(LIGHT), " ".join(HEAVY)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.split("\n") == [*LIGHT, ""]

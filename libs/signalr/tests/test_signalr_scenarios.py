"""Real clients on every transport and protocol they have, put through every scenario they are able to play."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.hub

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NODE_MODULES = ROOT / "tests-e2e" / "node_modules"
CLIENTS_DOCUMENT = HERE.parent / "CLIENTS.md"
CLIENT_S = 240


def sibling(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sibling("scenario_app")
scenarios: Any = sibling("scenarios")
server: Any = sibling("scenario_server")

GROUPS = {
    "node": scenarios.NODE_CELLS,
    "chromium": scenarios.CHROMIUM_CELLS,
    "python": scenarios.SIGNALRCORE_CELLS + scenarios.PYSIGNALR_CELLS,
}
CELLS = tuple(cell for cells in GROUPS.values() for cell in cells)
PLAYABLE = [
    pytest.param(cell, scenario, id=f"{cell.name}-{scenario.name}")
    for cell in CELLS
    for scenario in scenarios.SCENARIOS
    if cell.reason_against(scenario) is None
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What each cell came to: all clients at the same time, one process for Node, one for Chromium, one for Python."""
    node = shutil.which("node")
    assert node, "Node.js is needed for this test"
    assert (NODE_MODULES / "@microsoft" / "signalr-protocol-msgpack").is_dir(), "run 'npm ci' in tests-e2e first"
    packages = NODE_MODULES / "@microsoft"
    files = {
        "/page.html": HERE / "js" / "page.html",
        "/steps.mjs": HERE / "js" / "steps.mjs",
        "/signalr.js": packages / "signalr" / "dist" / "browser" / "signalr.min.js",
        "/signalr-protocol-msgpack.js": packages
        / "signalr-protocol-msgpack"
        / "dist"
        / "browser"
        / "signalr-protocol-msgpack.min.js",
    }
    commands = {
        "node": [node, str(HERE / "js" / "run_in_node.cjs")],
        "chromium": [node, str(HERE / "js" / "run_in_browser.mjs")],
        "python": [sys.executable, str(HERE / "python_players.py")],
    }
    folder = tmp_path_factory.mktemp("scenarios")
    with server.running(len(CELLS), files) as fronts:
        front_of = {cell.name: front for cell, front in zip(CELLS, fronts, strict=True)}
        running: dict[str, subprocess.Popen[str]] = {}
        try:
            for group, cells in GROUPS.items():
                plan = folder / f"{group}.json"
                plan.write_text(json.dumps(plan_of(cells, front_of)))
                running[group] = start([*commands[group], str(plan)], folder / f"{group}.out")
            ended = {group: process.wait(CLIENT_S) for group, process in running.items()}
        finally:
            for process in running.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()
        printed = {group: (folder / f"{group}.out").read_text() for group in GROUPS}
        assert set(ended.values()) == {0}, printed
        yield {name: played for group in GROUPS for name, played in json.loads(printed[group]).items()}


def plan_of(cells: Sequence[Any], front_of: dict[str, Any]) -> dict[str, Any]:
    played = []
    for cell in cells:
        front = front_of[cell.name]
        page = front.foreign_page if cell.is_foreign else front.page
        played.append(cell.played() | {"origin": front.origin, "cut": front.cut, "page": page})
    return {
        "cells": played,
        "scenarios": [scenario.played() for scenario in scenarios.SCENARIOS],
        "launcher": str(ROOT / "tests-e2e" / "browser" / "chromium.mjs"),
    }


def start(command: list[str], output: Path) -> subprocess.Popen[str]:
    with output.open("w") as printed, output.with_suffix(".err").open("w") as errors:
        environment = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
        return subprocess.Popen(command, env=environment, stdout=printed, stderr=errors, text=True)  # noqa: S603


@pytest.mark.parametrize(("cell", "scenario"), PLAYABLE)
def test_client_plays_the_scenario(outcomes: dict[str, Any], cell: Any, scenario: Any) -> None:
    expected = [outcome for _, outcome in scenario.steps]
    assert not scenarios.differences(expected, outcomes[cell.name][scenario.name], cell.transport)


def test_every_cell_is_played_or_has_a_reason(outcomes: dict[str, Any]) -> None:
    assert outcomes.keys() == {cell.name for cell in CELLS}
    for cell in CELLS:
        limited = {scenario.name for scenario in scenarios.SCENARIOS if cell.reason_against(scenario)}
        assert outcomes[cell.name].keys() | limited == {scenario.name for scenario in scenarios.SCENARIOS}
        assert not outcomes[cell.name].keys() & limited


def test_limits_are_about_something() -> None:
    asked = {ability for scenario in scenarios.SCENARIOS for ability in scenario.needs}
    named = {ability for cell in CELLS for ability in cell.lacks}
    assert named <= asked, "a client lacks what no scenario needs"


def test_document_of_the_clients_is_up_to_date() -> None:
    """Write it anew with `python libs/signalr/tests/scenarios.py > libs/signalr/CLIENTS.md`."""
    assert CLIENTS_DOCUMENT.read_text() == scenarios.document(CELLS)

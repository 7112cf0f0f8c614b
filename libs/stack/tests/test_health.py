"""The report behind `/healthz`."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from voisnap_stack.home import Home
from voisnap_stack.supervise import PartState
from voisnap_stack.up import Platform, UpSettings

pytestmark = pytest.mark.unit


async def test_a_start_that_ends_while_parts_are_asked_is_no_fault_of_theirs(tmp_path: Path) -> None:
    settings = UpSettings(home=Home(root=tmp_path), port=8080, bind="127.0.0.1", models=tmp_path)
    platform, asked = Platform(settings=settings, seeds=False), []

    async def probe() -> str | None:
        asked.append(platform.is_ready)
        platform.is_ready = True
        return "not yet"

    part = SimpleNamespace(state=PartState.RUNNING, detail=None, spec=SimpleNamespace(probe=probe))
    platform.parts["admin"] = part  # type: ignore[assignment]
    assert (await platform.health())["status"] == "starting"
    assert (await platform.health())["status"] == "degraded", "asked anew, after the start"
    assert asked == [False, True]

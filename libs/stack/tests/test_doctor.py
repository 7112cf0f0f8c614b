import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from voisnap_stack import doctor
from voisnap_stack.doctor import Verdict
from voisnap_stack.home import Home
from voisnap_stack.turn import TurnServer
from voisnap_stack.up import UpSettings

pytestmark = pytest.mark.unit


def settings(tmp_path: Path, port: int = 9) -> UpSettings:
    return UpSettings(home=Home(root=tmp_path), port=port, bind="127.0.0.1", models=tmp_path / "models")


def test_missing_models_fail_with_the_command_that_mends_them(tmp_path: Path) -> None:
    (finding,) = doctor.check_models(settings(tmp_path))
    assert finding.verdict is Verdict.FAIL
    assert "silero-vad/silero_vad.onnx" in finding.found
    assert "voisnap models fetch" in finding.change


def test_secrets_that_others_can_read_fail(tmp_path: Path) -> None:
    home = Home(root=tmp_path)
    home.secrets()
    assert [finding.verdict for finding in doctor.check_secrets(home)] == [Verdict.OK]
    home.secrets_file.chmod(0o644)
    (finding,) = doctor.check_secrets(home)
    assert (finding.verdict, finding.change) == (Verdict.FAIL, f"run `chmod 600 {home.secrets_file}`")


async def test_a_taken_port_fails_when_no_platform_runs(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (finding,) = await doctor.check_platform(settings(tmp_path, port=taken.getsockname()[1]))
    assert finding.verdict is Verdict.FAIL
    assert "PORT=" in finding.change


async def test_a_server_that_does_not_listen_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:9")
    (finding,) = await doctor.check_servers()
    assert finding.verdict is Verdict.FAIL
    assert "NATS_URL" in finding.change


async def test_a_relay_is_found_and_a_wrong_secret_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await TurnServer.start("right")
    monkeypatch.setenv("TURN_URLS", server.url)
    verdicts = {}
    for secret in ("right", "wrong"):
        monkeypatch.setenv("TURN_SECRET", secret)
        findings = await doctor.check_media(settings(tmp_path))
        verdicts[secret] = next(finding.verdict for finding in findings if finding.about == "TURN")
    await server.stop()
    assert verdicts == {"right": Verdict.OK, "wrong": Verdict.FAIL}


def test_the_report_is_json_and_failures_are_the_exit_status(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voisnap_stack.cli", "doctor", "--json"],
        env={**os.environ, "VOISNAP_HOME": str(tmp_path), "MODELS_DIR": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    findings = {finding["about"]: finding for finding in json.loads(done.stdout)}
    assert findings["python"]["verdict"] == "ok"
    assert findings["models"]["verdict"] == "fail"
    assert done.returncode == 1


def test_vendors_are_told_by_their_variables_and_never_by_their_keys() -> None:
    found = doctor.check_providers({"OPENAI_API_KEY": "sk-very-secret", "AWS_REGION": "eu-west-1"})
    assert [(finding.about, finding.verdict) for finding in found] == [
        ("provider openai", Verdict.OK),
        ("provider aws", Verdict.WARN),
    ]
    assert "AWS_SECRET_ACCESS_KEY" in found[1].change
    assert "very-secret" not in repr(found)
    (nothing,) = doctor.check_providers({})
    assert (nothing.verdict, "local" in nothing.found) == (Verdict.OK, True)

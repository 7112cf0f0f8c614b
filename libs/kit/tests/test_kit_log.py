"""What reaches the log: no personal data, no credentials, one JSON object a line, the libraries' lines too."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from voisnap_kit.log import REDACTED, mask_credentials, redactor

pytestmark = pytest.mark.unit


def test_personal_data_is_hidden_unless_asked_for() -> None:
    event = {"event": "session.ended", "pii.caller": "+15551234", "nested": {"pii.name": "Mia", "turns": 3}}
    assert redactor(show_pii=False)(None, "info", dict(event)) == {
        "event": "session.ended",
        "pii.caller": REDACTED,
        "nested": {"pii.name": REDACTED, "turns": 3},
    }
    assert redactor(show_pii=True)(None, "info", dict(event)) == event


@pytest.mark.parametrize(
    "text",
    [
        "GET /hubs/voice?agentId=agt_1&access_token=eyJhbGciOi.abc.def HTTP/1.1",
        "wss://host/hubs/webrtc?sessionToken=wrtc_tok_01HXABCDEF",
        "Authorization: Bearer vsnp_live_abcdefghijk",
        '{"authorization": "Basic dXNlcjpwYXNz"}',
        "headers={'Authorization': 'Bearer eyJhbGciOi.abc.def'}",
        "refresh_token=abcdefghijkl",
    ],
)
def test_credentials_are_masked_in_any_text(text: str) -> None:
    masked = mask_credentials(text)
    assert REDACTED in masked
    for secret in ("eyJhbGciOi", "wrtc_tok_01HX", "vsnp_live_abc", "dXNlcjpwYXNz", "abcdefghijkl"):
        assert secret not in masked


def test_texts_without_credentials_stay() -> None:
    for text in ("the token was refused", "access_token is missing", "bearer of news"):
        assert mask_credentials(text) == text


def test_keys_that_name_credentials_are_masked_whole() -> None:
    event: dict[str, Any] = {"event": "x", "password": "p", "Authorization": "whatever", "items": ["Bearer abcdefgh"]}
    assert redactor(show_pii=False)(None, "info", event) == {
        "event": "x",
        "password": REDACTED,
        "Authorization": REDACTED,
        "items": [f"Bearer {REDACTED}"],
    }


SCRIPT = """
import logging
from voisnap_kit import log
log.configure("api", "INFO", "json", show_pii=False)
log.get("here").info("agent.published", agent_id="agt_1", **{"pii.email": "mia@harbor.test"})
log.get("here").debug("agent.seen")
logging.getLogger("some.library").warning("GET /?access_token=%s", "abcdefghijkl")
logging.getLogger("uvicorn.access").info("127.0.0.1 GET /secret")
logging.getLogger("uvicorn.error").error("ASGI callable returned without completing handshake.")
try:
    1 / 0
except ZeroDivisionError:
    log.get("here").exception("agent.failed")
"""


def test_a_process_logs_one_json_object_a_line() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["agent.published", f"GET /?access_token={REDACTED}", "agent.failed"]
    assert lines[0] | {"timestamp": ""} == {
        "event": "agent.published",
        "agent_id": "agt_1",
        "pii.email": REDACTED,
        "level": "info",
        "logger": "here",
        "service": "api",
        "timestamp": "",
    }
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert done.stdout == ""
    assert logging.getLogger("here").handlers == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /api/v1/recordings/t/c.mp3?token=1767350000.abc-DEF", "GET /api/v1/recordings/t/c.mp3?token=<redacted>"),
        ("postgresql://voisnap_api:s3cret-pw@db/api", "postgresql://voisnap_api:<redacted>@db/api"),
        ("key vsnp_live_0123456789abcdef refused", "key vsnp_live_<redacted> refused"),
        ("opened wrtc_tok_0123456789abcdef", "opened wrtc_tok_<redacted>"),
        ("report_of_calls at start_recording", "report_of_calls at start_recording"),
        (
            "http://127.0.0.1:8081/readyz for wrtc_01HX0123456789",
            "http://127.0.0.1:8081/readyz for wrtc_01HX0123456789",
        ),
    ],
)
def test_credentials_that_show_themselves_are_masked_and_nothing_else(text, masked):
    assert mask_credentials(text) == masked


DEBUGGING = """
import logging
from voisnap_kit import log
log.configure("api", "DEBUG", "json", show_pii=False)
for name in ("websockets.client", "httpx2", "botocore.auth", "aiobotocore.endpoint", "openai._base_client", "anthropic"):
    logging.getLogger(name).debug("> Authorization: Token aVerySecretKey")
    logging.getLogger(name).info("POST https://models.example.com/v1?key=aVerySecretKey")
log.get("here").debug("agent.seen")
"""


def test_vendors_libraries_write_no_keys_while_somebody_debugs() -> None:
    done = subprocess.run([sys.executable, "-c", DEBUGGING], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    [line] = done.stderr.splitlines()
    assert "agent.seen" in line

"""Settings come typed from the environment, and every fault is named at once."""

from enum import StrEnum
from pathlib import Path

import msgspec
import pytest
from voisnap_kit.settings import Secret, SettingsError, load

pytestmark = pytest.mark.unit


class Level(StrEnum):
    INFO = "info"
    DEBUG = "debug"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str
    signing_key: Secret
    http_port: int = 8080
    ratio: float = 0.5
    verbose: bool = False
    models_dir: Path | None = None
    turn_urls: tuple[str, ...] = ()
    level: Level = Level.INFO
    proxy: str | None


REQUIRED = {"DATABASE_URL": "postgresql://x", "SIGNING_KEY": "abc"}


def test_defaults_hold_where_nothing_is_set() -> None:
    settings = load(Settings, {**REQUIRED, "HTTP_PORT": "", "OTHER": "x"})
    assert settings == Settings(database_url="postgresql://x", signing_key=Secret("abc"), proxy=None)


def test_every_type_is_read() -> None:
    settings = load(
        Settings,
        {
            **REQUIRED,
            "HTTP_PORT": " 9000 ",
            "RATIO": "0.25",
            "VERBOSE": "True",
            "MODELS_DIR": "/models",
            "TURN_URLS": "turn:a, turn:b,",
            "LEVEL": "debug",
            "PROXY": "http://p",
        },
    )
    assert (settings.http_port, settings.ratio, settings.verbose) == (9000, 0.25, True)
    assert (settings.models_dir, settings.turn_urls) == (Path("/models"), ("turn:a", "turn:b"))
    assert (settings.level, settings.proxy) == (Level.DEBUG, "http://p")


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load(Settings, {"SIGNING_KEY": "  ", "HTTP_PORT": "abc", "RATIO": "x", "VERBOSE": "maybe", "LEVEL": "loud"})
    assert raised.value.problems == (
        "DATABASE_URL is not set",
        "SIGNING_KEY is not set",
        "HTTP_PORT: 'abc' is not an integer",
        "RATIO: 'x' is not a number",
        "VERBOSE: 'maybe' is not true or false",
        "LEVEL: 'loud' is not one of 'info', 'debug'",
    )


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {load(Settings, {**REQUIRED, 'SIGNING_KEY': 'hunter2'})!r}"
    assert secret.value == "hunter2"
    assert secret == Secret("hunter2")

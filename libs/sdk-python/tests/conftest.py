"""A server that plays what a test writes down, and pauses that take no time."""

from collections.abc import Iterator

import pytest
from voisnap import _senders
from voisnap_testkit.scripted_http import ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as playing:
        yield playing


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    made: list[float] = []

    async def asleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(_senders, "_wait", made.append)
    monkeypatch.setattr(_senders, "_await", asleep)
    return made


@pytest.fixture(autouse=True)
def _no_keys_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VOISNAP_API_KEY", "VOISNAP_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

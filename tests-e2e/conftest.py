"""Fixtures of the end-to-end tests: one running platform, and questions spoken by the local voice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hibari import Hibari
from voisnap_media import files
from voisnap_media.pcm import Pcm
from voisnap_testkit.platform import Platform, start_platform, stop_platform
from voisnap_testkit.plugin import shared_by

_running: dict[str, Platform] = {}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """One platform for all tests that leave it running."""
    _running["platform"] = start_platform(tmp_path_factory.mktemp("platform") / "home")
    return _running["platform"]


@pytest.fixture(scope="session")
def two_runtimes(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """One platform with two runtime processes, for tests that kill, stop and drain them and leave two running."""
    _running["two_runtimes"] = start_platform(tmp_path_factory.mktemp("two-runtimes") / "home", runtimes=2)
    return _running["two_runtimes"]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """A platform ends with the last file that shares it: an idle one takes a gigabyte, and a tenth of a core from the tests that follow."""
    here = nextitem is not None and nextitem.path.is_relative_to(Path(__file__).parent)
    wanted = shared_by(str(nextitem.path)) if nextitem and here else None
    for name in _running.keys() - {wanted}:
        stop_platform(_running.pop(name))


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A WAV file with a text in it, spoken by the local voice."""
    folder, voice = tmp_path_factory.mktemp("spoken"), Hibari(threads=1)
    made: dict[str, Path] = {}

    def speak(text: str) -> Path:
        if text not in made:
            made[text] = folder / f"{len(made)}.wav"
            samples = np.concatenate(list(voice.stream(text, seed=0)))
            files.write_wav(made[text], Pcm((np.clip(samples, -1, 1) * 32000).astype(np.int16), 24000))
        return made[text]

    return speak

"""Real models for the tests that need them, loaded once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import samplerate
from voisnap_domain.agents import Voice, VoiceProvider
from voisnap_media.pcm import Pcm
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.vendors.local.tts import HibariVoice
from voisnap_stack.models import models_folder


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of downloaded models; tests that need it are skipped without."""
    folder = models_folder()
    if not (folder / "moonshine-tiny-en" / "encoder.ort").is_file():
        pytest.fail("no models: run `voisnap models fetch`")
    return folder


@pytest.fixture(scope="session")
def registry(models_dir: Path) -> Iterator[Registry]:
    """One registry, as in a process."""
    shared = Registry(ProviderSettings(models_dir=models_dir))
    asyncio.run(shared.warm())
    yield shared
    asyncio.run(shared.aclose())


@pytest.fixture(scope="session")
def hibari(registry: Registry) -> HibariVoice:
    """The voice itself, without the port."""
    return registry.part("hibari")


@pytest.fixture
def heart() -> Voice:
    return Voice(provider=VoiceProvider.LOCAL, voice_id="heart")


@pytest.fixture(scope="session")
def say(hibari: HibariVoice):
    """A sentence as 16 kHz sound with a little silence around, as an ear would hand it over."""

    def speak(text: str, *, before_ms: float = 100, after_ms: float = 200) -> Pcm:
        take = hibari(text, 1.0)
        assert take is not None
        sound = samplerate.resample(take.audio, 16000 / 24000, "sinc_fastest")
        return Pcm.from_float32(np.pad(sound, (round(before_ms * 16), round(after_ms * 16))), 16000)

    return speak

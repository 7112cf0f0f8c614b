"""The registry: one instance each, lazy imports, and errors that say what to do."""

import subprocess
import sys
from pathlib import Path

import pytest
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.registry import ProviderSettings, Registry

pytestmark = pytest.mark.unit


@pytest.fixture
async def empty(tmp_path: Path):
    made = Registry(ProviderSettings(models_dir=tmp_path, threads=1))
    yield made
    await made.aclose()


async def test_an_unknown_provider_is_named_with_those_there_are(empty: Registry):
    with pytest.raises(ProviderUnconfigured, match=r"no tts provider parrot.*elevenlabs.*local") as caught:
        empty.tts("parrot")
    assert caught.value.code == "provider-not-configured"


async def test_a_provider_is_made_once(empty: Registry):
    assert empty.llm("scripted") is empty.llm("scripted")


async def test_a_missing_model_names_its_file_and_the_command(empty: Registry, tmp_path: Path):
    with pytest.raises(ProviderError, match=r"encoder\.ort is missing.*voisnap models fetch"):
        empty.stt("local")
    with pytest.raises(ProviderError, match=r"model\.onnx is missing"):
        await empty.warm(["embeddings"])


@pytest.mark.parametrize(
    ("kind", "file"), [("stt", "moonshine-tiny-en/encoder.ort"), ("embeddings", "minilm/model.onnx")]
)
async def test_a_broken_model_says_so(empty: Registry, tmp_path: Path, kind: str, file: str):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a model at all")
    with pytest.raises(ProviderError, match=rf"{path.name} is broken.*voisnap models fetch"):
        await empty.warm([kind])


def test_asking_for_nothing_imports_no_model_runtime():
    code = "import sys, voisnap_providers.registry; print([m for m in ('onnxruntime', 'hibari', 'obstore') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
    assert ran.stdout.strip() == "[]"

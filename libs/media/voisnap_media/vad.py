"""Is somebody speaking? Silero's voice-activity network, one run for many streams.

The network is shared by a process; a stream owns little more than a kilobyte of state. A batch of 32 streams costs a quarter of what single
runs of it cost.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .vad_network import CONTEXT, MEMORY, VadNetwork, read_weights

RATE = 16000
WINDOW = 512
"""Samples in one window: the only length the network accepts at 16 kHz."""
WINDOW_MS = 32

_REMEMBERED = MEMORY + CONTEXT


class VadState:
    """What the network remembers of one stream. Only `VadModel` touches its inside."""

    __slots__ = ("remembered",)

    def __init__(self) -> None:
        self.remembered: NDArray[np.float32] = np.zeros(_REMEMBERED, np.float32)
        """The network's memory, and the end of the window before."""

    def reset(self) -> None:
        """Forget the stream, as after a reconnection."""
        self.remembered = np.zeros(_REMEMBERED, np.float32)


class VadModel:
    """The network itself. One instance a process; calls from one thread."""

    def __init__(self, network: VadNetwork) -> None:
        self._network = network

    @classmethod
    def load(cls, path: Path) -> "VadModel":
        """Read the weights (`silero_vad.onnx`) and run once, so that the first call is not slower.

        From then on matrix products of this process run in the thread that asks for them: such small ones lose by being shared out.
        Raises `OSError` when the file cannot be read and `ValueError` when it is not this network.
        """
        weights = path.read_bytes()
        try:
            model = cls(VadNetwork(read_weights(weights)))
        except ValueError as error:
            raise ValueError(f"{path} is not the voice-activity network: {error}") from error
        threadpool_limits(1, user_api="blas")
        model.probabilities(np.zeros((1, WINDOW), np.float32), [VadState()])
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
        before = np.concatenate([state.remembered for state in states]).reshape(count, _REMEMBERED)
        samples = np.concatenate([before[:, MEMORY:], windows], axis=1)
        chances, memory = self._network.run(samples, before[:, :MEMORY])
        after = np.concatenate([memory, windows[:, -CONTEXT:]], axis=1)
        # Copies: a view would keep what all streams of the batch remember for as long as one of them lives.
        for state, remembered in zip(states, after, strict=True):
            state.remembered = remembered.copy()
        return chances

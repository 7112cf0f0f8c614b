"""Is somebody speaking? Silero's voice-activity network, one run for many streams.

The network is shared by a process; a stream owns little more than a kilobyte of state. A batch of 32 streams costs a quarter of what single
runs of it cost.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from .vad_network import MEMORY, VadNetwork, read_weights

RATE = 16000
WINDOW = 512
"""Samples in one window: the only length the network accepts at 16 kHz."""
NARROW_RATE, NARROW_WINDOW = 8000, 256
"""The same for a telephone's sound: another network, at three fifths of the cost."""
WINDOW_MS = 32


class VadState:
    """What the network remembers of one stream. Only `VadModel` touches its inside."""

    __slots__ = ("remembered",)

    def __init__(self) -> None:
        self.remembered: NDArray[np.float32] | None = None
        """The network's memory, and the end of the window before; None at first."""

    def reset(self) -> None:
        """Forget the stream, as after a reconnection, or when its rate changes."""
        self.remembered = None


class VadModel:
    """The networks themselves, one for each of the two rates. One instance a process; calls from one thread."""

    def __init__(self, *networks: VadNetwork) -> None:
        self._networks = {network.window: network for network in networks}

    @classmethod
    def load(cls, path: Path) -> "VadModel":
        """Read the weights (`silero_vad.onnx`) and run once, so that the first call is not slower.

        From then on matrix products of this process run in the thread that asks for them: such small ones lose by being shared out.
        Raises `OSError` when the file cannot be read and `ValueError` when it is not this network.
        """
        weights = path.read_bytes()
        try:
            model = cls(*(VadNetwork(read_weights(weights, rate=rate), rate=rate) for rate in (RATE, NARROW_RATE)))
        except ValueError as error:
            raise ValueError(f"{path} is not the voice-activity network: {error}") from error
        threadpool_limits(1, user_api="blas")
        for window in (WINDOW, NARROW_WINDOW):
            model.probabilities(np.zeros((1, window), np.float32), [VadState()])
        return model

    def probabilities(self, windows: NDArray[np.float32], states: Sequence[VadState]) -> NDArray[np.float32]:
        """The chance of speech, 0 to 1, in one window of each stream; the states move on.

        `windows` is [streams, 512] float32 at 16 kHz, or [streams, 256] at 8 kHz, 1.0 full scale. Raises `ValueError` for another shape, and for
        a stream that had another rate before.
        """
        count = len(states)
        network = self._networks.get(windows.shape[-1])
        if network is None or windows.shape != (count, network.window):
            raise ValueError(f"expected windows of shape ({count}, {WINDOW}), got {windows.shape}")
        if not count:
            return np.zeros(0, np.float32)
        size = MEMORY + network.context
        fresh = np.zeros(size, np.float32)
        before = np.concatenate([fresh if state.remembered is None else state.remembered for state in states])
        if len(before) != count * size:
            raise ValueError("a stream had another rate before")
        before = before.reshape(count, size)
        samples = np.concatenate([before[:, MEMORY:], windows], axis=1)
        chances, memory = network.run(samples, before[:, :MEMORY])
        after = np.concatenate([memory, windows[:, -network.context :]], axis=1)
        # Copies: a view would keep what all streams of the batch remember for as long as one of them lives.
        for state, remembered in zip(states, after, strict=True):
            state.remembered = remembered.copy()
        return chances

"""Has the caller finished? The smart-turn network listens to how the last words were said.

It takes the last eight seconds as a log-mel spectrogram, computed here in numpy the way Whisper's front end does it, and gives the chance
that the turn is over. It is good evidence and no proof: use it to wait shorter or longer, never to wait for ever.

One instance serves a process. Call it from a worker thread: a decision computes for about 35 ms on one core, and takes about 20 MB in all.
Several streams in one run were measured to cost half as much again a stream, and five times the memory: so there is one run a decision.
"""

import math
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voisnap_media.pcm import Samples

RATE = 16000
SECONDS = 8
WINDOW = SECONDS * RATE
"""Samples the network looks at; shorter audio is preceded by silence."""

_FFT = 400
_HOP = 160
_FRAMES = WINDOW // _HOP
_MELS = 80
_FLOOR = 1e-10


class SmartTurn:
    """The network. Safe to call from several threads."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    @classmethod
    def load(cls, path: Path) -> "SmartTurn":
        """Read the weights (`smart-turn-v3.2-cpu.onnx`) and run once, so that the first call is not slower.

        Raises `OSError` when the file cannot be read and `ValueError` when it is not this network.
        """
        with path.open("rb"):  # onnxruntime has no error of its own for a file that cannot be read
            pass
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_mem_pattern = False  # a third of the memory less
        try:
            model = cls(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
            model.chance(np.zeros(RATE, np.int16))
        except Exception as error:  # onnxruntime raises its own unrelated classes for every kind of broken file
            raise ValueError(f"{path} is not the smart-turn network: {error}") from error
        return model

    def chance(self, turn: Samples) -> float:
        """The chance, 0 to 1, that a caller whose audio at 16 kHz ends with `turn`, a little silence included, has finished.

        Only the last eight seconds count. Audio should begin with the turn: what was said before it confuses the network.
        """
        outputs = self._session.run(None, {"input_features": log_mel(turn)[None]})
        return min(1.0, max(0.0, float(np.asarray(outputs[0]).ravel()[0])))


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """The last eight seconds as the network wants them: 80 mel bands by 800 frames of 10 ms.

    Zero mean and unit variance over the eight seconds, Hann window of 25 ms, Slaney's mel bands from 0 to 8 kHz, logarithm with 80 dB range.
    """
    heard = samples[-WINDOW:].astype(np.float32)
    heard *= np.float32(1 / 32768)
    # The silence in front counts for mean and variance, too.
    mean = float(heard.sum()) / WINDOW
    variance = float(np.square(heard).sum()) / WINDOW - mean * mean
    scale = 1.0 / math.sqrt(max(variance, 0.0) + 1e-7)
    signal = np.full(WINDOW + _FFT, -mean * scale, np.float32)
    inside = signal[_FFT // 2 : -(_FFT // 2)]
    if len(heard):
        inside[-len(heard) :] = (heard - np.float32(mean)) * np.float32(scale)
    signal[: _FFT // 2] = inside[_FFT // 2 : 0 : -1]
    signal[-(_FFT // 2) :] = inside[-2 : -_FFT // 2 - 2 : -1]
    frames = np.lib.stride_tricks.sliding_window_view(signal, _FFT)[::_HOP][:_FRAMES]
    spectrum = np.fft.rfft(frames * _HANN, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    bands = np.log10(np.maximum(power @ _FILTERS, np.float32(_FLOOR))).T
    bands = np.maximum(bands, bands.max() - np.float32(8.0))
    return ((bands + np.float32(4.0)) * np.float32(0.25)).astype(np.float32, copy=False)


def _mel_of(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    return np.where(
        hertz < 1000.0, hertz * 3.0 / 200.0, 15.0 + np.log(np.maximum(hertz, 1000.0) / 1000.0) * 27.0 / np.log(6.4)
    )


def _hertz_of(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)))


def _mel_filters() -> NDArray[np.float32]:
    """Triangles of equal area over the bins of the transform: [bins, bands]."""
    bins = np.linspace(0.0, RATE / 2, _FFT // 2 + 1)
    edges = _hertz_of(np.linspace(0.0, float(_mel_of(np.array([RATE / 2.0]))[0]), _MELS + 2))
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))).astype(np.float32)


_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)).astype(np.float32)
_FILTERS = _mel_filters()

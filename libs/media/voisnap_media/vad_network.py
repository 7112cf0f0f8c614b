"""Silero's voice-activity network (v5 and v6, for 16 and 8 kHz) as a handful of matrix products over a whole batch.

The weights are read out of the ONNX file. A general runtime convolves each stream of a batch by itself, four columns at a time; one product over
all streams takes 40 % of that. What comes out is the same to the fifth decimal.
"""

from collections.abc import Generator, Mapping

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HIDDEN = 128
"""The width of the network's memory."""
MEMORY = 2 * HIDDEN
_FRAMES = 4
_GRAPH, _NODE, _OUTPUT, _ATTRIBUTE, _SUBGRAPH, _TENSOR = 7, 1, 2, 5, 6, 5
"""Field numbers of ONNX: ModelProto.graph, GraphProto.node, NodeProto.output and attribute, AttributeProto.g and t."""
_DIMS, _KIND, _RAW, _FLOAT = 1, 2, 9, 1
"""TensorProto.dims, data_type and raw_data, and the data type of 32-bit floats."""
_SHAPES = {
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (HIDDEN, 64, 3),
    "encoder.3.reparam_conv.bias": (HIDDEN,),
    "decoder.rnn.weight_ih": (4 * HIDDEN, HIDDEN),
    "decoder.rnn.weight_hh": (4 * HIDDEN, HIDDEN),
    "decoder.rnn.bias_ih": (4 * HIDDEN,),
    "decoder.rnn.bias_hh": (4 * HIDDEN,),
    "decoder.decoder.2.weight": (1, HIDDEN, 1),
    "decoder.decoder.2.bias": (1,),
}


class VadNetwork:
    """One of the two networks with its weights: the one for `rate` Hz. Calls from one thread."""

    def __init__(self, weights: Mapping[str, Floats], *, rate: int = 16000) -> None:
        """`weights` by their names in the file. Raises `ValueError` when one is missing, has another shape or holds what is no number."""
        self.window = rate * 32 // 1000
        """Samples of a window."""
        self.context = self.window // 8
        """Samples before a window that belong to it."""
        self._fft = self.window // 2
        self._bins = self._fft // 2 + 1
        for name, shape in _shapes(rate).items():
            if name not in weights or weights[name].shape != shape:
                raise ValueError(f"the network has no {name} of shape {shape} in 32-bit floats")
            if not np.isfinite(weights[name]).all():
                raise ValueError(f"{name} is damaged: it holds values that are no numbers")
        self._basis = np.ascontiguousarray(weights["stft.forward_basis_buffer"][:, 0].T)
        self._taps = tuple(_taps_of(weights[f"encoder.{layer}.reparam_conv.weight"]) for layer in range(4))
        self._biases = tuple(weights[f"encoder.{layer}.reparam_conv.bias"] for layer in range(4))
        # The third layer makes one frame of two, the fourth one of one: the taps that meet only padding are left out.
        self._third, self._fourth = self._taps[2][64:], self._taps[3][64:128]
        # Gates come as input, forget, cell, output; side by side the three sigmoids are one.
        order = np.r_[0 : 2 * HIDDEN, 3 * HIDDEN : 4 * HIDDEN, 2 * HIDDEN : 3 * HIDDEN]
        both = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], axis=1)
        self._gates = np.ascontiguousarray(both[order].T)
        self._gate_bias = (weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"])[order]
        self._out = weights["decoder.decoder.2.weight"][0, :, 0].copy()
        self._out_bias = weights["decoder.decoder.2.bias"][0]

    def run(self, samples: Floats, memory: Floats) -> tuple[Floats, Floats]:
        """Chances of speech [streams] of one window each, and the memory afterwards.

        `samples` is [streams, context + window]: the end of the window before and the window. `memory` is [streams, 256], zeros at first.
        """
        count = len(samples)
        seen = self._encoded(self._spectrum(samples))
        seen[:, HIDDEN:] = memory[:, :HIDDEN]
        gates = seen @ self._gates
        gates += self._gate_bias
        open_ = _sigmoid(gates[:, : 3 * HIDDEN])
        cell = np.tanh(gates[:, 3 * HIDDEN :])
        cell *= open_[:, :HIDDEN]
        cell += open_[:, HIDDEN : 2 * HIDDEN] * memory[:, HIDDEN:]
        after = np.empty((count, MEMORY), np.float32)
        after[:, HIDDEN:] = cell
        np.tanh(cell, out=after[:, :HIDDEN])
        after[:, :HIDDEN] *= open_[:, 2 * HIDDEN :]
        chances = np.maximum(after[:, :HIDDEN], 0.0) @ self._out
        chances += self._out_bias
        return _sigmoid(chances), after

    def _spectrum(self, samples: Floats) -> Floats:
        """Magnitudes [streams × frames, bins]; the end is mirrored."""
        count, size = samples.shape
        mirrored, hop = self.context, self._fft // 2
        padded = np.empty((count, size + mirrored), np.float32)
        padded[:, :size] = samples
        padded[:, size:] = samples[:, size - 2 : size - 2 - mirrored : -1]
        frames = sliding_window_view(padded, self._fft, axis=1)[:, ::hop].reshape(count * _FRAMES, self._fft)
        waves = frames @ self._basis
        np.square(waves, out=waves)
        power = waves[:, : self._bins] + waves[:, self._bins :]
        return np.sqrt(power, out=power)

    def _encoded(self, spectrum: Floats) -> Floats:
        """What the encoder sees, in the left half of [streams, 256]; the right half is free for the memory."""
        count = len(spectrum) // _FRAMES
        first = _rectified(_columns(spectrum, count, stride=1) @ self._taps[0], self._biases[0])
        second = _rectified(_columns(first, count, stride=2) @ self._taps[1], self._biases[1])
        third = _rectified(second.reshape(count, -1) @ self._third, self._biases[2])
        fourth = third @ self._fourth
        fourth += self._biases[3]
        seen = np.empty((count, 2 * HIDDEN), np.float32)
        np.maximum(fourth, 0.0, out=seen[:, :HIDDEN])
        return seen


def _shapes(rate: int) -> dict[str, tuple[int, ...]]:
    fft = rate * 16 // 1000
    bins = fft // 2 + 1
    return {"stft.forward_basis_buffer": (2 * bins, 1, fft), "encoder.0.reparam_conv.weight": (128, bins, 3)} | _SHAPES


def read_weights(model: bytes, *, rate: int = 16000) -> dict[str, Floats]:
    """The weights for 16 or 8 kHz in the bytes of `silero_vad.onnx`, by their names. Raises `ValueError` for what is no ONNX file."""
    found: dict[str, Floats] = {}
    try:
        for number, value in _fields(memoryview(model)):
            if number == _GRAPH and isinstance(value, memoryview):
                _collect(value, found)
    except (IndexError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("this is no ONNX file") from error
    # The file holds both networks. Some of their weights have the same shapes, and their names differ only in their beginning.
    other = "then_branch" if rate == 8000 else "else_branch"
    return {
        name: tensor
        for full, tensor in found.items()
        for name, shape in _shapes(rate).items()
        if full.endswith(name) and tensor.shape == shape and other not in full
    }


def _collect(graph: memoryview, found: dict[str, Floats]) -> None:
    """Every constant of a graph and of the graphs inside it."""
    for number, node in _fields(graph):
        if number != _NODE or not isinstance(node, memoryview):
            continue
        output = ""
        for part, value in _fields(node):
            if not isinstance(value, memoryview):
                continue
            if part == _OUTPUT:
                output = bytes(value).decode()
            elif part == _ATTRIBUTE:
                for kind, held in _fields(value):
                    if kind == _SUBGRAPH and isinstance(held, memoryview):
                        _collect(held, found)
                    elif kind == _TENSOR and isinstance(held, memoryview):
                        tensor = _tensor(held)
                        if tensor is not None:
                            found[output] = tensor


def _tensor(message: memoryview) -> Floats | None:
    dims: list[int] = []
    kind, raw = 0, b""
    for number, value in _fields(message):
        if number == _DIMS and isinstance(value, int):
            dims.append(value)
        elif number == _KIND and isinstance(value, int):
            kind = value
        elif number == _RAW and isinstance(value, memoryview):
            raw = bytes(value)
    if kind != _FLOAT or len(raw) != 4 * int(np.prod(dims)):
        return None
    return np.frombuffer(raw, "<f4").astype(np.float32).reshape(dims)


def _fields(message: memoryview) -> Generator[tuple[int, int | memoryview]]:
    """Numbers and values of a protocol-buffers message; fixed-size ones are passed over."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        match key & 7:
            case 0:
                value, position = _varint(message, position)
                yield key >> 3, value
            case 2:
                size, position = _varint(message, position)
                if position + size > len(message):
                    raise IndexError(size)
                yield key >> 3, message[position : position + size]
                position += size
            case 1:
                position += 8
            case 5:
                position += 4
            case _:
                raise IndexError(position)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _taps_of(weight: Floats) -> Floats:
    """[out, in, 3] as [3 × in, out]: one product with three frames side by side."""
    return np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))


def _columns(frames: Floats, count: int, *, stride: int) -> Floats:
    """Three frames side by side for each frame that comes out; a frame of zeros before and after each stream."""
    width = frames.shape[1]
    padded = np.zeros((count, _FRAMES + 2, width), np.float32)
    padded[:, 1 : _FRAMES + 1] = frames.reshape(count, _FRAMES, width)
    a_stream, a_frame, a_value = padded.strides
    shape, strides = (count, _FRAMES // stride, 3 * width), (a_stream, stride * a_frame, a_value)
    return as_strided(padded, shape, strides).reshape(count * _FRAMES // stride, 3 * width)


def _rectified(values: Floats, bias: Floats) -> Floats:
    values += bias
    return np.maximum(values, 0.0, out=values)


def _sigmoid(values: Floats) -> Floats:
    """In place; by the hyperbolic tangent, which does not overflow."""
    values *= 0.5
    np.tanh(values, out=values)
    values += 1.0
    values *= 0.5
    return values

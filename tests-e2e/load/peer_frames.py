"""What callers say to the peers: Pipecat's protobuf frames, and raw frames for LiveKit Agents' audio input and output."""

import asyncio
from collections.abc import Sequence

import numpy as np
from voisnap_media.vad import RATE
from voisnap_stack.load_audio import Room, Utterance, Voice
from voisnap_stack.load_callers import Caller
from voisnap_stack.load_socket import BINARY, frame

AUDIBLE = 300
_AUDIO, _STOP = 0x12, 0x2A
"""Fields 2 (audio) and 5 (interruption) of Pipecat's `Frame` (its frames.proto), both length-delimited."""
_CLEAR = b"clear"


class PeerCall:
    """One caller's side of a peer's WebSocket: audio may flow at once."""

    greeting: tuple[bytes, ...] = ()
    farewell: tuple[bytes, ...] = ()

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self) -> None:
        self.ready.set_result(None)

    def message(self, data: bytes, now: float) -> None:
        """Audio, or the word that playing is to stop."""
        raise NotImplementedError

    def was_lost(self) -> None:
        self._caller.was_lost()


class PipecatCall(PeerCall):
    def message(self, data: bytes, now: float) -> None:
        if data and data[0] == _AUDIO:
            self._caller.heard(data, now)
        elif data and data[0] == _STOP:
            self._caller.told_to_stop(now)


class LiveKitCall(PeerCall):
    def message(self, data: bytes, now: float) -> None:
        if data == _CLEAR:
            self._caller.told_to_stop(now)
        else:
            self._caller.heard(data, now)


class PipecatFrames:
    """Its protobuf frames with raw audio."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room]) -> None:
        self.voices = tuple(Voice.of(utterances, room, lambda heard: _audio(heard.tobytes())) for room in rooms)

    def session(self, caller: Caller) -> PipecatCall:
        return PipecatCall(caller)

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard: the largest field of the message is the sound."""
        found = data.find(b"\x1a")
        # The name of the frame may come first; the audio is what is longer than any name.
        while found >= 0:
            size, start = _varint(data, found + 1)
            if size > 100 and start + size <= len(data):
                samples = np.frombuffer(data[start : start + (size & ~1)], "<i2")
                return int(samples.max()) > AUDIBLE
            found = data.find(b"\x1a", found + 1)
        return False


class RawFrames:
    """Bare 16-bit audio."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room]) -> None:
        self.voices = tuple(Voice.of(utterances, room, lambda heard: frame(heard.tobytes(), BINARY)) for room in rooms)

    def session(self, caller: Caller) -> LiveKitCall:
        return LiveKitCall(caller)

    def is_loud(self, data: bytes) -> bool:
        """Whether it can be heard."""
        samples = np.frombuffer(data[: len(data) & ~1], "<i2")
        return bool(len(samples)) and int(samples.max()) > AUDIBLE


def _audio(pcm: bytes) -> bytes:
    body = b"\x1a" + _length(len(pcm)) + pcm + b"\x20" + _length(RATE) + b"\x28\x01"
    return frame(bytes((_AUDIO,)) + _length(len(body)) + body, BINARY)


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, position

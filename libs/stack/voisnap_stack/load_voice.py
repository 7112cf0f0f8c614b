"""Callers on VoiceHub: SignalR over a WebSocket, JSON with base64 audio or MessagePack with bare bytes."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from .load_audio import SILENT_ROOM, Room, Utterance, Voice
from .load_callers import Caller
from .load_socket import BINARY, TEXT, CallRefused, frame

AUDIBLE = 300
"""Samples of the agent beyond this are sound."""
SEPARATOR = b"\x1e"
_STOP, _STARTED, _ERROR, _ENDED = "AudioCleared", "SessionStarted", "Error", "SessionEnded"
_INVOCATION, _CLOSE = 1, 7
_TARGET_WITHIN = 80
"""The name of an event stands within so many bytes of a message."""


class HubCall:
    """One caller's side of the hub, for both protocols."""

    def __init__(self, caller: Caller, dialect: "HubJson | HubMessagePack") -> None:
        self._caller = caller
        self._dialect = dialect
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.greeting = (frame(dialect.handshake, TEXT if isinstance(dialect, HubJson) else BINARY),)
        self.farewell = (dialect.invocation("EndSessionAsync", "user_ended"),)
        self._greeted = False

    def opened(self) -> None:
        """The hub says by itself when audio may flow."""

    def message(self, data: bytes, now: float) -> None:
        """A WebSocket message: one or more hub messages."""
        if not self._greeted:
            data = self._handshaken(data)
        for record in self._dialect.split(data):
            if self._dialect.audio in record[:_TARGET_WITHIN]:
                self._caller.heard(record, now)
            else:
                self._told(self._dialect.read(record), now)

    def was_lost(self) -> None:
        self._caller.was_lost()

    def _handshaken(self, data: bytes) -> bytes:
        answer, found, rest = data.partition(SEPARATOR)
        if not found:
            return data
        self._greeted = True
        error = msgspec.json.decode(answer).get("error")
        if error:
            self._refuse(str(error))
        return rest

    def _told(self, event: tuple[str, dict[str, Any]], now: float) -> None:
        name, value = event
        if name == _STOP:
            self._caller.told_to_stop(now)
        elif name == _STARTED:
            if not self.ready.done():
                self.ready.set_result(None)
        elif name == _ERROR and not value.get("recoverable", False):
            self._refuse(f"{value.get('message', '')} ({value.get('code', '')})")
        elif name in (_ENDED, ""):
            self._refuse(f"the call was ended: {value.get('reason') or value.get('error') or 'no reason given'}")

    def _refuse(self, text: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(CallRefused(text))
        else:
            self._caller.was_lost()


class HubJson:
    """The JSON hub protocol."""

    handshake = b'{"protocol":"json","version":1}\x1e'
    audio = b'"target":"AudioReceived"'
    """What a message with audio has near its beginning, and no other."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room] = (SILENT_ROOM,)) -> None:
        self.voices = tuple(Voice.of(utterances, room, lambda heard: self._audio(heard.tobytes())) for room in rooms)

    def session(self, caller: Caller) -> HubCall:
        return HubCall(caller, self)

    def invocation(self, target: str, *arguments: Any) -> bytes:
        """A call of a hub method without an answer, as a WebSocket frame."""
        message = {"type": _INVOCATION, "target": target, "arguments": list(arguments)}
        return frame(msgspec.json.encode(message) + SEPARATOR, TEXT)

    def split(self, data: bytes) -> list[bytes]:
        """The hub messages of a WebSocket message."""
        return [record for record in data.split(SEPARATOR) if record]

    def read(self, record: bytes) -> tuple[str, dict[str, Any]]:
        """The name of an event and its first argument; `("", …)` when the hub says goodbye, `("-", {})` for anything else."""
        message = msgspec.json.decode(record)
        if message.get("type") == _CLOSE:
            return "", message
        if message.get("type") != _INVOCATION:
            return "-", {}
        return message["target"], _first(message.get("arguments"))

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard."""
        end = data.rfind(b'"')
        start = data.rfind(b'"', 0, end) + 1
        return _audible(base64.b64decode(data[start:end]))

    def _audio(self, pcm: bytes) -> bytes:
        return self.invocation("SendAudioAsync", base64.b64encode(pcm).decode())


class HubMessagePack:
    """The MessagePack hub protocol, audio as bare bytes."""

    handshake = b'{"protocol":"messagepack","version":1}\x1e'
    audio = b"\x01\x80\xc0\xadAudioReceived"
    """An invocation without headers and id; see `HubJson.audio`."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room] = (SILENT_ROOM,)) -> None:
        self.voices = tuple(
            Voice.of(utterances, room, lambda heard: self.invocation("SendAudioAsync", heard.tobytes()))
            for room in rooms
        )

    def session(self, caller: Caller) -> HubCall:
        return HubCall(caller, self)

    def invocation(self, target: str, *arguments: Any) -> bytes:
        """A call of a hub method without an answer, as a WebSocket frame."""
        body = msgspec.msgpack.encode([_INVOCATION, {}, None, target, list(arguments), []])
        return frame(_length(len(body)) + body, BINARY)

    def split(self, data: bytes) -> list[bytes]:
        """The hub messages of a WebSocket message."""
        records, position = [], 0
        while position < len(data):
            size = shift = 0
            while True:
                byte = data[position]
                position += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80 or position >= len(data):
                    break
            records.append(data[position : position + size])
            position += size
        return records

    def read(self, record: bytes) -> tuple[str, dict[str, Any]]:
        """See `HubJson.read`."""
        message = msgspec.msgpack.decode(record)
        if message[0] == _CLOSE:
            return "", {"error": message[1]}
        if message[0] != _INVOCATION:
            return "-", {}
        return message[3], _first(message[4])

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard."""
        found = msgspec.msgpack.decode(data)[4][0]
        return _audible(found if isinstance(found, bytes) else base64.b64decode(found))


def _first(arguments: Any) -> dict[str, Any]:
    return arguments[0] if arguments and isinstance(arguments[0], dict) else {}


def _audible(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm[: len(pcm) & ~1], "<i2")
    return bool(len(samples)) and int(samples.max()) > AUDIBLE


def _length(size: int) -> bytes:
    out = bytearray()
    while size > 0x7F:
        out.append(0x80 | size & 0x7F)
        size >>= 7
    out.append(size)
    return bytes(out)

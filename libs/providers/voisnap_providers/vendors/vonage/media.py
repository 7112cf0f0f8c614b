"""The media socket of the Vonage Voice API: binary frames of 20 ms 16-bit sound, and JSON text around them.

https://developer.vonage.com/en/voice/voice-api/concepts/websockets: Vonage connects, says `websocket:connected` first and puts what the NCCO
gave the endpoint as `headers` beside it; `notify` is its mark. There is no word for the end of a call: the socket closes. Closing it from our
side ends no call: Vonage then asks the document's event address how to go on, so calls are ended over REST first.
"""

import re
from collections import deque
from typing import Any

import msgspec
from voisnap_media.pcm import Pcm

from voisnap_providers.ports.carrier import (
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaEvent,
    MediaStarted,
)
from voisnap_providers.vendors.call_audio import SpokenAudio, decoded
from voisnap_providers.vendors.vonage import CALL_HEADER, RATES

FRAME_MS = 20
"""Vonage plays frames of exactly this length, and no others."""
MAX_FRAME = 65536
MAX_MARKS = 4096
"""More than the 3072 frames that Vonage keeps, so no mark it still owes is ever forgotten."""

_CONTENT_TYPE = re.compile(
    r"audio/l16\s*;\s*rate\s*=\s*\"?(\d{1,6})\"?\s*(?:;\s*channels\s*=\s*1\s*)?", re.IGNORECASE | re.ASCII
)
_OURS = frozenset(("event", "content-type", CALL_HEADER))
_KEYS = frozenset("0123456789*#ABCD")
_CLEAR = '{"action":"clear"}'
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class VonageMedia:
    """`MediaWire` of one call.

    A mark carries its own number. Vonage says nothing of marks that `clear` dropped, or late; numbers below those still awaited are not told.
    """

    def __init__(self) -> None:
        self._format: AudioFormat | None = None
        self._spoken: SpokenAudio | None = None
        self._frame_bytes = 0
        self._rest = b""
        self._marks: deque[tuple[int, str]] = deque(maxlen=MAX_MARKS)
        self._marked = 0

    def read(self, frame: str | bytes) -> tuple[MediaEvent, ...]:
        if len(frame) > MAX_FRAME:
            raise MalformedMedia(f"a frame of {len(frame)}, more than {MAX_FRAME}")
        if isinstance(frame, str):
            return self._told(frame)
        if self._format is None:
            raise MalformedMedia("audio before websocket:connected")
        return (AudioHeard(audio=decoded(frame, self._format)),) if frame else ()

    def audio(self, sound: Pcm) -> tuple[str | bytes, ...]:
        if self._spoken is None:
            raise MalformedMedia("audio to send before websocket:connected")
        return self._frames(self._spoken.bytes_of(sound))

    def mark(self, name: str) -> tuple[str | bytes, ...]:
        """Also pads what fills no frame with silence, since Vonage would not play it otherwise. Raises MalformedMedia before the start."""
        if self._spoken is None:
            raise MalformedMedia("a mark to send before websocket:connected")
        frames = self._frames(self._spoken.rest())
        if self._rest:
            frames += (self._rest.ljust(self._frame_bytes, b"\0"),)
            self._rest = b""
        self._marked += 1
        self._marks.append((self._marked, name))
        notify = {"action": "notify", "payload": {"name": name, "mark": self._marked}}
        return (*frames, msgspec.json.encode(notify).decode())

    def clear(self) -> tuple[str | bytes, ...]:
        if self._spoken is None:
            return ()
        self._spoken.drop()
        self._rest = b""
        self._marks.clear()
        return (_CLEAR,)

    def _frames(self, sound: bytes) -> tuple[str | bytes, ...]:
        """The whole frames of what waits and of `sound`; what is left of it waits."""
        size = self._frame_bytes
        waiting = self._rest + sound if self._rest else sound
        whole = len(waiting) - len(waiting) % size
        self._rest = waiting[whole:]
        if whole == len(waiting) == size:
            return (waiting,)
        return tuple(waiting[at : at + size] for at in range(0, whole, size))

    def _told(self, frame: str) -> tuple[MediaEvent, ...]:
        try:
            message = _decode(frame)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise MalformedMedia("a text frame that is no JSON object") from None
        event = message.get("event")
        if event == "websocket:connected":
            return (self._started(message),)
        if self._format is None:
            raise MalformedMedia("the first message is not websocket:connected")
        match event:
            case "websocket:notify":
                return self._reached(message.get("payload"))
            case "websocket:dtmf":
                return (_key(message),)
            case "websocket:cleared":
                return ()
            case _:
                raise MalformedMedia("a text frame of an unknown event")

    def _started(self, message: dict[str, Any]) -> MediaStarted:
        if self._format is not None:
            raise MalformedMedia("a second websocket:connected")
        content_type = message.get("content-type")
        found = _CONTENT_TYPE.fullmatch(content_type.strip()) if isinstance(content_type, str) else None
        if found is None or int(found[1]) not in RATES:
            raise MalformedMedia("the content-type is not audio/l16 at 8000, 16000 or 24000 Hz")
        self._format = AudioFormat(codec=AudioCodec.L16, rate=int(found[1]))
        self._spoken = SpokenAudio(self._format)
        self._frame_bytes = self._format.rate * FRAME_MS // 1000 * 2
        call_id = _text(message.get(CALL_HEADER, ""))
        return MediaStarted(
            call_id=call_id,
            stream_id=call_id,
            heard=self._format,
            spoken=self._format,
            parameters={name: _text(value) for name, value in message.items() if name not in _OURS},
        )

    def _reached(self, payload: object) -> tuple[MarkReached, ...]:
        """The mark that Vonage names and those before it, since it plays in order."""
        if not isinstance(payload, dict):
            raise MalformedMedia("websocket:notify without a payload")
        number = payload.get("mark")
        if type(number) is not int or number > self._marked:
            return ()
        reached: list[MarkReached] = []
        while self._marks and self._marks[0][0] <= number:
            reached.append(MarkReached(name=self._marks.popleft()[1]))
        return tuple(reached)


def _key(message: dict[str, Any]) -> KeyPressed:
    digit = message.get("digit")
    key = str(digit) if isinstance(digit, str | int) and not isinstance(digit, bool) else ""
    if key not in _KEYS:
        raise MalformedMedia("websocket:dtmf without a telephone key")
    return KeyPressed(digit=key)


def _text(value: object) -> str:
    """An endpoint's header as it was given: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

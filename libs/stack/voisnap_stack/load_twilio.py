"""Callers over a carrier: Twilio Media Streams, JSON with base64 μ-law at 8 kHz, played and marked as the carrier does.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

import asyncio
import base64
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from voisnap_media import g711
from voisnap_media.pcm import Pcm, Samples

from .load_audio import SILENT_ROOM, Room, Utterance, Voice
from .load_callers import Caller
from .load_socket import TEXT, frame

STREAM = "MZ00000000000000000000000000000001"
AUDIBLE = 300
_MEDIA, _MARK, _CLEAR = b'"event":"media"', b'"mark"', b'"clear"'
_EVENT_WITHIN = 40
"""The name of an event stands within so many bytes of a message, whoever wrote it."""


class TwilioCall:
    """One caller's Media Stream. Marks come back when what was sent before them has been heard: at once, since that comes in real time."""

    farewell = (frame(msgspec.json.encode({"event": "stop", "streamSid": STREAM, "stop": {"callSid": "CA0"}}), TEXT),)

    def __init__(self, caller: Caller, token: str) -> None:
        self._caller = caller
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write: Callable[[bytes], None] = lambda data: None
        """Sends a whole frame; set by the line."""
        start = {
            "streamSid": STREAM,
            "accountSid": "AC0",
            "callSid": "CA0",
            "tracks": ["inbound"],
            "customParameters": {"token": token},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        opening = (
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": STREAM},
        )
        self.greeting = tuple(frame(msgspec.json.encode(message), TEXT) for message in opening)

    def opened(self) -> None:
        """A carrier does not wait for a word of ours."""
        self.ready.set_result(None)

    def message(self, data: bytes, now: float) -> None:
        head = data[:_EVENT_WITHIN].replace(b" ", b"")
        if _MEDIA in head:
            self._caller.heard(data, now)
        elif _MARK in head:
            name = msgspec.json.decode(data)["mark"]["name"]
            told = {"event": "mark", "sequenceNumber": "9", "streamSid": STREAM, "mark": {"name": name}}
            self.write(frame(msgspec.json.encode(told), TEXT))
        elif _CLEAR in head:
            self._caller.told_to_stop(now)

    def was_lost(self) -> None:
        self._caller.was_lost()


class TwilioFrames:
    """Media Streams; `token` is the parameter that the stream is given."""

    def __init__(
        self, utterances: Sequence[Utterance], rooms: Sequence[Room] = (SILENT_ROOM,), *, token: str = ""
    ) -> None:
        self.voices = tuple(Voice.of(utterances, room, _media) for room in rooms)
        self._token = token

    def with_token(self, token: str) -> "TwilioFrames":
        """The same for one caller, whose frames are everybody's."""
        other = TwilioFrames(())
        other.voices, other._token = self.voices, token
        return other

    def session(self, caller: Caller) -> TwilioCall:
        return TwilioCall(caller, self._token)

    def is_loud(self, data: bytes) -> bool:
        """Whether a message with audio can be heard."""
        start = data.index(b'"payload"') + 9
        start = data.index(b'"', start) + 1
        sound = g711.mulaw_decode(base64.b64decode(data[start : data.index(b'"', start)]))
        return bool(len(sound)) and int(sound.samples.max()) > AUDIBLE


def _media(heard: Samples) -> bytes:
    """20 ms at 16 kHz as a telephone carries them: every pair of samples is one."""
    halved = heard.astype(np.int32).reshape(-1, 2).sum(axis=1) // 2
    payload = base64.b64encode(g711.mulaw_encode(Pcm(halved.astype(np.int16), g711.RATE))).decode()
    media = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": payload}
    return frame(
        msgspec.json.encode({"event": "media", "sequenceNumber": "3", "media": media, "streamSid": STREAM}), TEXT
    )

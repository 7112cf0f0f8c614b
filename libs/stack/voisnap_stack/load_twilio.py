"""Callers on a bare Media Stream of Twilio's, without a carrier that signals: for servers that are measured alone. Frames are made once for
all callers; what is in them is the simulated carrier's (`voisnap_simulator.voice.wires`).
"""

import asyncio
import base64
from collections.abc import Callable, Sequence

import msgspec
from voisnap_media import g711
from voisnap_providers.ports.carrier import AudioCodec, AudioFormat
from voisnap_simulator.voice.wires import TwilioWire

from .load_audio import SILENT_ROOM, Room, Utterance, Voice
from .load_callers import Caller
from .load_carrier import coder, whole

STREAM = "MZ00000000000000000000000000000001"
FORM = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
AUDIBLE = 300
_MEDIA, _MARK, _CLEAR = b'"event":"media"', b'"mark"', b'"clear"'
_EVENT_WITHIN = 40
"""The name of an event stands within so many bytes of a message, whoever wrote it."""


class TwilioCall:
    """One caller's Media Stream. Marks come back when what was sent before them has been heard: at once, since that comes in real time."""

    def __init__(self, caller: Caller, token: str) -> None:
        self._caller = caller
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write: Callable[[bytes], None] = lambda data: None
        """Sends a whole frame; set by the line."""
        self._wire = _wire(token)
        self.greeting = tuple(map(whole, self._wire.opening()))
        self.farewell = tuple(map(whole, self._wire.closing()))

    def opened(self) -> None:
        """A carrier does not wait for a word of ours."""
        self.ready.set_result(None)

    def message(self, data: bytes, now: float) -> None:
        head = data[:_EVENT_WITHIN].replace(b" ", b"")
        if _MEDIA in head:
            self._caller.heard(data, now)
        elif _MARK in head:
            name = msgspec.json.decode(data)["mark"]["name"]
            self.write(whole(self._wire.reached(name)))
        elif _CLEAR in head:
            self._caller.told_to_stop(now)

    def was_lost(self) -> None:
        self._caller.was_lost()


class TwilioFrames:
    """Media Streams; `token` is the parameter that the stream is given."""

    def __init__(
        self, utterances: Sequence[Utterance], rooms: Sequence[Room] = (SILENT_ROOM,), *, token: str = ""
    ) -> None:
        wire, coded = _wire(token), coder(FORM)
        self.voices = tuple(Voice.of(utterances, room, lambda heard: whole(wire.media(coded(heard)))) for room in rooms)
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


def _wire(token: str) -> TwilioWire:
    return TwilioWire(stream_sid=STREAM, account_sid="AC0", call_sid="CA0", parameters={"token": token}, form=FORM)

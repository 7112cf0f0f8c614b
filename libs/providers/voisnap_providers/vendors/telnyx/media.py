"""Telnyx's media socket: JSON text frames both ways, sound as base64 of what RTP would carry.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from binascii import b2a_base64
from collections import deque
from typing import Any

import msgspec
import numpy as np
from voisnap_media.pcm import Pcm

from voisnap_providers.ports.carrier import (
    TOKEN_PARAMETER,
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaEvent,
    MediaFault,
    MediaStarted,
    MediaStopped,
    MediaWire,
)
from voisnap_providers.vendors.call_audio import SpokenAudio, decoded
from voisnap_providers.vendors.phone_numbers import e164

from . import state
from .formats import PCMU, RATES, SPOKEN_PARAMETER, is_possible, spoken_word

MAX_FRAME = 65536
_AUTH_TOKEN = "x-telnyx-streaming-auth-token"  # noqa: S105 - a field's name
_MAX_HELD = 3
"""Frames of 20 ms that wait for one before them: what a late frame may cost at most is 60 ms."""
_MAX_LATE = 10
"""So many frames in a row that come after their turn are no stragglers: the count has begun anew."""
_MAX_MARKS = 4096
_MAX_FRAMES_A_MESSAGE = 10
_SURE_FRAMES = 5
"""Frames that sound right in one order of bytes, beyond those that do in the other, before an order is believed."""
_CLEARER = 4.0
"""So much smoother is sound in its own order of bytes: the wrong one makes noise at full scale of the softest hiss."""
_DETAIL = 200
_KEYS = frozenset("0123456789*#ABCD")
_CODECS = tuple(codec.value for codec in AudioCodec)


class _Parameter(msgspec.Struct):
    name: str
    value: str | int | float | bool | None = None


class _Format(msgspec.Struct):
    encoding: str
    sample_rate: int
    channels: int = 1


class _Start(msgspec.Struct):
    call_control_id: str
    media_format: _Format
    caller: str | None = msgspec.field(default=None, name="from")
    callee: str | None = msgspec.field(default=None, name="to")
    custom_parameters: dict[str, str | int | float | bool | None] | list[_Parameter] | None = None
    client_state: str | None = None


class _Media(msgspec.Struct):
    payload: bytes
    track: str = "inbound"
    chunk: int | None = None


class _Dtmf(msgspec.Struct):
    digit: str | int


class _Mark(msgspec.Struct):
    name: str


class _Fault(msgspec.Struct):
    code: str | int = ""
    title: str | None = None
    detail: str | None = None


class _Connected(msgspec.Struct):
    token: str | None = msgspec.field(default=None, name=_AUTH_TOKEN)


class _Frame(msgspec.Struct):
    event: str
    stream_id: str | None = None
    media: _Media | None = None
    start: _Start | None = None
    dtmf: _Dtmf | None = None
    mark: _Mark | None = None
    payload: _Fault | None = None
    connected: _Connected | None = None
    token: str | None = msgspec.field(default=None, name=_AUTH_TOKEN)


_FRAMES = msgspec.json.Decoder(_Frame, strict=False)  # numbers are strings in the documentation's examples


class TelnyxMedia(MediaWire):
    """One stream of Telnyx. What it hears is coded as the telephone network had it, what we say as the command asked for that began the
    stream (`connecting.stream_command`); the two differ often, and the stream says both.

    L16 is big-endian in RTP (RFC 3551 §4.5.11) and little-endian on the sockets of other carriers; Telnyx's pages do not say what it is here.
    So the sound itself is asked, and what we say follows it.

    Sound goes out in frames of 20 to 200 ms, always whole multiples of 20 ms; what a `mark` finds left of a frame is filled with silence,
    so marks belong where the speech pauses.
    """

    def __init__(self) -> None:
        self._heard = PCMU
        self._speak_as(PCMU)
        self._rest = b""
        self._token: str | None = None
        self._stream_id: str | None = None
        self._order = _Order()
        self._bytes = _ByteOrder()
        self._stopped = False
        self._marks_sent = 0
        self._marks: deque[tuple[str, str]] = deque(maxlen=_MAX_MARKS)
        """What the carrier calls them and what our caller does, oldest first. The carrier's names are never used again: what it says of marks
        that a `clear` dropped finds none."""

    def read(self, frame: str | bytes) -> tuple[MediaEvent, ...]:
        """What a frame of the carrier says (see `MediaWire`)."""
        if isinstance(frame, bytes):
            raise MalformedMedia("a binary frame, where Telnyx sends text")
        if len(frame) > MAX_FRAME:
            raise MalformedMedia(f"a frame of {len(frame)} characters, more than {MAX_FRAME}")
        try:
            said = _FRAMES.decode(frame)
        except msgspec.ValidationError as fault:
            raise MalformedMedia(f"a frame that Telnyx does not document: {_place(fault)}") from None
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise MalformedMedia("a frame that is not JSON") from None
        if said.stream_id is not None and self._stream_id is not None and said.stream_id != self._stream_id:
            raise MalformedMedia("a frame of another stream")
        match said:
            case _Frame(event="media", media=_Media() as media):
                return self._media(media)
            case _Frame(event="mark", mark=_Mark(name=name)):
                self._expect_start("a mark")
                return self._reached(name)
            case _Frame(event="dtmf", dtmf=_Dtmf(digit=digit)):
                self._expect_start("a key")
                return _key(str(digit))
            case _Frame(event="connected"):
                self._token = said.token or (said.connected.token if said.connected else None)
                return ()
            case _Frame(event="start", start=_Start() as start):
                return self._start(said.stream_id, start)
            case _Frame(event="stop"):
                self._expect_start("a stop")
                late, self._stopped = () if self._stopped else self._order.rest(), True
                return (*self._sounds(late), MediaStopped())
            case _Frame(event="error"):
                return (_fault(said.payload or _Fault()),)
            case _Frame(event="media" | "mark" | "dtmf" | "start" as event):
                raise MalformedMedia(f"a {event} frame without its {event}")
            case _:
                raise MalformedMedia("a frame with an event that Telnyx does not document")

    def audio(self, sound: Pcm) -> tuple[str | bytes, ...]:
        """Frames that play `sound` (see `MediaWire`); none after the stop."""
        self._expect_start("audio to play")
        if self._stopped:
            return ()
        return self._whole_frames(self._voice.bytes_of(sound))

    def mark(self, name: str) -> tuple[str | bytes, ...]:
        """Frames that ask for `MarkReached(name)` (see `MediaWire`), the rest of the sound before it."""
        self._expect_start("a mark to set")
        if self._stopped:
            return ()
        frames = self._whole_frames(self._voice.rest())
        if self._rest:
            frames += (self._media_frame(self._rest + self._silence[len(self._rest) :]),)
            self._rest = b""
        self._marks_sent += 1
        known_as = f"m{self._marks_sent}"
        self._marks.append((known_as, name))
        return (*frames, f'{{"event":"mark","mark":{{"name":"{known_as}"}}}}')

    def clear(self) -> tuple[str | bytes, ...]:
        """Frames that silence the carrier (see `MediaWire`); none where nothing can play."""
        self._voice.drop()
        self._rest = b""
        self._marks.clear()
        return () if self._stream_id is None or self._stopped else ('{"event":"clear"}',)

    def _speak_as(self, form: AudioFormat) -> None:
        self._spoken = form
        self._voice = SpokenAudio(form)
        self._quantum = form.rate // 50 * (2 if form.codec is AudioCodec.L16 else 1)
        self._silence = SpokenAudio(form).bytes_of(Pcm.silence(form.rate, 20))

    def _expect_start(self, what: str) -> None:
        if self._stream_id is None:
            raise MalformedMedia(f"{what} before the start")

    def _start(self, stream_id: str | None, start: _Start) -> tuple[MediaEvent, ...]:
        if self._stream_id is not None:
            raise MalformedMedia("a second start")
        if not stream_id or not start.call_control_id:
            raise MalformedMedia("a start without the ids of its stream and call")
        parameters = state.read(start.client_state).stream | _parameters(start.custom_parameters)
        self._heard = _heard_format(start.media_format)
        self._speak_as(_spoken_format(parameters.pop(SPOKEN_PARAMETER, None)))
        self._stream_id = stream_id
        if self._token:
            parameters[TOKEN_PARAMETER] = self._token
        return (
            MediaStarted(
                call_id=start.call_control_id,
                stream_id=stream_id,
                heard=self._heard,
                spoken=self._spoken,
                parameters=parameters,
                caller=e164(start.caller),
                callee=e164(start.callee),
            ),
        )

    def _media(self, media: _Media) -> tuple[MediaEvent, ...]:
        self._expect_start("audio")
        if media.track == "outbound":  # our own voice, where both tracks are streamed
            return ()
        if media.track != "inbound":
            raise MalformedMedia("audio of a track that Telnyx does not document")
        if self._stopped:
            raise MalformedMedia("audio after the stop")
        payload = media.payload
        if self._heard.codec is AudioCodec.L16:
            payload = self._bytes.in_our_order(payload)
        sound = decoded(payload, self._heard)
        return self._sounds((sound,) if media.chunk is None else self._order.take(media.chunk, sound))

    def _sounds(self, sounds: tuple[Pcm, ...]) -> tuple[MediaEvent, ...]:
        return tuple(AudioHeard(audio=sound) for sound in sounds if len(sound))

    def _reached(self, known_as: str) -> tuple[MediaEvent, ...]:
        """Frames come in any order: a mark that is reached says that those before it are."""
        if not any(known_as == sent for sent, _ in self._marks):
            return ()  # told already, or dropped by a clear
        reached: list[MediaEvent] = []
        while True:
            sent, name = self._marks.popleft()
            reached.append(MarkReached(name=name))
            if sent == known_as:
                return tuple(reached)

    def _whole_frames(self, data: bytes) -> tuple[str | bytes, ...]:
        data = self._rest + data if self._rest else data
        whole = len(data) // self._quantum * self._quantum
        self._rest = data[whole:]
        if whole <= (most := self._quantum * _MAX_FRAMES_A_MESSAGE):
            return (self._media_frame(data[:whole]),) if whole else ()
        return tuple(self._media_frame(data[at : min(at + most, whole)]) for at in range(0, whole, most))

    def _media_frame(self, data: bytes) -> str:
        if self._bytes.are_swapped and self._spoken.codec is AudioCodec.L16:
            data = _swapped(data)
        return f'{{"event":"media","media":{{"payload":"{b2a_base64(data, newline=False).decode("ascii")}"}}}}'


class _ByteOrder:
    """Learns from the sound of a stream of L16 which byte of a sample comes first; until it is sure, the lower one does."""

    def __init__(self) -> None:
        self.are_swapped = False
        self._votes = 0

    def in_our_order(self, payload: bytes) -> bytes:
        """A frame of the stream, the lower bytes first."""
        if abs(self._votes) < _SURE_FRAMES and len(payload) % 2 == 0:
            self._votes += _vote(payload)
            self.are_swapped = self._votes >= _SURE_FRAMES
        return _swapped(payload) if self.are_swapped and len(payload) % 2 == 0 else payload


class _Order:
    """Puts the numbered frames of one track in order. One that never comes holds the others up for `_MAX_HELD` frames."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._held: dict[int, Pcm] = {}
        self._late = 0

    def take(self, number: int, sound: Pcm) -> tuple[Pcm, ...]:
        """What can be heard now that this one is here."""
        if self._next is None:
            self._next = min(number, 1)  # the first may be late itself
        if number == self._next and not self._held:
            self._next, self._late = number + 1, 0
            return (sound,)
        if number < self._next:
            self._late += 1
            if self._late < _MAX_LATE:
                return ()
            before = self.rest()
            self._next, self._late = number + 1, 0
            return (*before, sound)
        self._late = 0
        self._held.setdefault(number, sound)
        if len(self._held) > _MAX_HELD:
            self._next = min(self._held)
        ready = []
        while self._next in self._held:
            ready.append(self._held.pop(self._next))
            self._next += 1
        return tuple(ready)

    def rest(self) -> tuple[Pcm, ...]:
        """What still waits for a frame before it, when none comes any more."""
        held = tuple(self._held[number] for number in sorted(self._held))
        self._held.clear()
        return held


def _heard_format(said: _Format) -> AudioFormat:
    codec = said.encoding.lower()
    if codec not in _CODECS:
        known = ", ".join(each.upper() for each in _CODECS)
        raise MalformedMedia(f"the stream's codec is {said.encoding[:20]!r}, and only {known} can be read")
    if said.channels != 1:
        raise MalformedMedia(f"the stream has {said.channels} channels, and only one can be read")
    form = AudioFormat(codec=AudioCodec(codec), rate=said.sample_rate)
    if not is_possible(form):
        raise MalformedMedia(f"the stream is {codec.upper()} at {said.sample_rate} Hz, which Telnyx does not have")
    return form


def _spoken_format(word: str | None) -> AudioFormat:
    codec, _, rate = (word or spoken_word(PCMU)).partition("/")
    if codec in _CODECS and rate in map(str, RATES):
        form = AudioFormat(codec=AudioCodec(codec), rate=int(rate))
        if is_possible(form):
            return form
    raise MalformedMedia("the stream's own word for what we speak is no format")


def _parameters(said: dict[str, Any] | list[_Parameter] | None) -> dict[str, str]:
    pairs = ((each.name, each.value) for each in said) if isinstance(said, list) else (said or {}).items()
    return {name: str(value) for name, value in pairs if value is not None}


def _key(digit: str) -> tuple[MediaEvent, ...]:
    if (key := digit.upper()) not in _KEYS:
        raise MalformedMedia("a key that no telephone has")
    return (KeyPressed(digit=key),)


def _fault(said: _Fault) -> MediaFault:
    text = ": ".join(part for part in (said.title, said.detail) if part)
    return MediaFault(code=str(said.code), detail=text[:_DETAIL])


def _place(fault: msgspec.ValidationError) -> str:
    """What is wrong and where, without what was sent."""
    return str(fault)[:_DETAIL]


def _swapped(data: bytes) -> bytes:
    return np.frombuffer(data, dtype=np.int16).byteswap().tobytes()


def _vote(payload: bytes) -> int:
    """1 when a frame is sound with the higher bytes first, -1 with the lower ones, 0 when nobody can tell."""
    lower, higher = (_roughness(np.frombuffer(payload, dtype=order)) for order in ("<i2", ">i2"))
    if lower > higher * _CLEARER:
        return 1
    return -1 if higher > lower * _CLEARER else 0


def _roughness(samples: np.ndarray[Any, Any]) -> float:
    """How much samples differ from those before them, all together."""
    return float(np.abs(np.diff(samples.astype(np.int32))).sum())

"""Twilio Media Streams: the WebSocket of a `<Connect><Stream>`, JSON texts both ways.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from binascii import b2a_base64
from typing import TYPE_CHECKING

import msgspec

from voisnap_providers.ports.carrier import (
    AudioCodec,
    AudioFormat,
    AudioHeard,
    KeyPressed,
    MalformedMedia,
    MarkReached,
    MediaEvent,
    MediaStarted,
    MediaStopped,
    MediaWire,
)
from voisnap_providers.vendors.call_audio import SpokenAudio, decoded

if TYPE_CHECKING:
    from voisnap_media.pcm import Pcm

MAX_FRAME = 65536
"""Characters of a frame; Twilio's own carry 20 ms of audio and the parameters of a `<Stream>` at most."""
SHORTEST_MS, LONGEST_MS = 20, 200
"""Audio of a frame we send: less costs more texts than it is worth, more makes `clear` wait behind a long text."""
MAX_PENDING = 1024
"""Marks on their way. More than any call has, unless the carrier stops answering; then the oldest are given up."""
_CODECS = {
    "mulaw": AudioCodec.PCMU,
    "pcmu": AudioCodec.PCMU,
    "alaw": AudioCodec.PCMA,
    "pcma": AudioCodec.PCMA,
    "l16": AudioCodec.L16,
}
_RATES = {
    AudioCodec.PCMU: frozenset({8000}),
    AudioCodec.PCMA: frozenset({8000}),
    AudioCodec.L16: frozenset({8000, 16000, 24000}),
}
_KEYS = frozenset("0123456789*#ABCD")


class _Connected(msgspec.Struct, frozen=True, tag_field="event", tag="connected"):
    protocol: str = "Call"


class _MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    encoding: str
    sample_rate: int
    channels: int = 1


class _Beginning(msgspec.Struct, frozen=True, rename="camel"):
    call_sid: str
    media_format: _MediaFormat
    custom_parameters: dict[str, str] = msgspec.field(default_factory=dict)


class _Start(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="start"):
    stream_sid: str
    start: _Beginning


class _Sound(msgspec.Struct, frozen=True):
    payload: bytes
    track: str = "inbound"


class _Media(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="media"):
    stream_sid: str
    media: _Sound


class _Key(msgspec.Struct, frozen=True):
    digit: str | int


class _Dtmf(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="dtmf"):
    stream_sid: str
    dtmf: _Key


class _Name(msgspec.Struct, frozen=True):
    name: str


class _Mark(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="mark"):
    stream_sid: str
    mark: _Name


class _Stop(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="stop"):
    stream_sid: str


# Not strict: Twilio writes most numbers as texts, and may write more of them so.
_DECODER: msgspec.json.Decoder[_Connected | _Start | _Media | _Dtmf | _Mark | _Stop] = msgspec.json.Decoder(
    _Connected | _Start | _Media | _Dtmf | _Mark | _Stop, strict=False
)


class TwilioMedia(MediaWire):
    """One call's Media Stream.

    Marks travel under numbers that no stream sees twice: Twilio sends every pending mark back when `clear` drops it, just as if it had been
    reached, and two marks may bear one name.
    """

    def __init__(self) -> None:
        self._stream: str | None = None
        self._stopped = False
        self._heard = self._spoken = AudioFormat(codec=AudioCodec.PCMU, rate=8000)
        self._voice: SpokenAudio | None = None
        self._head = self._mark_head = self._clear = ""
        self._waiting = b""
        self._shortest = self._longest = 0
        self._pending: dict[str, str] = {}
        self._marks = 0

    def read(self, frame: str | bytes) -> tuple[MediaEvent, ...]:
        if len(frame) > MAX_FRAME:
            raise MalformedMedia(f"a frame of {len(frame)}, more than {MAX_FRAME}")
        try:
            message = _DECODER.decode(frame)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise MalformedMedia(f"no message of Media Streams: {str(error)[:200]}") from error
        except RecursionError as error:
            raise MalformedMedia("no message of Media Streams: nested too deeply") from error
        match message:
            case _Media():
                self._expect(message.stream_sid)
                if message.media.track != "inbound" or not message.media.payload:
                    return ()
                return (AudioHeard(audio=decoded(message.media.payload, self._heard)),)
            case _Mark():
                self._expect(message.stream_sid)
                name = self._pending.pop(message.mark.name, None)
                return () if name is None else (MarkReached(name=name),)
            case _Dtmf():
                self._expect(message.stream_sid)
                digit = str(message.dtmf.digit).upper()
                if digit not in _KEYS:
                    raise MalformedMedia("a key that no telephone has")
                return (KeyPressed(digit=digit),)
            case _Stop():
                self._expect(message.stream_sid)
                self._stopped = True
                return (MediaStopped(),)
            case _Start():
                return (self._begun(message),)
            case _Connected():
                if self._stream is not None:
                    raise MalformedMedia("connected twice")
                return ()

    def audio(self, sound: "Pcm") -> tuple[str, ...]:
        spoken = self._speaking()
        return self._frames(spoken.bytes_of(sound), least=self._shortest)

    def mark(self, name: str) -> tuple[str, ...]:
        rest = self._speaking().rest()
        self._marks += 1
        label = str(self._marks)
        if len(self._pending) >= MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[label] = name
        return (*self._frames(rest, least=1), f'{self._mark_head}{label}"}}}}')

    def clear(self) -> tuple[str, ...]:
        self._speaking().drop()
        self._waiting = b""
        self._pending.clear()
        return (self._clear,)

    def _begun(self, message: _Start) -> MediaStarted:
        if self._stream is not None:
            raise MalformedMedia("a second start")
        form = _format(message.start.media_format)
        self._stream = message.stream_sid
        self._heard = self._spoken = form
        self._voice = SpokenAudio(form)
        a_ms = form.rate * (2 if form.codec is AudioCodec.L16 else 1) // 1000
        self._shortest, self._longest = SHORTEST_MS * a_ms, LONGEST_MS * a_ms
        stream = msgspec.json.encode(message.stream_sid).decode()
        self._head = f'{{"event":"media","streamSid":{stream},"media":{{"payload":"'
        self._mark_head = f'{{"event":"mark","streamSid":{stream},"mark":{{"name":"'
        self._clear = f'{{"event":"clear","streamSid":{stream}}}'
        return MediaStarted(
            call_id=message.start.call_sid,
            stream_id=message.stream_sid,
            heard=form,
            spoken=form,
            parameters=message.start.custom_parameters,
        )

    def _expect(self, stream: str) -> None:
        if stream != self._stream:
            raise MalformedMedia("before the start" if self._stream is None else "of another stream")
        if self._stopped:
            raise MalformedMedia("after the stop")

    def _speaking(self) -> SpokenAudio:
        if self._voice is None:
            raise MalformedMedia("nothing can be said before the start")
        return self._voice

    def _frames(self, data: bytes, *, least: int) -> tuple[str, ...]:
        """Whole frames of what waits and `data`; a last one shorter than `least` bytes goes on waiting."""
        if self._waiting:
            data = self._waiting + data
        if least <= len(data) <= self._longest:
            self._waiting = b""
            return (f'{self._head}{b2a_base64(data, newline=False).decode()}"}}}}',)
        frames = [data[at : at + self._longest] for at in range(0, len(data), self._longest)]
        self._waiting = frames.pop() if frames and len(frames[-1]) < least else b""
        return tuple(f'{self._head}{b2a_base64(piece, newline=False).decode()}"}}}}' for piece in frames)


def _format(form: _MediaFormat) -> AudioFormat:
    """The format of both directions. Twilio speaks μ-law at 8 kHz unless the `<Stream>` asks for another one."""
    name = form.encoding.lower().removeprefix("audio/").removeprefix("x-")
    codec = _CODECS.get(name)
    if codec is None:
        raise MalformedMedia(f"audio as {form.encoding[:40]!r}, which is not known here")
    if form.channels != 1 or form.sample_rate not in _RATES[codec]:
        raise MalformedMedia(f"{codec} at {form.sample_rate} Hz on {form.channels} channels, which is not known here")
    return AudioFormat(codec=codec, rate=form.sample_rate)

"""Sound to a carrier's bytes and back, at whatever codec and rate its stream said."""

from voisnap_media import g711
from voisnap_media.pcm import Pcm
from voisnap_media.resample import Resampler

from voisnap_providers.ports.carrier import AudioCodec, AudioFormat, MalformedMedia


def decoded(payload: bytes, form: AudioFormat) -> Pcm:
    """What a payload sounds like, at the stream's own rate. Raises MalformedMedia for half a sample."""
    match form.codec:
        case AudioCodec.PCMU:
            return g711.mulaw_decode(payload)
        case AudioCodec.PCMA:
            return g711.alaw_decode(payload)
        case AudioCodec.L16:
            if len(payload) % 2:
                raise MalformedMedia(f"16-bit audio of {len(payload)} bytes, which is odd")
            return Pcm.from_bytes(payload, form.rate)


class SpokenAudio:
    """One direction of one stream: sound of any rate to the stream's bytes, without a click between two pieces of one rate."""

    def __init__(self, form: AudioFormat) -> None:
        self._form = form
        self._resampler = Resampler(form.rate, form.rate)

    def bytes_of(self, sound: Pcm) -> bytes:
        """The next piece. The filter keeps back 1–3 ms of it, which `rest` gives."""
        if not len(sound):
            return b""
        before = b""
        if sound.rate != self._resampler.from_rate:
            before = self.rest()
            self._resampler = Resampler(sound.rate, self._form.rate)
        return before + self._encoded(self._resampler.process(sound))

    def rest(self) -> bytes:
        """What is still inside where a stretch of speech ends; another one may follow without a click."""
        return self._encoded(self._resampler.settle())

    def drop(self) -> None:
        """Forget what is still inside: the next piece follows nothing."""
        self._resampler.finish()

    def _encoded(self, sound: Pcm) -> bytes:
        match self._form.codec:
            case AudioCodec.PCMU:
                return g711.mulaw_encode(sound)
            case AudioCodec.PCMA:
                return g711.alaw_encode(sound)
            case AudioCodec.L16:
                return sound.to_bytes()

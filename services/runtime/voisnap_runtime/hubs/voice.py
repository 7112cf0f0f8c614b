"""VoiceHub: a call whose audio travels over the hub itself, for telephony of one's own and other audio pipelines."""

import asyncio
import base64

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_signalr import HubError, hub_method

from voisnap_runtime.transports.hub_audio import HubAudio, TooFast

from . import wire
from .session_hub import HubAudience, HubBorneHub

KEYS = frozenset("0123456789*#")

AUDIO_TOO_FAST = "AUDIO_TOO_FAST"
INVALID_AUDIO = "INVALID_AUDIO"

_QUOTE = 0x22
_base64_json = msgspec.json.Decoder(bytes).decode


class VoiceHub(HubBorneHub[HubAudience, HubAudio]):
    """`/hubs/voice?agentId=…`: one connection of a call. Its channel is `phone`, as of the carriers that attach in the same way."""

    channel = Channel.PHONE
    _complained: frozenset[str] = frozenset()

    @hub_method("SendAudioAsync")
    async def send_audio(self, audio: msgspec.Raw) -> None:
        """The caller's next audio: base64 of little-endian 16-bit samples at 16 kHz, or with MessagePack the bytes themselves.

        20 ms a call are best; any length goes. What comes faster than in real time for more than two seconds is dropped.
        """
        line = self._line
        if line is None:
            self.present()
            return
        try:
            line.receive(_bytes_of(audio))
        except TooFast:
            raise self._complaint(
                AUDIO_TOO_FAST, "Audio came faster than in real time; what was too much is dropped."
            ) from None
        except ValueError as error:
            raise self._complaint(INVALID_AUDIO, f"The audio can't be used: {error}.") from None

    @hub_method("SendDtmfAsync")
    async def send_dtmf(self, digit: str) -> None:
        """A key that the caller pressed."""
        live, audience = self.present()
        if digit not in KEYS or len(digit) != 1:
            raise HubError("SendDtmfAsync takes one of 0-9, * and #.")
        live.dtmf(digit)
        audience.connection.send("DtmfReceived", wire.DtmfReceived(digit=digit))

    def audience(self) -> HubAudience:
        return HubAudience(self.connection)

    def line(self) -> HubAudio:
        live, _ = self.present()
        return HubAudio(self.connection, live, clock=asyncio.get_running_loop().time)

    def _complaint(self, code: str, message: str) -> HubError:
        """The refusal of a frame. Whoever sends without waiting for completions is told once, by an `Error` event."""
        if code not in self._complained:
            self._complained |= {code}
            self.connection.send("Error", wire.Error(code=code, message=message, recoverable=True))
        return HubError(message)


def _bytes_of(audio: msgspec.Raw) -> bytes:
    """The bytes of an argument, in whichever protocol it came. Raises ValueError."""
    try:
        if memoryview(audio)[0] == _QUOTE:  # a JSON string; in MessagePack that would be a number
            return _base64_json(audio)
        value = msgspec.msgpack.decode(audio)
        return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        raise ValueError("it must be a base64 string") from None

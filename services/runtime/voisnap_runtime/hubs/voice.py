"""VoiceHub: a call whose audio travels over the hub itself, for telephony of one's own and other audio pipelines."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterable

import msgspec
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import ConversationId
from voisnap_domain.sessions import Channel
from voisnap_signalr import HubError, hub_method

from voisnap_runtime.sessions.listening import MAX_ADVICE_CHARS, Sides
from voisnap_runtime.transports.hub_audio import HubAudio, TooFast

from . import wire
from .auth import HubUser
from .listening import Listener, Listening
from .refusals import RECONNECT_FAILED, refusing
from .session_hub import HubAudience, HubBorneHub

KEYS = frozenset("0123456789*#")

AUDIO_TOO_FAST = "AUDIO_TOO_FAST"
INVALID_AUDIO = "INVALID_AUDIO"
TOO_FAST = "Audio came faster than in real time; what was too much is dropped."

READ_SCOPE = "conversations:read"
WRITE_SCOPE = "conversations:write"

_QUOTE = 0x22
_base64_json = msgspec.json.Decoder(bytes).decode


class VoiceHub(HubBorneHub[HubAudience, HubAudio]):
    """`/hubs/voice?agentId=…`: one connection of a call. Its channel is `phone`, as of the carriers that attach in the same way.

    Without an agent it is a connection to listen with, for users who may read conversations.
    """

    channel = Channel.PHONE
    _complained: frozenset[str] = frozenset()
    _listener: Listener | None = None

    @hub_method("SendAudioAsync", immediate=True)
    def send_audio(self, audio: msgspec.Raw) -> None:
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
            raise self._complaint(AUDIO_TOO_FAST, TOO_FAST) from None
        except ValueError as error:
            raise self._complaint(INVALID_AUDIO, f"The audio can't be used: {error}.") from None

    @hub_method("UploadAudio")
    async def upload_audio(self, audio: AsyncIterable[msgspec.Raw]) -> None:
        """The same as one stream for the whole call. Frames that come too fast are dropped, one that is no audio ends the stream."""
        self.present()
        with contextlib.suppress(ConnectionError):
            async for frame in audio:
                try:
                    self.send_audio(frame)
                except HubError as error:
                    if str(error) != TOO_FAST:
                        raise

    @hub_method("SendDtmfAsync")
    async def send_dtmf(self, digit: str) -> None:
        """A key that the caller pressed; the call confirms it with `DtmfReceived`."""
        live, _ = self.present()
        if digit not in KEYS or len(digit) != 1:
            raise HubError("SendDtmfAsync takes one of 0-9, * and #.")
        live.dtmf(digit)

    @hub_method("JoinAsListenerAsync")
    async def join_as_listener(self, conversation_id: str, sides: str | None = None) -> Listening:
        """Hear a conversation that goes on, and its events.

        `sides`: `mixed` (the default) comes as `AudioReceived`; `user`, `agent` or `both` as `ListenerAudioReceived`. Ends with
        `ListeningEnded`.
        """
        user: HubUser = self.connection.user
        if self._live is not None:
            raise HubError("This connection holds a call of its own. Listen on one without agentId.")
        if READ_SCOPE not in user.scopes:
            raise HubError(f"Listening needs the scope {READ_SCOPE}.")
        wanted = _sides_of(sides)
        try:
            await self._reception.bounds.joins(user)
        except LimitReached as error:
            raise HubError(error.detail) from None
        await self.stop_listening()
        listener = self._reception.listener(self.connection, ConversationId(conversation_id[:200]), wanted)
        self._listener = listener
        return await listener.join()

    @hub_method("WhisperAsync")
    async def whisper(self, text: str) -> None:
        """Tell the agent of the conversation that is listened to something; its next replies follow it."""
        user: HubUser = self.connection.user
        if WRITE_SCOPE not in user.scopes:
            raise HubError(f"Whispering needs the scope {WRITE_SCOPE}.")
        text = text.strip()
        if not 1 <= len(text) <= MAX_ADVICE_CHARS:
            raise HubError(f"WhisperAsync takes 1 to {MAX_ADVICE_CHARS} characters.")
        if self._listener is None:
            raise HubError("Nobody is listened to on this connection.")
        await self._listener.whisper(text)

    @hub_method("StopListeningAsync")
    async def stop_listening(self) -> None:
        """Listen no more; the connection stays and may listen to another conversation."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.leave()

    async def on_disconnected(self, error: str | None) -> None:
        """The session waits for its caller; who listened is gone."""
        await self.stop_listening()
        await super().on_disconnected(error)

    async def enter(self) -> None:
        """A call, or nothing yet for somebody who is here to listen."""
        query, user = self.connection.query, self.connection.user
        names = ("agentId", "sessionId", "resumeToken")
        if user.agent_id is None and READ_SCOPE in user.scopes and not any(query.get(name) for name in names):
            with refusing(conflict=RECONNECT_FAILED):
                await self._reception.bounds.enters(user, self.connection.id)
                await self._reception.bounds.idles(user, self.connection.id)
            return
        await super().enter()

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


def _sides_of(text: str | None) -> Sides:
    try:
        return Sides(text or Sides.MIXED)
    except ValueError:
        raise HubError("JoinAsListenerAsync takes 'mixed', 'user', 'agent' or 'both' as sides.") from None


def _bytes_of(audio: msgspec.Raw) -> bytes:
    """The bytes of an argument, in whichever protocol it came. Raises ValueError."""
    try:
        if memoryview(audio)[0] == _QUOTE:  # a JSON string; in MessagePack that would be a number
            return _base64_json(audio)
        value = msgspec.msgpack.decode(audio)
        return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        raise ValueError("it must be a base64 string") from None

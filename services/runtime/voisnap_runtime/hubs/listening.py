"""The listener's side of a conversation: a hub connection that hears what others say."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

import msgspec
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.bus import BusError, Subscription
from voisnap_signalr import HubConnection, HubError

from voisnap_runtime.sessions.listening import (
    ASK_SECONDS,
    LISTEN_SUBJECT,
    Event,
    Heard,
    Here,
    ListenIn,
    Over,
    Sides,
    Sound,
    Telling,
    heard_at,
)

from . import wire

_log = log.get(__name__)

ACCEPT_SECONDS = 1.5
"""How long the process that holds a conversation may take to answer."""
LOST_SECONDS = 12.0
"""A conversation that no process answers for any more is over."""

_decode = msgspec.msgpack.Decoder(Heard).decode


class Listening(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `JoinAsListenerAsync` answers."""

    conversation_id: str
    session_id: str
    agent_id: str
    agent_name: str
    channel: str
    sides: str


class Listener:
    """One hub connection that listens to one conversation. `id` names it on the bus and is nobody else's."""

    def __init__(
        self,
        connection: HubConnection,
        bus: Telling,
        *,
        id: str,
        tenant_id: TenantId,
        environment: Environment,
        conversation_id: ConversationId,
        sides: Sides,
        now: Callable[[], datetime],
    ) -> None:
        self._connection = connection
        self._bus = bus
        self._now = now
        self._request = ListenIn(
            listener=id,
            conversation_id=conversation_id,
            tenant_id=tenant_id,
            environment=environment,
            sides=sides,
        )
        self._here: asyncio.Future[Here] = asyncio.get_running_loop().create_future()
        self._heard_at = asyncio.get_running_loop().time()
        self._subscription: Subscription | None = None
        self._asking: asyncio.Task[None] | None = None
        self.is_over = False

    async def join(self) -> Listening:
        """Begin to listen. Raises HubError when there is no such conversation for this user."""
        try:
            self._subscription = await self._bus.hear(heard_at(self._request.listener), self._heard)
            await self._ask()
            async with asyncio.timeout(ACCEPT_SECONDS):
                here = await self._here
        except TimeoutError:
            await self.leave()
            raise HubError(f"No conversation with ID {self._request.conversation_id} is in progress.") from None
        except BusError:
            await self.leave()
            raise HubError("Nobody can listen at the moment; try again.") from None
        if here.refusal:
            await self.leave()
            raise HubError(here.refusal)
        self._asking = asyncio.create_task(self._go_on(), name=f"listening {self._request.listener}")
        return Listening(
            conversation_id=self._request.conversation_id,
            session_id=here.session_id,
            agent_id=here.agent_id,
            agent_name=here.agent_name,
            channel=here.channel,
            sides=self._request.sides.value,
        )

    async def whisper(self, text: str) -> None:
        """Tell the agent something that the other side does not hear. Raises HubError."""
        if self.is_over:
            raise HubError("Nobody is listened to on this connection.")
        try:
            await self._tell(msgspec.structs.replace(self._request, whispers=text))
        except BusError:
            raise HubError("Nothing can be whispered at the moment; try again.") from None

    async def leave(self) -> None:
        """Listen no more. May be called twice."""
        self.is_over = True
        if self._asking is not None:
            self._asking.cancel()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            with contextlib.suppress(BusError):
                await self._tell(msgspec.structs.replace(self._request, leaves=True))
            await subscription.close()

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.is_over and loop.time() - self._heard_at < LOST_SECONDS:
            await asyncio.sleep(ASK_SECONDS)
            with contextlib.suppress(BusError):
                await self._ask()
        if not self.is_over:
            self._end("disconnected")

    async def _ask(self) -> None:
        await self._tell(self._request)

    async def _tell(self, request: ListenIn) -> None:
        await self._bus.tell(LISTEN_SUBJECT, msgspec.msgpack.encode(request))

    def _heard(self, payload: bytes) -> None:
        if self.is_over:
            return
        try:
            heard = _decode(payload)
        except msgspec.MsgspecError:
            _log.warning("listening.unreadable")
            return
        self._heard_at = asyncio.get_running_loop().time()
        match heard:
            case Here():
                if not self._here.done():
                    self._here.set_result(heard)
            case Sound():
                self._sound(heard)
            case Event(target=target, arguments=arguments):
                self._connection.send(target, *msgspec.json.decode(arguments))
            case Over(reason=reason):
                self._end(reason.value)

    def _sound(self, sound: Sound) -> None:
        if sound.mixed:
            self._connection.send("AudioReceived", sound.mixed)
        for speaker, audio in (("user", sound.user), ("agent", sound.agent)):
            if audio:
                self._connection.send("ListenerAudioReceived", wire.ListenerAudio(speaker=speaker, audio=audio))

    def _end(self, reason: str) -> None:
        self.is_over = True
        over = wire.ListeningEnded(
            conversation_id=self._request.conversation_id, reason=reason, ended_at=wire.rounded(self._now())
        )
        self._connection.send("ListeningEnded", over)

"""Conversations over the hubs: `client.realtime.chat(agent_id)` and `client.realtime.voice(agent_id)`.

Needs the extra `voisnap[realtime]`. A conversation whose connection breaks comes back to the same session by itself within 30 seconds.
"""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ._calls import pause
from ._wire import Result, decode
from .errors import ConnectionFailed, VoisnapError

if TYPE_CHECKING:
    from ._hub import HubConnection

__all__ = [
    "AgentStateChanged",
    "AsyncChat",
    "AsyncVoice",
    "AudioCleared",
    "AudioReceived",
    "Chat",
    "Event",
    "HubErrorEvent",
    "MessageReceived",
    "OtherEvent",
    "Reconnected",
    "Reconnecting",
    "SessionEnded",
    "SessionStarted",
    "Transcription",
    "Voice",
]

RESUME_SECONDS = 30.0
MOST_UNREAD = 20_000
"""Events kept for a program that does not read them (six minutes of audio); beyond that the oldest are dropped."""

INPUT_RATE = 16_000
OUTPUT_RATE = 24_000
FRAME_BYTES = 640
"""20 ms of audio to the agent."""


@dataclass(frozen=True, kw_only=True)
class Event(Result):
    """Anything a conversation tells."""


@dataclass(frozen=True, kw_only=True)
class SessionStarted(Event):
    """The conversation has begun, or goes on (`resumed`)."""

    session_id: str
    conversation_id: str
    agent_id: str
    agent_name: str
    channel: str
    started_at: datetime
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Event):
    """The conversation is over; the last event."""

    session_id: str
    conversation_id: str
    reason: str
    duration_seconds: float
    ended_at: datetime


@dataclass(frozen=True, kw_only=True)
class HubErrorEvent(Event):
    """Something went wrong; the conversation goes on when it is `recoverable`."""

    code: str
    message: str
    recoverable: bool


@dataclass(frozen=True, kw_only=True)
class MessageReceived(Event):
    """Text of the agent: a piece of it (`is_chunk`), or the whole (`is_final`)."""

    message_id: str
    content: str
    is_chunk: bool
    is_final: bool
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class Transcription(Event):
    """What one side said; a later one of the same `turn_id` replaces it. Seconds from the start."""

    turn_id: str
    speaker: str
    text: str
    is_final: bool
    confidence: float
    start_time: float
    end_time: float


@dataclass(frozen=True, kw_only=True)
class AgentStateChanged(Event):
    """`listening`, `thinking` or `speaking`."""

    state: str


@dataclass(frozen=True, kw_only=True)
class AudioReceived(Event):
    """Sound of the agent: PCM, 16-bit little-endian, mono, 24 kHz."""

    pcm: bytes


@dataclass(frozen=True, kw_only=True)
class AudioCleared(Event):
    """The agent was interrupted: drop what you have not played."""


@dataclass(frozen=True, kw_only=True)
class Reconnecting(Event):
    """The connection broke and is being made anew."""


@dataclass(frozen=True, kw_only=True)
class Reconnected(Event):
    """The same session goes on."""


@dataclass(frozen=True, kw_only=True)
class OtherEvent(Event):
    """An event without a type of its own here, as the hub sent it."""

    name: str
    arguments: tuple[Any, ...]


_KINDS: dict[str, type[Event]] = {
    "SessionStarted": SessionStarted,
    "SessionEnded": SessionEnded,
    "Error": HubErrorEvent,
    "MessageReceived": MessageReceived,
    "Transcription": Transcription,
    "AgentStateChanged": AgentStateChanged,
}

Token = Callable[..., Awaitable[str]]


def event_of(name: str, arguments: list[Any]) -> Event:
    """An event of a hub as its type."""
    if name == "AudioReceived" and arguments and isinstance(arguments[0], str):
        return AudioReceived(pcm=base64.b64decode(arguments[0]))
    if name == "AudioCleared":
        return AudioCleared()
    kind = _KINDS.get(name)
    if kind is None or not arguments or not isinstance(arguments[0], dict):
        return OtherEvent(name=name, arguments=tuple(arguments))
    return decode(kind, arguments[0])


class _Conversation:
    """A session of one hub: connects, comes back, and hands out its events. Subclasses add the hub's methods."""

    def __init__(self, hub: str, base_url: str, token: Token, query: Mapping[str, str], agent_id: str) -> None:
        self._url = f"{base_url}/hubs/{hub}"
        self._token = token
        self._query = dict(query)
        self._agent_id = agent_id
        self._events: asyncio.Queue[Event] = asyncio.Queue(MOST_UNREAD)
        self._hub: HubConnection | None = None
        self._session: SessionStarted | None = None
        self._begun: asyncio.Future[SessionStarted] | None = None
        self._coming_back: asyncio.Task[None] | None = None
        self._is_over = False
        self._failure: Exception | None = None
        self._connected = asyncio.Event()

    @property
    def session(self) -> SessionStarted:
        """Ids of the session and its conversation."""
        if self._session is None:
            raise VoisnapError("the conversation has not begun: use it in a with block")
        return self._session

    async def __aenter__(self) -> Self:
        await self._connect(await self._token(agent_id=self._agent_id), self._query)
        return self

    async def __aexit__(self, *error: object) -> None:
        with suppress(VoisnapError):
            await self.end()
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Every event, up to the end of the conversation. Raises what ended it, if that was no orderly end."""
        while not (self._is_over and self._events.empty()):
            event = await self._events.get()
            if not isinstance(event, _Wake):
                yield event
        if self._failure is not None:
            raise self._failure

    async def end(self, reason: str = "user_ended") -> None:
        """Hang up; the agent's side ends at once. A second time does nothing."""
        if not self._is_over:
            await self._invoke("EndSessionAsync", reason)

    async def close(self) -> None:
        """Close the connection. The session itself is kept for 30 seconds unless it was ended."""
        self._is_over = True
        if self._coming_back is not None:
            self._coming_back.cancel()
            await asyncio.gather(self._coming_back, return_exceptions=True)
        if self._hub is not None:
            await self._hub.close()
        self._tell(_Wake())

    async def _invoke(self, method: str, *arguments: Any) -> Any:
        return await (await self._live()).invoke(method, *arguments)

    async def _live(self) -> "HubConnection":
        """The connection, once it is there."""
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            raise VoisnapError("the conversation is over")
        async with asyncio.timeout(RESUME_SECONDS):
            await self._connected.wait()
        if self._hub is None or self._is_over:
            raise self._failure or VoisnapError("the conversation is over")
        return self._hub

    async def _connect(self, token: str, query: Mapping[str, str]) -> None:
        from ._hub import HubConnection  # noqa: PLC0415 - the extra is needed only here

        self._begun = asyncio.get_running_loop().create_future()
        hub = HubConnection(self._take, self._closed)
        await hub.open(self._url, query, token)
        self._hub = hub
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                self._session = await self._begun
        except TimeoutError:
            await hub.close()
            raise ConnectionFailed("the hub did not begin the session") from None
        except BaseException:
            await hub.close()
            raise
        self._connected.set()

    def _take(self, name: str, arguments: list[Any]) -> None:
        event = event_of(name, arguments)
        waiting = self._begun if self._begun is not None and not self._begun.done() else None
        match event:
            case SessionStarted() if waiting is not None:
                waiting.set_result(event)
            case HubErrorEvent(recoverable=False) if waiting is not None:
                waiting.set_exception(_refusal(event))
                return
            case SessionEnded():
                self._is_over = True
        self._tell(event)

    def _closed(self, error: Exception | None) -> None:
        self._connected.clear()
        if self._begun is not None and not self._begun.done():
            self._begun.set_exception(error or ConnectionFailed("the hub closed the connection"))
            return
        if self._is_over or error is None or self._session is None:
            self._is_over = True
            self._tell(_Wake())
            return
        if self._coming_back is None or self._coming_back.done():
            self._coming_back = asyncio.create_task(self._come_back(self._session.session_id))

    async def _come_back(self, session_id: str) -> None:
        self._tell(Reconnecting())
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                attempt = 0
                while True:
                    try:
                        token = await self._token(session_id=session_id)
                        await self._connect(token, {"agentId": self._agent_id, "sessionId": session_id})
                    except ConnectionFailed:
                        await asyncio.sleep(pause(attempt) / 2)
                        attempt += 1
                    else:
                        self._tell(Reconnected())
                        return
        except TimeoutError:
            self._fail(ConnectionFailed(f"the platform could not be reached again within {RESUME_SECONDS:.0f} s"))
        except VoisnapError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure, self._is_over = error, True
        self._connected.set()
        self._tell(_Wake())

    def _tell(self, event: Event) -> None:
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)


@dataclass(frozen=True, kw_only=True)
class _Wake(Event):
    """Lets a reader look whether the conversation is over."""


class AsyncChat(_Conversation):
    """A text conversation.

    async with client.realtime.chat(agent_id) as chat:
        async for piece in chat.send("When do you open?"):
            print(piece, end="")
    """

    def __init__(self, base_url: str, token: Token, query: Mapping[str, str], agent_id: str) -> None:
        super().__init__("chat", base_url, token, query, agent_id)
        self._replies: list[asyncio.Queue[MessageReceived | None]] = []

    async def send(self, text: str, *, metadata: Mapping[str, Any] | None = None) -> AsyncIterator[str]:
        """Write to the agent; the pieces of its answer as they come. Raises HubError when the message is refused."""
        replies: asyncio.Queue[MessageReceived | None] = asyncio.Queue(MOST_UNREAD)
        self._replies.append(replies)
        try:
            message = {"content": text, **({"metadata": dict(metadata)} if metadata else {})}
            accepted = await self._invoke("SendMessageAsync", message)
            # A greeting or an earlier answer may still be on its way.
            asked, written = _number_of(accepted["messageId"]), ""
            while (reply := await replies.get()) is not None:
                if _number_of(reply.message_id) <= asked:
                    continue
                # The last one carries the whole text: whatever was lost with a connection is made up for.
                piece = reply.content if reply.is_chunk else reply.content.removeprefix(written)
                written += piece
                if piece:
                    yield piece
                if reply.is_final:
                    return
            if self._failure is not None:
                raise self._failure
        finally:
            self._replies.remove(replies)

    async def ask(self, text: str, *, metadata: Mapping[str, Any] | None = None) -> str:
        """Write to the agent; its whole answer."""
        return "".join([piece async for piece in self.send(text, metadata=metadata)])

    async def typing(self) -> None:
        """Tell that the person is writing, so that nobody counts as idle who does."""
        await self._invoke("TypingAsync")

    async def cancel(self) -> None:
        """Stop the answer; what was sent of it stays."""
        await self._invoke("CancelAsync")

    def _tell(self, event: Event) -> None:
        super()._tell(event)
        if isinstance(event, MessageReceived):
            for replies in self._replies:
                if not replies.full():
                    replies.put_nowait(event)
        elif self._is_over:
            for replies in self._replies:
                if not replies.full():
                    replies.put_nowait(None)


class AsyncVoice(_Conversation):
    """A spoken conversation over audio of your own.

    async with client.realtime.voice(agent_id) as call:
        asyncio.create_task(call.speak(pcm))
        async for event in call:
            match event:
                case AudioReceived():
                    speaker.write(event.pcm)
                case AudioCleared():
                    speaker.drop()
    """

    def __init__(self, base_url: str, token: Token, query: Mapping[str, str], agent_id: str) -> None:
        super().__init__("voice", base_url, token, query, agent_id)

    async def send_audio(self, pcm: bytes) -> None:
        """Send sound as it is recorded: PCM, 16-bit little-endian, mono, 16 kHz; 640 bytes (20 ms) at a time are best."""
        if len(pcm) % 2:
            raise ValueError("audio of 16-bit samples has an even number of bytes")
        hub = await self._live()
        for at in range(0, len(pcm), 50 * FRAME_BYTES):
            await hub.send("SendAudioAsync", base64.b64encode(pcm[at : at + 50 * FRAME_BYTES]).decode())

    async def speak(self, pcm: bytes) -> None:
        """Send a whole recording at the pace of speech; keep sending silence after it, so that its end is heard."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for at in range(0, len(pcm), FRAME_BYTES):
            await self.send_audio(pcm[at : at + FRAME_BYTES])
            due += len(pcm[at : at + FRAME_BYTES]) / (2 * INPUT_RATE)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def send_dtmf(self, digit: str) -> None:
        """Press a key: one of `0-9`, `*`, `#`."""
        await self._invoke("SendDtmfAsync", digit)


class AsyncRealtime:
    """`client.realtime`."""

    def __init__(self, base_url: str, token: Token) -> None:
        self._base_url = base_url
        self._token = token

    def chat(
        self, agent_id: str, *, metadata: Mapping[str, Any] | None = None, language: str | None = None
    ) -> AsyncChat:
        """A text conversation with an agent; use it in an `async with` block. `metadata` fills the prompt's `{{variables}}`."""
        return AsyncChat(self._base_url, self._token, _query(agent_id, metadata, language), agent_id)

    def voice(
        self, agent_id: str, *, metadata: Mapping[str, Any] | None = None, language: str | None = None
    ) -> AsyncVoice:
        """A spoken conversation with an agent; use it in an `async with` block."""
        return AsyncVoice(self._base_url, self._token, _query(agent_id, metadata, language), agent_id)


C = TypeVar("C", bound=_Conversation)
R = TypeVar("R")


class _Blocking(Generic[C]):
    """A conversation of a program without asyncio: the connection lives in a thread of the client."""

    def __init__(self, run: Callable[[Awaitable[Any]], Any], make: Callable[[], C]) -> None:
        self._run = run
        self._make = make
        self._inner: C | None = None

    @property
    def session(self) -> SessionStarted:
        """Ids of the session and its conversation."""
        return self._conversation.session

    @property
    def _conversation(self) -> C:
        if self._inner is None:
            raise VoisnapError("the conversation has not begun: use it in a with block")
        return self._inner

    def __enter__(self) -> Self:
        async def begin() -> C:
            return await self._make().__aenter__()

        self._inner = self._run(begin())
        return self

    def __exit__(self, *error: object) -> None:
        if self._inner is not None:
            self._run(self._inner.__aexit__(*error))

    def __iter__(self) -> Iterator[Event]:
        """Every event, up to the end of the conversation."""
        return self._iterated(self._conversation.__aiter__())

    def end(self, reason: str = "user_ended") -> None:
        """Hang up."""
        self._run(self._conversation.end(reason))

    def _iterated(self, source: AsyncIterator[R]) -> Iterator[R]:
        async def one() -> tuple[bool, Any]:
            try:
                return True, await anext(source)
            except StopAsyncIteration:
                return False, None

        while True:
            there_is, item = self._run(one())
            if not there_is:
                return
            yield item


class Chat(_Blocking[AsyncChat]):
    """A text conversation.

    with client.realtime.chat(agent_id) as chat:
        for piece in chat.send("When do you open?"):
            print(piece, end="")
    """

    def send(self, text: str, *, metadata: Mapping[str, Any] | None = None) -> Iterator[str]:
        """Write to the agent; the pieces of its answer as they come."""
        return self._iterated(self._conversation.send(text, metadata=metadata))

    def ask(self, text: str, *, metadata: Mapping[str, Any] | None = None) -> str:
        """Write to the agent; its whole answer."""
        return self._run(self._conversation.ask(text, metadata=metadata))

    def typing(self) -> None:
        """Tell that the person is writing."""
        self._run(self._conversation.typing())

    def cancel(self) -> None:
        """Stop the answer."""
        self._run(self._conversation.cancel())


class Voice(_Blocking[AsyncVoice]):
    """A spoken conversation; iterate over it in one thread, send audio from another."""

    def send_audio(self, pcm: bytes) -> None:
        """Send sound as it is recorded: PCM, 16-bit little-endian, mono, 16 kHz."""
        self._run(self._conversation.send_audio(pcm))

    def speak(self, pcm: bytes) -> None:
        """Send a whole recording at the pace of speech."""
        self._run(self._conversation.speak(pcm))

    def send_dtmf(self, digit: str) -> None:
        """Press a key."""
        self._run(self._conversation.send_dtmf(digit))


class Realtime:
    """`client.realtime` of a program without asyncio; an event loop in a thread of its own runs the connections."""

    def __init__(self, base_url: str, token: Callable[..., str]) -> None:
        async def in_thread(**binding: str) -> str:
            return await asyncio.to_thread(token, **binding)

        self._inner = AsyncRealtime(base_url, in_thread)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def chat(self, agent_id: str, *, metadata: Mapping[str, Any] | None = None, language: str | None = None) -> Chat:
        """A text conversation with an agent; use it in a `with` block."""
        return Chat(self._run, lambda: self._inner.chat(agent_id, metadata=metadata, language=language))

    def voice(self, agent_id: str, *, metadata: Mapping[str, Any] | None = None, language: str | None = None) -> Voice:
        """A spoken conversation with an agent; use it in a `with` block."""
        return Voice(self._run, lambda: self._inner.voice(agent_id, metadata=metadata, language=language))

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=5)

    def _run(self, work: Awaitable[R]) -> R:
        async def awaited() -> R:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._running_loop()).result()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run_until_stopped, args=(self._loop,), name="voisnap-realtime", daemon=True
                )
                self._thread.start()
            return self._loop


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _query(agent_id: str, metadata: Mapping[str, Any] | None, language: str | None) -> dict[str, str]:
    query = {"agentId": agent_id}
    if metadata:
        query["metadata"] = json.dumps(dict(metadata), ensure_ascii=False)
    if language:
        query["language"] = language
    return query


def _number_of(message_id: str) -> int:
    """Messages of a conversation are numbered: `msg_01`."""
    return int(message_id.rpartition("_")[2])


def _refusal(event: HubErrorEvent) -> VoisnapError:
    from ._hub import HubError  # noqa: PLC0415 - the extra is needed only here

    return HubError(event.code, event.message, recoverable=event.recoverable)

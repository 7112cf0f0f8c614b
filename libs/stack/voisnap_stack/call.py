"""One call to an agent over WebRTC, from the log-in to the hang-up, as a browser does it."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aioice.ice
import httpx
import msgspec
from voisnap_media.pcm import Pcm

from .call_hub import HubClient, HubEnd, HubEvent, HubRefused
from .call_media import FRAME_SECONDS, Hearing, Voice
from .call_peer import Peer

HTTP_SECONDS = 15.0
CONNECT_SECONDS = 20.0
FIRST_MESSAGE_SECONDS = 8.0
"""How long the agent may take to greet before the caller speaks first."""
ANSWER_SECONDS = 30.0
QUIET_SECONDS = 0.8
"""The agent has finished when nothing was heard for so long and he says that he listens."""
HANG_UP_SECONDS = 5.0
RETURN_PAUSES = (0.0, 0.3, 0.7, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Before each attempt to come back to the hub: a lost session waits half a minute for its caller."""
STILL_HEARD_SECONDS = 0.9
"""An agent that is silent still sends a packet every 400 ms: without any for so long, the audio is gone with its server."""
DIAL_SECONDS = 8.0
SILENT_SECONDS = 3.0
"""Without any packet for so long the other side is taken for dead, although nothing has said so."""
IN_FLIGHT_SECONDS = 0.1
"""What a server that let go of the call had sent before is here by then."""
MAX_DIALS = 4
"""Attempts in a row to restore the audio."""


class CallFailed(Exception):
    """The call could not be made or was cut off; the text is for the person at the keyboard."""


class CallPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to call and what to say."""

    base_url: str
    agent_id: str
    token: str | None = None
    api_key: str | None = None
    """Exchanged for a hub token; hubs take no keys."""
    email: str | None = None
    password: str | None = None
    sounds: tuple[Pcm, ...] = ()
    """Spoken one after the other, each when the agent has finished."""
    microphone: bool = False
    pause_seconds: float = 0.6
    """Between the end of an answer and what is said next."""
    interrupt_after: float | None = None
    """Speak the sounds into the agent's speech, so many seconds after it began, instead of waiting for its end."""
    max_seconds: float = 600.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the transcript."""

    turn_id: str
    speaker: str
    text: str
    is_final: bool


class ServerLatency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The server's own account of a turn, in milliseconds."""

    total_ms: float = 0.0
    endpointing_ms: float = 0.0
    stt_ms: float = 0.0
    llm_ms: float = 0.0
    tts_ms: float = 0.0
    platform_ms: float = 0.0


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the agent with both latencies; either may be unknown."""

    turn_id: str
    heard_ms: float | None
    """End of the caller's voice to the agent's first sound, measured at the caller."""
    server: ServerLatency | None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The session is there."""

    conversation_id: str
    session_id: str
    agent_name: str


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """The platform reported an error."""

    code: str
    message: str
    recoverable: bool


class Silenced(msgspec.Struct, frozen=True, kw_only=True):
    """The agent fell silent under the caller's words."""

    after_ms: float
    """First sound of the caller's voice sent to the agent's last sound received."""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the platform is lost; the call tries to come back."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """The call goes on."""

    gap_seconds: float
    """From the last sound received before to the first one after."""


CallEvent = Started | Line | Turn | Trouble | Silenced | Lost | Restored
Told = Callable[[CallEvent], None]


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """How it went."""

    conversation_id: str
    session_id: str
    agent_name: str
    reason: str
    duration_seconds: float
    lines: tuple[Line, ...]
    turns: tuple[Turn, ...]
    heard_latencies_ms: tuple[float, ...]
    silenced_ms: tuple[float, ...]
    """For each interruption: how long the agent was still heard after the caller had begun to speak."""
    heard: Pcm
    gaps_seconds: tuple[float, ...] = ()
    """For each loss that the call survived: how long nothing came from the agent."""
    failure: str | None = None
    """Why the call was cut off."""

    def percentile(self, share: float) -> float | None:
        """A percentile of the measured answer latencies, None without any."""
        ordered = sorted(self.heard_latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


async def place_call(plan: CallPlan, told: Told, hang_up: asyncio.Event) -> CallReport:
    """Make the call; `told` hears of everything as it happens, setting `hang_up` ends it.

    Raises `CallFailed` with a sentence that says what to do.
    """
    plan = msgspec.structs.replace(plan, base_url=plan.base_url.rstrip("/"))
    if _is_loopback(plan.base_url):
        # Without another network interface aioice would find no address at all, and local media belong on loopback.
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    try:
        async with httpx.AsyncClient(timeout=HTTP_SECONDS, trust_env=False) as http:
            http.headers["Authorization"] = f"Bearer {plan.token or plan.api_key or await _log_in(http, plan)}"
            session = await _create_session(http, plan)
            if plan.api_key and not plan.token:
                http.headers["Authorization"] = f"Bearer {await _hub_token(http, plan, session['sessionId'])}"
            query = {"sessionToken": session["sessionToken"]}
            async with HubClient.opened(http, f"{plan.base_url}/hubs/webrtc", query) as hub:
                return await _Conversation(plan, session, http, hub, told, hang_up).held()
    except httpx.ConnectError as error:
        raise CallFailed(f"nothing answers at {plan.base_url}: is the platform running (make up)?") from error
    except httpx.HTTPError as error:
        raise CallFailed(f"{plan.base_url} did not answer properly: {error or type(error).__name__}") from error
    except HubRefused as error:
        raise CallFailed(str(error)) from error
    except OSError as error:
        raise CallFailed(f"the connection to {plan.base_url} broke: {error}") from error


async def _log_in(http: httpx.AsyncClient, plan: CallPlan) -> str:
    if not plan.email or not plan.password:
        raise CallFailed(
            "no login: give --token, or --email and --password, or run it where `make up` left its demo.json"
        )
    body = {"email": plan.email, "password": plan.password}
    answer = await http.post(f"{plan.base_url}/api/v1/auth/login", json=body)
    if answer.status_code == 401:
        raise CallFailed(f"the login of {plan.email} was refused: check --email and --password")
    return _answered(answer, "the login failed")["accessToken"]


async def _hub_token(http: httpx.AsyncClient, plan: CallPlan, session_id: str) -> str:
    answer = await http.post(f"{plan.base_url}/api/v1/auth/hub-token", json={"sessionId": session_id})
    return _answered(answer, "no hub token was given")["accessToken"]


async def _create_session(http: httpx.AsyncClient, plan: CallPlan) -> dict[str, Any]:
    answer = await http.post(f"{plan.base_url}/api/v1/webrtc/sessions", json={"agentId": plan.agent_id})
    if answer.status_code == 401:
        raise CallFailed("the token was refused: it may have run out; log in again")
    if answer.status_code == 404:
        raise CallFailed(f"there is no agent {plan.agent_id} here: check --agent")
    return _answered(answer, f"agent {plan.agent_id} cannot be called")


def _answered(answer: httpx.Response, complaint: str) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success and isinstance(body, dict) and body:
        return body
    if answer.status_code in (502, 503, 504):
        complaint = f"{complaint} (the platform is not ready)"
    detail = body.get("detail") or body.get("title") if isinstance(body, dict) else None
    raise CallFailed(f"{complaint}: {detail or f'status {answer.status_code}'}")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Conversation:
    """A connected call: what is said, heard and told."""

    def __init__(
        self,
        plan: CallPlan,
        session: dict[str, Any],
        http: httpx.AsyncClient,
        hub: HubClient,
        told: Told,
        hang_up: asyncio.Event,
    ) -> None:
        self._plan = plan
        self._session = session
        self._http = http
        self._hub = hub
        self._told = told
        self._hang_up = hang_up
        self._voice = Voice()
        self._hearing = Hearing()
        self._hearing.on_loud = self._agent_began
        self._peer: Peer | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._gaps: list[float] = []
        self._started = Started(
            conversation_id=session.get("conversationId", ""), session_id=session["sessionId"], agent_name=""
        )
        self._state = "listening"
        self._connected = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._resume_token: str | None = None
        self._ended = asyncio.Event()
        self._end: dict[str, Any] = {}
        self._failure: str | None = None
        self._lines: dict[tuple[str, str], Line] = {}
        self._turns: list[Turn] = []
        self._latencies: list[float] = []
        self._silenced: list[float] = []
        self._unclaimed: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()

    async def held(self) -> CallReport:
        """Connect, talk, hang up."""
        self._spawn(self._follow_hub())
        try:
            await self._connect()
            self._spawn(self._watch_audio())
            talk = self._spawn(self._talk())
            enders = [talk, self._spawn(_wait(self._hang_up)), self._spawn(_wait(self._ended))]
            await asyncio.wait(enders, timeout=self._plan.max_seconds, return_when=asyncio.FIRST_COMPLETED)
            if talk.done() and not talk.cancelled() and (error := talk.exception()) is not None:
                raise error
            await self._say_goodbye()
        except HubRefused as error:
            # An `Error` event before the refusal knows better why.
            raise CallFailed(self._failure or str(error)) from error
        finally:
            await self._close()
        if self._failure is not None and not self._latencies and not self._lines:
            raise CallFailed(self._failure)
        return self._report()

    async def _connect(self) -> None:
        if self._plan.microphone:
            self._hearing.open_loudspeaker()
        await self._dial()
        await self._until_connected(CONNECT_SECONDS)
        if not self._connected.is_set() and not self._hang_up.is_set():
            raise CallFailed(
                self._failure or "no way was found for the audio (ICE): `voisnap doctor` checks the candidates"
            )
        self._began_at = self._loop.time()

    async def _dial(self) -> None:
        """Offer an audio connection; one that is there already ends."""
        self._connected.clear()
        self._disconnected.clear()
        before, self._peer = self._peer, None
        if before is not None:
            await before.close()
        self._peer = Peer(self._session.get("iceServers", ()), self._voice, self._hearing, self._peer_changed)
        await self._hub.invoke("SendOfferAsync", await self._peer.offer())

    async def _until_connected(self, seconds: float) -> None:
        events = (self._connected, self._disconnected, self._ended, self._hang_up)
        waiting = [self._spawn(_wait(event)) for event in events]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    async def _talk(self) -> None:
        if self._plan.microphone:
            self._voice.open_microphone()
            await _wait(self._ended)
            return
        if self._plan.interrupt_after is not None:
            for sound in self._plan.sounds:
                await self._interrupt(sound, self._plan.interrupt_after)
            return
        await self._until_agent_spoke(FIRST_MESSAGE_SECONDS)
        for sound in self._plan.sounds:
            await asyncio.sleep(self._plan.pause_seconds)
            await self._voice.say(sound)
            await self._until_agent_spoke(ANSWER_SECONDS)

    async def _interrupt(self, sound: Pcm, after: float) -> None:
        """Speak into the agent's speech and measure how long it is still heard."""
        asked_at = self._loop.time()
        while not (self._hearing.loud_since and self._loop.time() - self._hearing.loud_since >= after):
            if self._loop.time() - asked_at > ANSWER_SECONDS:
                raise CallFailed("the agent said nothing that could be interrupted")
            await asyncio.sleep(0.005)
        self._voice.voiced_since = None
        saying = self._spawn(self._voice.say(sound))
        while not self._hearing.settle(self._loop.time(), QUIET_SECONDS) or self._voice.voiced_since is None:
            if self._loop.time() - asked_at > ANSWER_SECONDS:
                break
            await asyncio.sleep(0.005)
        if self._voice.voiced_since is not None and self._hearing.last_loud_at is not None:
            # The last loud frame still sounds for its own length.
            silent_at = self._hearing.last_loud_at + FRAME_SECONDS
            silenced = Silenced(after_ms=round((silent_at - self._voice.voiced_since) * 1000, 1))
            self._silenced.append(silenced.after_ms)
            self._told(silenced)
        await saying
        await self._until_agent_spoke(ANSWER_SECONDS)

    async def _until_agent_spoke(self, patience: float) -> None:
        """Wait until the agent has said something and finished; give up if nothing comes for `patience` seconds."""
        asked_at = self._loop.time()
        while True:
            now = self._loop.time()
            last = self._hearing.last_loud_at
            spoke = last is not None and last > asked_at
            if spoke and self._state == "listening" and self._hearing.settle(now, QUIET_SECONDS):
                return
            if now - max(asked_at, last or 0.0) > patience:
                return
            await asyncio.sleep(0.02)

    def _agent_began(self, at: float) -> None:
        own = self._voice.last_voiced_at
        if own is None or at < own:
            return
        latency = (at - own) * 1000
        # Only the first sound after the caller's last word is an answer to it.
        self._voice.last_voiced_at = None
        self._latencies.append(latency)
        self._unclaimed = latency

    def _peer_changed(self, peer: Peer) -> None:
        if peer is not self._peer:
            return
        if peer.state == "connected":
            self._connected.set()
        elif peer.state in ("failed", "closed") and not self._ended.is_set():
            self._disconnected.set()
            if self._connected.is_set():
                self._restore()

    # Coming back

    async def _follow_hub(self) -> None:
        end = await self._follow(self._hub)
        while not self._ended.is_set():
            if not end.may_return:
                self._fail(end.reason)
                return
            self._told(Lost())
            end = await self._come_back()

    async def _follow(self, hub: HubClient) -> HubEnd:
        try:
            async for event in hub.events():
                await self._heard_of(event)
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            self._fail(f"the platform said something that cannot be understood: {error!r}")
        return hub.end or HubEnd("the call is over", False)

    async def _come_back(self) -> HubEnd:
        """Connect to the hub again with the same session, and follow it until the next end."""
        reason = "nothing answered"
        # The resume token also works while the server takes the old connection for alive.
        query = {"sessionToken": self._resume_token or self._session["sessionToken"]}
        for pause in RETURN_PAUSES:
            await asyncio.sleep(pause)
            try:
                async with HubClient.opened(self._http, f"{self._plan.base_url}/hubs/webrtc", query) as hub:
                    self._hub = hub
                    return await self._follow(hub)
            except (HubRefused, OSError, httpx.HTTPError) as error:
                reason = str(error) or type(error).__name__
        return HubEnd(f"the connection was lost and could not be restored: {reason}", False)

    async def _watch_audio(self) -> None:
        """A server that hangs, or a network that is gone, says nothing: connect anew instead of waiting for a time-out."""
        while True:
            await asyncio.sleep(STILL_HEARD_SECONDS / 3)
            heard_at = self._hearing.last_frame_at
            is_restoring = self._restoring is not None and not self._restoring.done()
            if is_restoring or heard_at is None or self._hub.end is not None:
                continue
            if self._loop.time() - heard_at > SILENT_SECONDS:
                self._hub.abandon()

    async def _ask_for_resume_token(self) -> None:
        with contextlib.suppress(HubRefused, ValueError, KeyError):
            answer = await self._hub.invoke("RequestReconnectionAsync")
            self._resume_token = msgspec.convert(answer, dict[str, Any])["resumeToken"]

    def _restore(self) -> None:
        """See that the audio goes on, unless somebody does already."""
        if self._restoring is None or self._restoring.done():
            self._restoring = self._spawn(self._restore_audio())

    async def _restore_audio(self) -> None:
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        last = self._hearing.last_frame_at
        for attempt in range(MAX_DIALS):
            if await self._is_heard(last):
                break
            try:
                await self._dial()
            except HubRefused:
                if self._hub.end is not None:
                    return  # the hub was lost again: the next return looks after the audio
                await asyncio.sleep(attempt)
                continue
            await self._until_connected(DIAL_SECONDS)
        if self._ended.is_set() or self._hang_up.is_set():
            return
        if await self._is_heard(last):
            first, before = self._hearing.last_frame_at or 0.0, last or 0.0
            restored = Restored(gap_seconds=round(first - before, 3))
            self._gaps.append(restored.gap_seconds)
            self._told(restored)
        else:
            self._fail("the audio connection was lost and could not be restored (ICE)")

    async def _is_heard(self, since: float | None) -> bool:
        """Whether anything comes from the agent after the time `since`."""
        if self._peer is None or self._peer.state != "connected":
            return False
        until = self._loop.time() + STILL_HEARD_SECONDS
        while self._loop.time() < until and self._peer.state == "connected":
            if self._hearing.last_frame_at is not None and self._hearing.last_frame_at != since:
                return True
            await asyncio.sleep(0.01)
        return False

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._ended.set()

    async def _heard_of(self, event: HubEvent) -> None:
        value = event.value
        match event.target:
            case "SdpAnswerReceived" if self._peer is not None:
                await self._peer.accept(value)
            case "IceCandidateReceived" if value.get("candidate") and self._peer is not None:
                await self._peer.add_candidate(value)
            case "SessionStarted":
                self._started = Started(
                    conversation_id=value.get("conversationId", ""),
                    session_id=value.get("sessionId", self._started.session_id),
                    agent_name=value.get("agentName", ""),
                )
                self._spawn(self._ask_for_resume_token())
                if value.get("resumed") and self._peer is not None:
                    self._state = "listening"
                    self._restore()
                else:
                    self._told(self._started)
            case "SessionEnded":
                self._end = value
                self._ended.set()
            case "Transcription":
                self._wrote(value)
            case "AgentStateChanged":
                self._state = value.get("state", self._state)
            case "TurnCompleted":
                self._completed(value)
            case "Error":
                self._troubled(value)
            case _:
                pass

    def _wrote(self, value: dict[str, Any]) -> None:
        line = Line(
            turn_id=value.get("turnId", ""),
            speaker=value.get("speaker", ""),
            text=value.get("text", ""),
            is_final=bool(value.get("isFinal")),
        )
        if line.is_final:
            self._lines[line.turn_id, line.speaker] = line
        self._told(line)

    def _completed(self, value: dict[str, Any]) -> None:
        latency = value.get("latency")
        server = msgspec.convert(latency, ServerLatency, strict=False) if isinstance(latency, dict) else None
        heard, self._unclaimed = self._unclaimed, None
        turn = Turn(turn_id=value.get("turnId", ""), heard_ms=heard, server=server)
        self._turns.append(turn)
        self._told(turn)

    def _troubled(self, value: dict[str, Any]) -> None:
        trouble = Trouble(
            code=value.get("code", ""),
            message=value.get("message", ""),
            recoverable=bool(value.get("recoverable", True)),
        )
        self._told(trouble)
        if not trouble.recoverable:
            self._fail(f"{trouble.message} ({trouble.code})")

    async def _say_goodbye(self) -> None:
        if self._ended.is_set():
            return
        with contextlib.suppress(HubRefused, OSError):
            async with asyncio.timeout(HANG_UP_SECONDS):
                await self._hub.invoke("EndSessionAsync", "user_ended")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_SECONDS):
                await self._ended.wait()

    async def _close(self) -> None:
        self._hearing.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._peer is not None:
            await self._peer.close()
        self._voice.stop()

    def _report(self) -> CallReport:
        return CallReport(
            conversation_id=self._started.conversation_id,
            session_id=self._started.session_id,
            agent_name=self._started.agent_name,
            reason=self._end.get("reason", "unknown"),
            duration_seconds=float(self._end.get("durationSeconds", self._loop.time() - self._began_at)),
            lines=tuple(line for line in self._lines.values() if line.text),
            turns=tuple(self._turns),
            heard_latencies_ms=tuple(round(latency, 1) for latency in self._latencies),
            silenced_ms=tuple(self._silenced),
            heard=self._hearing.sound(),
            gaps_seconds=tuple(self._gaps),
            failure=self._failure,
        )

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _wait(event: asyncio.Event) -> None:
    await event.wait()

"""What live sessions are made of, as they see it: the conversation, the media, the clock, whoever watches."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import msgspec
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.conversations import CallQuality
from voisnap_domain.costs import Usage
from voisnap_domain.errors import Conflict
from voisnap_domain.ids import NodeId
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import EndReason, Session, SessionPlan
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import Recorder

from voisnap_runtime.pipeline.events import CallEvent
from voisnap_runtime.pipeline.mouth import Playout
from voisnap_runtime.recording import Recordings
from voisnap_runtime.transports.port import LinkQuality

from .journal import Journal
from .neighbours import Neighbours
from .presence import RESUME_SECONDS
from .store import Store


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps of an end may take, in seconds: the call's last words, hanging up at the carrier, the recording, the journal."""

    farewell: float = 1.5
    hang_up: float = 5.0
    recording: float = 2.0
    flush: float = 2.0


PATIENT = Patience()
HURRIED = Patience(farewell=0.4, hang_up=1.0, recording=1.0, flush=0.6)
"""When the process has to go."""


class LiveCall(Protocol):
    """The conversation, as `pipeline.call.Call` is one."""

    def feed(self, audio: Pcm, arrived_at: float) -> None: ...
    def dtmf(self, digit: str) -> None: ...
    def pull(self) -> Pcm | None: ...
    async def run(self) -> EndReason: ...
    def end(self, reason: EndReason) -> None: ...
    def usage(self) -> Usage: ...
    def quality(self) -> CallQuality: ...

    def forget(self) -> None:
        """It is over and nobody asks for it any more: let go of everything, so that it is free at once."""
        ...

    def snapshot(self) -> CallSnapshot:
        """Where it stands; cheap, asked twice a second."""
        ...

    def hold(self) -> None:
        """Nobody listens: the agent falls silent where it is, and only the maximum duration goes on counting."""
        ...

    def release(self) -> None:
        """The caller is back: go on."""
        ...

    @property
    def is_quiet(self) -> bool:
        """Whether this is a moment at which a hand-over is not noticed."""
        ...


class LiveTransport(Protocol):
    """The caller's media. `connected` from the start when they come over the hub itself."""

    @property
    def state(self) -> str: ...
    def quality(self) -> LinkQuality: ...
    def send(self, audio: Pcm | None) -> None: ...
    async def close(self) -> None: ...


@runtime_checkable
class Telephone(Protocol):
    """Media of a call that goes on without them until it is ended for itself, as `carriers.line.CarrierLine` is one."""

    @property
    def call_id(self) -> str: ...
    async def hang_up(self, *, within: float) -> None:
        """Let the last words be heard and end the call at the carrier; waits `within` seconds for that at most, and does not raise."""
        ...


@runtime_checkable
class Screening(Protocol):
    """A conversation that wants to know who answered."""

    def note_answerer(self, answered_by: AnsweredBy) -> None: ...


@runtime_checkable
class Delayed(Protocol):
    """A conversation whose sound may be heard later than it is pulled."""

    def play_through(self, playout: Playout) -> None: ...


@runtime_checkable
class Narrow(Protocol):
    """Media that may be a telephone's."""

    @property
    def is_narrow(self) -> bool:
        """Whether nothing of the caller's above 4 kHz passes."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """A conversation that listens otherwise to a telephone."""

    def hear_through(self, *, narrow: bool) -> None: ...


class PeerTransport(LiveTransport, Protocol):
    """Media that are negotiated, as `transports.webrtc.WebRtcTransport` does."""

    async def answer(self, sdp: str, type: str, /) -> tuple[str, str]: ...
    async def add_candidate(self, candidate: str, sdp_mid: str | None, sdp_mline_index: int | None, /) -> None: ...


class LivePacer(Protocol):
    """The shared 20-ms clock, as `transports.pacing.Pacer` is one."""

    def add(self, source: Any, transport: Any, *, on_fault: Callable[[Exception], None] | None = None) -> None: ...
    def remove(self, source: Any) -> None: ...


class Audience(Protocol):
    """Whoever watches a session from outside: the hub. Nothing here waits or raises."""

    def started(self, session: Session, *, at: datetime, resumed: bool) -> None: ...
    def told(self, event: CallEvent) -> None: ...
    def candidate(self, candidate: Mapping[str, Any]) -> None: ...
    def failed(self, code: str, message: str, *, recoverable: bool) -> None: ...
    def ended(self, plan: SessionPlan, *, reason: EndReason, seconds: float, at: datetime) -> None: ...
    async def leave(self) -> None:
        """The session is over: close."""
        ...

    async def come_back(self) -> None:
        """The session goes on in another process: close so that the client connects again."""
        ...

    def give_way(self) -> None:
        """Another connection has the session now."""
        ...


MakeCall = Callable[[SessionPlan, Recorder | None, Callable[[CallEvent], None], Resumption | None], LiveCall]
"""Builds the conversation of a plan, or one that goes on. Raises DomainError for a provider that is not set up."""

MakeTransport = Callable[[Any, Callable[[str], None], Callable[[Mapping[str, Any]], None]], PeerTransport]
"""Builds a transport of (audio sink, state listener, local candidate listener)."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What live sessions are made of, one of each a process. `now` is the time of day; timers use the event loop's clock."""

    node_id: NodeId
    store: Store
    journal: Journal
    pacer: LivePacer
    recordings: Recordings
    make_call: MakeCall
    make_transport: MakeTransport
    now: Callable[[], datetime]
    neighbours: Neighbours
    max_sessions: int = 50
    resume_window: timedelta = timedelta(seconds=RESUME_SECONDS)


class SessionInUse(Conflict):
    """Somebody else is connected to this session."""

    code = "session-in-use"


class SessionGone(Conflict):
    """The session is over, or lives where this process cannot reach it."""

    code = "session-gone"

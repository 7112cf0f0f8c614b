"""What the API asks of telephone calls, over the bus. Any process answers."""

from typing import Any, Protocol, TypeVar

from voisnap_domain.errors import DomainError
from voisnap_domain.ids import NodeId
from voisnap_domain.sessions import SessionState
from voisnap_kit import log
from voisnap_kit.bus import BusError, Subscription
from voisnap_proto.requests import (
    NOTE_ANSWERER,
    READMIT_SESSION,
    AnswererNoted,
    NoteAnswerer,
    ReadmitSession,
)

from voisnap_runtime.sessions.desk import QUEUE
from voisnap_runtime.sessions.roster import LiveSessions
from voisnap_runtime.sessions.store import Store

from .admission import Admission

FORWARD_SECONDS = 1.0

_log = log.get(__name__)

R = TypeVar("R")


class Requests(Protocol):
    """The part of the bus that the switchboard needs."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...
    async def respond(self, subject: str, queue: str, message_type: type, handler: Any) -> Subscription: ...


class Switchboard:
    """Lets calls in again, and passes on who answered them."""

    def __init__(
        self, node_id: NodeId, admission: Admission, store: Store, sessions: LiveSessions, bus: Requests
    ) -> None:
        self._node_id = node_id
        self._admission = admission
        self._store = store
        self._sessions = sessions
        self._bus = bus
        self._subscriptions: list[Subscription] = []

    async def listen(self) -> None:
        """Answer until `close`."""
        respond, node = self._bus.respond, self._node_id
        self._subscriptions = [
            await respond(READMIT_SESSION, QUEUE, ReadmitSession, self._admission.readmit),
            await respond(NOTE_ANSWERER, QUEUE, NoteAnswerer, self.note_answerer),
            await respond(note_answerer_at(node), node, NoteAnswerer, self.note_answerer_here),
        ]

    async def close(self) -> None:
        """Answer no more; what has begun is finished."""
        while self._subscriptions:
            await self._subscriptions.pop().close()

    async def note_answerer(self, request: NoteAnswerer) -> AnswererNoted:
        """Pass on who answered; a call that is not here yet finds it when it comes."""
        session = await self._store.get(request.session_id)
        if session is None or session.state is SessionState.ENDED:
            return AnswererNoted(found=False)
        await self._store.note_call(request.session_id, answered_by=request.answered_by)
        if session.owner is None:
            return AnswererNoted(found=True)
        if session.owner == self._node_id:
            await self.note_answerer_here(request)
            return AnswererNoted(found=True)
        try:
            subject = note_answerer_at(session.owner)
            await self._bus.request(subject, request, AnswererNoted, timeout=FORWARD_SECONDS)
        except (BusError, DomainError) as error:  # whoever goes on with the call finds the note
            _log.info("carrier.answerer_not_told", session_id=request.session_id, error=repr(error))
        return AnswererNoted(found=True)

    async def note_answerer_here(self, request: NoteAnswerer) -> AnswererNoted:
        """Tell a session that lives in this process."""
        live = self._sessions.get(request.session_id)
        if live is None:
            return AnswererNoted(found=False)
        live.note_answerer(request.answered_by)
        return AnswererNoted(found=True)


def note_answerer_at(node_id: NodeId) -> str:
    """The subject on which one node is told who answered its calls."""
    return f"node.{node_id}.note_answerer.v1"

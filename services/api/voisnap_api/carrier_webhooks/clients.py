"""Asks runtime processes about the sessions of calls."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_kit import log
from voisnap_kit.bus import BusError, EventBus, NoResponders, RequestTimeout
from voisnap_proto.requests import (
    END_SESSION,
    NOTE_ANSWERER,
    NOTE_TRANSFER_CALL,
    READMIT_SESSION,
    AnswererNoted,
    EndSession,
    NoteAnswerer,
    NoteTransferCall,
    ReadmitSession,
    SessionEnding,
    SessionOpened,
    SessionReadmitted,
    TransferCallNoted,
)

from voisnap_api.webrtc_sessions.clients import NO_ROOM, open_session

from .records import CarrierCall

_PAUSES = (0.1, 0.3)
"""Between attempts in seconds: each may reach another process."""
_LOOK_SECONDS = 0.25
"""Between looks for a process where there is none."""

_log = log.get(__name__)

T = TypeVar("T")

Sleep = Callable[[float], Awaitable[None]]


async def open_call(bus: EventBus, plan: SessionPlan, *, sleep: Sleep = asyncio.sleep) -> SessionOpened:
    """The session, waiting for its media. A process without room is not the last one that is asked.

    Raises LimitReached `session-limit-reached`, `node-full`, Conflict `provider-not-configured`.
    """
    for pause in _PAUSES:
        try:
            return await open_session(bus, plan)
        except LimitReached as error:
            if error.code != NO_ROOM:
                raise
        await sleep(pause)
    return await open_session(bus, plan)


async def readmit(
    bus: EventBus, session_id: SessionId, *, patience: float = 0.0, sleep: Sleep = asyncio.sleep
) -> str | None:
    """A token that lets the call in once more; None when the session is over. While there is no process at all, one is waited for, for
    `patience` seconds: the only one may be on its way back. Raises BusError.
    """

    async def ask() -> SessionReadmitted:
        return await bus.request(READMIT_SESSION, ReadmitSession(session_id=session_id), SessionReadmitted)

    pauses = (*_PAUSES, *itertools.repeat(_LOOK_SECONDS, int(patience / _LOOK_SECONDS)))
    return (await _asked(ask, sleep, pauses)).session_token


async def end(bus: EventBus, session_id: SessionId, reason: EndReason, *, sleep: Sleep = asyncio.sleep) -> None:
    """End what still lives of a session. One that nobody could be told of ends when its media do, or nobody comes."""

    async def ask() -> SessionEnding:
        return await bus.request(END_SESSION, EndSession(session_id=session_id, reason=reason), SessionEnding)

    try:
        await _asked(ask, sleep)
    except BusError as error:
        _log.warning("carrier.end_not_told", session_id=session_id, error=repr(error))


async def note_answerer(
    bus: EventBus, session_id: SessionId, answered_by: AnsweredBy, *, sleep: Sleep = asyncio.sleep
) -> None:
    """Say who answered."""

    async def ask() -> AnswererNoted:
        request = NoteAnswerer(session_id=session_id, answered_by=answered_by)
        return await bus.request(NOTE_ANSWERER, request, AnswererNoted)

    try:
        await _asked(ask, sleep)
    except BusError as error:
        _log.warning("carrier.answerer_not_told", session_id=session_id, error=repr(error))


async def note_transfer_call(
    bus: EventBus,
    call: CarrierCall,
    *,
    call_id: str,
    phase: CallPhase | None = None,
    answered_by: AnsweredBy | None = None,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Say what becomes of the call to whoever shall take a session's caller over."""

    async def ask() -> TransferCallNoted:
        request = NoteTransferCall(
            session_id=call.session_id,
            attempt_id=call.attempt_id or "",
            call_id=call_id,
            phase=phase,
            answered_by=answered_by,
        )
        return await bus.request(NOTE_TRANSFER_CALL, request, TransferCallNoted)

    try:
        await _asked(ask, sleep)
    except BusError as error:
        _log.warning("carrier.transfer_not_told", session_id=call.session_id, error=repr(error))


async def _asked(ask: Callable[[], Awaitable[T]], sleep: Sleep, pauses: tuple[float, ...] = _PAUSES) -> T:
    silences = 0
    for pause in pauses:
        try:
            return await ask()
        except NoResponders:
            await sleep(pause)
        except RequestTimeout:
            silences += 1
            if silences > len(_PAUSES):
                raise
            await sleep(pause)
    return await ask()

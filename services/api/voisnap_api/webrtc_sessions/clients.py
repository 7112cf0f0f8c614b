"""Asks a runtime process to make a session ready."""

from voisnap_domain.errors import LimitReached
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import SessionPlan
from voisnap_kit.bus import EventBus, NoResponders, RequestTimeout
from voisnap_proto.requests import OPEN_SESSION, OpenSession, SessionOpened

NO_ROOM = "node-full"
_TIMEOUT = 2.0
RETRY_AFTER = 5
"""Seconds after which another attempt makes sense."""


async def open_session(bus: EventBus, plan: SessionPlan, rehearsal: Rehearsal | None = None) -> SessionOpened:
    """The session, waiting for its caller; with a `rehearsal` a simulated one has come. Raises LimitReached `session-limit-reached`; `node-full` (503) when no
    runtime process takes it."""
    try:
        return await bus.request(
            OPEN_SESSION, OpenSession(plan=plan, rehearsal=rehearsal), SessionOpened, timeout=_TIMEOUT
        )
    except LimitReached as error:
        if error.code == NO_ROOM and error.retry_after is None:
            raise LimitReached(error.detail, code=NO_ROOM, retry_after=RETRY_AFTER) from error
        raise
    except (NoResponders, RequestTimeout) as error:
        raise LimitReached(
            "No call server is free at the moment. Try again shortly.", code=NO_ROOM, retry_after=RETRY_AFTER
        ) from error

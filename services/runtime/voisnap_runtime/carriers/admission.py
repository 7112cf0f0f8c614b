"""Who may come in by a media socket: the call for which a one-time token was made, and nobody else."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from voisnap_domain.errors import DomainError, LimitReached
from voisnap_domain.sessions import Session, SessionState
from voisnap_kit import log
from voisnap_kit.redis import RedisError
from voisnap_proto.requests import ReadmitSession, SessionReadmitted
from voisnap_providers.ports.carrier import TOKEN_PARAMETER, MediaStarted

from voisnap_runtime.sessions.claims import lost_for_good
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.sessions.roster import LiveSessions
from voisnap_runtime.sessions.store import Store
from voisnap_runtime.sessions.tokens import new_call_token

READMITTED_FOR = timedelta(seconds=60)
"""How long a carrier may take to connect a call anew."""
MAX_READMITTED = 8
"""Times in a row that a call is let in again without ever arriving."""

POLICY, TRY_AGAIN, TROUBLE = 1008, 1013, 1011

_OVER = frozenset({SessionState.ENDING, SessionState.ENDED})

_log = log.get(__name__)


class Refused(Exception):
    """A media socket is closed with `code` (RFC 6455 §7.4.1); the text is for the log."""

    def __init__(self, why: str, code: int = POLICY) -> None:
        super().__init__(why)
        self.code = code


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Finds the sessions of media sockets, and lets calls in once more."""

    store: Store
    sessions: LiveSessions
    now: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]
    window: timedelta

    async def admit(self, provider: str, started: MediaStarted) -> LiveSession:
        """The session whose token the stream brings, from now on living here; the token is used up. Raises Refused."""
        token = started.parameters.get(TOKEN_PARAMETER, "")
        if not 1 <= len(token) <= 200:
            raise Refused("no token")
        try:
            session_id = await self.store.find_by_token(token)
            session = None if session_id is None else await self.store.get(session_id)
            if session is None or session.plan.leg is None or session.plan.leg.provider != provider:
                raise Refused("a token that opens nothing here")
            if await self.store.use_token(token) is None:
                raise Refused("a token that was used already")
            live = await self.sessions.claim(session.plan.session_id, takes_over=True, found=session)
        except LimitReached as error:
            raise Refused(error.code, TRY_AGAIN) from None
        except DomainError as error:
            raise Refused(error.code) from None
        except RedisError as error:
            _log.warning("carrier.store_away", error=repr(error))
            raise Refused("the store is away", TROUBLE) from None
        if live.is_ending:
            raise Refused("session-gone")
        return live

    async def readmit(self, request: ReadmitSession) -> SessionReadmitted:
        """A token for a call that goes on; none for one that is over, or that is let in time and again and never arrives."""
        session = await self.store.get(request.session_id)
        if session is None or not await self._goes_on(session):
            return SessionReadmitted(session_token=None)
        if await self.store.readmitted(request.session_id) > MAX_READMITTED:
            _log.warning("carrier.readmitted_in_vain", session_id=request.session_id)
            return SessionReadmitted(session_token=None)
        token = new_call_token(self.random_bytes)
        until = min(self.now() + READMITTED_FOR, session.deadline)
        await self.store.add_token(token, request.session_id, until=until)
        _log.info("carrier.readmitted", session_id=request.session_id)
        return SessionReadmitted(session_token=token)

    async def _goes_on(self, session: Session) -> bool:
        now = self.now()
        if session.plan.leg is None or session.state in _OVER or now >= session.deadline:
            return False
        live = self.sessions.get(session.plan.session_id)
        if live is not None:
            return not live.is_ending
        lease = await self.store.lease_of(session.plan.session_id)
        if lease is None:
            return True
        dead = session.owner is not None and session.connected_at is not None
        return now < (lost_for_good(lease, self.window) if dead else lease)

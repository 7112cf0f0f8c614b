"""Why a connection is turned away: every error on the way to a session, as the hubs' `Error` event spells it."""

from collections.abc import Generator
from contextlib import contextmanager

from voisnap_domain.errors import Conflict, DomainError, Forbidden, Invalid, LimitReached, NotFound
from voisnap_kit import log
from voisnap_kit.bus import BusError
from voisnap_kit.redis import RedisError
from voisnap_providers.errors import ProviderError

_log = log.get(__name__)

AGENT_NOT_FOUND = "AGENT_NOT_FOUND"
AGENT_INACTIVE = "AGENT_INACTIVE"
AUTH_FAILED = "AUTH_FAILED"
LLM_PROVIDER_ERROR = "LLM_PROVIDER_ERROR"
SESSION_LIMIT_REACHED = "SESSION_LIMIT_REACHED"
RECONNECT_FAILED = "RECONNECT_FAILED"
# Beyond the documented ones:
INVALID_REQUEST = "INVALID_REQUEST"
INTERNAL_ERROR = "INTERNAL_ERROR"
PROVIDER_NOT_CONFIGURED = "PROVIDER_NOT_CONFIGURED"
SESSION_TAKEN_OVER = "SESSION_TAKEN_OVER"

AWAY = "Sessions can't be opened at the moment. Try again shortly."


class Refusal(Exception):
    """The caller gets this `Error` event, then the connection is closed; a `recoverable` one asks the client to connect again."""

    def __init__(self, code: str, message: str, *, recoverable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.recoverable = recoverable


@contextmanager
def refusing(*, conflict: str) -> Generator[None]:
    """Turn what goes wrong inside into a Refusal; `conflict` is the code for a session in the wrong state."""
    try:
        yield
    except DomainError as error:
        raise Refusal(_code_of(error, conflict), error.detail) from None
    except ProviderError as error:
        _log.error("hub.provider_failed", error=repr(error))
        raise Refusal(LLM_PROVIDER_ERROR, "The agent's providers don't answer.") from None
    except RedisError as error:
        _log.error("hub.store_away", error=repr(error))
        raise Refusal(INTERNAL_ERROR, AWAY, recoverable=True) from None
    except BusError as error:
        _log.error("hub.bus_away", error=repr(error))
        raise Refusal(INTERNAL_ERROR, AWAY, recoverable=True) from None


def _code_of(error: DomainError, conflict: str) -> str:
    match error:
        case LimitReached():
            return SESSION_LIMIT_REACHED
        case NotFound(code="agent-not-found") | NotFound(kind="agent version"):
            return AGENT_NOT_FOUND
        case Conflict(code="agent-inactive" | "channel-disabled"):
            return AGENT_INACTIVE
        case DomainError(code="provider-not-configured"):
            return PROVIDER_NOT_CONFIGURED
        case Forbidden():
            return AUTH_FAILED
        case Invalid():
            return INVALID_REQUEST
        case _:
            return conflict

"""Who may open a hub connection: bearers of a JSON Web Token with the `hub` scope."""

from collections.abc import Awaitable, Callable

import msgspec
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.tokens import Claims, InvalidToken, JwksClient
from voisnap_signalr import HubRequest, Refused, Unauthorized

from .bounds import Bounds

HUB_SCOPE = "hub"
API_KEY_PREFIX = "vsnp_"
USER_PREFIX = "usr_"


class HubUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token speaks for; `agent_id` and `session_id` bind it when they are set.

    `account` is the person, or the API key, in whose name the token was made.
    """

    account: str
    tenant_id: TenantId
    environment: Environment
    scopes: frozenset[str] = frozenset()
    agent_id: str | None = None
    session_id: str | None = None
    token_id: str = ""

    @property
    def is_person(self) -> bool:
        """Whether somebody logged in; tokens of one API key go to many strangers."""
        return self.account.startswith(USER_PREFIX)

    @property
    def user_id(self) -> str:
        """Who opens sessions: the person, or of a key the bearer of this one token."""
        return self.account if self.is_person else f"{self.account}:{self.token_id}"

    @property
    def identity(self) -> "HubUser":
        """What all requests of one connection have in common; their tokens may be renewed meanwhile."""
        return msgspec.structs.replace(self, token_id="")


def authenticator(
    jwks: JwksClient, *, check_room: Callable[[], None] = lambda: None, bounds: Bounds | None = None
) -> Callable[[HubRequest], Awaitable[HubUser]]:
    """The check of a request's token: header first, else query. Raises Unauthorized (HTTP 401).

    `check_room` raises LimitReached when this process takes no more sessions: whoever wants a new one is sent away with 503 before he is
    connected, so that the edge or the client tries another process. Who begins a connection is counted within the tenant's `bounds`, and
    sent away with 429 beyond them.
    """

    async def authenticate(request: HubRequest) -> HubUser:
        user = await identify(request)
        if bounds is not None and _begins_connection(request):
            try:
                await bounds.negotiates(user)
            except LimitReached as error:
                raise Refused(429, error.detail, retry_after_s=error.retry_after) from None
        if _wants_new_session(request):
            try:
                check_room()
            except LimitReached as error:
                raise Refused(503, error.detail, retry_after_s=error.retry_after) from None
        return user

    async def identify(request: HubRequest) -> HubUser:
        token = request.access_token
        if token is None:
            raise Unauthorized("no access token")
        if token.startswith(API_KEY_PREFIX):
            raise Unauthorized("API keys can't open hubs, only access tokens can")
        try:
            return user_of(await jwks.verify(token))
        except (InvalidToken, ValueError) as error:
            raise Unauthorized(str(error)) from None

    return authenticate


def _wants_new_session(request: HubRequest) -> bool:
    """Whether the request can only lead to a new session: nothing in it tells of an old one.

    Polls and posts name their connection, which may have its session already. So may the client who negotiates and still
    names a former connection. A WebSocket that names one was negotiated a moment ago and can still open in another process.
    """
    query = request.query
    comes_back = query.get("sessionId") or query.get("resumeToken") or "cookie" in request.headers
    is_socket = request.headers.get("upgrade", "").lower() == "websocket"
    if comes_back or (query.get("id") and not is_socket):
        return False
    return bool(query.get("agentId"))


def _begins_connection(request: HubRequest) -> bool:
    """Whether it is a negotiation, or a socket that leaves that out."""
    return request.is_negotiate or not request.query.get("id")


def user_of(claims: Claims) -> HubUser:
    """The user behind verified claims. Raises Unauthorized without the `hub` scope."""
    if HUB_SCOPE not in claims.scopes:
        raise Unauthorized("the token lacks the hub scope")
    return HubUser(
        account=claims.sub,
        token_id=claims.jti,
        tenant_id=TenantId(claims.tid),
        environment=Environment(claims.env),
        scopes=claims.scopes,
        agent_id=claims.agent,
        session_id=claims.sid,
    )

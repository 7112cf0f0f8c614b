"""Log-in on the wire."""

from typing import Annotated, Literal

from msgspec import Meta
from voisnap_domain.tenants import Environment

from voisnap_api.users.schemas import PersonName, UserView
from voisnap_api.wire import Body, View

from .usecases import Access, LogIn

TypedEmail = Annotated[str, Meta(max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""An address as somebody types it at a log-in: whether it is one is nobody's business before the password is checked."""

Password = Annotated[str, Meta(max_length=1024)]
Token = Annotated[str, Meta(max_length=200)]


class LoginBody(Body, frozen=True, kw_only=True):
    """Who wants in. `environment` is what the token will work in."""

    email: TypedEmail
    password: Password
    environment: Environment = Environment.LIVE


class RefreshBody(Body, frozen=True, kw_only=True):
    """The refresh token of the last answer."""

    refresh_token: Token


class EnvironmentBody(Body, frozen=True, kw_only=True):
    """Where to go on. With the refresh token the whole log-in moves; without, only an access token is given."""

    environment: Environment
    refresh_token: Token | None = None


class PasswordChangeBody(Body, frozen=True, kw_only=True):
    """The password of now, and the one to come."""

    current_password: Password
    new_password: Password


class EmailBody(Body, frozen=True, kw_only=True):
    """Whose account it is about."""

    email: TypedEmail


class LinkBody(Body, frozen=True, kw_only=True):
    """The secret of a link in a mail."""

    token: Token


class ResetBody(Body, frozen=True, kw_only=True):
    """The secret of the link, and the new password."""

    token: Token
    password: Password


class AcceptBody(Body, frozen=True, kw_only=True):
    """The secret of the invitation, a password, and how the person is called."""

    token: Token
    password: Password
    first_name: PersonName | None = None
    last_name: PersonName | None = None


class InvitationView(View, frozen=True, kw_only=True):
    """What an invitation is for."""

    email: str
    first_name: str
    last_name: str
    tenant_name: str


class HubTokenBody(Body, frozen=True, kw_only=True):
    """What the token is for: one agent, one session, or whatever the credential may do."""

    agent_id: str | None = None
    session_id: str | None = None
    ttl_seconds: int = 900


class LoginView(View, frozen=True, kw_only=True):
    """The tokens of a person who is logged in; `expiresIn` in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"]
    user: UserView

    @classmethod
    def of(cls, log_in: LogIn) -> "LoginView":
        return cls(
            access_token=log_in.access_token,
            refresh_token=log_in.refresh_token,
            expires_in=log_in.expires_in,
            token_type="Bearer",  # noqa: S106 - the kind of token, RFC 6750
            user=UserView.of(log_in.user),
        )


class EnvironmentView(View, frozen=True, kw_only=True):
    """Tokens for the other environment; `refreshToken` is null where none was sent."""

    access_token: str
    refresh_token: str | None
    expires_in: int
    token_type: Literal["Bearer"]
    environment: Environment
    user: UserView

    @classmethod
    def of(cls, access: Access) -> "EnvironmentView":
        return cls(
            access_token=access.access_token,
            refresh_token=access.refresh_token if isinstance(access, LogIn) else None,
            expires_in=access.expires_in,
            token_type="Bearer",  # noqa: S106 - the kind of token, RFC 6750
            environment=access.environment,
            user=UserView.of(access.user),
        )


class HubTokenView(View, frozen=True, kw_only=True):
    """A token for hubs; `expiresIn` in seconds."""

    access_token: str
    expires_in: int
    token_type: Literal["Bearer"]

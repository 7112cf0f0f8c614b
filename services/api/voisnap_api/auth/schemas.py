"""Log-in on the wire."""

from typing import Literal

from voisnap_domain.tenants import Environment

from voisnap_api.wire import Body, View, instant

from .records import User
from .scopes import Role
from .usecases import LogIn


class LoginBody(Body, frozen=True, kw_only=True):
    """Who wants in. `environment` is what the token will work in."""

    email: str
    password: str
    environment: Environment = Environment.LIVE


class RefreshBody(Body, frozen=True, kw_only=True):
    """The refresh token of the last answer."""

    refresh_token: str


class HubTokenBody(Body, frozen=True, kw_only=True):
    """What the token is for: one agent, one session, or whatever the credential may do."""

    agent_id: str | None = None
    session_id: str | None = None
    ttl_seconds: int = 900


class PermissionsView(View, frozen=True, kw_only=True):
    """What a person may do beyond the role."""

    can_manage_api_keys: bool
    can_view_billing: bool
    can_delete_conversations: bool


class UserView(View, frozen=True, kw_only=True):
    """A person."""

    id: str
    tenant_id: str
    email: str
    first_name: str
    last_name: str
    role: Role
    status: str
    mfa_enabled: bool
    last_login_at: str | None
    created_at: str
    permissions: PermissionsView
    platform_admin: bool

    @classmethod
    def of(cls, user: User) -> "UserView":
        runs_the_tenant = user.role in {Role.ADMIN, Role.TENANT_OWNER, Role.AGENCY_MANAGER, Role.PLATFORM_ADMIN}
        return cls(
            id=user.id,
            tenant_id=user.tenant_id,
            email=user.email,
            first_name=user.first_name,
            last_name=user.last_name,
            role=user.role,
            status=user.status,
            mfa_enabled=False,
            last_login_at=instant(user.last_login_at) if user.last_login_at else None,
            created_at=instant(user.created_at),
            permissions=PermissionsView(
                can_manage_api_keys=runs_the_tenant,
                can_view_billing=runs_the_tenant,
                can_delete_conversations=runs_the_tenant,
            ),
            platform_admin=user.platform_admin,
        )


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


class HubTokenView(View, frozen=True, kw_only=True):
    """A token for hubs; `expiresIn` in seconds."""

    access_token: str
    expires_in: int
    token_type: Literal["Bearer"]

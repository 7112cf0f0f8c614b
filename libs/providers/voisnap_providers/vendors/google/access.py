"""Google Cloud's gRPC services: where they are, who asks, and what their errors mean.

An address that begins with `http://` is that of an emulator on the loopback interface, and is asked without credentials.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio
import msgspec
from google.api_core.client_options import ClientOptions
from google.oauth2 import service_account
from google.rpc import error_details_pb2

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout, ProviderUnconfigured

PROVIDER = "google"
GLOBAL = "global"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
MAX_ANSWER_BYTES = 16_000_000
CONNECT_SECONDS = 5.0

_LOCAL_OPTIONS: Sequence[tuple[str, Any]] = (("grpc.max_receive_message_length", MAX_ANSWER_BYTES),)
_KEY_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_WRONG_REQUEST = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?")
_RETRY_INFO = "google.rpc.retryinfo-bin"


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    client_email: str
    private_key: str
    private_key_id: str = ""
    project_id: str = ""


class Access:
    """One account's way to one service: `host` is its global address, `setting` the account's option for another one."""

    def __init__(self, account: Account, *, host: str, setting: str) -> None:
        self.location = _name(account, "location", GLOBAL)
        given = account.option(setting)
        self._local = _loopback(given, setting) if given.startswith("http://") else None
        self._host = given or (host if self.location == GLOBAL else f"{self.location}-{host}")
        self._info = {} if self._local else _service_account(account)
        self._project = _name(account, "project", self._info.get("project_id", ""))

    @property
    def project(self) -> str:
        """The project that is billed. Raises ProviderUnconfigured."""
        if not self._project:
            raise ProviderUnconfigured(
                "The provider google is not set up on this installation: it needs GOOGLE_CLOUD_PROJECT."
            )
        return self._project

    def transport(self, client: Any, transport: Any) -> Any:
        """The calls of a service by the vendor's library; to be made inside the event loop that uses it."""
        if self._local:
            return transport(channel=grpc.aio.insecure_channel(self._local, options=_LOCAL_OPTIONS))
        try:
            credentials = service_account.Credentials.from_service_account_info(self._info, scopes=SCOPES)
        except ValueError:
            raise _no_service_account("is no key of a service account") from None
        return client(credentials=credentials, client_options=ClientOptions(api_endpoint=self._host)).transport


def fault(error: grpc.RpcError, kind: str) -> ProviderError:
    """What an error of a call means. Its text is not repeated: it may quote the request."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return ProviderError("The call failed.", provider=PROVIDER, kind=kind, retryable=True)
    code = error.code()
    detail = f"Google answered {code.name}."
    if code in _KEY_REFUSED:
        return ProviderAuthError(detail, provider=PROVIDER, kind=kind)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ProviderTimeout(detail, provider=PROVIDER, kind=kind)
    return ProviderError(
        detail, provider=PROVIDER, kind=kind, retryable=code not in _WRONG_REQUEST, retry_after=_retry_after(error)
    )


def _retry_after(error: grpc.aio.AioRpcError) -> float | None:
    for name, value in error.trailing_metadata() or ():
        if name == _RETRY_INFO and isinstance(value, bytes):
            info = error_details_pb2.RetryInfo()
            info.ParseFromString(value)
            return info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return None


def _loopback(address: str, setting: str) -> str:
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or parts.port is None:
        raise ProviderUnconfigured(f"The {setting} of google may be an http:// address on the loopback interface only.")
    return f"{host}:{parts.port}"


def _name(account: Account, option: str, default: str) -> str:
    """A value that becomes part of an address: a tenant's account must not lead elsewhere."""
    value = account.option(option, default)
    if value and _NAME.fullmatch(value) is None:
        raise ProviderUnconfigured(f"The {option} of google is none: small letters, digits and hyphens only.")
    return value


def _service_account(account: Account) -> dict[str, str]:
    """The values of a key that sign requests. Its addresses are not used: a tenant could have written them."""
    try:
        found = msgspec.json.decode(account.secret("service_account"), type=_Key)
    except msgspec.DecodeError:
        raise _no_service_account("is no key of a service account") from None
    return {**msgspec.structs.asdict(found), "token_uri": TOKEN_URL}


def _no_service_account(what: str) -> ProviderUnconfigured:
    return ProviderUnconfigured(f"The service account of google (GOOGLE_SERVICE_ACCOUNT_JSON) {what}.")

"""Python client of the Voisnap API.

from voisnap import VoisnapClient

client = VoisnapClient(api_key="vsnp_live_...")
for agent in client.agents.list(status="active"):
    print(agent.name)
"""

from . import errors, models, realtime
from ._client import AsyncVoisnapClient, VoisnapClient
from ._paging import AsyncPagedList, Page, PagedList
from ._senders import VERSION
from ._wire import UNSET
from .errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    UnexpectedAnswer,
    ValidationError,
    VoisnapError,
)

__version__ = VERSION

__all__ = [
    "UNSET",
    "ApiError",
    "AsyncPagedList",
    "AsyncVoisnapClient",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailed",
    "NotFoundError",
    "Page",
    "PagedList",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RequestTimeout",
    "ServerError",
    "UnexpectedAnswer",
    "ValidationError",
    "VoisnapClient",
    "VoisnapError",
    "__version__",
    "errors",
    "models",
    "realtime",
]

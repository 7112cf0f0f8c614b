"""SignalR hub protocol for ASGI servers."""

from .asgi import HubApp, HubAppSettings, router
from .connection import ConnectionSettings
from .http_transports import HttpSettings
from .hub import ClientError, Hub, HubConnection, HubError, HubLimits, hub_method
from .negotiate import ConnectionInUseError, ConnectionTokens, MemoryConnectionTokens, NegotiatedConnection, Transport
from .relay import Relay, RelayedBody, RelayedRequest, RelayedResponse, RelayError
from .requests import HubRequest, Refused, Unauthorized
from .session import SessionSettings

__all__ = [
    "ClientError",
    "ConnectionInUseError",
    "ConnectionSettings",
    "ConnectionTokens",
    "HttpSettings",
    "Hub",
    "HubApp",
    "HubAppSettings",
    "HubConnection",
    "HubError",
    "HubLimits",
    "HubRequest",
    "MemoryConnectionTokens",
    "NegotiatedConnection",
    "Refused",
    "Relay",
    "RelayError",
    "RelayedBody",
    "RelayedRequest",
    "RelayedResponse",
    "SessionSettings",
    "Transport",
    "Unauthorized",
    "hub_method",
    "router",
]

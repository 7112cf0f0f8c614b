"""SignalR hub protocol for ASGI servers."""

from .asgi import HubApp, HubAppSettings, router
from .connection import ConnectionSettings
from .hub import Hub, HubConnection, HubError, hub_method
from .negotiate import ConnectionInUseError, ConnectionTokens, MemoryConnectionTokens, NegotiatedConnection
from .requests import HubRequest, Refused, Unauthorized
from .session import SessionSettings

__all__ = [
    "ConnectionInUseError",
    "ConnectionSettings",
    "ConnectionTokens",
    "Hub",
    "HubApp",
    "HubAppSettings",
    "HubConnection",
    "HubError",
    "HubRequest",
    "MemoryConnectionTokens",
    "NegotiatedConnection",
    "Refused",
    "SessionSettings",
    "Unauthorized",
    "hub_method",
    "router",
]

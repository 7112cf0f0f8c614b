"""Asks the admin service, which owns tenants, for a new one."""

from voisnap_domain.errors import LimitReached
from voisnap_domain.tenants import Tenant
from voisnap_kit.bus import EventBus, NoResponders, RequestTimeout
from voisnap_proto.requests import CREATE_TENANT, CreateTenant, TenantReady

_TIMEOUT = 5.0


async def create_tenant(bus: EventBus, request: CreateTenant) -> Tenant:
    """The tenant; asking twice makes one. Raises LimitReached `temporarily-unavailable` (503) while the admin service does not answer."""
    try:
        ready = await bus.request(CREATE_TENANT, request, TenantReady, timeout=_TIMEOUT)
    except (NoResponders, RequestTimeout) as error:
        raise LimitReached(
            "Your account can't be opened at the moment. Follow the link again in a minute.",
            code="temporarily-unavailable",
            retry_after=10,
        ) from error
    return ready.tenant

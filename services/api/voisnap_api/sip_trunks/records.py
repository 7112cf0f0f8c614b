"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import SipTrunkId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_providers.ports.trunks import Origination, PartReport, TrunkPlan


class TrunkStatus(StrEnum):
    """`FAILED`: the carrier has not all of it yet; changing the trunk tries again, and deleting it takes away what there is."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    FAILED = "failed"
    DELETING = "deleting"


class TrunkTest(msgspec.Struct, frozen=True, kw_only=True):
    """What the carrier knew of each part."""

    at: datetime
    parts: tuple[PartReport, ...]

    @property
    def is_well(self) -> bool:
        return all(part.is_well for part in self.parts)


class SipTrunk(msgspec.Struct, frozen=True, kw_only=True):
    """A trunk of a tenant at a carrier. `account` names whose access to the carrier it is made with, `parts` the carrier's objects."""

    id: SipTrunkId
    tenant_id: TenantId
    environment: Environment
    name: str
    provider: str
    account: str
    origination: tuple[Origination, ...] = ()
    username: str | None = None
    allowed_ips: tuple[str, ...] = ()
    parts: dict[str, str] = msgspec.field(default_factory=dict)
    sip_domain: str = ""
    status: TrunkStatus
    status_detail: str | None = None
    last_test: TrunkTest | None = None
    busy_until: datetime | None = None
    created_by: str | None = None
    created_at: datetime
    updated_at: datetime

    def plan(self, password: str | None = None) -> TrunkPlan:
        """What the carrier is to have of it."""
        return TrunkPlan(
            reference=self.id,
            name=self.name,
            origination=self.origination,
            username=self.username,
            password=password,
            allowed_ips=self.allowed_ips,
        )

"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import AgentId, PhoneNumberId, SipTrunkId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_providers.ports.numbers import NumberFeature


class LineStatus(StrEnum):
    """What has become of a number. `PROVISIONING` is being bought, `RELEASING` being given back: a reconciler ends both whatever happens.
    The last two are ends: the number is not the tenant's."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    RELEASING = "releasing"
    FAILED = "failed"
    RELEASED = "released"


class LineSource(StrEnum):
    """How a number came here: bought for the tenant, or rented by the account before."""

    PURCHASE = "purchase"
    EXISTING = "existing"


class PhoneLine(msgspec.Struct, frozen=True, kw_only=True):
    """A telephone number of a tenant, in E.164. `account` names whose access to the carrier it is rented with; `provider_id` is its name there,
    unknown while it is being bought. `agent_id` answers its calls, and its texts too unless `sms_agent_id` does; calls to a
    number on a trunk go to the tenant's own servers."""

    id: PhoneNumberId
    tenant_id: TenantId
    environment: Environment
    phone_number: str
    provider: str
    account: str
    provider_id: str | None = None
    order_id: str | None = None
    country: str
    region: str | None = None
    locality: str | None = None
    capabilities: tuple[NumberFeature, ...]
    toll_free: bool = False
    monthly_cost_usd: float | None = None
    friendly_name: str = ""
    agent_id: AgentId | None = None
    sms_agent_id: AgentId | None = None
    trunk_id: SipTrunkId | None = None
    source: LineSource
    status: LineStatus
    status_detail: str | None = None
    configured_at: datetime | None = None
    next_check_at: datetime | None = None
    created_by: str | None = None
    created_at: datetime
    updated_at: datetime
    released_at: datetime | None = None

    @property
    def texts_agent_id(self) -> AgentId | None:
        """The agent that answers texts to this number."""
        return self.sms_agent_id or self.agent_id

    @property
    def is_live(self) -> bool:
        """Whether the number is the tenant's, or about to be."""
        return self.status not in (LineStatus.FAILED, LineStatus.RELEASED)


class LineFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which numbers of a list are wanted; None means any. Without a `status` those that have ended are left out."""

    provider: str | None = None
    agent_id: str | None = None
    capability: str | None = None
    status: str | None = None
    phone_number: str | None = None

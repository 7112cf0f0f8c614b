"""A tenant's own access to a vendor, as it travels: sealed. Who holds the key opens it, in the tenant and environment it was sealed for."""

from collections.abc import Mapping

import msgspec

from .ids import TenantId
from .tenants import Environment


class SealedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets of an account with a vendor, sealed. `options` are no secrets: region, project. `revision` rises with each change of secrets."""

    id: str
    provider: str
    revision: int
    options: Mapping[str, str] = msgspec.field(default_factory=dict)
    sealed: bytes

    @property
    def account_id(self) -> str:
        """Names the account in the state of a process: another one after each change, so that nothing remembered of the old one counts."""
        return f"{self.id}.{self.revision}"


def sealing_context(
    tenant_id: TenantId, environment: Environment, provider: str, credential_id: str
) -> tuple[str, ...]:
    """What a credential's secrets are bound to when they are sealed: nowhere else do they open."""
    return ("provider-credential", tenant_id, environment.value, provider, credential_id)

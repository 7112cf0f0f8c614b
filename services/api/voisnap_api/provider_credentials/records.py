"""Rows of this slice."""

from datetime import datetime
from enum import StrEnum

import msgspec
from voisnap_domain.ids import ProviderCredentialId, TenantId
from voisnap_domain.provider_credentials import SealedCredential
from voisnap_domain.tenants import Environment


class ProbeOutcome(StrEnum):
    """What came of asking a vendor. `REFUSED`: the key is wrong, or may not do this; `FAILED`: the vendor did not answer as it should."""

    WORKS = "works"
    REFUSED = "refused"
    FAILED = "failed"
    NOT_TESTED = "not_tested"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was asked: `kind` is llm, stt, tts, carrier or messaging."""

    kind: str
    outcome: ProbeOutcome
    detail: str


class CredentialTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test of a credential. The whole is as good as its worst part that was tested."""

    at: datetime
    outcome: ProbeOutcome
    probes: tuple[Probe, ...] = ()


class ProviderCredential(msgspec.Struct, frozen=True, kw_only=True):
    """Access of a tenant to a provider. `hints` are the ends of the secrets; `sealed_with` names the key that sealed them.

    The default one of its provider and environment is used by sessions.
    """

    id: ProviderCredentialId
    tenant_id: TenantId
    environment: Environment
    provider: str
    name: str
    options: dict[str, str]
    hints: dict[str, str]
    sealed: bytes
    sealed_with: str
    revision: int
    is_default: bool
    last_test: CredentialTest | None = None
    created_by: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def as_sealed(self) -> SealedCredential:
        """As it travels to who uses it."""
        return SealedCredential(
            id=self.id, provider=self.provider, revision=self.revision, options=self.options, sealed=self.sealed
        )


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that a tenant has own access to, and the names of its secrets."""

    provider: str
    secrets: tuple[str, ...]


class CredentialOwner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a credential is, and where it is used."""

    tenant_id: TenantId
    environment: Environment

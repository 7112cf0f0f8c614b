"""Tenants' own accounts, opened in the memory of the process that calls the vendor."""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from voisnap_domain.ids import TenantId
from voisnap_domain.provider_credentials import SealedCredential, sealing_context
from voisnap_domain.tenants import Environment

from .accounts import PROVIDERS, Account
from .errors import ProviderUnconfigured

Unseal = Callable[[bytes, tuple[str, ...]], bytes]
"""Opens what was sealed in a context. Raises DomainError when it can't."""

_SECRETS = msgspec.json.Decoder(dict[str, str])


class TenantAccounts:
    """Makes accounts of sealed credentials.

    Where a vendor is reached is the operator's business: addresses come from the platform's environment, whoever's key is used. Secrets never
    do: what is done with the platform's keys is counted, limited and paid as the platform's.
    """

    def __init__(self, unseal: Unseal | None, environ: Mapping[str, str]) -> None:
        self._unseal = unseal
        self._addresses = {provider: _addresses(provider, environ) for provider in PROVIDERS}

    def opened(
        self, credentials: Iterable[SealedCredential], *, tenant_id: TenantId, environment: Environment
    ) -> dict[str, Account]:
        """The accounts by vendor. Raises ProviderUnconfigured where this process has no key, DomainError for what does not open."""
        return {one.provider: self._opened(one, tenant_id, environment) for one in credentials}

    def _opened(self, sealed: SealedCredential, tenant_id: TenantId, environment: Environment) -> Account:
        if self._unseal is None:
            raise ProviderUnconfigured(
                f"The credentials of {sealed.provider} can't be opened on this installation: it needs VOISNAP_SEALING_KEYS."
            )
        context = sealing_context(tenant_id, environment, sealed.provider, sealed.id)
        secrets = _SECRETS.decode(self._unseal(sealed.sealed, context))
        return Account(
            id=sealed.account_id,
            provider=sealed.provider,
            secrets=secrets,
            options={**self._addresses[sealed.provider], **sealed.options},
        )


def _addresses(provider: str, environ: Mapping[str, str]) -> dict[str, str]:
    wanted = (one for one in PROVIDERS[provider] if one.is_address)
    return {one.name: value for one in wanted if (value := environ.get(one.variable, "").strip())}

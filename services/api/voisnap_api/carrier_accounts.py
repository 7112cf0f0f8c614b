"""Whose access to a carrier or a messaging network is used: the platform's, the simulator's, or a tenant's own.

Each environment has accounts of its own kind, and no other is ever given out for it: the sandbox has the simulator's alone.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import ProviderCredentialId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.work import Work
from voisnap_providers.accounts import PLATFORM, PROVIDERS, Account, missing, platform_accounts
from voisnap_providers.carriers import (
    CARRIERS,
    SIMULATOR,
    Carrier,
    Carriers,
    check_environment,
    load,
    simulator_accounts,
)
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.numbering import country_of
from voisnap_providers.tenant_accounts import TenantAccounts

from voisnap_api.provider_credentials import usecases as credentials

_OWN = "pcred_"

_log = log.get(__name__)


class AccountOwner(msgspec.Struct, frozen=True, kw_only=True):
    """In which environment an account is used, and by whom; `tenant_id` is None for those that tenants share."""

    environment: Environment
    tenant_id: TenantId | None = None


class CarrierAccounts:
    """The accounts of this process. `environ` holds the platform's; `simulator_file` those that the simulator's launcher wrote."""

    def __init__(self, tenants: TenantAccounts, environ: Mapping[str, str], simulator_file: Path | None = None) -> None:
        self._tenants = tenants
        self._platform = platform_accounts(environ)
        self._simulator_file = simulator_file
        self._simulated: dict[str, Account] = {}
        self._read: tuple[int, int] | None = None
        self._carriers: Carriers | None = None

    async def account(self, work: Work, provider: str, account: str, environment: Environment) -> Account:
        """One account, opened. A tenant's own is one of the caller's. Raises NotFound, ProviderUnconfigured."""
        if provider not in PROVIDERS:
            raise NotFound("provider", provider)
        if account.startswith(_OWN):
            found = await self._own(work, provider, account, environment)
        elif account in (PLATFORM, SIMULATOR):
            shared = self._platform if account == PLATFORM else self._simulators()
            if provider not in shared:
                raise missing(provider, "carrier") if account == PLATFORM else _no_simulator(provider)
            found = shared[provider]
        else:
            raise NotFound("account", account)
        check_environment(found, environment)
        return found

    async def carrier(self, work: Work, provider: str, account: str, environment: Environment) -> Carrier:
        """The carrier behind an account. Raises NotFound, ProviderUnconfigured."""
        found = await self.account(work, provider, account, environment)
        if self._carriers is None:
            self._carriers = Carriers()  # it wants the running event loop
        return self._carriers.of(found, environment)

    def warm(self) -> None:
        """Load what the carriers of this process need, and the numbering plans, so that no first call waits for it."""
        for provider in CARRIERS:
            if provider in self._platform or provider in self._simulators():
                load(provider)
        country_of("+14155550100")

    async def owner(self, work: Work, account: str) -> AccountOwner | None:
        """Who uses an account; None for one that nobody has. `work` is the system's: nobody has said yet who he is."""
        if account == PLATFORM:
            return AccountOwner(environment=Environment.LIVE)
        if account == SIMULATOR:
            return AccountOwner(environment=Environment.SANDBOX)
        if not account.startswith(_OWN):
            return None
        found = await credentials.owner_of(work, ProviderCredentialId(account))
        return None if found is None else AccountOwner(environment=found.environment, tenant_id=found.tenant_id)

    async def aclose(self) -> None:
        """Close every connection to a carrier."""
        if self._carriers is not None:
            await self._carriers.aclose()

    async def _own(self, work: Work, provider: str, account: str, environment: Environment) -> Account:
        tenant_id = work.caller.tenant_id
        sealed = await credentials.sealed_credential(work, ProviderCredentialId(account), environment)
        if sealed is None or sealed.provider != provider:
            raise NotFound("account", account)
        return self._tenants.opened((sealed,), tenant_id=tenant_id, environment=environment)[provider]

    def _simulators(self) -> Mapping[str, Account]:
        """As the file has them now: its launcher may come, go and come again while this process lives."""
        try:
            stat = self._simulator_file.stat() if self._simulator_file else None
        except OSError:
            stat = None
        read = None if stat is None else (stat.st_mtime_ns, stat.st_size)
        if read != self._read:
            try:
                self._simulated, self._read = simulator_accounts(self._simulator_file), read
            except (OSError, msgspec.MsgspecError) as error:  # it is being written: the next look finds it whole
                _log.warning("carrier.simulator_unread", error=repr(error))
        return self._simulated


def _no_simulator(provider: str) -> ProviderUnconfigured:
    return ProviderUnconfigured(f"The sandbox has no {provider} on this installation: its simulator is not running.")

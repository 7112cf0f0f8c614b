"""The messaging networks behind accounts, as this process reaches them."""

from voisnap_domain.errors import NotFound
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Work
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.messengers import Messenger, Messengers

from voisnap_api.carrier_accounts import CarrierAccounts


class Networks:
    """One a process; close it with `aclose`."""

    def __init__(self, accounts: CarrierAccounts) -> None:
        self.accounts = accounts
        self._messengers: Messengers | None = None

    async def messenger(self, work: Work, provider: str, account: str, environment: Environment) -> Messenger:
        """The network behind an account of the caller's. Raises NotFound, ProviderUnconfigured."""
        found = await self.accounts.account(work, provider, account, environment)
        if self._messengers is None:
            self._messengers = Messengers()  # it wants the running event loop
        return self._messengers.of(found, environment)

    async def find(self, work: Work, provider: str, account: str, environment: Environment) -> Messenger | None:
        """The same; None where the account is gone."""
        try:
            return await self.messenger(work, provider, account, environment)
        except (NotFound, ProviderUnconfigured):
            return None

    async def aclose(self) -> None:
        """Close every connection to a network."""
        if self._messengers is not None:
            await self._messengers.aclose()

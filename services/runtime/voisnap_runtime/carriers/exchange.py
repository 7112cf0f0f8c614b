"""What is asked of a call's carrier beside its media: with whose account, and how often it is tried."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from voisnap_domain.errors import DomainError
from voisnap_domain.sessions import SessionPlan
from voisnap_kit import log
from voisnap_kit.backoff import Backoff
from voisnap_providers import accounts, carriers
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.ports.carrier import CallControl
from voisnap_providers.tenant_accounts import TenantAccounts

HANG_UP_SECONDS = 3.0
ATTEMPTS = 4

_log = log.get(__name__)


class Exchange:
    """The carriers of this process's calls, with the account that a session's `leg` names: the platform's, one that its plan brings along, or
    the simulator's, from `simulator_file`, which may be written while this runs. Make it inside the running event loop."""

    def __init__(
        self,
        *,
        platform: Mapping[str, Account],
        tenants: TenantAccounts,
        simulator_file: Path | None = None,
    ) -> None:
        self._platform = platform
        self._tenants = tenants
        self._simulator_file = simulator_file
        self._simulated: Mapping[str, Account] = {}
        self._carriers = carriers.Carriers()
        self._hanging_up: set[asyncio.Task[None]] = set()

    def control_of(self, plan: SessionPlan) -> CallControl:
        """Who commands the carrier of a session's call. Raises ProviderUnconfigured where there is no such account, and DomainError for one
        that can't be opened."""
        if plan.leg is None:
            raise ProviderUnconfigured("This session is no telephone call.")
        account = self._account(plan, plan.leg.provider, plan.leg.account)
        return self._carriers.of(account, plan.environment).control

    async def hang_up(self, plan: SessionPlan, call_id: str) -> None:
        """End a call at its carrier, trying some times; the last failure is logged. It is tried on when whoever waits for it gives up."""
        await asyncio.shield(self._hanging(plan, call_id))

    def hang_up_soon(self, plan: SessionPlan, call_id: str) -> None:
        """The same for somebody who does not wait."""
        self._hanging(plan, call_id)

    async def aclose(self) -> None:
        """Give up what is still being tried, and close every connection."""
        tasks = tuple(self._hanging_up)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        await self._carriers.aclose()

    def _hanging(self, plan: SessionPlan, call_id: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._hang_up(plan, call_id), name=f"hang up {plan.session_id}")
        self._hanging_up.add(task)
        task.add_done_callback(self._hanging_up.discard)
        return task

    async def _hang_up(self, plan: SessionPlan, call_id: str) -> None:
        if not call_id:
            return
        pauses = Backoff(first=0.3, cap=2.0)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(HANG_UP_SECONDS):
                    await self.control_of(plan).hang_up(call_id)
                return
            except (ProviderError, DomainError, TimeoutError) as error:
                retryable = isinstance(error, TimeoutError) or getattr(error, "retryable", False)
                if not retryable or attempt == ATTEMPTS:
                    _log.error("carrier.not_hung_up", session_id=plan.session_id, attempts=attempt, error=repr(error))
                    return
            await asyncio.sleep(pauses.next())

    def _account(self, plan: SessionPlan, provider: str, name: str) -> Account:
        match name:
            case accounts.PLATFORM:
                found = self._platform.get(provider)
            case carriers.SIMULATOR:
                found = self._of_simulator(provider)
            case _:
                named = [one for one in plan.credentials if one.id == name]
                found = self._tenants.opened(named, tenant_id=plan.tenant_id, environment=plan.environment).get(
                    provider
                )
        if found is None:
            raise ProviderUnconfigured(f"The account {name} with {provider} is not set up on this installation.")
        return found

    def _of_simulator(self, provider: str) -> Account | None:
        if provider not in self._simulated:
            self._simulated = carriers.simulator_accounts(self._simulator_file)
        return self._simulated.get(provider)

"""Who reads a conversation: the agent's own language model where it can be asked, else the analyst of this machine."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from voisnap_domain.agents import AnalysisConfig, Llm
from voisnap_domain.analysis import Dialogue, Said
from voisnap_domain.conversations import ConversationStatus, Speaker
from voisnap_domain.provider_credentials import SealedCredential
from voisnap_domain.sessions import Channel, Direction
from voisnap_kit import log
from voisnap_kit.sealing import CannotOpen
from voisnap_kit.work import Caller
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.ports.analysis import Analysed, Analyst
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_providers.vendors import factories

_log = log.get(__name__)

_REHEARSAL = Dialogue(
    said=(Said(speaker=Speaker.USER, text="I have a question about my bill."),),
    config=AnalysisConfig(),
    language="en",
    channel=Channel.PHONE,
    direction=Direction.INBOUND,
    status=ConversationStatus.COMPLETED,
    end_reason=None,
    started_at=datetime(2000, 1, 1, tzinfo=UTC),
)

WARM_AFTER_SECONDS = 30.0
"""When a process that nobody asked yet makes itself ready: later than what starts with it, which needs the processors now."""


class AnalystRegistry(Protocol):
    """What is needed of `voisnap_providers.registry.Registry`."""

    def analyst(self, name: str) -> Analyst: ...

    def llm_analyst(self, settings: Llm, own: Mapping[str, Account]) -> Analyst: ...

    async def warm(self, kinds: Iterable[str]) -> None: ...


class Analysts:
    """Asks the agent's model first, with the tenant's own access if there is one, and the local analyst when there is none or when it fails."""

    def __init__(self, registry: AnalystRegistry, accounts: TenantAccounts) -> None:
        self._registry = registry
        self._accounts = accounts
        self._loading = asyncio.Lock()

    async def warm(self) -> None:
        """Wait a while, then have the local analyst read once unheard: loading it and its first reading take a second and 200 MB."""
        await asyncio.sleep(WARM_AFTER_SECONDS)
        with contextlib.suppress(ProviderError):
            await (await self._local()).analyse(_REHEARSAL)

    async def analyse(
        self, caller: Caller, dialogue: Dialogue, llm: Llm, credentials: tuple[SealedCredential, ...] = ()
    ) -> Analysed:
        """What a conversation's words tell; never fails for a model's sake. Raises ProviderError when this machine can't read it either.

        `credentials` are sealed ones of the caller's tenant.
        """
        warnings: tuple[str, ...] = ()
        try:
            own = self._accounts.opened(credentials, tenant_id=caller.tenant_id, environment=caller.environment)
            await asyncio.to_thread(factories.load, [("llm", llm.provider.value)])  # costs nothing the second time
            return await self._registry.llm_analyst(llm, own).analyse(dialogue)
        except CannotOpen:
            _log.error("analysis.credential_unreadable", provider=llm.provider.value)
            warnings = (f"The credential for {llm.provider} could not be opened; the analysis was made without it.",)
        except ProviderUnconfigured:
            pass  # no such model here, or no key for it: the usual case of the embedded default
        except ProviderError as error:
            _log.warning(
                "analysis.fell_back", provider=error.provider, retryable=error.retryable, error=type(error).__name__
            )
            warnings = (f"The language model of {error.provider} could not be used; the analysis was made without it.",)
        found = await (await self._local()).analyse(dialogue)
        return msgspec.structs.replace(found, warnings=(*warnings, *found.warnings))

    async def _local(self) -> Analyst:
        """The analyst of this machine; its model is loaded off the loop when it is first asked for."""
        async with self._loading:
            with contextlib.suppress(ProviderError):  # then it goes by words and rules, and says so
                await self._registry.warm(("analysis",))
        return self._registry.analyst("local")

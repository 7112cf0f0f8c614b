"""Who reads a conversation: the agent's own language model where it can be asked, else the analyst of this machine."""

import contextlib
from typing import Protocol

import msgspec
from voisnap_domain.agents import Llm
from voisnap_domain.analysis import Dialogue
from voisnap_kit import log
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.ports.analysis import Analysed, Analyst
from voisnap_providers.registry import Registry

_log = log.get(__name__)


class AnalystRegistry(Protocol):
    """What is needed of `voisnap_providers.registry.Registry`."""

    def analyst(self, name: str) -> Analyst: ...

    def llm_analyst(self, settings: Llm) -> Analyst: ...


async def warm(registry: Registry) -> None:
    """Load what the local analyst needs before the first conversation ends."""
    with contextlib.suppress(
        ProviderError
    ):  # without its model it reads by rules; the analyst itself says so in the log
        await registry.warm(("analysis",))


class Analysts:
    """Asks the agent's model first, and the local analyst when there is none or when it fails."""

    def __init__(self, registry: AnalystRegistry) -> None:
        self._registry = registry

    async def analyse(self, dialogue: Dialogue, llm: Llm) -> Analysed:
        """What a conversation's words tell; never fails for a model's sake. Raises ProviderError when this machine can't read it either."""
        warnings: tuple[str, ...] = ()
        try:
            return await self._registry.llm_analyst(llm).analyse(dialogue)
        except ProviderUnconfigured:
            pass  # no such model here, or no key for it: the usual case of the embedded default
        except ProviderError as error:
            _log.warning(
                "analysis.fell_back", provider=error.provider, retryable=error.retryable, error=type(error).__name__
            )
            warnings = (f"The language model of {error.provider} could not be used; the analysis was made without it.",)
        found = await self._registry.analyst("local").analyse(dialogue)
        return msgspec.structs.replace(found, warnings=(*warnings, *found.warnings))

"""Reading finished conversations."""

from typing import Protocol

import msgspec
from voisnap_domain.analysis import AnalysisMethod, Dialogue, Findings
from voisnap_domain.costs import LlmUsage


class Analysed(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, by whom, and what it used. `warnings` are for the owner of the agent."""

    findings: Findings
    method: AnalysisMethod
    usage: LlmUsage | None = None
    warnings: tuple[str, ...] = ()


class Analyst(Protocol):
    provider: str

    async def analyse(self, dialogue: Dialogue) -> Analysed:
        """What a conversation's words tell. Raises ProviderError."""
        ...

    async def aclose(self) -> None: ...

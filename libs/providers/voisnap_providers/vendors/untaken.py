"""What models turn out not to take: a table of models is out of date the day a vendor brings a new one."""

from collections.abc import Awaitable, Callable, Set
from typing import TypeVar

from voisnap_providers.errors import ProviderError

MAX_MODELS = 500

_T = TypeVar("_T")


class NotTakenError(ProviderError):
    """The vendor refused a request for one optional part of it, `part`. Without it the same request may work."""

    def __init__(self, part: str, *, provider: str) -> None:
        super().__init__(f"The model does not take {part}.", provider=provider, kind="llm", retryable=False)
        self.part = part


class Untaken:
    """Remembers, for every model, the parts that it does not take, so that each is tried once.

    A refusal alone proves nothing: it may quote one customer's words, or blame a part for what is wrong elsewhere. Remembered, for everybody
    who uses the account, is what a request could do without and worked.
    """

    def __init__(self) -> None:
        self._parts: dict[str, frozenset[str]] = {}

    async def asked(self, model: str, ask: Callable[[Set[str]], Awaitable[_T]]) -> _T:
        """What `ask` gives without the parts that the model does not take. Raises a refusal of what was left out already."""
        without = known = self._parts.get(model, frozenset())
        while True:
            try:
                answer = await ask(without)
            except NotTakenError as refusal:
                if refusal.part in without:
                    raise
                without |= {refusal.part}
            else:
                if without != known:
                    self._learn(model, without)
                return answer

    def _learn(self, model: str, parts: frozenset[str]) -> None:
        if model not in self._parts and len(self._parts) >= MAX_MODELS:
            self._parts.pop(next(iter(self._parts)))
        self._parts[model] = self._parts.get(model, frozenset()) | parts

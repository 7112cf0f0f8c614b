"""What models turn out not to take: a table of models is out of date the day a vendor brings a new one."""

from voisnap_providers.errors import ProviderError

MAX_MODELS = 500


class NotTakenError(ProviderError):
    """The vendor refused a request for one optional part of it, `part`. Without it the same request may work."""

    def __init__(self, part: str, *, provider: str) -> None:
        super().__init__(f"The model does not take {part}.", provider=provider, kind="llm", retryable=False)
        self.part = part


class Untaken:
    """Remembers, for every model, the parts that were refused, so that each is tried once."""

    def __init__(self) -> None:
        self._parts: dict[str, frozenset[str]] = {}

    def of(self, model: str) -> frozenset[str]:
        """What to leave out for a model."""
        return self._parts.get(model, frozenset())

    def learn(self, model: str, refusal: NotTakenError) -> None:
        """Remember a refusal. Raises it where it was known: the part was left out, and leaving it out again would not help."""
        known = self.of(model)
        if refusal.part in known:
            raise refusal
        if model not in self._parts and len(self._parts) >= MAX_MODELS:
            self._parts.pop(next(iter(self._parts)))
        self._parts[model] = known | {refusal.part}

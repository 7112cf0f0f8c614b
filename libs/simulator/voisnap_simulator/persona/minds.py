"""Who thinks for people with a goal: a language model where one is wanted and the platform has an account with its provider, rules else."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError

from .behaviour import Behaviour, Brain
from .follower import GoalFollower
from .goal import goal_of
from .mind import Mind

Note = Callable[..., None]
_RULES = frozenset({"local", "scripted"})


class Minds:
    """`accounts` are the platform's own, by provider. Make it inside the running event loop."""

    def __init__(self, models: Path | None, accounts: Mapping[str, Account]) -> None:
        self._models, self._accounts = models, accounts
        self._registry: Any = None

    def mind(self, behaviour: Behaviour, own_number: str, note: Note) -> Mind:
        """A mind for one conversation; notes which brain it has, and why not the one that was asked for."""
        rules = GoalFollower(goal_of(behaviour.goal), own_number=own_number, most_turns=behaviour.most_turns)
        brain = behaviour.brain
        if brain is None or brain.provider in _RULES:
            note("brain", brain="local")
            return rules
        try:
            model, settings = self._model(brain)
        except (ProviderError, ValueError) as error:
            note("brain", brain="local", why=str(error)[:300])
            return rules
        from .model_mind import ModelMind  # noqa: PLC0415 - most people need none

        note("brain", brain=f"{brain.provider}/{brain.model}")
        return ModelMind(
            model,
            settings,
            behaviour.goal,
            instead=rules,
            own_number=own_number,
            most_turns=behaviour.most_turns,
        )

    def _model(self, brain: Brain) -> tuple[Any, Any]:
        from voisnap_domain.agents import LlmProvider  # noqa: PLC0415 - see above
        from voisnap_providers.registry import ProviderSettings, Registry  # noqa: PLC0415

        from .model_mind import settings_of  # noqa: PLC0415

        if self._registry is None:
            folder = self._models or Path("models")
            self._registry = Registry(ProviderSettings(models_dir=folder, threads=1, accounts=self._accounts))
        provider = LlmProvider(brain.provider)
        return self._registry.llm(provider), settings_of(provider, brain.model, brain.base_url)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._registry is not None:
            await self._registry.aclose()

"""The local analyst: every part of an analysis in one pass, in a worker thread of the inference pool."""

from collections import OrderedDict

import numpy as np
from voisnap_domain.analysis import (
    AnalysisMethod,
    Dialogue,
    Findings,
    Outcome,
    sentiment_of,
)

from voisnap_providers.errors import ProviderError
from voisnap_providers.inference import InferencePool, PoolClosedError, PoolFullError, Priority
from voisnap_providers.ports.analysis import Analysed
from voisnap_providers.vendors.local.wire import PROVIDER

from . import outcomes
from .entities import entities_of
from .fields import FieldReader, Known
from .purposes import PurposeFinder
from .reading import Embed, read
from .sentiment import SentimentReader
from .summary import summary_of
from .topics import topics_of

TEXTS_KEPT = 4096

_SERVICE = {
    Outcome.RESOLVED: "Agent dealt with the customer's request.",
    Outcome.ESCALATED: "Agent handed the customer to a person.",
    Outcome.CALLBACK_SCHEDULED: "Agent arranged a call back.",
    Outcome.UNRESOLVED: "Agent could not settle the customer's request.",
    Outcome.ABANDONED: "The conversation ended before the agent could help.",
    Outcome.VOICEMAIL: "Agent reached an answering machine.",
}


class LocalReader:
    """Reads a dialogue; call from a worker thread. Without `embed` it goes by words and rules alone."""

    def __init__(self, embed: Embed | None) -> None:
        self._texts: OrderedDict[str, np.ndarray] = OrderedDict()
        remembered = self._remembering(embed) if embed is not None else None
        self._sentiment = SentimentReader(remembered)
        self._purposes = PurposeFinder(remembered)
        self._fields = FieldReader(remembered)

    def __call__(self, dialogue: Dialogue) -> Findings:
        """What the words tell, as far as the config asks for it."""
        config = dialogue.config
        reading = read(dialogue)
        score, breakdown = self._sentiment.read(reading)
        sentiment = sentiment_of(score)
        mood = breakdown.user if breakdown.user is not None else 0.5
        purpose = self._purposes.find(reading, end_reason=dialogue.end_reason, mood=mood)
        outcome = outcomes.outcome(reading, status=dialogue.status, end_reason=dialogue.end_reason)
        entities = entities_of(reading.lines)
        summary = summary_of(reading, dialogue, purpose=purpose, outcome=outcome, sentiment=sentiment)
        known = Known(
            outcome=outcome,
            sentiment=sentiment,
            purpose=purpose,
            entities=entities,
            summary=summary,
            started_at=dialogue.started_at,
        )
        return Findings(
            sentiment=sentiment if config.sentiment_analysis else None,
            sentiment_score=score if config.sentiment_analysis else None,
            sentiment_breakdown=breakdown if config.sentiment_analysis else None,
            intent=purpose.label if purpose is not None and config.intent_detection else None,
            entities=entities,
            topics=topics_of(reading, purpose),
            summary=summary if config.summary_enabled else None,
            custom_fields=self._fields.read(config.custom_fields, reading, known),
            outcome=outcome.value,
            agent_performance=_SERVICE[outcome],
        )

    def _remembering(self, embed: Embed) -> Embed:
        """The model, which is not asked again for a text it was asked for lately."""

        def vectors(texts: tuple[str, ...]) -> np.ndarray:
            missing = tuple(dict.fromkeys(text for text in texts if text not in self._texts))
            if missing:
                self._texts.update(zip(missing, embed(missing), strict=True))
            found = np.stack([self._texts[text] for text in texts])
            while len(self._texts) > TEXTS_KEPT:
                self._texts.popitem(last=False)
            return found

        return vectors


class LocalAnalyst:
    """The reader behind the port. Reads one dialogue at a time and gives way to everything else in the pool."""

    provider = PROVIDER

    def __init__(self, embed: Embed | None, pool: InferencePool) -> None:
        self._reader = LocalReader(embed)
        self._pool = pool

    async def analyse(self, dialogue: Dialogue) -> Analysed:
        """What the conversation's words tell. Raises ProviderError when the pool is full or closed."""
        try:
            findings = await self._pool.run(lambda: self._reader(dialogue), Priority.BACKGROUND)
        except (PoolFullError, PoolClosedError) as error:
            raise ProviderError(
                f"The local analysis cannot follow: {error}.", provider=PROVIDER, kind="analysis", retryable=True
            ) from error
        return Analysed(findings=findings, method=AnalysisMethod.LOCAL)

    async def aclose(self) -> None:
        """Nothing of its own to free."""

"""What emulators of recognisers hear with: the texts hidden in the tones of `fakes_speech.spoken`, or the local recogniser."""

import asyncio
from typing import Any

from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm
from voisnap_providers.pcm_stream import shared_times

from .fakes_speech import _hidden_texts

CONFIDENCE = 0.93


class HiddenWords:
    """The texts that the audio hides."""

    async def words(self, audio: Pcm) -> tuple[Word, ...]:
        """All words of all hidden texts, spread over the audio."""
        return _spread(" ".join(_hidden_texts(audio)).split(), audio, CONFIDENCE)


class LocalWords:
    """The local recogniser, loaded when first asked unless a model is given."""

    def __init__(self, model: Any = None) -> None:
        self._model = model
        self._loading = asyncio.Lock()

    async def words(self, audio: Pcm) -> tuple[Word, ...]:
        """What it hears; times are shared out by the length of words."""
        from voisnap_providers.vendors.local.stt import accepted  # noqa: PLC0415 - loads a model's libraries

        async with self._loading:
            if self._model is None:
                self._model = await asyncio.to_thread(_load)
        decoded = await asyncio.to_thread(self._model, audio.as_float32())
        return _spread(accepted(decoded).split(), audio, min(max(decoded.confidence, 0.01), 1.0))


def _load() -> Any:
    from voisnap_providers.vendors.local.stt import Moonshine  # noqa: PLC0415 - loads a model's libraries
    from voisnap_stack.models import models_folder  # noqa: PLC0415

    return Moonshine(models_folder() / "moonshine-tiny-en")


def _spread(words: list[str], audio: Pcm, confidence: float) -> tuple[Word, ...]:
    margin = min(0.1, audio.seconds / 4)
    times = shared_times(words, margin, audio.seconds - margin) if words else []
    return tuple(
        Word(word=word, start_time=start, end_time=end, confidence=confidence)
        for word, (start, end) in zip(words, times, strict=True)
    )

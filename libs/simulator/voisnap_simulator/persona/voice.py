"""The voice of simulated people and of the carriers' announcements."""

import asyncio
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from voisnap_media.pcm import Samples

    from .manner import Manner

MOST_KEPT = 256
"""Lines that are spoken once and kept."""
WORD_SECONDS = 0.32


class Voice(Protocol):
    async def spoken(self, text: str, manner: "Manner | None" = None) -> "Samples":
        """A text at 16 kHz, in the manner that is asked for; its noise is another's business."""
        ...


class LocalVoice(Voice):
    """The voice that the platform itself speaks with (`voisnap_providers.vendors.local`), loaded with the first word."""

    def __init__(self) -> None:
        self._model: Any = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, Manner | None], Samples] = OrderedDict()

    async def spoken(self, text: str, manner: "Manner | None" = None) -> "Samples":
        kept = self._kept.get((text, manner))
        if kept is None:
            kept = self._kept[text, manner] = await asyncio.to_thread(self._speak, text, manner)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return kept

    def _speak(self, text: str, manner: "Manner | None") -> "Samples":
        # Loaded with the first word: 150 MB that a simulator nobody talks to does without.
        import numpy as np  # noqa: PLC0415
        from voisnap_media.pcm import Pcm  # noqa: PLC0415
        from voisnap_providers.vendors.local.normalise import sentences  # noqa: PLC0415
        from voisnap_providers.vendors.local.tts import RATE, HibariVoice  # noqa: PLC0415

        from voisnap_simulator.voice.sound import at_line_rate  # noqa: PLC0415

        from .manner import PLAIN, in_manner, spoken_speed  # noqa: PLC0415

        manner = manner or PLAIN
        with self._lock:  # one line at a time: the platform's own speech wants the other core
            if self._model is None:
                self._model = HibariVoice()
            takes = [self._model(sentence, spoken_speed(manner)) for sentence in sentences(text)]
        sounds = [Pcm.from_float32(take.audio, RATE).samples for take in takes if take is not None]
        sound = at_line_rate(Pcm(np.concatenate(sounds) if sounds else np.zeros(0, np.int16), RATE))
        return in_manner(sound, manner)


class Tones(Voice):
    """No words: a tone as long as they would take. For tests, and where there is no model."""

    async def spoken(self, text: str, manner: "Manner | None" = None) -> "Samples":
        from voisnap_simulator.voice.sound import tone  # noqa: PLC0415

        del manner
        return tone((180.0, 360.0, 720.0), WORD_SECONDS * max(1, len(text.split())), 0.2)

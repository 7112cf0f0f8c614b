"""Speech to text.

A stream belongs to one caller for one call. Its calls are synchronous and never block: audio goes into a bounded queue, results come out of the
async iteration. The caller's ear decides when a turn is over and says so with `flush`; `pause` is an early hint that lets a recogniser start
decoding while the ear still waits out the end-of-turn silence.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

import msgspec
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word

if TYPE_CHECKING:  # it comes with numpy: 120 ms and 25 MB of every process that handles no sound
    from voisnap_media.pcm import Pcm


class SttCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`continuous`: wants all audio, silence included; else only speech with some margin. `sample_rate`: Hz it is fed with.

    `endpoints`: says itself when an utterance is over (`Transcript.ends_utterance`).
    """

    interim_results: bool
    word_timings: bool
    continuous: bool
    sample_rate: int = 16000
    languages: tuple[str, ...] = ("en",)
    endpoints: bool = False


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of recognised speech. `utterance` counts flushes from 0; times of words are seconds since the first sample ever pushed.

    `is_prepared`: an interim result that a `flush` would repeat unless more is said, worked out after `pause`. `ends_utterance`: an interim
    result with which the recogniser says that the caller is done.
    """

    utterance: int
    text: str
    is_final: bool
    confidence: float
    words: tuple[Word, ...] = ()
    audio_seconds: float = 0.0
    decode_ms: float = 0.0
    is_prepared: bool = False
    ends_utterance: bool = False


class SttStream(Protocol):
    def push(self, audio: "Pcm") -> None:
        """Hand over audio at the capability's rate. Never blocks; beyond its bound the oldest audio of the utterance is dropped and counted."""
        ...

    def pause(self) -> None:
        """The caller went silent and may be done: prepare the final result. Speech may go on afterwards."""
        ...

    def flush(self) -> None:
        """The turn is over: exactly one Transcript with `is_final` follows for it, empty text included."""
        ...

    def reset(self) -> None:
        """Forget the audio since the last flush (a noise, an echo): no final follows for it."""
        ...

    def __aiter__(self) -> AsyncIterator[Transcript]:
        """Partials and finals in order. Raises ProviderError when the recogniser fails or does not answer in time."""
        ...

    async def aclose(self) -> None:
        """Free everything; the iteration ends."""
        ...


class SpeechToText(Protocol):
    provider: str
    capabilities: SttCapabilities

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> SttStream:
        """Start listening to one caller, as the agent says: language, model, formatting. Never blocks; what a connection meets comes out of the
        iteration. `keyterms` are words that will probably be said."""
        ...

    async def aclose(self) -> None: ...

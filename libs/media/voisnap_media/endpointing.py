"""From chances of speech to stretches of speech: pure, and counted in audio time.

The gate knows nothing of turns: it says when somebody began, paused, went on and stopped. What an answer needs is
decided by the turn machine in the domain.
"""

import msgspec

from voisnap_media.vad import WINDOW_MS


class GateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where speech begins and ends. All times are milliseconds of audio."""

    start_threshold: float = 0.5
    """A window at or above this is speech."""
    stop_threshold: float = 0.35
    """While somebody speaks, a window stays speech down to this."""
    min_speech_ms: int = 64
    """Voiced audio before speech counts as begun."""
    max_gap_ms: int = 64
    """Unvoiced audio that a beginning may contain; more of it and the beginning is forgotten as noise."""
    pause_ms: int = 96
    """Unvoiced audio before a pause is told."""
    silence_duration_ms: int = 500
    """Unvoiced audio that ends the stretch of speech."""
    pre_roll_ms: int = 300
    """How much audio before the first voiced window belongs to the speech (soft consonants)."""


class SpeechStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody began to speak."""

    at_ms: int
    """Start of the first voiced window."""
    audio_from_ms: int
    """From where a recogniser should listen."""
    voiced_ms: int


class SpeechPaused(msgspec.Struct, frozen=True, kw_only=True):
    """A short silence within the speech; the end is known only later."""

    at_ms: int
    """End of the last voiced window."""
    voiced_ms: int


class SpeechResumed(msgspec.Struct, frozen=True, kw_only=True):
    """The speech goes on after a pause that was told."""

    at_ms: int
    paused_ms: int


class SpeechEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Silence for as long as the settings ask."""

    at_ms: int
    """End of the last voiced window: the true end of the speech."""
    voiced_ms: int
    detected_at_ms: int


GateEvent = SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded

_NOTHING: tuple[GateEvent, ...] = ()


class SpeechGate:
    """Hysteresis over one stream's chances of speech, one 32-ms window after the other."""

    def __init__(self, settings: GateSettings | None = None) -> None:
        self.settings = settings or GateSettings()
        self.now_ms = 0
        """Audio time: the end of the last window."""
        self.speaking = False
        """Between `SpeechStarted` and `SpeechEnded`."""
        self.paused = False
        self.voiced_ms = 0
        """Voiced audio in this stretch of speech, a beginning not yet told included."""
        self.last_voiced_ms = 0
        """End of the last voiced window."""
        self._begun_at_ms = 0
        self._voiced = False

    @property
    def silence_ms(self) -> int:
        """Audio since the last voiced window."""
        return self.now_ms - self.last_voiced_ms

    def feed(self, chance: float) -> tuple[GateEvent, ...]:
        """Take the next window's chance of speech and say what it changes."""
        settings = self.settings
        window_start = self.now_ms
        self.now_ms += WINDOW_MS
        self._voiced = chance >= (settings.stop_threshold if self._voiced else settings.start_threshold)
        if self.speaking:
            return self._voiced_on(window_start) if self._voiced else self._unvoiced()
        if self._voiced:
            return self._beginning(window_start)
        if self.voiced_ms and self.silence_ms > settings.max_gap_ms:
            self.voiced_ms = 0
        return _NOTHING

    def end(self) -> tuple[GateEvent, ...]:
        """The stream is over or cut: end a running stretch of speech now."""
        if not self.speaking:
            self.voiced_ms = 0
            return _NOTHING
        return self._ended()

    def _beginning(self, window_start: int) -> tuple[GateEvent, ...]:
        if not self.voiced_ms:
            self._begun_at_ms = window_start
        self.voiced_ms += WINDOW_MS
        self.last_voiced_ms = self.now_ms
        if self.voiced_ms < self.settings.min_speech_ms:
            return _NOTHING
        self.speaking = True
        audio_from = max(0, self._begun_at_ms - self.settings.pre_roll_ms)
        return (SpeechStarted(at_ms=self._begun_at_ms, audio_from_ms=audio_from, voiced_ms=self.voiced_ms),)

    def _voiced_on(self, window_start: int) -> tuple[GateEvent, ...]:
        paused_ms = window_start - self.last_voiced_ms
        self.voiced_ms += WINDOW_MS
        self.last_voiced_ms = self.now_ms
        if not self.paused:
            return _NOTHING
        self.paused = False
        return (SpeechResumed(at_ms=window_start, paused_ms=paused_ms),)

    def _unvoiced(self) -> tuple[GateEvent, ...]:
        if self.silence_ms >= self.settings.silence_duration_ms:
            return self._ended()
        if not self.paused and self.silence_ms >= self.settings.pause_ms:
            self.paused = True
            return (SpeechPaused(at_ms=self.last_voiced_ms, voiced_ms=self.voiced_ms),)
        return _NOTHING

    def _ended(self) -> tuple[GateEvent, ...]:
        ended = SpeechEnded(at_ms=self.last_voiced_ms, voiced_ms=self.voiced_ms, detected_at_ms=self.now_ms)
        self.speaking = self.paused = self._voiced = False
        self.voiced_ms = 0
        return (ended,)

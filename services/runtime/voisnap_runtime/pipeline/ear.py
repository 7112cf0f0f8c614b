"""The caller's side of a call: from packets to voice events and recognised words.

`feed` is called straight from the transport for every packet: it copies into a ring and, while the caller speaks, hands the packet on to the
recogniser. The voice detector runs for all ears of the process at once, one inference a tick (`VadTicker`). No task, no queue, no thread.

Time is *call audio* in milliseconds since `start`: it follows the samples that came in, and the loop's clock where none came (a muted
microphone, discontinuous transmission, loss), so that silence passes whatever the network does.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray
from voisnap_domain.conversations import Word
from voisnap_domain.turntaking import SpeechContinued, SpeechEnded, SpeechStarted, SpeechWasEcho, TurnInput
from voisnap_media import echo, endpointing
from voisnap_media.dtmf import NONE, Blocks, KeyTracker, ToneBank
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.vad import NARROW_RATE, RATE, WINDOW, WINDOW_MS, VadState
from voisnap_providers.ports.stt import SttCapabilities, SttStream

from .echo_guard import EchoGuard, Verdict
from .near_speech import POSSIBLE, NearSpeech

RING_SECONDS = 4
"""Audio kept; eight seconds when somebody judges whole turns by their sound."""
PER_MS = RATE // 1000
QUIET = 32 / 32768
"""A window that is nowhere louder than this, 60 dB below full scale, holds no voice."""
SETTLING_WINDOWS = 16
"""Windows of silence after which the voice detector hears no more of it."""
LEVEL_SAMPLES = RATE // 2
"""Sound by which the level of a voice is known."""
FADING_SAMPLES = 3 * WINDOW
"""How far back its end is looked for."""
FADED = 0.03
"""A voice that is 30 dB below its level has ended."""
PRE_ROLL_MS = 300
"""Audio before the first voiced window that a recogniser gets: soft consonants."""
MISSING_AFTER_SECONDS = 0.06
"""A pause between packets after which the missing audio counts as silence."""
COPY_DRIFT = RATE * 60 // 1000
"""Samples a recording may be off before it jumps to the right place."""

log = structlog.get_logger()

GATE = endpointing.GateSettings(min_speech_ms=32, pause_ms=96, silence_duration_ms=400, pre_roll_ms=PRE_ROLL_MS)


class VoiceModel(Protocol):
    """A voice detector for many streams at once, as `voisnap_media.vad.VadModel`."""

    def probabilities(self, windows: NDArray[np.float32], states: Sequence[VadState]) -> NDArray[np.float32]:
        """The chance of voice in one window of each stream."""
        ...


class KeySink(Protocol):
    """Takes keys heard in the audio, as `keypad.Keypad`."""

    def heard(self, key: str, at: float) -> None:
        """A key was pressed by loop time `at`."""
        ...

    def held(self, at: float) -> None:
        """It is still down."""
        ...


class _Segment(msgspec.Struct, frozen=True):
    """From `pushed` seconds of the recogniser's audio on, its time runs from `call_ms`."""

    pushed: float
    call_ms: float


class Ear:
    """One caller's ear. `happened` gets voice events as they are detected.

    `keys` gets keys heard in the audio; without it none are looked for. With a `guard` the agent's own voice, coming back, is no event; with
    `near` voices behind the caller neither interrupt nor begin a turn.
    """

    def __init__(
        self,
        stream: SttStream,
        capabilities: SttCapabilities,
        happened: Callable[[TurnInput], None],
        *,
        keys: KeySink | None = None,
        guard: EchoGuard | None = None,
        near: NearSpeech | None = None,
        memory_seconds: int = RING_SECONDS,
    ) -> None:
        if capabilities.sample_rate != RATE:
            raise ValueError(f"the ear hands on {RATE} Hz, the recogniser wants {capabilities.sample_rate} Hz")
        self._stream = stream
        self._continuous = capabilities.continuous
        self._happened = happened
        self._state = VadState()
        self._is_narrow = False
        self._gate = endpointing.SpeechGate(GATE)
        self._burst_base = self._quiet = 0
        self._keys = keys
        self.key_tracker = KeyTracker() if keys is not None else None
        """What is known of keys in the audio; None when nobody wants to know."""
        self._key_until = 0
        self._guard = guard
        self._near = near
        self.on_window: Callable[[NDArray[np.float32], float], None] | None = None
        """Gets each window the voice detector hears, 1.0 full scale, with its end in milliseconds of the call."""
        self._guarded = self._withheld = False
        self._bursts = 0
        self._skipped = 0
        self._size = memory_seconds * RATE
        self._ring: Samples = np.zeros(self._size, np.int16)
        self._written = 0
        self._read = 0
        self._pushed = 0
        self._hearing = self._continuous
        self._turn_from: int | None = None
        self._asked_from: int | None = None
        self._segments: deque[_Segment] = deque(maxlen=256)
        self._heard_samples = 0
        self._heard_before = 0.0
        self._copied = 0
        self._start = 0.0
        self._call_ms = 0.0
        self._arrived = 0.0
        self.lost_samples = 0
        """Audio dropped because the voice detector fell behind."""

    def start(self, now: float, *, elapsed: float = 0.0) -> None:
        """Call audio begins at loop time `now`, after `elapsed` seconds of the call on another process."""
        self._start = now - elapsed
        self._arrived = now
        self._call_ms = elapsed * 1000

    @property
    def is_narrow(self) -> bool:
        """Whether nothing above 4 kHz comes, as over a telephone: then every second sample says all, and the voice detector for such lines
        hears the caller, at half the cost."""
        return self._is_narrow

    def narrow(self, is_narrow: bool) -> None:
        """What line the caller is on from now on."""
        if is_narrow is not self._is_narrow:
            self._is_narrow = is_narrow
            self._state.reset()

    def listen_to(self, stream: SttStream) -> None:
        """Hand audio to another recogniser stream from now on; times of its words count from here.

        It hears again what the former one gave no final words for, as far back as the memory goes.
        """
        self._stream = stream
        self._segments.clear()
        self._heard_before = self.heard_seconds
        self._heard_samples = 0
        self._hearing = self._continuous or self._turn_from is not None
        self._pushed = self._written
        start = self._turn_from if self._asked_from is None else self._asked_from
        if start is not None and start < self._written:
            start = max(start, self._written - self._size)
            self._segments.append(_Segment(0.0, self._time_of(start)))
            self._push(Pcm(self._between(start, self._written).copy(), RATE))

    def adapt(self, capabilities: SttCapabilities) -> None:
        """Another recogniser goes on in the same stream: give it what it wants, all audio or speech alone."""
        self._continuous = capabilities.continuous
        hears = self._continuous or self._turn_from is not None
        if hears and not self._hearing:
            self._segments.append(_Segment(self._heard_samples / RATE, self._call_ms))
            self._pushed = self._written
        self._hearing = hears

    def answered(self) -> None:
        """All final words that were asked for have come, or never will."""
        self._asked_from = None

    # --- time

    def now_ms(self, now: float) -> float:
        """Call audio at loop time `now`."""
        return self._call_ms + max(0.0, now - self._arrived) * 1000

    def loop_time(self, at_ms: float) -> float:
        """The loop time at which a moment of call audio arrived, or will arrive."""
        return self._arrived - (self._call_ms - at_ms) / 1000

    def words_in_call(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Words with times of the recogniser's audio, as seconds of the call."""
        return tuple(
            msgspec.structs.replace(
                word, start_time=self._in_call(word.start_time), end_time=self._in_call(word.end_time)
            )
            for word in words
        )

    @property
    def heard_seconds(self) -> float:
        """Audio handed to recognisers so far."""
        return self._heard_before + self._heard_samples / RATE

    # --- audio

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        """Take a packet of 16 kHz audio that arrived at loop time `arrived_at`. Raises `ValueError` for another rate."""
        if audio.rate != RATE:
            raise ValueError(f"the ear takes {RATE} Hz, got {audio.rate} Hz")
        self._take(audio.samples, arrived_at)
        if self._hearing:
            self._push(audio if not self._hears_key else Pcm(np.zeros(len(audio), np.int16), RATE))

    def fill(self, now: float) -> None:
        """Let silence stand in for audio that did not come."""
        missing = now - self._arrived
        if missing < MISSING_AFTER_SECONDS:
            return
        count = min(int(missing * RATE), self._size)
        silence = Pcm(np.zeros(count, np.int16), RATE)
        self._take(silence.samples, now)
        if self._hearing:
            self._push(silence)

    def due_window(self, now: float) -> Samples | None:
        """The next whole window at loop time `now`, or None; silence stands in for audio that is missing by then."""
        if now - self._arrived >= MISSING_AFTER_SECONDS:
            self.fill(now)
        return self.window() if self._written - self._read >= WINDOW else None

    def window(self) -> Samples | None:
        """The next whole window for the voice detector, or None."""
        if self._written - self._read < WINDOW:
            return None
        start = self._read
        self._read += WINDOW
        return self._between(start, self._read)

    def is_worth_judging(self, peak: float) -> bool:
        """Whether the next window needs the network, by its peak. Half a second of silence does, so that its memory settles."""
        if peak > QUIET or self._gate.speaking or self._gate.voiced_ms:
            self._quiet = 0
            return True
        self._quiet += 1
        return self._quiet <= SETTLING_WINDOWS

    @property
    def read_ms(self) -> float:
        """The end of the last window."""
        return self._time_of(self._read)

    @property
    def voice_state(self) -> VadState:
        """The voice detector's memory of this caller."""
        return self._state

    def judge(self, chance: float, power: float) -> None:
        """Take the voice detector's chance for the last window, and its mean power, 1.0 full scale."""
        gate = self._gate
        if self._hears_key:
            chance = 0.0  # a key is no voice
        elif self._near is not None and chance >= POSSIBLE:
            agent_sounds = self._guard is not None and self._guard.is_audible
            chance = self._near.judge(power, chance, at_ms=gate.now_ms + WINDOW_MS, agent_sounds=agent_sounds)
        changes = gate.feed(chance)
        for change in changes:
            match change:
                case endpointing.SpeechStarted(voiced_ms=voiced):
                    self._burst_began(voiced)
                case endpointing.SpeechResumed():
                    self._burst_began(WINDOW_MS)
                case endpointing.SpeechPaused():
                    self._burst_ended()
                case endpointing.SpeechEnded():
                    pass
        if not changes and gate.speaking and not gate.paused and gate.silence_ms == 0:
            self._burst_went_on()

    # --- bursts of voice

    def _burst_began(self, voiced_ms: int) -> None:
        self._burst_base = self._gate.voiced_ms - voiced_ms
        self._guarded = self._withheld = False
        if self._guard is not None:
            self._guard.begin()
            self._guarded, self._withheld = self._guard.is_audible, self._guard.withholds
        if not self._withheld:
            self._tell_burst(voiced_ms)

    def _burst_went_on(self) -> None:
        voiced_ms = self._gate.voiced_ms - self._burst_base
        if self._guard is not None and self._guarded:
            verdict = self._guard.judge(self._lately(), RATE, voiced_ms, self._heard_at)
            if self._withheld:
                if verdict is Verdict.CALLER:
                    self._release(voiced_ms - self._guard.echoed_ms)
                return
            if verdict is Verdict.ECHO:
                self._take_back()
                return
        self._happened(SpeechContinued(self._time_of(self._read), float(voiced_ms)))

    def _burst_ended(self) -> None:
        if self._guard is not None and self._guarded:
            verdict = self._guard.end(self._lately(), RATE, self._gate.voiced_ms - self._burst_base, self._heard_at)
            if self._withheld:
                self._skipped = self._read
                return
            if verdict is Verdict.ECHO:
                self._take_back()
                return
        self._happened(SpeechEnded(self._time_of(self._read), self._time_of(self._silent_since())))

    def _silent_since(self) -> int:
        """The sample where the voice fell silent: within its last windows, where the sound fades.

        The detector tells no more than the window and goes on for one or two after a sudden end; every answer would wait for them. Noise
        does not fade: then it is the end of the last window.
        """
        end = self._read - self._gate.silence_ms * PER_MS
        lately = np.abs(self._between(max(0, end - LEVEL_SAMPLES), end))
        sounding = np.flatnonzero(lately[-FADING_SAMPLES:] > int(lately.max(initial=0)) * FADED)
        return end - min(FADING_SAMPLES, len(lately)) + (int(sounding[-1]) + 1 if len(sounding) else 0)

    def _tell_burst(self, voiced_ms: int) -> None:
        """Voice that counts: the recogniser hears it from a little before, or from where it was left."""
        self._bursts += 1
        was_left = self._turn_from is not None
        self._hear_from(self._pushed if was_left else self._read - (voiced_ms + PRE_ROLL_MS) * PER_MS)
        self._happened(SpeechStarted(self._time_of(self._read), float(voiced_ms)))

    def _release(self, voiced_ms: int) -> None:
        """Voice that was withheld is the caller's, `voiced_ms` of it."""
        self._withheld = False
        self._burst_base = self._gate.voiced_ms - voiced_ms
        self._skipped = self._read - (voiced_ms + PRE_ROLL_MS // 2) * PER_MS
        self._tell_burst(voiced_ms)

    def _take_back(self) -> None:
        """A burst that was told is echo. What the caller said before it stays."""
        at_ms = self._time_of(self._read)
        self._withheld = True
        self._skipped = self._read
        if self._bursts > 1:
            self._happened(SpeechEnded(at_ms, self._time_of(self._read - self._burst_base * PER_MS)))
        else:
            self._happened(SpeechWasEcho(at_ms))

    def _lately(self) -> Samples:
        """The end of what the voice detector has heard, as long as the guard wants it."""
        count = min(self._read, echo.HEARD_MS * PER_MS)
        heard = self._between(self._read - count, self._read)
        return heard if len(heard) == echo.HEARD_MS * PER_MS else np.pad(heard, (echo.HEARD_MS * PER_MS - count, 0))

    @property
    def _heard_at(self) -> float:
        """The loop time at which that ended."""
        return self.loop_time(self._time_of(self._read))

    # --- looking back

    def copy(self, count: int, *, until_ms: float) -> Pcm | None:
        """The next `count` samples for a recording that runs behind the call; None where there is no audio.

        Goes on where the last copy ended, and jumps to the `count` samples before `until_ms` only when it is too far off.
        """
        wanted = self._written - round((self._call_ms - until_ms) * PER_MS) - count
        if abs(wanted - self._copied) > COPY_DRIFT:
            self._copied = wanted
        start = self._copied
        if start < 0 or start + count > self._written or start < self._written - self._size:
            return None
        self._copied += count
        copied = self._between(start, start + count)
        return Pcm(copied if copied.base is None else copied.copy(), RATE)

    def turn_audio(self) -> Pcm:
        """What was heard since the caller's open turn began, as far back as the memory goes; empty when nobody spoke."""
        if self._turn_from is None:
            return Pcm.empty(RATE)
        start = max(self._turn_from, self._written - self._size, 0)
        return Pcm(self._between(start, self._written).copy(), RATE)

    # --- keys

    @property
    def _hears_key(self) -> bool:
        return self.key_tracker is not None and not self.key_tracker.is_idle

    def take_key(self, key: int, tones: float, whole: float) -> None:
        """Take what a block of the last window holds, as `voisnap_media.dtmf.Blocks` says it."""
        tracker, keys = self.key_tracker, self._keys
        if tracker is None or keys is None:
            return
        pressed = tracker.take(key, tones, whole)
        at = self.loop_time(self._time_of(self._read))
        if pressed:
            keys.heard(pressed, at)
        elif tracker.down:
            keys.held(at)
        if not tracker.is_idle:
            self._key_until = self._read

    # --- the recogniser

    def prepare(self) -> None:
        """The caller may be done. What follows is kept back until voice is heard again, so that the preparation stays valid."""
        self._stream.pause()
        self._hearing = self._continuous

    def flush(self) -> None:
        """The caller's turn is over."""
        self._stream.flush()
        if self._asked_from is None:
            self._asked_from = self._turn_from
        self._hearing = self._continuous
        self._turn_from = None
        self._bursts = 0

    def forget(self) -> None:
        """What was handed on since the last flush was no speech."""
        self._stream.reset()
        self._hearing = self._continuous
        self._turn_from = None
        self._bursts = 0

    def _hear_from(self, sample: int) -> None:
        """Begin to hand audio on, from `sample` or where it was left."""
        if self._turn_from is None:
            self._turn_from = max(sample, self._key_until, self._skipped, 0)
        if self._hearing:
            return
        self._hearing = True
        start = max(sample, self._pushed, self._key_until, self._skipped, self._written - self._size, 0)
        if start < self._written:
            missed = self._between(start, self._written).copy()
            self._segments.append(_Segment(self._heard_samples / RATE, self._time_of(start)))
            self._push(Pcm(missed, RATE))
        else:
            self._segments.append(_Segment(self._heard_samples / RATE, self._call_ms))

    def _push(self, audio: Pcm) -> None:
        if not self._segments:
            self._segments.append(_Segment(self._heard_samples / RATE, self._time_of(self._written - len(audio))))
        self._stream.push(audio)
        self._heard_samples += len(audio.samples)
        self._pushed = self._written

    def _in_call(self, seconds: float) -> float:
        found = _Segment(0.0, 0.0)
        for segment in self._segments:
            if segment.pushed > seconds + 1e-9:
                break
            found = segment
        return max(0.0, found.call_ms / 1000 + seconds - found.pushed)

    # --- the ring

    def _take(self, samples: Samples, arrived: float) -> None:
        size = self._size
        count = len(samples)
        if count > size:
            samples, count = samples[-size:], size
        start = self._written % size
        end = start + count
        if end <= size:
            self._ring[start:end] = samples
        else:
            self._ring[start:] = samples[: size - start]
            self._ring[: end - size] = samples[size - start :]
        self._written += count
        if self._written - self._read > size:
            self.lost_samples += self._written - size - self._read
            self._read = self._written - size
        # Nothing is heard before it was said: audio that comes late, after silence stood in for it, does not move the time on.
        latest = (arrived - self._start) * 1000
        self._call_ms = max(self._call_ms, min(self._call_ms + count / PER_MS, latest))
        self._arrived = arrived

    def _between(self, start: int, end: int) -> Samples:
        """Samples that are still in the ring; a view of it where they lie together."""
        first = start % self._size
        last = first + end - start
        if last <= self._size:
            return self._ring[first:last]
        return np.concatenate([self._ring[first:], self._ring[: last - self._size]])

    def _time_of(self, sample: int) -> float:
        return self._call_ms - (self._written - sample) / PER_MS


def _nothing(error: Exception) -> None: ...


class VadTicker:
    """The voice detector of a process: all ears with a whole window in one inference a tick.

    `tick` belongs on the process's 10–20 ms clock. `ticked_at` is the loop time; missing audio is filled up to it.
    """

    def __init__(self, model: VoiceModel) -> None:
        self._model = model
        self._tones, self._narrow_tones = ToneBank(RATE), ToneBank(NARROW_RATE)
        self._ears: dict[Ear, Callable[[Exception], None]] = {}

    def __len__(self) -> int:
        return len(self._ears)

    def add(self, ear: Ear, *, on_fault: Callable[[Exception], None] = _nothing) -> None:
        """Listen to this ear from the next tick on.

        An exception in whatever its sound leads to takes this ear off and is told to `on_fault`; other ears go on.
        """
        self._ears[ear] = on_fault

    def remove(self, ear: Ear) -> None:
        """Stop; an unknown ear is no error."""
        self._ears.pop(ear, None)

    def tick(self, ticked_at: float) -> None:
        """Judge the next window of every ear that has one. After a stall an ear catches up by one window a tick."""
        wide: list[Ear] = []
        narrow: list[Ear] = []
        windows: dict[Ear, Samples] = {}
        late = ticked_at - MISSING_AFTER_SECONDS
        for ear in [ear for ear in self._ears if ear._written - ear._read >= WINDOW or ear._arrived <= late]:
            try:
                window = ear.due_window(ticked_at)
            except Exception as error:
                self._broke(ear, error)
                continue
            if window is not None:
                windows[ear] = window
                (narrow if ear.is_narrow else wide).append(ear)
        if wide:
            self._hear(wide, windows, self._tones, 1)
        if narrow:
            self._hear(narrow, windows, self._narrow_tones, 2)

    def _hear(self, ears: list[Ear], windows: dict[Ear, Samples], tones: ToneBank, step: int) -> None:
        """Judge the windows of ears of one kind, by every `step`-th sample."""
        together = np.concatenate([windows[ear] for ear in ears]).reshape(len(ears), WINDOW)
        batch = np.multiply(together[:, ::step], np.float32(1 / 32768), dtype=np.float32)
        found = tones.measure(batch.reshape(-1, tones.block))
        self._hear_keys(ears, found)
        chances = self._chances(ears, batch)
        powers = found.whole.reshape(len(ears), -1).mean(axis=1).tolist()
        for row, ear in enumerate(ears):
            try:
                if ear.on_window is not None:
                    ear.on_window(np.multiply(together[row], np.float32(1 / 32768), dtype=np.float32), ear.read_ms)
                if ear in self._ears:
                    ear.judge(chances[row], powers[row])
            except Exception as error:
                self._broke(ear, error)

    def _broke(self, ear: Ear, error: Exception) -> None:
        """One broken call must not deafen the others of the process."""
        on_fault = self._ears.pop(ear, _nothing)
        log.error("ear.failed", exc_info=error)
        on_fault(error)

    def _chances(self, ears: list[Ear], batch: NDArray[np.float32]) -> list[float]:
        """The chance of voice in each window. Silence of somebody who was silent is not worth the network's time."""
        peaks = np.abs(batch).max(axis=1).tolist()
        rows = [row for row, ear in enumerate(ears) if ear.is_worth_judging(peaks[row])]
        chances = [0.0] * len(ears)
        if rows:
            asked = batch if len(rows) == len(ears) else batch[rows]
            found = self._model.probabilities(asked, [ears[row].voice_state for row in rows])
            for row, chance in zip(rows, found.tolist(), strict=True):
                chances[row] = chance
        return chances

    def _hear_keys(self, ears: list[Ear], found: Blocks) -> None:
        """Tell ears that want to know of keys in their windows; an ear is asked only when there may be something to tell."""
        seen = found.key.reshape(len(ears), -1)
        may_be = (seen != NONE).any(axis=1).tolist()
        per_window = seen.shape[1]
        for row, ear in enumerate(ears):
            tracker = ear.key_tracker
            if tracker is None or (not may_be[row] and tracker.is_idle):
                continue
            try:
                for block in range(row * per_window, (row + 1) * per_window):
                    ear.take_key(int(found.key[block]), float(found.tones[block]), float(found.whole[block]))
            except Exception as error:
                self._broke(ear, error)

"""From a vendor's bytes to speech: samples out of bytes in any split, and audio cut where its words meet.

A voice over HTTP or gRPC gives bytes as the network has them, some with a header in front, some with the times of its words, most without.
`PcmDecoder` makes sound of them. `SpokenText` hands the sound on as chunks of whole words, each as soon as it is complete, and notices a
voice that succeeds without having said anything. Both are pure.

    spoken = SpokenText(text, provider="polly", pace=paces.of(voice.voice_id), speed=voice.speed)
    if spoken.is_speakable:
        decoder = PcmDecoder(24000, provider="polly")
        async for data in the_answer_to(spoken.sent):
            for chunk in spoken.add(decoder.decode(data)):
                yield chunk
        for chunk in spoken.finish():
            yield chunk
"""

import re
import struct
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
import numpy as np
from voisnap_media.pcm import Pcm, Samples

from .errors import ProviderError
from .ports.tts import SpeechChunk, SpokenWord
from .vendors.local.normalise import is_speakable, without_emoji

LONGEST_HEADER = 4096
"""Bytes within which the samples of a WAV file must begin."""
FRAME_SECONDS = 0.01
"""Voiced or not is told in steps of this."""
QUIETEST_VOICED = 300
VOICED_SHARE = 0.03
"""A frame is voiced when its peak exceeds both: a sample value, and this share of the loudest peak so far."""
SILENT_PEAK = 64
"""Audio that never exceeds this says nothing."""
HELD_FRAMES = 10
"""Voiced frames an estimate leaves to the words still to come."""
UNTIMED_SECONDS = 1.5
"""How much audio waits for the times of its words before they are estimated after all."""
SHORTEST_WORD_SECONDS = 0.01
USUAL_PACE = 0.048
"""Voiced seconds that a unit of `weight` takes at speed 1."""
LEARNING = 0.3
LONG_WEIGHT = 40.0
"""Texts of this weight and more are learned from in full, shorter ones less: a single word is spoken slowly."""
PAUSE_FRAMES = 12
"""Silence this long may be that of a comma or full stop."""
PAUSE_WINDOW_FRAMES = 35
"""How far from its estimated place such a pause is looked for, in voiced frames."""
PACES_KEPT = 500

_LINK = re.compile(r"\[([^\]\s](?:[^\]]{0,200}[^\]\s])?)\]\([^)\s]*\)")
_MARKS = re.compile(r"[*`~]+|(?<!\w)_+|_+(?!\w)|^#+$|[\x00-\x1f\x7f]+")
"""Signs of formatting, and such as no document of a voice service may hold."""

_CLAUSE_END = re.compile(r"[.!?…。！？,;:，；：、][\"'”’)\]]*$")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]*_]*$")


class PcmDecoder:
    """Bytes in any split as 16-bit mono sound. A WAV header in front is read (its rate counts) and dropped, like all that follows the
    samples in such a file."""

    def __init__(self, rate: int, *, provider: str) -> None:
        self.rate = rate
        self._provider = provider
        self._rest = b""
        self._in_header = True
        self._left: int | None = None

    def decode(self, data: bytes) -> Pcm:
        """The samples that are whole by now. Raises ProviderError for a file that is not 16-bit mono."""
        data = self._rest + data
        if self._in_header:
            begin = self._after_header(data)
            if begin is None:
                self._rest = data
                return Pcm.empty(self.rate)
            self._in_header = False
            data = data[begin:]
        if self._left is not None:
            data = data[: self._left]
        whole = len(data) // 2 * 2
        if self._left is not None:
            self._left -= whole
        self._rest = data[whole:]
        return Pcm.from_bytes(data[:whole], self.rate)

    def _after_header(self, data: bytes) -> int | None:
        """Where the samples begin; None while that is not known."""
        if data[:4] != b"RIFF"[: len(data)]:
            return 0
        at = 12
        while len(data) >= at + 8:
            name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
            if name == b"data":
                # who streams a file does not know its length yet, and says 0 or the most there can be
                self._left = size if 0 < size < 0x7FFFF000 else None
                return at + 8
            if name == b"fmt ":
                if len(data) < at + 24:
                    break
                coding, channels, self.rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
                if coding not in {1, 0xFFFE} or channels != 1 or bits != 16:
                    raise self._unreadable(f"coding {coding}, {channels} channels, {bits} bits")
            at += 8 + size + size % 2
        if max(len(data), at) > LONGEST_HEADER:
            raise self._unreadable("no samples")
        return None

    def _unreadable(self, why: str) -> ProviderError:
        detail = f"The voice gave a file that is no 16-bit mono sound: {why}."
        return ProviderError(detail, provider=self._provider, kind="tts", retryable=False)


class Pace:
    """How long a voice takes for its words, learned from what it has spoken."""

    def __init__(self) -> None:
        self.seconds = USUAL_PACE

    def learn(self, seconds: float, *, of_weight: float = LONG_WEIGHT) -> None:
        """A text of this weight took this long per unit of it, at speed 1."""
        self.seconds += (
            LEARNING
            * min(of_weight / LONG_WEIGHT, 1.0)
            * (min(max(seconds, USUAL_PACE / 3), USUAL_PACE * 3) - self.seconds)
        )


class Paces:
    """The pace of each voice; of many, those used last."""

    def __init__(self) -> None:
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def of(self, voice_id: str) -> Pace:
        """The pace of this voice, to be used and taught."""
        pace = self._paces.setdefault(voice_id, Pace())
        self._paces.move_to_end(voice_id)
        if len(self._paces) > PACES_KEPT:
            self._paces.popitem(last=False)
        return pace


class SpokenText:
    """A text while a voice speaks it. Chunks hold whole words, and no chunk goes on into the next sentence.

    `sent` is what the voice should get: the text without the marks that only readers see. With `measured`, words wait for their times
    (`timed`); without, or when those stay away, times are estimated from the voice's pace and the voiced parts of its audio.
    """

    def __init__(
        self, text: str, *, provider: str, pace: Pace | None = None, speed: float = 1.0, measured: bool = False
    ) -> None:
        self._provider = provider
        self._pace = pace or Pace()
        self._speed = speed
        self._measured = measured
        self.sent, self._words, self._after = _read(text)
        self._next = 0
        """The first word that was not handed on."""
        self._settled = 0
        """The first word without its final times."""
        self._sound = _Sound()
        self._used_frames = 0
        self._frames_per_weight = self._pace.seconds / speed / FRAME_SECONDS
        self._clause = (0, 0)
        """The word and the voiced frame that a clause began with."""
        self._last_time = 0.0

    @property
    def is_speakable(self) -> bool:
        """Whether there is anything to say."""
        return bool(self._words)

    @property
    def seconds(self) -> float:
        """Audio so far."""
        return self._sound.seconds

    def timed(self, first: int, end: int, start_time: float, end_time: float | None = None) -> None:
        """The signs of `sent` from `first` to before `end` are spoken then, in seconds since the first sample; `end_time` None: until the
        next. To be told in the order of the text, before the audio is added or after."""
        at = bisect_left(self._words, first + 1, lo=self._settled, key=lambda word: word.end)
        while at < len(self._words) and self._words[at].first < end:
            word = self._words[at]
            word.start = start_time if word.start is None else min(word.start, start_time)
            if end_time is not None and end >= word.end:
                word.stop = end_time
            at += 1
        self._last_time = max(self._last_time, start_time, end_time or 0.0)

    def add(self, audio: Pcm) -> tuple[SpeechChunk, ...]:
        """What is complete with this audio."""
        self._sound.add(audio)
        if self._measured and self.seconds - max(self._last_time, self._sound.cut_seconds) > UNTIMED_SECONDS:
            self._measured = False
            self._used_frames = self._sound.voiced_before(self._sound.cut_seconds)
            self._clause = (self._settled, self._used_frames)
        if self._measured:
            self._settle_measured()
        else:
            self._settle_estimated()
        return self._chunks()

    def finish(self) -> tuple[SpeechChunk, ...]:
        """What is left. Raises ProviderError when there was nothing to hear."""
        if not self._words:
            return ()
        if self._sound.peak < SILENT_PEAK:
            raise ProviderError("The voice gave no sound.", provider=self._provider, kind="tts", retryable=True)
        if self._measured:
            self._fill(self._settled, len(self._words), until=self.seconds)
        else:
            self._settle_rest()
            total = sum(word.weight for word in self._words)
            self._pace.learn(len(self._sound.voiced) * FRAME_SECONDS * self._speed / total, of_weight=total)
        self._settled = len(self._words)
        return self._chunks()

    def _settle_measured(self) -> None:
        """Words whose end is told and whose audio is there; the last one waits for the end of the audio."""
        for at in range(len(self._words) - 2, self._settled - 1, -1):
            stop = self._words[at].stop
            if stop is None:
                stop = self._words[at + 1].start
            if stop is not None and stop <= self.seconds + 1e-6:
                self._fill(self._settled, at + 1, until=stop)
                self._settled = at + 1
                return

    def _fill(self, begin: int, end: int, *, until: float) -> None:
        """Times for those of the words that were told none: between their neighbours."""
        at = begin
        while at < end:
            word = self._words[at]
            if word.start is not None:
                following = self._words[at + 1].start if at + 1 < end else until
                if word.stop is None and following is not None:
                    word.stop = following
                if word.stop is not None:
                    at += 1
                    continue
            run = at + 1
            while run < end and self._words[run].start is None:
                run += 1
            since = word.start if word.start is not None else (self._words[at - 1].stop or 0.0) if at else 0.0
            following = self._words[run].start if run < end else None
            to = until if following is None else following
            for number, (start, stop) in enumerate(shared_times([w.written for w in self._words[at:run]], since, to)):
                self._words[at + number].start, self._words[at + number].stop = start, stop
            at = run

    def _settle_estimated(self) -> None:
        """Words whose share of voiced audio is there; the last one waits for the end of the audio. A pause near the end of a clause is its
        end, and tells how fast the voice is now."""
        frames = len(self._sound.voiced) - HELD_FRAMES
        while self._settled < len(self._words) - 1:
            word = self._words[self._settled]
            until = self._used_frames + max(1, round(word.weight * self._frames_per_weight))
            if until + (PAUSE_WINDOW_FRAMES if word.ends_clause else 0) > frames:
                return
            if word.ends_clause and (pause := self._sound.pause_near(until, after=self._used_frames)) is not None:
                until = pause
                self._note_clause(pause)
            word.start, word.stop = self._sound.voiced_span(self._used_frames, until)
            self._used_frames = until
            self._settled += 1

    def _note_clause(self, pause: int) -> None:
        word, frame = self._clause
        took = (pause - frame) / sum(one.weight for one in self._words[word : self._settled + 1])
        self._frames_per_weight = (self._frames_per_weight + took) / 2
        self._clause = (self._settled + 1, pause)

    def _settle_rest(self) -> None:
        """The words that are left share the voiced audio that is left."""
        rest = self._words[self._settled :]
        frames = len(self._sound.voiced)
        if frames - self._used_frames < len(rest):
            since = (self._words[self._settled - 1].stop or 0.0) if self._settled else 0.0
            for word, (start, stop) in zip(
                rest, shared_times([w.written for w in rest], since, self.seconds), strict=True
            ):
                word.start, word.stop = start, stop
            return
        for word, (start, stop) in zip(
            rest, shared_times([w.written for w in rest], self._used_frames, frames), strict=True
        ):
            word.start, word.stop = self._sound.voiced_span(int(start), max(int(start) + 1, int(stop)))

    def _chunks(self) -> tuple[SpeechChunk, ...]:
        chunks = []
        while self._next < self._settled:
            begin = end = self._next
            while end < self._settled and not (end > begin and self._words[end - 1].ends_sentence):
                end += 1
            words = self._words[begin:end]
            since = self._sound.cut_seconds
            if end == len(self._words):
                audio = self._sound.cut(None)
                text = " ".join(filter(None, [_text(words), self._after]))
            else:
                following = self._words[end].start
                stop = words[-1].stop or 0.0
                audio = self._sound.cut(max(stop, following) if following is not None else stop)
                text = _text(words)
            times = [((word.start or 0.0) - since, (word.stop or 0.0) - since) for word in words]
            placed = tuple(
                SpokenWord(word=word.written, start=start, end=stop)
                for word, (start, stop) in zip(words, _in_order(times, audio.seconds), strict=True)
            )
            chunks.append(SpeechChunk(audio=audio, text=text, words=placed))
            self._next = end
        return tuple(chunks)


class _Word(msgspec.Struct):
    """A word as written, after `lead` (signs that are none); where it lies in the sent text, and when it is spoken."""

    written: str
    lead: str
    first: int
    end: int
    weight: float
    ends_sentence: bool
    ends_clause: bool
    start: float | None = None
    stop: float | None = None


class _Sound:
    """Audio that waits to be handed on, and which of its frames are voiced."""

    def __init__(self) -> None:
        self.rate = 0
        self.peak = 0
        self.voiced: list[int] = []
        """Numbers of the voiced frames."""
        self._waiting: list[Samples] = []
        self._cut = 0
        self._total = 0
        self._unframed: Samples = np.zeros(0, np.int16)
        self._frames = 0

    @property
    def seconds(self) -> float:
        return self._total / self.rate if self.rate else 0.0

    @property
    def cut_seconds(self) -> float:
        """Audio handed on."""
        return self._cut / self.rate if self.rate else 0.0

    def add(self, audio: Pcm) -> None:
        if not len(audio):
            return
        self.rate = audio.rate
        self._waiting.append(audio.samples)
        self._total += len(audio)
        size = round(self.rate * FRAME_SECONDS)
        samples = np.concatenate([self._unframed, audio.samples])
        whole = len(samples) // size
        peaks = np.abs(samples[: whole * size].reshape(whole, size).astype(np.int32)).max(axis=1)
        self._unframed = samples[whole * size :]
        rest = int(np.abs(self._unframed.astype(np.int32)).max()) if len(self._unframed) else 0
        self.peak = max(self.peak, rest, int(peaks.max()) if whole else 0)
        loud = np.flatnonzero(peaks > max(QUIETEST_VOICED, self.peak * VOICED_SHARE))
        self.voiced += (loud + self._frames).tolist()
        self._frames += whole

    def voiced_before(self, moment: float) -> int:
        """How many frames before this moment are voiced."""
        return bisect_left(self.voiced, round(moment / FRAME_SECONDS))

    def voiced_span(self, first: int, end: int) -> tuple[float, float]:
        """From the start of one voiced frame to the end of the one before another, in seconds."""
        return self.voiced[first] * FRAME_SECONDS, (self.voiced[end - 1] + 1) * FRAME_SECONDS

    def pause_near(self, frame: int, *, after: int) -> int | None:
        """The voiced frame that follows the longest pause within reach; None without one."""
        first, last = (
            max(frame - PAUSE_WINDOW_FRAMES, after + 1),
            min(frame + PAUSE_WINDOW_FRAMES, len(self.voiced) - 1),
        )
        pauses = [(self.voiced[at] - self.voiced[at - 1], at) for at in range(first, last + 1)]
        longest, at = max(pauses, default=(0, 0))
        return at if longest > PAUSE_FRAMES else None

    def cut(self, until: float | None) -> Pcm:
        """What waits up to this moment; None: all."""
        end = self._total if until is None else min(max(round(until * self.rate), self._cut), self._total)
        samples = np.concatenate(self._waiting)
        size = end - self._cut
        self._waiting = [samples[size:]]
        self._cut = end
        return Pcm(samples[:size], self.rate)


def weight(word: str) -> float:
    """How long a word takes beside others: its signs, digits being words of their own."""
    return len(word) + 1 + 4 * sum(sign.isdigit() for sign in word)


def shared_times(words: Sequence[str], start: float, end: float) -> list[tuple[float, float]]:
    """A stretch of time shared out among words by their `weight`."""
    weights = np.array([weight(word) for word in words], float)
    edges = start + (end - start) * np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    return [(float(edges[number]), float(edges[number + 1])) for number in range(len(words))]


def _read(text: str) -> tuple[str, list[_Word], str]:
    """What to send, the words in it, and what is written after the last one."""
    sent, words, lead = "", [], []
    for written, plain in zip(text.split(), _LINK.sub(r"\1", text).split(), strict=True):
        plain = _MARKS.sub("", without_emoji(plain)).strip()
        if is_speakable(plain):
            first = len(sent) + bool(sent)
            words.append(
                _Word(
                    written=written,
                    lead=" ".join(lead),
                    first=first,
                    end=first + len(plain),
                    weight=weight(plain),
                    ends_sentence=_SENTENCE_END.search(written) is not None,
                    ends_clause=_CLAUSE_END.search(plain) is not None,
                )
            )
            lead = []
        else:
            lead.append(written)
        if plain:
            sent = f"{sent} {plain}" if sent else plain
    return sent, words, " ".join(lead)


def _text(words: Sequence[_Word]) -> str:
    return " ".join(part for word in words for part in (word.lead, word.written) if part)


def _in_order(times: Sequence[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    """The same times one after the other and inside the audio, none empty."""
    least = min(SHORTEST_WORD_SECONDS, length / len(times))
    ordered: list[tuple[float, float]] = []
    moment = 0.0
    for start, stop in times:
        start = max(start, moment)
        moment = max(stop, start + least)
        ordered.append((start, moment))
    limit = length
    for at in range(len(ordered) - 1, -1, -1):
        start, stop = ordered[at]
        stop = min(stop, limit)
        start = max(0.0, min(start, stop - least))
        ordered[at] = (start, stop)
        limit = start
    return ordered

"""hibari: text as the voice "heart", 24 kHz.

The model decides how long each sound lasts; those lengths give every word its place in the audio. One sentence is one computation.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from difflib import SequenceMatcher
from pathlib import Path

import msgspec
import numpy as np
import structlog
from hibari import Hibari, dsp
from hibari.g2p.normalize import normalize as read_numbers
from hibari.voices import voice_path
from voisnap_domain.agents import Voice
from voisnap_media.pcm import Pcm

from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.inference import InferencePool, PoolClosedError, PoolFullError, Priority
from voisnap_providers.pcm_stream import shared_times
from voisnap_providers.ports.tts import SpeechChunk, SpokenWord, TtsCapabilities

from .normalise import is_speakable, sentences, spoken_form
from .wire import PROVIDER, broken

log = structlog.get_logger()

RATE = 24000
VOICE = "heart"
SENTENCE_TIMEOUT_SECONDS = 5.0
MAX_SENTENCE_CHARS = 240
SHORT_OPENING_CHARS = 20
LONG_OPENING_CHARS = 70
MAX_IDS = 420
LENGTHS_TENSOR = "/Clip_output_0"
SECONDS_PER_LENGTH = 0.025
LEAD_SECONDS = 0.02
PAUSE_SECONDS = {"sentence": 0.28, "clause": 0.1}
"""Silence left after the last sound."""


class Take(msgspec.Struct, frozen=True):
    """A sentence as it came out."""

    audio: np.ndarray
    words: tuple[SpokenWord, ...]


class HibariVoice:
    """The model itself; call from a worker thread. Many threads may call at once."""

    def __init__(self) -> None:
        path = Path(voice_path(VOICE))
        try:  # the library hands to onnxruntime what it is given, a file's name or its bytes
            self._hibari = Hibari(voice=VOICE, model=_with_lengths(path.read_bytes()), threads=1)
        except Exception as error:  # see `wire.session`
            raise broken(path, kind="tts") from error
        self._hibari.model_path = str(path)  # or the bytes would stay for ever
        self._session = self._hibari.sess
        if LENGTHS_TENSOR not in {item.name for item in self._session.get_outputs()}:
            raise broken(path, kind="tts")
        self._hibari.g2p.oov(
            "voisnap"
        )  # loads the reader of unknown words now and not in the first call that meets one
        self("Ready.", 1.0)

    def __call__(self, text: str, speed: float) -> Take | None:
        """Speak one written sentence; None when there is nothing to say."""
        spoken = spoken_form(text)
        if not spoken:
            return None
        g2p = self._hibari.g2p
        tokens = g2p.phonemize_tokens(g2p.tokenize(read_numbers(spoken)))
        ids, spans = self._ids(tokens)
        if len(ids) < 3:
            return None
        *parts, lengths = self._session.run(
            None, {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        )
        lh, theta, ln, lr, phi, f0 = (np.asarray(part)[0] for part in parts)
        audio = dsp.synth(lh, theta, ln, lr, phi, f0, np.random.default_rng(0))
        edges = np.concatenate([[0.0], np.cumsum(np.asarray(lengths).ravel())]) * SECONDS_PER_LENGTH
        timed = [
            (token.text, float(edges[first]), float(edges[end]))
            for token, (first, end) in zip(tokens, spans, strict=True)
            if end > first and is_speakable(token.text)
        ]
        if not timed:
            return None
        first, last = timed[0][1], timed[-1][2]
        ends = text.rstrip('"”’)]*_ ')[-1:] in {".", "!", "?", "…"}
        pause = PAUSE_SECONDS["sentence" if ends else "clause"] / speed
        audio, shift = _trimmed(audio, first, last, pause)
        return Take(audio, _words(text, timed, shift, len(audio) / RATE - pause))

    def _ids(self, tokens: list) -> tuple[list[int], list[tuple[int, int]]]:
        """Model input, and for each token the range of it that sounds it."""
        vocabulary = self._hibari.vocab
        ids, spans = [0], []
        for token in tokens:
            sounds = [vocabulary[sign] for sign in token.phonemes or "" if sign in vocabulary]
            spans.append((len(ids), len(ids) + len(sounds)))
            ids += sounds
            if token.whitespace and " " in vocabulary:
                ids.append(vocabulary[" "])
        return [*ids[:MAX_IDS], 0], [(min(a, MAX_IDS), min(b, MAX_IDS)) for a, b in spans]


class LocalTts:
    """hibari behind the TTS port."""

    provider = PROVIDER
    capabilities = TtsCapabilities(sample_rate=RATE, word_timings=True, voices=(VOICE,))

    def __init__(self, model: HibariVoice, pool: InferencePool) -> None:
        self._model = model
        self._pool = pool
        self._unknown_voices: set[str] = set()

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """One chunk a sentence. An unknown voice id is spoken by "heart", with one warning."""
        self._note_voice(voice.voice_id)
        priority = Priority.FIRST_SENTENCE
        for sentence in _spoken_pieces(text):
            take = await self._take(sentence, voice.speed, priority)
            if take is None:
                continue
            priority = Priority.SENTENCE
            yield SpeechChunk(audio=Pcm.from_float32(take.audio, RATE), text=sentence, words=take.words)

    async def warm(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing of its own to free."""

    async def _take(self, sentence: str, speed: float, priority: Priority) -> Take | None:
        try:
            async with asyncio.timeout(SENTENCE_TIMEOUT_SECONDS):
                return await self._pool.run(lambda: self._model(sentence, min(max(speed, 0.5), 2.0)), priority)
        except TimeoutError:
            raise ProviderTimeout(
                f"No speech within {SENTENCE_TIMEOUT_SECONDS:g} s.", provider=PROVIDER, kind="tts"
            ) from None
        except (PoolFullError, PoolClosedError) as error:
            raise ProviderError(
                f"The voice cannot follow: {error}.", provider=PROVIDER, kind="tts", retryable=True
            ) from error

    def _note_voice(self, voice_id: str) -> None:
        if voice_id != VOICE and voice_id not in self._unknown_voices and len(self._unknown_voices) < 1000:
            self._unknown_voices.add(voice_id)
            log.warning("tts.voice_replaced", voice_id=voice_id, used=VOICE)


def _with_lengths(model: bytes) -> bytes:
    """The model with the lengths of its sounds as one more output.

    An ONNX file is a protobuf message; a message field that occurs twice is merged by every reader, so a graph that holds nothing but
    the output's declaration can be appended (graph = field 7 of the model, output = field 12 of the graph, name = field 1).
    """
    return model + _field(7, _field(12, _field(1, LENGTHS_TENSOR.encode())))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    signs = []
    while value > 127:
        signs.append(value & 127 | 128)
        value >>= 7
    return bytes([*signs, value])


def _spoken_pieces(text: str) -> tuple[str, ...]:
    """What is computed at once: sentences, the very first one no longer than its first clause, so that speech begins early."""
    pieces = [part for whole in sentences(text) for part in _short_enough(whole)]
    if pieces and len(pieces[0]) > LONG_OPENING_CHARS:
        for clause in re.finditer(r"[,;:—]\s+", pieces[0]):
            begin, rest = pieces[0][: clause.end()].strip(), pieces[0][clause.end() :].strip()
            if len(begin) >= SHORT_OPENING_CHARS and is_speakable(rest):
                pieces[:1] = [begin, rest]
                break
    return tuple(pieces)


def _short_enough(sentence: str) -> tuple[str, ...]:
    """A sentence too long for the model in pieces, cut after a comma or, failing that, between words."""
    pieces: list[str] = []
    rest = sentence
    while len(rest) > MAX_SENTENCE_CHARS:
        window = rest[:MAX_SENTENCE_CHARS]
        cuts = [match.end() for match in re.finditer(r"[,;:—]\s", window)] or [window.rfind(" ") + 1]
        at = cuts[-1] if cuts[-1] > 0 else MAX_SENTENCE_CHARS
        pieces.append(rest[:at].strip())
        rest = rest[at:]
    return tuple(piece for piece in (*pieces, rest.strip()) if is_speakable(piece))


def _trimmed(audio: np.ndarray, first: float, last: float, pause: float) -> tuple[np.ndarray, float]:
    """Without the silence the model puts around: 20 ms before the first sound, `pause` after the last one. And what was cut in front."""
    frame = RATE // 100
    levels = np.abs(audio[: len(audio) // frame * frame]).reshape(-1, frame).max(1)
    loud = np.flatnonzero(levels > max(0.01, float(levels.max()) * 0.03))
    heard_from = float(loud[0]) / 100 if len(loud) else first
    heard_to = float(loud[-1] + 1) / 100 if len(loud) else last
    begin = max(0, round((heard_from - LEAD_SECONDS) * RATE))
    end = round((heard_to + pause) * RATE)
    kept = audio[begin:end].copy()
    if end > len(audio):
        kept = np.concatenate([kept, np.zeros(end - len(audio), np.float32)])
    fade = min(len(kept), RATE // 200)
    if fade:
        ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
        kept[:fade] *= ramp
        kept[-fade:] *= ramp[::-1]
    return kept, begin / RATE


def _words(text: str, timed: list[tuple[str, float, float]], shift: float, length: float) -> tuple[SpokenWord, ...]:
    """The written words with the times of the sounds they became: equal words pair up, the rest share what lies between."""
    written = [word for word in text.split() if is_speakable(word)]
    matcher = SequenceMatcher(
        None, [_key(word) for word in written], [_key(word) for word, _, _ in timed], autojunk=False
    )
    places: list[tuple[float, float]] = []
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        if i2 - i1 == j2 - j1:
            places += [(start, end) for _, start, end in timed[j1:j2]]
        elif i2 == i1:
            if places:
                places[-1] = (places[-1][0], timed[j2 - 1][2])
        elif j2 == j1:
            at = places[-1][1] if places else timed[0][1]
            places += [(at, at)] * (i2 - i1)
        else:
            places += shared_times(written[i1:i2], timed[j1][1], timed[j2 - 1][2])
    return tuple(
        SpokenWord(word=word, start=_within(start - shift, length), end=_within(end - shift, length))
        for word, (start, end) in zip(written, places, strict=True)
    )


def _key(word: str) -> str:
    return "".join(sign for sign in word.lower() if sign.isalnum())


def _within(moment: float, length: float) -> float:
    return round(min(max(moment, 0.0), length), 3)

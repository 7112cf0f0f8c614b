"""Moonshine tiny-en: what a caller says, as text.

The recogniser hears whole pieces of speech, so a stream keeps the audio of the current utterance and decodes it again as it grows
(partials), once more as soon as the caller goes silent (`pause`), and hands that result out when the turn is over (`flush`). Utterances
longer than a piece can be are cut at a quiet moment and their texts joined.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.ma  # np.percentile imports it at its first call: 100 ms that must not fall into a caller's first words
import structlog
from voisnap_domain.agents import Transcription
from voisnap_domain.conversations import Word
from voisnap_media.pcm import Pcm

from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.inference import InferencePool, Job, PoolClosedError, PoolFullError, Priority
from voisnap_providers.ports.stt import SttCapabilities, Transcript

from .wire import PROVIDER, broken, require, session

log = structlog.get_logger()

RATE = 16000
FRAME = 320
"""Samples of one 20 ms energy frame."""

SHORTEST_SAMPLES = 2400
LONGEST_SECONDS = 12.0
CUT_SEARCH_SECONDS = 4.0
PARTIAL_EVERY_SECONDS = 0.4
FINAL_TIMEOUT_SECONDS = 6.0
MAX_WAITING_PIECES = 10

TOKENS_PER_SECOND = 6.5
START_TOKEN = 1
END_TOKEN = 2

SHORTEST_VOICED_SECONDS = 0.2
LEAST_CONFIDENCE = 0.45
SHORT_TEXT_TOKENS = 4
LEAST_LONG_CONFIDENCE = 0.3
"""Noise becomes a word or two; whole sentences are believed sooner."""
NOISE_TEXTS = {"you", "thank you", "thanks for watching", "bye", "so", "oh", "mm", "hmm"}
"""What the model says of noise; believed only with the confidence of real speech."""
NOISE_TEXT_CONFIDENCE = 0.65


class Token(msgspec.Struct, frozen=True):
    """A piece of text as the model wrote it (a leading space starts a word) and its probability."""

    text: str
    probability: float


class Decoded(msgspec.Struct, frozen=True):
    """What a piece of sound says. `ms` is how long the decoding took."""

    tokens: tuple[Token, ...]
    confidence: float
    ms: float

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens).strip()


NOTHING = Decoded((), 0.0, 0.0)


class Moonshine:
    """The model itself; call from a worker thread. Many threads may call at once."""

    def __init__(self, folder: Path) -> None:
        self._encoder = session(folder / "encoder.ort", kind="stt")
        self._decoder = session(folder / "decoder.ort", kind="stt")
        self._past = tuple(item.name for item in self._decoder.get_inputs() if item.name.startswith("past"))
        self._present = tuple(
            item.name.replace("present", "past_key_values") for item in self._decoder.get_outputs()[1:]
        )
        self._pieces = _pieces(require(folder / "tokenizer.bin", kind="stt"))

    def __call__(self, samples: np.ndarray) -> Decoded:
        """Decode float32 samples at 16 kHz, at most `LONGEST_SECONDS` of them, greedily."""
        began = time.perf_counter()
        sound = np.ascontiguousarray(samples, np.float32)[None]
        if sound.shape[1] < SHORTEST_SAMPLES:
            sound = np.pad(sound, ((0, 0), (0, SHORTEST_SAMPLES - sound.shape[1])))
        mask = np.ones(sound.shape, np.int64)  # one a sample, for the decoder as well: its graph strides it down
        hidden = self._encoder.run(None, {"input_values": sound, "attention_mask": mask})[0]
        ids, log_probabilities = self._greedy(hidden, mask, int(sound.shape[1] / RATE * TOKENS_PER_SECOND) + 4)
        return Decoded(
            _tokens(ids, log_probabilities, self._pieces),
            float(np.exp(np.mean(log_probabilities))),
            (time.perf_counter() - began) * 1000,
        )

    def _greedy(self, hidden: object, mask: np.ndarray, limit: int) -> tuple[list[int], list[float]]:
        past: dict[str, object] = {name: np.zeros((1, 8, 0, 36), np.float32) for name in self._past}
        ids: list[int] = []
        log_probabilities: list[float] = []
        last = START_TOKEN
        for step in range(limit):
            logits, *present = self._decoder.run(
                None,
                {
                    "input_ids": np.array([[last]]),
                    "encoder_hidden_states": hidden,
                    "encoder_attention_mask": mask,
                    "use_cache_branch": np.array([step > 0]),
                    **past,
                },
            )
            scores = np.asarray(logits)[0, -1]
            last = int(scores.argmax())
            log_probabilities.append(-float(np.log(np.exp(scores - scores[last]).sum())))
            for name, value in zip(self._present, present, strict=True):
                if step == 0 or ".decoder." in name:  # later steps return empty encoder states
                    past[name] = value
            if last == END_TOKEN:
                break
            ids.append(last)
        return ids, log_probabilities


class LocalStt:
    """Moonshine behind the STT port."""

    provider = PROVIDER
    capabilities = SttCapabilities(interim_results=True, word_timings=True, continuous=False, sample_rate=RATE)

    def __init__(self, model: Moonshine, pool: InferencePool) -> None:
        self._model = model
        self._pool = pool

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> "LocalSttStream":
        """Start listening. Raises `ProviderError` for a language other than English."""
        if not settings.language.lower().startswith("en"):
            raise ProviderError(
                f"The local recogniser hears English only, not {settings.language}.",
                provider=PROVIDER,
                kind="stt",
                retryable=False,
            )
        return LocalSttStream(self._model, self._pool)

    async def aclose(self) -> None:
        """Streams are closed by those who opened them."""


class _Piece:
    """A cut of an utterance on its way through the model. `start` in samples since the stream's first."""

    def __init__(self, samples: np.ndarray, start: int) -> None:
        self.samples = samples
        self.start = start
        self.voiced = voiced_frames(samples)
        self.job: Job[Decoded] | None = None
        self.decoded: Decoded | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.samples)

    @property
    def voiced_seconds(self) -> float:
        return float(self.voiced.sum()) * FRAME / RATE


class _Turn:
    """A flushed utterance whose final is still to come."""

    def __init__(self, utterance: int, pieces: list[_Piece], audio_seconds: float) -> None:
        self.utterance = utterance
        self.pieces = pieces
        self.audio_seconds = audio_seconds
        self.timeout: asyncio.TimerHandle | None = None


class LocalSttStream:
    """One caller. `dropped_seconds` counts audio that was given up because decoding could not follow."""

    def __init__(self, model: Moonshine, pool: InferencePool) -> None:
        self._model = model
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[Transcript | ProviderError | None] = asyncio.Queue()
        self._turns: deque[_Turn] = deque()
        self._utterance = 0
        self._total = 0
        self._is_closed = False
        self.dropped_seconds = 0.0
        self._begin()

    def _begin(self) -> None:
        self._pieces: list[_Piece] = []
        self._parts: list[np.ndarray] = []
        self._start = self._utterance_start = self._total
        self._prepared: _Piece | None = None
        self._partial: Job[Decoded] | None = None
        self._partial_at = self._total
        self._last_partial = ""

    def push(self, audio: Pcm) -> None:
        """Keep the audio; now and then start a partial; cut what grows too long."""
        if audio.rate != RATE:
            raise ValueError(f"this recogniser wants {RATE} Hz, got {audio.rate} Hz")
        if self._is_closed:
            return
        self._parts.append(audio.samples)
        self._total += len(audio.samples)
        if self._prepared is not None and self._speech_after(self._prepared):
            self._drop_prepared()
        if self._total - self._start >= LONGEST_SECONDS * RATE:
            self._cut()
        elif self._total - self._partial_at >= PARTIAL_EVERY_SECONDS * RATE and self._prepared is None:
            self._offer_partial()

    def pause(self) -> None:
        """Decode what there is at once; `flush` then has nothing to wait for unless speech goes on."""
        if self._is_closed or self._prepared is not None or self._total == self._start:
            return
        self._drop_partial()
        self._prepared = self._piece()
        self._decode(self._prepared)

    def flush(self) -> None:
        """Close the utterance; its final follows."""
        if self._is_closed:
            return
        self._drop_partial()
        pieces = self._pieces
        if self._prepared is not None:
            pieces = [*pieces, self._prepared]
        elif self._total > self._start:
            last = self._piece()
            self._decode(last)
            pieces = [*pieces, last]
        turn = _Turn(self._utterance, pieces, (self._total - self._utterance_start) / RATE)
        turn.timeout = self._loop.call_later(FINAL_TIMEOUT_SECONDS, self._give_up, turn)
        self._turns.append(turn)
        self._utterance += 1
        self._begin()
        self._deliver()

    def reset(self) -> None:
        """Forget the current utterance and everything computed for it."""
        self._drop_partial()
        for piece in (*self._pieces, *([self._prepared] if self._prepared else ())):
            if piece.job is not None:
                piece.job.cancel()
        self._begin()

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._iterate()

    async def _iterate(self) -> AsyncGenerator[Transcript]:
        while (result := await self._results.get()) is not None:
            if isinstance(result, ProviderError):
                raise result
            yield result

    async def aclose(self) -> None:
        """Drop everything; the iteration ends after what was already delivered."""
        if self._is_closed:
            return
        self.reset()
        self._is_closed = True
        for turn in self._turns:
            _release(turn)
        self._turns.clear()
        self._results.put_nowait(None)

    # -- pieces

    def _audio(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0] if self._parts else np.zeros(0, np.int16)

    def _piece(self) -> _Piece:
        return _Piece(self._audio(), self._start)

    def _cut(self) -> None:
        """Send the audio up to its quietest recent moment to be decoded, keep the rest as the start of the next piece."""
        self._drop_partial()
        self._drop_prepared()
        audio = self._audio()
        at = _quietest(audio)
        piece = _Piece(audio[:at], self._start)
        self._pieces.append(piece)
        self._parts = [audio[at:]]
        self._start += at
        self._partial_at = self._total
        waiting = [item for item in self._pieces if item.decoded is None]
        if len(waiting) > MAX_WAITING_PIECES:
            self._give_up_piece(waiting[0])
        self._decode(piece)

    def _give_up_piece(self, piece: _Piece) -> None:
        if piece.job is not None:
            piece.job.cancel()
        piece.decoded = NOTHING
        self.dropped_seconds += len(piece.samples) / RATE
        log.warning("stt.audio_dropped", seconds=round(len(piece.samples) / RATE, 1))

    def _speech_after(self, piece: _Piece) -> bool:
        since = self._audio()[piece.end - self._start :]
        quiet = _level(piece.samples[piece.voiced.repeat(FRAME)[: len(piece.samples)]]) if piece.voiced.any() else None
        return has_speech(since, loud_dbfs=quiet)

    def _drop_prepared(self) -> None:
        if self._prepared is not None and self._prepared.job is not None:
            self._prepared.job.cancel()
        self._prepared = None

    # -- decoding

    def _decode(self, piece: _Piece) -> None:
        if piece.voiced_seconds < SHORTEST_VOICED_SECONDS:
            piece.decoded = NOTHING
            return
        samples = piece.samples
        try:
            piece.job = self._pool.submit(lambda: self._model(_floats(samples)), Priority.FINAL)
        except (PoolFullError, PoolClosedError) as error:
            self._fail(f"The recogniser cannot follow: {error}.")
            return
        piece.job.future.add_done_callback(lambda done: self._decoded(piece, done))

    def _decoded(self, piece: _Piece, done: asyncio.Future[Decoded]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._fail(f"Decoding failed: {error}")
            return
        piece.decoded = done.result()
        if piece is self._prepared:
            self._tell_prepared([*self._pieces, piece])
        self._deliver()

    def _tell_prepared(self, pieces: list[_Piece]) -> None:
        """What a flush would give now, for those who like to think ahead."""
        if any(piece.decoded is None for piece in pieces):
            return
        prepared = _final(_Turn(self._utterance, pieces, (self._total - self._utterance_start) / RATE))
        if prepared.text:
            self._last_partial = prepared.text
            self._results.put_nowait(msgspec.structs.replace(prepared, is_final=False, is_prepared=True))

    def _deliver(self) -> None:
        while self._turns and all(piece.decoded is not None for piece in self._turns[0].pieces):
            turn = self._turns.popleft()
            _release(turn)
            self._results.put_nowait(_final(turn))

    def _give_up(self, turn: _Turn) -> None:
        if turn in self._turns:
            self._results.put_nowait(
                ProviderTimeout(
                    f"No transcript within {FINAL_TIMEOUT_SECONDS:g} s.",
                    provider=PROVIDER,
                    kind="stt",
                )
            )

    def _fail(self, detail: str) -> None:
        if not self._is_closed:
            self._results.put_nowait(ProviderError(detail, provider=PROVIDER, kind="stt", retryable=True))

    # -- partials

    def _offer_partial(self) -> None:
        if self._partial is not None or self._pool.is_busy:
            return  # not the next one either before this one is done; skipped under load
        self._partial_at = self._total
        samples = self._audio()
        if float(voiced_frames(samples).sum()) * FRAME / RATE < SHORTEST_VOICED_SECONDS:
            return
        try:
            self._partial = job = self._pool.submit(lambda: self._model(_floats(samples)), Priority.PARTIAL)
        except (PoolFullError, PoolClosedError):
            return
        job.future.add_done_callback(self._partial_decoded(job))

    def _partial_decoded(self, job: Job[Decoded]) -> Callable[[asyncio.Future[Decoded]], None]:
        def done(future: asyncio.Future[Decoded]) -> None:
            if future.cancelled() or future.exception() is not None or self._partial is not job:
                return
            self._partial = None
            heard = [piece.decoded for piece in self._pieces if piece.decoded is not None]
            text = " ".join(filter(None, (accepted(item) for item in (*heard, future.result()))))
            if not text or text == self._last_partial:
                return
            self._last_partial = text
            self._results.put_nowait(
                Transcript(
                    utterance=self._utterance,
                    text=text,
                    is_final=False,
                    confidence=future.result().confidence,
                    audio_seconds=(self._total - self._utterance_start) / RATE,
                    decode_ms=future.result().ms,
                )
            )

        return done

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None


# -- arithmetic


def accepted(decoded: Decoded) -> str:
    """The text, or "" when the model was only guessing at noise."""
    text = decoded.text
    least = LEAST_CONFIDENCE if len(decoded.tokens) <= SHORT_TEXT_TOKENS else LEAST_LONG_CONFIDENCE
    if decoded.confidence < least or not any(letter.isalnum() for letter in text):
        return ""
    if text.lower().strip(" .!?,") in NOISE_TEXTS and decoded.confidence < NOISE_TEXT_CONFIDENCE:
        return ""
    return text


def voiced_frames(samples: np.ndarray) -> np.ndarray:
    """For each 20 ms, whether it is louder than the background and than -55 dBFS."""
    count = -(-len(samples) // FRAME)
    if count == 0:
        return np.zeros(0, bool)
    padded = np.zeros(count * FRAME, np.float32)
    padded[: len(samples)] = samples
    power = np.square(padded.reshape(count, FRAME)).mean(1)
    levels = 10 * np.log10(power / 32768.0**2 + 1e-10)
    loud = float(np.percentile(levels, 95))
    floor = float(np.percentile(levels, 5))
    threshold = max(-55.0, min(floor + 9.0, loud - 12.0), loud - 32.0)
    return levels > threshold


def has_speech(samples: np.ndarray, *, loud_dbfs: float | None) -> bool:
    """Whether sound after a pause is speech: at least 60 ms within 18 dB of how loud the caller spoke before."""
    if len(samples) < FRAME:
        return False
    whole = samples[: len(samples) // FRAME * FRAME].astype(np.float32).reshape(-1, FRAME)
    levels = 10 * np.log10(np.square(whole).mean(1) / 32768.0**2 + 1e-10)
    threshold = -45.0 if loud_dbfs is None else max(-55.0, loud_dbfs - 18.0)
    return int((levels > threshold).sum()) >= 3


def _level(samples: np.ndarray) -> float:
    return Pcm(samples, RATE).rms_dbfs()


def _floats(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32) * np.float32(1 / 32768)


def _quietest(audio: np.ndarray) -> int:
    """Where to cut: the middle of the quietest 100 ms of the last seconds, never before the first half."""
    width = RATE // 10
    first = max(len(audio) // 2, len(audio) - int(CUT_SEARCH_SECONDS * RATE))
    tail = np.abs(audio[first:].astype(np.float32))
    windows = len(tail) // width
    energy = tail[: windows * width].reshape(windows, width).mean(1)
    return first + int(energy.argmin()) * width + width // 2


def _pieces(path: Path) -> tuple[bytes, ...]:
    """The token texts of a length-prefixed file; a first byte of 128 or more means that the length has two bytes."""
    data = path.read_bytes()
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            if at >= len(data):
                raise broken(path, kind="stt")
            length = length * 128 + data[at] - 128
            at += 1
        pieces.append(data[at : at + length])
        at += length
    if at != len(data) or len(pieces) < 1000:
        raise broken(path, kind="stt")
    return tuple(pieces)


def _tokens(ids: list[int], log_probabilities: list[float], pieces: tuple[bytes, ...]) -> tuple[Token, ...]:
    tokens: list[Token] = []
    for token, log_probability in zip(ids, log_probabilities, strict=False):
        piece = pieces[token].replace(b"\xe2\x96\x81", b" ") if token < len(pieces) else b""
        if piece.startswith(b"<") and piece.endswith(b">"):
            continue
        tokens.append(Token(piece.decode("utf-8", "ignore"), float(np.exp(log_probability))))
    return tuple(tokens)


def _final(turn: _Turn) -> Transcript:
    texts: list[str] = []
    words: list[Word] = []
    weights: list[tuple[float, int]] = []
    ms = 0.0
    for piece in turn.pieces:
        decoded = piece.decoded or NOTHING
        ms += decoded.ms
        text = accepted(decoded)
        if not text:
            continue
        texts.append(text)
        weights.append((decoded.confidence, max(len(decoded.tokens), 1)))
        words.extend(_timed_words(decoded, piece))
    total = sum(weight for _, weight in weights)
    return Transcript(
        utterance=turn.utterance,
        text=" ".join(texts),
        is_final=True,
        confidence=sum(confidence * weight for confidence, weight in weights) / total if total else 0.0,
        words=tuple(words),
        audio_seconds=turn.audio_seconds,
        decode_ms=ms,
    )


def _timed_words(decoded: Decoded, piece: _Piece) -> list[Word]:
    """Words laid over the voiced parts of the piece, each as long as its share of the letters."""
    grouped: list[tuple[str, list[float]]] = []
    for token in decoded.tokens:
        if token.text.startswith(" ") or not grouped:
            grouped.append((token.text.strip(), [token.probability]))
        else:
            word, probabilities = grouped[-1]
            grouped[-1] = (word + token.text, [*probabilities, token.probability])
    grouped = [(word, probabilities) for word, probabilities in grouped if word]
    voiced = np.flatnonzero(piece.voiced)
    if not grouped or not len(voiced):
        return []
    letters = np.array([sum(letter.isalnum() for letter in word) + 1.0 for word, _ in grouped])
    edges = np.concatenate([[0.0], np.cumsum(letters)]) / letters.sum() * len(voiced)
    last = len(piece.samples) / RATE
    words = []
    for number, (word, probabilities) in enumerate(grouped):
        first_frame = voiced[min(int(edges[number]), len(voiced) - 1)] + edges[number] % 1
        final_frame = voiced[min(max(int(np.ceil(edges[number + 1])) - 1, 0), len(voiced) - 1)] + 1
        start = min(first_frame * FRAME / RATE, last)
        end = min(max(final_frame * FRAME / RATE, start), last)
        if words and start < words[-1].end_time - piece.start / RATE:
            start = words[-1].end_time - piece.start / RATE
            end = max(end, start)
        words.append(
            Word(
                word=word,
                start_time=round(float(piece.start / RATE + start), 3),
                end_time=round(float(piece.start / RATE + end), 3),
                confidence=round(float(np.mean(probabilities)), 3),
            )
        )
    return words


def _release(turn: _Turn) -> None:
    if turn.timeout is not None:
        turn.timeout.cancel()
    for piece in turn.pieces:
        if piece.job is not None and piece.decoded is None:
            piece.job.cancel()

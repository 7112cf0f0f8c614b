"""Callers who hesitate and callers in noise, made of human recordings: the same every time.

A hesitation is a pause of 300 to 900 ms put where the voice is quietest, once or twice in a sentence; in it the room goes on. The sentence is
over where its last sound ends, and nowhere before.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from voisnap_media import files
from voisnap_media.pcm import Pcm, Samples
from voisnap_media.vad import RATE
from voisnap_stack.load_audio import FRAME, pink

AUDIO = Path(__file__).parent.parent / "fixtures" / "audio"
SENTENCES = (
    "human-go-forward.wav",
    "human-had-leisure.flac",
    "human-not-ill-disposed.flac",
    "human-cold-hearted.flac",
    "human-more-amiable.flac",
    "human-amiable-himself.flac",
    "human-two-cards.flac",
    "human-three-cards.flac",
)
LEVEL_DBFS = -26.0
"""Of the voice, RMS where it sounds."""
ROOM_DBFS = -58.0
LEAD_SECONDS = 1.0
TAIL_SECONDS = 4.5
"""Longer than any server waits before it takes silence for the end."""
FADE = RATE // 100
_AUDIBLE = 0.1


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How a sentence is said: pauses in it in milliseconds, from and to; noise by its distance from the voice in dB."""

    name: str
    pauses: tuple[tuple[int, int], ...] = ()
    snr_db: float | None = None


KINDS = (
    Kind(name="clean"),
    Kind(name="noise 15 dB", snr_db=15),
    Kind(name="noise 8 dB", snr_db=8),
    Kind(name="short hesitation", pauses=((300, 450),)),
    Kind(name="two hesitations", pauses=((300, 600), (450, 900))),
    Kind(name="long hesitation", pauses=((600, 900),)),
    Kind(name="long hesitation, noise 12 dB", pauses=((600, 900),), snr_db=12),
)


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One turn: room, voice, room. `spoken_frames` are the frames of 20 ms up to the end of the voice."""

    name: str
    kind: str
    audio: Pcm
    spoken_frames: int
    longest_pause_ms: int
    """The longest pause that was put in, 0 for none; the speaker's own come on top."""


def recordings(names: Sequence[str] = SENTENCES, kinds: Sequence[Kind] = KINDS) -> tuple[Recording, ...]:
    """Every sentence in every kind."""
    return tuple(_recording(name, kind) for kind in kinds for name in names)


def _recording(name: str, kind: Kind) -> Recording:
    seed = int.from_bytes(hashlib.sha256(f"{name} {kind.name}".encode()).digest()[:8])
    random = np.random.default_rng(seed)
    spoken = voice(name)
    pauses = [int(random.integers(low, high + 1)) for low, high in kind.pauses]
    spoken = _with_pauses(spoken, pauses)
    whole = np.concatenate(
        [np.zeros(int(LEAD_SECONDS * RATE)), spoken, np.zeros(int(TAIL_SECONDS * RATE) + -len(spoken) % FRAME)]
    )
    whole = whole[: len(whole) - len(whole) % FRAME]
    noise = ROOM_DBFS if kind.snr_db is None else LEVEL_DBFS - kind.snr_db
    whole = whole + pink(len(whole), noise, random)
    return Recording(
        name=Path(name).stem,
        kind=kind.name,
        audio=Pcm(np.clip(np.rint(whole), -32768, 32767).astype(np.int16), RATE),
        spoken_frames=-(-(int(LEAD_SECONDS * RATE) + len(spoken)) // FRAME),
        longest_pause_ms=max(pauses, default=0),
    )


def voice(name: str) -> np.ndarray:
    """A sentence from its first to its last sound, at the same level as all others."""
    samples = files.read(AUDIO / name, RATE).samples.astype(np.float64)
    envelope = _envelope(samples)
    sounding = np.flatnonzero(envelope > _AUDIBLE * np.percentile(envelope, 98))
    samples = samples[sounding[0] : sounding[-1] + 1]
    loud = samples[np.abs(samples) > 0.1 * np.abs(samples).max()]
    return samples * (32768 * 10 ** (LEVEL_DBFS / 20) / math.sqrt(float(np.mean(np.square(loud)))))


def _with_pauses(voice: np.ndarray, pauses: Sequence[int]) -> np.ndarray:
    """The voice with silence where it is quietest, one place for each pause, in equal parts of the sentence."""
    if not pauses:
        return voice
    envelope = _envelope(voice)
    pieces, start = [], 0
    for number, pause in enumerate(pauses, 1):
        middle = len(voice) * number // (len(pauses) + 1)
        reach = len(voice) // (3 * (len(pauses) + 1))
        cut = middle - reach + int(np.argmin(envelope[middle - reach : middle + reach]))
        piece = voice[start:cut].copy()
        piece[-FADE:] *= np.linspace(1, 0, FADE)
        pieces += [piece, np.zeros(pause * RATE // 1000)]
        start = cut
    last = voice[start:].copy()
    last[:FADE] *= np.linspace(0, 1, FADE)
    return np.concatenate([*pieces, last])


def _envelope(samples: np.ndarray) -> np.ndarray:
    """Its level, over 30 ms."""
    width = RATE * 30 // 1000
    return np.sqrt(np.convolve(np.square(samples), np.full(width, 1 / width), mode="same"))


def frames_of(recording: Recording) -> tuple[Samples, ...]:
    """In pieces of 20 ms."""
    return tuple(np.split(recording.audio.samples, len(recording.audio) // FRAME))

"""How a line is spoken: faster, higher, quieter, mumbled, in a noisy place. Sound at 16 kHz in, sound at 16 kHz out."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # numpy: 10 MB that a simulator nobody uses does without
    from voisnap_media.pcm import Samples

RATE = 16_000
NOISE_SECONDS = 4


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """`voice` is one of the local voices. `speed` 0.5 to 2; `pitch` in semitones, -6 to 6, which makes other people of one voice; `level` in
    dB, -40 to 12; `mumble` 0 to 1 takes the consonants away; `noise` is the level of a busy place behind it, dBFS (RMS), -80 to -10."""

    voice: str = "heart"
    speed: float = 1.0
    pitch: float = 0.0
    level: float = 0.0
    mumble: float = 0.0
    noise: float | None = None

    def __post_init__(self) -> None:
        if self.voice not in VOICES:
            raise ValueError(
                f"voice {self.voice!r} is not here; there is {', '.join(VOICES)} (pitch and speed make others of it)"
            )
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} is {low:g} to {high:g}, not {value:g}")


VOICES = ("heart",)
"""The local voices (`voisnap_providers.vendors.local.tts`)."""
_RANGES = (
    ("speed", 0.5, 2.0),
    ("pitch", -6.0, 6.0),
    ("level", -40.0, 12.0),
    ("mumble", 0.0, 1.0),
    ("noise", -80.0, -10.0),
)
PLAIN = Manner()


def in_manner(sound: "Samples", manner: Manner) -> "Samples":
    """A line that was spoken at `manner.speed` and lower or higher by as much as `pitch` makes it longer or shorter (`spoken_speed`)."""
    import numpy as np  # noqa: PLC0415 - see the module

    if manner.pitch:
        count = round(len(sound) / 2 ** (manner.pitch / 12))
        places = np.linspace(0, max(len(sound) - 1, 0), count)
        sound = np.interp(places, np.arange(len(sound)), sound).astype(np.int16)
    if not (manner.level or manner.mumble):
        return sound
    loud = sound.astype(np.float64) * 10 ** (manner.level / 20)
    if manner.mumble and len(loud):
        hertz = np.fft.rfftfreq(len(loud), 1 / RATE)
        edge = 3400 - 2600 * manner.mumble
        loud = np.fft.irfft(np.fft.rfft(loud) / (1 + (hertz / edge) ** 4), len(loud))
    return np.clip(np.rint(loud), -32768, 32767).astype(np.int16)


def spoken_speed(manner: Manner) -> float:
    """How fast the voice has to speak, so that the change of pitch leaves the speed that was asked for."""
    return min(2.0, max(0.5, manner.speed / 2 ** (manner.pitch / 12)))


def noise_of(level_dbfs: float, seed: int = 1) -> "Samples":
    """Pink noise that rises and falls as in a busy place; it can be repeated without a seam."""
    import numpy as np  # noqa: PLC0415 - see the module

    random, count = np.random.default_rng(seed), RATE * NOISE_SECONDS
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    shape = np.where(hertz > 60, 1 / np.sqrt(np.maximum(hertz, 60)), 0)
    sound = np.fft.irfft(shape * np.exp(2j * np.pi * random.random(len(hertz))), count)
    sound *= 1 + 0.4 * np.sin(2 * np.pi * np.arange(count) / count * 5)
    sound *= 32768 * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(np.square(sound)))
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)

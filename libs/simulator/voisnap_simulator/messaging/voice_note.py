"""A voice note as telephones record it: Opus in an Ogg file, 48 kHz, one channel (RFC 7845)."""

import asyncio
import io
from fractions import Fraction

from voisnap_simulator.persona.voice import LocalVoice, Voice
from voisnap_simulator.world import World

from .network import Media, new_hex

CONTENT_TYPE = "audio/ogg"
BIT_RATE = 24_000
_FRAME = 960


async def spoken(world: World, text: str) -> Media:
    """A text in the voice of the simulated people."""
    voice: Voice = world.part(LocalVoice, LocalVoice)
    samples = await voice.spoken(text)
    content = await asyncio.to_thread(_encoded, samples.tobytes())
    return Media(
        id=new_hex(40),
        content_type=CONTENT_TYPE,
        content=content,
        kind="voice",
        seconds=len(samples) / 16000,
    )


def _encoded(pcm: bytes) -> bytes:
    # 60 MB with its codecs: not before the first note.
    import av  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        stream.bit_rate = BIT_RATE
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48000, frame_size=_FRAME)
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16000
        frame.time_base = Fraction(1, 16000)
        frame.pts = 0
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()

"""Sound files that a document has a carrier play: fetched, decoded, and at the line's rate."""

import asyncio
import io
from typing import TYPE_CHECKING, Any

from .hooks import Hooks

if TYPE_CHECKING:  # numpy: 10 MB that a simulator nobody uses does without
    from voisnap_media.pcm import Samples

MAX_BYTES = 20 * 1024 * 1024
MAX_SECONDS = 600


class Unplayable(Exception):
    """The text says whether it could not be fetched (`fetch`) or not be decoded (`content`)."""


async def sound_of(hooks: Hooks, url: str) -> "Samples":
    """What is to be heard. Raises Unplayable."""
    content = await hooks.fetched(url, most=MAX_BYTES)
    if content is None:
        raise Unplayable("fetch")
    return await asyncio.to_thread(_decoded, content)


def _decoded(content: bytes) -> "Samples":
    import av  # noqa: PLC0415 - see above
    import numpy as np  # noqa: PLC0415 - see above
    from av.error import FFmpegError  # noqa: PLC0415 - see above

    from .sound import RATE  # noqa: PLC0415 - see above

    pieces: list[Any] = []
    try:
        source: Any = av.open(io.BytesIO(content))
        with source as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for decoded in container.decode(audio=0):
                pieces += [frame.to_ndarray()[0] for frame in resampler.resample(decoded)]
                if sum(len(piece) for piece in pieces) > MAX_SECONDS * RATE:
                    break
            pieces += [frame.to_ndarray()[0] for frame in resampler.resample(None)]
    except (FFmpegError, IndexError, ValueError) as error:
        raise Unplayable("content") from error
    return np.concatenate(pieces).astype(np.int16) if pieces else np.zeros(0, np.int16)

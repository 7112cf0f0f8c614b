"""What the simulated carriers record: both sides of a call on a tape, and a shelf of tapes that can be fetched until they are deleted."""

import asyncio
import io
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from voisnap_simulator.world import World

from .calls import Call

if TYPE_CHECKING:  # numpy: 10 MB that a simulator nobody uses does without
    from voisnap_media.pcm import Samples

MAX_FRAMES = 20 * 60 * 50
"""Of one tape: twenty minutes."""
MAX_TAPES = 100
"""What is older is gone, as it is at a carrier one day."""


class Tape:
    """A recording of one call. It runs until it is stopped, or the call ends; while it is paused it takes silence, or nothing."""

    def __init__(self, call: Call, id: str, *, is_stereo: bool = False, format: str = "mp3") -> None:
        self.call, self.id, self.is_stereo, self.format = call, id, is_stereo, format
        self.paused: str | None = None
        """`skip` or `silence` while it is paused."""
        self.began_at, self.ended_at = time.time(), 0.0
        self.over = asyncio.Event()
        self.more: dict[str, Any] = {}
        """What the carrier's part keeps of it."""
        self._frames: list[tuple[Samples, Samples]] = []

    @property
    def seconds(self) -> float:
        """What is on it."""
        return len(self._frames) / 50

    @property
    def status(self) -> str:
        """As Twilio says it."""
        return "completed" if self.over.is_set() else "paused" if self.paused else "in-progress"

    def take(self, said: "Samples", heard: "Samples") -> None:
        """20 ms of both sides."""
        if self.over.is_set() or self.paused == "skip" or len(self._frames) >= MAX_FRAMES:
            return
        if self.paused:
            from .sound import SILENCE  # noqa: PLC0415 - see above

            said = heard = SILENCE
        self._frames.append((said, heard))

    def stop(self) -> None:
        """It takes no more."""
        if not self.over.is_set():
            self.ended_at = time.time()
            self.call.tapes.discard(self)
            self.over.set()

    def encoded(self, format: str) -> bytes:
        """The sound as a file: `mp3` or `wav`, at 16 kHz."""
        import av  # noqa: PLC0415 - see above
        import numpy as np  # noqa: PLC0415 - see above

        from .sound import RATE, SILENCE  # noqa: PLC0415 - see above

        frames = self._frames or [(SILENCE, SILENCE)]
        sides = [np.concatenate([pair[side] for pair in frames]) for side in (0, 1)]
        if self.is_stereo:
            sound = np.column_stack(sides)
        else:
            sound = np.clip(sides[0].astype(np.int32) + sides[1], -32768, 32767).astype(np.int16)[:, None]
        file = io.BytesIO()
        with av.open(file, "w", format=format) as container:
            layout = "stereo" if self.is_stereo else "mono"
            stream: Any = container.add_stream("libmp3lame" if format == "mp3" else "pcm_s16le", rate=RATE)
            stream.layout = layout
            for at in range(0, len(sound), RATE):
                block = np.ascontiguousarray(sound[at : at + RATE].reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
                frame.sample_rate = RATE
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return file.getvalue()


class Shelf:
    """The tapes of a world, by their carrier and id."""

    def __init__(self) -> None:
        self._tapes: OrderedDict[tuple[str, str], Tape] = OrderedDict()

    def begin(self, call: Call, id: str, *, is_stereo: bool = False, format: str = "mp3", **more: Any) -> Tape:
        """Record a call from now on. It stops with the call."""
        tape = Tape(call, id, is_stereo=is_stereo, format=format)
        tape.more.update(more)
        self._tapes[call.provider, id] = tape
        call.tapes.add(tape)
        call.note("records", recording=id)
        while len(self._tapes) > MAX_TAPES:
            _, oldest = self._tapes.popitem(last=False)
            oldest.stop()
        return tape

    def find(self, provider: str, id: str) -> Tape | None:
        """A tape by its id."""
        return self._tapes.get((provider, id))

    def of(self, call: Call) -> list[Tape]:
        """A call's tapes, the newest first."""
        return [tape for tape in reversed(self._tapes.values()) if tape.call is call]

    def all(self, provider: str) -> list[Tape]:
        """A carrier's, the newest first."""
        return [tape for (whose, _), tape in reversed(self._tapes.items()) if whose == provider]

    def delete(self, tape: Tape) -> None:
        """It cannot be fetched any more."""
        tape.stop()
        self._tapes.pop((tape.call.provider, tape.id), None)


def shelf_of(world: World) -> Shelf:
    """The world's."""
    return world.part(Shelf, Shelf)

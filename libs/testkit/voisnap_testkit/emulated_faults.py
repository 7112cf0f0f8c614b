"""What an emulator of a speech service does wrong when a test asks for it, one fault a request or stream, in order."""

import asyncio
from collections import deque

import msgspec


class Refused(msgspec.Struct, frozen=True, tag_field="kind", tag="refused"):
    """An error instead of an answer. `code` and `message` None: what the vendor says with this status."""

    status: int
    code: str | None = None
    message: str | None = None
    retry_after: int | None = None


class SlowStart(msgspec.Struct, frozen=True, tag_field="kind", tag="slow"):
    """Nothing for so long, then as usual."""

    seconds: float


class CutAfter(msgspec.Struct, frozen=True, tag_field="kind", tag="cut"):
    """The connection breaks after so many seconds of audio, sent or received."""

    seconds: float


class FailedAfter(msgspec.Struct, frozen=True, tag_field="kind", tag="failed"):
    """The vendor's own error, in the form it has inside a stream, after so many seconds of audio."""

    code: str
    seconds: float = 0.0
    message: str = "Something is wrong."


class NoSound(msgspec.Struct, frozen=True, tag_field="kind", tag="no_sound"):
    """Success without any audio."""


class NeverFinal(msgspec.Struct, frozen=True, tag_field="kind", tag="never_final"):
    """Interim results only, however long the silence."""


Fault = Refused | SlowStart | CutAfter | FailedAfter | NoSound | NeverFinal


class Faults:
    """The faults still to come. `wait` passes the time of a slow start."""

    def __init__(self) -> None:
        self._steps: deque[Fault | None] = deque()

    def plan(self, *steps: Fault | None) -> None:
        """What the next requests or streams meet; None: nothing."""
        self._steps.extend(steps)

    async def next(self) -> Fault | None:
        """The fault of this request, a slow start already waited for."""
        step = self._steps.popleft() if self._steps else None
        if isinstance(step, SlowStart):
            await asyncio.sleep(step.seconds)
            return None
        return step


def decoded_faults(body: bytes) -> tuple[Fault | None, ...]:
    """Faults as JSON, `[{"kind": "refused", "status": 429}, null]`, for emulators that run as processes."""
    return msgspec.json.decode(body, type=tuple[Fault | None, ...])

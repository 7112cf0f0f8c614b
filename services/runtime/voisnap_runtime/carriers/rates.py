"""Changes of sample rate of all telephone calls of a process, in one product a beat: by themselves they cost more than all else of a frame."""

from collections.abc import Callable

from voisnap_kit import log
from voisnap_media.pcm import Pcm
from voisnap_media.polyphase import Polyphase, process_together

_log = log.get(__name__)


_Waiting = tuple[Pcm, float, Callable[[Pcm, float], None], Callable[[], None]]


class RateChanges:
    """Those of one direction. `run` is for the process's clock: before it is looked at what was heard, after it was pulled what is said."""

    def __init__(self) -> None:
        self._waiting: dict[Polyphase, list[_Waiting]] = {}

    def add(
        self,
        stream: Polyphase,
        audio: Pcm,
        at: float,
        taken: Callable[[Pcm, float], None],
        failed: Callable[[], None],
    ) -> None:
        """Have `taken(changed, at)` called at the next `run`, and `failed()` when that raises. Raises ValueError for sound of another rate."""
        if audio.rate != stream.from_rate:
            raise ValueError(f"this stream has {stream.from_rate} Hz, got {audio.rate} Hz")
        self._waiting.setdefault(stream, []).append((audio, at, taken, failed))

    def drop(self, stream: Polyphase) -> None:
        """What waits of this stream is not wanted any more."""
        self._waiting.pop(stream, None)

    def run(self) -> None:
        """Change everything that waits; of each stream in order. One call's fault is no other's."""
        waiting, self._waiting = self._waiting, {}
        ratios: dict[tuple[int, int], list[tuple[Polyphase, list[_Waiting]]]] = {}
        for stream, frames in waiting.items():
            ratios.setdefault((stream.from_rate, stream.to_rate), []).append((stream, frames))
        for alike in ratios.values():
            place = 0
            while alike:
                ready = [frames[place] for _, frames in alike]
                changed = process_together([stream for stream, _ in alike], [frame[0] for frame in ready])
                for (_, at, taken, failed), audio in zip(ready, changed, strict=True):
                    try:
                        taken(audio, at)
                    except Exception:
                        _log.exception("carrier.frame_failed")
                        failed()
                place += 1
                alike = [entry for entry in alike if len(entry[1]) > place]


class Rates:
    """What calls hear and what they say."""

    def __init__(self) -> None:
        self.heard = RateChanges()
        self.spoken = RateChanges()

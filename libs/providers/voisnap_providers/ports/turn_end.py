"""Whether a caller has finished, judged from the sound of the last words."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # it comes with numpy: 120 ms and 25 MB of every process that handles no sound
    from voisnap_media.pcm import Pcm


class TurnEndDetector(Protocol):
    provider: str

    async def warm(self) -> None:
        """Load what it needs, off the event loop; may be called again. Raises ProviderError."""
        ...

    async def chance(self, turn: "Pcm") -> float | None:
        """The chance, 0 to 1, that the turn is over where `turn` (16 kHz, begins with the turn) ends; None when nobody can tell in time.

        Raises `ValueError` for another rate, ProviderError when the model cannot be loaded. Cancelling takes the question back.
        """
        ...

    async def aclose(self) -> None: ...

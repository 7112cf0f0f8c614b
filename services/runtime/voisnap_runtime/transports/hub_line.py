"""A caller who is reached over the hub connection itself: there as long as it is. A line without sound, as chats have it."""

from voisnap_media.pcm import Pcm

from .port import LinkQuality, TransportState


class HubLine:
    """One hub connection as a transport of its session (`Transport`)."""

    def __init__(self) -> None:
        self._state = TransportState.CONNECTED

    @property
    def state(self) -> TransportState:
        return self._state

    def send(self, audio: Pcm | None) -> None:
        """There is nothing to play."""

    def quality(self) -> LinkQuality:
        """A hub loses nothing."""
        return LinkQuality()

    def lose(self) -> None:
        """The connection is gone."""
        if self._state is TransportState.CONNECTED:
            self._state = TransportState.DISCONNECTED

    async def close(self) -> None:
        self._state = TransportState.CLOSED

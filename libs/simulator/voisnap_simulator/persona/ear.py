"""Hears whether the other side speaks: by energy, which is enough on a line that is digital silence otherwise."""

from voisnap_media.pcm import Samples

from voisnap_simulator.voice.media import loudness

LOUD = 10 ** (-48 / 20)
"""-48 dBFS: quiet speech is louder, comfort noise is not."""
BEGINS, HOLDS = 3, 15
"""Loud frames that begin speech, and quiet ones it goes on through: 60 and 300 ms."""


class Ear:
    """Times are counted in frames of 20 ms."""

    def __init__(self) -> None:
        self.is_talking = False
        self.talked_for = 0
        self.quiet_for = 0
        """Frames since speech ended, while nobody talks."""
        self.utterances = 0
        """How often speech began."""
        self._loud = self._soft = 0

    def hear(self, frame: Samples) -> None:
        """The next 20 ms."""
        is_loud = loudness(frame) > LOUD
        self._loud = self._loud + 1 if is_loud else 0
        self._soft = 0 if is_loud else self._soft + 1
        if self.is_talking:
            self.talked_for += 1
            if self._soft >= HOLDS:
                self.is_talking = False
                self.quiet_for = self._soft
        elif self._loud >= BEGINS:
            self.is_talking = True
            self.talked_for = self._loud
            self.utterances += 1
        else:
            self.quiet_for += 1

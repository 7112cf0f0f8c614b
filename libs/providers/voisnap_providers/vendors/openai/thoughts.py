"""Words without the thoughts before them.

Servers of open models that are not told how a model marks its thoughts send them as words: `<think>The caller wants…</think>It is free.`
"""

_BEGIN = "<think>"
_END = "</think>"


class Spoken:
    """Takes a reply piece by piece and gives what is to be said."""

    def __init__(self) -> None:
        self._held = ""
        self._thinks: bool | None = None
        self._trims = False

    def add(self, piece: str) -> str:
        """What can be said now."""
        if self._thinks is None:
            return self._begun(piece)
        if not self._thinks:
            return self._trimmed(piece)
        self._held += piece
        at = self._held.find(_END)
        if at < 0:
            self._held = self._held[1 - len(_END) :]
            return ""
        rest, self._held = self._held[at + len(_END) :], ""
        self._thinks, self._trims = False, True
        return self._trimmed(rest)

    def rest(self) -> str:
        """What was held back in case it was the beginning of a thought."""
        held = self._held if self._thinks is None else ""
        self._held = ""
        return held

    def _begun(self, piece: str) -> str:
        self._held += piece
        start = self._held.lstrip()
        if len(start) < len(_BEGIN) and _BEGIN.startswith(start):
            return ""
        held, self._held = self._held, ""
        self._thinks = start.startswith(_BEGIN)
        return self.add(start[len(_BEGIN) :]) if self._thinks else held

    def _trimmed(self, piece: str) -> str:
        if self._trims:
            piece = piece.lstrip()
            self._trims = not piece
        return piece


def spoken(text: str) -> str:
    """A whole reply without its thoughts."""
    words = Spoken()
    return words.add(text) + words.rest()

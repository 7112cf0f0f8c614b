"""The words of a conversation, made ready: lines, sentences, words, and the language they are in."""

import re
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
from voisnap_domain.analysis import Dialogue
from voisnap_domain.conversations import Speaker
from voisnap_domain.languages import language_tag

from voisnap_providers.vendors.local.normalise import sentences as split_sentences

from .words import STOP_WORDS

Embed = Callable[[tuple[str, ...]], np.ndarray]

MAX_LINES = 400
MAX_LINE_CHARS = 2000
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FILLER = re.compile(r"(?<!\w)(?:umm+|um(?=[,.…])|uh+|erm+|hmm+|ähm?|eh+m+|este+,)[,.…]*\s+", re.IGNORECASE)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one side, tidied; `place` counts from 0."""

    place: int
    speaker: Speaker
    text: str
    sentences: tuple[str, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as its parts are read from: all lines, those of each side, and the language."""

    lines: tuple[Line, ...]
    language: str

    @property
    def user(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.speaker is Speaker.USER)

    @property
    def agent(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.speaker is Speaker.AGENT)

    def said(self, speaker: Speaker) -> tuple[str, ...]:
        """The sentences of one side, in order."""
        return tuple(sentence for line in self.lines if line.speaker is speaker for sentence in line.sentences)

    def replies(self) -> tuple[tuple[str, Line], ...]:
        """What the agent said right before, and what the user said to it."""
        pairs, last = [], ""
        for line in self.lines:
            if line.speaker is Speaker.AGENT:
                last = line.text
            elif line.speaker is Speaker.USER:
                pairs.append((last, line))
        return tuple(pairs)


def read(dialogue: Dialogue) -> Reading:
    """The lines of both sides. Of a very long conversation its beginning and its end."""
    kept = [said for said in dialogue.said if said.speaker in (Speaker.AGENT, Speaker.USER) and said.text.strip()]
    if len(kept) > MAX_LINES:
        kept = [*kept[: MAX_LINES // 2], *kept[-MAX_LINES // 2 :]]
    lines = []
    for said in kept:
        text = tidy(said.text[:MAX_LINE_CHARS])
        if text:
            parts = split_sentences(text) or (text,)
            lines.append(Line(place=len(lines), speaker=said.speaker, text=text, sentences=parts))
    return Reading(lines=tuple(lines), language=_language(lines, dialogue.language))


def tidy(text: str) -> str:
    """Text without fillers, double spaces and typographic apostrophes."""
    return re.sub(r"\s+", " ", _FILLER.sub("", text.replace("’", "'"))).strip()


def words(text: str) -> list[str]:
    """The words of a text in lower case, contractions whole."""
    return [word.lower() for word in _WORD.findall(text.replace("’", "'"))]


def stem(word: str) -> str:
    """A word without its commonest endings, enough to find "booked" in "booking"."""
    word = word.removesuffix("'s")
    for ending in (
        "ations",
        "ation",
        "ings",
        "ing",
        "ies",
        "ied",
        "ments",
        "ment",
        "ers",
        "er",
        "ed",
        "es",
        "s",
        "e",
        "y",
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _language(lines: list[Line], setting: str) -> str:
    """The language by its commonest words; the agent's setting when they do not tell."""
    count = Counter(word for line in lines if line.speaker is Speaker.USER for word in words(line.text))
    if sum(count.values()) < 12:
        count += Counter(word for line in lines if line.speaker is Speaker.AGENT for word in words(line.text))
    hits = {language: sum(count[word] for word in known) for language, known in STOP_WORDS.items()}
    set_to = (language_tag(setting) or "en").partition("-")[0]
    best = max(hits, key=lambda language: (hits[language], language == set_to))
    if hits[best] >= 2 and hits[best] > 1.2 * hits.get(set_to, 0):
        return best
    return set_to

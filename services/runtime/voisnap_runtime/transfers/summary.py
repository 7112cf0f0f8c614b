"""What a call is about, for whoever takes it over: in the language model's words, or the caller's own."""

from collections.abc import Sequence

from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.transfers import MAX_SUMMARY
from voisnap_domain.turntaking import words_of

MIN_WORDS = 4
"""What a caller says in fewer words is rarely what he calls for."""


def in_callers_words(turns: Sequence[Turn], reason: str) -> str:
    """Why he calls: what the agent noted, and the first and the last thing he said that was more than a few words. A note that is but his own
    wish to be put through gives way to whatever else he said."""
    said = [
        turn.text.strip() for turn in turns if turn.speaker is Speaker.USER and len(words_of(turn.text)) >= MIN_WORDS
    ]
    noted = reason.strip()
    others = [text for text in said if text != noted]
    kept = [others[0], others[-1]] if others else []
    first = () if kept and noted in said else (noted,)
    texts = dict.fromkeys(_sentence(text) for text in (*first, *kept) if text)
    return cut(" ".join(texts))


def cut(text: str) -> str:
    """No longer than somebody listens, and nothing that would be taken for a template."""
    plain = " ".join(text.replace("{", "(").replace("}", ")").split())
    if len(plain) <= MAX_SUMMARY:
        return plain
    return plain[:MAX_SUMMARY].rsplit(" ", 1)[0] + " …"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."

"""What was talked about: short phrases that both sides used, the most telling first."""

import re
from collections import defaultdict

from voisnap_domain.conversations import Speaker

from .purposes import Purpose
from .reading import Reading, stem, words
from .words import NEGATIONS, STOP_WORDS, VALENCES

MOST = 5
CHATTER = frozenset(
    ["able", "account", "actually", "afternoon", "again", "agent", "already", "also", "always", "anyone", "anything", "apologize", "appreciate", "around", "ask", "asked", "asking", "available", "away", "back", "bit", "bye", "call", "called", "caller", "calling", "can't", "check", "checked", "come", "comes", "confirm", "correct", "couple", "course", "customer", "day", "days", "dear", "detail", "details", "different", "else", "email", "end", "evening", "everything", "exactly", "extra", "fact", "feel", "fill", "find", "fine", "first", "follow", "forward", "found", "full", "give", "glad", "go", "good", "goodbye", "great", "guess", "hang", "happen", "happened", "happens", "happy", "hear", "hello", "help", "helped", "helpful", "helping", "hey", "hi", "hold", "home", "hope", "hour", "hours", "idea", "important", "information", "it'll", "keep", "kind", "know", "last", "later", "leave", "let", "like", "line", "list", "little", "long", "look", "looking", "looks", "lot", "ma'am", "make", "makes", "man", "mean", "minute", "minutes", "moment", "month", "months", "morning", "much", "name", "nice", "night", "nobody", "number", "nothing", "number", "o'clock", "offer", "one", "open", "option", "order", "part", "people", "per", "perfect", "person", "phone", "place", "please", "point", "possible", "probably", "problem", "pull", "put", "question", "questions", "quick", "quickly", "ready", "read", "real", "really", "receive", "received", "reason", "reach", "record", "right", "run", "said", "saturday", "say", "second", "see", "seems", "send", "sense", "sent", "set", "show", "sir", "sit", "sorry", "sort", "sound", "sounds", "speak", "spell", "spoke", "start", "started", "stay", "step", "stop", "sunday", "sure", "system", "take", "taken", "talk", "talking", "team", "tell", "thank", "thanks", "that'll", "thing", "things", "think", "thought", "three", "time", "times", "today", "together", "told", "tomorrow", "tonight", "took", "total", "tried", "trouble", "try", "trying", "turn", "two", "understand", "unfortunately", "use", "used", "using", "verify", "wait", "waiting", "wanna", "want", "wanted", "wants", "watch", "week", "weeks", "welcome", "wonderful", "wondering", "word", "work", "works", "would've", "write", "wrong", "yesterday", "you've", "zero", "monday", "tuesday", "wednesday", "thursday", "friday", "four", "five", "six", "seven", "eight", "nine", "ten", "next", "new", "big", "old", "small", "bad", "better", "best", "hundred", "thousand", "dollars", "euros", "pounds", "address", "date", "gone", "guys", "ago", "anymore", "maybe", "else", "definitely", "simply", "directly", "immediately", "currently", "twice", "once", "half", "quite", "almost", "enough", "least", "instead", "soon", "early", "late", "inside", "outside", "near", "send", "dear", "mister", "hablar", "llamar", "llamo", "llamada", "señor", "señora", "momento", "nombre", "número", "ayudar", "ayudarle", "ayudo", "ayuda", "día", "hora", "semana", "mañana", "tarde", "entonces", "claro", "vale", "bueno", "perfecto", "favor", "quería", "gustaría", "decir", "saber", "puedo", "puede", "sprechen", "anrufen", "angerufen", "rufe", "herr", "frau", "moment", "name", "nummer", "helfen", "hilfe", "tag", "uhr", "woche", "morgen", "natürlich", "gerne", "gut", "genau", "einfach", "mal", "bitte", "danke", "vielleicht", "etwas", "gibt", "geht", "machen", "gemacht", "sagen", "wissen", "frage", "fragen", "parler", "appeler", "appelle", "monsieur", "madame", "moment", "nom", "numéro", "aider", "aide", "jour", "heure", "semaine", "demain", "bien", "sûr", "alors", "donc", "fait", "faire", "dire", "savoir", "question", "peut", "pouvoir"]
)  # fmt: skip
_NUMBERED = re.compile(r"(?<!\S)(?:\S*@\S*|\S+(?:\sdot\s\S+){0,8}\sat\s\S+\sdot\s\w+|\S*\d\S*)", re.IGNORECASE)
"""E-mail addresses, and whatever has figures in it."""

_PART = re.compile(r"[.,;:!?()\"]+|\s-\s")
_CATEGORIES = frozenset(
    {
        "billing",
        "technical",
        "sales",
        "appointments",
        "orders",
        "complaint",
        "health",
        "travel",
        "claims",
        "account",
        "finance",
        "reservations",
        "careers",
        "feedback",
    }
)


def topics_of(reading: Reading, purpose: Purpose | None) -> tuple[str, ...]:
    """Up to five phrases of one to three words in lower case."""
    scores: defaultdict[str, float] = defaultdict(float)
    shown: dict[str, str] = {}
    stop = STOP_WORDS.get(reading.language, frozenset()) | STOP_WORDS["en"] | CHATTER | NEGATIONS
    valences = VALENCES.get(reading.language, {})
    for line in reading.lines:
        weight = 1.0 if line.speaker is Speaker.USER else 0.75
        own = line.speaker is Speaker.AGENT and line.place == 0
        for phrase in _phrases(_NUMBERED.sub(" ; ", line.text), stop):
            kept = [word for word in phrase if abs(valences.get(word, 0)) < (1.1 if reading.language == "en" else 0.7)]
            for run in _runs(kept):
                key = " ".join(stem(word) for word in run)
                shown.setdefault(key, " ".join(run))
                scores[key] += (0.2 if own else weight) * (1 + 0.45 * (len(run) - 1))
    places = {key: place for place, key in enumerate(shown)}
    ranked = sorted(scores, key=lambda key: (-scores[key], places[key]))
    chosen: list[str] = []
    if purpose is not None and purpose.category in _CATEGORIES:
        chosen.append(purpose.category)
    taken = {stem(word) for word in chosen}
    for key in ranked:
        parts = set(key.split())
        if len(chosen) >= MOST or scores[key] < 0.5 or (scores[key] < 1.0 and len(chosen) >= 2):
            break
        if parts <= taken or len(parts & taken) * 2 > len(parts):
            continue
        chosen.append(shown[key])
        taken |= parts
    return tuple(chosen)


def _phrases(text: str, stop: frozenset[str]) -> list[list[str]]:
    found: list[list[str]] = []
    for part in _PART.split(text):
        run: list[str] = []
        for word in words(part):
            if (
                word in stop
                or len(word) < 3
                or any(character.isdigit() for character in word)
                or word.endswith(("n't", "'ll", "'re", "'ve", "'d", "'m"))
            ):
                found.append(run)
                run = []
            else:
                run.append(word.removesuffix("'s"))
        found.append(run)
    return [run for run in found if run]


def _runs(phrase: list[str]) -> list[list[str]]:
    """The phrase itself, and its words, where it is short enough to be a name of something."""
    if not phrase:
        return []
    head = phrase[-3:]
    while len(head) > 1 and head[0].endswith(("ed", "ing", "ly")):
        head = head[1:]
    return [head] if len(head) == 1 else [head, *([word] for word in head if len(word) > 3)]

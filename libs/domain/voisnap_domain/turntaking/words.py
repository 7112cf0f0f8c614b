"""What words mean for whose turn it is: backchannels, farewells, words that leave a sentence open. Pure, by word lists.

Words are compared folded: without case, accents and punctuation, with contractions written out ("that's" = "thats" = "that is").
Lists are by language (`en`, `es`, …); English and the hums that every language shares are always among them, since callers mix.
"""

import re
import unicodedata
from functools import lru_cache

import msgspec

_MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u0980-\u0983\u09bc-\u09cd"
_LETTERS = rf"(?:[^\W_]|[{_MARKS}])+"
_WORD = re.compile(rf"{_LETTERS}(?:['’`]{_LETTERS})*")
_BREAK = re.compile(r"[.!?…。！？;:,、—–।\n]|\s-+\s")


def word_set(words: str) -> frozenset[str]:
    """A set of words, written with spaces between them."""
    return frozenset(words.split())


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without punctuation."""
    return tuple(word.lower().replace("’", "'").replace("`", "'") for word in _WORD.findall(text))


# --- backchannels

_HUMS = "uh, huh, uh huh, uhhuh, uhuh, um, umm, mm, mmm, hm, hmm, mhm, mmhm, mmhmm, ah, ahh, aha, ahah, oh, ooh, eh, er, erm"
_HUMS_OF = {
    "en": "wow, really, oh really, oh wow, is that so, hah, ha",
    "es": "anda, no me digas",
    "fr": "euh, ah bon, tiens",
    "de": "ahm, ach, ach so, achso, soso",
    "pt": "ue, puxa",
    "it": "ah si, davvero",
    "nl": "tjonge, goh",
    "pl": "ojej",
    "hi": "arre, are, hun, हूँ, हूं, हम्म",
}
_NODS_OF = {
    "en": (
        "okay, ok, okey, k, yeah, yep, yup, ya, yes, right, alright, all right, sure, sure thing, cool, great, good, nice, perfect, fine, "
        "exactly, true, totally, absolutely, definitely, correct, gotcha, got it, got you, i got it, i see, i know, i understand, "
        "understood, of course, makes sense, that makes sense, that is right, that is true, go on, oh i see, very good, sounds good, thanks, thank you, thank you so much"
    ),
    "es": "si, vale, claro, claro que si, ya, ya veo, bueno, bien, muy bien, perfecto, de acuerdo, ajá, exacto, entiendo, entendido, eso",
    "fr": "oui, ouais, d'accord, bien, bien sur, voila, je vois, tout a fait, exactement, entendu, parfait, c'est ca, oui oui",
    "de": "ja, jo, jep, genau, klar, gut, stimmt, richtig, verstehe, ich verstehe, alles klar, in ordnung, na klar, sehr gut, jawohl",
    "pt": "sim, ta, ta bom, ta bem, certo, claro, isso, entendi, perfeito, bom, muito bem, uhum, pois, pois e, beleza",
    "it": "si, va bene, certo, giusto, esatto, capito, ho capito, perfetto, bene, ecco, gia, d'accordo",
    "nl": "ja, oke, goed, precies, klopt, prima, natuurlijk, snap ik, ik snap het, begrepen, juist",
    "pl": "tak, dobrze, dobra, jasne, rozumiem, racja, wlasnie, pewnie, no tak",
    "hi": "haan, han, haan ji, ji, ji haan, achha, accha, acha, theek, theek hai, thik hai, sahi, sahi hai, bilkul, samajh gaya, samajh gayi, "
    "हाँ, हां, जी, जी हाँ, जी हां, अच्छा, ठीक, ठीक है, सही, सही है, बिल्कुल, बिलकुल",
}

_FAREWELLS_OF = {
    "en": (
        "bye, bye bye, goodbye, good bye, see you, see you later, see you soon, take care, have a good day, have a nice day, have a good one, "
        "have a great day, you too, good night, cheers, talk to you later, and, then, well, the same to you"
    ),
    "es": "adios, hasta luego, hasta pronto, chao, gracias, muchas gracias, igualmente, buen dia",
    "fr": "au revoir, merci, merci beaucoup, bonne journee, a bientot, salut, a vous aussi",
    "de": "tschuss, auf wiedersehen, wiedersehen, auf wiederhoren, danke, danke schon, vielen dank, ciao, gleichfalls, schonen tag",
    "pt": "tchau, adeus, obrigado, obrigada, ate logo, igualmente, bom dia",
    "it": "ciao, arrivederci, grazie, grazie mille, buona giornata, altrettanto",
    "nl": "dag, doei, tot ziens, dank je, dank u, bedankt",
    "pl": "do widzenia, czesc, dziekuje, nawzajem",
    "hi": "alvida, dhanyavaad, dhanyavad, shukriya, namaste, धन्यवाद, नमस्ते, शुक्रिया",
}

MAX_BACKCHANNEL_WORDS = 8
"""A longer text says more than "I am listening"."""


def is_backchannel(text: str, language: str = "en", *, unfinished: bool = False) -> bool:
    """Whether a text says no more than "I am listening", or, `unfinished`, may yet. An empty text does not even say that."""
    return _is_short_and_made_of(text, _backchannels(base_language(language)), unfinished)


def is_farewell(text: str, language: str = "en", *, unfinished: bool = False) -> bool:
    """Whether a text says no more than goodbye and thanks, or, `unfinished`, may yet."""
    return _is_short_and_made_of(text, _farewells(base_language(language)), unfinished)


def is_hum(text: str, language: str = "en") -> bool:
    """Whether a text is a backchannel that answers nothing, not even a question asked at the same moment; or empty."""
    return _made_of(tuple(_folded(word) for word in words_of(text)), _hums(base_language(language)))


def has_content(text: str, language: str = "en", *, unfinished: bool = False) -> bool:
    """Whether a text says anything beyond a backchannel; of an `unfinished` one, whether it does so already."""
    return bool(words_of(text)) and not is_backchannel(text, language, unfinished=unfinished)


_STOPS_OF = {
    "en": "stop, wait, no, hold on, hang on, excuse me, sorry, pause, quiet, enough, hello, please, listen, actually, but, one moment, not",
    "es": "para, pare, espera, espere, no, basta, perdon, un momento, alto, calla, pero",
    "fr": "stop, arretez, arrete, attendez, attends, non, pardon, un instant, excusez, mais",
    "de": "stopp, halt, warte, warten, moment, nein, entschuldigung, genug, aber",
    "pt": "pare, para, espera, espere, nao, desculpe, um momento, chega, mas",
    "it": "ferma, fermati, aspetta, aspetti, no, scusa, scusi, un momento, basta, ma",
    "nl": "stop, wacht, nee, sorry, genoeg, maar",
    "pl": "stop, czekaj, nie, przepraszam, chwila, dosc",
    "hi": "ruko, rukiye, nahin, nahi, bas, suno, suniye, रुको, रुकिए, नहीं, बस, सुनो",
}


def stops(text: str, language: str = "en") -> bool:
    """Whether a text begins by asking the other to stop: "wait", "no", "excuse me"."""
    words = tuple(_folded(word) for word in words_of(text))
    return any(words[: len(phrase)] == phrase for phrase in _stop_phrases(base_language(language)))


@lru_cache
def _stop_phrases(language: str) -> frozenset[tuple[str, ...]]:
    return _phrases(_STOPS_OF["en"], _STOPS_OF.get(language, ""))


def _is_short_and_made_of(text: str, phrases: frozenset[tuple[str, ...]], unfinished: bool) -> bool:
    words = tuple(_folded(word) for word in words_of(text))
    return 0 < len(words) <= MAX_BACKCHANNEL_WORDS and _made_of(words, phrases, unfinished=unfinished)


def _made_of(words: tuple[str, ...], phrases: frozenset[tuple[str, ...]], *, unfinished: bool = False) -> bool:
    """Whether a text is nothing but such phrases, one after the other; `unfinished`: the last one may still be going on."""
    longest = max(len(phrase) for phrase in phrases)
    reached = {0}
    for start in range(len(words)):
        if start not in reached:
            continue
        rest = words[start:]
        if unfinished and any(phrase[: len(rest)] == rest for phrase in phrases):
            return True
        reached |= {start + size for size in range(1, longest + 1) if rest[:size] in phrases}
    return len(words) in reached


@lru_cache
def _hums(language: str) -> frozenset[tuple[str, ...]]:
    return _phrases(_HUMS, _HUMS_OF["en"], _HUMS_OF.get(language, ""))


@lru_cache
def _backchannels(language: str) -> frozenset[tuple[str, ...]]:
    return _hums(language) | _phrases(_NODS_OF["en"], _NODS_OF.get(language, ""))


@lru_cache
def _farewells(language: str) -> frozenset[tuple[str, ...]]:
    return _backchannels(language) | _phrases(_FAREWELLS_OF["en"], _FAREWELLS_OF.get(language, ""))


def _phrases(*lists: str) -> frozenset[tuple[str, ...]]:
    found = (tuple(_folded(word) for word in words_of(phrase)) for one in lists for phrase in one.split(","))
    return frozenset(phrase for phrase in found if phrase)


def base_language(language: str) -> str:
    """The language of a BCP 47 tag, without script and region."""
    return language.lower().replace("_", "-").partition("-")[0]


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in plain if not "\u0300" <= letter <= "\u036f")


# --- farewells

_LINKING = word_set(
    "want wanna to say saying be being going gonna go mean ready yet please have get like a an the word words you i we they us me let "
    "do did does your my this that our ever really just even quite hang"
)
"""Words that carry a negation or a mention on to a phrase: in "don't want to say goodbye", "want to say"."""
_DENYING = word_set("not never without before until till nor how word words phrase said says called spell")
"""A phrase that one of these reaches is not meant: it is denied, put off or only mentioned."""
_PUTTING_OFF = frozenset({"yet"})
_CONTRACTED = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "cant": "can not",
    "wont": "will not",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "couldnt": "could not",
    "wouldnt": "would not",
    "shouldnt": "should not",
    "havent": "have not",
    "im": "i am",
    "ive": "i have",
    "youre": "you are",
    "youve": "you have",
    "theyre": "they are",
    "thats": "that is",
    "whats": "what is",
    "lets": "let us",
    "gonna": "going to",
    "wanna": "want to",
    "y'all": "you all",
}
_ENDINGS = (("n't", " not"), ("'re", " are"), ("'ll", " will"), ("'ve", " have"), ("'m", " am"))
_IS = word_set("that it he she there here what who where how everything nothing this")


class _Spoken(msgspec.Struct, frozen=True):
    """A folded word and the clause it stands in, counted from 0."""

    word: str
    clause: int


def phrase_of(text: str) -> tuple[str, ...]:
    """A phrase in the form that `says_one_of` compares; empty when it has no word."""
    return tuple(item.word for item in _spoken(text))


def says_one_of(text: str, phrases: tuple[tuple[str, ...], ...]) -> bool:
    """Whether a text says one of the phrases (of `phrase_of`) and means it.

    Whole words count, whatever their case, accents, punctuation, contractions and spacing ("good bye", "good-bye"). A phrase that is denied,
    put off or only mentioned is not meant: "don't say goodbye yet", "how do you say goodbye in French".
    """
    spoken = _spoken(text)
    return any(_is_meant(spoken, start, end) for phrase in phrases for start, end in _places(spoken, "".join(phrase)))


def _places(spoken: list[_Spoken], wanted: str) -> list[tuple[int, int]]:
    """From where to where the words spell `wanted`."""
    found: list[tuple[int, int]] = []
    for start in range(len(spoken)):
        letters = ""
        for end in range(start, len(spoken)):
            letters += spoken[end].word
            if letters == wanted:
                found.append((start, end + 1))
            if len(letters) >= len(wanted):
                break
    return found


def _is_meant(spoken: list[_Spoken], start: int, end: int) -> bool:
    if end < len(spoken) and spoken[end].clause == spoken[end - 1].clause and spoken[end].word in _PUTTING_OFF:
        return False
    for item in reversed(spoken[:start]):
        if item.clause != spoken[start].clause:
            return True
        if item.word in _DENYING:
            return False
        if item.word not in _LINKING:
            return True
    return True


def _spoken(text: str) -> list[_Spoken]:
    spoken: list[_Spoken] = []
    clause, last = 0, 0
    for match in _WORD.finditer(text):
        if _BREAK.search(text, last, match.start()):
            clause += 1
        last = match.end()
        spoken += [
            _Spoken(word, clause) for word in _written_out(_folded(match[0].replace("’", "'").replace("`", "'")))
        ]
    return spoken


def _written_out(word: str) -> list[str]:
    if word in _CONTRACTED:
        return _CONTRACTED[word].split()
    for ending, meant in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            return (word.removesuffix(ending) + meant).split()
    if word.endswith("'s") and word[:-2] in _IS:
        return [word[:-2], "is"]
    return [word.replace("'", "")]


# --- sentences that go on

_OPEN_OF = {
    "en": (
        "the my a an and or but because um uh uhm er erm if is are was were with of from by who which when i we your his her their our "
        "these those can could would will should than into as have has had do does did am be been to also plus"
    ),
    "es": "el la los las un una mi y o pero porque que de del con para por si es son en a su tu",
    "fr": "le la les un une mon ma et ou mais parce que de du avec pour si est sont dans je euh",
    "de": "der die das den dem ein eine einen mein meine und oder aber weil dass wenn ist sind mit von zu ich ahm",
    "pt": "o a os as um uma meu minha e ou mas porque que de do da com para se em eu",
    "it": "il lo la i gli le un una mio mia e o ma perche che di del della con per se in io",
}


def ends_open(text: str, language: str = "en") -> bool:
    """Whether the last word asks for another one: an article, a conjunction, a hesitation."""
    words = words_of(text)
    return bool(words) and _folded(words[-1]) in _open_words(base_language(language))


@lru_cache
def _open_words(language: str) -> frozenset[str]:
    return word_set(f"{_OPEN_OF['en']} {_OPEN_OF.get(language, '')}")

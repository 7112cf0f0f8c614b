"""How each side sounded, from 0 (negative) to 1 (positive): word lists with negation and emphasis, turns of phrase, and nearness in meaning
to sentences that are known to praise or to blame. Where neither says anything, 0.5."""

import math
import re

import numpy as np
from voisnap_domain.analysis import SentimentBreakdown
from voisnap_domain.conversations import Speaker

from .reading import Embed, Reading, words
from .words import DIMINISHERS, INTENSIFIERS, NEGATIONS, VALENCES

MOST_SENTENCES = 80
"""Sentences of the user that are compared by meaning; of more, those spread over the conversation."""

_SATURATION = 5.0
_REACH = 3
_WEIGHT_OF_USER = 0.75
_PHRASES: tuple[tuple[re.Pattern[str], float], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), value)
    for pattern, value in (
        (r"\bno (?:problem|worries)\b|\bnot (?:a problem|bad)\b|\bkein problem\b|\bsin problema|\bpas de (?:problème|souci)", 0.8),
        (r"\bwrong number\b|\bsorry (?:to bother|for (?:the|my)|about (?:that|the)|i)\b|\b(?:oh|um|i\'m) sorry\b", 0.0),
        (r"\byou(?:\'d| had) better\b|\bhow (?:can|could|is) (?:that|this|it) (?:even )?(?:happen|possible|be)\w*\b|\bare you (?:serious|joking)\b|\bunbelievable\b|\bgiven (?:away )?to (?:someone|somebody) else\b", -2.0),
        (r"\bgood (?:riddance|luck with that)\b|\bno thanks to you\b|\bgreat[.,]? (?:just great|another|so|now)\b|\bthanks for nothing\b", -2.8),
        (r"\bno,? (?:thank you|thanks)\b|\bnein,? danke\b|\bno,? gracias\b|\bnon,? merci\b", 0.0),
        (r"\b(?:any|another|the|a|my) (?:issue|problem|question)s?\b(?=.{0,40}\?)", -0.3),
        (r"\b(?:thank you|thanks) (?:so|very) much\b|\bthanks a (?:lot|million|bunch)\b|\bmuchas gracias\b|\bvielen (?:herzlichen )?dank\b|\bmerci beaucoup\b|\bgrazie mille\b|\bmuito obrigad[oa]\b", 2.0),
        (r"\b(?:sounds|that'?s|that is|works|it'?s|looks) (?:great|good|perfect|wonderful|fantastic|awesome|amazing|excellent)\b", 2.2),
        (r"\b(?:made|saved) my day\b|\byou'?(?:re| are| have been|'ve been) (?:so |very |really |super )?(?:helpful|kind|great|the best|a star|patient)\b|\bwell done\b|\bcan'?t (?:thank|fault)\b|\bkeep up the\b|\bblown away\b|\blook(?:ing)? forward\b|\bcan'?t wait (?:to|for)\b|\bworth every\b", 2.6),
        (r"\b(?:it'?s|it is|that'?s|that) (?:working|fixed|sorted|back on|solved)(?: now)?\b|\b(?:it|that|this) works(?: now)?\b|\bthat (?:helps|did it|worked)\b|\bya funciona\b|\bjetzt (?:geht|funktioniert) es\b", 2.0),
        (r"\b(?:doesn'?t|does not|don'?t|didn'?t|isn'?t|not|never|won'?t|stopped|no longer|keeps? not) (?:even )?(?:work|working|arrive[d]?|turn on|start|load|connect|respond)\w*\b|\bno funciona\b|\bfunktioniert (?:\w+ )?nicht\b|\bgeht nicht\b|\bne (?:marche|fonctionne) (?:pas|plus)\b|\bnon funziona\b|\bnão funciona\b", -1.8),
        (r"\b(?:still|yet again) (?:waiting|not|haven'?t|hasn'?t|no|broken|doesn'?t|isn'?t)\b|\bstill (?:\w+ )?(?:wrong|down)\b|\bimmer noch (?:nicht|kein)|\btodavía no\b|\btoujours pas\b|\bsigo esperando\b", -1.8),
        (r"\b(?:second|third|fourth|fifth|tenth|\d+(?:nd|rd|th)) time\b(?=.{0,60}(?:call|contact|happen|ask|this|broke|tell|explain))|\b(?:how many times|over and over|again and again|every (?:single )?time|yet again|once again)\b|\b(?:tercera|cuarta) vez\b|\b(?:dritte|vierte)[sn]? mal\b|\btroisième fois\b", -2.2),
        (r"\b(?:waste|wasting|wasted) (?:of )?(?:my )?(?:time|money)\b|\bfed up\b|\bsick (?:and tired )?of\b|\bripped? off\b|\brip-?off\b|\blet down\b|\blast straw\b|\bhad enough\b|\blosing my (?:patience|mind)\b|\bnever (?:again|calling|buying|coming|using|ordering)\b|\bwhat a joke\b|\bare you kidding\b|\bno (?:excuse|sense)\b|\bnot (?:good enough|acceptable|happy|helpful|impressed|helping)\b|\bcan'?t believe\b|\bgiv(?:e|ing) up\b|\btake my business\b|\bswitch(?:ing)? (?:to another|providers?)\b|\bnadie me\b|\bestoy hart[oa]\b|\bes reicht\b|\bj'en ai (?:marre|assez)\b", -2.8),
        (r"\b(?:speak|talk|get|put me through) (?:to|with|me)? ?(?:a |your |the )?(?:manager|supervisor)\b|\bfile a (?:formal )?complaint\b|\bmake a complaint\b|\b(?:my )?(?:lawyer|attorney)\b|\bbad review\b|\bone star\b|\breport you\b", -2.0),
        (r"\bcharged (?:me )?(?:twice|double|again|two times|three times)\b|\bdouble.charged\b|\bdoppelt abgebucht\b|\bcobr\w+ (?:dos veces|doble|de más)\b|\bnobody (?:has |ever )?(?:call|answer|came|come|show|help|told|respond|picked)\w*\b|\bno one (?:has |ever )?(?:call|answer|came|come|show|help|told|respond|picked)\w*\b|\b(?:nicht|nie) zurückgerufen\b", -2.2),
        (r"\b(?:hours|days|weeks|months) (?:now|already|late|ago and)\b|\bon hold for\b|\b(?:for|been) (?:\w+ )?(?:hours|days|weeks|months)\b(?=.*\b(?:wait|without|down|nothing|no)\b)", -1.2),
        (r"\bforget (?:it|about it)\b|\bnever ?mind\b(?!.{0,12}thank)|\bwhatever\b|\bthis is (?:going )?nowhere\b|\byou (?:don'?t|do not|aren'?t|are not) (?:understand\w*|listen\w*|help\w*)\b|\bleave me alone\b|\bstop calling\b|\bremove me\b|\bhang(?:ing)? up\b|\bdas bringt (?:doch )?nichts\b", -2.0),
        (r"\bhow (?:are you|is it going|do you do)\b|\bgood (?:morning|afternoon|evening|day|night)\b|\bgood ?bye\b|\b(?:buenos días|buenas (?:tardes|noches)|guten (?:tag|morgen|abend)|bonjour|bonsoir|buongiorno|bom dia|boa (?:tarde|noite)|auf wiederhören)\b|\bhave a (?:good|nice|great|lovely) (?:day|one|evening|weekend)\b", 0.2),
    )
)  # fmt: skip
_PRAISE = (
    "Thank you so much, you have been very helpful",
    "Perfect, that is exactly what I needed",
    "Great, that works for me, I really appreciate it",
    "I'm very happy with your service",
    "Oh wonderful, that was quick and easy",
    "That's a relief, thank you for sorting it out",
    "I love the product, it is fantastic",
    "I would recommend you to my friends",
)
_PLAIN = (
    "I would like to know your opening hours",
    "My account number is four five six seven",
    "I am calling to ask about the price",
    "Can I book an appointment for Tuesday afternoon?",
    "Yes, that is my address",
    "No, that's all for today",
    "I'd like to change the date of my reservation",
    "Could you send me a copy of the invoice?",
    "My name is John Smith",
    "I want to cancel my subscription",
    "Is the store open on Sunday?",
    "Okay, let me check that",
)
_BLAME = (
    "I'm really angry about this terrible service",
    "This is unacceptable, nobody helps me",
    "I have been waiting for weeks and nothing happens",
    "It broke again after two days and I am frustrated",
    "You charged me twice and I want my money back",
    "I'm very disappointed, I will not buy from you again",
    "This is the third time I am calling about the same problem",
    "My internet has been down for days and I can't work",
    "The food was cold and the staff were rude",
    "You are not listening to me, this is useless",
    "Stop calling me, I am not interested",
    "The delivery never arrived and nobody answers",
)


class SentimentReader:
    """Prototypes, embedded when first needed."""

    def __init__(self, embed: Embed | None) -> None:
        self._embed = embed
        self._classes: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def read(self, reading: Reading) -> tuple[float, SentimentBreakdown]:
        """The whole conversation's score, mostly the user's, and that of each side."""
        user = self._side(reading, Speaker.USER)
        agent = self._side(reading, Speaker.AGENT)
        if user is None:
            whole = 0.5 if agent is None else 0.5 + (agent - 0.5) * 0.3
        elif agent is None:
            whole = user
        else:
            whole = _WEIGHT_OF_USER * user + (1 - _WEIGHT_OF_USER) * agent
            if (user - 0.5) * (whole - 0.5) < 0 or abs(user - 0.5) > 0.12:
                whole = 0.9 * user + 0.1 * agent  # a polite agent makes no angry customer content
        return round(whole, 2), SentimentBreakdown(agent=_rounded(agent), user=_rounded(user))

    def values(self, sentences: tuple[str, ...], language: str) -> list[float]:
        """Each sentence from -1 to 1."""
        by_words = [lexical(sentence, language) for sentence in sentences]
        if self._embed is None or language != "en":
            return by_words
        chosen = _spread(len(sentences), MOST_SENTENCES)
        by_meaning = dict(
            zip(chosen, self._meanings(self._embed, tuple(sentences[place] for place in chosen)), strict=True)
        )
        return [_together(value, by_meaning.get(place), sentences[place]) for place, value in enumerate(by_words)]

    def _side(self, reading: Reading, side: Speaker) -> float | None:
        sentences = reading.said(side)
        if not sentences:
            return None
        if side is Speaker.USER:
            values = self.values(sentences, reading.language)
        else:
            values = [_politeness(lexical(sentence, reading.language), sentence) for sentence in sentences]
        total = weights = 0.0
        for place, value in enumerate(values):
            lateness = 0.85 + 0.5 * (place / max(1, len(values) - 1))
            length = min(1.0, 0.35 + len(sentences[place].split()) / 10)
            weight = lateness * length * (0.18 + abs(value))
            total += weight * value
            weights += weight
        mean = total / (weights + 0.25)
        return 0.5 + 0.5 * math.tanh(1.5 * mean)

    def _meanings(self, embed: Embed, sentences: tuple[str, ...]) -> list[float]:
        if self._classes is None:
            self._classes = (embed(_PRAISE), embed(_PLAIN), embed(_BLAME))
        vectors = embed(sentences)
        near = np.stack([np.sort(vectors @ known.T, axis=1)[:, -2:].mean(axis=1) for known in self._classes], axis=1)
        odds = np.exp(11 * (near - near.max(axis=1, keepdims=True)))
        shares = odds / odds.sum(axis=1, keepdims=True)
        sure = np.clip((near.max(axis=1) - 0.15) / 0.3, 0, 1)
        return [float(value) for value in (shares[:, 0] - shares[:, 2]) * sure]


def lexical(sentence: str, language: str) -> float:
    """A sentence from -1 to 1 by its words and turns of phrase; 0 for one that says nothing either way."""
    rest, total = sentence, 0.0
    for pattern, value in _PHRASES:
        rest, times = pattern.subn(" ", rest)
        total += value * min(times, 2)
    valences = VALENCES.get(language, {})
    spoken = words(rest)
    for place, word in enumerate(spoken):
        value = valences.get(word)
        if value is None:
            continue
        before = spoken[max(0, place - _REACH) : place]
        if any(word in INTENSIFIERS for word in before[-2:]):
            value *= 1.4
        if any(word in DIMINISHERS for word in before[-2:]):
            value *= 0.6
        if any(word in NEGATIONS for word in before):
            value *= -0.7 if value > 0 else -0.35
        total += value
    if sentence.count("!") and total:
        total *= 1.15
    return total / math.sqrt(total * total + _SATURATION)


def _together(by_words: float, by_meaning: float | None, sentence: str) -> float:
    if by_meaning is None:
        return by_words
    if len(sentence.split()) <= 2:
        return by_words  # too short to have a meaning of its own
    return 0.62 * by_words + 0.38 * by_meaning


def _politeness(value: float, sentence: str) -> float:
    """An agent that regrets is not unhappy: apologies and a customer's trouble repeated count as care."""
    if re.search(
        r"\b(?:sorry|apologi[sz]e|understand|unfortunately|inconvenience|lo siento|disculpe|lamento|tut mir leid|entschuldigung|désolée?|mi dispiace|desculpe)\b",
        sentence,
        re.IGNORECASE,
    ):
        return max(value, 0.1)
    return max(value, 0.0) if value > -0.75 else value


def _spread(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)

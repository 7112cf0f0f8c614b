"""The local agent's side of a conversation: from what was said to what is answered. Computes, so it runs in a worker thread."""

import re
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b

import msgspec
import numpy as np

from voisnap_providers.ports.llm import LlmRequest, Message, Role, ToolSpec

from . import handover
from .facts import Briefing, Fact, Persona, Shape, briefing, passage_facts
from .intents import Intent, IntentFinder, exact
from .normalise import digits_one_by_one, sentences
from .phrasing import finished, relevant, spoken, spoken_list, with_yes
from .ranking import Embed, Hit, Index
from .terms import families, terms

AGENTS_KEPT = 32
PASSAGES_KEPT = 64
VECTORS_KEPT = 6000

GOOD_SCORE = 0.35
SURE_SCORE = 0.56
LEAST_MEANING = 0.22
INTENT_SCORE = 0.60
FORBIDDEN_SCORE = 0.52
SIBLING_MARGIN = 0.12
LONGEST_LIST_WORDS = 90
MAX_QUESTION_CHARS = 600

ANYTHING_ELSE = "Is there anything else I can help you with?"
CALL_BACK_OFFER = "Would you like me to take your number so that someone can call you back?"
ASK_NUMBER = "What's the best number to reach you?"
ASK_NAME = "And what name should I put down?"
ASK_TIME = "What day and time would suit you?"

_FOLLOW_UP = re.compile(
    r"^(?:(?:okay|ok|great|thanks|thank you|and|so|alright|um+|uh+|oh)[,.]?\s+)*(?:and|what about|how about|what if|also|or|but what about|then)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(r"\b(?:it|that|this|they|them|those|these|there|one|ones|he|she)\b", re.IGNORECASE)
_WHAT_KINDS = re.compile(
    r"\bwh(?:at|ich) (?:\w+ ){1,4}?(?:do you (?:have|offer|sell|do|provide)|are (?:there|available)|can i (?:get|have|choose))\b",
    re.IGNORECASE,
)
_SPLIT = re.compile(
    r"(?<=[?.!])\s+|,?\s+(?:and|also)\s+(?=(?:what|where|when|how|who|which|do|does|are|is|can|could|will)\b)|,\s+(?=(?:what|where|when|how|who|which|do you|are you|can you|can i|is there|are there)\b)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\?|^\W*(?:\w+\W+){0,3}?(?:what|where|when|how|who|which|why|do|does|did|are|is|can|could|will|would|should|may|have|tell me)\b",
    re.IGNORECASE,
)
_TELLS = re.compile(r"^\W*(?:my \w+(?: \w+)?(?: is|'s)|it's|it is|the (?:number|name|code) is)\b[^?]*$", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|okay|ok|so|um+|uh+|well|oh|yes|yeah|great|perfect|thanks|thank you|please|sorry|excuse me|actually|alright|all right|right|there|no)\b[,.!]*\s*)+",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?:\+?\d[\s().-]{0,2}){7,15}")
_EMAIL = re.compile(
    r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b|\b([\w.+-]+(?: dot [\w-]+)*) at ([\w-]+(?: (?:dot|\.) [\w-]+)+|[\w-]+\.(?:com|net|org|io|co))\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:order|booking|reservation|confirmation|reference|invoice|ticket|account|case)\b(?:\s+(?:number|code|id))?\W+(?:is\W+|it's\W+)?((?:[A-Za-z]{0,3}[\s-]?)?\d(?:[\s,-]*\d){2,14})\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?:my name is|my name's|this is|i am|i'm|it's|the name is|name is|under)\s+([A-Z][\w'-]+(?:\s+[A-Z][\w'-]+){0,2})"
)
_BARE_NAME = re.compile(
    r"^(?:it's |its |this is |sure,? |yes,? )*([A-Za-z][\w'-]+(?:\s+[A-Za-z][\w'-]+){0,2})\W*$", re.IGNORECASE
)
_DIGIT_WORDS = {
    word: str(digit)
    for digit, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
} | {"oh": "0", "o": "0"}
_DIGIT_RUN = re.compile(
    rf"\b(?:(?:double|triple)\s+)?(?:{'|'.join(_DIGIT_WORDS)})(?:[\s,.-]+(?:(?:double|triple)\s+)?(?:{'|'.join(_DIGIT_WORDS)}|\d))*\b",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    r"\b(?:today|tomorrow|tonight|monday|tuesday|wednesday|thursday|friday|saturday|sunday|next week|morning|afternoon|evening|noon|\d{1,2}(?::\d{2})?\s?(?:[ap]\.?\s?m\.?|o'clock)|(?:january|february|march|april|may|june|july|august|september|october|november|december)\s+\w+|at (?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2}))\b",
    re.IGNORECASE,
)
_WANTS_BOOKING = re.compile(
    r"\b(?:i(?:'d| would)? (?:like|want|need) to|i want to|can i|could i|may i|let me|i need|i'd like|please|can you|could you|help me)\s+(?:to\s+)?(?:please\s+)?(?:book|make|schedule|reserve|set up|get|arrange|have|an?)\s+(?:me\s+)?(?:an?\s+|the\s+|my\s+)?(?:\w+\s+){0,2}?(?:appointment|reservation|booking|table|room|visit|cleaning|checkup|check-up|consultation|slot|demo)\b",
    re.IGNORECASE,
)
_OFFERED_MESSAGE = re.compile(r"\btake a message\b|\bcall (?:you )?back\b", re.IGNORECASE)
_BOOKING = re.compile(r"\b(?:book|reserv|appointment|schedul)\w*", re.IGNORECASE)
_WANTS_CALL_BACK = re.compile(
    r"\b(?:call(?:ed)? me back|call back|callback|give me a call|leave a message|take a message|have (?:someone|somebody) call)\b",
    re.IGNORECASE,
)
_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What to say, sentence by sentence, and whether the call is over then. `source` says where it came from, for logs and tests. `transfer`:
    to whom the caller is to be put through; `stays`: he is to be put through no more."""

    sentences: tuple[str, ...]
    source: str
    ends_call: bool = False
    score: float = 0.0
    transfer: str = ""
    stays: bool = False

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


class _Agent(msgspec.Struct, frozen=True):
    brief: Briefing
    index: Index
    forbidden: np.ndarray


class LocalAgent:
    """Keeps what it worked out about the last prompts and passages. Safe to call from several threads."""

    def __init__(self, embed: Embed) -> None:
        self._model = embed
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()
        self._agents: OrderedDict[bytes, _Agent] = OrderedDict()
        self._passages: OrderedDict[bytes, tuple[Fact, ...]] = OrderedDict()
        self._intents = IntentFinder(embed)

    def prepare(self, prompt: str, passages: tuple[str, ...] = ()) -> None:
        """Work out a prompt ahead of the first question."""
        self._agent(prompt, passages)

    def reply(self, request: LlmRequest) -> Reply:
        """The answer to the last thing the caller said."""
        prompt = "\n\n".join(message.content for message in request.messages if message.role is Role.SYSTEM)
        said = [message for message in request.messages if message.role in {Role.USER, Role.ASSISTANT}]
        heard = _tidy(said[-1].content) if said and said[-1].role is Role.USER else ""
        history = said[:-1]
        if request.messages and request.messages[-1].role is Role.TOOL:
            answered = request.messages[-1].content
            return Reply(sentences=sentences(answered) or (answered,), source="tool")
        agent = self._agent(prompt, request.passages)
        if not heard:
            return _reply("Sorry, I didn't catch that. Could you say it again?", source="silence")
        return (
            _stays(heard, request)
            or _put_through(heard, history, request.tools)
            or self._by_words(heard, history, agent.brief.persona)
            or self._pending(heard, history)
            or self._by_meaning(heard, history, agent)
        )

    # -- what needs no model

    def _by_words(self, heard: str, history: list[Message], persona: Persona) -> Reply | None:
        intent = exact(heard)
        if intent is None:
            return None
        last = _last(history, Role.ASSISTANT)
        if intent in {Intent.YES, Intent.NO}:
            return _to_yes_no(intent, last)
        return _to_intent(intent, persona, last)

    def _pending(self, heard: str, history: list[Message]) -> Reply | None:
        """An answer to what the agent asked for last: a number, a name, a time."""
        last = _last(history, Role.ASSISTANT)
        if not last or ("?" in heard and _ASKS.search(heard)):
            return None
        tail = sentences(last)[-1] if sentences(last) else ""
        if tail == ASK_NUMBER:
            number = _phone(heard)
            if number:
                return _reply(f"Thank you, I have {number}. {ASK_NAME}", source="slot")
            if any(sign.isdigit() for sign in _digits(heard)):
                return _reply(f"I didn't get the whole number. {ASK_NUMBER}", source="slot")
        if tail == ASK_NAME and (name := _name(heard)):
            earlier = " ".join(message.content for message in history if message.role is Role.USER)
            about = "call you back" if _phone(earlier) else "confirm that with you"
            return _reply(f"Thanks, {name}. Our team will {about}. {ANYTHING_ELSE}", source="slot")
        if tail == ASK_TIME and _MOMENT.search(heard):
            return _reply(f"{finished(_moment(heard))} I've noted that as your wish. {ASK_NAME}", source="slot")
        return None

    # -- what needs it

    def _by_meaning(self, heard: str, history: list[Message], agent: _Agent) -> Reply:
        parts = _questions(heard)
        replies = [self._answer(part, history, agent) for part in parts[:2]]
        found = [reply for reply in replies if reply.source == "fact"]
        if len(found) == 2 and found[0].text != found[1].text:
            return Reply(
                sentences=(*found[0].sentences, *found[1].sentences), source="fact", score=min(f.score for f in found)
            )
        if len(parts) > 1 and not found:
            whole = self._answer(heard, history, agent)
            return whole if whole.source == "fact" else replies[-1]
        return found[0] if found else replies[-1]

    def _answer(self, question: str, history: list[Message], agent: _Agent) -> Reply:
        asked = _LEAD_IN.sub("", question) or question
        previous = _previous_question(history)
        leans = bool(previous) and _leans_back(asked)
        together = f"{previous} {asked}" if leans else asked
        own, joint = self._embed((asked, together))
        hits = agent.index.rank(asked, own)
        if leans and not _leans_openly(asked) and _stands_alone(hits, asked, agent.index):
            leans, together = False, asked
        if leans:
            hits = _merged(agent.index.rank(together, joint), hits, agent.index, asked)
        best = hits[0] if hits else None
        intent, closeness = self._intents.nearest(own)
        score = best.score if best else 0.0
        if len(agent.forbidden) and float((agent.forbidden @ own).max()) > max(
            FORBIDDEN_SCORE, best.meaning if best else 0.0
        ):
            return _reply(f"I'm sorry, I can't help with that. {ANYTHING_ELSE}", source="forbidden")
        if (
            closeness >= INTENT_SCORE
            and closeness > (best.meaning if best else 0.0) + 0.05
            and score < SURE_SCORE + 0.1
        ):
            return _to_intent(intent, agent.brief.persona, _last(history, Role.ASSISTANT))
        slot = None if best is not None and _settles_booking(best, asked) else self._slot(asked, score)
        if slot:
            return slot
        if best is not None and _is_good(best, asked, leans):
            return self._tell(best, hits, asked if not leans else together, agent)
        return _unknown(asked, history, agent.brief)

    def _tell(self, best: Hit, hits: tuple[Hit, ...], question: str, agent: _Agent) -> Reply:
        fact = best.fact
        siblings = _whole_list(question, agent.index) or _siblings(best, hits, question, agent.index)
        if siblings:
            text = spoken_list(siblings)
        else:
            text = spoken(msgspec.structs.replace(fact, text=relevant(fact.text, question)))
            follow = _continuation(best, agent.index)
            if follow:
                text = f"{text} {finished(follow)}"
            text = with_yes(text, question, is_covered=agent.index.covers(question, best.place))
        return Reply(sentences=sentences(text) or (text,), source="fact", score=best.score)

    def _slot(self, heard: str, score: float) -> Reply | None:
        """What the caller tells rather than asks: a number, an address, a name, a wish."""
        if _WANTS_CALL_BACK.search(heard) and score < SURE_SCORE:
            number = _phone(heard)
            return _reply(
                f"Of course, I have {number}. {ASK_NAME}" if number else f"Of course. {ASK_NUMBER}", source="slot"
            )
        if _WANTS_BOOKING.search(heard) and not re.match(r"^\W*(?:how|what|where|when)\b", heard, re.IGNORECASE):
            if _MOMENT.search(heard):
                return _reply(f"Sure, {_moment(heard)}. {ASK_NAME}", source="slot")
            if score < SURE_SCORE:
                return _reply(f"Sure, I can take that down. {ASK_TIME}", source="slot")
        if score >= GOOD_SCORE and _ASKS.search(heard) and not _TELLS.match(heard):
            return None
        if order := _ORDER.search(_digits(heard)):
            return _reply(
                f"Thank you, I have number {_shown(order[1])}. What would you like to know about it?", source="slot"
            )
        if email := _EMAIL.search(heard):
            return _reply(f"Thank you, I have {_email(email)}. Is that right?", source="slot")
        if (number := _phone(heard)) and len(heard.split()) < 16:
            return _reply(f"Thank you, I have {number}. Is that right?", source="slot")
        if (name := _NAME.search(heard)) and len(heard.split()) <= 8 and "?" not in heard:
            return _reply(f"Nice to meet you, {name[1]}. How can I help you?", source="slot")
        return None

    # -- caches

    def _agent(self, prompt: str, passages: tuple[str, ...]) -> _Agent:
        key = blake2b("\x00".join((prompt, *passages)).encode(), digest_size=16).digest()
        found = self._agents.get(key)
        if found is None:
            brief = briefing(prompt)
            facts = [*brief.facts, *(fact for passage in passages for fact in self._passage(passage))]
            index = Index(_distinct(facts), self._embed)
            found = _Agent(
                brief, index, self._embed(brief.forbidden) if brief.forbidden else np.zeros((0, 384), np.float32)
            )
            self._agents[key] = found
            _bound(self._agents, AGENTS_KEPT)
        return found

    def _passage(self, passage: str) -> tuple[Fact, ...]:
        key = blake2b(passage.encode(), digest_size=16).digest()
        found = self._passages.get(key)
        if found is None:
            found = self._passages[key] = passage_facts(passage)
            _bound(self._passages, PASSAGES_KEPT)
        return found

    def _embed(self, texts: tuple[str, ...]) -> np.ndarray:
        missing = tuple(dict.fromkeys(text for text in texts if text not in self._vectors))
        fresh = dict(zip(missing, self._model(missing), strict=True)) if missing else {}
        result = np.stack([fresh[text] if text in fresh else self._vectors[text] for text in texts])
        self._vectors.update(fresh)
        _bound(self._vectors, VECTORS_KEPT)
        return result


# -- replies without facts


def _stays(heard: str, request: LlmRequest) -> Reply | None:
    if not handover.would_rather_stay(heard, request.messages, request.tools):
        return None
    return Reply(sentences=(), source="transfer", stays=True)


def _put_through(heard: str, history: list[Message], tools: tuple[ToolSpec, ...]) -> Reply | None:
    """For a caller who wants to speak to somebody, where that is possible."""
    wanted = handover.asked_for(heard, handover.targets_of(tools), last=_last(history, Role.ASSISTANT))
    if isinstance(wanted, str):
        return _reply(wanted, source="transfer")
    return None if wanted is None else Reply(sentences=(), source="transfer", transfer=wanted.name)


def _to_intent(intent: Intent, persona: Persona, last: str) -> Reply:
    who = persona.name or "the virtual assistant"
    at = f" from {persona.organisation}" if persona.organisation else ""
    match intent:
        case Intent.GREETING:
            return _reply("Hello! How can I help you?", source=intent)
        case Intent.HOW_ARE_YOU:
            return _reply("I'm doing well, thank you. How can I help you?", source=intent)
        case Intent.THANKS:
            return _reply(f"You're welcome! {ANYTHING_ELSE}", source=intent)
        case Intent.GOODBYE | Intent.NOTHING_ELSE:
            return _reply("Thank you for calling. Goodbye!", source=intent, ends_call=True)
        case Intent.REPEAT | Intent.SLOWER:
            return _reply(last or "How can I help you?", source=intent)
        case Intent.ROBOT:
            return _reply(f"I'm {who}, an AI assistant{at}. How can I help you?", source=intent)
        case Intent.NAME:
            return _reply(
                f"This is {who}{at}. How can I help you?" if persona.name else f"I'm {who}{at}. How can I help you?",
                source=intent,
            )
        case Intent.COMPANY:
            text = f"You've reached {persona.organisation}." if persona.organisation else f"This is {who}."
            return _reply(f"{text} How can I help you?", source=intent)
        case Intent.HUMAN:
            return _reply(f"I understand, you'd like to talk to a person. {CALL_BACK_OFFER}", source=intent)
        case Intent.CAN_DO:
            about = f" about {persona.organisation}" if persona.organisation else ""
            return _reply(
                f"I can answer your questions{about} and take a message for our team. What would you like to know?",
                source=intent,
            )
        case Intent.HEAR_ME:
            return _reply("Yes, I can hear you. How can I help you?", source=intent)
        case Intent.HOLD_ON:
            return _reply("Of course, take your time.", source=intent)
        case Intent.COMPLAINT:
            return _reply(f"I'm sorry about that. {CALL_BACK_OFFER}", source=intent)
        case Intent.YES | Intent.NO:
            return _to_yes_no(intent, last)


def _to_yes_no(intent: Intent, last: str) -> Reply:
    asked = sentences(last)[-1] if sentences(last) else ""
    yes = intent is Intent.YES
    if asked == CALL_BACK_OFFER or (yes and _OFFERED_MESSAGE.search(asked)):
        return _reply(f"Great. {ASK_NUMBER}" if yes else f"All right. {ANYTHING_ELSE}", source="slot")
    if asked == "Is that right?":
        return _reply(f"Perfect. {ASK_NAME}" if yes else "Sorry about that. Could you say it once more?", source="slot")
    if asked == ANYTHING_ELSE and not yes:
        return _reply("Thank you for calling. Goodbye!", source=Intent.GOODBYE, ends_call=True)
    if yes:
        return _reply("Sure. What would you like to know?", source=intent)
    return _reply(f"All right. {ANYTHING_ELSE}", source=intent)


def _unknown(asked: str, history: list[Message], brief: Briefing) -> Reply:
    if brief.unknown:
        is_honest = re.search(r"\b(?:sorry|not sure|don['’]t (?:have|know)|check)\b", brief.unknown, re.IGNORECASE)
        honest = "" if is_honest else "I'm sorry, I'm not sure about that. "
        return _reply(honest + brief.unknown, source="unknown")
    before = sum(
        message.role is Role.ASSISTANT and "don't have" in message.content.replace("’", "'") for message in history
    )
    if before == 0:
        return _reply(f"I'm sorry, I don't have that information. {CALL_BACK_OFFER}", source="unknown")
    return _reply(f"I'm afraid I don't have an answer to that either. {ANYTHING_ELSE}", source="unknown")


def _reply(text: str, *, source: str, ends_call: bool = False) -> Reply:
    return Reply(sentences=sentences(text) or (text,), source=str(source), ends_call=ends_call)


# -- choosing


def _settles_booking(hit: Hit, asked: str) -> bool:
    """Whether the owner wrote how bookings are made, or that there are none."""
    return (
        hit.score >= GOOD_SCORE and _BOOKING.search(asked) is not None and _BOOKING.search(hit.fact.plain()) is not None
    )


def _is_good(hit: Hit, asked: str, leans: bool) -> bool:
    if hit.meaning < LEAST_MEANING and hit.cover < 0.6:
        return False
    if hit.score < GOOD_SCORE:
        return False
    return hit.cover > 0.0 or hit.meaning > 0.5


def _merged(together: tuple[Hit, ...], alone: tuple[Hit, ...], index: Index, asked: str) -> tuple[Hit, ...]:
    """For a question that leans on the one before: facts that fit both, those that have the new words first."""
    own = {hit.place: hit for hit in alone}
    new = [term for term in terms(asked) if index.vocabulary_has(term) or families(term)]
    combined = []
    for hit in together:
        fresh = own.get(hit.place)
        score = 0.6 * hit.score + 0.4 * (fresh.score if fresh else 0.0) if new else hit.score
        combined.append(
            Hit(
                hit.fact,
                score + (0.08 if fresh and new else 0.0),
                max(hit.meaning, fresh.meaning if fresh else 0),
                max(hit.cover, fresh.cover if fresh else 0),
                hit.place,
            )
        )
    places = {hit.place for hit in combined}
    combined += [
        Hit(hit.fact, hit.score * 0.9, hit.meaning, hit.cover, hit.place) for hit in alone if hit.place not in places
    ]
    return tuple(sorted(combined, key=lambda hit: -hit.score))


def _siblings(best: Hit, hits: tuple[Hit, ...], question: str, index: Index) -> tuple[Fact, ...]:
    """The whole list when the question is about all of it: none of its own words pick one entry."""
    fact = best.fact
    if fact.group < 0:
        return ()
    group = [other for other in index.facts if other.group == fact.group and other.topic == fact.topic]
    if len(group) < 2:
        return ()
    asked = set(terms(question))
    around = set(terms(fact.topic))
    own = set(terms(fact.plain()))
    picks = [
        term
        for term in asked & own
        if term not in around and sum(term in terms(other.plain()) for other in group) < len(group)
    ]
    close = [hit for hit in hits if hit.fact.group == fact.group and hit.score > best.score - SIBLING_MARGIN]
    if picks or (len(close) < 2 and not asked & around):
        return ()
    if any(day in asked for day in _DAY_NAMES):
        return ()
    return tuple(group) if sum(len(other.plain().split()) for other in group) <= LONGEST_LIST_WORDS else ()


def _whole_list(question: str, index: Index) -> tuple[Fact, ...]:
    """The list that "what kinds of … do you have?" asks for."""
    if not _WHAT_KINDS.search(question):
        return ()
    group = index.list_about(question)
    return group if sum(len(fact.plain().split()) for fact in group) <= LONGEST_LIST_WORDS else ()


def _continuation(best: Hit, index: Index) -> str:
    """The sentence after a short one when it goes on about the same thing ("They ...", "Otherwise ...")."""
    fact = best.fact
    if fact.shape is not Shape.SENTENCE or len(fact.text.split()) > 25 or best.place + 1 >= len(index.facts):
        return ""
    after = index.facts[best.place + 1]
    if (
        after.before == fact.text
        and re.match(r"^(?:it|they|these|otherwise|however|after that|this)\b", after.text, re.IGNORECASE)
        and len(after.text.split()) < 25
    ):
        return after.text
    return ""


def _leans_back(asked: str) -> bool:
    """Whether a question may be about what was asked before: it says so, or it is too short to tell."""
    return _leans_openly(asked) or (len(terms(asked)) <= 2 and len(asked.split()) <= 6)


def _leans_openly(asked: str) -> bool:
    """Whether a question points back by its words: "And on Sunday?", "How long does it take?"."""
    return _FOLLOW_UP.match(asked) is not None or (len(terms(asked)) <= 3 and _POINTS_BACK.search(asked) is not None)


def _stands_alone(hits: tuple[Hit, ...], asked: str, index: Index) -> bool:
    """Whether a short question is clear without the one before: a fact fits it well, or has its one rare word."""
    if not hits:
        return False
    best = hits[0]
    return best.score >= SURE_SCORE or (best.score >= GOOD_SCORE and index.alone_has_word_of(asked, best.place))


def _previous_question(history: list[Message]) -> str:
    """The last thing the caller asked that was more than "yes" or "thanks"."""
    for message in reversed(history[-8:]):
        if message.role is Role.USER and exact(message.content) is None and len(terms(message.content)) >= 1:
            return _LEAD_IN.sub("", _tidy(message.content))[:200]
    return ""


def _questions(heard: str) -> list[str]:
    parts = [part.strip() for part in _SPLIT.split(heard) if part and part.strip()]
    asking = [part for part in parts if _ASKS.search(part) and len(part.split()) >= 3]
    if len(asking) >= 2:
        return asking
    if len(asking) == 1 and len(parts) > 1:
        return [asking[0], heard]
    return [heard]


def _distinct(facts: list[Fact]) -> Iterator[Fact]:
    seen: set[tuple[str, str, str]] = set()
    for fact in facts:
        key = (fact.key, fact.text, fact.question)
        if key not in seen:
            seen.add(key)
            yield fact


# -- slots


def _digits(text: str) -> str:
    """Spoken digits as figures: "four seven double two" → "4722"."""

    def figures(match: re.Match[str]) -> str:
        out, times = [], 1
        for word in re.findall(r"[a-z]+|\d", match[0].lower()):
            if word in {"double", "triple"}:
                times = 2 if word == "double" else 3
                continue
            out.append(_DIGIT_WORDS.get(str(word), str(word)) * times)
            times = 1
        return "".join(out) if len(out) > 1 else match[0]

    return _DIGIT_RUN.sub(figures, text)


def _phone(text: str) -> str:
    match = _PHONE.search(_digits(text))
    if not match:
        return ""
    digits = re.sub(r"\D", "", match[0])
    if len(digits) == 10:
        return f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"
    return f"{digits[:3]}-{digits[3:]}" if len(digits) == 7 else digits_one_by_one(digits)


def _shown(number: str) -> str:
    return re.sub(r"[\s,]", "", number)


def _email(match: re.Match[str]) -> str:
    text = re.sub(r"\s+dot\s+", ".", re.sub(r"\s+at\s+", "@", match[0]), flags=re.IGNORECASE)
    return text.replace(" ", "").lower()


def _name(heard: str) -> str:
    match = _NAME.search(heard) or _BARE_NAME.match(heard)
    return " ".join(part.capitalize() if part.islower() else part for part in match[1].split()) if match else ""


def _moment(heard: str) -> str:
    found = [match[0] for match in _MOMENT.finditer(heard)]
    return " ".join(found)


def _last(history: list[Message], role: Role) -> str:
    return next((message.content for message in reversed(history) if message.role is role), "")


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("’", "'")).strip()[:MAX_QUESTION_CHARS]


def _bound(cache: OrderedDict, size: int) -> None:
    while len(cache) > size:
        try:
            cache.popitem(last=False)
        except KeyError:
            return

"""A person who follows a goal without a language model: by rules, in English. He says what he wants, gives the facts that his goal names when he
is asked for them, corrects what is repeated wrongly, and knows an answer, a refusal and a good-bye when he hears them. Pure.

He does not understand more than that, and says so: a goal counts as reached by words of the other side that show it, as not reached by a
refusal, and else nobody knows.
"""

import copy
import re
from collections.abc import Iterable
from enum import StrEnum

from voisnap_providers.vendors.local.normalise import sentences
from voisnap_providers.vendors.local.terms import terms

from .goal import Fact, Goal, Kind, Want, shared
from .mind import Mind, Reached, Reply, Verdict
from .words import words

MOST_TURNS = 24
MOST_STALLS = 3
"""Answers to one want that neither fulfil nor refuse it, before it is given up."""
MOST_SILENCES = 3
IMPROVISED_NAME = "Alex Miller"

BYE = "Goodbye."
THANKS = "Great, thank you. That's all I needed. Goodbye."
IN_VAIN = "Okay, I understand. Thanks anyway. Goodbye."
UNSURE = "All right, thank you. Goodbye."

_ASKS = re.compile(
    r"\?\s*$|\b(?:may i|can i|could i|could you|can you|would you|please (?:tell|give|say|spell|provide|confirm|repeat|state|enter|press)|tell me|give me|"
    r"i(?:'ll| will)? (?:just |also |only )?need (?:to know |to get )?(?:your|the|a|some)|let me (?:get|have|take|know) (?:your|the|a)|what(?:'s| is| are) (?:your|the (?:best|name|number|date|address|reason))|"
    r"how (?:can|may) i (?:help|assist)|what can i do for you)\b",
    re.I,
)
_FAREWELL = re.compile(
    r"\b(?:good ?bye|bye(?:[ -]bye)?|have a (?:great|good|nice|lovely|wonderful|pleasant) (?:day|one|evening|afternoon|night|weekend|time)|take care|see you (?:then|soon|on|there|tomorrow)|talk to you (?:soon|later))\b",
    re.I,
)
_HOLD = re.compile(
    r"\b(?:one|just a|a) (?:moment|second|minute|sec)\b|\bhold on\b|\bbear with me\b|\blet me (?:check|see|look|find|pull)\b|\bplease (?:wait|hold|stay on)\b|\bi(?:'ll| will) (?:check|look that up|connect you|put you through|transfer you)\b",
    re.I,
)
_REPEAT = re.compile(
    r"\b(?:(?:say|repeat) (?:that|it|your \w+|this)(?: again)?|didn't (?:quite )?(?:catch|get|hear|understand)|did not (?:catch|get|hear|understand)|come again|pardon|could you repeat|say again|"
    r"(?:please )?rephrase|are you (?:still|there)|can you hear me|put it (?:another|a different) way|what was that)\b",
    re.I,
)
_HELP = re.compile(
    r"\b(?:how (?:can|may|could|should) (?:i|we) (?:help|assist|be of)|what can i (?:do|help)|how (?:are|is) .{0,20}help|what (?:brings|are you calling)|reason for (?:your )?call|what (?:is|'s) (?:this|it|your call) (?:about|regarding)|what do you need|what would you like(?: to (?:do|know|talk))?\?|what is it (?:about|you)|who(?:m)? (?:would|do) you (?:like|want) to (?:speak|talk))",
    re.I,
)
_ELSE = re.compile(r"\b(?:anything|something) else\b|\bany (?:other|more|further) questions?\b|\bwhat else\b", re.I)
_RIGHT = re.compile(
    r"\b(?:is (?:that|this|it|all of that) (?:right|correct|ok(?:ay)?|fine|all right)|(?:does|did) (?:that|this|it) (?:sound|work|look|suit)|(?:right|correct|okay|yes)\?|do i have that right|did i get that|(?:is|was) (?:that|it)(?=[^?]*\d)|you said|can you confirm|could you confirm|please confirm|to confirm|is that you)\b|,\s*(?:right|correct|yes|okay)\?",
    re.I,
)
_OFFERS = re.compile(
    r"\b(?:would you like|do you want|shall (?:i|we)|should (?:i|we)|may i|can i|could i|would you prefer|want me to|are you (?:okay|ok|happy|fine) (?:with|for)|would you be (?:okay|happy|interested)|how about|what about|would (?:that|it|this|\w+day|\d))\b",
    re.I,
)
_SLOTS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.I))
    for kind, pattern in (
        (Kind.BIRTH, r"\bdate of birth\b|\bbirth ?da(?:y|te)\b|\bborn\b"),
        (Kind.EMAIL, r"\be-?mail\b"),
        (Kind.POSTCODE, r"\b(?:zip|post(?:al)?) ?code\b|\bzip\b"),
        (
            Kind.REFERENCE,
            r"\b(?:order|booking|reservation|reference|confirmation|account|customer|policy|invoice|ticket|case|claim|member(?:ship)?|tracking|patient|contract|serial|flight|room|parcel|card|pin|insurance|passport|licen[cs]e)(?: (?:number|no|code|id|plate)|\s+for\b|\?)|\b(?:your|the) (?:pin|code|id)\b",
        ),
        (
            Kind.PHONE,
            r"\b(?:phone|telephone|mobile|cell|contact|call ?back|best|daytime) ?(?:phone )?number\b|\bnumber (?:to|can|where|we|i|should)\b|\breach you\b|\b(?:your|a|what) number\b|\bcall you (?:back )?(?:at|on)\b",
        ),
        (Kind.PEOPLE, r"\bhow many (?:people|guests|persons|of you|adults|seats|are you)\b|\bparty size\b|\bhow (?:large|big) is (?:your|the) (?:party|group)\b|\bnumber of (?:people|guests)\b"),
        (Kind.ADDRESS, r"\b(?:your|the|delivery|street|home|billing|shipping|mailing|e-?) ?address\b|\bwhere (?:do|are|should|would) (?:you|we|i) (?:live|located|deliver|send|like)\b"),
        (Kind.NAME, r"\b(?:your|full|first|last|the|what|which|a|whose|caller's|patient's|guest's) name\b|\bname (?:please|should|for|is|do|can|would|on|under|it)\b|\bwho (?:am i|is (?:this|calling|speaking)|'s (?:this|calling|speaking))\b|\bwho(?:m)? (?:should|shall|do|may|can) i\b|\bspell (?:that|it|your)\b"),
        (Kind.TIME, r"\b(?:what|which) time\b|\btime of (?:the )?day\b|\b(?:day|date) (?:and|or) (?:what )?time\b|\bpreferred time\b|\btime (?:would|works|suits|should|do)\b|\bhow (?:early|late)\b"),
        (Kind.DATE, r"\b(?:what|which) (?:day|date)\b|\bwhen (?:would|do|did|should|can|shall|could|are you|is (?:best|good|convenient)|works)\b|\b(?:day|date) (?:and|or|would|works|suits|should|do you|did)\b|\bpreferred (?:day|date)\b|\bfor when\b"),
    )
)  # fmt: skip
_PRESS = re.compile(
    r"(?:for|to) ([^,.;]{2,60}?),? (?:please )?(?:press|dial|enter)(?: the)? (\w+|[*#])|(?:press|dial|enter)(?: the)? (\w+|[*#]) (?:for|to) ([^,.;]{2,60})",
    re.I,
)
_KEYS = {
    "zero": "0", "one": "1", "two": "2", "to": "2", "three": "3", "four": "4", "for": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "star": "*", "pound": "#", "hash": "#",
}  # fmt: skip
_REFUSES = re.compile(
    r"\bunfortunately\b|\bi(?:'m| am) (?:sorry|afraid)\b|\b(?:can't|cannot|can not|unable|won't|not able|isn't possible|not possible|don't (?:have|offer|do|provide|accept|take|sell)|do not (?:have|offer|do|provide|accept|take|sell)|"
    r"isn't available|is not available|not available|aren't available|no longer|fully booked|sold out|not allowed|against (?:our )?policy|no (?:appointments?|tables?|rooms?|slots?|openings?) (?:left|available|free|on))\b",
    re.I,
)
_DOES_NOT_KNOW = re.compile(
    r"\b(?:don't|do not|doesn't|does not) (?:know|have (?:that|this|the|any|an?|enough|specific)?\s*(?:information|answer|details?|data|access)|have (?:that|it|anything))|\bnot sure\b|\b(?:can't|cannot|can not|unable to|not able to) (?:answer|tell|help|say|find|look|access|discuss)|\bno information\b|\bhaven't got\b|\boutside (?:of )?what\b",
    re.I,
)
_DONE = re.compile(
    r"\b(?:booked|scheduled|reserved|confirmed|cancell?ed|rescheduled|changed|updated|moved|processed|refunded|registered|enrolled|subscribed|unsubscribed|arranged|created|ordered|opened|filed|submitted|issued|renewed|replaced|upgraded|activated|"
    r"blocked|unlocked|reset|all set|you're (?:in|down)|you are (?:in|down)|put you (?:down|in)|(?:is|has been|was|been) (?:placed|made|done|sent|completed|added|removed|fixed|resolved)|"
    r"(?:we|i)(?:'ll| will) see you|see you (?:on|at|then|tomorrow|next)|on (?:its|the) way|i(?:'ve| have) (?:just |now )?(?:made|done|sent|placed|added|removed|set))\b",
    re.I,
)
_NOTED = re.compile(
    r"\b(?:noted|(?:written|taken|got|have|put|wrote) (?:it |that |this |all of that |everything )?down|pass(?:ed)? (?:it|that|this|your \w+) (?:on|along)|(?:someone|somebody|a colleague|(?:the|our) team|they|we|i|one of (?:our|us)\w*)(?:'ll| will| can)? (?:\w+ )?(?:call|contact|ring|get back|reach|follow up|confirm|be in touch|let you know|e-?mail|text)|call you back|get back to you|take a message|taken a message|connect(?:ing)? you|transfer(?:ring)? you|put(?:ting)? you through)\b",
    re.I,
)
_WILL = re.compile(
    r"\b(?:will be|to be|can be|could be|must be|needs? to be|if |once |before|would be|not (?:yet )?|haven't|has not|isn't|let me|i can|we can|want to|like to)\b",
    re.I,
)
_MEASURE = re.compile(
    r"\d|\b(?:dollars?|euros?|pounds?|cents?|percent|a\.?m\.?|p\.?m\.?|noon|midnight|free|monday|tuesday|wednesday|thursday|friday|saturday|sunday|closed|open)\b",
    re.I,
)
_WANTS_MEASURE = re.compile(
    r"\b(?:how much|how many|how long|costs?|prices?|fees?|charge|hours|open|close|when|what time|number|price)\b", re.I
)
_DAY = re.compile(r"\b(monday|tuesday|wednesday|thursday|friday|saturday|sunday|tomorrow|today)\b", re.I)
_POLITE_ASK = re.compile(
    r"\b(?:are you (?:a |an )?(?:\w+ )?(?:new|existing|current|returning|first)|have you (?:ever |already )?|do you have|did you|is this (?:your|the) first|are you|is it|is there|was (?:it|there))\b",
    re.I,
)
_GREETING = re.compile(r"\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|yes)\W*", re.I)
_WHY = re.compile(r"\W*(?:and |so |but )?(?:why|what for|how come)\b", re.I)
_ABBREVIATED = re.compile(r"\b([ap])\.\s?m\.?", re.I)


class Standing(StrEnum):
    """Where one want stands."""

    OPEN = "open"
    MET = "met"
    NOTED = "noted"
    """Somebody wrote it down, which may come to something or not."""
    REFUSED = "refused"
    GIVEN_UP = "given up"


class GoalFollower(Mind):
    """`own_number` is the person's telephone, which he knows although his goal may not name it."""

    def __init__(self, goal: Goal, *, own_number: str = "", most_turns: int = MOST_TURNS) -> None:
        self._goal = goal
        self._own_number = own_number
        self._most_turns = most_turns
        self._at = 0
        self._is_stated = False
        self._standing = [Standing.OPEN for _ in goal.wants]
        self._shown: list[str] = ["" for _ in goal.wants]
        self._stalls = self._silences = self._declined = self._turns = 0
        self._last = ""
        self._improvised: list[str] = []
        self._missing: list[str] = []
        self._gave_up = ""
        self._said_bye = False

    # Mind

    async def answer(self, heard: str) -> tuple[Reply, Mind]:
        """The next thing to say, and the mind that said it."""
        after = copy.deepcopy(self)
        return after._answer(heard), after

    async def silence(self) -> tuple[Reply, Mind]:
        """Speaks first, or asks whether anybody is there; a few times."""
        after = copy.deepcopy(self)
        return after._break_silence(), after

    def heard_last(self, text: str) -> Mind:
        """A last word may still show that the goal was reached."""
        after = copy.deepcopy(self)
        after._learn(text)
        return after

    def verdict(self) -> Verdict:
        """Reached when every want was; not when one was refused, or given up without any answer."""
        shown = tuple(dict.fromkeys(one for one in self._shown if one))
        common = {
            "words": shown,
            "turns": self._turns,
            "improvised": tuple(self._improvised),
            "missing": tuple(self._missing),
        }
        standing = self._standing
        if all(one is Standing.MET for one in standing):
            return Verdict(goal_reached=Reached.YES, reason="the other side's words show it", **common)
        if (at := _place(standing, Standing.REFUSED)) is not None:
            return Verdict(goal_reached=Reached.NO, reason=f"it was refused: {self._goal.wants[at].about}", **common)
        if (at := _place(standing, Standing.NOTED)) is not None:
            reason = f"it was noted or passed on, which may come to something: {self._goal.wants[at].about}"
            return Verdict(goal_reached=Reached.UNKNOWN, reason=reason, **common)
        at = next(place for place, one in enumerate(standing) if one is not Standing.MET)
        about = self._goal.wants[at].about
        if not self._is_stated and self._at == 0:
            return Verdict(goal_reached=Reached.NO, reason=f"it was never asked for: {about}", **common)
        if standing[at] is Standing.GIVEN_UP:
            return Verdict(goal_reached=Reached.UNKNOWN, reason=f"no answer was recognised: {about}", **common)
        reason = self._gave_up or "the conversation ended before"
        return Verdict(goal_reached=Reached.NO, reason=f"{reason}: {about}", **common)

    # What is done -----------------------------------------------------------------------------------------------------

    def _break_silence(self) -> Reply:
        self._silences += 1
        if self._silences > MOST_SILENCES:
            self._gave_up = "nobody said anything"
            return self._say(BYE, ends=True)
        if not self._is_stated:
            return self._state("Hello.")
        return self._say("Hello? Are you still there?")

    def _answer(self, heard: str) -> Reply:
        heard = _ABBREVIATED.sub(_plain_time, heard)
        self._silences = 0
        self._turns += 1
        if self._said_bye:
            return Reply(ends=True)
        if self._turns > self._most_turns:
            self._gave_up = f"given up after {self._most_turns} answers"
            return self._say("I'm sorry, I have to go now. Goodbye.", ends=True)
        if keys := self._menu(heard):
            self._is_stated = True
            return Reply(keys=keys)
        asked = [one for one in sentences(heard) if _ASKS.search(one) and not _GREETING.fullmatch(one)]
        leaves = _FAREWELL.search(heard) is not None and not asked
        if self._is_stated:
            before = self._standing[self._at]
            self._learn(heard)
            if self._standing[self._at] is not Standing.OPEN:
                if (before is Standing.OPEN or self._standing[self._at] is not Standing.MET) and self._needs_answer(
                    asked
                ):
                    return self._reply_to(asked)
                return self._go_on(leaves=leaves)
        if leaves:
            return self._say(BYE, ends=True)
        if _HOLD.search(heard) and not asked:
            return Reply()
        if asked:
            return self._reply_to(asked)
        if not self._is_stated:
            return self._state()
        return self._stalled()

    def _needs_answer(self, asked: list[str]) -> bool:
        """Whether a question is left that the want hangs on, after words that sounded like its end."""
        if self._standing[self._at] is Standing.REFUSED and any(
            _OFFERS.search(one) and not _ELSE.search(one) for one in asked
        ):
            return True
        return any(
            not _ELSE.search(one) and not _HELP.search(one) and (_slots_of(one) or _RIGHT.search(one)) for one in asked
        )

    def _go_on(self, *, leaves: bool = False) -> Reply:
        """The want of the moment is settled: the next one, or good-bye."""
        nexts = [place for place in range(len(self._standing)) if self._standing[place] is Standing.OPEN]
        if nexts and not leaves:
            self._at, self._is_stated, self._stalls, self._declined = nexts[0], False, 0, 0
            return self._state("Thank you." if self._standing[nexts[0] - 1] is Standing.MET else "Okay.")
        if all(one is Standing.MET for one in self._standing):
            return self._say(THANKS, ends=True)
        return self._say(IN_VAIN if Standing.REFUSED in self._standing else UNSURE, ends=True)

    def _state(self, before: str = "") -> Reply:
        self._is_stated = True
        return self._say(f"{before} {self._want.said}".strip())

    def _stalled(self) -> Reply:
        self._stalls += 1
        if self._stalls >= MOST_STALLS:
            self._standing[self._at] = Standing.GIVEN_UP
            return self._go_on()
        return self._say(self._want.said if self._stalls > 1 else f"I see. {self._want.said}")

    def _say(self, text: str, *, ends: bool = False) -> Reply:
        self._last = text
        self._said_bye = self._said_bye or ends
        return Reply(text=text, ends=ends)

    @property
    def _want(self) -> Want:
        return self._goal.wants[self._at]

    # What is learned ------------------------------------------------------------------------------------------------------

    def _learn(self, heard: str) -> None:
        """Where the want of the moment stands after these words."""
        heard = _ABBREVIATED.sub(_plain_time, heard)
        want, at = self._want, self._at
        if self._standing[at] in (Standing.MET, Standing.GIVEN_UP):
            return
        for one in sentences(heard):
            is_question = _ASKS.search(one) is not None
            if want.is_question:
                found = None if is_question else self._answers(want, one)
            else:
                found = None if is_question and not _DONE.search(one) else self._does(want, one, is_question)
            if found is None or (found is Standing.NOTED and self._standing[at] is Standing.NOTED):
                continue
            self._standing[at], self._shown[at] = found, one
            if found is Standing.MET:
                return

    def _answers(self, want: Want, said: str) -> Standing | None:
        """Whether a sentence answers a question."""
        if _DOES_NOT_KNOW.search(said):
            return Standing.REFUSED
        if _is_noted(said):
            return Standing.NOTED
        about = shared(want.about, said)
        if _WANTS_MEASURE.search(want.about):
            return Standing.MET if _MEASURE.search(said) and (about or len(terms(want.about)) < 2) else None
        if re.search(r"\b(?:yes|no|we do|we don't|you can|you can't)\b", said, re.I) and re.search(
            r"\b(?:if|whether|do|are|is|can)\b", want.about, re.I
        ):
            return Standing.MET
        return Standing.MET if about and about * 3 >= len(set(terms(want.about))) and len(terms(said)) > 1 else None

    def _does(self, want: Want, said: str, is_question: bool) -> Standing | None:
        """Whether a sentence says that something was done."""
        done = _DONE.search(said)
        if (
            done is not None
            and not is_question
            and not _WILL.search(said[: done.start()])
            and not _REFUSES.search(said)
        ):
            return Standing.MET
        if is_question:
            return None
        if _is_noted(said) and not _REFUSES.search(said):
            return Standing.NOTED
        if _DOES_NOT_KNOW.search(said):
            return Standing.REFUSED
        if _REFUSES.search(said) and not re.search(
            r"\b(?:sorry (?:to hear|about|for)|sorry,? (?:i|could|can) (?:didn't|you))\b", said, re.I
        ):
            return Standing.REFUSED if shared(want.about, said) or _hard(said) else None
        return None

    # Questions ----------------------------------------------------------------------------------------------------------

    def _reply_to(self, asked: list[str]) -> Reply:
        last = asked[-1]
        parts: list[str] = []
        if _ELSE.search(last):
            if not self._is_stated:
                return self._state()
            if self._standing[self._at] is Standing.OPEN:
                return self._stalled()
            return self._go_on()
        for one in asked[-2:]:
            if (part := self._reply(one)) and part not in parts:
                parts.append(part)
        if not self._is_stated and (_HELP.search(last) or not parts):
            self._is_stated = True
            parts.append(self._want.said)
        return self._say(" ".join(parts)) if parts else self._stalled()

    def _reply(self, asked: str) -> str:
        if _REPEAT.search(asked) and not _slots_of(asked):
            return self._last if self._is_stated else ""
        if _HELP.search(asked):
            return self._want.said if self._is_stated else ""
        wrong = self._wrong(asked)
        if wrong:
            return f"No, {wrong}."
        if re.search(r"\bspell\b", asked, re.I) and (name := self._goal.fact(Kind.NAME)):
            return f"{' '.join(name.text.split()[-1].upper())}."
        is_check = _RIGHT.search(asked) is not None
        slots = () if is_check and self._mentions(asked) else _slots_of(asked)
        if slots:
            return " ".join(part for part in (self._give(slot, asked) for slot in slots) if part)
        if " or " in asked and (chosen := self._choice(asked)):
            return chosen
        if is_check:
            return "Yes, that's right."
        if (labelled := self._labelled(asked)) is not None:
            return _sentence(labelled.text)
        if _WHY.match(asked):
            return self._because(asked)
        if _OFFERS.search(asked):
            return self._offered(asked)
        if _POLITE_ASK.search(asked):
            return self._of_myself(asked)
        if shared(asked, self._want.about) and self._is_stated:
            return self._want.said
        return self._unknown(asked)

    def _give(self, kind: Kind, asked: str) -> str:
        labelled = self._labelled(asked)
        fact = labelled if kind is Kind.REFERENCE and labelled else self._goal.fact(kind)
        if kind is Kind.DATE and (when := self._when()):
            return _sentence(when)
        if fact is not None:
            return _GIVEN.get(kind, "{}.").format(fact.text)
        match kind:
            case Kind.NAME:
                self._note(self._improvised, kind.value)
                return f"My name is {IMPROVISED_NAME}."
            case Kind.PHONE if self._own_number:
                return f"You can reach me at {self._own_number}."
            case Kind.DATE | Kind.TIME:
                self._note(self._improvised, kind.value)
                return "Whatever is the earliest you have." if kind is Kind.DATE else "Any time is fine."
            case Kind.REFERENCE if (other := self._goal.fact(Kind.REFERENCE)) is not None and _is_generic(asked):
                return f"It's {other.text}."
        self._note(self._missing, kind.value)
        return f"Sorry, I don't have {'an' if kind.value[0] in 'aeiou' else 'the'} {kind.value}."

    def _when(self) -> str:
        dates = [fact.text for fact in self._goal.facts if fact.kind is Kind.DATE]
        time = self._goal.fact(Kind.TIME)
        if not dates:
            return ""
        return (
            dates[-1]
            if time is None
            else f"{dates[-1]} {'' if time.text.startswith(('in ', 'at ')) else 'at '}{time.text}"
        )

    def _labelled(self, asked: str) -> Fact | None:
        """The fact whose label the question names."""
        there = set(terms(asked))
        best = [(len(there & set(terms(fact.label))), fact) for fact in self._goal.facts if fact.label]
        best = [one for one in best if one[0] and one[0] * 2 >= len(set(terms(one[1].label)))]
        return max(best, key=lambda one: one[0])[1] if best else None

    def _wrong(self, asked: str) -> str:
        """What was repeated otherwise than the goal has it."""
        if not _RIGHT.search(asked) and not _OFFERS.search(asked):
            return ""
        days = {found.lower() for found in _DAY.findall(asked)}
        wanted = [fact.text for fact in self._goal.facts if fact.kind is Kind.DATE and _DAY.search(fact.text)]
        named = {found.lower() for text in wanted for found in _DAY.findall(text)}
        if days and named and not days & named and not self._goal.is_flexible:
            self._declined += 1
            if self._declined > 2:
                self._standing[self._at], self._shown[self._at] = Standing.REFUSED, asked
            return (
                f"it has to be {wanted[-1]}"
                if _OFFERS.search(asked) and not _RIGHT.search(asked)
                else f"it's {wanted[-1]}"
            )
        numbers = [one for one in words(asked) if one.isdigit() and len(one) >= 5]
        known = [
            "".join(sign for sign in fact.text if sign.isdigit())
            for fact in self._goal.facts
            if fact.kind in (Kind.PHONE, Kind.REFERENCE)
        ]
        known += ["".join(sign for sign in self._own_number if sign.isdigit())] if self._own_number else []
        long = [one for one in known if len(one) >= 5]
        if numbers and long and not any(one in other or other in one for one in numbers for other in long):
            return (
                f"it's {next(fact.text for fact in self._goal.facts if fact.kind in (Kind.PHONE, Kind.REFERENCE))}"
                if len(long) > bool(self._own_number)
                else ""
            )
        return ""

    def _mentions(self, asked: str) -> bool:
        """Whether a question repeats a value: digits, a day, a name."""
        name = self._goal.fact(Kind.NAME)
        return bool(
            re.search(r"\d", " ".join(words(asked)))
            or _DAY.search(asked)
            or (name and name.text.split()[0].lower() in asked.lower())
        )

    def _choice(self, asked: str) -> str:
        """The one of two that the goal speaks of."""
        time = self._goal.fact(Kind.TIME)
        about = f"{self._goal.text} {_part_of_day(time.text) if time else ''}"
        options = [
            re.sub(r"^.*\b(?:like|prefer|want|for|is it|be)\b", "", one).strip(" ?.,")
            for one in re.split(r",? or ", asked)
        ]
        scored = [(shared(one, about), one) for one in options if one]
        best = max(scored, default=(0, ""))
        return _sentence(best[1]) if best[0] and sum(score == best[0] for score, _ in scored) == 1 else ""

    def _offered(self, asked: str) -> str:
        if self._standing[self._at] is Standing.MET:
            return "No, thank you."
        return (
            "Yes, please."
            if not re.search(r"\b(?:cancel|end|stop|hang up|give up)\b", asked, re.I) or shared(asked, self._goal.text)
            else "No, thank you."
        )

    def _of_myself(self, asked: str) -> str:
        if re.search(r"\bdo you have (?:any|a) (?:preference|question)", asked, re.I):
            return "No, I don't mind."
        if shared(asked, self._goal.text):
            return "Yes."
        self._note(self._improvised, asked.strip())
        return "No."

    def _because(self, asked: str) -> str:
        found = re.search(r"\b(because\b[^.;]+)", self._goal.text, re.I)
        return _sentence(found[1]) if found else self._unknown(asked)

    def _unknown(self, asked: str) -> str:
        self._note(self._missing, asked.strip())
        return "I'm not sure about that, sorry."

    def _menu(self, heard: str) -> str:
        """The key of a spoken menu whose words fit the goal best."""
        options = [
            (found[1] or found[4] or "", (found[2] or found[3] or "").lower()) for found in _PRESS.finditer(heard)
        ]
        keys = [
            (shared(about, self._goal.text), _KEYS.get(key, key))
            for about, key in options
            if _KEYS.get(key, key)[:1] in "0123456789*#"
        ]
        if not keys:
            return ""
        score, key = max(keys, key=lambda one: one[0])
        return key[:1] if score or len(keys) == 1 else ""

    @staticmethod
    def _note(kept: list[str], what: str) -> None:
        if what not in kept and len(kept) < 20:
            kept.append(what)


_GIVEN = {
    Kind.NAME: "My name is {}.",
    Kind.PHONE: "My number is {}.",
    Kind.EMAIL: "It's {}.",
    Kind.REFERENCE: "It's {}.",
    Kind.ADDRESS: "It's {}.",
    Kind.POSTCODE: "It's {}.",
    Kind.PEOPLE: "For {}.",
}


def _slots_of(asked: str) -> tuple[Kind, ...]:
    found = [(match.start(), kind) for kind, pattern in _SLOTS if (match := pattern.search(asked))]
    kinds = [kind for _, kind in sorted(found)]
    if Kind.DATE in kinds and Kind.TIME in kinds:
        kinds.remove(Kind.TIME)
    if Kind.ADDRESS in kinds and Kind.EMAIL in kinds:
        kinds.remove(Kind.ADDRESS)
    if (
        Kind.PHONE in kinds
        and Kind.REFERENCE in kinds
        and not re.search(r"\b(?:phone|reach|mobile|contact|call)\b", asked, re.I)
    ):
        kinds.remove(Kind.PHONE)
    return tuple(kinds)


def _plain_time(found: re.Match[str]) -> str:
    """`3 p.m.` as `3 pm`, with the full stop where a sentence ends."""
    goes_on = re.match(r"[\s,;]+[a-z0-9]|[,;]", found.string[found.end() :]) is not None
    return f"{found[1]}m" if goes_on else f"{found[1]}m."


def _is_noted(said: str) -> bool:
    """Whether somebody wrote it down or passes it on, and does not only offer to."""
    found = _NOTED.search(said)
    return found is not None and not re.search(r"\b(?:i|we) (?:can|could)\b", said[: found.end()], re.I)


def _is_generic(asked: str) -> bool:
    return (
        re.search(r"\b(?:order|booking|reservation|reference|confirmation|account|customer|case)\b", asked, re.I)
        is not None
    )


def _hard(said: str) -> bool:
    """A refusal that needs no object."""
    return re.search(r"\b(?:can't|cannot|unable to|not able to) (?:do|help|arrange|offer|book|make|take|process|accept)\b|not possible|fully booked", said, re.I) is not None  # fmt: skip


def _place(standing: Iterable[Standing], wanted: Standing) -> int | None:
    return next((place for place, one in enumerate(standing) if one is wanted), None)


def _part_of_day(time: str) -> str:
    found = re.search(r"(\d{1,2})(?::\d\d)?\s*([ap])?", time, re.I)
    if found is None:
        return time
    hour = int(found[1]) % 12 + (12 if (found[2] or "").lower() == "p" or (not found[2] and int(found[1]) >= 12) else 0)
    return "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?' else '.'}"

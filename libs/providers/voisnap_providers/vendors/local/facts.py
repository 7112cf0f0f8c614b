"""What an agent may say, taken out of what its owner wrote.

A system prompt mixes three things: facts for callers ("We close at six"), orders to the agent ("Always be polite") and rules ("If asked
about parking, say that it is free"). `briefing` tells them apart: facts can be read out, orders never are, a rule becomes the answer
it prescribes. Knowledge passages are facts only. Pure text work, no model.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from .normalise import is_speakable, sentences

MAX_FACTS = 2000
MAX_FACT_CHARS = 600


class Shape(StrEnum):
    """How a fact was written, which decides how it is spoken."""

    SENTENCE = "sentence"
    PAIR = "pair"
    ITEM = "item"
    ROW = "row"
    ANSWER = "answer"
    RULE = "rule"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be told.

    `text` is what is said, `key` the left side of "key: value", `topic` the heading above, `question` what it answers when that was
    written down, `before` the sentence before it (for "They are ..."), `group` its list or table (-1: none).
    """

    text: str
    shape: Shape = Shape.SENTENCE
    key: str = ""
    topic: str = ""
    question: str = ""
    before: str = ""
    group: int = -1

    def described(self) -> str:
        """Everything that helps to find it."""
        parts = (self.topic, self.question, self.key, self.before if _LEANS_BACK.match(self.text) else "", self.text)
        return ". ".join(part.rstrip(".:") for part in parts if part)

    def plain(self) -> str:
        """The fact alone."""
        return f"{self.key}: {self.text}" if self.key else self.text


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """Who the agent is; "" = the prompt does not say."""

    name: str = ""
    role: str = ""
    organisation: str = ""


class Briefing(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt understood. `forbidden` are things not to talk about; `unknown` is what to say when nothing fits."""

    persona: Persona
    facts: tuple[Fact, ...]
    forbidden: tuple[str, ...] = ()
    unknown: str = ""


_CALLER = r"(?:(?:a|an|the|any|your|our)\s+)?(?:callers?|customers?|guests?|patients?|users?|clients?|visitors?|someone|somebody|anyone|people|they|he or she)"
_LEANS_BACK = re.compile(
    r"^(?:it|they|these|this|that|those|there|he|she|both|otherwise|however|also|in that case|after that)\b",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*$")
_BOLD_HEADING = re.compile(r"^\s*(?:\*\*|__)([^*_]{2,80}?):?(?:\*\*|__)\s*:?\s*$")
_CAPS_HEADING = re.compile(r"^\s*([A-Z][A-Z0-9 &/'’,-]{2,60}):?\s*$")
_COLON_HEADING = re.compile(r"^\s*([^:.!?|]{2,90}):\s*$")
_XML_CLOSING = re.compile(r"^\s*</[a-zA-Z_ -]{2,40}>\s*$")
_XML_HEADING = re.compile(r"^\s*<([a-zA-Z_ -]{2,40})>\s*$")
_ITEM = re.compile(r"^\s*(?:[-*•+–]|\(?\d{1,2}[.)])\s+(.*)$")
_PAIR = re.compile(r"^(?:\*\*|__)?([A-Za-z0-9$€£][^:|.!?]{0,60}?)(?:\*\*|__)?\s*:(?:\*\*|__)?\s+(\S.*)$")
_DASH_PAIR = re.compile(r"^([^.!?:|]{2,60}?)(?<!\d)(?<!\d[ap]m)(?<!\d [ap]m)\s+[-–—]+\s+(\S.*)$")
_DOTS_PAIR = re.compile(r"^([^.!?:|]{2,60}?)\s*\.{3,}\s*(\S.*)$")
_QUESTION = re.compile(r"^\s*(?:[-*]\s+)?(?:\*\*)?(?:Q|Question)\s*\d*\s*[:.)](?:\*\*)?\s*(.*)$", re.IGNORECASE)
_ANSWER = re.compile(r"^\s*(?:[-*]\s+)?(?:\*\*)?(?:A|Answer)\s*\d*\s*[:.)](?:\*\*)?\s*(.*)$", re.IGNORECASE)
_INLINE_QA = re.compile(
    r"\bQ(?:uestion)?\s*:\s*(.+?\?)\s*A(?:nswer)?\s*:\s*(.+?)(?=\s*\bQ(?:uestion)?\s*:|$)", re.IGNORECASE
)
_CLAUSE = re.compile(r"\b(?:we|you|they|it|there|i)\s+\w+|\b(?:is|are|has|have)\b", re.IGNORECASE)
_TABLE_RULE = re.compile(r"^[\s|:+-]+$")

_ORDERS_HEADING = re.compile(
    r"\b(?:instructions?|guidelines?|rules?|style|tone|personality|behaviou?r|your (?:role|job|task|goal)s?|role|identity|persona|goals?|"
    r"objectives?|tasks?|constraints?|do'?s|don'?ts|conversation flow|call flow|script|how to (?:respond|answer|speak|talk)|"
    r"response format|formatting|output|boundaries|guardrails|restrictions|limits of|safety|important notes for (?:the )?agent)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^(?:please\s+|also\s+|then\s+|and\s+|but\s+|always\s+|politely\s+|first,?\s+|finally,?\s+|important:?\s+|note:?\s+)*"
    r"(?:always\b|never\b|do not\b|don['’]t\b|avoid\b|act\b|adopt\b|answer\b|apologi[sz]e\b|ask\b|assist\b|assume\b|be\b|begin\b|"
    r"collect\b|confirm\b|continue\b|convince\b|decline\b|describe\b|emphasi[sz]e\b|end\b|ensure\b|escalate\b|explain\b|focus\b|"
    r"follow\b|gather\b|give\b|greet\b|guide\b|handle\b|help\b|identify\b|ignore\b|inform\b|introduce\b|keep\b|let\b|limit\b|"
    r"listen\b|maintain\b|make sure\b|mention\b|offer\b|only\s+(?:answer|discuss|provide|use|talk|give|speak|respond)\b|pretend\b|"
    r"prioriti[sz]e\b|provide\b|redirect\b|refer\b|refrain\b|refuse\b|remember\b|remind\b|repeat\b|reply\b|respond\b|say\b|"
    r"show\b|smile\b|sound\b|speak\b|start\b|state\b|stay\b|stick\b|suggest\b|summari[sz]e\b|talk\b|tell\b|thank\b|"
    r"transfer\b|treat\b|try\b|use\b|verify\b|wait\b|write\b|you\s+(?:are|'re|work|help|answer|assist|speak|must|should|will|"
    r"never|always|have access|do not|don['’]t|cannot|can['’]t|take|handle|represent|act|only|also|need to|know|love|like|talk)\b|"
    r"you['’]re\b|your\s+(?:name|job|role|goal|task|tone|personality|purpose|mission|responses?|answers?|style|objective|voice|"
    r"primary|main|duties|responsibilit)|under no circumstances\b|in (?:your|every|each) (?:answers?|responses?|repl)|"
    r"you can\s+(?:help|answer|book|schedule|take|transfer|look up|offer|provide|check|assist|use|also help|only|tell|give|speak))",
    re.IGNORECASE,
)  # fmt: skip
_FOR_CALLERS = re.compile(r"\b(?:us|our|we)\b", re.IGNORECASE)
_ABOUT_THE_CALL = re.compile(
    r"\b(?:this (?:call|conversation)|as an ai|language model|the prompt|these instructions|(?:one|two|three|1|2|3)(?:[ -](?:to|or)[ -]\w+)? (?:short )?sentences)\b",
    re.IGNORECASE,
)
_RULE = re.compile(
    rf"^(?:if|when|whenever|in case)\s+(?:you(?:'re| are)? asked|asked|{_CALLER})\b\s*(?P<condition>.*?)\s*(?:,\s*(?:then\s+)?|\s+then\s+|:\s+)(?P<action>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_UNKNOWN_RULE = re.compile(
    r"^(?:if|when|whenever)\s+(?:"
    r"you(?:\s+are|['’]re)?\s+(?:(?:do not|don['’]t|cannot|can['’]t)\s+(?:know|have|find|answer|help|understand|see)|unsure|not sure|unable|uncertain)"
    r"|unsure|in doubt"
    r"|(?:an?\s+|the\s+|any\s+)?(?:answer|information|question|request|topic|it)\s+(?:is|isn['’]t|can(?:not|['’]t))\s*(?:not|un|outside|be|covered|in|listed|available)"
    rf"|{_CALLER}\s+asks?\s+(?:about\s+|for\s+)?(?:something|anything|a question|questions)\b[^,:]*?\b(?:you (?:can['’]t|cannot|don['’]t|do not)|not (?:covered|listed|in|on|mentioned)|n['’]t|outside|else)"
    r").*?(?:,\s*(?:then\s+)?|:\s+)(?P<action>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_TELL = re.compile(
    r"^(?:please\s+|politely\s+|simply\s+|just\s+|always\s+|you (?:can|should|must|may)\s+|kindly\s+)*"
    r"(?:say|tell|inform|explain|let|mention|respond|reply|answer|state|advise|remind|note|clarify)\b"
    rf"(?:\s+(?:to\s+)?(?:them|him|her|{_CALLER}))?(?:\s+know)?(?:\s*(?::|,|with|by saying|that))?\s+(?P<what>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_ASK = re.compile(
    rf"^(?:please\s+|politely\s+)*(?:ask|collect|get|request|take)\b(?:\s+(?:them|{_CALLER}))?(?:\s+(?:for|to (?:give|provide|share|spell)))?\s+(?P<what>.+)$",
    re.IGNORECASE,
)
_OFFER = re.compile(
    rf"^(?:please\s+|politely\s+)*offer\b(?:\s+(?:them|{_CALLER}))?\s+(?P<to>to\s+)?(?P<what>.+)$", re.IGNORECASE
)
_PASS_ON = re.compile(
    r"^(?:please\s+|politely\s+)*(?:transfer|connect|escalate|forward|hand|put|route)\b", re.IGNORECASE
)
_SORRY = re.compile(
    r"^(?:please\s+|politely\s+|sincerely\s+)*apologi[sz]e\b[^,.]*?(?:\band\b|,|$)\s*(?P<rest>.*)$", re.IGNORECASE
)
_AND_THEN = re.compile(r",?\s+and\s+(?:then\s+)?(?=(?:offer|ask|tell|transfer|suggest|say|inform)\b)", re.IGNORECASE)
_FORBID = re.compile(
    r"^(?:please\s+)?(?:never|do not|don['’]t|you (?:must|should|may|can) ?not|you (?:mustn|shouldn|can)['’]t|avoid|refrain from|under no circumstances)\s+"
    r"(?:ever\s+)?(?:give|giving|provide|providing|discuss(?:ing)?|mention(?:ing)?|reveal(?:ing)?|shar(?:e|ing)|talk(?:ing)? about|quot(?:e|ing)|"
    r"disclos(?:e|ing)|promis(?:e|ing)|comment(?:ing)? on|offer(?:ing)?|recommend(?:ing)?|answer(?:ing)? questions about|speak(?:ing)? about|diagnos(?:e|ing))\s+(?P<what>.+)$",
    re.IGNORECASE,
)

_LABELS = re.compile(
    r"^[\s*-]*(?:agent |your |assistant |persona |our )?(name|company|business|organi[sz]ation)(?: name)?\**:\**[ \t]+(\S.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_NAME = r"[A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)?"
_ORGANISATION = r"(?:the\s+)?[A-Z0-9][\w'’&.-]*(?:\s+(?:[A-Z0-9][\w'’&.-]*|and|of|the|&|de|la)(?=\s+[A-Z0-9]|\b))*"
_NAMED = (
    re.compile(rf"\b[Yy]our name is\s+({_NAME})"),
    re.compile(rf"\b(?:named|called)\s+({_NAME})"),
    re.compile(rf"\b[Yy]ou(?:\s+are|['’]re)\s+(?!(?:[Aa]n?|[Tt]he)\b)({_NAME})"),
)
_ROLE = re.compile(
    rf"\b[Yy]ou(?:\s+are|['’]re)\s+(?:{_NAME},?\s+)?(?:an?|the)\s+([a-z][\w\s,/-]*(?:receptionist|assistant|agent|specialist|concierge|host|operator|representative|helper|advisor|coordinator|clerk|secretary|dispatcher|bot))\b"
)
_WORKS_FOR = re.compile(rf"\b(?:for|at|of|from|with)\s+({_ORGANISATION})(?:,?\s+(?:which is\s+)?(an?\s+[^.;]+))?")


def briefing(prompt: str) -> Briefing:
    """Read a rendered system prompt."""
    reader = _Reader(trusts_all=False)
    reader.read(prompt)
    persona, about = _persona(prompt)
    facts = [*reader.facts, *([about] if about else [])]
    return Briefing(
        persona=persona,
        facts=tuple(facts[:MAX_FACTS]),
        forbidden=tuple(reader.forbidden),
        unknown=reader.unknown,
    )


def passage_facts(passage: str) -> tuple[Fact, ...]:
    """Read a knowledge passage: everything in it may be said."""
    reader = _Reader(trusts_all=True)
    reader.read(passage)
    return tuple(reader.facts[:MAX_FACTS])


class _Reader:
    """Goes down the lines of a text and keeps where it is: heading, list, last sentence."""

    def __init__(self, *, trusts_all: bool) -> None:
        self._trusts_all = trusts_all
        self._topic = ""
        self._in_orders = False
        self._group = 0
        self._list_topic = ""
        self._before = ""
        self._question = ""
        self.facts: list[Fact] = []
        self.forbidden: list[str] = []
        self.unknown = ""

    def read(self, text: str) -> None:
        lines = text.replace("\r\n", "\n").split("\n")
        at = 0
        while at < len(lines):
            line = lines[at].rstrip()
            if not line.strip():
                self._list_topic, self._before = "", ""
                at += 1
            elif line.count("|") >= 2 or (line.lstrip().startswith("|")):
                end = at
                while end < len(lines) and "|" in lines[end]:
                    end += 1
                self._table(lines[at:end])
                at = end
            else:
                is_before_list = at + 1 < len(lines) and _ITEM.match(lines[at + 1]) is not None
                is_before_gap = (
                    at + 2 < len(lines) and not lines[at + 1].strip() and (at == 0 or not lines[at - 1].strip())
                )
                self._line(line, is_before_list=is_before_list, is_before_gap=is_before_gap)
                at += 1

    def _line(self, line: str, *, is_before_list: bool, is_before_gap: bool) -> None:
        if inline := _INLINE_QA.findall(line):
            for question, answer in inline:
                self._answer(question, answer)
        elif question := _QUESTION.match(line):
            self._question = question[1].strip("* ")
        elif self._question and (answer := _ANSWER.match(line)):
            self._answer(self._question, answer[1])
        elif _XML_CLOSING.match(line):
            self._leave()
        elif heading := _heading(line) or (_bare_heading(line) if is_before_gap else ""):
            self._enter(heading)
        elif intro := _introduction(line, is_before_list=is_before_list):
            self._introduce(intro)
        elif item := _ITEM.match(line):
            self._item(item[1])
        elif self._question:
            self._answer(self._question, line)
        else:
            self._prose(line)

    def _enter(self, heading: str) -> None:
        """A heading: everything below is about it, until the next one."""
        if heading.endswith("?"):
            self._question = heading
            return
        self._leave()
        self._topic = _topic(heading)
        self._in_orders = not self._trusts_all and _ORDERS_HEADING.search(self._topic) is not None

    def _leave(self) -> None:
        self._question = self._topic = self._list_topic = self._before = ""
        self._in_orders = False
        self._group += 1

    def _introduce(self, line: str) -> None:
        """A line that ends in a colon: it is about the list or paragraph that follows."""
        self._question = self._before = ""
        self._group += 1
        if self._is_order(line):
            self._in_orders = True
        self._list_topic = _topic(line)
        if not self._trusts_all and _ORDERS_HEADING.search(self._list_topic) and len(line.split()) <= 6:
            self._in_orders = True
        elif self._in_orders and not self._topic and not self._is_order(line):
            self._in_orders = False

    def _item(self, text: str) -> None:
        if text.rstrip().endswith("?") and len(text) < 160:
            self._question = text.strip("* ")
            return
        parts = sentences(text)
        if not self._trusts_all and any(self._is_instruction(part) for part in parts):
            self._prose(text)
        elif len(parts) == 1 and (pair := _pair(text)):
            self._keyed(*pair, shape=Shape.ITEM)
        elif len(parts) == 1 and not self._is_order(text):
            self._add(text, shape=Shape.ITEM, group=self._group)
        elif (pair := _pair(parts[0]) if parts else None) and not self._is_order(parts[0]):
            self._keyed(pair[0], text[text.index(pair[1]) :] if pair[1] in text else pair[1], shape=Shape.ITEM)
        else:
            self._prose(text)

    def _prose(self, text: str) -> None:
        if (pair := _pair(text)) and (self._trusts_all or not self._is_instruction(text)):
            self._keyed(*pair, shape=Shape.PAIR)
            return
        for sentence in sentences(text):
            self._sentence(sentence)

    def _keyed(self, key: str, value: str, *, shape: Shape) -> None:
        if not self._trusts_all and (_ORDERS_HEADING.fullmatch(key) or self._is_order(value) or self._is_order(key)):
            self._sentence(value)
            return
        if self._in_orders:
            return
        if key.endswith("?"):
            self._answer(key, value)
            return
        parts = sentences(value)
        if len(parts) > 1 and len(value.split()) > 25:
            for part in parts:
                self._add(part, topic=", ".join(filter(None, (self._topic, self._list_topic, key))))
            return
        self._add(value, shape=shape, key=key, group=self._group if shape is Shape.ITEM or self._topic else -1)

    def _sentence(self, sentence: str) -> None:
        bare = re.sub(r"[*_`]", "", sentence).strip()
        if self._trusts_all:
            self._add(bare)
        elif unknown := _UNKNOWN_RULE.match(bare):
            self.unknown = self.unknown or _prescribed(unknown["action"], "")
        elif rule := _RULE.match(bare):
            self._rule(bare, rule["condition"], rule["action"])
        elif forbidden := _FORBID.match(bare):
            self.forbidden.append(forbidden["what"].rstrip("."))
        elif self._is_order(bare):
            if (tell := _TELL.match(bare)) and re.search(r"\bthat\b", bare[: tell.start("what")]):
                self._add(_to_caller(tell["what"]), shape=Shape.RULE)
        else:
            self._add(bare)

    def _rule(self, sentence: str, condition: str, action: str) -> None:
        says = _prescribed(action, condition)
        if says:
            topic = re.sub(
                r"^(?:asks?|asking|wants?|inquires?|is asking|calls?)\s+(?:about|for|if|whether|to know|to)?\s*",
                "",
                condition,
            )
            self._add(says, shape=Shape.RULE, question=topic or condition)
        elif not _ORDER.match(action):
            self._add(sentence)

    def _answer(self, question: str, answer: str) -> None:
        parts = sentences(answer)
        if parts:
            self._add(" ".join(parts), shape=Shape.ANSWER, question=question.strip("* "))
        self._question = ""

    def _table(self, lines: list[str]) -> None:
        rows = [[cell.strip(" *`") for cell in line.strip().strip("|").split("|")] for line in lines]
        rows = [row for row, line in zip(rows, lines, strict=True) if not _TABLE_RULE.match(line)]
        if len(rows) < 2:
            for row in rows:
                self._prose(" ".join(row))
            return
        self._group += 1
        header = rows[0]
        for row in rows[1:]:
            cells = [(name, cell) for name, cell in zip(header[1:], row[1:], strict=False) if is_speakable(cell)]
            if not row or not is_speakable(row[0]) or not cells:
                continue
            spoken = cells[0][1] if len(cells) == 1 else ", ".join(f"{name.lower()} {cell}" for name, cell in cells)
            topic = ", ".join(filter(None, (self._topic, header[0], *(name for name, _ in cells))))
            self._add(spoken, shape=Shape.ROW, key=row[0], group=self._group, topic=topic)

    def _is_instruction(self, sentence: str) -> bool:
        bare = re.sub(r"[*_`]", "", sentence).strip()
        return any(pattern.match(bare) for pattern in (_UNKNOWN_RULE, _RULE, _FORBID)) or self._is_order(bare)

    def _is_order(self, text: str) -> bool:
        if self._trusts_all:
            return False
        bare = re.sub(r"[*_`]", "", text).strip()
        if _ABOUT_THE_CALL.search(bare):
            return True
        if _ORDER.match(bare):
            return True
        return self._in_orders and not re.search(r"\b(?:we|our|is|are|costs?|opens?|closes?)\b", bare, re.IGNORECASE)

    def _add(
        self,
        text: str,
        *,
        shape: Shape = Shape.SENTENCE,
        key: str = "",
        question: str = "",
        group: int = -1,
        topic: str | None = None,
    ) -> None:
        text = re.sub(r"\*\*|__|`", "", text).strip()
        if is_speakable(text):
            self.facts.append(
                Fact(
                    text=text[:MAX_FACT_CHARS],
                    shape=shape,
                    key=re.sub(r"[*_`]", "", key).strip(),
                    question=question,
                    group=group,
                    topic=topic if topic is not None else ", ".join(filter(None, (self._topic, self._list_topic))),
                    before=self._before if shape is Shape.SENTENCE else "",
                )
            )
            self._before = text


def _heading(line: str) -> str:
    for pattern in (_HEADING, _BOLD_HEADING, _XML_HEADING):
        if match := pattern.match(line):
            return re.sub(r"[*#]|(?<=\w)_(?=\w)", " ", match[1]).strip(" :")
    if (match := _CAPS_HEADING.match(line)) and len(match[1].split()) <= 7:
        return match[1].strip().capitalize()
    bare = line.strip()
    if bare.endswith("?") and len(sentences(bare)) == 1 and not _ITEM.match(line):
        return bare
    return ""


def _bare_heading(line: str) -> str:
    """A few words alone between blank lines, without a full stop."""
    bare = line.strip()
    is_title = len(bare.split()) <= 6 and bare[:1].isupper() and bare[-1].isalnum() and not _PAIR.match(bare)
    return bare if is_title and not _ITEM.match(line) and not _CLAUSE.search(bare) else ""


def _introduction(line: str, *, is_before_list: bool) -> str:
    match = None if _ITEM.match(line) else _COLON_HEADING.match(line)
    return match[1].strip() if match and (is_before_list or len(match[1].split()) <= 8) else ""


def _topic(heading: str) -> str:
    return re.sub(
        r"^(?:we (?:offer|have|accept)|our|here (?:is|are)|the)\s+|\s+(?:is|are|includes?|the following|as follows)$",
        "",
        heading,
        flags=re.IGNORECASE,
    ).strip()


def _pair(text: str) -> tuple[str, str] | None:
    for pattern in (_PAIR, _DOTS_PAIR, _DASH_PAIR):
        match = pattern.match(text.strip())
        if (
            match
            and len(match[1].split()) <= 8
            and not re.search(r"https?$|\d$", match[1].strip()[-5:] if pattern is _PAIR else "")
        ):
            return match[1].strip(), match[2].strip()
    return None


def _prescribed(action: str, condition: str) -> str:
    """What an order to the agent makes it say: "tell them that X" → "X"; "" when it is not an order to speak."""
    action = action.strip()
    parts = _AND_THEN.split(action)
    if len(parts) > 1 and not action.startswith(('"', "“")):
        return " ".join(filter(None, (_with_stop(_prescribed(part, condition)) for part in parts)))
    if match := _SORRY.match(action):
        rest = _prescribed(match["rest"], condition) if match["rest"] else ""
        return f"I'm sorry about that. {rest}".strip()
    if match := _TELL.match(action):
        what = match["what"].strip()
        quoted = re.match(r"^[\"“'‘](.+?)[\"”'’]\.?$", what)
        if quoted:
            return quoted[1]
        return f"Please {_to_caller(what[3:], capital=False)}" if what.lower().startswith("to ") else _to_caller(what)
    if match := _ASK.match(action):
        return f"Sure. Could you tell me {_to_caller(match['what'], capital=False).rstrip('.')}, please?"
    if match := _OFFER.match(action):
        what = _to_caller(match["what"], capital=False).rstrip(".")
        return f"I can {what}." if match["to"] else f"I can offer you {what}."
    if _PASS_ON.match(action):
        return "I'll have one of our team help you with that."
    return ""


def _with_stop(text: str) -> str:
    return text if not text or text[-1] in ".!?" else f"{text}."


def _to_caller(text: str, *, capital: bool = True) -> str:
    """Talk about the caller turned into talk to the caller."""
    for pattern, word in (
        (r"\byou (will|would|do not|don['’]t|are unable|are not able|cannot|can['’]t|have to)\b", r"I \1"),
        (r"\byou['’]ll\b", "I'll"),
        (r"\bI are\b", "I am"),
        (r"\b(?:the |a )?(?:caller|customer|guest|patient|client|user)['’]s\b", "your"),
        (r"\bthey are\b|\bthey['’]re\b", "you are"),
        (r"\bthey have\b|\bthey['’]ve\b", "you have"),
        (r"\bthey\b", "you"),
        (r"\btheir\b", "your"),
        (r"\bthem\b", "you"),
        (r"\b(?:the )?callers?\b", "you"),
    ):
        text = re.sub(pattern, word, text, flags=re.IGNORECASE)
    text = re.sub(r"\band that\b", "and", text.strip())
    return text[:1].upper() + text[1:] if capital else text


def _persona(prompt: str) -> tuple[Persona, Fact | None]:
    opening = tuple(_opening(prompt))
    labels = {match[1].lower(): match[2] for match in _LABELS.finditer(prompt[:3000])}
    labelled = (
        labels.get("company")
        or labels.get("business")
        or labels.get("organisation")
        or labels.get("organization")
        or ""
    )
    name = labels.get("name") or next(
        (match[1] for pattern in _NAMED for sentence in opening if (match := pattern.search(sentence))), ""
    )
    role = _ROLE.search(prompt)
    organisation, about = "", None
    for sentence in opening:
        works_for = _WORKS_FOR.search(sentence, role.end() - role.start() if role and role[0] in sentence else 0)
        if works_for and not re.match(r"^(?:You|If|When|Always|Never|English|Monday|The)\b", works_for[1]):
            organisation = works_for[1].rstrip(".,")
            if works_for[2]:
                about = Fact(text=f"{organisation} is {works_for[2].rstrip('.')}.", topic="about us, who we are")
            break
    if labelled and not organisation:
        organisation, _, what = labelled.partition(",")
        if re.match(r"\s+an?\s", what):
            about = Fact(text=f"{organisation} is{what.rstrip('.')}.", topic="about us, who we are")
    if name and organisation and name == organisation:
        name = ""
    return Persona(name=name, role=role[1].strip() if role else "", organisation=organisation), about


def _opening(prompt: str) -> Iterator[str]:
    for sentence in sentences(prompt[:3000]):
        bare = re.sub(r"[*_`]", "", sentence)
        if re.match(r"^(?:you(?:['’]re| are)?|your (?:name|job|role|task|goal)|act as)\b", bare, re.IGNORECASE):
            yield bare

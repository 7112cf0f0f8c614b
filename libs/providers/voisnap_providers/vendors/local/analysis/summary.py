"""Two or three sentences in the third person: what the customer came with, what the agent did about it, and how it ended.

The middle is the conversation's own words, with the persons turned; nothing is told that was not said.
"""

import re

from voisnap_domain.analysis import MAX_SUMMARY_CHARS, Dialogue, Outcome, Sentiment, cut
from voisnap_domain.conversations import Speaker
from voisnap_domain.sessions import WRITTEN_CHANNELS, Direction, EndReason

from . import outcomes
from .purposes import GENERAL, Purpose
from .reading import Reading, words
from .topics import CHATTER
from .words import STOP_WORDS, VALENCES

LONGEST_QUOTE = 220
_WORDS = (
    (STOP_WORDS["en"] - {"i"})
    | frozenset(VALENCES["en"])
    | CHATTER
    | frozenset(
        [
            "half",
            "nobody",
            "someone",
            "somebody",
            "everyone",
            "everything",
            "something",
            "nothing",
            "both",
            "each",
            "either",
            "many",
            "several",
            "most",
            "unfortunately",
            "currently",
            "usually",
            "yesterday",
            "today",
            "tomorrow",
            "tonight",
            "anyone",
            "shipping",
            "delivery",
            "orders",
            "appointments",
            "customers",
            "members",
            "prices",
            "payments",
            "returns",
            "parking",
        ]
    )
)
_LEAD = re.compile(
    r"^(?:(?:hi|hello|hey|yes|yeah|yep|no|well|so|okay|ok|right|sure|um|uh|look|listen|please|actually|oh|good (?:morning|afternoon|evening|day)|understood|hola|buenos días|buenas (?:tardes|noches)|guten (?:tag|morgen|abend)|hallo|bonjour|bonsoir|buongiorno|bom dia|boa (?:tarde|noite)|olá|hi there|hello there|thanks|thank you|great|perfect|alright|of course|certainly|absolutely|i see|and|but|because|sorry|excuse me|not really|got it|wonderful)\b(?:\s(?:there|again|much))?[\s,.!?-]+)+",
    re.IGNORECASE,
)
_INTRO = re.compile(
    r"^(?i:(?:my name is|this is|i'm|i am|it's|mein name ist|mi nombre es|me llamo|je m'appelle|mi chiamo)\s)(?:[A-ZÁÉÍÓÚÄÖÜÑ][\w'-]+\s?){1,3}"
    r"(?i:(?:calling|here|speaking)?(?:\s?from\s[\w\s]{2,30})?(?:,|\.|\sand\b|$))\s*"
)
_IMPERATIVE = re.compile(
    r"^(?:cancel|stop|give|send|tell|call|take|remove|help|get|put|change|book|transfer|connect|unplug|plug|restart|reset|check|bring|write|visit|go|try|press|enter|fill|open|click|make sure|contact|hold|wait)\b(?!ed|ing)",
    re.IGNORECASE,
)
_WANTS = re.compile(
    r"\b(?:i(?:'d| would)(?: really)? (?:like|love|prefer) to|i(?:'m| am) (?:calling|phoning|ringing|writing|here|trying|looking) (?:in )?(?:today )?to|i (?:just )?(?:want|wanted|need|have|wish|was hoping|was calling) to|i was wondering if i (?:could|can)|(?:can|could|may) i(?: please)?)\s+(?P<rest>\w.+)$",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:i(?:'m| am| was)? ?(?:calling|phoning|ringing|writing|call) (?:you )?(?:in )?(?:today )?(?:about|regarding|because of|concerning)|i have (?:a|another|some|one|two) (?:quick )?questions? (?:about|regarding|on)|it(?:'s| is) about)\s+(?P<rest>\w.+)$",
    re.IGNORECASE,
)
_WOULD_LIKE = re.compile(
    r"\b(?:i(?:'d| would) (?:like|love)|i (?:want|need)|i(?:'m| am) looking for|can i (?:have|get)|could i (?:have|get))\s+(?P<rest>(?:a|an|the|some|my|two|three|one|another|more|help|your)\b.+)$",
    re.IGNORECASE,
)
_ASKS_YOU = re.compile(r"^(?:(?:can|could|would|will) you(?: please)?|please)\s+(?P<rest>\w.+)$", re.IGNORECASE)
_WANTS_ELSEWHERE = re.compile(
    r"\b(?:quiero|quisiera|necesito|me gustaría|tengo una|möchte|brauche|habe eine|hätte gerne?|voudrais|j'ai besoin|j'aimerais|vorrei|ho bisogno|gostaria|preciso|queria)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^(?:what|when|where|why|who|which|how|is|are|do|does|did|can|could|will|would|has|have|was|were|am|should)\b",
    re.IGNORECASE,
)
_PERSONS_OF_USER = (
    (r"\bI'm\b|\bI am\b", "they are"), (r"\bI've\b", "they have"), (r"\bI'd\b", "they would"), (r"\bI'll\b", "they will"),
    (r"\bI was\b", "they were"), (r"\bI\b", "they"), (r"\bmyself\b", "themselves"), (r"\bmine\b", "theirs"), (r"\bmy\b", "their"), (r"\bme\b", "them"),
    (r"\bwe're\b", "they are"), (r"\bwe've\b", "they have"), (r"\bwe\b", "they"), (r"\bours\b", "theirs"), (r"\bour\b", "their"), (r"\bus\b", "them"),
    (r"\byour\b", "the company's"), (r"\byou guys\b", "the company"), (r"\byou're\b", "the company is"), (r"\byou've\b", "the company has"), (r"\byou\b", "the company"),
)  # fmt: skip
_PERSONS_OF_AGENT = (
    (r"\byou're\b|\byou are\b", "the customer is"), (r"\byou've\b|\byou have\b", "the customer has"), (r"\byou'll\b|\byou will\b", "the customer will"), (r"\byou'd\b", "the customer would"),
    (r"\byou were\b", "the customer was"), (r"\byours\b", "the customer's"), (r"\byourself\b", "themselves"), (r"\byour\b", "the customer's"), (r"\byou\b", "the customer"),
    (r"\bI'm\b|\bI am\b", "they are"), (r"\bI've\b|\bI have\b", "they have"), (r"\bI'll\b|\bI will\b", "they will"), (r"\bI'd\b", "they would"), (r"\bI was\b", "they were"), (r"\bI\b", "they"), (r"\bmy\b", "their"), (r"\bme\b", "them"),
    (r"\bwe're\b", "they are"), (r"\bwe've\b", "they have"), (r"\bwe'll\b", "they will"), (r"\bwe\b", "they"), (r"\bour\b", "their"), (r"\bus\b", "them"),
)  # fmt: skip
_QUOTES = {
    "es": ("El cliente dijo: «{user}».", "El agente respondió: «{agent}»."),
    "de": ("Der Kunde sagte: „{user}“", "Der Agent antwortete: „{agent}“"),
    "fr": ("Le client a dit : « {user} »", "L'agent a répondu : « {agent} »"),
    "it": ("Il cliente ha detto: «{user}»", "L'agente ha risposto: «{agent}»"),
    "pt": ("O cliente disse: «{user}»", "O agente respondeu: «{agent}»"),
}
_ENDINGS: dict[str, dict[Outcome, str]] = {
    "es": {Outcome.RESOLVED: "La solicitud quedó resuelta.", Outcome.ESCALATED: "La conversación se pasó a una persona.", Outcome.CALLBACK_SCHEDULED: "Se acordó una llamada de vuelta.", Outcome.UNRESOLVED: "La solicitud quedó pendiente.", Outcome.ABANDONED: "La conversación terminó antes de tiempo.", Outcome.VOICEMAIL: "Respondió un contestador."},
    "de": {Outcome.RESOLVED: "Das Anliegen wurde geklärt.", Outcome.ESCALATED: "Das Gespräch wurde an einen Menschen weitergegeben.", Outcome.CALLBACK_SCHEDULED: "Ein Rückruf wurde vereinbart.", Outcome.UNRESOLVED: "Das Anliegen blieb offen.", Outcome.ABANDONED: "Das Gespräch endete vorzeitig.", Outcome.VOICEMAIL: "Es antwortete ein Anrufbeantworter."},
    "fr": {Outcome.RESOLVED: "La demande a été traitée.", Outcome.ESCALATED: "La conversation a été transférée à une personne.", Outcome.CALLBACK_SCHEDULED: "Un rappel a été convenu.", Outcome.UNRESOLVED: "La demande est restée ouverte.", Outcome.ABANDONED: "La conversation s'est terminée prématurément.", Outcome.VOICEMAIL: "Un répondeur a répondu."},
    "it": {Outcome.RESOLVED: "La richiesta è stata risolta.", Outcome.ESCALATED: "La conversazione è stata passata a una persona.", Outcome.CALLBACK_SCHEDULED: "È stata concordata una richiamata.", Outcome.UNRESOLVED: "La richiesta è rimasta aperta.", Outcome.ABANDONED: "La conversazione è terminata in anticipo.", Outcome.VOICEMAIL: "Ha risposto una segreteria telefonica."},
    "pt": {Outcome.RESOLVED: "O pedido foi resolvido.", Outcome.ESCALATED: "A conversa foi passada a uma pessoa.", Outcome.CALLBACK_SCHEDULED: "Foi combinado um retorno.", Outcome.UNRESOLVED: "O pedido ficou em aberto.", Outcome.ABANDONED: "A conversa terminou antes do fim.", Outcome.VOICEMAIL: "Atendeu um correio de voz."},
}  # fmt: skip


def summary_of(
    reading: Reading,
    dialogue: Dialogue,
    *,
    purpose: Purpose | None,
    outcome: Outcome,
    sentiment: Sentiment,
) -> str:
    """The summary, in the language of the conversation where it is one of six, else in English around quoted words."""
    if reading.language in _QUOTES:
        return cut(_quoted(reading, outcome, purpose), MAX_SUMMARY_CHARS)
    if dialogue.end_reason is EndReason.VOICEMAIL or (purpose and purpose.label == "voicemail"):
        return "The call was answered by a voicemail. " + _voicemail(reading)
    parts = [_request(reading, dialogue, purpose), _answer(reading, outcome), _end(reading, outcome, sentiment)]
    return cut(" ".join(part for part in parts if part), MAX_SUMMARY_CHARS)


def _request(reading: Reading, dialogue: Dialogue, purpose: Purpose | None) -> str:
    best = _request_sentence(reading, purpose)
    verb = "wrote" if dialogue.channel in WRITTEN_CHANNELS else "called"
    came = f"Customer {verb}" if dialogue.direction is Direction.INBOUND else "Customer was contacted and wanted"
    if best is None:
        said = " ".join(line.text for line in reading.user)[:80].strip()
        if not said:
            return "Customer said nothing."
        return f'Customer said only "{said.rstrip(".!? ")}".'
    text = _bare(best)
    if (match := _WANTS.search(text)) and not _is_small(match["rest"]):
        return _sentence(f"{came} to {_turned(match['rest'], _PERSONS_OF_USER)}")
    if (match := _ABOUT.search(text)) and not _is_small(match["rest"]):
        about = "about" if dialogue.direction is Direction.INBOUND else "to talk about"
        return _sentence(f"{came} {about} {_turned(match['rest'], _PERSONS_OF_USER)}")
    if match := _WOULD_LIKE.search(text):
        return _sentence(f"Customer asked for {_turned(match['rest'], _PERSONS_OF_USER)}")
    if match := _ASKS_YOU.match(text):
        return _sentence(f"Customer asked the agent to {_turned(match['rest'], _PERSONS_OF_USER)}")
    if _IMPERATIVE.match(text):
        return _sentence(f"Customer asked the agent to {_turned(_uncapitalised(text), _PERSONS_OF_USER)}")
    if text.endswith("?") or _QUESTION.match(text):
        return f'Customer asked: "{_quote(text)}"'
    return _sentence(f"Customer said that {_turned(_lowered(text), _PERSONS_OF_USER)}")


def _answer(reading: Reading, outcome: Outcome) -> str:
    best = _answer_sentence(reading, outcome)
    if best is None:
        return ""
    text = _bare(best)
    if _IMPERATIVE.match(text):
        return _sentence(f"Agent asked the customer to {_turned(_uncapitalised(text), _PERSONS_OF_AGENT)}")
    return _sentence(f"Agent said that {_turned(_lowered(text), _PERSONS_OF_AGENT)}")


def _end(reading: Reading, outcome: Outcome, sentiment: Sentiment) -> str:
    mood = {Sentiment.POSITIVE: "Customer was satisfied.", Sentiment.NEGATIVE: "Customer was dissatisfied."}.get(
        sentiment, ""
    )
    match outcome:
        case Outcome.RESOLVED:
            return mood if sentiment is Sentiment.POSITIVE else f"The request was dealt with. {mood}".strip()
        case Outcome.ESCALATED:
            return f"The conversation was handed to a person. {mood}".strip()
        case Outcome.CALLBACK_SCHEDULED:
            return f"A call back was agreed. {mood}".strip()
        case Outcome.UNRESOLVED:
            if outcomes.is_declined(reading):
                return "Customer declined."
            return f"The request remained open. {mood if sentiment is Sentiment.NEGATIVE else ''}".strip()
        case Outcome.ABANDONED:
            return "The conversation ended before the request could be dealt with."
        case Outcome.VOICEMAIL:
            return "The call was answered by a voicemail."


def _voicemail(reading: Reading) -> str:
    left = [line for line in reading.agent if line.place > 0] or list(reading.agent)
    return f'Agent said: "{_quote(left[-1].text)}"' if left else "No message was left."


def _quoted(reading: Reading, outcome: Outcome, purpose: Purpose | None) -> str:
    user, agent = _QUOTES[reading.language]
    parts = []
    if (asked := _request_sentence(reading, purpose)) or reading.user:
        parts.append(user.format(user=_quote(asked or reading.user[0].text).rstrip(".")))
    if answered := _answer_sentence(reading, outcome):
        parts.append(agent.format(agent=_quote(answered).rstrip(".")))
    return " ".join([*parts, _ENDINGS[reading.language][outcome]])


def _request_sentence(reading: Reading, purpose: Purpose | None) -> str | None:
    """The user's sentence that says most clearly what they want; earlier ones first."""
    best, most = None, 0.0
    pattern = (
        re.compile(purpose.pattern, re.IGNORECASE) if purpose and purpose.label != GENERAL and purpose.pattern else None
    )
    for place, sentence in enumerate(reading.said(Speaker.USER)[:14]):
        text = _bare(sentence)
        count = len(words(text))
        if count < 3:
            continue
        score = min(count, 14) / 14 - 0.09 * place
        score += 0.8 * bool(_WANTS.search(text) or _ABOUT.search(text) or _WOULD_LIKE.search(text))
        score += 0.5 * bool(_WANTS_ELSEWHERE.search(text))
        score += 0.35 * (text.endswith("?") or bool(_ASKS_YOU.match(text)))
        score += 0.7 * (pattern is not None and pattern.search(text) is not None)
        if score > most or best is None:
            best, most = sentence, score
    return best


def _answer_sentence(reading: Reading, outcome: Outcome) -> str | None:
    """The agent's sentence that says most of what was done or told."""
    done = set(outcomes.doings(reading))
    first = reading.user[0].place if reading.user else -1
    best, most = None, 0.0
    for line in reading.agent:
        if line.place < first:
            continue
        for sentence in line.sentences:
            text = _bare(sentence)
            count = len(words(text))
            if count < 5 or sentence.endswith("?"):
                continue
            score = min(count, 22) / 22 + 0.25 * bool(re.search(r"\d|\$|€", text)) + 0.7 * (sentence in done)
            score -= 0.8 * bool(
                re.match(
                    r"(?:i'm (?:so |very )?sorry|i (?:understand|apologi|see|hear)|thank you|thanks|have a|you're welcome|let me|i'd be happy|i can help|i'll be happy|please (?:hold|bear))",
                    text,
                    re.IGNORECASE,
                )
            )
            score += 0.15 * line.place / max(1, len(reading.lines))
            if score > most:
                best, most = sentence, score
    return best


def _bare(sentence: str) -> str:
    """A sentence without greetings and introductions."""
    text = _LEAD.sub("", sentence).strip()
    text = _LEAD.sub("", _INTRO.sub("", text)).strip()
    return text if len(words(text)) >= 2 else sentence


def _turned(text: str, persons: tuple[tuple[str, str], ...]) -> str:
    """The text with its persons turned to the third."""
    text = re.sub(r",?\s*(?:please|thanks|thank you)[.!]?$", "", text.strip(), flags=re.IGNORECASE)
    marks: list[str] = []

    def keep(word: str) -> str:
        marks.append(word)
        return f"\x00{len(marks) - 1}\x00"

    for pattern, word in persons:
        text = re.sub(
            pattern, lambda _match, word=word: keep(word), text, flags=re.IGNORECASE if pattern != r"\bI\b" else 0
        )
    return re.sub(r"\x00(\d+)\x00", lambda match: marks[int(match[1])], text)


def _lowered(text: str) -> str:
    """The text as the rest of a sentence; names and "I" stay."""
    first = text.split(" ", 1)[0]
    plain = first.lower().strip(",.'")
    is_word = (len(first) == 1 or first[1:].islower()) and (plain in _WORDS or plain.partition("'")[0] in _WORDS)
    return _uncapitalised(text) if is_word else text


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]


def _sentence(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip().rstrip(".!?,;: ")
    return cut(text[:1].upper() + text[1:], LONGEST_QUOTE + 60).rstrip(".") + "."


def _quote(text: str) -> str:
    text = cut(_bare(text).strip().rstrip(), LONGEST_QUOTE).replace('"', "'")
    return text[:1].upper() + text[1:]


def _is_small(text: str) -> bool:
    """Whether what somebody wants is nothing yet: "ask something", "talk"."""
    return (
        re.match(
            r"(?:ask(?: you)?(?: a question| something)?|talk|know|say|speak|check something|see if you)\W*$",
            text,
            re.IGNORECASE,
        )
        is not None
    )

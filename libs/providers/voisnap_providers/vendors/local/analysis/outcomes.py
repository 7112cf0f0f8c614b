"""How a conversation turned out: resolved, escalated, callback scheduled, unresolved, abandoned, or left to a machine."""

import re

from voisnap_domain.analysis import Outcome
from voisnap_domain.conversations import ConversationStatus, Speaker
from voisnap_domain.sessions import EndReason

from .reading import Line, Reading
from .sentiment import lexical

_ESCALATED = re.compile(
    r"\b(?:transfer(?:ring|red)?|connect(?:ing|ed)?|put(?:ting)?|pass(?:ing|ed)?|hand(?:ing|ed)?)\s(?:you|your (?:call|case|request))\b.{0,50}\b(?:to|through|with|over|on)\b"
    r"|\b(?:transferr(?:ing|ed)|pass(?:ing|ed)?|hand(?:ing|ed)?|forward(?:ing|ed)?)\s(?:this|that|it)?\s?(?:over|on)?\s?to\s(?:a|an|our|my|one of (?:our|my)|the)\s(?:\w+\s){0,2}(?:colleagues?|specialists?|supervisor|manager|technicians?|engineers?|department|expert|team)\b"
    r"|\b(?:i(?:'ve| have|'ll| will|'m| am)|let me)\s(?:now\s)?escalat\w+|\bescalated\b.{0,40}\b(?:to|this|your)\b|\b(?:has been|been)\s(?:escalated|passed on)\b"
    r"|\b(?:le|lo|la)\s(?:paso|transfiero|comunico)\s(?:con|a)\b|\b(?:verbinde|stelle)\s(?:ich\s)?sie\b|\bweiterleiten\b|\bich verbinde\b|\bje vous (?:transfère|passe|mets en relation)\b|\ble passo\b",
    re.IGNORECASE,
)
_CALL_BACK = re.compile(
    r"\b(?:call|calling|ring|phone|contact|reach out to|get back to|be in touch with)\s(?:you|her|him|them)\s?(?:back)?\b.{0,60}\b(?:today|tomorrow|monday|tuesday|wednesday|thursday|friday|within|hours?|shortly|soon|later|morning|afternoon|back|at|on this number)\b"
    r"|\b(?:call ?back|callback)\b.{0,40}\b(?:scheduled|arranged|requested|booked|for|noted|tomorrow|today)\b|\b(?:schedule|arrange|book|request)\w*\s(?:a|you a|the)\scall ?back\b"
    r"|\b(?:le|te)\s(?:llamaremos|llamará|devolver\w+ la llamada)\b|\b(?:rufen|ruft)\s.{0,30}\bzurück\b|\bmeldet sich\b|\brückruf\b|\bvous rappel\w+\b|\brichiam\w+\b",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:i(?:'ve| have)(?: just| now| gone ahead and)?|we(?:'ve| have)(?: just| now)?|you(?:'re| are)(?: now| all)?|it(?:'s| is| has been| will be)(?: now| all)?|that(?:'s| is| has been)(?: now| all)?|has been|have been|your \w+(?: \w+)? (?:is|are)(?: now)?)\s"
    r"(?:successfully\s)?(?:all\s)?(?:issued|refunded|processed|booked|scheduled|rescheduled|cancel(?:l)?ed|updated|changed|sent|reset|unlocked|activated|reactivated|placed|ordered|confirmed|registered|credited|reversed|removed|applied|upgraded|fixed|resolved|restored|arranged|added|set|set up|done|sorted|moved|noted|reserved|renewed|paid|emailed|signed up|enrolled|submitted|extended|waived|blocked|switched|in place|on its way|ready)\b"
    r"|\bconfirmation (?:e-?mail|text|number|code)\b|\b(?:all set|all done|see you (?:on|at|then|tomorrow|monday|tuesday|wednesday|thursday|friday|saturday|sunday|there))\b"
    r"|\b(?:he|hemos|queda|ha sido|está)\s(?:enviado|cancelado|reservad[oa]|confirmad[oa]|actualizad[oa]|reembolsado|solucionado|cambiad[oa]|programad[oa]|activad[oa]|agendad[oa])\b"
    r"|\b(?:ist|wurde|habe|haben)\b.{0,60}\b(?:gebucht|storniert|verschickt|geschickt|gesendet|erledigt|reserviert|bestätigt|geändert|eingetragen|erstattet|gutgeschrieben|gelöst|gekündigt|vereinbart|notiert)\b"
    r"|\b(?:ai|avons|est|a été)\b.{0,40}\b(?:réservé|annulé|envoyé|confirmé|modifié|remboursé|résolu)\w*\b",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"\b(?:perfect|great|wonderful|excellent|awesome|fantastic|brilliant|lovely|amazing|that helps|that(?:'s| is) (?:all|it|everything|great|perfect|good|helpful|exactly)|that(?:'ll| will) be all|very helpful|sounds good|works for me|that works|it works|working now|solved|all i needed|good to know|makes sense|thank you so much|cool|nice|thanks so much|thanks a lot|you've been)\b"
    r"|\b(?:perfecto|genial|estupendo|muchas gracias|eso es todo|excelente|muy amable)\b|\b(?:perfekt|super|prima|wunderbar|vielen dank|das war(?:'s| alles)|alles klar|passt)\b|\b(?:parfait|merci beaucoup|c'est tout|très bien|super)\b|\b(?:perfetto|grazie mille|ottimo)\b|\b(?:perfeito|ótimo|muito obrigad[oa])\b",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"\b(?:thanks|thank you|thx|ty|cheers|appreciate|gracias|danke|merci|grazie|obrigad[oa])\b|\b(?:ok(?:ay)?|alright|fine|good|bye|goodbye|adiós|tschüss|au revoir)\b",
    re.IGNORECASE,
)
_GIVING_UP = re.compile(
    r"\b(?:forget (?:it|about it)|never ?mind|wasted?|nothing (?:helps|works)|useless|waste of time|not (?:helping|helpful|good enough|acceptable)|giv(?:e|ing) up|hang(?:ing)? up|ridiculous|unacceptable|(?:still|it) (?:doesn'?t|does not|isn'?t|is not|not) (?:work|help|fix|solve)\w*|still (?:broken|down|wrong|the same|nothing)|doesn'?t (?:help|solve)|no(?:thing| one) helps|take my business|call (?:my bank|someone else|another|again|back later)|i(?:'ll| will| am going to|'m going to) (?:\w+ ){0,2}(?:somewhere|someone|another|elsewhere|complain|competitor)\b|don'?t bother|what a joke|worst)\b"
    r"|\b(?:olvídelo|déjelo|inútil|no me (?:ayuda|sirve)|pérdida de tiempo|sigue sin|sigo sin)\b|\b(?:vergessen sie|nutzlos|bringt (?:mir |doch )?nichts|hilft mir nicht|unverschämt\w*|lassen sie)\b|\b(?:laissez tomber|inutile|ça ne sert)\b|\b(?:lasci(?:a|are) perdere)\b",
    re.IGNORECASE,
)
_UNABLE = re.compile(
    r"\b(?:i(?:'m| am)? (?:afraid|sorry)?,?.{0,20}(?:don'?t|do not) have (?:that|this|any|an answer|access|the|another|more)|(?:i|we)(?:'m| am|'re| are)? (?:can'?t|cannot|can not|unable|not able|not allowed)|unfortunately|not possible|(?:isn'?t|not) something (?:i|we|that)|(?:nobody|no one) is|not (?:currently )?available|don'?t (?:offer|carry|support|do that)|no (?:longer|availability|record|appointments)|sold out|out of stock|fully booked|i(?:'m| am) not sure about that)\b"
    r"|\b(?:lamentablemente|desafortunadamente|no (?:podemos|puedo|es posible|tenemos))\b|\b(?:leider|nicht möglich|kann ich (?:ihnen )?nicht|können wir nicht)\b|\b(?:malheureusement|pas possible|ne (?:peux|pouvons) pas)\b",
    re.IGNORECASE,
)
_WANTS_HUMAN = re.compile(
    r"\b(?:speak|talk|get|connect|transfer)\b.{0,25}\b(?:human|person|someone|agent|representative|manager|supervisor|operator)\b|\b(?:hablar con (?:una persona|alguien|un agente|su supervisor))\b|\bmit (?:einem|einer) (?:menschen|mitarbeiter|person|kollegen)\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\b(?:thank you for (?:your time|calling|taking)|have a (?:nice|great|good|lovely|wonderful)|good ?bye|bye|take care|see you|que tenga|auf wieder\w+|bonne journée|arrivederci)\b",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\b(?:not interested|no,? thank(?:s| you)|stop calling|remove me|wrong number|no me interesa|kein interesse|pas intéressée?)\b",
    re.IGNORECASE,
)
_GREETING_ONLY = re.compile(
    r"^(?:(?:hi|hello|hey|yes|yeah|hola|hallo|bonjour|ja|sí|oui|um|is (?:anyone|anybody|someone) there|can you hear me)[\s,.!?]*)+$",
    re.IGNORECASE,
)


def outcome(reading: Reading, *, status: ConversationStatus, end_reason: EndReason | None) -> Outcome:
    """One of them, by how it ended, by what the agent did and by what the user said last."""
    if end_reason is EndReason.VOICEMAIL:
        return Outcome.VOICEMAIL
    if end_reason is EndReason.TRANSFER_COMPLETE:
        return Outcome.ESCALATED
    user = reading.user
    if status is ConversationStatus.ABANDONED or not user or all(_GREETING_ONLY.match(line.text) for line in user):
        return (
            Outcome.ABANDONED
            if status is not ConversationStatus.COMPLETED or not _is_answered(reading)
            else Outcome.UNRESOLVED
        )
    last = " ".join(line.text for line in user[-2:])
    later = _later_half(reading.agent)
    gave_up = _last_place(_GIVING_UP, user[-3:])
    content = _last_place(_CONTENT, tuple(line for line in user[-3:] if lexical(line.text, reading.language) > 0))
    if is_declined(reading) and content < 0:
        return Outcome.UNRESOLVED
    done = _last_place(_DONE, reading.agent)
    unable = _last_place(_UNABLE, later)
    if (passed_on := _last_place(_ESCALATED, later)) >= 0 and not _is_offer(reading, passed_on):
        return Outcome.ESCALATED
    called = max(_last_place(_CALL_BACK, later), -1)
    if called >= 0 and called >= unable and not _is_offer(reading, called) and gave_up <= called:
        return Outcome.CALLBACK_SCHEDULED
    if gave_up >= 0 and gave_up > content:
        return Outcome.UNRESOLVED
    if content >= 0 and not (unable > done and _REFUSES.search(last)):
        return Outcome.RESOLVED
    if done >= 0 and done >= unable:
        return Outcome.RESOLVED
    if end_reason in {EndReason.ERROR, EndReason.NODE_LOST, EndReason.DISCONNECTED, EndReason.IDLE_TIMEOUT}:
        return Outcome.ABANDONED if len(user) <= 1 else Outcome.UNRESOLVED
    if unable > done or _WANTS_HUMAN.search(last):
        return Outcome.UNRESOLVED
    if _is_answered(reading) and (_THANKS.search(user[-1].text) or _CLOSING.search(reading.lines[-1].text)):
        return Outcome.RESOLVED
    return Outcome.UNRESOLVED


def is_declined(reading: Reading) -> bool:
    """Whether the user wanted nothing of what was offered."""
    return any(_REFUSES.search(line.text) for line in reading.user)


def wants_person(reading: Reading) -> bool:
    """Whether the user asked for a person."""
    return any(_WANTS_HUMAN.search(line.text) for line in reading.user)


def promised_call(reading: Reading) -> bool:
    """Whether the agent said that somebody will call."""
    return any(_CALL_BACK.search(line.text) for line in reading.agent)


def doings(reading: Reading) -> list[str]:
    """The agent's sentences that tell what was done, in order."""
    return [
        sentence for sentence in reading.said(Speaker.AGENT) if _DONE.search(sentence) and not sentence.endswith("?")
    ]


def _is_answered(reading: Reading) -> bool:
    """Whether the agent said more than a greeting and questions after the user first spoke."""
    first = reading.user[0].place if reading.user else len(reading.lines)
    return any(
        not sentence.endswith("?") and len(sentence.split()) >= 5
        for line in reading.agent
        if line.place > first
        for sentence in line.sentences
    )


def _is_offer(reading: Reading, place: int) -> bool:
    """Whether it was only offered, and not taken."""
    line = reading.lines[place]
    if not line.text.endswith("?"):
        return False
    answer = next((other for other in reading.lines[place + 1 :] if other.speaker is Speaker.USER), None)
    return answer is None or re.match(r"^\W*(?:no|nope|nah|not|nein|non)\b", answer.text, re.IGNORECASE) is not None


def _last_place(pattern: re.Pattern[str], lines: tuple[Line, ...]) -> int:
    return max((line.place for line in lines if pattern.search(line.text)), default=-1)


def _later_half(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return lines[len(lines) // 3 :]

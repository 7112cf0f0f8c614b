"""Whether somebody says in a conversation that he wants no more calls. A rule and no model: such a wish is heeded in any case, and what it was
heeded for can be looked up. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import takewhile

from .conversations import Speaker, Turn
from .sessions import Channel, SessionPlan

_END = (
    r"(?=$| (?:please|again|any ?more|now|ever|immediately|right|so|this|today|or|and|i|you|it|thanks?|ok|okay|because|every|all|already|at|from"
    r"|with|for|on my|on this)\b)"
)
"""What may come after "stop calling me", where a name makes it another wish."""
_TELEPHONE = r"(?:(?:phone|telephone|mobile|cell|home|house|work|own) )?"
_LATER = r"(?! (?:tomorrow|today|tonight|until|till|before|unless)\b)"
_ENGLISH = (
    rf"\b(?:stop|quit|cease) (?:\w+ing )?(?:calling|phoning|ringing) (?:me|us|here|this (?:number|phone|house|line)|my (?:\w+ )?(?:number|phone|house|home)){_END}",
    r"\b(?:do not|don't|never) (?:ever )?(?:call|phone|ring|contact) (?:me|us|here|this number|my (?:\w+ )?(?:number|phone)) (?:ever )?(?:again|any ?more|ever)\b"
    + _LATER,
    rf"\b(?:take|remove|delete|get|strike|drop) (?:me|us|(?:my|our|this|the) {_TELEPHONE}number) (?:off|from|out of)(?: of)? (?:your|the|this|that|any|all|every)\b.{{0,20}}?\b(?:lists?|databases?|systems?|records|files)\b",
    r"\b(?:get|like to be|want to be|be taken|be removed|come) (?:off|from)(?: of)? (?:your|the|this) (?:\w+ ){0,2}(?:lists?|database)\b",
    r"\b(?:put|add|place) (?:me|us|(?:my|our|this) (?:\w+ )?number) (?:on|to) (?:your|the) (?:\w+ )?(?:do not call|don't call|no call|dnc)\b",
    r"\b(?:do not|don't) want (?:(?:any|to get|to receive|to have) )*(?:more |any more )(?:\w+ ){0,2}?calls\b(?! (?:dropp|lost|missed|to drop))",
    r"\b(?:do not|don't) want (?:(?:you|anyone|anybody) to (?:call|phone)(?: me| us| here)?|to be (?:called|phoned)) (?:again|any ?more|ever)\b"
    + _LATER,
    r"^(?:please )?no more (?:phone )?calls(?: please| from you| to (?:me|us|this number))?$",
    rf"(?:^|\b(?:please|just|now|so|then|again|calling|can you|could you|you to|you can) )(?:lose|forget|delete|erase) (?:my|this|our) {_TELEPHONE}number\b",
)
_OTHERS = (
    r"\brufen sie (?:mich|uns|hier)? ?(?:bitte )?(?:hier )?(?:nie|nicht)(?: wieder| mehr)+ an\b|\bruf (?:mich|uns) (?:bitte )?(?:nie|nicht) (?:wieder|mehr) an\b",
    r"\b(?:nehmen|streichen|loschen|entfernen) sie (?:bitte )?(?:mich|uns|(?:meine|unsere|diese) (?:\w*nummer)) (?:bitte )?(?:aus|von) (?:ihrer|der|allen) \w*(?:liste|listen|datenbank|kartei)\b",
    r"\b(?:mochte|will|mochten|wollen) (?:\w+ )?(?:nicht mehr angerufen werden|keine (?:weiteren )?anrufe mehr)\b|\bhoren sie (?:bitte )?auf (?:mich|uns|hier) anzurufen\b",
    r"\bno (?:me|nos) (?:llamen?|llames|vuelvan? a llamar|vuelvas a llamar)(?: por favor)?(?: mas| nunca| otra vez| de nuevo)\b|\bno (?:me|nos) vuelva[ns]? a llamar\b",
    r"\b(?:quite|borre|elimine|saque)n?(?:me|nos)? (?:(?:mi|nuestro|este) (?:numero|telefono) )?de (?:su|la|esa|sus) (?:lista|listas|base)\b|\bdejen? de llamar(?:me|nos)\b",
    r"\bne (?:m'appelez|nous appelez|me rappelez|nous rappelez|me telephonez|m'appelle) (?:plus|jamais)\b|\b(?:arretez|cessez|arrete) de (?:m'appeler|nous appeler|me telephoner)\b",
    r"\b(?:retirez|enlevez|supprimez|rayez|effacez) (?:moi|nous|(?:mon|notre|ce) numero) de (?:votre|vos|la|cette) (?:listes?|fichiers?|base)\b",
    r"\bnon (?:mi|ci) (?:chiami|chiamate|chiamare|richiami|richiamate) (?:mai )?piu\b|\bsmett(?:a|ete|etela|ila) di chiamar(?:mi|ci)\b",
    r"\b(?:mi tolga|toglietemi|mi cancelli|cancellatemi|(?:tolga|togliete|cancelli|cancellate) (?:il mio|questo) numero) dall[ae] (?:vostr[ae] |su[ae] )?(?:list[ae]|elenco)\b",
    r"\bnao (?:me|nos) (?:ligue|liguem|telefone|telefonem) (?:nunca )?mais\b|\bparem? de (?:me |nos )?ligar\b",
    r"\b(?:tire|remova|retire|apague)m?(?: me| nos)? (?:(?:o )?(?:meu|este) numero )?d[ae] (?:sua|vossa|suas) listas?\b",
    r"\bbelt? (?:u )?(?:mij|me|ons) (?:alstublieft )?(?:nooit|niet) meer\b|\bstopt? (?:u )?(?:alstublieft )?met (?:mij |me |ons )?(?:te )?bellen\b|\bniet meer gebeld worden\b",
    r"\bhaalt? (?:u )?(?:mij|me|ons|(?:mijn|dit) nummer) (?:alstublieft )?(?:van|uit) (?:de|uw|je|jullie) \w*(?:lijst|bestand)\b",
)
_SAYS_SO = re.compile("|".join(f"(?:{pattern})" for pattern in (*_ENGLISH, *_OTHERS)))
_OF_OTHERS = re.compile(
    r"\b(?:he|she|they|him|her|them|ex|husband|wife|neighbou?r|landlord|someone|somebody)\b(?: [\w']+){0,3} ?$"
)
"""Right before it: somebody tells of somebody else."""
_ASKS = re.compile(r"\bwhy (?:did|do|have)\b(?: [\w']+){0,2} ?$")
_UNLESS = re.compile(r"\b(?:if|unless|in case) (?:you|they|nobody|no one)(?: \w+)? ?$")
"""Right before it: somebody would like to be called, or asks why he was not."""
_OTHER_LISTS = re.compile(
    r"\b(?:wait|waiting|wait ?list|guest|standby|stand by|mail|mailing|e ?mail|newsletter|passenger|shopping|wish|class|order|price)\b"
    r"|\b(?:warte|gaste|einkaufs|teilnehmer|wacht|gasten)(?:liste|lijst)|\b(?:espera|correo|invitados|attente|invites|attesa|invitati|convidados)\b"
)
_UNLISTS = re.compile(r"\b(?:take|remove|delete|get|strike|drop|lose|forget|erase) .*\bnumber\b")
_NEW_NUMBER = re.compile(r"\bnew (?:one|number)\b|\binstead\b|\bupdate\b|\breplace\b")
"""A list of something else than calls, and a number that is only to be another one."""


_TURNS_OF_A_WISH = 3


def declines_calls(text: str) -> bool:
    """Whether these words ask for no more calls."""
    words = _plain(text)
    return any(_is_meant(words, found) for found in _SAYS_SO.finditer(words))


def _is_meant(words: str, found: re.Match[str]) -> bool:
    before, said, after = words[: found.start()], found[0], words[found.end() :][:40]
    if _OF_OTHERS.search(before) or _ASKS.search(before):
        return False
    if said.startswith(("do not", "don't", "never")) and _UNLESS.search(before):
        return False
    if _OTHER_LISTS.search(said) or re.match(
        r" de (?:espera|correo|invitados|convidados)| d'attente| d'attesa| des? invites", after
    ):
        return False
    return _UNLISTS.search(said) is None or _NEW_NUMBER.search(after) is None


def is_declined(plan: SessionPlan, turns: Sequence[Turn]) -> bool:
    """Whether the last turn of a call asks that the number of whoever speaks is called no more, with those just before that the agent has said
    nothing to: people pause in the middle of a wish."""
    if plan.channel is not Channel.PHONE or not plan.caller.phone_number:
        return False
    said = list(takewhile(lambda turn: turn.speaker is Speaker.USER, reversed(turns)))[:_TURNS_OF_A_WISH]
    return declines_calls(" ".join(turn.text for turn in reversed(said)))


def _plain(text: str) -> str:
    folded = "".join(sign for sign in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(sign))
    return " ".join(re.findall(r"[\w']+", folded.replace("’", "'")))

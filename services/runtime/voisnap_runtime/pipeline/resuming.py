"""How a call goes on after a gap: what is put on record, what is answered, what is said. Pure."""

import msgspec
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.resumption import Resumption

from .prompt import Script
from .sentences import unfinished_sentence


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """`agent` goes on record; `user` is taken up as the caller's open turn. `words`: what is to be answered. `preface`: said
    before the answer; `says`: said instead of one. `asked`: the agent's last words, which may have asked for something."""

    agent: Turn | None = None
    user: Turn | None = None
    words: str = ""
    preface: str = ""
    says: str = ""
    asked: str = ""


def restart_of(resumption: Resumption, script: Script, *, greets: bool) -> Restart:
    """How to go on. `greets`: the agent opens the conversation, if nothing was said yet."""
    was, turns, phrases = resumption.snapshot, resumption.turns, script.phrases
    last = turns[-1].sequence if turns else 0
    agent = was.agent if was.agent is not None and was.agent.sequence > last and was.agent.text else None
    user = was.user if was.user is not None and was.user.sequence > last and was.user.text else None
    said = [turn.text for turn in (*turns, agent) if turn is not None and turn.speaker is Speaker.AGENT]
    kept = Restart(agent=agent, user=user, asked=said[-1] if said else "")
    if user is not None and not user.interrupted:
        return _changed(kept, words=user.text, preface="" if resumption.seamless else phrases.cut_off)
    if resumption.seamless:
        return kept
    if user is not None:
        return _changed(kept, says=f"{phrases.cut_off} {phrases.say_again}")
    if not turns and agent is None:
        return _changed(kept, says=script.opening if greets else f"{phrases.cut_off} {phrases.go_on}")
    heard_out = was.agent is not None and agent is None
    if was.rest and not was.unwritten and not heard_out:
        again = said_again(agent.text if agent is not None else "", was.rest)
        return _changed(kept, says=f"{phrases.cut_off} {again.removeprefix(phrases.cut_off).strip()}")
    if (agent is None or was.unwritten) and turns and turns[-1].speaker is Speaker.USER:
        return _changed(kept, words=turns[-1].text, preface=phrases.cut_off)
    if was.ending is not None:
        return kept
    return _changed(kept, says=f"{phrases.cut_off} {phrases.go_on}")


def said_again(heard: str, rest: str) -> str:
    """The sentence that was cut, from its start, and all after it."""
    return f"{unfinished_sentence(heard)} {rest}".strip()


def _changed(restart: Restart, **changes: str) -> Restart:
    return msgspec.structs.replace(restart, **changes)

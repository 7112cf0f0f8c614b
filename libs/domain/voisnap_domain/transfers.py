"""Handing a telephone call over to somebody: one pure state machine, and what a spoken answer to such an offer means.

    cold   announcing ──said──▶ handing over ──done──▶ over             refused by the carrier ▶ back
    warm   announcing ──said──▶ ringing ──answered──▶ asking ──accepted──▶ joining ──done──▶ over
                                   │ busy, nobody there    │ refused, a machine,    │ failed
                                   ▼                       ▼ hung up, undecided     ▼
                                  back with the agent ◀────┴────────────────────────┘

Times are seconds of one clock, given by the caller of `step`: no clock here. `deadline` says when `step` wants a `TimePassed` next. Whoever
drives the machine carries out the commands in order and tells what came of them.
"""

import re
from enum import StrEnum
from typing import Any, assert_never

import msgspec

from .calls import CallPhase, TransferAcceptance, TransferMode, TransferStage
from .turntaking.words import words_of

ANNOUNCE_SECONDS = 12.0
"""For the agent's sentence; a caller who talks over it is put through all the same."""
DIAL_SECONDS = 20.0
"""For the carrier to take the order to dial, beyond the time it may ring."""
ASK_SECONDS = 75.0
"""For whoever answered to hear what it is about and to decide."""
COMMAND_SECONDS = 40.0
"""For the carrier to hand over or to join: tried twice, fifteen seconds each."""
MIN_RING_SECONDS, MAX_RING_SECONDS = 5, 120
MAX_SUMMARY = 600
"""Characters of what somebody is told about a call."""


class TransferOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as somebody wants it. `to` is a number in E.164 or a SIP address, `name` what the caller is told, `requested_by` is `agent` or
    `api`. `summary` is what whoever takes over is told first; None leaves it to the agent."""

    transfer_id: str
    to: str
    name: str
    mode: TransferMode
    requested_by: str
    acceptance: TransferAcceptance = TransferAcceptance.CONFIRM
    ring_seconds: int = 30
    reason: str = ""
    summary: str | None = None


class Step(StrEnum):
    """Where a transfer stands."""

    ANNOUNCING = "announcing"
    HANDING_OVER = "handing_over"
    RINGING = "ringing"
    ASKING = "asking"
    JOINING = "joining"
    OVER = "over"
    """The caller is with somebody else."""
    BACK = "back"
    """The caller is with the agent."""
    DROPPED = "dropped"
    """The caller is gone."""


ENDS = frozenset({Step.OVER, Step.BACK, Step.DROPPED})


class Why(StrEnum):
    """Why a transfer came to nothing."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    MACHINE = "machine"
    UNDECIDED = "undecided"
    FAILED = "failed"
    CANCELED = "canceled"
    """The caller wants to stay with the agent."""
    CALLER_HUNG_UP = "caller_hung_up"
    LOST = "lost"
    """The process that carried it out died."""


# What happens


class Said(msgspec.Struct, frozen=True):
    """The caller has heard that he is put through."""

    at: float


class Dialled(msgspec.Struct, frozen=True):
    """The carrier dials; this is the call."""

    at: float
    call_id: str


class RingsThere(msgspec.Struct, frozen=True):
    """The telephone rings at the other side."""

    at: float


class Answered(msgspec.Struct, frozen=True):
    """Somebody, or something, is on the line and hears us."""

    at: float


class Accepted(msgspec.Struct, frozen=True):
    """He takes the call."""

    at: float


class Declined(msgspec.Struct, frozen=True):
    """He does not, or there is nobody who could: `why`."""

    at: float
    why: Why


class OtherSideEnded(msgspec.Struct, frozen=True):
    """The other side's call is over, as the carrier says."""

    at: float
    phase: CallPhase


class Done(msgspec.Struct, frozen=True):
    """The carrier has handed over, or joined."""

    at: float


class Failed(msgspec.Struct, frozen=True):
    """The carrier does not do what it was asked for last."""

    at: float


class CallerGone(msgspec.Struct, frozen=True):
    """The caller's call is over."""

    at: float


class CalledOff(msgspec.Struct, frozen=True):
    """The session goes on elsewhere, without this transfer."""

    at: float


class TimePassed(msgspec.Struct, frozen=True):
    """Nothing else happened until now."""

    at: float


Happened = (
    Said
    | Dialled
    | RingsThere
    | Answered
    | Accepted
    | Declined
    | OtherSideEnded
    | Done
    | Failed
    | CallerGone
    | CalledOff
    | TimePassed
)


# What is to be done


class HandOver(msgspec.Struct, frozen=True):
    """Have the carrier hand the call over (`CallControl.transfer`)."""


class DialOtherSide(msgspec.Struct, frozen=True):
    """Dial whoever shall take the call, to a media socket of ours, and keep the caller company meanwhile."""


class Join(msgspec.Struct, frozen=True):
    """Have the carrier join both calls (`CallControl.bridge`)."""

    call_id: str


class HangUpOtherSide(msgspec.Struct, frozen=True):
    """End the other side's call."""

    call_id: str


class ComeBack(msgspec.Struct, frozen=True):
    """Tell the caller that it came to nothing; the agent goes on."""

    why: Why


class Leave(msgspec.Struct, frozen=True):
    """The session is over: the caller is with somebody else."""


class Tell(msgspec.Struct, frozen=True):
    """Let others know."""

    stage: TransferStage
    cause: str = ""


Command = HandOver | DialOtherSide | Join | HangUpOtherSide | ComeBack | Leave | Tell


class TransferState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the machine knows. `since`: when this step began. `call_id`: of the other side, once it is known."""

    step: Step = Step.ANNOUNCING
    since: float = 0.0
    call_id: str = ""
    rings: bool = False


class Result(msgspec.Struct, frozen=True):
    """What an input leads to."""

    state: TransferState
    commands: tuple[Command, ...] = ()


def begin(order: TransferOrder, at: float) -> Result:
    """A transfer that the caller is being told of."""
    del order
    return Result(TransferState(since=at), (Tell(TransferStage.INITIATED),))


def deadline(order: TransferOrder, state: TransferState) -> float | None:
    """When `step` wants to be told that time passed; None after the end."""
    match state.step:
        case Step.ANNOUNCING:
            return state.since + ANNOUNCE_SECONDS
        case Step.RINGING:
            return state.since + order.ring_seconds + DIAL_SECONDS
        case Step.ASKING:
            return state.since + ASK_SECONDS
        case Step.HANDING_OVER | Step.JOINING:
            return state.since + COMMAND_SECONDS
        case Step.OVER | Step.BACK | Step.DROPPED:
            return None
        case _:
            assert_never(state.step)


def step(order: TransferOrder, state: TransferState, happened: Happened) -> Result:
    """The state after `happened`, and what is to be done, in order. After the end only a call that was dialled too late is hung up."""
    if state.step in ENDS:
        if isinstance(happened, Dialled):
            return Result(state, (HangUpOtherSide(happened.call_id),))
        return Result(state)
    match happened:
        case Said():
            return _said(order, state, happened.at)
        case Dialled():
            return _dialled(state, happened)
        case RingsThere():
            return _rings(state)
        case Answered():
            return _answered(state, happened.at)
        case Accepted():
            return _accepted(state, happened.at)
        case Declined():
            return _back(state, happened.why) if state.step in {Step.RINGING, Step.ASKING} else Result(state)
        case OtherSideEnded():
            return _other_side_ended(state, happened.phase)
        case Done():
            return _done(state)
        case Failed():
            return _back(state, Why.FAILED)
        case CallerGone():
            return _dropped(state, Why.CALLER_HUNG_UP)
        case CalledOff():
            return _dropped(state, Why.LOST)
        case TimePassed():
            return _time(order, state, happened.at)
        case _:
            assert_never(happened)


def _said(order: TransferOrder, state: TransferState, at: float) -> Result:
    if state.step is not Step.ANNOUNCING:
        return Result(state)
    if order.mode is TransferMode.COLD:
        return Result(_moved(state, Step.HANDING_OVER, at), (HandOver(),))
    return Result(_moved(state, Step.RINGING, at), (DialOtherSide(),))


def _dialled(state: TransferState, dialled: Dialled) -> Result:
    state = _changed(state, call_id=dialled.call_id)
    return Result(state, (Join(dialled.call_id),)) if state.step is Step.JOINING else Result(state)


def _rings(state: TransferState) -> Result:
    if state.step is not Step.RINGING or state.rings:
        return Result(state)
    return Result(_changed(state, rings=True), (Tell(TransferStage.RINGING),))


def _answered(state: TransferState, at: float) -> Result:
    if state.step is not Step.RINGING:
        return Result(state)
    return Result(_moved(state, Step.ASKING, at), (Tell(TransferStage.ANSWERED),))


def _accepted(state: TransferState, at: float) -> Result:
    """His call may be heard of later than his word: then it is joined when it is."""
    if state.step not in {Step.RINGING, Step.ASKING}:
        return Result(state)
    joins = (Join(state.call_id),) if state.call_id else ()
    return Result(_moved(state, Step.JOINING, at), (Tell(TransferStage.ACCEPTED), *joins))


def _other_side_ended(state: TransferState, phase: CallPhase) -> Result:
    if state.step not in {Step.RINGING, Step.ASKING}:
        return Result(state)  # of calls being joined the carrier's own answer counts
    if state.step is Step.ASKING:
        return _back(_changed(state, call_id=""), Why.REFUSED)
    causes = {CallPhase.BUSY: Why.BUSY, CallPhase.NO_ANSWER: Why.NO_ANSWER, CallPhase.COMPLETED: Why.REFUSED}
    return _back(_changed(state, call_id=""), causes.get(phase, Why.FAILED))


def _done(state: TransferState) -> Result:
    if state.step not in {Step.HANDING_OVER, Step.JOINING}:
        return Result(state)
    return Result(_changed(state, step=Step.OVER), (Tell(TransferStage.COMPLETED), Leave()))


def _back(state: TransferState, why: Why) -> Result:
    hang_up = (HangUpOtherSide(state.call_id),) if state.call_id else ()
    told = Tell(TransferStage.RETURNED, why.value)
    return Result(_changed(state, step=Step.BACK), (*hang_up, told, ComeBack(why)))


def _dropped(state: TransferState, why: Why) -> Result:
    """While the carrier hands over or joins, losing the caller's sound is what success looks like: its answer counts then."""
    if state.step in {Step.HANDING_OVER, Step.JOINING}:
        return Result(state)
    hang_up = (HangUpOtherSide(state.call_id),) if state.call_id else ()
    return Result(_changed(state, step=Step.DROPPED), (*hang_up, Tell(TransferStage.FAILED, why.value)))


def _time(order: TransferOrder, state: TransferState, at: float) -> Result:
    due = deadline(order, state)
    if due is None or at < due:
        return Result(state)
    match state.step:
        case Step.ANNOUNCING:
            return _said(order, state, at)
        case Step.RINGING:
            return _back(state, Why.NO_ANSWER)
        case Step.ASKING:
            return _back(state, Why.UNDECIDED)
        case _:
            return _back(state, Why.FAILED)


def _moved(state: TransferState, to: Step, at: float) -> TransferState:
    return _changed(state, step=to, since=at)


def _changed(state: TransferState, **changes: Any) -> TransferState:
    return msgspec.structs.replace(state, **changes)


# What somebody means who is offered a call

ACCEPT_KEY, DECLINE_KEY = "1", "2"

_YES = {
    "en": "yes yeah yep yup sure okay ok alright absolutely definitely connect accept",
    "es": "sí si claro vale bueno dale acepto páselo pásemelo adelante",
    "fr": "oui ouais accord bien volontiers passez accepte",
    "de": "ja jawohl jo gern gerne okay ok klar sicher annehmen durchstellen",
    "pt": "sim claro certo pode aceito ok tá",
    "it": "sì si certo bene okay ok accetto passi passamelo",
    "nl": "ja jawel oké okay ok prima goed graag zeker",
}
_NO = {
    "en": "no nope nah not don't can't cannot busy later decline refuse",
    "es": "no ocupado ocupada rechazo luego después",
    "fr": "non pas occupé occupée refuse",
    "de": "nein nee nicht kein keine später ablehnen",
    "pt": "não nao ocupado ocupada recuso depois",
    "it": "no non occupato occupata rifiuto dopo",
    "nl": "nee niet geen bezig later weigeren",
}
_NO_TROUBLE = re.compile(
    r"\b(?:no (?:hay )?problema?|why not|pas de probl[eè]me|kein problem|warum nicht|sem problemas?|nessun problema|geen probleem)\b",
    re.IGNORECASE,
)
"""What has a no in it and is a yes."""


def takes_call(words: str, language: str) -> bool | None:
    """Whether somebody who was offered a call takes it, by what he says or the keys he pressed; None when that leaves it open. A no beside
    a yes is a no: nobody is to be given a call he does not want."""
    keys = "".join(words.split())
    if keys and not keys.strip("0123456789*#"):
        return {ACCEPT_KEY: True, DECLINE_KEY: False}.get(keys)
    base = language.lower().replace("_", "-").partition("-")[0]
    said = set(words_of(_NO_TROUBLE.sub("ok", words)))
    if said & set(_NO.get(base, _NO["en"]).split()):
        return False
    return True if said & {*_YES.get(base, "").split(), *_YES["en"].split()} else None

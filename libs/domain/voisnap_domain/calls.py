"""Telephone calls as every service talks of them: what becomes of one, who answered it, and over which carrier it runs."""

from enum import StrEnum

import msgspec


class CallPhase(StrEnum):
    """What becomes of a call. The last five are ends."""

    INITIATED = "initiated"
    RINGING = "ringing"
    ANSWERED = "answered"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"


class AnsweredBy(StrEnum):
    """Who answered, as the carrier judges it."""

    HUMAN = "human"
    MACHINE = "machine"
    MACHINE_BEEP = "machine_beep"
    """The greeting is over: a message may be left now."""
    FAX = "fax"
    UNKNOWN = "unknown"


class TransferMode(StrEnum):
    """`COLD`: the call is handed over at once. `WARM`: somebody answers, is told what it is about, and only then gets the caller."""

    COLD = "cold"
    WARM = "warm"


class TransferAcceptance(StrEnum):
    """How somebody takes a call that he is offered: by key or a spoken yes, or by staying on the line."""

    CONFIRM = "confirm"
    STAY = "stay"


class TransferStage(StrEnum):
    """What becomes of a transfer. The last three are ends: the caller was handed over, is with the agent again, or is gone."""

    INITIATED = "initiated"
    RINGING = "ringing"
    ANSWERED = "answered"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    RETURNED = "returned"
    FAILED = "failed"


class CarrierLeg(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier's side of a session. `account` names whose access to the carrier is used (`platform`, `simulator`, or a credential of the
    tenant); `number` is ours, in E.164. `call_id` is known beforehand of calls that came in, `attempt_id` of those that we dial."""

    provider: str
    account: str
    number: str
    call_id: str = ""
    attempt_id: str | None = None


class CallNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a telephone call whichever process holds it: the carrier's id of it, and who answered, as the carrier judges it."""

    call_id: str | None = None
    answered_by: AnsweredBy | None = None

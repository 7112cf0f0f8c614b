"""The course of a transfer, whatever happens in whichever order."""

import itertools
import random

import pytest
from voisnap_domain.calls import CallPhase, TransferMode, TransferStage
from voisnap_domain.transfers import (
    ANNOUNCE_SECONDS,
    ASK_SECONDS,
    COMMAND_SECONDS,
    DIAL_SECONDS,
    ENDS,
    Accepted,
    Answered,
    CalledOff,
    CallerGone,
    ComeBack,
    Command,
    Declined,
    Dialled,
    DialOtherSide,
    Done,
    Failed,
    HandOver,
    HangUpOtherSide,
    Happened,
    Join,
    Leave,
    OtherSideEnded,
    RingsThere,
    Said,
    Step,
    Tell,
    TimePassed,
    TransferOrder,
    TransferState,
    Why,
    begin,
    deadline,
    step,
    takes_call,
)

pytestmark = pytest.mark.unit

COLD = TransferOrder(
    transfer_id="xfer_1", to="+14155550123", name="Sales", mode=TransferMode.COLD, requested_by="agent"
)
WARM = TransferOrder(
    transfer_id="xfer_1", to="sip:desk@pbx.example", name="Sales", mode=TransferMode.WARM, requested_by="api"
)
INITIATED, RINGING, ANSWERED = (
    Tell(TransferStage.INITIATED),
    Tell(TransferStage.RINGING),
    Tell(TransferStage.ANSWERED),
)
ACCEPTED, COMPLETED = Tell(TransferStage.ACCEPTED), Tell(TransferStage.COMPLETED)


def told(order: TransferOrder, *happened: Happened) -> tuple[TransferState, list[Command]]:
    result = begin(order, 0.0)
    commands = list(result.commands)
    for one in happened:
        result = step(order, result.state, one)
        commands += result.commands
    return result.state, commands


def returned(why: Why, *, hung_up: str = "") -> list[Command]:
    hang_up: list[Command] = [HangUpOtherSide(hung_up)] if hung_up else []
    return [*hang_up, Tell(TransferStage.RETURNED, why.value), ComeBack(why)]


RINGS = (Said(1.0), Dialled(1.1, "leg"), RingsThere(2.0))
ASKED = (*RINGS, Answered(5.0))
UNTIL_RINGING = [INITIATED, DialOtherSide(), RINGING]

CASES: dict[str, tuple[TransferOrder, tuple[Happened, ...], Step, list[Command]]] = {
    "cold": (COLD, (Said(1.0), Done(2.0)), Step.OVER, [INITIATED, HandOver(), COMPLETED, Leave()]),
    "cold, and nobody says when the words were heard": (
        COLD,
        (TimePassed(ANNOUNCE_SECONDS), Done(13.0)),
        Step.OVER,
        [INITIATED, HandOver(), COMPLETED, Leave()],
    ),
    "cold, the carrier refuses": (
        COLD,
        (Said(1.0), Failed(2.0)),
        Step.BACK,
        [INITIATED, HandOver(), *returned(Why.FAILED)],
    ),
    "cold, the carrier never answers": (
        COLD,
        (Said(1.0), TimePassed(1.0 + COMMAND_SECONDS)),
        Step.BACK,
        [INITIATED, HandOver(), *returned(Why.FAILED)],
    ),
    "cold, the stream ends before the carrier's answer comes": (
        COLD,
        (Said(1.0), CallerGone(1.5), Done(2.0)),
        Step.OVER,
        [INITIATED, HandOver(), COMPLETED, Leave()],
    ),
    "hung up during the announcement": (
        COLD,
        (CallerGone(0.5), Said(1.0)),
        Step.DROPPED,
        [INITIATED, Tell(TransferStage.FAILED, "caller_hung_up")],
    ),
    "warm": (
        WARM,
        (*ASKED, Accepted(9.0), Done(9.5)),
        Step.OVER,
        [*UNTIL_RINGING, ANSWERED, ACCEPTED, Join("leg"), COMPLETED, Leave()],
    ),
    "warm, taken before the carrier has named the call": (
        WARM,
        (Said(1.0), Answered(2.0), Accepted(3.0), Dialled(3.5, "leg"), Done(4.0)),
        Step.OVER,
        [INITIATED, DialOtherSide(), ANSWERED, ACCEPTED, Join("leg"), COMPLETED, Leave()],
    ),
    "warm, busy": (
        WARM,
        (*RINGS, OtherSideEnded(3.0, CallPhase.BUSY)),
        Step.BACK,
        [*UNTIL_RINGING, *returned(Why.BUSY)],
    ),
    "warm, nobody answers": (
        WARM,
        (*RINGS, OtherSideEnded(31.0, CallPhase.NO_ANSWER)),
        Step.BACK,
        [*UNTIL_RINGING, *returned(Why.NO_ANSWER)],
    ),
    "warm, nobody says that nobody answers": (
        WARM,
        (*RINGS, TimePassed(1.0 + 30 + DIAL_SECONDS)),
        Step.BACK,
        [*UNTIL_RINGING, *returned(Why.NO_ANSWER, hung_up="leg")],
    ),
    "warm, the carrier does not dial": (
        WARM,
        (Said(1.0), Failed(1.2)),
        Step.BACK,
        [INITIATED, DialOtherSide(), *returned(Why.FAILED)],
    ),
    "warm, a machine": (
        WARM,
        (*ASKED, Declined(8.0, Why.MACHINE)),
        Step.BACK,
        [*UNTIL_RINGING, ANSWERED, *returned(Why.MACHINE, hung_up="leg")],
    ),
    "warm, refused": (
        WARM,
        (*ASKED, Declined(8.0, Why.REFUSED), OtherSideEnded(8.1, CallPhase.COMPLETED)),
        Step.BACK,
        [*UNTIL_RINGING, ANSWERED, *returned(Why.REFUSED, hung_up="leg")],
    ),
    "warm, hung up without a word": (
        WARM,
        (*ASKED, OtherSideEnded(8.0, CallPhase.COMPLETED)),
        Step.BACK,
        [*UNTIL_RINGING, ANSWERED, *returned(Why.REFUSED)],
    ),
    "warm, undecided for too long": (
        WARM,
        (*ASKED, TimePassed(5.0 + ASK_SECONDS)),
        Step.BACK,
        [*UNTIL_RINGING, ANSWERED, *returned(Why.UNDECIDED, hung_up="leg")],
    ),
    "warm, not joined": (
        WARM,
        (*ASKED, Accepted(9.0), Failed(9.5)),
        Step.BACK,
        [*UNTIL_RINGING, ANSWERED, ACCEPTED, Join("leg"), *returned(Why.FAILED, hung_up="leg")],
    ),
    "warm, the caller hangs up while it rings": (
        WARM,
        (*RINGS, CallerGone(4.0)),
        Step.DROPPED,
        [*UNTIL_RINGING, HangUpOtherSide("leg"), Tell(TransferStage.FAILED, "caller_hung_up")],
    ),
    "warm, the caller hangs up before the carrier has named the call": (
        WARM,
        (Said(1.0), CallerGone(1.1), Dialled(1.2, "leg")),
        Step.DROPPED,
        [INITIATED, DialOtherSide(), Tell(TransferStage.FAILED, "caller_hung_up"), HangUpOtherSide("leg")],
    ),
    "warm, the streams end while the calls are joined": (
        WARM,
        (*ASKED, Accepted(9.0), CallerGone(9.1), OtherSideEnded(9.2, CallPhase.COMPLETED), Done(9.5)),
        Step.OVER,
        [*UNTIL_RINGING, ANSWERED, ACCEPTED, Join("leg"), COMPLETED, Leave()],
    ),
    "warm, the process has to go": (
        WARM,
        (*RINGS, CalledOff(4.0)),
        Step.DROPPED,
        [*UNTIL_RINGING, HangUpOtherSide("leg"), Tell(TransferStage.FAILED, "lost")],
    ),
    "warm, everything comes twice": (
        WARM,
        (*(one for one in (*ASKED, Accepted(9.0), Done(9.5)) for _ in range(2)),),
        Step.OVER,
        [
            *UNTIL_RINGING,
            ANSWERED,
            ACCEPTED,
            Join("leg"),
            COMPLETED,
            Leave(),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_transfer_takes_its_course(case: str) -> None:
    order, happened, ends, commands = CASES[case]
    state, done = told(order, *happened)
    assert state.step is ends
    assert done == commands


def test_a_transfer_ends_once_whatever_happens_and_leaves_no_call_behind() -> None:
    rng = random.Random(7)  # noqa: S311 - a table of cases
    for _ in range(3000):
        order = rng.choice((COLD, WARM))
        result = begin(order, 0.0)
        commands, at, known = list(result.commands), 0.0, ""
        while (due := deadline(order, result.state)) is not None:
            at += rng.uniform(0.0, 20.0)
            one: Happened = rng.choice(
                (
                    Said(at),
                    Dialled(at, "leg"),
                    RingsThere(at),
                    Answered(at),
                    Accepted(at),
                    Declined(at, Why.REFUSED),
                    Done(at),
                    TimePassed(max(at, due) if rng.random() < 0.3 else at),
                    *((Failed(at), CallerGone(at), CalledOff(at)) if rng.random() < 0.3 else ()),
                )
            )
            known = "leg" if isinstance(one, Dialled) else known
            result = step(order, result.state, one)
            commands += result.commands
        assert result.state.step in ENDS
        ends = [one for one in commands if isinstance(one, Leave | ComeBack)]
        assert len(ends) == (result.state.step is not Step.DROPPED)
        if known and result.state.step is not Step.OVER:
            assert HangUpOtherSide("leg") in commands
        stages = [one.stage for one in commands if isinstance(one, Tell)]
        assert len(set(stages)) == len(stages)


@pytest.mark.parametrize(
    ("said", "language", "takes"),
    [
        ("1", "en-US", True),
        ("2", "en-US", False),
        ("1 2", "en-US", None),
        ("7", "de", None),
        ("Yes, put them through.", "en-US", True),
        ("Yeah, sure", "en", True),
        ("No, I can't right now", "en-GB", False),
        ("yes, but not now", "en", False),
        ("No problem!", "en", True),
        ("Why not.", "en", True),
        ("Who is this?", "en", None),
        ("", "en", None),
        ("Ja, gern", "de-DE", True),
        ("Nein, später bitte", "de", False),
        ("Kein Problem", "de", True),
        ("Sí, claro", "es-MX", True),
        ("Oui, passez-le-moi", "fr", True),
        ("Non merci", "fr-CA", False),
        ("okay", "ja", True),
    ],
)
def test_what_is_said_to_an_offer_is_understood(said: str, language: str, takes: bool | None) -> None:
    assert takes_call(said, language) is takes
    assert takes_call(said.upper(), language) is takes


def test_nothing_is_due_after_the_end() -> None:
    for ends, order in itertools.product(ENDS, (COLD, WARM)):
        assert deadline(order, TransferState(step=ends)) is None

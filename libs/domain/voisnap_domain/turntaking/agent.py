"""What became of the agent's words."""

from voisnap_domain.sessions import EndReason

from .commands import Resume, TurnCommand
from .inputs import AgentFinished, AgentInterrupted
from .moves import ended, joined, turn_over
from .rules import ASIDE_MS, TurnRules
from .slots import expected_answer
from .state import Floor, Saying, Step, TurnState, changed, then
from .words import says_one_of


def started(state: TurnState) -> Step:
    """The caller's turn is on record from here on: what comes later is another one."""
    if not state.reply_due or state.agent_was_heard:
        return Step(state)
    state = changed(state, words="", aside="")
    if state.floor is Floor.HELD:
        return Step(changed(state, before_hold=Floor.SPEAKING))
    return Step(changed(state, floor=Floor.SPEAKING))


def finished(rules: TurnRules, state: TurnState, done: AgentFinished) -> Step:
    """All was played: the caller has the floor, or the call is over."""
    if not state.reply_due:
        return Step(state)
    released: tuple[TurnCommand, ...] = (Resume(),) if state.floor is Floor.HELD else ()
    words = state.words if state.agent_was_heard else ""
    state = changed(state, floor=Floor.LISTENING, reply_due=False, words=words)
    reason = state.ending
    if reason is None and (done.wants_end or says_one_of(done.text, rules.end_phrases)):
        reason = EndReason.AGENT_ENDED
    if reason is not None:
        return ended(state, reason)
    state = _waits_for_answer(rules, state, done.text)
    if state.aside and state.now_ms - state.aside_ms <= ASIDE_MS and not state.words:
        state = joined(state, state.aside)
    return then(Step(changed(state, aside=""), released), lambda state: turn_over(rules, state))


def interrupted(rules: TurnRules, state: TurnState, heard: AgentInterrupted) -> Step:
    """What was asked for is known by what was heard of it."""
    return Step(changed(state, expected=expected_answer(heard.text, rules.language)))


def _waits_for_answer(rules: TurnRules, state: TurnState, text: str) -> TurnState:
    match state.saying:
        case Saying.PROMPT:
            return changed(state, prompted_ms=state.now_ms)
        case Saying.WARNING:
            return state
        case _:
            return changed(
                state, quiet_since_ms=state.now_ms, prompted_ms=None, expected=expected_answer(text, rules.language)
            )

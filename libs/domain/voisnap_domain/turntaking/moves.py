"""Moves that several inputs lead to."""

from voisnap_domain.sessions import EndReason

from .commands import Answer, Cut, DropDraft, End, GoOn, Resume, TurnCommand
from .rules import REPLY_WAIT_MS, TurnRules
from .state import Floor, Saying, Step, TurnState, changed, silence_ms
from .words import says_one_of, words_of


def about_to_say(state: TurnState, saying: Saying) -> TurnState:
    """The agent has something to say."""
    return changed(
        state,
        floor=Floor.THINKING,
        saying=saying,
        reply_due=True,
        reply_due_ms=state.now_ms + REPLY_WAIT_MS,
        cut_blindly=False,
    )


def cut(state: TurnState, *, blindly: bool = False) -> Step:
    """The caller has the floor; what the agent was saying is dropped. `blindly`: on voice alone, without a word."""
    heard = state.agent_was_heard
    freed = changed(
        state,
        floor=Floor.LISTENING,
        reply_due=False,
        cut_blindly=blindly and heard,
        ending=None,
        quiet_since_ms=state.now_ms,
        prompts=0,
        prompted_ms=None,
    )
    return Step(freed, (Cut(heard),))


def resume(state: TurnState) -> Step:
    """It was nothing: the agent goes on."""
    return Step(changed(state, floor=state.before_hold, reply_due_ms=state.now_ms + REPLY_WAIT_MS), (Resume(),))


def ended(state: TurnState, reason: EndReason) -> Step:
    """The conversation is over."""
    return Step(changed(state, floor=Floor.ENDED), (End(reason),))


def joined(state: TurnState, text: str) -> TurnState:
    """The caller's open turn with more words."""
    if not text:
        return state
    words = f"{state.words} {text}".strip()
    return changed(state, words=words, prompts=0, prompted_ms=None, quiet_since_ms=state.now_ms, cut_blindly=False)


def speech_forgotten(state: TurnState) -> TurnState:
    """The recogniser holds no speech any more; what is known of the silence stays."""
    return changed(
        state,
        open_speech=False,
        caller_speaks=False,
        voiced_before_ms=0.0,
        burst_ms=0.0,
        partial="",
        says_something=False,
        prepared=False,
    )


def draft_dropped(state: TurnState) -> Step:
    """A reply that was begun early is of no use any more."""
    if not state.drafted:
        return Step(state)
    return Step(changed(state, drafted=""), (DropDraft(),))


def turn_over(rules: TurnRules, state: TurnState) -> Step:
    """Answer when nothing is missing: no open speech, no final to come, silence long enough, the agent not busy."""
    if state.finals_due or state.reply_due:
        return Step(state)
    state = changed(state, floor=Floor.LISTENING)
    if state.open_speech or state.keys:
        return Step(state)
    if not words_of(state.words):
        return _nothing_said(changed(state, words=""))
    silence = silence_ms(rules, state)
    if state.now_ms < state.silent_since_ms + silence:
        return Step(state)
    return _answered(rules, state, silence)


def _nothing_said(state: TurnState) -> Step:
    commands: tuple[TurnCommand, ...] = (DropDraft(),) if state.drafted else ()
    state = changed(state, drafted="", drafts=0)
    if not state.cut_blindly:
        return Step(state, commands)
    return Step(about_to_say(state, Saying.REPLY), (*commands, GoOn()))


def _answered(rules: TurnRules, state: TurnState, silence: float) -> Step:
    text = state.words
    warns = not state.warned and state.now_ms >= state.start_ms + rules.max_duration_ms - rules.warning_ms
    state = about_to_say(
        changed(state, waited_ms=silence, drafted="", drafts=0, warned=state.warned or warns), Saying.REPLY
    )
    if says_one_of(text, rules.end_phrases):
        state = changed(state, ending=EndReason.USER_ENDED)
    return Step(state, (Answer(text, warns),))

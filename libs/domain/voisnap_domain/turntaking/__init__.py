"""Who may speak: one pure state machine for the turns of a conversation.

    listening ──silence long enough──▶ thinking ──first agent audio──▶ speaking ──playout ended──▶ listening
        ▲                                 │ caller speaks                │ caller speaks
        │                                 ▼                              ▼
        └─────cut: it was an answer────  held  ──resume: a cough, "uh-huh"──▶ where it was before

Barge-in has two phases. Phase 1 holds the agent's sound as soon as some voice is heard; nothing is lost. Phase 2 decides: words, or enough
voice, cut what was being said; a noise or a backchannel lets it go on at the exact sample. Voice that cut without a word and turns out to be
none lets the agent say the rest from the start of the sentence. A caller who goes on while the reply is still in the making is treated alike:
cutting a reply of which nothing was heard leaves no trace, and the caller's texts are joined.

Times are milliseconds of call audio, given by the caller of `step`: no clock here. `deadline` says when `step` wants a `TimePassed` next.
Whoever drives the machine carries out the commands in order and reports what the agent's playout really did.

    inputs, commands    what happens, and what is to be done
    rules, endings      what the configuration says; how much silence ends a turn
    words, slots        what words mean for turns; what the agent has just asked for (slot_words, tabled_slots: in other languages)
    state, moves        what the machine knows, and moves that several inputs lead to
    caller, agent       what the caller does; what became of the agent's words
    machine             `step` and `deadline`
"""

from .commands import (
    Answer,
    ApologiseUnheard,
    Cut,
    Draft,
    DropDraft,
    End,
    FinishTurn,
    ForgetSpeech,
    GoOn,
    JudgeTurn,
    Pause,
    PrepareTranscript,
    Resume,
    SayComfort,
    SayGoodbye,
    SayNotice,
    SayOpening,
    SayResumption,
    SaySilencePrompt,
    SayTimeWarning,
    TurnCommand,
)
from .endings import (
    LIKELY_SILENCE_MS,
    SLOT_SILENCE_MS,
    EndOfTurnPolicy,
    FixedSilence,
    RecogniserSays,
    SoundsOver,
    TurnSoFar,
    end_of_turn_policy,
    silence_to_wait,
)
from .inputs import (
    AgentFinished,
    AgentInterrupted,
    AgentStarted,
    CallerAway,
    CallerBack,
    CallerConnected,
    CallerJoined,
    CallerWaits,
    CallResumed,
    EndOfTurnLikely,
    KeyPressed,
    NoticeDue,
    SpeechContinued,
    SpeechEnded,
    SpeechStarted,
    SpeechWasEcho,
    TimePassed,
    TurnInput,
    VoicemailReached,
    WaitOver,
    WordsFailed,
    WordsHeard,
)
from .machine import deadline, step
from .rules import TurnRules
from .slot_words import Expected, Slot
from .slots import digits_in, expected_answer, is_unfinished
from .state import Floor, Saying, Step, TurnState
from .words import ends_open, has_content, is_backchannel, is_hum, phrase_of, says_one_of, words_of

__all__ = [
    "LIKELY_SILENCE_MS",
    "SLOT_SILENCE_MS",
    "AgentFinished",
    "AgentInterrupted",
    "AgentStarted",
    "Answer",
    "ApologiseUnheard",
    "CallResumed",
    "CallerAway",
    "CallerBack",
    "CallerConnected",
    "CallerJoined",
    "CallerWaits",
    "Cut",
    "Draft",
    "DropDraft",
    "End",
    "EndOfTurnLikely",
    "EndOfTurnPolicy",
    "Expected",
    "FinishTurn",
    "FixedSilence",
    "Floor",
    "ForgetSpeech",
    "GoOn",
    "JudgeTurn",
    "KeyPressed",
    "NoticeDue",
    "Pause",
    "PrepareTranscript",
    "RecogniserSays",
    "Resume",
    "SayComfort",
    "SayGoodbye",
    "SayNotice",
    "SayOpening",
    "SayResumption",
    "SaySilencePrompt",
    "SayTimeWarning",
    "Saying",
    "Slot",
    "SoundsOver",
    "SpeechContinued",
    "SpeechEnded",
    "SpeechStarted",
    "SpeechWasEcho",
    "Step",
    "TimePassed",
    "TurnCommand",
    "TurnInput",
    "TurnRules",
    "TurnSoFar",
    "TurnState",
    "VoicemailReached",
    "WaitOver",
    "WordsFailed",
    "WordsHeard",
    "deadline",
    "digits_in",
    "end_of_turn_policy",
    "ends_open",
    "expected_answer",
    "has_content",
    "is_backchannel",
    "is_hum",
    "is_unfinished",
    "phrase_of",
    "says_one_of",
    "silence_to_wait",
    "step",
    "words_of",
]

"""The turn machine by table, and against a world that does anything in any order."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_domain.agents import AgentConfig, FirstMessageMode, Sensitivity
from voisnap_domain.sessions import EndReason
from voisnap_domain.turntaking import (
    AgentFinished,
    AgentInterrupted,
    AgentStarted,
    Answer,
    ApologiseUnheard,
    CallerAway,
    CallerBack,
    CallerConnected,
    Cut,
    Draft,
    DropDraft,
    End,
    EndOfTurnLikely,
    FinishTurn,
    FixedSilence,
    Floor,
    ForgetSpeech,
    GoOn,
    JudgeTurn,
    KeyPressed,
    Pause,
    PrepareTranscript,
    RecogniserSays,
    Resume,
    SayGoodbye,
    SayOpening,
    SayResumption,
    SaySilencePrompt,
    SayTimeWarning,
    SoundsOver,
    SpeechContinued,
    SpeechEnded,
    SpeechStarted,
    TimePassed,
    TurnCommand,
    TurnInput,
    TurnRules,
    TurnState,
    WordsFailed,
    WordsHeard,
    deadline,
    step,
)

pytestmark = pytest.mark.unit

RULES = TurnRules(end_of_turn=FixedSilence(700.0), speaks_first=False)


def run(rules: TurnRules, *inputs: TurnInput) -> tuple[TurnState, list[TurnCommand]]:
    """The state after all inputs, deadlines in between included, and every command."""
    state, commands = TurnState(), []
    for happened in inputs:
        while (due := deadline(rules, state)) is not None and due < happened.at_ms:
            done = step(rules, state, TimePassed(due))
            state, commands = done.state, [*commands, *done.commands]
        done = step(rules, state, happened)
        state, commands = done.state, [*commands, *done.commands]
    return state, commands


def says(start: float, end: float) -> tuple[TurnInput, ...]:
    """A burst of voice from `start` to `end`, as the ear reports it."""
    voiced = [SpeechStarted(start + 64)]
    at = start + 96
    while at <= end:
        voiced.append(SpeechContinued(at, at - start))
        at += 32
    return (*voiced, SpeechEnded(end + 96, end))


def final(at: float, text: str) -> WordsHeard:
    return WordsHeard(at, text, True, 0.9)


def prepared(at: float, text: str) -> WordsHeard:
    return WordsHeard(at, text, False, 0.9, is_prepared=True)


def partial(at: float, text: str) -> WordsHeard:
    return WordsHeard(at, text, False, 0.9)


BEGIN = CallerConnected(0)
ASKED = (BEGIN, *says(1000, 2000), final(2730, "what are your hours"))
SPEAKING = (*ASKED, AgentStarted(2900))
ASKED_DOES = [PrepareTranscript(), FinishTurn(), Answer("what are your hours")]

DRAFTS = msgspec.structs.replace(RULES, drafts=True)
ASKED_FOR_A_NUMBER = (*SPEAKING, AgentFinished(9000, "Sure. What is your phone number?"))
ASKED_FOR_A_NUMBER_DOES = ASKED_DOES
WARNED = (TimePassed(20_000), AgentStarted(20_100), AgentFinished(21_000, "Ten seconds left."))

TABLE: dict[str, tuple[TurnRules, tuple[TurnInput, ...], list[TurnCommand], Floor]] = {
    "nothing happens before the caller is connected": (RULES, (TimePassed(90_000),), [], Floor.LISTENING),
    "the agent opens": (
        msgspec.structs.replace(RULES, speaks_first=True),
        (BEGIN, AgentStarted(50), AgentFinished(2000, "Hello")),
        [SayOpening()],
        Floor.LISTENING,
    ),
    "a question is answered after the silence": (RULES, ASKED, ASKED_DOES, Floor.THINKING),
    "a turn does not end before its silence": (
        RULES,
        (BEGIN, *says(1000, 2000), TimePassed(2699)),
        [PrepareTranscript()],
        Floor.LISTENING,
    ),
    "a turn ends at its silence": (
        RULES,
        (BEGIN, *says(1000, 2000), TimePassed(2700)),
        [PrepareTranscript(), FinishTurn()],
        Floor.THINKING,
    ),
    "a pause within a turn does not end it": (
        RULES,
        (BEGIN, *says(1000, 2000), *says(2500, 3000), TimePassed(3699)),
        [PrepareTranscript(), PrepareTranscript()],
        Floor.LISTENING,
    ),
    "a noise without words is forgotten": (
        RULES,
        (BEGIN, *says(1000, 1200), final(2000, "")),
        [PrepareTranscript(), FinishTurn()],
        Floor.LISTENING,
    ),
    "a backchannel is an answer when the agent is silent": (
        RULES,
        (BEGIN, *says(1000, 1400), final(2130, "okay")),
        [PrepareTranscript(), FinishTurn(), Answer("okay")],
        Floor.THINKING,
    ),
    "voice holds the agent at once": (
        RULES,
        (*SPEAKING, SpeechStarted(4064)),
        [*ASKED_DOES, Pause()],
        Floor.HELD,
    ),
    "enough voice with words cuts": (
        msgspec.structs.replace(RULES, words_to_cut=5),
        (*SPEAKING, *says(4000, 4250)[:-1], partial(4250, "what"), SpeechContinued(4310, 310)),
        [*ASKED_DOES, Pause(), Cut(True)],
        Floor.LISTENING,
    ),
    "voice without words only holds": (
        RULES,
        (*SPEAKING, *says(4000, 5150)[:-1]),
        [*ASKED_DOES, Pause()],
        Floor.HELD,
    ),
    "very much of it cuts all the same": (
        RULES,
        (*SPEAKING, *says(4000, 5250)[:-1]),
        [*ASKED_DOES, Pause(), Cut(True)],
        Floor.LISTENING,
    ),
    "and when it was a noise he says the rest": (
        RULES,
        (*SPEAKING, *says(4000, 5250), final(6000, "")),
        [*ASKED_DOES, Pause(), Cut(True), PrepareTranscript(), FinishTurn(), GoOn()],
        Floor.THINKING,
    ),
    "a recogniser without interim words cuts by voice": (
        msgspec.structs.replace(RULES, trusts_partials=False),
        (*SPEAKING, *says(4000, 4350)[:-1]),
        [*ASKED_DOES, Pause(), Cut(True)],
        Floor.LISTENING,
    ),
    "too little voice goes on when it was no word": (
        RULES,
        (*SPEAKING, *says(4000, 4300), final(4590, "")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume()],
        Floor.SPEAKING,
    ),
    "a backchannel lets the agent go on": (
        RULES,
        (*SPEAKING, *says(4000, 4300), final(4590, "Uh-huh.")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume()],
        Floor.SPEAKING,
    ),
    "a long backchannel that is recognised lets the agent go on": (
        RULES,
        (
            *SPEAKING,
            *says(4000, 4300)[:-1],
            partial(4301, "okay yeah"),
            *says(4301, 4700)[1:],
            final(5000, "okay yeah"),
        ),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume()],
        Floor.SPEAKING,
    ),
    "a short word with meaning cuts when it is recognised": (
        RULES,
        (*SPEAKING, *says(4000, 4250), final(4530, "stop")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Cut(True)],
        Floor.LISTENING,
    ),
    "and is answered after its silence": (
        RULES,
        (*SPEAKING, *says(4000, 4250), final(4530, "stop"), TimePassed(4950)),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Cut(True), Answer("stop")],
        Floor.THINKING,
    ),
    "interim words cut early": (
        RULES,
        (*SPEAKING, SpeechStarted(4064), SpeechContinued(4192, 192), partial(4200, "no wait")),
        [*ASKED_DOES, Pause(), Cut(True)],
        Floor.LISTENING,
    ),
    "a short word that nobody is sure of is a hum": (
        RULES,
        (*SPEAKING, *says(4000, 4300), WordsHeard(4590, "Mama", True, 0.55)),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume()],
        Floor.SPEAKING,
    ),
    "a recogniser that tells no confidence is believed": (
        RULES,
        (*SPEAKING, *says(4000, 4300), WordsHeard(4590, "tomorrow", True, 0.0)),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Cut(True)],
        Floor.LISTENING,
    ),
    "stop is stop however unsure": (
        RULES,
        (*SPEAKING, *says(4000, 4300), WordsHeard(4590, "Stop.", True, 0.5)),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Cut(True)],
        Floor.LISTENING,
    ),
    "one interim word is waited with": (
        RULES,
        (*SPEAKING, SpeechStarted(4064), SpeechContinued(4192, 192), partial(4200, "tomorrow")),
        [*ASKED_DOES, Pause()],
        Floor.HELD,
    ),
    "one interim word that asks to stop is not": (
        RULES,
        (*SPEAKING, SpeechStarted(4064), SpeechContinued(4192, 192), partial(4200, "stop")),
        [*ASKED_DOES, Pause(), Cut(True)],
        Floor.LISTENING,
    ),
    "interim words on a click do not": (
        RULES,
        (*SPEAKING, SpeechStarted(4064), partial(4080, "no wait")),
        [*ASKED_DOES, Pause()],
        Floor.HELD,
    ),
    "interruptions switched off": (
        msgspec.structs.replace(RULES, interruptible=False),
        (*SPEAKING, *says(4000, 5000), final(5730, "stop it"), AgentFinished(9000, "We are open.")),
        [*ASKED_DOES, PrepareTranscript(), FinishTurn(), Answer("stop it")],
        Floor.THINKING,
    ),
    "low sensitivity waits longer": (
        msgspec.structs.replace(RULES, cut_after_ms=500.0),
        (*SPEAKING, *says(4000, 4600)[:-1]),
        [*ASKED_DOES, Pause()],
        Floor.HELD,
    ),
    "going on before the final words come joins the texts": (
        RULES,
        (
            BEGIN,
            *says(1000, 2000),
            TimePassed(2700),
            SpeechStarted(2720),
            final(2730, "my name is"),
            *says(2720, 3400)[1:],
            final(4130, "john"),
        ),
        [PrepareTranscript(), FinishTurn(), PrepareTranscript(), FinishTurn(), Answer("my name is john")],
        Floor.THINKING,
    ),
    "going on before the reply is heard discards it without a trace": (
        RULES,
        (*ASKED, *says(2800, 3600), final(4330, "on sunday")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Cut(False), Answer("what are your hours on sunday")],
        Floor.THINKING,
    ),
    "a cough before the reply only delays it": (
        RULES,
        (*ASKED, *says(2800, 3000), final(3290, "")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume()],
        Floor.THINKING,
    ),
    "a reply that comes to nothing while it is held is let go": (
        RULES,
        (*ASKED, SpeechStarted(2864), AgentFinished(2870)),
        [*ASKED_DOES, Pause(), Resume()],
        Floor.LISTENING,
    ),
    "a yes over the last words is an answer": (
        RULES,
        (*SPEAKING, *says(4000, 4300), final(4580, "Yes."), AgentFinished(5100, "Shall I?")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume(), Answer("Yes.")],
        Floor.THINKING,
    ),
    "a hum over the last words is none": (
        RULES,
        (*SPEAKING, *says(4000, 4300), final(4580, "mm-hmm"), AgentFinished(5100, "Shall I?")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Resume()],
        Floor.LISTENING,
    ),
    "a final that does not come is apologised for": (
        RULES,
        (BEGIN, *says(1000, 2000), TimePassed(7700)),
        [PrepareTranscript(), FinishTurn(), ApologiseUnheard()],
        Floor.THINKING,
    ),
    "a recogniser that fails between turns is no matter": (RULES, (BEGIN, WordsFailed(500)), [], Floor.LISTENING),
    "a recogniser that fails while the agent is held lets him go on": (
        RULES,
        (*SPEAKING, SpeechStarted(4064), WordsFailed(4100)),
        [*ASKED_DOES, Pause(), Resume()],
        Floor.SPEAKING,
    ),
    "silence is asked about": (RULES, (BEGIN, TimePassed(8000)), [SaySilencePrompt()], Floor.THINKING),
    "idle ends, the prompt does not put it off": (
        RULES,
        (BEGIN, TimePassed(8000), AgentStarted(8100), AgentFinished(9500, "Are you there?"), TimePassed(15_000)),
        [SaySilencePrompt(), SayGoodbye(EndReason.IDLE_TIMEOUT)],
        Floor.THINKING,
    ),
    "a prompt just before the idle time leaves time to answer": (
        msgspec.structs.replace(RULES, prompt_after_ms=14_000.0),
        (BEGIN, TimePassed(14_000), AgentStarted(14_100), AgentFinished(15_500, "Are you there?"), TimePassed(18_400)),
        [SaySilencePrompt()],
        Floor.LISTENING,
    ),
    "at most two prompts in a row": (
        msgspec.structs.replace(RULES, prompt_after_ms=1000.0, idle_after_ms=60_000.0),
        (
            BEGIN,
            TimePassed(1000),
            AgentStarted(1100),
            AgentFinished(1200, "?"),
            TimePassed(2200),
            AgentStarted(2300),
            AgentFinished(2400, "?"),
            TimePassed(50_000),
        ),
        [SaySilencePrompt(), SaySilencePrompt()],
        Floor.LISTENING,
    ),
    "the idle goodbye ends the call when it was heard": (
        msgspec.structs.replace(RULES, prompt_after_ms=None),
        (BEGIN, TimePassed(15_000), AgentStarted(15_100), AgentFinished(16_000, "Bye")),
        [SayGoodbye(EndReason.IDLE_TIMEOUT), End(EndReason.IDLE_TIMEOUT)],
        Floor.ENDED,
    ),
    "the idle goodbye can be interrupted": (
        msgspec.structs.replace(RULES, prompt_after_ms=None),
        (BEGIN, TimePassed(15_000), AgentStarted(15_100), *says(15_200, 15_800), final(16_530, "wait")),
        [SayGoodbye(EndReason.IDLE_TIMEOUT), Pause(), PrepareTranscript(), FinishTurn(), Cut(True), Answer("wait")],
        Floor.THINKING,
    ),
    "an interrupted idle goodbye does not end the call later": (
        msgspec.structs.replace(RULES, prompt_after_ms=None),
        (
            BEGIN,
            TimePassed(15_000),
            AgentStarted(15_100),
            *says(15_200, 15_800),
            final(16_530, "wait"),
            AgentStarted(16_600),
            AgentFinished(17_000, "Yes?"),
        ),
        [SayGoodbye(EndReason.IDLE_TIMEOUT), Pause(), PrepareTranscript(), FinishTurn(), Cut(True), Answer("wait")],
        Floor.LISTENING,
    ),
    "a caller who said goodbye may think better of it": (
        msgspec.structs.replace(RULES, end_phrases=(("your", "hours"),)),
        (*SPEAKING, *says(4000, 4800), final(5530, "one more thing"), AgentStarted(5600), AgentFinished(6000, "Yes?")),
        [*ASKED_DOES, Pause(), PrepareTranscript(), FinishTurn(), Cut(True), Answer("one more thing")],
        Floor.LISTENING,
    ),
    "less than a voiced window does not hold the agent": (
        RULES,
        (*SPEAKING, SpeechStarted(4032, 20)),
        ASKED_DOES,
        Floor.SPEAKING,
    ),
    "a click over the agent's words only makes them stumble": (
        RULES,
        (*SPEAKING, SpeechStarted(4032, 32), SpeechEnded(4128, 4032), TimePassed(4224)),
        [*ASKED_DOES, Pause(), ForgetSpeech(), Resume()],
        Floor.SPEAKING,
    ),
    "speech that begins with a window and a gap lets no sound slip out": (
        RULES,
        (
            *SPEAKING,
            SpeechStarted(4032, 32),
            SpeechEnded(4128, 4032),
            SpeechStarted(4192, 32),
            SpeechContinued(4224, 64),
        ),
        [*ASKED_DOES, Pause()],
        Floor.HELD,
    ),
    "a click in silence is no turn": (
        RULES,
        (BEGIN, SpeechStarted(4032, 32), SpeechEnded(4128, 4032), TimePassed(7000)),
        [ForgetSpeech()],
        Floor.LISTENING,
    ),
    "a click while the words are awaited does not delay the answer": (
        RULES,
        (BEGIN, *says(1000, 2000), SpeechStarted(2720, 32), final(2730, "hello"), SpeechEnded(2816, 2720)),
        [PrepareTranscript(), FinishTurn(), ForgetSpeech(), Answer("hello")],
        Floor.THINKING,
    ),
    "two pieces asked for one after the other are answered together": (
        RULES,
        (BEGIN, *says(1000, 2000), *says(2750, 3250), final(3960, "my name is"), final(3970, "john")),
        [PrepareTranscript(), FinishTurn(), PrepareTranscript(), FinishTurn(), Answer("my name is john")],
        Floor.THINKING,
    ),
    "a likely reply is begun early": (
        DRAFTS,
        (BEGIN, *says(1000, 2000), prepared(2250, "what are your hours"), final(2730, "what are your hours")),
        [PrepareTranscript(), Draft("what are your hours"), FinishTurn(), Answer("what are your hours")],
        Floor.THINKING,
    ),
    "and dropped when the caller goes on": (
        DRAFTS,
        (BEGIN, *says(1000, 2000), prepared(2250, "what are your hours"), *says(2400, 2700)[:-1]),
        [PrepareTranscript(), Draft("what are your hours"), DropDraft()],
        Floor.LISTENING,
    ),
    "and kept over a click": (
        DRAFTS,
        (
            BEGIN,
            *says(1000, 2000),
            prepared(2250, "hi"),
            SpeechStarted(2400, 32),
            SpeechEnded(2496, 2400),
            prepared(2640, "hi"),
        ),
        [PrepareTranscript(), Draft("hi"), PrepareTranscript()],
        Floor.LISTENING,
    ),
    "and dropped when the words change": (
        DRAFTS,
        (BEGIN, *says(1000, 2000), prepared(2250, "what are your"), prepared(2300, "what are your hours today")),
        [PrepareTranscript(), Draft("what are your hours today")],
        Floor.LISTENING,
    ),
    "and not begun while a number is not whole": (
        DRAFTS,
        (*ASKED_FOR_A_NUMBER, *says(11_000, 12_000), prepared(12_250, "four one five")),
        [*ASKED_FOR_A_NUMBER_DOES, PrepareTranscript()],
        Floor.LISTENING,
    ),
    "and not begun when the turn does not sound over": (
        msgspec.structs.replace(DRAFTS, end_of_turn=SoundsOver(700.0, 1400.0)),
        (BEGIN, *says(1000, 2000), EndOfTurnLikely(2130, 0.1, 2000), prepared(2250, "what are your hours")),
        [JudgeTurn(2000), PrepareTranscript()],
        Floor.LISTENING,
    ),
    "an answer about an earlier silence says nothing": (
        msgspec.structs.replace(RULES, end_of_turn=SoundsOver(700.0, 1400.0)),
        (BEGIN, *says(1000, 2000), *says(2200, 2600), EndOfTurnLikely(2720, 0.9, 2000), TimePassed(3100)),
        [JudgeTurn(2000), PrepareTranscript(), JudgeTurn(2600), PrepareTranscript()],
        Floor.LISTENING,
    ),
    "an answer about this one does": (
        msgspec.structs.replace(RULES, end_of_turn=SoundsOver(700.0, 1400.0)),
        (BEGIN, *says(1000, 2000), *says(2200, 2600), EndOfTurnLikely(2720, 0.9, 2600), TimePassed(3100)),
        [JudgeTurn(2000), PrepareTranscript(), JudgeTurn(2600), PrepareTranscript(), FinishTurn()],
        Floor.THINKING,
    ),
    "a hum after voice that cut without a word lets him say the rest": (
        RULES,
        (*SPEAKING, *says(4000, 5250), WordsHeard(6000, "Mama", True, 0.55)),
        [*ASKED_DOES, Pause(), Cut(True), PrepareTranscript(), FinishTurn(), GoOn()],
        Floor.THINKING,
    ),
    "what he was heard to ask for counts though he was cut": (
        RULES,
        (
            *SPEAKING,
            *says(4000, 4300)[:-1],
            partial(4310, "four one"),
            AgentInterrupted(4310, "Sure. What is your phone number?"),
            *says(4310, 5000)[1:-1],
            partial(4990, "four one five"),
            SpeechEnded(5096, 5000),
            TimePassed(6700),
        ),
        [*ASKED_DOES, Pause(), Cut(True), PrepareTranscript()],
        Floor.LISTENING,
    ),
    "nothing is asked while the caller is away": (
        RULES,
        (BEGIN, CallerAway(2000), TimePassed(60_000)),
        [],
        Floor.LISTENING,
    ),
    "and his silence counts on when he is back": (
        RULES,
        (BEGIN, CallerAway(2000), CallerBack(60_000), TimePassed(65_999)),
        [],
        Floor.LISTENING,
    ),
    "from where it was": (
        RULES,
        (BEGIN, CallerAway(2000), CallerBack(60_000), TimePassed(66_000)),
        [SaySilencePrompt()],
        Floor.THINKING,
    ),
    "a reply in the making is not given up while he is away": (
        RULES,
        (*ASKED, CallerAway(3000), TimePassed(60_000), CallerBack(61_000), TimePassed(80_000)),
        ASKED_DOES,
        Floor.THINKING,
    ),
    "the maximum duration": (
        msgspec.structs.replace(RULES, max_duration_ms=30_000.0, prompt_after_ms=None, idle_after_ms=60_000.0),
        (BEGIN, *WARNED, TimePassed(25_000), AgentStarted(25_100), *says(25_200, 26_000), AgentFinished(28_000, "Bye")),
        [
            SayTimeWarning(),
            SayGoodbye(EndReason.MAX_DURATION),
            PrepareTranscript(),
            FinishTurn(),
            End(EndReason.MAX_DURATION),
        ],
        Floor.ENDED,
    ),
    "the maximum duration is hard": (
        msgspec.structs.replace(RULES, max_duration_ms=30_000.0, prompt_after_ms=None, idle_after_ms=60_000.0),
        (BEGIN, *WARNED, TimePassed(25_000), AgentStarted(25_100), TimePassed(30_000)),
        [SayTimeWarning(), SayGoodbye(EndReason.MAX_DURATION), End(EndReason.MAX_DURATION)],
        Floor.ENDED,
    ),
    "an end phrase of the agent, once heard": (
        msgspec.structs.replace(RULES, end_phrases=(("good", "bye"),)),
        (*SPEAKING, AgentFinished(5000, "Well, GOOD bye!")),
        [*ASKED_DOES, End(EndReason.AGENT_ENDED)],
        Floor.ENDED,
    ),
    "an end phrase of the caller ends after the reply": (
        msgspec.structs.replace(RULES, end_phrases=(("your", "hours"),)),
        (*SPEAKING, AgentFinished(5000, "Nine to five")),
        [*ASKED_DOES, End(EndReason.USER_ENDED)],
        Floor.ENDED,
    ),
    "the model's wish": (
        RULES,
        (*SPEAKING, AgentFinished(5000, "So long", True)),
        [*ASKED_DOES, End(EndReason.AGENT_ENDED)],
        Floor.ENDED,
    ),
    "keys after a pause": (
        RULES,
        (BEGIN, KeyPressed(1000, "1"), KeyPressed(1500, "2"), TimePassed(3500)),
        [Answer("Pressed 1 2.")],
        Floor.THINKING,
    ),
    "keys with a pound sign": (
        RULES,
        (BEGIN, KeyPressed(1000, "1"), KeyPressed(1500, "#")),
        [Answer("Pressed 1.")],
        Floor.THINKING,
    ),
    "a key interrupts": (RULES, (*SPEAKING, KeyPressed(4000, "1")), [*ASKED_DOES, Cut(True)], Floor.LISTENING),
    "keys switched off": (
        msgspec.structs.replace(RULES, keys_enabled=False),
        (BEGIN, KeyPressed(1000, "1"), TimePassed(4000)),
        [],
        Floor.LISTENING,
    ),
    "a reply that never sounds is given up": (
        RULES,
        (*ASKED, TimePassed(22_731)),
        [*ASKED_DOES, Cut(False)],
        Floor.LISTENING,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_done(name):
    rules, inputs, commands, floor = TABLE[name]
    state, done = run(rules, *inputs)
    assert done == commands
    assert state.floor is floor


def test_rules_come_from_the_agent():
    config = msgspec.convert(
        {
            "name": "A",
            "persona": {"name": "A"},
            "voice": {"provider": "local", "voice_id": "heart"},
            "llm": {"provider": "local", "model": "local"},
            "transcription": {"provider": "local"},
            "system_prompt_template": "x",
            "end_call_phrases": ["Bye, now", "!"],
            "interruption": {"enabled": True, "sensitivity": "low"},
            "silence_detection": {"enabled": False},
            "max_duration_seconds": 100,
        },
        AgentConfig,
    )
    rules = TurnRules.of(config)
    assert rules.end_phrases == (("bye", "now"),)
    assert rules.cut_after_ms == 500
    assert rules.prompt_after_ms is None
    assert rules.max_duration_ms == 100_000
    assert not rules.speaks_first
    greeting = msgspec.structs.replace(config, first_message="Hi")
    assert TurnRules.of(greeting).speaks_first
    waiting = msgspec.structs.replace(greeting, first_message_mode=FirstMessageMode.WAIT_FOR_USER)
    assert not TurnRules.of(waiting).speaks_first
    assert TurnRules.of(msgspec.structs.replace(waiting, ai_disclosure_message="AI")).speaks_first
    assert Sensitivity(config.interruption.sensitivity) is Sensitivity.LOW


# --- a world that does anything


class World:
    """Obeys commands and checks that each is legal."""

    def __init__(self, rules: TurnRules) -> None:
        self.rules = rules
        self.state = TurnState()
        self.now = 0.0
        self.paused = False
        self.speech: str | None = None
        self.sounded = False
        self.finals = 0
        self.ended: list[EndReason] = []
        self.caller_speaks = False
        self.draft: str | None = None
        self.away = False
        self.judging: float | None = None

    def happen(self, happened: TurnInput) -> None:
        done = step(self.rules, self.state, happened)
        self.state = done.state
        for command in done.commands:
            self.obey(command)
        due = deadline(self.rules, self.state)
        assert (due is None) == bool(self.ended)

    def obey(self, command: TurnCommand) -> None:
        assert not self.ended, f"{command} after the end"
        match command:
            case Pause():
                assert not self.paused
                assert self.speech is not None
                self.paused = True
            case Resume():
                assert self.paused
                self.paused = False
            case Cut(heard):
                assert self.speech is not None
                assert heard is self.sounded
                self.paused, self.speech = False, None
            case FinishTurn():
                assert not self.caller_speaks
                self.finals += 1
            case JudgeTurn(silent_since_ms):
                self.judging = silent_since_ms
            case Draft(text):
                assert self.draft is None
                assert self.speech is None
                assert text.strip()
                self.draft = text
            case DropDraft():
                assert self.draft is not None
                self.draft = None
            case Answer(text):
                assert text.strip()
                self.draft = None
                self.say(text)
            case (
                SayOpening()
                | SayResumption()
                | SaySilencePrompt()
                | SayTimeWarning()
                | SayGoodbye()
                | ApologiseUnheard()
                | GoOn()
            ):
                self.say("something")
            case End(reason):
                self.ended.append(reason)
            case _:
                assert command in (PrepareTranscript(), ForgetSpeech())

    def say(self, text: str) -> None:
        assert self.speech is None
        assert not self.paused
        self.speech, self.sounded = text, False

    def act(self, kind: str, ms: float, text: str) -> None:
        """Something that may really happen now."""
        self.now += ms
        self.catch_up()
        match kind:
            case "speak":
                started = not self.caller_speaks
                self.caller_speaks = True
                self.happen(SpeechStarted(self.now, 32.0) if started else SpeechContinued(self.now, 64 + ms))
            case "stop" if self.caller_speaks:
                self.caller_speaks = False
                self.happen(SpeechEnded(self.now, self.now - 96))
            case "partial":
                self.happen(WordsHeard(self.now, text, False, 0.9))
            case "prepared" if not self.caller_speaks:
                self.happen(WordsHeard(self.now, text, False, 0.9, is_prepared=True))
            case "over":
                self.happen(WordsHeard(self.now, text, False, 0.9, utterance_over=True))
            case "judged" if self.judging is not None:
                self.happen(EndOfTurnLikely(self.now, 0.9 if len(text) > 4 else 0.1, self.judging))
            case "away":
                self.away = True
                self.happen(CallerAway(self.now))
            case "back":
                self.away = False
                self.happen(CallerBack(self.now))
            case "heard":
                self.happen(AgentInterrupted(self.now, text))
            case "final" if self.finals:
                self.finals -= 1
                self.happen(WordsHeard(self.now, text, True, 0.9))
            case "lost":
                self.finals = 0
                self.caller_speaks = False
                self.happen(WordsFailed(self.now))
            case "sound" if self.speech is not None and not self.sounded and not self.paused:
                self.sounded = True
                self.happen(AgentStarted(self.now))
            case "finish" if self.speech is not None and not (self.paused and self.sounded):
                text, self.speech = (self.speech if self.sounded else ""), None
                self.happen(AgentFinished(self.now, text))
            case "key":
                self.happen(KeyPressed(self.now, "#" if text == "stop" else "1"))
            case _:
                pass

    def catch_up(self) -> None:
        for _ in range(1000):
            due = deadline(self.rules, self.state)
            if due is None or due > self.now:
                return
            before = self.state
            self.happen(TimePassed(self.now))
            assert self.state != before, "a deadline that changes nothing"
        raise AssertionError("time does not pass")


KINDS = (
    "speak",
    "speak",
    "speak",
    "stop",
    "stop",
    "partial",
    "final",
    "final",
    "lost",
    "sound",
    "sound",
    "finish",
    "key",
    "wait",
    "prepared",
    "over",
    "judged",
    "away",
    "back",
    "heard",
)
acts = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from([1.0, 32.0, 64.0, 300.0, 800.0, 3000.0, 9000.0]),
        st.sampled_from(
            ["", "stop", "okay", "uh huh", "what are your hours", "bye", "...", "What is your phone number?"]
        ),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(
    acts=acts,
    policy=st.sampled_from([FixedSilence(700.0), RecogniserSays(1000.0), SoundsOver(700.0, 1400.0)]),
    interruptible=st.booleans(),
    speaks_first=st.booleans(),
    trusts_partials=st.booleans(),
)
def test_whatever_happens_commands_are_legal_and_the_call_never_hangs(
    acts, policy, interruptible, speaks_first, trusts_partials
):
    world = World(
        TurnRules(
            end_of_turn=policy,
            drafts=True,
            interruptible=interruptible,
            speaks_first=speaks_first,
            trusts_partials=trusts_partials,
            end_phrases=(("bye",),),
            max_duration_ms=1e12,
        )
    )
    world.happen(CallerConnected(0))
    for kind, ms, text in acts:
        world.act(kind, ms, text)
    # From here on everybody behaves and the caller is silent: the call must come to its idle end.
    world.act("stop", 32.0, "")
    world.act("back", 32.0, "")
    for _ in range(4000):
        if world.ended:
            break
        for kind in ("final", "sound", "finish"):
            world.act(kind, 10.0, "")
        world.now = max(world.now, deadline(world.rules, world.state) or world.now)
    assert len(world.ended) == 1
    assert world.state.floor is Floor.ENDED

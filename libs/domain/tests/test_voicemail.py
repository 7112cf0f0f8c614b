"""Who answered, and when the message is left: greetings as they come, in virtual time."""

import msgspec
import pytest
from voisnap_domain.agents import VoicemailAction, VoicemailDetection
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.turntaking import SpeechContinued, SpeechEnded, SpeechStarted, TimePassed, WordsHeard
from voisnap_domain.voicemail import (
    Answerer,
    AskWords,
    CallAnswered,
    CarrierSays,
    Converse,
    FallSilent,
    HangUp,
    Introduce,
    LeaveMessage,
    LineSignal,
    Overheard,
    Phase,
    PressKey,
    ScreenCommand,
    ScreenInput,
    ScreenState,
    SignalHeard,
    answerer_of,
    deadline,
    is_surely_a_machine,
    key_wanted,
    step,
)

pytestmark = pytest.mark.unit

LEAVE = VoicemailDetection(enabled=True, action=VoicemailAction.LEAVE_MESSAGE, message="Please call back.")


class Answered:
    """A call that was answered; `decisions` are what was commanded, with the time."""

    def __init__(
        self, settings: VoicemailDetection = LEAVE, *, words_take: float | None = 80, partials: bool = True
    ) -> None:
        self.settings = settings
        self.state = ScreenState()
        self.now = 0.0
        self.decisions: list[tuple[ScreenCommand, float]] = []
        self._words_take = words_take
        self._partials = partials
        self._said = ""
        self._finals: list[tuple[float, str]] = []
        self._take(CallAnswered(0.0))

    def says(self, text: str, ms: float) -> "Answered":
        """Speech without a pause; partial words come along."""
        words, start = text.split(), self.now
        self._take(SpeechStarted(self.now, 32.0))
        for number in range(1, int(ms // 32) + 1):
            self._until(start + number * 32)
            self._take(SpeechContinued(self.now, number * 32.0))
            known = " ".join(words[: int(len(words) * number * 32 / ms)])
            if self._partials and number % 10 == 0 and known:
                self._take(WordsHeard(self.now, known, False))
        self._said = f"{self._said} {text}".strip()
        ended = self.now
        self._until(self.now + 96)
        self._take(SpeechEnded(self.now, ended))
        return self

    def silence(self, ms: float) -> "Answered":
        self._until(self.now + ms)
        return self

    def beep(self) -> "Answered":
        self._take(SignalHeard(self.now, LineSignal.BEEP))
        return self

    def signal(self, signal: LineSignal) -> "Answered":
        self._take(SignalHeard(self.now, signal))
        return self

    def told(self, answered_by: AnsweredBy) -> "Answered":
        """The carrier says who answered."""
        self._take(CarrierSays(self.now, answered_by))
        return self

    @property
    def commands(self) -> list[ScreenCommand]:
        return [command for command, _ in self.decisions]

    def _until(self, moment: float) -> None:
        while True:
            due = deadline(self.state)
            final = self._finals[0][0] if self._finals else None
            following = min((one for one in (due, final) if one is not None), default=None)
            if following is None or following > moment:
                break
            self.now = max(self.now, following)
            if final is not None and final == following:
                self._take(WordsHeard(self.now, self._finals.pop(0)[1], True))
            else:
                before = self.state
                self._take(TimePassed(self.now))
                assert self.state != before, "a deadline that changes nothing"
        self.now = max(self.now, moment)

    def _take(self, happened: ScreenInput) -> None:
        done = step(self.settings, self.state, happened)
        self.state = done.state
        for command in done.commands:
            if isinstance(command, AskWords):
                if self._words_take is not None:
                    self._finals.append((self.now + self._words_take, self._said))
                self._said = ""
            else:
                self.decisions.append((command, self.now))


def only(answered: Answered) -> tuple[ScreenCommand, float]:
    (decision,) = answered.decisions
    return decision


# --- persons


@pytest.mark.parametrize("greeting", ["Hello?", "Hi.", "Yes?", "John speaking.", "¿Hola?"])
def test_a_short_greeting_is_a_person_half_a_second_later(greeting: str):
    answered = Answered().silence(600).says(greeting, 480).silence(3000)
    command, at = only(answered)
    assert command == Converse(Answerer.PERSON, greeting)
    assert at - 1080 <= 500


def test_other_short_words_are_a_person_within_700_ms():
    command, at = only(Answered().silence(600).says("Bright Smile Dental Doctor Miller's office", 1900).silence(3000))
    assert isinstance(command, Converse)
    assert command.answerer is Answerer.PERSON
    assert at - 2500 <= 720


def test_words_that_never_come_hold_the_greeting_up_no_longer_than_promised():
    command, at = only(Answered(words_take=None).silence(400).says("Hello?", 480).silence(5000))
    assert isinstance(command, Converse)
    assert at - 880 <= 1300


def test_somebody_who_picks_up_and_waits_is_greeted():
    command, at = only(Answered().silence(8000))
    assert command == Converse(Answerer.PERSON, "")
    assert at == 3500


def test_a_long_friendly_greeting_of_a_business_is_a_person():
    text = "Hello, you have reached Smith and Sons, my name is Daniel, thank you so much for calling us, how can I help you today?"
    command, _ = only(Answered().silence(500).says(text, 3900).silence(2000))
    assert isinstance(command, Converse)
    assert command.answerer is Answerer.PERSON


def test_a_person_who_offers_to_take_a_message_is_no_machine():
    answered = Answered().silence(500).says("She is out, would you like to leave a message?", 2200).silence(2000)
    command, _ = only(answered)
    assert isinstance(command, Converse)
    assert command.answerer is Answerer.PERSON


def test_a_click_on_the_line_is_no_greeting():
    answered = Answered().silence(500).says("", 32).silence(600).says("Hello?", 480).silence(3000)
    assert only(answered)[0] == Converse(Answerer.PERSON, "Hello?")


# --- machines

GREETING = "Hi, you have reached Anna. I can't come to the phone right now, so please leave a message after the tone."


def test_a_machine_gets_its_message_after_the_beep_and_no_answer():
    answered = Answered().silence(700).says(GREETING, 6200).silence(900).beep()
    answered.silence(10_000)
    command, at = only(answered)
    assert isinstance(command, LeaveMessage)
    assert at == pytest.approx(700 + 6200 + 96 + 900, abs=40)
    assert answered.state.phase is Phase.OVER


@pytest.mark.parametrize("partials", [True, False])
def test_a_machine_without_a_beep_gets_its_message_after_a_silence(partials: bool):
    answered = Answered(partials=partials).silence(700).says(GREETING, 6200).silence(10_000)
    command, at = only(answered)
    assert isinstance(command, LeaveMessage)
    assert at - 6900 == pytest.approx(2500, abs=80)


def test_a_greeting_in_two_parts_is_waited_out():
    answered = Answered().silence(700).says("You have reached the voicemail of Anna Schmidt.", 2600).silence(1500)
    answered.says("At the tone, please record your message.", 2400).silence(800).beep().silence(100)
    (command, at), *rest = answered.decisions
    assert isinstance(command, LeaveMessage)
    assert not rest
    assert at > 7000


def test_words_that_nobody_understood_are_a_machine_when_they_go_on_for_long():
    answered = Answered(words_take=None, partials=False).silence(500).says("", 4500).silence(400).beep()
    assert isinstance(only(answered)[0], LeaveMessage)


def test_a_beep_alone_is_a_machine():
    answered = Answered().silence(900).beep()
    assert isinstance(only(answered)[0], LeaveMessage)


def test_a_machine_that_never_stops_is_told_the_message_in_the_end():
    answered = Answered().silence(700)
    answered.says(GREETING + " " + "and so on " * 20, 36_000)
    assert isinstance(answered.commands[0], LeaveMessage)
    assert answered.decisions[0][1] <= 700 + 4000 + 30_000 + 100


def test_hang_up_does_so_as_soon_as_the_machine_is_known():
    settings = msgspec.structs.replace(LEAVE, action=VoicemailAction.HANG_UP)
    answered = Answered(settings).silence(700).says(GREETING, 6200).silence(5000)
    command, at = only(answered)
    assert isinstance(command, HangUp)
    assert command.answerer is Answerer.MACHINE
    assert at <= 700 + 4100


def test_continue_talks_to_the_machine():
    settings = msgspec.structs.replace(LEAVE, action=VoicemailAction.CONTINUE)
    answered = Answered(settings).silence(700).says(GREETING, 6200).silence(5000)
    command, _ = only(answered)
    assert isinstance(command, Converse)
    assert command.answerer is Answerer.MACHINE


# --- screening, menus, the network


IOS = "Hi, if you record your name and reason for calling, I'll see if this person is available."
GOOGLE = (
    "Hi, the person you're calling is using a screening service from Google, and will get a copy of this conversation. "
    "Go ahead and say your name and why you're calling."
)


def screened(asks: str = IOS, ms: float = 3900) -> Answered:
    """A call whose screening has been told who calls, two seconds ago."""
    return Answered().silence(500).says(asks, ms).silence(2000)


def test_a_call_screening_is_told_who_calls_and_a_menu_is_talked_to():
    assert only(screened())[0] == Introduce(IOS)
    menu = Answered().silence(500)
    menu.says("Thank you for calling. For sales, press one. For support, press two.", 3900).silence(1500)
    command, _ = only(menu)
    assert isinstance(command, Converse)
    assert command.answerer is Answerer.MENU


@pytest.mark.parametrize("partials", [True, False])
def test_a_call_screening_that_talks_as_long_as_a_machine_is_none(partials: bool):
    answered = Answered(partials=partials).silence(500).says(GOOGLE, 8200).silence(2000)
    assert only(answered)[0] == Introduce(GOOGLE)


def test_a_name_after_the_tone_is_a_screening_and_a_message_after_it_a_machine():
    name = "Please state your name after the tone, and Google Voice will try to connect you."
    answered = Answered().silence(500).says(name, 3600).silence(300).beep().silence(2000)
    assert only(answered)[0] == Introduce(name)
    machine = Answered().silence(500).says("Please say your name and a short message after the tone.", 3600).beep()
    assert isinstance(only(machine)[0], LeaveMessage)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks. Stay on the line.",
        "I'll see if this person is available. Thanks. Please stay on the line.",
        "Thank you.",
        "Okay, one moment please while I connect you.",
        "Please hold, I'll see if they are available.",
        "Vielen Dank, bitte bleiben Sie in der Leitung.",
        "Merci, veuillez patienter.",
    ],
)
def test_whoever_asks_to_wait_is_waited_for_in_silence(text: str):
    answered = screened().says(text, 1400).silence(20_000)
    assert answered.commands == [Introduce(IOS), Overheard(text)]
    answered.says("Hello?", 480).silence(1500)
    assert answered.commands[2:] == [Converse(Answerer.PERSON, "Hello?")]


@pytest.mark.parametrize("text", ["Hello?", "Hey, it's Anna, what is it?", "Thanks for waiting, here she is. Hello?"])
def test_whoever_comes_after_the_screening_is_talked_to(text: str):
    answered = screened().says(text, 1200).silence(1500)
    assert answered.commands[1:] == [Converse(Answerer.PERSON, text)]


def test_a_screening_that_asks_again_is_told_again_and_not_for_ever():
    answered = screened(GOOGLE, 3900)
    for _ in range(5):
        answered.says("Sorry, I didn't catch that. What is this regarding?", 2000).silence(2500)
    assert [type(command) for command in answered.commands] == [*[Introduce] * 3, *[Overheard] * 3]
    assert [command.again for command in answered.commands if isinstance(command, Introduce)] == [False, True, True]
    answered.says("Hi, Anna speaking.", 900).silence(1500)
    assert isinstance(answered.commands[-1], Converse)


def test_a_screening_that_ends_in_voicemail_gets_the_message_after_its_beep():
    answered = screened().says("They are not available. Please leave a message after the tone.", 3000)
    assert answered.silence(900).beep().commands[1:] == [
        LeaveMessage("They are not available. Please leave a message after the tone.")
    ]


def test_nobody_is_waited_for_for_ever_behind_a_screening():
    answered = screened().silence(70_000)
    (_, (command, at)) = answered.decisions
    assert command == Converse(Answerer.PERSON, "")
    assert at == pytest.approx(64_000, abs=2500)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("This number does not accept robocalls. To be connected, press 5.", "5"),
        ("Press one to accept this call.", "1"),
        ("If you are not a telemarketer, please press the pound key.", "#"),
        ("If you are not a robot, press pound now.", "#"),
        ("Um verbunden zu werden, drücken Sie die eins.", "1"),
        ("For sales press one, to continue in Spanish press two.", None),
        ("For billing, press 2.", None),
        ("Hello?", None),
    ],
)
def test_the_key_without_which_nobody_is_connected_is_known(text: str, key: str | None):
    assert key_wanted(text) == key


def test_the_key_is_pressed_and_then_somebody_is_waited_for():
    wall = "To be connected, press 5."
    answered = Answered().silence(500).says(wall, 2400).silence(9000)
    assert answered.commands == [PressKey("5", wall)]
    answered.says(wall, 2400).silence(2000).says(wall, 2400).silence(2000)
    assert answered.commands[:2] == [PressKey("5", wall)] * 2
    assert len([one for one in answered.commands if isinstance(one, PressKey)]) == 2
    late = Answered().silence(500).says(wall, 2400).silence(3000).says("Hello?", 480).silence(1500)
    assert late.commands[1:] == [Converse(Answerer.PERSON, "Hello?")]


def test_the_carriers_word_for_the_screening_s_voice_is_no_person():
    answered = screened().told(AnsweredBy.HUMAN).silence(3000)
    assert len(answered.commands) == 1


def test_a_menu_that_ends_in_voicemail_is_a_machine():
    assert answerer_of("To leave a voicemail press one, or just wait for the tone.") is Answerer.MACHINE


@pytest.mark.parametrize("signal", [LineSignal.BUSY, LineSignal.OUT_OF_SERVICE, LineSignal.FAX])
def test_a_number_that_cannot_be_reached_is_hung_up_on(signal: LineSignal):
    assert only(Answered().silence(1000).signal(signal))[0] == HangUp(Answerer.NOBODY, "")


def test_ringing_is_waited_out():
    answered = Answered().silence(2500).signal(LineSignal.RINGING).silence(3000)
    assert not answered.decisions
    answered.says("Hello?", 480).silence(1000)
    assert only(answered)[0] == Converse(Answerer.PERSON, "Hello?")


# --- second thoughts


def test_a_machine_that_paused_after_hello_is_found_out_in_the_conversation():
    answered = Answered().silence(500).says("Hello.", 480).silence(900)
    assert isinstance(answered.commands[0], Converse)
    answered._take(WordsHeard(answered.now, "I am not here, please leave a message after the beep", False))
    answered.silence(1500)
    assert answered.commands[1:] == [FallSilent()]
    answered.beep()
    assert isinstance(answered.commands[2], LeaveMessage)


def test_what_people_say_in_a_conversation_makes_nobody_a_machine():
    answered = Answered().silence(500).says("Hello?", 480).silence(900)
    for text in (
        "Can I leave a message for Doctor Miller?",
        "I missed your call, sorry.",
        "I'll call you back later, I'm not available right now.",
        "Do you have voicemail?",
        "I can't answer the phone at work.",
    ):
        answered._take(WordsHeard(answered.now, text, True))
    answered.beep()
    assert len(answered.commands) == 1


def test_the_watch_ends():
    answered = Answered().silence(500).says("Hello?", 480).silence(30_000)
    answered._take(WordsHeard(answered.now, "Please leave a message after the tone.", True))
    assert len(answered.commands) == 1
    assert answered.state.phase is Phase.OVER
    assert deadline(answered.state) is None


# --- words


@pytest.mark.parametrize(
    "text",
    [
        "Your call has been forwarded to an automated voice messaging system.",
        "The person you are trying to reach is not available.",
        "Hey it's Mike, leave me a message and I'll get back to you.",
        "You've reached Doctor Lee's voicemail.",
        "We are unable to take your call at the moment.",
        "Leave your name and number.",
        "Deje su mensaje después de la señal.",
        "Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
        "Laissez un message après le bip sonore.",
    ],
)
def test_machines_are_known_by_their_words(text: str):
    assert answerer_of(text) is Answerer.MACHINE


@pytest.mark.parametrize(
    ("text", "answerer"),
    [
        ("Hello?", Answerer.PERSON),
        ("Good morning, this is Carol, how may I help you?", Answerer.PERSON),
        ("Who is this?", Answerer.PERSON),
        ("Please state your name and why you're calling.", Answerer.SCREENING),
        ("Hi, the person you're calling is using a screening service.", Answerer.SCREENING),
        ("Bitte nennen Sie Ihren Namen und den Grund für Ihren Anruf.", Answerer.SCREENING),
        ("Diga su nombre y el motivo de su llamada.", Answerer.SCREENING),
        ("Veuillez indiquer la raison de votre appel.", Answerer.SCREENING),
        ("Por favor, diga o seu nome e o motivo da ligação.", Answerer.SCREENING),
        ("Dica il suo nome e il motivo della chiamata.", Answerer.SCREENING),
        ("Zeg alstublieft uw naam en de reden van uw oproep.", Answerer.SCREENING),
        ("Müller, wer spricht da?", Answerer.NOBODY),
        ("For billing, press 2.", Answerer.MENU),
        ("Miller residence", Answerer.NOBODY),
        ("", Answerer.NOBODY),
    ],
)
def test_others_are_known_by_theirs(text: str, answerer: Answerer):
    assert answerer_of(text) is answerer
    assert not is_surely_a_machine(text)


# --- the carrier's word


def test_a_person_by_the_carriers_word_is_greeted_at_once():
    command, at = only(Answered().silence(900).told(AnsweredBy.HUMAN).silence(5000))
    assert command == Converse(Answerer.PERSON, "")
    assert at == 900


def test_a_person_by_the_carriers_word_may_finish_a_long_greeting():
    answered = Answered().silence(300)
    answered._take(SpeechStarted(answered.now, 32.0))
    answered.told(AnsweredBy.HUMAN)
    assert not answered.decisions
    command, _ = only(
        answered.says("Schreinerei Müller in der langen Straße am Rathaus, und so weiter", 5200).silence(3000)
    )
    assert isinstance(command, Converse)
    assert command.answerer is Answerer.PERSON


def test_words_of_a_machine_make_the_carrier_wrong_who_calls_it_a_person():
    text = "You have reached Anna. Please leave a message after the tone."
    answered = Answered().silence(300).says(text, 3000).silence(300).told(AnsweredBy.HUMAN).silence(500)
    assert not answered.decisions
    assert answered.state.phase is Phase.WAITING


def test_a_machine_by_the_carriers_word_gets_the_message_after_its_greeting():
    answered = Answered().silence(300).says("Miller residence", 900).told(AnsweredBy.MACHINE)
    assert answered.state.phase is Phase.WAITING
    assert [type(command) for command in answered.beep().commands] == [LeaveMessage]


def test_the_end_of_a_greeting_by_the_carriers_word_is_as_good_as_a_beep():
    command, at = only(
        Answered().silence(300).says("Miller residence", 900).told(AnsweredBy.MACHINE_BEEP).silence(9000)
    )
    assert isinstance(command, LeaveMessage)
    assert at < 1400


def test_a_person_by_his_words_is_no_machine_whatever_the_carrier_says():
    answered = Answered().silence(300).says("Hello?", 480).silence(1500).told(AnsweredBy.MACHINE).silence(9000)
    assert [type(command) for command in answered.commands] == [Converse]


def test_somebody_who_did_not_say_who_he_is_may_turn_out_to_be_a_machine():
    answered = Answered().silence(300).says("Miller residence", 900).silence(1500).told(AnsweredBy.MACHINE)
    assert [type(command) for command in answered.commands] == [Converse, FallSilent, LeaveMessage]


@pytest.mark.parametrize(
    ("action", "then"),
    [
        (VoicemailAction.HANG_UP, [Converse, FallSilent, HangUp]),
        (VoicemailAction.LEAVE_MESSAGE, [Converse, FallSilent, LeaveMessage]),
        (VoicemailAction.CONTINUE, [Converse]),
    ],
)
def test_a_beep_by_the_carriers_word_ends_a_conversation_with_a_machine(action: VoicemailAction, then: list[type]):
    settings = VoicemailDetection(enabled=True, action=action)
    answered = Answered(settings).silence(300).says("Hello?", 480).silence(1500).told(AnsweredBy.MACHINE_BEEP)
    assert [type(command) for command in answered.silence(9000).commands] == then


def test_a_fax_is_hung_up_on_and_nothing_is_said_of_the_unknown():
    assert only(Answered().silence(300).told(AnsweredBy.FAX).silence(9000)) == (HangUp(Answerer.NOBODY, ""), 300)
    assert not Answered().silence(300).told(AnsweredBy.UNKNOWN).silence(1000).decisions

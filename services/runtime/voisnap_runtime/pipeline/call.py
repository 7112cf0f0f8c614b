"""One call: the list that wires ear, conversation, mouth and recorder."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec
import structlog
from voisnap_domain.agents import FirstMessageMode
from voisnap_domain.calls import AnsweredBy
from voisnap_domain.conversations import CallQuality, Speaker
from voisnap_domain.costs import Usage
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_domain.turntaking import KeyPressed, SpeechStarted, TurnInput, TurnRules, has_content
from voisnap_domain.voicemail import Answerer, answerer_of, screens
from voisnap_kit import memory
from voisnap_media.key_tones import key_tones
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import Recorder
from voisnap_providers.errors import ProviderError
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LanguageModel
from voisnap_providers.ports.stt import SpeechToText, SttStream, Transcript
from voisnap_providers.ports.tts import TextToSpeech
from voisnap_providers.ports.turn_end import TurnEndDetector
from voisnap_providers.resilient_stt import ResilientSttStream

from .both_sides import BothSides
from .conversation import Conversation
from .ear import RING_SECONDS, Ear, VadTicker
from .echo_guard import EchoGuard
from .events import CallEvent, Fault, FaultCode, KeyReceived, TranscriptionUpdated, Warned
from .hearing import Deaf, Hearing
from .judging import Judging
from .keypad import Keypad
from .meter import Meter
from .mouth import RATE as SPOKEN_RATE
from .mouth import Playout
from .near_speech import NearSpeech
from .prompt import SCREENED, script_of
from .resuming import Restart, restart_of
from .tools import Tool, Toolbox
from .turn_log import TurnLog
from .voicemail import VoicemailScreen

LAST_WORDS_SECONDS = 0.6
"""How long a call that ends while the caller speaks waits for the recogniser's last words."""
LINGER_SECONDS = 0.3
"""Time for the agent's last sound to reach the caller before the call is over."""
JUDGED_SECONDS = 8
"""Of a turn, what a model that judges its sound listens to."""
QUIET_MS = 200.0
"""Silence after which a call counts as quiet."""
ECHO_WARNING = (
    "The caller's device plays the agent's voice back into its microphone: echo was kept out of the conversation."
)
LINGERING = frozenset(
    {
        EndReason.AGENT_ENDED,
        EndReason.USER_ENDED,
        EndReason.IDLE_TIMEOUT,
        EndReason.MAX_DURATION,
        EndReason.VOICEMAIL,
        EndReason.SPEND_LIMIT,
    }
)

_FRAME = SPOKEN_RATE // 50

log = structlog.get_logger()


@runtime_checkable
class Preparable(Protocol):
    """A language model that answers sooner when it knows the prompt beforehand."""

    async def prepare(self, prompt: str) -> None:
        """Work out the prompt. Raises ProviderError."""
        ...


def always() -> bool:
    """No limit."""
    return True


class Call:
    """A conversation from "the caller is connected" to its end. An audio sink (`feed`, `dtmf`) and source (`pull`) for a transport.

    Make it inside the running event loop. A call that goes on after a gap gets what is known of it as `resume`. `notify` is called
    synchronously and must not block. `turn_end` judges by the sound whether a turn is over, where the agent wants to know. `meter` counts
    what is used of providers that it wraps already; without one the call counts by itself. `may_spend` says whether there is money left for
    another reply. `tools` are what the language model may call, where it can.
    """

    def __init__(
        self,
        plan: SessionPlan,
        *,
        stt: SpeechToText,
        tts: TextToSpeech,
        llm: LanguageModel,
        vad: VadTicker,
        recorder: Recorder | None,
        notify: Callable[[CallEvent], None],
        resume: Resumption | None = None,
        turn_end: TurnEndDetector | None = None,
        meter: CallMeter | None = None,
        may_spend: Callable[[], bool] = always,
        tools: tuple[Tool, ...] = (),
    ) -> None:
        config = plan.agent.config
        self._loop = asyncio.get_running_loop()
        self._notify = notify
        self._vad = vad
        self._usage = meter or CallMeter(clock=self._loop.time)
        if meter is None:
            stt, tts, llm = self._usage.stt(stt), self._usage.tts(tts), self._usage.llm(llm)
        self._llm = llm
        self._tts = tts
        self._resumption = resume
        self._elapsed = resume.elapsed if resume is not None else 0.0
        self._began: float | None = None
        self._ended: asyncio.Future[EndReason] = self._loop.create_future()
        self._lingers = False
        rules = TurnRules.of(
            config,
            trusts_partials=stt.capabilities.interim_results,
            drafts=not (llm.capabilities.tools and llm.capabilities.generative),
        )
        self._script = script_of(plan, greets=config.first_message_mode is FirstMessageMode.ASSISTANT_SPEAKS_FIRST)
        judges = turn_end is not None and rules.end_of_turn.wants_judgement
        self._judging = Judging(turn_end, self._judged) if turn_end is not None and judges else None
        self._keypad = Keypad(self._pressed)
        self._keys: deque[Pcm] = deque()
        self._guard = EchoGuard(self._echo_found)
        self._near = NearSpeech()
        self._language = config.transcription.language
        self._meter = Meter()
        self._log = TurnLog(self._said, history=resume.turns if resume is not None else ())
        self._hearing = Hearing(
            stt,
            config.transcription,
            heard=self._heard,
            failed=lambda error, again: self._conversation.hear_no_more(error, again=again),
            reopened=self._reopened,
        )
        self._ear = Ear(
            self._hearing.stream,
            stt.capabilities,
            self._voice_heard,
            keys=self._keypad if config.dtmf_enabled else None,
            guard=self._guard,
            near=self._near,
            memory_seconds=JUDGED_SECONDS if judges else RING_SECONDS,
        )
        self._follow(self._hearing.stream)
        self._conversation = Conversation(
            plan,
            script=self._script,
            rules=rules,
            ear=self._ear,
            turns=self._log,
            meter=self._meter,
            llm=llm,
            tts=tts,
            notify=notify,
            clock=self._clock,
            ended=self._end_said,
            judge=self._judge if self._judging is not None else None,
            may_spend=may_spend,
            toolbox=Toolbox(plan.session_id, tools, notify=notify) if tools and llm.capabilities.tools else None,
        )
        self._answered_by: AnsweredBy | None = None
        self._screen: VoicemailScreen | None = None
        if resume is None and screens(plan):
            self._screen = VoicemailScreen(
                config.voicemail_detection,
                self,
                now_ms=lambda: self._ear.now_ms(self._loop.time()),
                loop_time=self._ear.loop_time,
            )
            self._ear.on_window = self._screen.window
        self._waits_for_words = config.first_message_mode is FirstMessageMode.WAIT_FOR_USER
        self._sides = BothSides(recorder, self._ear) if recorder is not None else None

    # --- audio

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        """The caller's audio, 16 kHz, as it arrives; synchronous. Ignored before and after the conversation."""
        if self._is_live:
            self._ear.feed(audio, arrived_at)

    def dtmf(self, digit: str) -> None:
        """The network or the client says that the caller pressed a key."""
        if self._is_live:
            self._keypad.event(digit, self._loop.time())

    def pull(self) -> Pcm | None:
        """The agent's next 20 ms at 24 kHz, or None when it says nothing. Called every 20 ms."""
        if self._began is None or (self._ended.done() and not self._lingers):
            return None
        frame = self._keys.popleft() if self._keys else self._conversation.mouth.pull()
        if frame is not None or self._guard.is_audible:
            self._guard.played(frame, self._loop.time())
        if self._sides is not None:
            self._sides.pulled(frame, self._clock())
        return frame

    def when_ready(self, ready: Callable[[], None]) -> None:
        """Call `ready` whenever there is something to play after silence, so that it need not wait for the clock."""
        self._conversation.mouth.ready = ready

    def play_through(self, playout: Playout) -> None:
        """Whatever is pulled from now on takes a way to the caller that tells what is still on it."""
        if self._sides is not None:
            self._sides.playout = playout
            playout = self._sides
        self._conversation.mouth.playout = playout

    def hear_through(self, *, narrow: bool) -> None:
        """What line the caller's audio comes over from now on: `narrow` when nothing above 4 kHz passes it."""
        self._ear.narrow(narrow)

    # --- life

    async def run(self) -> EndReason:
        """Hold the conversation; returns why it ended, all turns on record by then. Cancelling it ends it at once. Runs once."""
        if self._began is not None:
            raise RuntimeError("a call runs once")
        now = self._loop.time()
        self._began = now - self._elapsed
        self._ear.start(now, elapsed=self._elapsed)
        for name in self._script.unknown if self._resumption is None else ():
            self._notify(Warned(text=f"The variable {name} has no value."))
        self._vad.add(self._ear, on_fault=self._broke)
        reader = asyncio.create_task(self._hear(), name="hearing")
        preparation = asyncio.create_task(self._prepare(), name="preparation")
        try:
            self._begin()
            reason = await asyncio.shield(self._ended)
            await self._last_words(reason)
            return reason
        finally:
            self._vad.remove(self._ear)
            if not self._ended.done():
                self._ended.set_result(EndReason.ERROR)
            reader.cancel()
            preparation.cancel()
            if self._judging is not None:
                self._judging.stop()
            if self._screen is not None:
                self._screen.stop()
            await self._conversation.aclose()
            if self._meter.wasted_tokens:
                log.info("call.drafts_dropped", tokens=self._meter.wasted_tokens)
            await asyncio.gather(reader, preparation, return_exceptions=True)
            await self._hearing.aclose()
            if self._sides is not None:
                self._sides.end(self._clock())

    def end(self, reason: EndReason) -> None:
        """End the conversation for `reason`; the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    def forget(self) -> None:
        """Nobody asks for facts any more: let go of everything. The parts hold each other, and buffers; what is still told is ignored."""
        conversation, ended = self._conversation, self._ended
        memory.let_go(
            conversation.mouth,
            conversation.turns,
            conversation,
            self._ear,
            self._hearing,
            self._keypad,
            self._guard,
            self._log,
        )
        memory.let_go(self)
        self._began, self._ended, self._lingers = None, ended, False

    def advise(self, advice: str) -> None:
        """A supervisor tells the agent something that the caller does not hear."""
        self._conversation.advise(advice)

    def tell(self, text: str, over: Callable[[], None]) -> None:
        """Say something that nobody asked for, as soon as nobody speaks; `over` is called when it was heard, or cut, or will never be said."""
        if self._is_live:
            self._conversation.tell(text, over)
        else:
            over()

    def keep_company(self, comfort: Callable[[], str]) -> None:
        """The caller waits for somebody: say a `comfort` now and then, and do not wonder at his silence."""
        if self._is_live:
            self._conversation.keep_company(comfort)

    def wait_over(self) -> None:
        """He waits for nobody any more."""
        if self._is_live:
            self._conversation.wait_over()

    async def ask(self, order: str, *, seconds: float) -> str | None:
        """What the language model writes about the conversation so far when it is given an `order`; None when it can't, or not in time."""
        return await self._conversation.ask(order, seconds=seconds)

    def hold(self) -> None:
        """Nobody listens: the agent falls silent at the sample, silence does not count; only the maximum duration goes on."""
        if self._is_live:
            self._conversation.hold()

    def release(self) -> None:
        """The caller is back: go on."""
        if self._is_live:
            self._conversation.release()

    # --- who answered (`voicemail.Answering`)

    def note_answerer(self, answered_by: AnsweredBy) -> None:
        """The carrier says who answered; without a screen nobody wants to know."""
        self._answered_by = answered_by
        if self._is_live and self._screen is not None:
            self._screen.told(answered_by)
            self._look_at_screen()

    def ask_words(self) -> None:
        """Ask the recogniser for what the answerer said so far."""
        self._ear.flush()

    def converse(self, text: str) -> None:
        """Begin the conversation with whoever answered and said `text`, or go on with whoever has come behind a call screening."""
        if self._conversation.has_begun:
            self._conversation.wait_over()
            if self._greets_again(text):
                self._conversation.overheard(text)
                self._conversation.tell(self._script.opening, _nothing)
            else:
                self._conversation.answer(text)
            return
        self._conversation.overheard(text)
        if text and self._waits_for_words:
            self._conversation.resume(Restart(words=text), CallSnapshot())
        else:
            self._conversation.begin()

    def introduce(self, text: str, *, again: bool) -> None:
        """Say who calls, for whom and why to a call screening that said `text`; whoever it is for may come then."""
        self._conversation.overheard(text)
        if again and self._conversation.has_begun:
            self._conversation.tell(self._script.introduction, _nothing)
            return
        self._conversation.advise(SCREENED.format(introduction=self._script.introduction))
        self._conversation.resume(Restart(says=self._script.introduction), CallSnapshot())
        self._conversation.keep_company(_silence)

    def overhear(self, text: str) -> None:
        """Put on record what a call screening said beside."""
        self._conversation.overheard(text)

    def press(self, key: str, text: str) -> None:
        """Press a key of the telephone, by its tones, for whoever said `text`."""
        self._conversation.overheard(text)
        tones = key_tones(key, SPOKEN_RATE)
        self._keys.extend(
            Pcm(tones.samples[at : at + _FRAME], SPOKEN_RATE) for at in range(0, len(tones.samples), _FRAME)
        )

    def _greets_again(self, text: str) -> bool:
        """Whether somebody who came behind a call screening has only said that he is there."""
        says_nothing = not text or answerer_of(text) is Answerer.PERSON
        return says_nothing and not self._waits_for_words and bool(self._script.opening)

    def fall_silent(self) -> None:
        """Stop speaking: it is a machine after all."""
        self._conversation.hold()

    def leave_message(self, text: str) -> None:
        """Tell an answering machine the message, then end the call."""
        self._conversation.overheard(text)
        self._conversation.leave_message()

    def hang_up(self, text: str, *, machine: bool) -> None:
        """End the call: there is nobody to talk to."""
        self._conversation.overheard(text)
        self.end(EndReason.VOICEMAIL if machine else EndReason.DISCONNECTED)

    # --- facts

    def snapshot(self) -> CallSnapshot:
        """Where it stands, for a process that may have to go on with it. Cheap."""
        if self._began is None and self._resumption is not None:
            return self._resumption.snapshot
        return self._conversation.snapshot()

    @property
    def is_quiet(self) -> bool:
        """Whether this is a moment at which a hand-over is not noticed: nobody speaks and nothing is in the making."""
        return self._is_live and self._conversation.is_quiet(QUIET_MS)

    def usage(self) -> Usage:
        """What was used so far."""
        return self._usage.usage

    def quality(self) -> CallQuality:
        """How it went so far; the transport adds its packets."""
        quality = self._meter.quality(self._log.turns)
        return msgspec.structs.replace(quality, echo_suspected=self._guard.suspected)

    @property
    def user_was_heard(self) -> bool:
        """Whether anything the caller said was recognised."""
        return bool(self._log.pending_text) or any(turn.speaker is Speaker.USER for turn in self._log.turns)

    # --- inside

    @property
    def _is_live(self) -> bool:
        return self._began is not None and not (self._ended.done() and not self._lingers)

    def _clock(self) -> float:
        return self._loop.time() - self._began if self._began is not None else 0.0

    def _end_said(self, reason: EndReason) -> None:
        self.end(reason)

    def _heard(self, transcript: Transcript) -> None:
        """Words of the recogniser; those of the agent, heard again, are none."""
        if transcript.is_final and self._guard.repeats(transcript.text):
            transcript = msgspec.structs.replace(transcript, text="", words=())
        transcript = self._of_caller(transcript)
        if self._screen is not None and self._screen.words(transcript):
            if transcript.is_final:
                self._ear.answered()
            return
        self._conversation.hear(transcript)

    def _of_caller(self, transcript: Transcript) -> Transcript:
        """Words of a voice behind the caller are none."""
        if not (transcript.is_final or self._near.doubts()):
            return transcript
        if not has_content(transcript.text, self._language):
            if transcript.is_final:
                self._near.not_understood()
            return transcript
        ours = transcript.is_final and self._near.understood()
        return transcript if ours else msgspec.structs.replace(transcript, text="", words=())

    def _voice_heard(self, happened: TurnInput) -> None:
        if self._judging is not None and isinstance(happened, SpeechStarted):
            self._judging.stop()  # the silence it was asked about is over: other calls need the model
        screen = self._screen
        if screen is None or not screen.voice(happened):
            self._conversation.turns.happen(happened)
        self._look_at_screen()

    def _look_at_screen(self) -> None:
        if self._screen is not None and self._screen.is_over:
            self._screen, self._ear.on_window = None, None

    def _said(self, event: CallEvent) -> None:
        if isinstance(event, TranscriptionUpdated) and event.speaker is Speaker.AGENT:
            self._guard.says(event.text)
        self._notify(event)

    def _echo_found(self) -> None:
        log.info("echo.suspected")
        self._notify(Warned(text=ECHO_WARNING))

    def _broke(self, error: Exception) -> None:
        """A bug must not leave the caller with somebody who hears nothing."""
        self.end(EndReason.ERROR)

    def _reopened(self, stream: SttStream) -> None:
        self._follow(stream)
        self._ear.listen_to(stream)
        self._conversation.hear_again()

    def _follow(self, stream: SttStream) -> None:
        """Recognisers may replace each other within a stream."""
        if isinstance(stream, ResilientSttStream):
            stream.adapted = self._ear.adapt

    def _begin(self) -> None:
        resumption = self._resumption
        if resumption is None:
            if self._screen is not None:
                self._screen.begin()
                if self._answered_by is not None:
                    self._screen.told(self._answered_by)
            else:
                self._conversation.begin()
            return
        greets = bool(self._script.opening)
        self._conversation.resume(restart_of(resumption, self._script, greets=greets), resumption.snapshot)

    def _pressed(self, digit: str) -> None:
        self._notify(KeyReceived(digit=digit))
        self._conversation.turns.happen(KeyPressed(self._ear.now_ms(self._loop.time()), digit))

    def _judge(self, silent_since_ms: float) -> None:
        if self._judging is not None:
            self._judging.start(self._ear.turn_audio(), silent_since_ms)

    def _judged(self, probability: float, silent_since_ms: float) -> None:
        self._conversation.judged(probability, silent_since_ms)

    async def _prepare(self) -> None:
        """Models that can get ready beforehand do so while the agent greets; connections are opened."""
        await asyncio.gather(self._llm.warm(), self._tts.warm())
        if self._judging is not None:
            await self._judging.warm()
        if isinstance(self._llm, Preparable):
            try:
                await self._llm.prepare(self._script.system)
            except ProviderError as error:
                log.info("llm.not_prepared", reason=error.detail)

    async def _hear(self) -> None:
        try:
            await self._hearing.run()
        except Deaf:
            self._notify(
                Fault(
                    code=FaultCode.STT_PROVIDER_TIMEOUT,
                    message="Speech recognition failed for good.",
                    recoverable=False,
                )
            )
            self.end(EndReason.ERROR)
        except Exception:
            log.exception("hearing.crashed")
            self.end(EndReason.ERROR)
            raise

    async def _last_words(self, reason: EndReason) -> None:
        """Let the last sound out and the last words in."""
        self._lingers = True
        if reason in LINGERING and self._conversation.turns.state.floor.value == "ended":
            await asyncio.sleep(LINGER_SECONDS)
        elif reason is not EndReason.ERROR:
            await self._conversation.hear_last_words(LAST_WORDS_SECONDS)
        self._lingers = False


def _nothing() -> None:
    """Nobody waits for a notice to be heard."""


def _silence() -> str:
    """Whoever waits behind a call screening is not spoken to."""
    return ""

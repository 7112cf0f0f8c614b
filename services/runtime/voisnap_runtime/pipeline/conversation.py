"""The conversation: carries out what the turn machine commands and tells it what came of it.

One reply is one task (`utterance`): language model → sentences → voice → mouth. An interruption cancels it; the history holds what was
heard of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import assert_never

import msgspec
import structlog
from voisnap_domain.conversations import TurnLatency
from voisnap_domain.declining import declines_calls
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.turntaking import (
    AgentFinished,
    AgentInterrupted,
    AgentStarted,
    Answer,
    ApologiseUnheard,
    CallerAway,
    CallerBack,
    CallerConnected,
    CallerJoined,
    CallerWaits,
    CallResumed,
    Cut,
    Draft,
    DropDraft,
    End,
    EndOfTurnLikely,
    FinishTurn,
    Floor,
    ForgetSpeech,
    GoOn,
    JudgeTurn,
    NoticeDue,
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
    TurnInput,
    TurnRules,
    TurnState,
    VoicemailReached,
    WaitOver,
    WordsFailed,
    WordsHeard,
    has_content,
    words_of,
)
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.llm import (
    EndCall,
    LanguageModel,
    LlmDelta,
    LlmRequest,
    LlmUsed,
    TextDelta,
    ToolCall,
    ToolCallBegun,
)
from voisnap_providers.ports.stt import Transcript
from voisnap_providers.ports.tts import TextToSpeech

from .advice import advised
from .ear import Ear
from .events import OUT_OF_MONEY, AgentState, AgentStateChanged, AudioCleared, CallEvent, Fault, FaultCode, Warned
from .meter import Meter
from .mouth import Heard, Mouth
from .prompt import Script, request_of
from .resuming import Restart, said_again
from .speaker import Speaker
from .tools import MAX_ROUNDS, Toolbox, Used, continued, words_instead
from .turn_driver import TurnDriver
from .turn_log import Said, TurnLog
from .utterance import Utterance
from .waterfall import Waterfall

LLM_SECONDS = 8.0
"""How long a language model may take for its first word, and between words."""
MAX_FILLERS = 2
"""Fillers before one reply."""
SECOND_FILLER_SECONDS = 2.0
"""How much longer than the first the second one is waited for."""
MUTE_REPLIES = 2
"""Replies in a row without a voice after which the call ends."""

log = structlog.get_logger()


class Conversation:
    """The agent's side of one call. `ended` is called once, with the reason, when the machine says so."""

    def __init__(
        self,
        plan: SessionPlan,
        *,
        script: Script,
        rules: TurnRules,
        ear: Ear,
        turns: TurnLog,
        meter: Meter,
        llm: LanguageModel,
        tts: TextToSpeech,
        notify: Callable[[CallEvent], None],
        clock: Callable[[], float],
        ended: Callable[[EndReason], None],
        judge: Callable[[float], None] | None = None,
        may_spend: Callable[[], bool],
        toolbox: Toolbox | None = None,
    ) -> None:
        self._plan = plan
        self._script = script
        self._ear = ear
        self._log = turns
        self._meter = meter
        self._llm = llm
        self._speaker = Speaker(tts, plan.agent.config.voice)
        self._may_spend = may_spend
        self._judge = judge
        self._notify = notify
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self.mouth = Mouth(
            clock=clock,
            started=self._voice_started,
            begun=self._piece_begun,
            finished=self._voice_finished,
            dried=self._voice_dried,
        )
        self._clock = clock
        self.turns = TurnDriver(
            rules,
            now_ms=lambda: ear.now_ms(self._loop.time()),
            loop_time=ear.loop_time,
            moved=self._moved,
            command=self._do,
        )
        self._utterance: Utterance | None = None
        self._draft: Utterance | None = None
        self._filling: asyncio.TimerHandle | None = None
        self._fillers_said = 0
        self._only_filled = False
        self._finished_ms = 0.0
        self._cut_short = ""
        self._cut_wants_end = False
        self._restart = Restart()
        self._preface = ""
        self._agent_state = AgentState.LISTENING
        self._transcript: Transcript | None = None
        self._aside: Said | None = None
        self._disclosed = not script.disclosure
        self._flushed: float | None = None
        self._final: float | None = None
        self._waterfall: Waterfall | None = None
        self._latency: TurnLatency | None = None
        self._mute_replies = 0
        self._is_broke = False
        self._last_words: asyncio.Event | None = None
        self._is_reached_by_phone = plan.channel is Channel.PHONE and plan.caller.phone_number is not None
        self._toolbox = toolbox
        self._working: set[asyncio.Task[Used]] = set()
        self._answers = 0
        self._notices: list[Callable[[], None]] = []
        self._comfort: Callable[[], str] | None = None

    # --- its beginning, gaps, and how it stands

    def begin(self) -> None:
        """The caller is connected."""
        self.turns.happen(CallerConnected(self._now()))

    def resume(self, restart: Restart, was: CallSnapshot) -> None:
        """The call goes on after a gap."""
        self._restart = restart
        self._disclosed = self._disclosed or was.disclosed
        self._log.restore(restart.agent, restart.user)
        self._preface = restart.preface
        self.turns.happen(
            CallResumed(
                at_ms=self._now(),
                words=restart.words,
                says=bool(restart.says),
                asked=restart.asked,
                ending=was.ending,
                prompts=was.prompts,
                warned=was.warned,
                goodbye_said=was.goodbye_said,
            )
        )

    @property
    def has_begun(self) -> bool:
        """Whether anybody was spoken to."""
        return self.turns.state.connected

    def answer(self, text: str) -> None:
        """Answer somebody who was listened to by others until now."""
        self.turns.happen(CallerJoined(self._now(), text))

    def leave_message(self) -> None:
        """An answering machine records: tell it the message, then the call is over."""
        self.mouth.release()
        self.turns.happen(VoicemailReached(self._now()))

    def overheard(self, text: str) -> None:
        """Put on record what was said before the conversation began."""
        if text:
            self._log.say(self._unspoken(text))

    def advise(self, advice: str) -> None:
        """Let the replies from now on follow what a supervisor says."""
        self._script = advised(self._script, advice)

    def tell(self, text: str, over: Callable[[], None]) -> None:
        """Say something as soon as nobody speaks; `over` is called when it was heard, or cut, or the call ends without it."""
        self._notices.append(over)
        self.turns.happen(NoticeDue(self._now(), text))

    def keep_company(self, comfort: Callable[[], str]) -> None:
        """The caller waits for somebody: say a `comfort` now and then, and do not wonder at his silence."""
        self._comfort = comfort
        self.turns.happen(CallerWaits(self._now()))

    async def ask(self, order: str, *, seconds: float) -> str | None:
        """What the language model writes about the conversation so far when it is given an `order`; None when it can't, or not in time."""
        if not self._llm.capabilities.generative or not self._may_spend():
            return None
        request = request_of(self._plan, self._script, self._log.history, order)
        written = ""
        try:
            async with asyncio.timeout(seconds), aclosing(self._llm.answer(request)) as deltas:
                async for delta in deltas:
                    written += delta.text if isinstance(delta, TextDelta) else ""
        except (ProviderError, TimeoutError) as error:
            log.info("llm.not_asked", error=repr(error))
            return None
        return written.strip() or None

    def wait_over(self) -> None:
        """He waits for nobody any more."""
        self._comfort = None
        self.turns.happen(WaitOver(self._now()))

    def hold(self) -> None:
        """The caller's line is broken: the agent is silent and waits."""
        self.mouth.hold()
        self.turns.happen(CallerAway(self._now()))

    def release(self) -> None:
        """The line is there again."""
        self.turns.happen(CallerBack(self._now()))
        self.mouth.release()

    def snapshot(self) -> CallSnapshot:
        """All that is needed to go on elsewhere."""
        state = self.turns.state
        heard = self.mouth.heard() if self.mouth.was_heard else None
        ending = state.ending
        said = self._utterance if state.reply_due else None
        if ending is None and said is not None and said.wants_end:
            ending = EndReason.AGENT_ENDED
        return CallSnapshot(
            elapsed=self._clock(),
            next_sequence=self._log.next_sequence,
            agent=None if heard is None else self._log.open_agent_turn(heard),
            rest="" if said is None or (heard is None and said.answers) else said.rest(heard),
            unwritten=said is not None and heard is not None and not said.is_written,
            user=self._log.open_user_turn(),
            disclosed=self._disclosed or self._discloses(heard),
            prompts=state.prompts,
            warned=state.warned,
            goodbye_said=state.goodbye_said,
            ending=ending,
        )

    def is_quiet(self, for_ms: float) -> bool:
        """Whether nobody has spoken and nothing is in the making for so long."""
        state = self.turns.state
        silent_for = self._now() - max(state.silent_since_ms, state.quiet_since_ms, self._finished_ms)
        return state.is_quiet and not self.mouth.is_busy and silent_for >= for_ms

    # --- what the call tells

    def hear(self, transcript: Transcript) -> None:
        """Words of the recogniser."""
        self._transcript = transcript
        if self._last_words is not None:
            self._take_last(transcript, self._last_words)
            return
        if transcript.is_final:
            self._final = self._loop.time()
            if self.turns.state.finals_due <= 1:
                self._ear.answered()
        self.turns.happen(
            WordsHeard(
                self._now(),
                transcript.text,
                transcript.is_final,
                transcript.confidence,
                is_prepared=transcript.is_prepared,
                utterance_over=transcript.ends_utterance,
            )
        )

    def judged(self, probability: float, silent_since_ms: float) -> None:
        """How likely the turn is over by how it sounded."""
        self.turns.happen(EndOfTurnLikely(self._now(), probability, silent_since_ms))

    def hear_no_more(self, error: ProviderError, *, again: bool) -> None:
        """The recogniser failed. `again`: another one hears the same audio at once, so that nothing is lost."""
        log.warning("stt.failed", provider=error.provider, retryable=error.retryable, reason=error.detail)
        if not again:
            self._ear.answered()
            self.turns.happen(WordsFailed(self._now()))

    def hear_again(self) -> None:
        """Another recogniser has heard what the failed one owed words for: ask for them."""
        for _ in range(self.turns.state.finals_due):
            self._ear.flush()

    async def hear_last_words(self, seconds: float) -> None:
        """The call is over while the caller may be speaking: stop, and wait up to `seconds` for what was said."""
        await self._fall_silent()
        state = self.turns.state
        if not (state.open_speech or state.finals_due):
            return
        self._last_words = asyncio.Event()
        if state.open_speech:
            self._ear.flush()
        try:
            async with asyncio.timeout(seconds):
                await self._last_words.wait()
        except TimeoutError:
            return

    async def aclose(self) -> None:
        """Stop speaking and put on record what was heard and said."""
        await self._fall_silent()
        self._log.close_user()
        self._log.close_tools()
        for task in self._working:
            task.cancel()
        if self._utterance is not None:
            self._utterance.settle()
        self._tell_notices()

    async def _fall_silent(self) -> None:
        self.turns.stop()
        self._stop_filling()
        made = [utterance for utterance in (self._utterance, self._draft) if utterance is not None]
        for utterance in made:
            utterance.cancel()
        for utterance in made:
            await utterance.over()
        if self.mouth.is_busy:
            self._log.close_agent(self.mouth.cut(), latency=self._latency)

    def _take_last(self, transcript: Transcript, over: asyncio.Event) -> None:
        if not transcript.is_final:
            return
        state = self.turns.state
        if has_content(transcript.text, self.turns.rules.language) or (
            transcript.text.strip() and not state.agent_was_heard
        ):
            self._log.say(self._said(transcript, state))
        over.set()

    def _now(self) -> float:
        return self._ear.now_ms(self._loop.time())

    # --- what the machine says

    def _moved(self, before: TurnState, after: TurnState, happened: TurnInput) -> None:
        if isinstance(happened, WordsHeard):
            self._note_words(before, after, happened)
        elif isinstance(happened, CallResumed):
            pass  # the log was restored
        elif after.words.startswith(before.words) and (added := after.words[len(before.words) :].strip()):
            self._log.say(self._unspoken(added))
        elif before.words and not after.words:
            self._log.close_user()
        self._tell_state(after)

    def _note_words(self, before: TurnState, after: TurnState, heard: WordsHeard) -> None:
        transcript = self._transcript
        if transcript is None:
            return
        if not heard.is_final:
            if after.open_speech and after.floor is Floor.LISTENING:
                self._log.guess(self._said(transcript, after))
            return
        if after.words != before.words:
            self._log.say(self._said(transcript, after))
        else:
            if after.aside and after.aside_ms == after.now_ms:
                self._aside = self._said(transcript, after)
            self._log.take_back(self._clock())

    def _said(self, transcript: Transcript, state: TurnState) -> Said:
        words = self._ear.words_in_call(transcript.words)
        spoken_until = state.silent_since_ms / 1000 if transcript.is_final else self._clock()
        end = words[-1].end_time if words else spoken_until
        start = words[0].start_time if words else max(0.0, end - transcript.audio_seconds)
        return Said(
            text=transcript.text.strip(),
            words=words,
            start=start,
            end=max(start, end),
            confidence=transcript.confidence,
        )

    def _unspoken(self, text: str) -> Said:
        """Words that came without the recogniser: an aside that became an answer, or keys."""
        aside, self._aside = self._aside, None
        if aside is not None and aside.text == text:
            return aside
        now = self._clock()
        return Said(text=text, words=(), start=now, end=now, confidence=1.0)

    def _tell_state(self, state: TurnState) -> None:
        match state.floor:
            case Floor.SPEAKING if self._only_filled:
                now = AgentState.THINKING
            case Floor.SPEAKING:
                now = AgentState.SPEAKING
            case Floor.THINKING:
                now = AgentState.THINKING
            case Floor.LISTENING | Floor.HELD | Floor.ENDED:
                now = AgentState.LISTENING
            case _:
                assert_never(state.floor)
        if now is not self._agent_state:
            self._agent_state = now
            self._notify(AgentStateChanged(state=now))

    def _do(self, command: TurnCommand) -> None:
        match command:
            case Pause():
                self._waterfall = None
                self.mouth.pause()
            case Resume():
                self.mouth.resume()
            case Cut():
                self._cut()
            case PrepareTranscript():
                self._ear.prepare()
            case ForgetSpeech():
                self._ear.forget()
            case FinishTurn():
                self._flushed, self._final = self._loop.time(), None
                self._ear.flush()
            case Answer():
                self._answer(command.text, warns=command.warns)
            case JudgeTurn():
                if self._judge is not None:
                    self._judge(command.silent_since_ms)
            case Draft():
                self._begin_draft(command.text)
            case DropDraft():
                self._drop_draft()
            case GoOn():
                self._say(self._cut_short)
                if self._utterance is not None:
                    self._utterance.wants_end = self._cut_wants_end
            case SayOpening():
                self._say(self._script.opening)
            case SayResumption():
                self._say(self._restart.says)
            case SaySilencePrompt():
                self._say(self._script.silence_message)
            case SayNotice():
                self._say(command.text)
                self._notices_said_with(self._utterance)
            case SayComfort():
                self._say(self._comfort() if self._comfort is not None else "")
            case SayTimeWarning():
                self._say(self._time_warning())
            case SayGoodbye():
                self._say(self._goodbye(command.reason))
            case ApologiseUnheard():
                self._notify(
                    Fault(
                        code=FaultCode.STT_PROVIDER_TIMEOUT,
                        message="Speech recognition did not answer.",
                        recoverable=True,
                    )
                )
                self._say(self._script.phrases.unheard)
            case End():
                broke = self._is_broke and command.reason is EndReason.AGENT_ENDED
                self._ended(EndReason.SPEND_LIMIT if broke else command.reason)
            case _:
                assert_never(command)

    # --- speaking

    def _notices_said_with(self, utterance: Utterance | None) -> None:
        if utterance is None:
            self._tell_notices()
            return
        waiting, self._notices = self._notices, []
        for over in waiting:
            utterance.when_settled(over)

    def _tell_notices(self) -> None:
        waiting, self._notices = self._notices, []
        for over in waiting:
            over()

    def _goodbye(self, reason: EndReason) -> str:
        if reason is EndReason.VOICEMAIL:
            return self._script.voicemail
        phrases = self._script.phrases
        return phrases.goodbye_idle if reason is EndReason.IDLE_TIMEOUT else phrases.goodbye_long

    def _say(self, text: str) -> None:
        self._waterfall = None
        self._drop_draft()
        lead = "" if self._disclosed or self._script.disclosure in text else self._script.disclosure
        self._speak(self._utterance_of(_only(f"{lead} {text}".strip())))

    def _answer(self, text: str, *, warns: bool = False) -> None:
        self._answers += 1
        if not self._may_spend():
            self._part()
            return
        if self._is_reached_by_phone and declines_calls(text):
            self._promise()
            return
        state = self.turns.state
        self._waterfall = Waterfall(
            speech_ended=self._ear.loop_time(state.silent_since_ms),
            silence_ms=state.waited_ms,
            flushed=self._flushed,
            final=self._final,
            answered=self._loop.time(),
        )
        draft, self._draft = self._draft, None
        if draft is not None and (warns or draft.has_failed or words_of(draft.answers) != words_of(text)):
            draft.cancel()
            draft = None
        if draft is None:
            lead = self._time_warning() if warns else ""
            draft = self._reply_to(text, lead=f"{self._preface} {lead}".strip())
        self._preface = ""
        self._speak(draft)
        self._fill_after(0)

    def _part(self) -> None:
        """There is no money for another reply: say goodbye, once, and end."""
        if self._is_broke:
            self._ended(EndReason.SPEND_LIMIT)
            return
        self._is_broke = True
        log.info("call.out_of_money")
        self._notify(OUT_OF_MONEY)
        self._notify(Warned(text="The call was ended: the monthly spend limit is used up."))
        self._say(self._script.phrases.goodbye_unpaid)
        if self._utterance is not None:
            self._utterance.wants_end = True

    def _promise(self) -> None:
        """Whoever speaks wants no more calls, and gets none (`voisnap_domain.declining`): tell him so, whatever a model would say. A call of
        ours is over then."""
        log.info("call.declined")
        phrases, is_ours = self._script.phrases, self._plan.direction is Direction.OUTBOUND
        self._say(f"{phrases.no_more_calls} {phrases.goodbye}" if is_ours else phrases.no_more_calls)
        if is_ours and self._utterance is not None:
            self._utterance.wants_end = True

    def _begin_draft(self, text: str) -> None:
        self._drop_draft()
        if not self._may_spend():
            return
        self._draft = self._reply_to(text, lead="")

    def _drop_draft(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.cancel()

    def _reply_to(self, text: str, *, lead: str) -> Utterance:
        lead = lead if self._disclosed else f"{self._script.disclosure} {lead}".strip()
        tools = () if self._toolbox is None else self._toolbox.specs
        request = request_of(self._plan, self._script, self._log.history, text, tools)
        made: list[Utterance] = []
        reply = self._utterance_of(self._reply(request, lead, made), answers=text)
        made.append(reply)
        return reply

    def _utterance_of(self, text: AsyncGenerator[str], *, answers: str = "") -> Utterance:
        return Utterance(
            text,
            speaker=self._speaker,
            mouth=self.mouth,
            apologise=self._apology,
            mute=self._voiceless,
            spoke=self._spoke,
            crashed=self._crashed,
            answers=answers,
        )

    def _speak(self, utterance: Utterance) -> None:
        self._latency = None
        self._only_filled = False
        self._utterance = utterance
        utterance.adopt()

    def _time_warning(self) -> str:
        rules = self.turns.rules
        return self._script.phrases.time_left(rules.max_duration_ms / 1000 - self._clock())

    def _spoke(self) -> None:
        self._mute_replies = 0

    def _crashed(self, error: BaseException) -> None:
        log.error("reply.crashed", exc_info=error)
        self._ended(EndReason.ERROR)

    def _apology(self, error: ProviderError) -> str:
        log.warning(
            "reply.failed", kind=error.kind, provider=error.provider, retryable=error.retryable, reason=error.detail
        )
        if error.kind == "tts":
            self._voiceless(error)
            return ""
        self._notify(Fault(code=FaultCode.LLM_PROVIDER_ERROR, message="The language model failed.", recoverable=True))
        return self._script.phrases.broken

    def _voiceless(self, error: ProviderError) -> None:
        self._mute_replies += 1
        if self._mute_replies < MUTE_REPLIES:
            self._notify(Warned(text=f"The voice failed once: {error.detail}"))
            return
        self._notify(Fault(code=FaultCode.TTS_PROVIDER_ERROR, message="The voice failed.", recoverable=False))
        self._ended(EndReason.ERROR)

    async def _reply(self, request: LlmRequest, lead: str, made: list[Utterance]) -> AsyncGenerator[str]:
        """The model's words, behind what has to be said first, and between them what tools make of it. The utterance they are for is in
        `made` by the time this runs."""
        prompt_chars = sum(len(message.content) for message in request.messages)
        written = ""
        if lead:
            yield f"{lead}\n"
        try:
            for rounds in range(MAX_ROUNDS + 1):
                if rounds == MAX_ROUNDS:  # it calls in circles: it has to speak now
                    request = msgspec.structs.replace(request, tools=())
                calls: list[ToolCall] = []
                said = written
                async with aclosing(self._deltas(request, calls, made[0])) as texts:
                    async for text in texts:
                        written += text
                        yield text
                if not calls or self._toolbox is None:
                    break
                yield "\n"  # what was said so far is spoken meanwhile
                used = await self._use(self._toolbox, calls, made[0], spoke=bool(written.strip()))
                if (says := words_instead(used)) is not None:
                    yield says
                    return
                request = continued(request, used, said=written[len(said) :].strip())
            if not written and not made[0].wants_end:
                log.warning("reply.empty", provider=self._llm.provider)
                yield self._script.phrases.broken
        finally:
            if not made[0].is_adopted:
                self._meter.wasted_tokens_of(prompt_chars, len(written))

    async def _deltas(self, request: LlmRequest, calls: list[ToolCall], reply: Utterance) -> AsyncGenerator[str]:
        """The text of one answer of the model; its calls of tools go into `calls`."""
        async with aclosing(self._llm.answer(request)) as deltas:
            while (delta := await self._next_delta(deltas)) is not None:
                match delta:
                    case TextDelta():
                        yield delta.text
                    case EndCall():
                        reply.wants_end = True
                    case ToolCall():
                        calls.append(delta)
                    case ToolCallBegun() | LlmUsed():
                        pass  # tokens are counted around the model
                    case _:
                        assert_never(delta)

    async def _use(self, toolbox: Toolbox, calls: list[ToolCall], reply: Utterance, *, spoke: bool) -> tuple[Used, ...]:
        """Carry out what the model called, once it is sure that the reply is said. What was begun goes on when the reply is cut, and what
        came of it is in the history in any case."""
        await reply.adopted()
        noted = [
            asyncio.create_task(self._carry_out(toolbox, call, reply, spoke=spoke), name="tool result")
            for call in calls
        ]
        self._working |= set(noted)
        for task in noted:
            task.add_done_callback(self._working.discard)
        return tuple([await asyncio.shield(task) for task in noted])

    async def _carry_out(self, toolbox: Toolbox, call: ToolCall, reply: Utterance, *, spoke: bool) -> Used:
        began = self._clock()
        task, is_new = toolbox.start(call, turn=self._answers, spoke=spoke)
        used = Used(call=call, result=await task)
        if is_new:
            self._log.tool_used(used.use, used.result.content, start=began, end=self._clock())
            reply.wants_end = reply.wants_end or used.result.ends_call
            if used.result.after is not None:
                reply.when_settled(used.result.after)
        return used

    async def _next_delta(self, deltas: AsyncGenerator[LlmDelta]) -> LlmDelta | None:
        try:
            async with asyncio.timeout(LLM_SECONDS):
                return await anext(deltas, None)
        except TimeoutError:
            detail = f"no answer within {LLM_SECONDS:g} s"
            raise ProviderTimeout(detail, provider=self._llm.provider, kind="llm") from None

    # --- fillers

    def _fill_after(self, spoken: int) -> None:
        """Say a filler when nothing of the reply is there after a while; a second one after a longer while."""
        self._stop_filling()
        fillers = self._plan.agent.config.fillers
        if not (fillers.enabled and self._script.fillers) or spoken >= MAX_FILLERS:
            return
        wait = fillers.delay_ms / 1000 + spoken * SECOND_FILLER_SECONDS
        self._filling = self._loop.call_later(wait, self._fill, spoken)

    def _fill(self, spoken: int) -> None:
        utterance = self._utterance
        if utterance is None or utterance.is_begun or self.turns.state.away_since_ms is not None:
            return
        phrases = self._script.fillers
        utterance.fill(phrases[self._fillers_said % len(phrases)])
        self._fillers_said += 1
        self._fill_after(spoken + 1)

    def _stop_filling(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None

    # --- being interrupted

    def _cut(self) -> None:
        utterance = self._utterance
        self._stop_filling()
        was_heard = self.mouth.was_heard
        heard = self.mouth.cut()
        self._waterfall = None
        self._cut_short = ""
        if utterance is not None:
            utterance.cancel()
            utterance.settle()
            self._cut_wants_end = utterance.wants_end
            if was_heard:
                self._cut_short = said_again(utterance.own_words(heard.text), utterance.rest(heard))
        if was_heard:
            self._disclosed = self._disclosed or self._discloses(heard)
            self._meter.interruptions += 1
            self._notify(AudioCleared())
            self._log.close_agent(heard, latency=self._latency)
            self.turns.happen(AgentInterrupted(self._now(), heard.text))

    def _discloses(self, heard: Heard | None) -> bool:
        return heard is not None and self._script.disclosure in heard.text

    # --- what the mouth tells

    def _voice_started(self) -> None:
        self.turns.happen(AgentStarted(self._now()))
        self._log.agent_started(self._clock())

    def _voice_dried(self) -> None:
        """A filler was said and the reply is still in the making."""
        self._only_filled = self._utterance is not None and not self._utterance.is_begun
        self._tell_state(self.turns.state)

    def _piece_begun(self, text: str) -> None:
        self._log.agent_says(text, self._clock())
        self._only_filled = False
        self._tell_state(self.turns.state)
        utterance = self._utterance
        if self._waterfall is None or utterance is None or not utterance.own_words(text):
            return
        self._latency = self._waterfall.heard(
            self._loop.time(), sentence=utterance.sentence_at, chunk=utterance.chunk_at
        )
        self._meter.answered(self._latency)
        self._waterfall = None

    def _voice_finished(self, heard: Heard) -> None:
        self._stop_filling()
        self._finished_ms = self._now()
        self._disclosed = self._disclosed or self._discloses(heard)
        self._log.close_agent(heard, latency=self._latency)
        wants_end = self._utterance is not None and self._utterance.wants_end
        if self._utterance is not None:
            self._utterance.settle()
        self.turns.happen(AgentFinished(self._now(), heard.text, wants_end))


async def _only(text: str) -> AsyncGenerator[str]:
    yield text

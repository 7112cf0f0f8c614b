"""The conversation: carries out what the turn machine commands and tells it what came of it.

One reply is one task: language model → sentences → voice → mouth. An interruption cancels it; the history holds what was heard of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import assert_never

import structlog
from voisnap_domain.conversations import TurnLatency
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_domain.turntaking import (
    AgentFinished,
    AgentStarted,
    Answer,
    ApologiseUnheard,
    Cut,
    End,
    FinishTurn,
    Floor,
    ForgetSpeech,
    Pause,
    PrepareTranscript,
    Resume,
    SayGoodbye,
    SayOpening,
    SaySilencePrompt,
    TurnCommand,
    TurnInput,
    TurnRules,
    TurnState,
    WordsFailed,
    WordsHeard,
    has_content,
)
from voisnap_media.resample import Resampler
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.llm import EndCall, LanguageModel, LlmDelta, LlmRequest, LlmUsed, TextDelta
from voisnap_providers.ports.stt import Transcript
from voisnap_providers.ports.tts import SpeechChunk, TextToSpeech

from . import mouth as mouths
from .ear import Ear
from .events import AgentState, AgentStateChanged, AudioCleared, CallEvent, Fault, FaultCode, Warned
from .meter import Meter
from .mouth import Heard, Mouth
from .prompt import GOODBYE_IDLE, GOODBYE_LONG, SORRY_BROKEN, SORRY_UNHEARD, Script, request_of
from .sentences import sentences
from .turn_driver import TurnDriver
from .turn_log import Said, TurnLog
from .waterfall import Waterfall

LLM_SECONDS = 8.0
"""How long a language model may take for its first word, and between words."""
TTS_SECONDS = 5.0
"""How long a voice may take for the first audio of a sentence, and between pieces."""
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
    ) -> None:
        self._plan = plan
        self._script = script
        self._ear = ear
        self._log = turns
        self._meter = meter
        self._llm = llm
        self._tts = tts
        self._notify = notify
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self.mouth = Mouth(
            clock=clock, started=self._voice_started, begun=self._piece_begun, finished=self._voice_finished
        )
        self._clock = clock
        self.turns = TurnDriver(
            rules,
            now_ms=lambda: ear.now_ms(self._loop.time()),
            loop_time=ear.loop_time,
            moved=self._moved,
            command=self._do,
        )
        self._speech: asyncio.Task[None] | None = None
        self._wants_end = False
        self._agent_state = AgentState.LISTENING
        self._transcript: Transcript | None = None
        self._aside: Said | None = None
        self._disclosed = not script.disclosure
        self._flushed: float | None = None
        self._final: float | None = None
        self._waterfall: Waterfall | None = None
        self._latency: TurnLatency | None = None
        self._mute_replies = 0
        self._last_words: asyncio.Event | None = None

    # --- what the call tells

    def hear(self, transcript: Transcript) -> None:
        """Words of the recogniser."""
        self._transcript = transcript
        if self._last_words is not None:
            self._take_last(transcript, self._last_words)
            return
        if transcript.is_final:
            self._final = self._loop.time()
        self.turns.happen(WordsHeard(self._now(), transcript.text, transcript.is_final, transcript.confidence))

    def hear_no_more(self, error: ProviderError) -> None:
        """The recogniser failed."""
        log.warning("stt.failed", provider=error.provider, retryable=error.retryable, reason=error.detail)
        self.turns.happen(WordsFailed(self._now()))

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

    async def _fall_silent(self) -> None:
        self.turns.stop()
        if self._speech is not None:
            self._speech.cancel()
            await asyncio.gather(self._speech, return_exceptions=True)
        if self.mouth.is_busy:
            self._log.close_agent(self.mouth.cut(), latency=self._latency)

    def _take_last(self, transcript: Transcript, over: asyncio.Event) -> None:
        if not transcript.is_final:
            return
        state = self.turns.state
        if has_content(transcript.text) or (transcript.text.strip() and not state.agent_was_heard):
            self._log.say(self._said(transcript, state))
        over.set()

    def _now(self) -> float:
        return self._ear.now_ms(self._loop.time())

    # --- what the machine says

    def _moved(self, before: TurnState, after: TurnState, happened: TurnInput) -> None:
        if isinstance(happened, WordsHeard):
            self._note_words(before, after, happened)
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
                said = self._said(transcript, after)
                self._log.guess(said.text, confidence=said.confidence, start=said.start, end=said.end)
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
                self._answer(command.text)
            case SayOpening():
                self._say(self._script.opening)
            case SaySilencePrompt():
                self._say(self._script.silence_message)
            case SayGoodbye():
                self._say(GOODBYE_IDLE if command.reason is EndReason.IDLE_TIMEOUT else GOODBYE_LONG)
            case ApologiseUnheard():
                self._notify(
                    Fault(
                        code=FaultCode.STT_PROVIDER_TIMEOUT,
                        message="Speech recognition did not answer.",
                        recoverable=True,
                    )
                )
                self._say(SORRY_UNHEARD)
            case End():
                self._ended(command.reason)
            case _:
                assert_never(command)

    # --- speaking

    def _say(self, text: str) -> None:
        self._waterfall = None
        self._speak(_only(text))

    def _answer(self, text: str) -> None:
        state = self.turns.state
        self._waterfall = Waterfall(
            speech_ended=self._ear.loop_time(state.silent_since_ms),
            silence_ms=self.turns.rules.end_of_turn.silence_ms(text),
            flushed=self._flushed,
            final=self._final,
            answered=self._loop.time(),
        )
        request = request_of(self._plan, self._script, self._log.turns, text)
        self._speak(self._reply(request))

    def _speak(self, text: AsyncGenerator[str]) -> None:
        self._wants_end = False
        self._latency = None
        self.mouth.begin()
        self._speech = asyncio.create_task(self._speech_of(text), name="speech")
        self._speech.add_done_callback(self._speech_done)

    async def _speech_of(self, text: AsyncGenerator[str]) -> None:
        try:
            async with aclosing(text), aclosing(sentences(text)) as pieces:
                async for piece in pieces:
                    if self._waterfall:
                        self._waterfall.sentence(self._loop.time())
                    await self._voice(piece)
        except ProviderError as error:
            await self._apologise(error)
        self.mouth.close()

    def _speech_done(self, task: asyncio.Task[None]) -> None:
        """A bug in a reply must not leave the call silent for good: the call ends."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("reply.crashed", exc_info=error)
        self._ended(EndReason.ERROR)

    async def _apologise(self, error: ProviderError) -> None:
        log.warning(
            "reply.failed", kind=error.kind, provider=error.provider, retryable=error.retryable, reason=error.detail
        )
        if error.kind == "tts":
            self._voiceless(error)
            return
        self._notify(Fault(code=FaultCode.LLM_PROVIDER_ERROR, message="The language model failed.", recoverable=True))
        try:
            await self._voice(SORRY_BROKEN)
        except ProviderError as second:
            self._voiceless(second)

    def _voiceless(self, error: ProviderError) -> None:
        self._mute_replies += 1
        if self._mute_replies < MUTE_REPLIES:
            self._notify(Warned(text=f"The voice failed once: {error.detail}"))
            return
        self._notify(Fault(code=FaultCode.TTS_PROVIDER_ERROR, message="The voice failed.", recoverable=False))
        self._ended(EndReason.ERROR)

    async def _reply(self, request: LlmRequest) -> AsyncGenerator[str]:
        prompt_chars = sum(len(message.content) for message in request.messages)
        reply_chars = 0
        counted = False
        if not self._disclosed:
            yield f"{self._script.disclosure}\n"
        try:
            async with aclosing(self._llm.answer(request)) as deltas:
                while (delta := await self._next_delta(deltas)) is not None:
                    match delta:
                        case TextDelta():
                            reply_chars += len(delta.text)
                            yield delta.text
                        case EndCall():
                            self._wants_end = True
                        case LlmUsed():
                            counted = True
                            self._meter.tokens(delta.input_tokens, delta.output_tokens)
                        case _:
                            assert_never(delta)
            if not reply_chars and not self._wants_end:
                log.warning("reply.empty", provider=self._llm.provider)
                yield SORRY_BROKEN
        finally:
            if not counted:
                self._meter.tokens_of(prompt_chars, reply_chars)

    async def _next_delta(self, deltas: AsyncGenerator[LlmDelta]) -> LlmDelta | None:
        try:
            async with asyncio.timeout(LLM_SECONDS):
                return await anext(deltas, None)
        except TimeoutError:
            detail = f"no answer within {LLM_SECONDS:g} s"
            raise ProviderTimeout(detail, provider=self._llm.provider, kind="llm") from None

    async def _voice(self, text: str) -> None:
        """Speak one piece; a voice that fails before its first sound is asked once more."""
        self._meter.characters(len(text))
        for attempt in (1, 2):
            spoken = False
            try:
                async with aclosing(self._tts.speak(text, self._plan.agent.config.voice)) as chunks:
                    while (chunk := await self._next_chunk(chunks)) is not None:
                        spoken = True
                        if self._waterfall:
                            self._waterfall.chunk(self._loop.time())
                        await self.mouth.add(chunk)
            except ProviderError as error:
                if spoken or attempt == 2 or not error.retryable:
                    raise
            else:
                if spoken:
                    self._mute_replies = 0
                return

    async def _next_chunk(self, chunks: AsyncGenerator[SpeechChunk]) -> SpeechChunk | None:
        try:
            async with asyncio.timeout(TTS_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            detail = f"no audio within {TTS_SECONDS:g} s"
            raise ProviderTimeout(detail, provider=self._tts.provider, kind="tts") from None
        return chunk and _at_mouth_rate(chunk)

    def _cut(self) -> None:
        if self._speech is not None:
            self._speech.cancel()
        was_heard = self.mouth.was_heard
        heard = self.mouth.cut()
        self._waterfall = None
        if was_heard:
            self._meter.interruptions += 1
            self._notify(AudioCleared())
            self._log.close_agent(heard, latency=self._latency)

    # --- what the mouth tells

    def _voice_started(self) -> None:
        self.turns.happen(AgentStarted(self._now()))
        if self._waterfall is not None:
            self._latency = self._waterfall.heard(self._loop.time())
            self._meter.answered(self._latency)
            self._waterfall = None
        self._log.agent_started(self._clock())

    def _piece_begun(self, text: str) -> None:
        self._log.agent_says(text, self._clock())

    def _voice_finished(self, heard: Heard) -> None:
        self._disclosed = self._disclosed or self._script.disclosure in heard.text
        self._log.close_agent(heard, latency=self._latency)
        self.turns.happen(AgentFinished(self._now(), heard.text, self._wants_end))


async def _only(text: str) -> AsyncGenerator[str]:
    yield text


def _at_mouth_rate(chunk: SpeechChunk) -> SpeechChunk:
    if chunk.audio.rate == mouths.RATE:
        return chunk
    resampler = Resampler(chunk.audio.rate, mouths.RATE)
    audio = resampler.process(chunk.audio)
    rest = resampler.finish()
    return SpeechChunk(audio=type(audio).concat((audio, rest)), text=chunk.text, words=chunk.words)

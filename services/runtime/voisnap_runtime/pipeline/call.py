"""One call: the list that wires ear, conversation, mouth and recorder."""

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import structlog
from voisnap_domain.conversations import CallQuality, Speaker, Turn
from voisnap_domain.costs import Usage
from voisnap_domain.sessions import EndReason, SessionPlan
from voisnap_domain.turntaking import CallerConnected, KeyPressed, TurnRules
from voisnap_media.pcm import Pcm
from voisnap_media.recorder import Recorder
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import LanguageModel
from voisnap_providers.ports.stt import SpeechToText
from voisnap_providers.ports.tts import TextToSpeech

from .both_sides import BothSides
from .conversation import Conversation
from .ear import Ear, VadTicker
from .events import CallEvent, Fault, FaultCode, Warned
from .hearing import Deaf, Hearing
from .meter import Meter
from .prompt import script_of
from .turn_log import TurnLog

LAST_WORDS_SECONDS = 0.6
"""How long a call that ends while the caller speaks waits for the recogniser's last words."""
LINGER_SECONDS = 0.3
"""Time for the agent's last sound to reach the caller before the call is over."""
LINGERING = frozenset({EndReason.AGENT_ENDED, EndReason.USER_ENDED, EndReason.IDLE_TIMEOUT, EndReason.MAX_DURATION})

log = structlog.get_logger()


@runtime_checkable
class Preparable(Protocol):
    """A language model that answers sooner when it knows the prompt beforehand."""

    async def prepare(self, prompt: str) -> None:
        """Work out the prompt. Raises ProviderError."""
        ...


class Call:
    """A conversation from "the caller is connected" to its end. An audio sink (`feed`, `dtmf`) and source (`pull`) for a transport.

    Make it inside the running event loop. A call that goes on on this process gets the `history` of its turns, the `first_sequence` that
    follows, and the seconds `elapsed`; then nobody is greeted again. `notify` is called synchronously and must not block.
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
        first_sequence: int = 1,
        history: tuple[Turn, ...] = (),
        elapsed: float = 0.0,
    ) -> None:
        config = plan.agent.config
        self._loop = asyncio.get_running_loop()
        self._notify = notify
        self._vad = vad
        self._llm = llm
        self._elapsed = elapsed
        self._began: float | None = None
        self._ended: asyncio.Future[EndReason] = self._loop.create_future()
        self._lingers = False
        self._resumes = bool(history) or elapsed > 0
        rules = TurnRules.of(
            config,
            speaks_first=False if self._resumes else None,
            elapsed_ms=elapsed * 1000,
            trusts_partials=stt.capabilities.interim_results,
        )
        greets = not self._resumes and config.first_message_mode.value == "assistant_speaks_first"
        self._script = script_of(plan, greets=greets)
        self._meter = Meter(
            llm=llm.provider,
            model=config.llm.model,
            tts=tts.provider,
            stt=stt.provider,
            stt_model=config.transcription.model,
        )
        self._log = TurnLog(notify, first_sequence=first_sequence, history=history)
        self._hearing = Hearing(
            stt,
            config.transcription,
            heard=lambda transcript: self._conversation.hear(transcript),
            failed=lambda error: self._conversation.hear_no_more(error),
            reopened=lambda stream: self._ear.listen_to(stream),
        )
        self._ear = Ear(
            self._hearing.stream, stt.capabilities, lambda happened: self._conversation.turns.happen(happened)
        )
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
        )
        self._sides = BothSides(recorder, self._ear) if recorder is not None else None

    # --- audio

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        """The caller's audio, 16 kHz, as it arrives; synchronous. Ignored before and after the conversation."""
        if self._is_live:
            self._ear.feed(audio, arrived_at)

    def dtmf(self, digit: str) -> None:
        """The caller pressed a key."""
        if self._is_live:
            self._conversation.turns.happen(KeyPressed(self._ear.now_ms(self._loop.time()), digit))

    def pull(self) -> Pcm | None:
        """The agent's next 20 ms at 24 kHz, or None when it says nothing. Called every 20 ms."""
        if not self._is_live:
            return None
        frame = self._conversation.mouth.pull()
        if self._sides is not None:
            self._sides.pulled(frame, self._clock())
        return frame

    # --- life

    async def run(self) -> EndReason:
        """Hold the conversation; returns why it ended, all turns on record by then. Cancelling it ends it at once. Runs once."""
        if self._began is not None:
            raise RuntimeError("a call runs once")
        now = self._loop.time()
        self._began = now - self._elapsed
        self._ear.start(now, elapsed=self._elapsed)
        for name in self._script.unknown:
            self._notify(Warned(text=f"The variable {name} has no value."))
        self._vad.add(self._ear)
        reader = asyncio.create_task(self._hear(), name="hearing")
        preparation = asyncio.create_task(self._prepare(), name="preparation")
        try:
            self._conversation.turns.happen(CallerConnected(self._ear.now_ms(now)))
            reason = await asyncio.shield(self._ended)
            await self._last_words(reason)
            return reason
        finally:
            self._vad.remove(self._ear)
            if not self._ended.done():
                self._ended.set_result(EndReason.ERROR)
            reader.cancel()
            preparation.cancel()
            await self._conversation.aclose()
            await asyncio.gather(reader, preparation, return_exceptions=True)
            await self._hearing.aclose()
            if self._sides is not None:
                self._sides.end(self._clock())

    def end(self, reason: EndReason) -> None:
        """End the conversation for `reason`; the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    # --- facts

    def usage(self) -> Usage:
        """What was used so far."""
        return self._meter.usage(stt_seconds=self._ear.heard_seconds)

    def quality(self) -> CallQuality:
        """How it went so far; the transport adds its packets."""
        return self._meter.quality(self._log.turns)

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

    async def _prepare(self) -> None:
        """A model that can work the prompt out beforehand does so while the agent greets."""
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

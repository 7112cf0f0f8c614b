"""Whoever is called to take a call over: hears what it is about, and takes it or does not.

His media may come to any process: what he is told comes with the one-time token of his stream, and what he wants is told to the process that
holds the caller. A conversation of its own, with the agent's voice and recogniser, does the talking; machines that answer are recognised as
in any call of ours.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec
from voisnap_domain.agents import (
    AgentConfig,
    Fillers,
    FirstMessageMode,
    Recording,
    SilenceDetection,
    VoicemailAction,
    VoicemailDetection,
)
from voisnap_domain.calls import TransferAcceptance
from voisnap_domain.conversations import Speaker
from voisnap_domain.costs import Usage
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan, SessionState
from voisnap_domain.transfers import ACCEPT_KEY, ASK_SECONDS, DECLINE_KEY, takes_call
from voisnap_domain.turntaking import words_of
from voisnap_kit import log
from voisnap_kit.bus import BusError
from voisnap_kit.redis import RedisError
from voisnap_media.pcm import Pcm
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import TOKEN_PARAMETER, MediaStarted
from voisnap_providers.ports.llm import EndCall, LanguageModel, LlmCapabilities, LlmDelta, LlmRequest, Role, TextDelta

from voisnap_runtime.pipeline.events import CallEvent, KeyReceived, TurnFinished
from voisnap_runtime.pipeline.mouth import Playout
from voisnap_runtime.sessions.parts import LiveCall, LivePacer, LiveTransport
from voisnap_runtime.sessions.store import Store

from .store import Offer, TransferStore

TRANSFER_LEG_SECONDS = 2.0
"""How long the process that holds the caller may take to hear a word of the other side."""
REPEAT_SECONDS = 6
"""Silence after which whoever answered is asked again."""
UNDECIDED_SECONDS = 20
JOIN_SECONDS = 45.0
"""How long somebody who takes the call waits for the caller."""
GOODBYE_SECONDS = 3.0
"""For the last words to somebody who said no."""
HEARD_WORDS = 5
"""A yes before so many words of ours is how people answer the telephone."""

_log = log.get(__name__)

R = TypeVar("R")


class LegWord(StrEnum):
    """What the other side says to the process that holds the caller."""

    ANSWERED = "answered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    MACHINE = "machine"
    UNDECIDED = "undecided"
    GONE = "gone"


class LegSays(msgspec.Struct, frozen=True, kw_only=True):
    """A word of the other side. `usage`: what asking him took, with the last one."""

    session_id: SessionId
    transfer_id: str
    word: LegWord
    usage: Usage | None = None


class LegHeard(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the transfer goes on."""

    is_known: bool


class Requests(Protocol):
    """The part of the bus that offers need."""

    async def request(self, subject: str, message: Any, response_type: type[R], *, timeout: float = 2.0) -> R: ...


class OfferCall(LiveCall, Protocol):
    """The conversation with whoever answered, as `pipeline.call.Call` is one."""

    def play_through(self, playout: Playout) -> None: ...


MakeOfferCall = Callable[[SessionPlan, LanguageModel, Callable[[CallEvent], None]], OfferCall]
"""Builds the conversation of a plan with another language model. Raises DomainError, ProviderError."""


class OfferLine(LiveTransport, Protocol):
    """His line, as `carriers.line.CarrierLine` is one."""

    @property
    def call_id(self) -> str: ...


class Unwanted(Exception):
    """His media are not let in; the text is for the log."""


class Offers:
    """Lets whoever answers in, in this process."""

    def __init__(
        self,
        *,
        node_id: NodeId,
        offers: TransferStore,
        sessions: Store,
        bus: Requests,
        pacer: LivePacer,
        make_call: MakeOfferCall,
        hang_up: Callable[[SessionPlan, str], Awaitable[None]],
        hear: Callable[[LegSays], Awaitable[LegHeard]],
    ) -> None:
        self._node_id = node_id
        self._offers = offers
        self._sessions = sessions
        self._bus = bus
        self._pacer = pacer
        self._make_call = make_call
        self._hang_up = hang_up
        self._hear = hear

    async def admit(self, provider: str, started: MediaStarted) -> "Offered":
        """Whoever is to hear the offer that his token is for; the token is used up. Raises Unwanted."""
        token = started.parameters.get(TOKEN_PARAMETER, "")
        if not 1 <= len(token) <= 200:
            raise Unwanted("no token")
        try:
            offer = await self._offers.take_offer(token)
            session = None if offer is None else await self._sessions.get(offer.session_id)
        except RedisError as error:
            _log.warning("offer.store_away", error=repr(error))
            raise Unwanted("the store is away") from None
        if offer is None or session is None or offer.provider != provider:
            raise Unwanted("a token that opens nothing here")
        if session.state in {SessionState.ENDING, SessionState.ENDED}:
            raise Unwanted("the caller is gone")
        return Offered(offer, session.plan, self)

    def call_of(self, plan: SessionPlan, brain: LanguageModel, notify: Callable[[CallEvent], None]) -> OfferCall:
        """The conversation with him. Raises Unwanted."""
        try:
            return self._make_call(plan, brain, notify)
        except (DomainError, ProviderError) as error:
            raise Unwanted(f"no conversation: {error!r}") from None

    def pace(self, call: OfferCall, line: OfferLine) -> None:
        self._pacer.add(call, line)

    def unpace(self, call: OfferCall) -> None:
        self._pacer.remove(call)

    async def tell(self, offer: Offer, word: LegWord, usage: Usage | None = None) -> bool:
        """Pass a word of his on; False when the transfer is over."""
        says = LegSays(session_id=offer.session_id, transfer_id=offer.transfer_id, word=word, usage=usage)
        try:
            if offer.owner == self._node_id:
                return (await self._hear(says)).is_known
            subject = transfer_leg_at(offer.owner)
            return (await self._bus.request(subject, says, LegHeard, timeout=TRANSFER_LEG_SECONDS)).is_known
        except (BusError, DomainError) as error:
            _log.warning("offer.not_told", session_id=offer.session_id, word=word.value, error=repr(error))
            return False

    async def end(self, plan: SessionPlan, offer: Offer, call_id: str) -> None:
        """End his call where nobody else does. Of a carrier whose media name no call the end of the stream ends it."""
        if call_id and call_id != offer.transfer_id:
            await self._hang_up(plan, call_id)


class Offered:
    """One person's call. What his line feeds (`carriers.line.Caller`)."""

    def __init__(self, offer: Offer, plan: SessionPlan, offers: Offers) -> None:
        self.plan = plan
        """The caller's session."""
        self.offer = offer
        self._offers = offers
        self._brain = OfferBrain(offer, language=plan.agent.config.transcription.language, decide=self._decide)
        self._call = offers.call_of(offer_plan(plan, offer), self._brain, self._told)
        self._line: OfferLine | None = None
        self._decided: asyncio.Future[LegWord] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._pressed = False

    async def run(self, line: OfferLine) -> None:
        """Make him the offer, until he is with the caller, or is hung up on, or hangs up."""
        offers, offer, call = self._offers, self.offer, self._call
        self._line = line
        if isinstance(line, Playout):
            call.play_through(line)
        if not await offers.tell(offer, LegWord.ANSWERED):
            await offers.end(self.plan, offer, line.call_id)
            return
        talk = asyncio.create_task(call.run(), name=f"offer {offer.transfer_id}")
        offers.pace(call, line)
        try:
            word = await self._word(talk)
            if word is LegWord.REFUSED and not self._pressed:
                await asyncio.wait({talk}, timeout=GOODBYE_SECONDS)
            call.end(EndReason.TRANSFER_COMPLETE if word is LegWord.ACCEPTED else EndReason.AGENT_ENDED)
            is_known = await offers.tell(offer, word, call.usage())
            if word is LegWord.ACCEPTED and is_known:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(JOIN_SECONDS):
                        await self._gone.wait()
                        return
            if not is_known or word is LegWord.ACCEPTED:
                await offers.end(self.plan, offer, line.call_id)
        finally:
            offers.unpace(call)
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)
            call.forget()

    async def _word(self, talk: "asyncio.Task[EndReason]") -> LegWord:
        await asyncio.wait({talk, self._decided}, return_when=asyncio.FIRST_COMPLETED)
        if self._decided.done():
            return self._decided.result()
        if self._gone.is_set() or talk.cancelled() or talk.exception() is not None:
            return LegWord.GONE
        match talk.result():
            case EndReason.VOICEMAIL:
                return LegWord.MACHINE
            case EndReason.DISCONNECTED | EndReason.USER_ENDED:
                return LegWord.GONE
            case _:
                return LegWord.UNDECIDED

    def _decide(self, takes: bool) -> None:
        if not self._decided.done():
            self._decided.set_result(LegWord.ACCEPTED if takes else LegWord.REFUSED)

    def _told(self, event: CallEvent) -> None:
        """Keys count at once; who is to stay on the line has taken the call when he has heard it all."""
        match event:
            case KeyReceived(digit=digit) if digit in {ACCEPT_KEY, DECLINE_KEY}:
                self._pressed = True
                self._decide(digit == ACCEPT_KEY)
            case TurnFinished(turn=turn) if turn.speaker is Speaker.AGENT and not turn.interrupted:
                if self.offer.acceptance is TransferAcceptance.STAY and self.offer.ask in turn.text:
                    self._decide(True)
            case _:
                pass

    # What the line calls

    def feed(self, audio: Pcm, arrived_at: float) -> None:
        self._call.feed(audio, arrived_at)

    def dtmf(self, digit: str) -> None:
        self._call.dtmf(digit)

    def heard_from(self, at: float) -> None:
        """His silence is the conversation's business."""

    def holds(self, line: object) -> bool:
        return line is self._line

    def end(self, reason: EndReason) -> None:
        self._gone.set()
        self._call.end(reason)

    def media_changed(self, line: object, state: str) -> None:
        if state != "connected":
            self._gone.set()
            self._call.end(EndReason.DISCONNECTED)


class OfferBrain:
    """What is answered to somebody who was offered a call: he takes it, he does not, or he is asked again."""

    provider = "offer"
    capabilities = LlmCapabilities(generative=False)

    def __init__(self, offer: Offer, *, language: str, decide: Callable[[bool], None]) -> None:
        self._offer = offer
        self._language = language
        self._decide = decide

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        heard = request.messages[-1].content if request.messages else ""
        takes = takes_call(heard, self._language)
        if takes and not heard.strip(" 0123456789*#").strip():
            pass  # a key means what it means at any time
        elif takes and not self._was_offered(request):
            takes = None
        if takes is None:
            yield TextDelta(text=f"{self._offer.again} {self._offer.ask}")
            return
        if not takes:
            yield TextDelta(text=self._offer.thanks)
        yield EndCall()
        self._decide(takes)

    async def warm(self) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing to free."""

    def _was_offered(self, request: LlmRequest) -> bool:
        said = " ".join(message.content for message in request.messages if message.role is Role.ASSISTANT)
        return len(words_of(said)) >= HEARD_WORDS


def offer_plan(plan: SessionPlan, offer: Offer) -> SessionPlan:
    """The conversation with whoever answers: the caller's agent, with nothing to say but the offer."""
    config = plan.agent.config
    asking: AgentConfig = msgspec.structs.replace(
        config,
        first_message=offer.opening,
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
        system_prompt_template=offer.opening,
        ai_disclosure_message=None,
        end_call_phrases=(),
        max_duration_seconds=int(ASK_SECONDS),
        max_idle_time_seconds=UNDECIDED_SECONDS,
        dtmf_enabled=True,
        silence_detection=SilenceDetection(enabled=True, timeout_seconds=REPEAT_SECONDS, message=offer.ask),
        voicemail_detection=VoicemailDetection(enabled=True, action=VoicemailAction.HANG_UP),
        fillers=Fillers(enabled=False),
        recording=Recording(enabled=False),
    )
    return msgspec.structs.replace(
        plan,
        session_id=SessionId(offer.transfer_id),
        channel=Channel.PHONE,
        direction=Direction.OUTBOUND,
        agent=msgspec.structs.replace(plan.agent, config=asking),
    )


def transfer_leg_at(node_id: NodeId) -> str:
    """The subject on which a process hears the other sides of its transfers."""
    return f"node.{node_id}.transfer_leg.v1"

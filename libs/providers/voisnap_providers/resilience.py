"""Deadlines, retries, fallback, hedging and circuit breaking, written once as wrappers of the ports.

A chain of providers is tried in order, the first choice first as long as it does well, then the healthiest of the others. As long as nothing
came out, a failed call goes to the next provider, and when all failed, after a pause, to those that may recover once more. A reply of a
language model that has begun is not begun anew; a voice that fails in the middle is followed by the next one from the word it got to.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import structlog
from voisnap_domain.agents import Llm, Transcription, Voice

from .circuits import CircuitBreaker, Clock
from .errors import ProviderAuthError, ProviderError, ProviderTimeout
from .ports.embeddings import Embedder
from .ports.llm import LanguageModel, LlmDelta, LlmRequest, LlmUsed, StructuredModel, StructuredReply, StructuredRequest
from .ports.tts import SpeechChunk, TextToSpeech
from .slots import AccountLimits, Slots

if TYPE_CHECKING:  # see ports.embeddings
    import numpy as np

__all__ = [
    "Chain",
    "CircuitBreaker",
    "Link",
    "Policy",
    "ProviderBusy",
    "ResilientEmbedder",
    "ResilientLlm",
    "ResilientStructured",
    "ResilientTts",
]

log = structlog.get_logger()

T = TypeVar("T")
P = TypeVar("P")
S = TypeVar("S", Llm, Voice, Transcription)

PROBE_SECONDS = 0.6
"""How long a provider that failed of late may take for its first output when another one waits behind it."""
PACE_FACTOR = 3.0
"""A provider that takes so many times as long as usual is not coming."""
LEAST_PATIENCE = 0.6
"""Nobody is left sooner, however quick it usually is."""
SLOT_SECONDS = 0.4
"""How long a call waits for a free slot of an account before it goes to the next provider."""
SPILL_SECONDS = 0.02
"""A word may end so much after the audio it was given with."""
WARMED = 2
"""Providers of a chain whose connections are opened beforehand."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to the first output where nobody else is left, and (`switch_timeout`) where another provider is: that one follows the
    provider's usual pace, once it is known. `gap_timeout` is between outputs, `total_timeout` until the first one of all tries.

    `attempts`: rounds through the chain; the pause before the second is `backoff`, doubled for each one after and varied by `random` (0..1)
    between half and whole. A provider that failed in this chain comes last for `rest_seconds`; `stays`: the chain keeps to the one that took
    over. With `hedge_after` a second provider is asked when the first has said nothing for so long; the first that begins is heard.
    """

    first_timeout: float = 5.0
    switch_timeout: float = 3.0
    gap_timeout: float = 5.0
    total_timeout: float = 60.0
    attempts: int = 2
    backoff: float = 0.1
    longest_backoff: float = 2.0
    rest_seconds: float = 10.0
    stays: bool = False
    hedge_after: float | None = None


class ProviderBusy(ProviderError):
    """No slot of the account was free in time: no fault of the provider."""


class Link(Generic[P, S]):
    """One provider of a chain with what it is to be asked for: without `settings`, what the caller says.

    `circuit` is shared by all who use the account; `is_last_resort`: the platform's own choice, taken after all of the agent's.
    """

    def __init__(
        self,
        port: P,
        settings: S | None = None,
        *,
        circuit: CircuitBreaker | None = None,
        account: str = "platform",
        limits: AccountLimits | None = None,
        is_last_resort: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.port: Any = port
        self.settings = settings
        self.circuit = circuit or CircuitBreaker(clock=clock)
        self.account = account
        self.limits = limits or AccountLimits()
        self.is_last_resort = is_last_resort
        self.rests_until = -math.inf
        self._misfit = CircuitBreaker(clock=clock)

    @property
    def provider(self) -> str:
        """The vendor's name."""
        return str(self.port.provider)

    @property
    def label(self) -> str:
        """What of the vendor is used, for its pace."""
        match self.settings:
            case Llm(model=model):
                return model
            case Voice(voice_id=voice_id):
                return voice_id
            case Transcription(model=model):
                return model or ""
            case _:
                return ""

    def allows(self) -> bool:
        """Whether to call now."""
        return self._misfit.allows() and self.circuit.allows()

    def worked(self) -> None:
        """A call went well."""
        self._misfit.succeeded()
        self.circuit.succeeded()

    def failed(self, error: ProviderError) -> None:
        """A call failed. What is wrong with the request alone (an unknown model, a refusal) says nothing about the provider."""
        if isinstance(error, ProviderBusy):
            return
        if isinstance(error, ProviderAuthError):
            if not self.circuit.refused():
                self._misfit.refused()
        elif error.retryable:
            self.circuit.failed(retry_after=error.retry_after)
        else:
            self._misfit.failed()


class _Watch:
    """Ends waits that take too long, as `asyncio.timeout` does, for streams: a wait that is over in time moves a moment, no timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until: float | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def wait_until(self, moment: float) -> None:
        """The current task waits from now on, until `moment` of the loop's time at the longest: then it is cancelled."""
        self._task = task = asyncio.current_task(self._loop)
        self._cancelling = task.cancelling() if task is not None else 0
        self._until = moment
        if self._timer is None or self._timer.when() > moment:
            self.close()
            self._timer = self._loop.call_at(moment, self._look)

    def stop(self) -> None:
        """What was waited for has come."""
        self._until = None

    def ended_wait(self) -> bool:
        """Whether it was this that cancelled the task, and nobody else did."""
        if not self._is_over or self._task is None:
            return False
        self._is_over = False
        return self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._until is None or self._task is None:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
            return
        self._until, self._is_over = None, True
        self._task.cancel()


class Chain(Generic[P, S]):
    """Providers of one kind, in the order they are wanted. With `begins` an output that it is not true of is none when it comes first, and a
    provider that gives no other has failed."""

    def __init__(
        self,
        links: tuple[Link[P, S], ...],
        kind: str,
        policy: Policy,
        random: Callable[[], float],
        *,
        slots: Slots | None = None,
        begins: Callable[[Any], bool] | None = None,
    ) -> None:
        if not links:
            raise ValueError("a chain needs at least one provider")
        self.links = links
        self.kind = kind
        self.policy = policy
        self.slots = slots
        self._random = random
        self._begins = begins
        self._current: Link[P, S] | None = None

    def order(self) -> list[Link[P, S]]:
        """The links, those to try first in front."""
        now = asyncio.get_running_loop().time()

        def place(index: int, link: Link[P, S]) -> tuple[bool, bool, bool, bool, float, int]:
            keeps = self.policy.stays and link is self._current
            return (
                now < link.rests_until,
                not keeps,
                index > 0,
                link.is_last_resort,
                -round(link.circuit.health, 1),
                index,
            )

        return [link for _, link in sorted(enumerate(self.links), key=lambda item: place(*item))]

    async def stream(
        self, start: Callable[[Link[P, S]], AsyncGenerator[T]], *, resumes: Callable[[], bool] | None = None
    ) -> AsyncGenerator[T]:
        """Outputs of the first provider that gives any. One that fails after that is followed by the next when `resumes`, called then, says
        that there is more to come; without it the error goes on."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.policy.total_timeout
        last: ProviderError | None = None
        hopeless: set[int] = set()
        for attempt in range(self.policy.attempts):
            if attempt:
                if last is None or len(hopeless) == len(self.links):
                    break
                await self._pause(attempt - 1)
            waiting = [link for link in self.order() if id(link) not in hopeless]
            while waiting:
                link = waiting.pop(0)
                was_open = link.circuit.is_open
                if not link.allows():
                    last = last or self.resting(link)
                    continue
                began = False
                patience = self._patience(link, waiting, probes=was_open)
                outputs = self._attempt(link, start, deadline, patience)
                if self.policy.hedge_after is not None and self.policy.hedge_after < patience:
                    outputs = self._hedged(link, outputs, waiting, start, deadline, self.policy.hedge_after)
                try:
                    async with aclosing(outputs):
                        async for output in outputs:
                            began = True
                            yield output
                    return
                except ProviderError as error:
                    last = worse(last, error)
                    if began and resumes is None:
                        raise
                    if began and resumes is not None:
                        if not resumes():
                            return
                        deadline = loop.time() + self.policy.total_timeout
                    if loop.time() >= deadline:
                        raise last from error
                    if not error.retryable:
                        hopeless.add(id(link))
                    self._tell_switch(link, waiting)
        raise last or self.resting(self.links[0])

    async def call(self, start: Callable[[Link[P, S]], Awaitable[T]]) -> T:
        """The result of the first provider that gives one."""

        async def once(link: Link[P, S]) -> AsyncGenerator[T]:
            yield await start(link)

        async with aclosing(self.stream(once)) as results:
            return await anext(results)

    async def warm(self) -> None:
        """Open connections of those that will be asked first."""
        warmed: set[int] = set()
        for link in self.order()[:WARMED]:
            if id(link.port) not in warmed:
                warmed.add(id(link.port))
                await link.port.warm()

    async def aclose(self) -> None:
        """Close every provider once."""
        for port in {id(link.port): link.port for link in self.links}.values():
            await port.aclose()

    # --- one try

    async def _hedged(
        self,
        link: Link[P, S],
        first: AsyncGenerator[T],
        waiting: list[Link[P, S]],
        start: Callable[[Link[P, S]], AsyncGenerator[T]],
        deadline: float,
        hedge_after: float,
    ) -> AsyncGenerator[T]:
        """One provider's outputs, or those of a second one that was asked while the first kept silent."""
        chosen, beginning = await self._raced(link, first, waiting, start, deadline, hedge_after)
        async with aclosing(chosen):
            if beginning is not None:
                yield beginning[0]
            async for output in chosen:
                yield output

    async def _attempt(
        self, link: Link[P, S], start: Callable[[Link[P, S]], AsyncGenerator[T]], deadline: float, patience: float
    ) -> AsyncGenerator[T]:
        loop = asyncio.get_running_loop()
        lease = await self.lease(link, patience=min(SLOT_SECONDS, max(0.0, deadline - loop.time())))
        asked = loop.time()
        began = False
        watch = _Watch(loop)
        try:
            async with aclosing(start(link)) as outputs:
                while True:
                    limit = loop.time() + self.policy.gap_timeout if began else min(asked + patience, deadline)
                    watch.wait_until(limit)
                    try:
                        output = await anext(outputs)
                    except StopAsyncIteration:
                        break
                    except asyncio.CancelledError:
                        if not watch.ended_wait():
                            raise
                        if not began:
                            link.circuit.began(link.label, loop.time() - asked)
                        raise ProviderTimeout(
                            f"{link.provider} did not answer in time.", provider=link.provider, kind=self.kind
                        ) from None
                    watch.stop()
                    if not began:
                        if self._begins is not None and not self._begins(output):
                            break
                        began = True
                        link.circuit.began(link.label, loop.time() - asked)
                    yield output
            if self._begins is not None and not began:
                detail = f"{link.provider} gave no answer."
                raise ProviderError(detail, provider=link.provider, kind=self.kind, retryable=True)
            link.worked()
        except ProviderError as error:
            self.note(link, error)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            if began:
                link.worked()
            raise
        finally:
            watch.close()
            if lease is not None:
                await lease.release()

    async def _raced(
        self,
        link: Link[P, S],
        first: AsyncGenerator[T],
        waiting: list[Link[P, S]],
        start: Callable[[Link[P, S]], AsyncGenerator[T]],
        deadline: float,
        hedge_after: float,
    ) -> tuple[AsyncGenerator[T], tuple[T] | None]:
        """The generator that begins first, with its first output; None when it ended without any. The other one is stopped."""
        runs = {asyncio.create_task(_begun(first), name="provider"): first}
        try:
            done, _ = await asyncio.wait(runs, timeout=hedge_after)
            if not done:
                second = waiting.pop(0) if waiting and waiting[0].allows() else link
                log.info("provider.hedged", kind=self.kind, provider=link.provider, second=second.provider)
                other = self._attempt(second, start, deadline, self._patience(second, waiting, probes=False))
                runs[asyncio.create_task(_begun(other), name="provider")] = other
            failure: ProviderError = ProviderTimeout(
                f"{link.provider} did not answer.", provider=link.provider, kind=self.kind
            )
            while runs:
                done, _ = await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    generator = runs.pop(task)
                    try:
                        return generator, task.result()
                    except ProviderError as error:
                        failure = error
            raise failure
        finally:
            for task in runs:
                task.cancel()
            for task, generator in runs.items():
                with suppress(asyncio.CancelledError, ProviderError):
                    await task
                await generator.aclose()

    def _patience(self, link: Link[P, S], waiting: list[Link[P, S]], *, probes: bool) -> float:
        policy = self.policy
        others = [other for other in waiting if not other.circuit.is_open]
        if not others:
            return policy.first_timeout
        if not probes and not link.is_last_resort and all(other.is_last_resort for other in others):
            return policy.first_timeout  # better late than by somebody whom the agent's owner never chose
        if probes:
            return min(policy.first_timeout, policy.switch_timeout, PROBE_SECONDS)
        pace = link.circuit.pace(link.label)
        if pace is None:
            return min(policy.first_timeout, policy.switch_timeout)
        return min(policy.first_timeout, max(LEAST_PATIENCE, PACE_FACTOR * pace))

    async def lease(self, link: Link[P, S], *, patience: float) -> Any:
        """A slot of the link's account, if it has limits. Raises `ProviderBusy`."""
        if self.slots is None or link.limits.is_open:
            return None
        lease = await self.slots.take(self.kind, link.account, link.limits, patience=patience)
        if lease is None:
            raise ProviderBusy(
                f"The account of {link.provider} has no room at the moment.",
                provider=link.provider,
                kind=self.kind,
                retryable=True,
            )
        return lease

    def note(self, link: Link[P, S], error: ProviderError) -> None:
        """Remember and log a failure."""
        link.failed(error)
        if error.retryable and not isinstance(error, ProviderBusy) and len(self.links) > 1:
            link.rests_until = asyncio.get_running_loop().time() + self.policy.rest_seconds
        log.warning(
            "provider.call_failed",
            kind=self.kind,
            provider=link.provider,
            retryable=error.retryable,
            detail=error.detail,
        )

    def settled(self, link: Link[P, S]) -> None:
        """This one took over."""
        self._current = link

    async def _pause(self, attempt: int) -> None:
        pause = min(self.policy.backoff * 2**attempt, self.policy.longest_backoff)
        await asyncio.sleep(pause * (0.5 + 0.5 * self._random()))

    def _tell_switch(self, link: Link[P, S], waiting: list[Link[P, S]]) -> None:
        if waiting:
            log.info("provider.switched", kind=self.kind, provider=link.provider, to=waiting[0].provider)

    def resting(self, link: Link[P, S]) -> ProviderError:
        """The error of a provider that is not asked at all."""
        return ProviderError(
            f"{link.provider} failed repeatedly and is not called for a moment.",
            provider=link.provider,
            kind=self.kind,
            retryable=True,
        )


class ResilientLlm:
    """A chain of language models as one: each is asked with its own settings."""

    def __init__(
        self,
        links: tuple[Link[LanguageModel, Llm], ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        slots: Slots | None = None,
    ) -> None:
        self._chain = Chain(links, "llm", policy or Policy(), random, slots=slots, begins=_begins_reply)
        self.provider = links[0].provider
        self.capabilities = links[0].port.capabilities

    def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply of the first model that begins one. A stream that ends without anything at all counts as failed."""
        return self._chain.stream(lambda link: _answer_of(link, request))

    async def prepare(self, prompt: str) -> None:
        """Let the first choice work out the prompt, if it can. Raises ProviderError."""
        prepare = getattr(self._chain.links[0].port, "prepare", None)
        if prepare is not None:
            await prepare(prompt)

    async def warm(self) -> None:
        """Open connections of those that will be asked first."""
        await self._chain.warm()

    async def aclose(self) -> None:
        """Close every model of the chain."""
        await self._chain.aclose()


class ResilientStructured:
    """Retries for a model that answers by a schema."""

    def __init__(
        self,
        models: tuple[StructuredModel, ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        clock: Clock | None = None,
    ) -> None:
        links = tuple(Link[StructuredModel, Llm](model, clock=clock) for model in models)
        self._chain = Chain(links, "llm", policy or Policy(first_timeout=60.0, switch_timeout=60.0), random)
        self.provider = models[0].provider

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """The answer of the first model that gives one."""
        return await self._chain.call(lambda link: link.port.complete(request))

    async def aclose(self) -> None:
        """Close every model of the chain."""
        await self._chain.aclose()


class ResilientTts:
    """A chain of voices as one. A fallback voice may have another rate; every chunk carries its own.

    The voice that took over stays. One that fails in the middle of a text is followed by the next from the word that it got to.
    """

    def __init__(
        self,
        links: tuple[Link[TextToSpeech, Voice], ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        slots: Slots | None = None,
    ) -> None:
        policy = policy or Policy(rest_seconds=math.inf, stays=True)
        self._chain = Chain(links, "tts", policy, random, slots=slots)
        self.provider = links[0].provider
        self.capabilities = links[0].port.capabilities

    def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """The audio of the text, by the first voice that gives any."""
        rest = text.split()

        async def spoken(link: Link[TextToSpeech, Voice]) -> AsyncGenerator[SpeechChunk]:
            wanted = text if len(rest) == len(text.split()) else " ".join(rest)
            sounds = False
            async with aclosing(link.port.speak(wanted, link.settings or voice)) as chunks:
                async for chunk in chunks:
                    if not sounds and len(chunk.audio):
                        sounds = True
                        self._chain.settled(link)
                    del rest[: words_in(chunk)]
                    yield chunk
            if not sounds and has_words(wanted):
                raise ProviderError(
                    f"{link.provider} gave no sound.", provider=link.provider, kind="tts", retryable=True
                )

        return self._chain.stream(spoken, resumes=lambda: has_words(" ".join(rest)))

    async def warm(self) -> None:
        """Open connections of those that will be asked first."""
        await self._chain.warm()

    async def aclose(self) -> None:
        """Close every voice of the chain."""
        await self._chain.aclose()


class ResilientEmbedder:
    """Retries for one embedder; there is no falling back, vectors of two models do not compare."""

    def __init__(
        self,
        embedder: Embedder,
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        clock: Clock | None = None,
    ) -> None:
        links = (Link[Embedder, Llm](embedder, clock=clock),)
        self._chain = Chain(links, "embeddings", policy or Policy(first_timeout=30.0), random)
        self.provider = embedder.provider
        self.model = embedder.model
        self.dimensions = embedder.dimensions

    async def embed(self, texts: tuple[str, ...]) -> "np.ndarray":
        """Unit vectors."""
        return await self._chain.call(lambda link: link.port.embed(texts))

    async def aclose(self) -> None:
        """Close the embedder."""
        await self._chain.aclose()


def words_in(chunk: SpeechChunk) -> int:
    """How many words of its text a chunk holds whole: one that goes on after its audio does not count."""
    if not chunk.words:
        return len(chunk.text.split())
    seconds = chunk.audio.seconds + SPILL_SECONDS
    return sum(word.end <= seconds for word in chunk.words)


def has_words(text: str) -> bool:
    """Whether there is anything to say."""
    return any(character.isalnum() for character in text)


def _answer_of(link: Link[LanguageModel, Llm], request: LlmRequest) -> AsyncGenerator[LlmDelta]:
    if link.settings is not None and link.settings is not request.settings:
        request = msgspec.structs.replace(request, settings=link.settings)
    return link.port.answer(request)


def _begins_reply(delta: LlmDelta) -> bool:
    return not isinstance(delta, LlmUsed)


async def _begun(outputs: AsyncGenerator[T]) -> tuple[T] | None:
    try:
        return (await anext(outputs),)
    except StopAsyncIteration:
        return None


def worse(before: ProviderError | None, error: ProviderError) -> ProviderError:
    """The error to tell of two: one that may pass, if there is one."""
    return before if before is not None and before.retryable and not error.retryable else error

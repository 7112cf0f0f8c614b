"""Timeouts, retries, fallback and circuit breaking, written once as wrappers of the ports.

A chain of providers is tried in order. As long as nothing came out, a failed call is repeated (with growing pauses) and then handed to
the next provider; once something was heard there is no way back, and the error goes on. A provider that failed several times in a row
is left alone for a while.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
import numpy as np
import structlog
from voisnap_domain.agents import Transcription, Voice

from .errors import ProviderError, ProviderTimeout
from .ports.embeddings import Embedder
from .ports.llm import LanguageModel, LlmDelta, LlmRequest, StructuredModel, StructuredReply, StructuredRequest
from .ports.stt import SpeechToText, SttStream
from .ports.tts import SpeechChunk, TextToSpeech

log = structlog.get_logger()

T = TypeVar("T")
Clock = Callable[[], float]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to the first output, between outputs and for all of it; calls to one provider; the pause before the second call, doubled
    for each one after and varied by `random` (0..1) between half and whole."""

    first_timeout: float = 5.0
    gap_timeout: float = 5.0
    total_timeout: float = 60.0
    attempts: int = 2
    backoff: float = 0.1
    longest_backoff: float = 2.0


class CircuitBreaker:
    """Opens after `failures` in a row and lets one call through every `rest_seconds` until one succeeds."""

    def __init__(self, *, failures: int = 5, rest_seconds: float = 20.0, clock: Clock | None = None) -> None:
        self._limit = failures
        self._rest = rest_seconds
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._failed = 0
        self._closed_until = 0.0

    def allows(self) -> bool:
        """Whether to call now; a probe that is let through delays the next one."""
        if self._failed < self._limit:
            return True
        if self._clock() < self._closed_until:
            return False
        self._closed_until = self._clock() + self._rest
        return True

    def succeeded(self) -> None:
        """A call went well."""
        self._failed = 0

    def failed(self) -> None:
        """A call failed."""
        self._failed += 1
        if self._failed >= self._limit:
            self._closed_until = self._clock() + self._rest


class _Chain:
    """Providers of one kind with their breakers."""

    def __init__(
        self, providers: tuple[Any, ...], kind: str, policy: Policy, random: Callable[[], float], clock: Clock | None
    ) -> None:
        if not providers:
            raise ValueError("a chain needs at least one provider")
        self.providers = providers
        self.kind = kind
        self.policy = policy
        self._random = random
        self._breakers = tuple(CircuitBreaker(clock=clock) for _ in providers)

    async def stream(self, start: Callable[[Any], AsyncGenerator[T]]) -> AsyncGenerator[T]:
        """Outputs of the first provider that gives any."""
        deadline = asyncio.get_running_loop().time() + self.policy.total_timeout
        last: ProviderError | None = None
        for provider, breaker in zip(self.providers, self._breakers, strict=True):
            if not breaker.allows():
                last = last or self._resting(provider)
                continue
            for attempt in range(self.policy.attempts):
                began = False
                try:
                    async with aclosing(self._timed(start(provider), provider, deadline)) as outputs:
                        async for output in outputs:
                            began = True
                            yield output
                except ProviderError as error:
                    breaker.failed()
                    last = error
                    self._note(provider, error, attempt)
                    if began or asyncio.get_running_loop().time() >= deadline:
                        raise
                    if not error.retryable or attempt + 1 >= self.policy.attempts:
                        break
                    await self._pause(attempt)
                    continue
                breaker.succeeded()
                return
        raise last or self._resting(self.providers[0])

    async def call(self, start: Callable[[Any], Awaitable[T]]) -> T:
        """The result of the first provider that gives one."""

        async def once(provider: Any) -> AsyncGenerator[T]:
            yield await start(provider)

        async with aclosing(self.stream(once)) as results:
            return await anext(results)

    def first_open(self, start: Callable[[Any], T]) -> T:
        """The result of the first provider that neither rests nor refuses."""
        last: ProviderError | None = None
        for provider, breaker in zip(self.providers, self._breakers, strict=True):
            if not breaker.allows():
                last = last or self._resting(provider)
                continue
            try:
                return start(provider)
            except ProviderError as error:
                breaker.failed()
                last = error
        raise last or self._resting(self.providers[0])

    async def aclose(self) -> None:
        for provider in self.providers:
            await provider.aclose()

    async def _timed(self, outputs: AsyncGenerator[T], provider: Any, deadline: float) -> AsyncGenerator[T]:
        loop = asyncio.get_running_loop()
        patience = self.policy.first_timeout
        try:
            while True:
                try:
                    async with asyncio.timeout_at(min(loop.time() + patience, deadline)):
                        output = await anext(outputs)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise ProviderTimeout(
                        f"{provider.provider} did not answer in time.", provider=provider.provider, kind=self.kind
                    ) from None
                yield output
                patience = self.policy.gap_timeout
        finally:
            await outputs.aclose()

    async def _pause(self, attempt: int) -> None:
        pause = min(self.policy.backoff * 2**attempt, self.policy.longest_backoff)
        await asyncio.sleep(pause * (0.5 + 0.5 * self._random()))

    def _note(self, provider: Any, error: ProviderError, attempt: int) -> None:
        log.warning(
            "provider.call_failed",
            kind=self.kind,
            provider=provider.provider,
            attempt=attempt + 1,
            detail=error.detail,
        )

    def _resting(self, provider: Any) -> ProviderError:
        return ProviderError(
            f"{provider.provider} failed repeatedly and is not called for a moment.",
            provider=provider.provider,
            kind=self.kind,
            retryable=True,
        )


class ResilientLlm:
    """A chain of language models as one."""

    def __init__(
        self,
        chain: tuple[LanguageModel, ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        clock: Clock | None = None,
    ) -> None:
        self._chain = _Chain(chain, "llm", policy or Policy(), random, clock)
        self.provider = chain[0].provider
        self.capabilities = chain[0].capabilities

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        """The reply of the first model that begins one."""
        async with aclosing(self._chain.stream(lambda model: model.answer(request))) as deltas:
            async for delta in deltas:
                yield delta

    async def warm(self) -> None:
        """Open a connection of the first choice."""
        await self._chain.providers[0].warm()

    async def aclose(self) -> None:
        """Close every model of the chain."""
        await self._chain.aclose()


class ResilientStructured:
    """A chain of models that answer by a schema as one."""

    def __init__(
        self,
        chain: tuple[StructuredModel, ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        clock: Clock | None = None,
    ) -> None:
        self._chain = _Chain(chain, "llm", policy or Policy(first_timeout=60.0), random, clock)
        self.provider = chain[0].provider

    async def complete(self, request: StructuredRequest) -> StructuredReply:
        """The answer of the first model that gives one."""
        return await self._chain.call(lambda model: model.complete(request))

    async def aclose(self) -> None:
        """Close every model of the chain."""
        await self._chain.aclose()


class ResilientTts:
    """A chain of voices as one. A fallback voice may have another rate; every chunk carries its own."""

    def __init__(
        self,
        chain: tuple[TextToSpeech, ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        clock: Clock | None = None,
    ) -> None:
        self._chain = _Chain(chain, "tts", policy or Policy(), random, clock)
        self.provider = chain[0].provider
        self.capabilities = chain[0].capabilities

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[SpeechChunk]:
        """The audio of the first voice that begins to speak."""
        async with aclosing(self._chain.stream(lambda provider: provider.speak(text, voice))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def warm(self) -> None:
        """Open a connection of the first choice."""
        await self._chain.providers[0].warm()

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
        self._chain = _Chain((embedder,), "embeddings", policy or Policy(first_timeout=30.0), random, clock)
        self.provider = embedder.provider
        self.model = embedder.model
        self.dimensions = embedder.dimensions

    async def embed(self, texts: tuple[str, ...]) -> np.ndarray:
        """Unit vectors."""
        return await self._chain.call(lambda embedder: embedder.embed(texts))

    async def aclose(self) -> None:
        """Close the embedder."""
        await self._chain.aclose()


class ResilientStt:
    """A chain of recognisers: a call's stream is opened at the first one that can. A stream that fails later ends with its error."""

    def __init__(
        self,
        chain: tuple[SpeechToText, ...],
        *,
        policy: Policy | None = None,
        random: Callable[[], float],
        clock: Clock | None = None,
    ) -> None:
        self._chain = _Chain(chain, "stt", policy or Policy(), random, clock)
        self.provider = chain[0].provider
        self.capabilities = chain[0].capabilities

    def open(self, settings: Transcription, *, keyterms: tuple[str, ...] = ()) -> SttStream:
        """Start listening at the first recogniser that takes the language."""
        return self._chain.first_open(lambda recogniser: recogniser.open(settings, keyterms=keyterms))

    async def aclose(self) -> None:
        """Close every recogniser of the chain."""
        await self._chain.aclose()

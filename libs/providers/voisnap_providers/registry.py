"""Which providers there are, and the one shared instance of each that a process uses.

A vendor's module is imported when its provider is first asked for, never before: a process loads only what it uses.
"""

import asyncio
import os
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
from voisnap_domain.agents import Llm, Voice, VoiceProvider

from .accounts import PLATFORM, Account, missing, needs_values, serves
from .errors import ProviderUnconfigured
from .inference import InferencePool, Priority
from .llm_analyst import LlmAnalyst
from .ports.analysis import Analyst
from .ports.embeddings import Embedder
from .ports.llm import LanguageModel, StructuredModel
from .ports.stt import SpeechToText
from .ports.tts import TextToSpeech
from .ports.turn_end import TurnEndDetector
from .resilience import ResilientStructured
from .vendors import factories

log = structlog.get_logger()

Accounts = Mapping[str, Account]
NONE: Accounts = {}

KINDS = ("stt", "tts", "llm", "embeddings")

MOST_OF_TENANTS = 256
"""Instances for tenants' accounts, and readers of conversations: each has connections and what it learned; an account that changed is another one."""
_ONLY_HERE = 3
"""References to an instance that no call uses: the registry's, a local name's, and the question's own."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`models_dir` holds the local models; `threads` compute them (default: one a core, at most 2). `accounts` are the platform's own, by vendor."""

    models_dir: Path
    threads: int = min(2, os.cpu_count() or 1)
    scripts: Mapping[str, str] = msgspec.field(default_factory=dict)
    accounts: Mapping[str, Account] = msgspec.field(default_factory=dict)


class Registry:
    """Shared provider instances, one for each account. Asking for a local one loads its model, which takes up to a second: `warm` does it off
    the loop. `own` are the accounts of a tenant, by vendor; where he has none the platform's is used.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        on_wait: Callable[[Priority, float], None] | None = None,
    ) -> None:
        self.settings = settings
        self.pool = InferencePool(settings.threads, on_wait=on_wait)
        self._shared: dict[tuple[str, ...], Any] = {}
        self._of_tenants: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        self._readers: OrderedDict[tuple[str, str, str, str | None], ResilientStructured] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._parts: dict[str, Any] = {}

    def stt(self, name: str, own: Accounts = NONE) -> SpeechToText:
        """Speech to text by name. Raises `ProviderUnconfigured`; `ProviderError` for a missing or broken model."""
        return cast(SpeechToText, self._get("stt", name, own))

    def tts(self, name: str, own: Accounts = NONE) -> TextToSpeech:
        """Text to speech by name. Raises like `stt`."""
        return cast(TextToSpeech, self._get("tts", name, own))

    def llm(self, name: str, own: Accounts = NONE) -> LanguageModel:
        """A language model by name. Raises like `stt`."""
        return cast(LanguageModel, self._get("llm", name, own))

    def account(self, name: str, own: Accounts = NONE, kind: str = "") -> Account | None:
        """Whose account a provider is called with for a kind of work; an empty one where no value is required, else None."""
        found = own.get(name)
        if found is None or not serves(found, kind):
            found = self.settings.accounts.get(name)
        return found if found is not None or needs_values(name) else Account(id=PLATFORM, provider=name)

    def embedder(self, name: str) -> Embedder:
        """Text embeddings by name. Raises like `stt`."""
        return cast(Embedder, self._get("embeddings", name))

    def analyst(self, name: str) -> Analyst:
        """Who reads finished conversations, by name. Raises `ProviderUnconfigured`."""
        return cast(Analyst, self._get("analysis", name))

    def llm_analyst(self, settings: Llm, own: Accounts = NONE) -> Analyst:
        """The agent's own language model as a reader. Raises `ProviderUnconfigured` for one that can't be asked in this way."""
        model = self.llm(settings.provider, own)
        if not model.capabilities.structured:
            raise ProviderUnconfigured(f"The llm provider {settings.provider} does not answer by a schema.")
        account = self.account(settings.provider, own, "llm")
        # what fails with one model, or at one address, says nothing about those of other agents
        key = (str(settings.provider), account.id if account is not None else "", settings.model, settings.base_url)
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = ResilientStructured((cast(StructuredModel, model),), random=random.random)
            if len(self._readers) > MOST_OF_TENANTS:
                self._readers.popitem(last=False)
        self._readers.move_to_end(key)
        return LlmAnalyst(reader, settings)

    def turn_end(self, name: str = "local") -> TurnEndDetector:
        """Who judges from the sound whether a caller has finished. Loads its model when first asked, not here."""
        return cast(TurnEndDetector, self._get("turn_end", name))

    async def warm(self, kinds: Iterable[str] = KINDS, *, name: str = "local") -> None:
        """Load what a call will need, in parallel, off the event loop. Raises `ProviderError`."""
        kinds = tuple(kinds)
        wanted = {part for kind in kinds for part in factories.PARTS.get((kind, name), ())}
        await asyncio.gather(*(asyncio.to_thread(self.part, part) for part in sorted(wanted)))
        for kind in kinds:
            self._get(kind, name)
        if "tts" in kinds:
            await self._rehearse(name)

    async def _rehearse(self, name: str) -> None:
        """Speak once unheard: the first sentence of a process takes ten times as long as the second."""
        voice = Voice(provider=VoiceProvider(name), voice_id=self.tts(name).capabilities.voices[0])
        async with aclosing(self.tts(name).speak("Hello, how can I help you today?", voice)) as chunks:
            async for _ in chunks:
                pass

    async def aclose(self) -> None:
        """Close every provider made here, then the worker threads."""
        for shared in (*self._shared.values(), *self._of_tenants.values()):
            await shared.aclose()
        await asyncio.gather(*self._closing)
        self._shared.clear()
        self._of_tenants.clear()
        self._readers.clear()
        await self.pool.aclose()
        self._parts.clear()

    def part(self, name: str) -> Any:
        """A loaded model that several providers share, for the factories."""
        if name not in self._parts:
            self._parts[name] = factories.LOADERS[name](self.settings)
        return self._parts[name]

    def _get(self, kind: str, name: str, own: Accounts = NONE) -> Any:
        name = str(name)
        if (kind, name) in factories.VENDORS:
            return self._of_vendor(kind, name, own)
        key = (kind, name)
        if key not in self._shared:
            make = factories.FACTORIES.get(key)
            if make is None:
                every = factories.FACTORIES.keys() | factories.VENDORS.keys()
                known = ", ".join(sorted(known for of_kind, known in every if of_kind == kind))
                raise ProviderUnconfigured(f"There is no {kind} provider {name}. Known: {known}.")
            self._shared[key] = make(self)
        return self._shared[key]

    def _of_vendor(self, kind: str, name: str, own: Accounts) -> Any:
        account = self.account(name, own, kind)
        if account is None:
            raise missing(name, kind)
        key = (kind, name, account.id)
        if account.id != PLATFORM:
            return self._of_tenant(key, account)
        if key not in self._shared:
            self._shared[key] = factories.vendor(kind, name, account)
        return self._shared[key]

    def _of_tenant(self, key: tuple[str, str, str], account: Account) -> Any:
        port = self._of_tenants.get(key)
        if port is None:
            port = self._of_tenants[key] = factories.vendor(key[0], key[1], account)
            self._close_unused()
        self._of_tenants.move_to_end(key)
        return port

    def _close_unused(self) -> None:
        """Close what was asked for longest ago and no call holds, as far as there are too many."""
        excess = len(self._of_tenants) - MOST_OF_TENANTS
        for key in list(self._of_tenants)[:-1] if excess > 0 else ():
            port = self._of_tenants[key]
            if sys.getrefcount(port) <= _ONLY_HERE:
                del self._of_tenants[key]
                closing = asyncio.get_running_loop().create_task(port.aclose())
                self._closing.add(closing)
                closing.add_done_callback(self._closed)
                excess -= 1
            if excess <= 0:
                return

    def _closed(self, closing: "asyncio.Task[None]") -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and closing.exception() is not None:
            log.warning("provider.not_closed", error=type(closing.exception()).__name__)

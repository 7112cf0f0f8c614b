"""The providers of calls: for each agent a chain of those it names and those the platform falls back to, over instances that calls share.

First comes the agent's own choice, then its `fallbacks`, then the platform's (`FALLBACK_LLM`, `FALLBACK_VOICE`, `FALLBACK_TRANSCRIPTION`).
An agent none of whose own providers are set up is refused; what the platform falls back to only takes over when a provider fails.
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from voisnap_domain.agents import Llm, LlmProvider, Transcription, TranscriptionProvider, Voice, VoiceProvider
from voisnap_domain.costs import OWN_SERVER_ACCOUNT
from voisnap_domain.errors import DomainError
from voisnap_domain.sessions import WRITTEN_CHANNELS, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.settings import SettingsError
from voisnap_media.vad import RATE
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.circuits import Circuits
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LanguageModel
from voisnap_providers.ports.stt import SpeechToText
from voisnap_providers.ports.tts import TextToSpeech
from voisnap_providers.registry import Registry
from voisnap_providers.resilience import Link, Policy, ResilientLlm, ResilientTts
from voisnap_providers.resilient_stt import ANSWER_SECONDS, ResilientStt
from voisnap_providers.slots import AccountLimits, Slots
from voisnap_providers.vendors import factories

LLM_POLICY = Policy(first_timeout=7.0, switch_timeout=3.0, gap_timeout=7.5)
"""A turn waits eight seconds for the first word of a reply (`conversation.LLM_SECONDS`)."""
TTS_POLICY = Policy(first_timeout=4.0, switch_timeout=2.0, gap_timeout=3.0, rest_seconds=math.inf, stays=True)
"""A sentence waits five seconds for its first sound (`speaker.TTS_SECONDS`)."""
STT_POLICY = Policy(first_timeout=ANSWER_SECONDS, rest_seconds=math.inf)
LOCAL_LANGUAGES = ("en",)
LOCAL_VOICE = "heart"
NOBODY = "none"

S = TypeVar("S", Llm, Voice, Transcription)
Accounts = Mapping[str, Account]

_log = log.get(__name__)


class Fallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform falls back to: names as `provider` or `provider:model` (`provider:voice`), in order; `none` is nobody."""

    llm: tuple[str, ...] = ("local",)
    voice: tuple[str, ...] = ("local",)
    transcription: tuple[str, ...] = ("local",)


class CallProviders(msgspec.Struct, frozen=True, kw_only=True):
    """What one session talks with. A written one neither hears nor speaks."""

    llm: LanguageModel
    stt: SpeechToText | None = None
    tts: TextToSpeech | None = None


class Providers:
    """Makes the chains. `accounts_of` opens what a plan brings of its tenant's accounts; `limits` are by provider, for the platform's own.

    Raises SettingsError for fallbacks that do not exist. Circuits are shared by all calls of the process. With `hedge_after` seconds without a word a second language model is asked too.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        accounts_of: Callable[[SessionPlan], Accounts] = lambda plan: {},
        fallbacks: Fallbacks | None = None,
        limits: Mapping[str, AccountLimits] | None = None,
        slots: Slots | None = None,
        hedge_after: float | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.registry = registry
        self.accounts_of = accounts_of
        self._fallbacks = fallbacks or Fallbacks()
        self._limits = limits or {}
        self._slots = slots
        self._llm_policy = msgspec.structs.replace(LLM_POLICY, hedge_after=hedge_after)
        self._random = random
        self._circuits = Circuits()
        self._loaded: set[tuple[str, str]] = set()
        tuple(_parsed(self._fallbacks.llm, LlmProvider))
        tuple(_parsed(self._fallbacks.voice, VoiceProvider))
        tuple(_parsed(self._fallbacks.transcription, TranscriptionProvider))

    async def load_all(self) -> None:
        """Import what the platform's own accounts need, before anybody calls."""
        accounts = self.registry.settings.accounts
        await asyncio.to_thread(factories.load, [one for one in factories.VENDORS if one[1] in accounts])

    async def load(self, plan: SessionPlan) -> None:
        """Import what a session needs: that must not hold up other calls. Costs nothing the second time."""
        config = plan.agent.config
        wanted = {("llm", one.provider.value) for one in (config.llm, *config.fallbacks.llm)}
        if plan.channel not in WRITTEN_CHANNELS:
            wanted |= {("stt", one.provider.value) for one in (config.transcription, *config.fallbacks.transcription)}
            wanted |= {("tts", one.provider.value) for one in (config.voice, *config.fallbacks.voice)}
        missing = wanted - self._loaded
        if missing:
            await asyncio.to_thread(factories.load, missing)
            self._loaded |= missing

    def check(self, plan: SessionPlan) -> None:
        """Raise DomainError for providers that are not set up here, and for pretended speech outside the sandbox."""
        config = plan.agent.config
        pretends = config.voice.provider is VoiceProvider.SCRIPTED or (
            config.transcription.provider is TranscriptionProvider.SCRIPTED
        )
        if pretends and plan.environment is not Environment.SANDBOX:
            raise ProviderUnconfigured("The scripted voice and the scripted recogniser work in the sandbox only.")
        self.of(plan, CallMeter())

    def of(self, plan: SessionPlan, meter: CallMeter) -> CallProviders:
        """The chains of one session, each provider counted by `meter`. Raises DomainError, ProviderError."""
        own = self.accounts_of(plan)
        config = plan.agent.config
        language = config.transcription.language
        llms = self._links(
            "llm",
            self.registry.llm,
            (config.llm, *config.fallbacks.llm),
            _fallback_llms(self._fallbacks.llm, config.llm, language),
            own,
            lambda port, account: meter.llm(port, account=account),
        )
        llm = ResilientLlm(llms, policy=self._llm_policy, random=self._random, slots=self._slots)
        if plan.channel in WRITTEN_CHANNELS:
            return CallProviders(llm=llm)
        recognisers = self._links(
            "stt",
            self.registry.stt,
            (config.transcription, *config.fallbacks.transcription),
            _fallback_recognisers(self._fallbacks.transcription, config.transcription),
            own,
            lambda port, account: meter.stt(port, account=account),
        )
        voices = self._links(
            "tts",
            self.registry.tts,
            (config.voice, *config.fallbacks.voice),
            _fallback_voices(self._fallbacks.voice, config.voice, language),
            own,
            lambda port, account: meter.tts(port, account=account),
        )
        return CallProviders(
            llm=llm,
            stt=ResilientStt(_at_one_rate(recognisers), policy=STT_POLICY, random=self._random, slots=self._slots),
            tts=ResilientTts(voices, policy=TTS_POLICY, random=self._random, slots=self._slots),
        )

    def _links(
        self,
        kind: str,
        find: Callable[[str, Accounts], Any],
        wanted: tuple[S, ...],
        platform: Iterable[S],
        own: Accounts,
        counted: Callable[[Any, str], Any],
    ) -> tuple[Link[Any, S], ...]:
        """The providers that are set up here. Raises what is wrong with the first when none of the agent's own is."""
        links: list[Link[Any, S]] = []
        seen: set[tuple[Any, ...]] = set()
        missing: DomainError | ProviderError | None = None
        for settings in wanted:
            try:
                self._add(links, seen, kind, find, settings, own, counted, is_last_resort=False)
            except (ProviderUnconfigured, ProviderError) as error:
                missing = missing or error
                _log.warning("provider.left_out", kind=kind, provider=settings.provider.value)
        if not links and missing is not None:
            raise missing
        for settings in platform:
            try:
                self._add(links, seen, kind, find, settings, own, counted, is_last_resort=True)
            except (ProviderUnconfigured, ProviderError):
                continue  # what the platform falls back to needs no account in every installation
        return tuple(links)

    def _add(
        self,
        links: list[Link[Any, S]],
        seen: set[tuple[Any, ...]],
        kind: str,
        find: Callable[[str, Accounts], Any],
        settings: S,
        own: Accounts,
        counted: Callable[[Any, str], Any],
        *,
        is_last_resort: bool,
    ) -> None:
        provider = settings.provider.value
        port = find(provider, own)
        account = self.registry.account(provider, own, kind)
        account_id = PLATFORM if account is None else account.id
        foreign = _foreign_server(settings, account)
        link = Link(
            counted(port, OWN_SERVER_ACCOUNT if foreign and account_id == PLATFORM else account_id),
            settings,
            circuit=self._circuits.of(kind, provider, f"{account_id} {foreign}" if foreign else account_id),
            account=f"{provider}:{account_id}",
            limits=self._limits.get(provider) if account_id == PLATFORM and not foreign else None,
            is_last_resort=is_last_resort,
        )
        same = (provider, account_id, foreign, link.label if not is_last_resort else None)
        if same in seen or (is_last_resort and any(one[0] == provider for one in seen)):
            return
        seen.add(same)
        links.append(link)


def _foreign_server(settings: Llm | Voice | Transcription, account: Account | None) -> str:
    """The address of an agent's own server, which is not the account's: how it does says nothing of the account, nor of other servers."""
    address = (settings.base_url or "").rstrip("/") if isinstance(settings, Llm) else ""
    return "" if account is not None and address == account.option("base_url").rstrip("/") else address


def _fallback_llms(names: tuple[str, ...], agent: Llm, language: str) -> Iterable[Llm]:
    if agent.provider is LlmProvider.SCRIPTED:
        return
    for provider, model in _parsed(names, LlmProvider):
        if provider is not LlmProvider.LOCAL or _is_spoken_locally(language):
            yield msgspec.structs.replace(agent, provider=provider, model=model or provider.value, base_url=None)


def _fallback_recognisers(names: tuple[str, ...], agent: Transcription) -> Iterable[Transcription]:
    if agent.provider is TranscriptionProvider.SCRIPTED:
        return
    for provider, model in _parsed(names, TranscriptionProvider):
        if provider is not TranscriptionProvider.LOCAL or _is_spoken_locally(agent.language):
            yield msgspec.structs.replace(agent, provider=provider, model=model or None)


def _fallback_voices(names: tuple[str, ...], agent: Voice, language: str) -> Iterable[Voice]:
    if agent.provider is VoiceProvider.SCRIPTED:
        return
    for provider, voice in _parsed(names, VoiceProvider):
        if provider is VoiceProvider.LOCAL:
            if _is_spoken_locally(language):
                yield Voice(provider=provider, voice_id=voice or LOCAL_VOICE, speed=agent.speed)
        elif voice:
            yield Voice(provider=provider, voice_id=voice, speed=agent.speed)


P = TypeVar("P", LlmProvider, VoiceProvider, TranscriptionProvider)


def _parsed(names: tuple[str, ...], providers: type[P]) -> Iterable[tuple[P, str]]:
    """Raises SettingsError for a name that is none."""
    for name in names:
        provider, _, what = name.partition(":")
        if provider == NOBODY:
            continue
        try:
            yield providers(provider), what
        except ValueError:
            known = ", ".join(one.value for one in providers)
            raise SettingsError((f"a fallback names {provider!r}, which is none of {known}",)) from None


def _is_spoken_locally(language: str) -> bool:
    return language.lower().startswith(LOCAL_LANGUAGES)


def _at_one_rate(links: tuple[Link[Any, Transcription], ...]) -> tuple[Link[Any, Transcription], ...]:
    """Without those that want the audio at a rate that the ear does not hand on."""
    return tuple(link for link in links if link.port.capabilities.sample_rate == RATE) or links

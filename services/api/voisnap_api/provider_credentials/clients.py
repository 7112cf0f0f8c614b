"""Asks a provider something small with a credential."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

from voisnap_domain.agents import Llm, LlmProvider, Transcription, TranscriptionProvider, Voice, VoiceProvider
from voisnap_kit import log
from voisnap_kit.work import Clock, utc_now
from voisnap_providers.accounts import Account
from voisnap_providers.carriers import CARRIERS, check_environment
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.messengers import NETWORKS, Messengers
from voisnap_providers.number_desks import number_desk
from voisnap_providers.ports.llm import LlmRequest, Message, Role
from voisnap_providers.registry import Registry
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_providers.vendors import factories

from voisnap_api.catalogue.usecases import smallest_of

from .records import CredentialTest, Probe, ProbeOutcome, ProviderCredential

PROBE_SECONDS = 15.0
_AT_ONCE = 4
_LONGEST_DETAIL = 300
_GOOGLES = {"api_key": ("llm",), "service_account": ("stt", "tts")}
_WORST_FIRST = (ProbeOutcome.REFUSED, ProbeOutcome.FAILED, ProbeOutcome.WORKS)

_log = log.get(__name__)

MakeRegistry = Callable[[], Registry]


class Prober:
    """Tests credentials, a few at a time."""

    def __init__(
        self,
        accounts: TenantAccounts,
        make_registry: MakeRegistry,
        *,
        seconds: float = PROBE_SECONDS,
        clock: Clock = utc_now,
    ) -> None:
        self._accounts = accounts
        self._make_registry = make_registry
        self._seconds = seconds
        self._clock = clock
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def test(self, credential: ProviderCredential) -> CredentialTest:
        """What the provider says to it, never longer than `seconds`. Raises DomainError when the credential does not open here."""
        opened = self._accounts.opened(
            (credential.as_sealed,), tenant_id=credential.tenant_id, environment=credential.environment
        )
        if credential.provider in NETWORKS:
            async with self._room:
                probe = await self._knock(credential, opened[credential.provider])
            return CredentialTest(at=self._clock(), outcome=probe.outcome, probes=(probe,))
        kinds = _kinds(credential)
        async with self._room, self._registry() as registry:
            await asyncio.to_thread(factories.load, [(kind, credential.provider) for kind in kinds])
            probes = await asyncio.gather(*(self._probe(registry, kind, credential, opened) for kind in kinds))
        outcomes = {probe.outcome for probe in probes}
        outcome = next((one for one in _WORST_FIRST if one in outcomes), ProbeOutcome.NOT_TESTED)
        return CredentialTest(at=self._clock(), outcome=outcome, probes=tuple(probes))

    @asynccontextmanager
    async def _registry(self) -> AsyncGenerator[Registry]:
        """One for this test alone: nothing of it stays in the process."""
        registry = self._make_registry()
        try:
            yield registry
        finally:
            await registry.aclose()

    async def _probe(
        self, registry: Registry, kind: str, credential: ProviderCredential, own: Mapping[str, Account]
    ) -> Probe:
        model = smallest_of(credential.provider, kind)
        if model is None:
            detail = "No model of this provider is known here to ask; the first session will show it."
            return Probe(kind=kind, outcome=ProbeOutcome.NOT_TESTED, detail=detail)
        asked = _ASK[kind](registry, credential.provider, model, own)
        return await self._probed(kind, credential.provider, asked, f"{model} answered.")

    async def _knock(self, credential: ProviderCredential, account: Account) -> Probe:
        """A carrier or a messaging network is asked for the account itself: nothing is called, written or bought."""
        kind = "carrier" if credential.provider in CARRIERS else "messaging"
        asked = _knocked(account, credential)
        return await self._probed(kind, credential.provider, asked, "The account was let in.")

    async def _probed(self, kind: str, provider: str, asked: Awaitable[None], works: str) -> Probe:
        try:
            async with asyncio.timeout(self._seconds):
                await asked
        except ProviderUnconfigured as error:
            outcome, detail = ProbeOutcome.NOT_TESTED, error.detail
        except ProviderAuthError:
            outcome, detail = ProbeOutcome.REFUSED, "The provider refused the credential."
        except ProviderError as error:
            outcome, detail = ProbeOutcome.FAILED, error.detail[:_LONGEST_DETAIL]
        except TimeoutError:
            outcome, detail = ProbeOutcome.FAILED, f"The provider did not answer within {self._seconds:g} s."
        else:
            outcome, detail = ProbeOutcome.WORKS, works
        _log.info("provider_credential.probed", provider=provider, kind=kind, outcome=outcome.value)
        return Probe(kind=kind, outcome=outcome, detail=detail)


def _kinds(credential: ProviderCredential) -> tuple[str, ...]:
    if credential.provider == "google":
        return tuple(kind for name in sorted(credential.hints) for kind in _GOOGLES.get(name, ()))
    kinds = {
        "llm": credential.provider in set(LlmProvider),
        "stt": credential.provider in set(TranscriptionProvider),
        "tts": credential.provider in set(VoiceProvider),
    }
    return tuple(kind for kind, is_one in kinds.items() if is_one)


async def _knocked(account: Account, credential: ProviderCredential) -> None:
    """Raises ProviderUnconfigured in the sandbox, whose credentials reach nobody."""
    check_environment(account, credential.environment)
    if account.provider in CARRIERS:
        desk = number_desk(account)
        try:
            return await desk.check()
        finally:
            await desk.aclose()
    messengers = Messengers()
    try:
        registrar = messengers.of(account, credential.environment).registrar
        if registrar is not None:
            await registrar.own_address()
    finally:
        await messengers.aclose()
    return None


async def _ask_llm(registry: Registry, provider: str, model: str, own: Mapping[str, Account]) -> None:
    request = LlmRequest(
        messages=(Message(role=Role.USER, content="Say yes."),),
        settings=Llm(provider=LlmProvider(provider), model=model, temperature=0.0, max_tokens=50),
    )
    async with aclosing(registry.llm(provider, own).answer(request)) as deltas:
        async for _ in deltas:
            return


async def _ask_tts(registry: Registry, provider: str, voice: str, own: Mapping[str, Account]) -> None:
    async with aclosing(
        registry.tts(provider, own).speak("Yes.", Voice(provider=VoiceProvider(provider), voice_id=voice))
    ) as chunks:
        async for _ in chunks:
            return


async def _ask_stt(registry: Registry, provider: str, _model: str, own: Mapping[str, Account]) -> None:
    from voisnap_media.pcm import Pcm  # noqa: PLC0415 - with numpy 120 ms of a start, for a probe that few ask for

    recogniser = registry.stt(provider, own)
    rate = recogniser.capabilities.sample_rate
    stream = recogniser.open(Transcription(provider=TranscriptionProvider(provider)))
    try:
        stream.push(Pcm.silence(rate, 500))
        stream.flush()
        async for _ in stream:
            return
    finally:
        await stream.aclose()


_ASK: dict[str, Callable[[Registry, str, str, Mapping[str, Account]], Awaitable[None]]] = {
    "llm": _ask_llm,
    "tts": _ask_tts,
    "stt": _ask_stt,
}

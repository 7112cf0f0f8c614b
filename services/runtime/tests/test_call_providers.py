"""Which providers a session gets: the agent's own, then the platform's, each with its settings, over what the process knows of them."""

import msgspec
import pytest
from voisnap_domain.agents import (
    Fallbacks as AgentFallbacks,
)
from voisnap_domain.agents import (
    Llm,
    LlmProvider,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment
from voisnap_kit.settings import SettingsError, load
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LlmCapabilities, LlmRequest, LlmUsed, TextDelta
from voisnap_providers.slots import AccountLimits
from voisnap_runtime.providers import Fallbacks, Providers
from voisnap_runtime.settings import RuntimeSettings
from voisnap_testkit.fakes_speech import FakeStt, FakeTts

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

GPT = Llm(provider=LlmProvider.OPENAI, model="gpt-mini")
CLAUDE = Llm(provider=LlmProvider.ANTHROPIC, model="haiku")
DEEPGRAM = Transcription(provider=TranscriptionProvider.DEEPGRAM)
ELEVEN = Voice(provider=VoiceProvider.ELEVENLABS, voice_id="rachel")


class Writer:
    """A language model that names itself, or fails."""

    capabilities = LlmCapabilities(tools=True)

    def __init__(self, provider: str, account: str) -> None:
        self.provider = provider
        self.account = account
        self.fails = False
        self.asked: list[str] = []

    async def answer(self, request):
        self.asked.append(request.settings.model)
        if self.fails:
            raise ProviderError("down", provider=self.provider, kind="llm", retryable=True)
        yield TextDelta(text=f"{self.provider} {self.account}")
        yield LlmUsed(input_tokens=3, output_tokens=2)

    async def warm(self) -> None: ...


class Shelf:
    """A registry that has what it was told, and makes one instance an account."""

    def __init__(self, *names: str) -> None:
        self.names = {"local", "scripted", *names}
        self.made: dict[tuple[str, str, str], object] = {}

    def account(self, name, own, kind):
        return own.get(name) or (Account(id="platform", provider=name) if name in self.names else None)

    def llm(self, name, own):
        return self._get("llm", name, own, lambda account: Writer(name, account))

    def stt(self, name, own):
        return self._get("stt", name, own, lambda account: FakeStt())

    def tts(self, name, own):
        return self._get("tts", name, own, lambda account: FakeTts())

    def _get(self, kind, name, own, make):
        if name not in self.names and name not in own:
            raise ProviderUnconfigured(f"{name} is not set up")
        account = self.account(name, own, kind).id
        port = self.made.setdefault((kind, name, account), make(account))
        port.provider = name
        return port


@pytest.fixture
def plan_of(make_plan):
    def make(channel=Channel.WEBRTC, environment=Environment.LIVE, **changes):
        plan = make_plan()
        config = msgspec.structs.replace(plan.agent.config, llm=GPT, transcription=DEEPGRAM, voice=ELEVEN)
        config = msgspec.structs.replace(config, **changes)
        agent = msgspec.structs.replace(plan.agent, config=config)
        return msgspec.structs.replace(plan, agent=agent, channel=channel, environment=environment)

    return make


def names_in(chain) -> list[tuple[str, str]]:
    return [(link.provider, link.label) for link in chain._chain.links]


async def answer(llm) -> str:
    request = LlmRequest(messages=(), settings=GPT)
    return "".join([delta.text async for delta in llm.answer(request) if isinstance(delta, TextDelta)])


def test_the_agent_s_own_come_first_then_its_fallbacks_then_the_platform_s(plan_of):
    shelf = Shelf("openai", "anthropic", "deepgram", "aws", "elevenlabs", "cohere")
    fallbacks = AgentFallbacks(
        llm=(CLAUDE, msgspec.structs.replace(GPT, model="gpt-big")),
        transcription=(Transcription(provider=TranscriptionProvider.AWS, language="en-GB"),),
    )
    providers = Providers(shelf, fallbacks=Fallbacks(llm=("cohere:command", "local")))
    got = providers.of(plan_of(fallbacks=fallbacks), CallMeter())
    assert names_in(got.llm) == [
        ("openai", "gpt-mini"),
        ("anthropic", "haiku"),
        ("openai", "gpt-big"),
        ("cohere", "command"),
        ("local", "local"),
    ]
    assert [link.is_last_resort for link in got.llm._chain.links] == [False, False, False, True, True]
    assert names_in(got.stt) == [("deepgram", ""), ("aws", ""), ("local", "")]
    assert [link.settings.language for link in got.stt._chain.links] == ["en-US", "en-GB", "en-US"]
    assert names_in(got.tts) == [("elevenlabs", "rachel"), ("local", "heart")]


def test_what_is_not_set_up_is_left_out_while_any_of_the_agent_s_own_is(plan_of):
    fallbacks = AgentFallbacks(llm=(CLAUDE,))
    shelf = Shelf("anthropic", "deepgram", "elevenlabs")
    got = Providers(shelf).of(plan_of(fallbacks=fallbacks), CallMeter())
    assert names_in(got.llm)[0] == ("anthropic", "haiku")
    with pytest.raises(ProviderUnconfigured, match="openai"):
        Providers(shelf).check(plan_of())


def test_what_the_platform_falls_back_to_speaks_the_agent_s_language_and_never_helps_a_script(plan_of):
    shelf = Shelf("openai", "deepgram", "elevenlabs")
    german = msgspec.structs.replace(DEEPGRAM, language="de-DE")
    got = Providers(shelf).of(plan_of(transcription=german), CallMeter())
    assert [len(names_in(chain)) for chain in (got.llm, got.stt, got.tts)] == [1, 1, 1]
    scripted = plan_of(llm=Llm(provider=LlmProvider.SCRIPTED, model="x"), channel=Channel.WEBCHAT)
    assert names_in(Providers(shelf).of(scripted, CallMeter()).llm) == [("scripted", "x")]
    nobody = Providers(shelf, fallbacks=Fallbacks(llm=("none",), voice=("none",), transcription=("none",)))
    assert names_in(nobody.of(plan_of(), CallMeter()).tts) == [("elevenlabs", "rachel")]


def test_pretended_speech_is_for_the_sandbox(plan_of):
    scripted = {"voice": Voice(provider=VoiceProvider.SCRIPTED, voice_id="tone")}
    shelf = Shelf("openai", "deepgram")
    with pytest.raises(ProviderUnconfigured, match="sandbox"):
        Providers(shelf).check(plan_of(**scripted))
    Providers(shelf).check(plan_of(environment=Environment.SANDBOX, **scripted))


async def test_a_tenant_s_own_account_is_called_and_counted_and_has_no_platform_limits(plan_of):
    shelf = Shelf("openai", "deepgram", "elevenlabs")
    own = {"openai": Account(id="cred_1.2", provider="openai", secrets={"api_key": "k"})}
    meter = CallMeter()
    limits = {"openai": AccountLimits(concurrent=1), "deepgram": AccountLimits(concurrent=2)}
    got = Providers(shelf, accounts_of=lambda plan: own, limits=limits).of(plan_of(), meter)
    assert await answer(got.llm) == "openai cred_1.2"
    assert [(leg.provider, leg.account, leg.model) for leg in meter.usage.legs] == [("openai", "cred_1.2", "gpt-mini")]
    assert got.llm._chain.links[0].limits.is_open
    assert got.stt._chain.links[0].limits.concurrent == 2


async def test_what_one_call_learns_of_a_provider_all_calls_know_and_each_leg_is_counted(plan_of):
    shelf = Shelf("openai", "anthropic", "deepgram", "elevenlabs")
    providers = Providers(shelf)
    plan = plan_of(fallbacks=AgentFallbacks(llm=(CLAUDE,)))
    providers.of(plan, CallMeter())
    shelf.made["llm", "openai", "platform"].fails = True
    meters = [CallMeter() for _ in range(8)]
    for meter in meters:
        assert await answer(providers.of(plan, meter).llm) == "anthropic platform"
    assert len(shelf.made["llm", "openai", "platform"].asked) == 4
    assert [(leg.provider, leg.model) for leg in meters[0].usage.legs] == [("anthropic", "haiku")]


async def test_an_agent_s_own_server_that_fails_closes_no_other_one_and_takes_no_slot(plan_of):
    shelf = Shelf("openai_compatible", "deepgram", "elevenlabs")
    providers = Providers(
        shelf, fallbacks=Fallbacks(llm=("none",)), limits={"openai_compatible": AccountLimits(concurrent=1)}
    )

    def at(server: str):
        llm = Llm(provider=LlmProvider.OPENAI_COMPATIBLE, model="m", base_url=f"https://{server}/v1")
        return providers.of(plan_of(llm=llm), CallMeter()).llm

    assert at("a.example")._chain.links[0].limits.is_open
    shelf.made["llm", "openai_compatible", "platform"].fails = True
    for _ in range(4):
        with pytest.raises(ProviderError):
            await answer(at("a.example"))
    shelf.made["llm", "openai_compatible", "platform"].fails = False
    assert await answer(at("b.example")) == "openai_compatible platform"
    with pytest.raises(ProviderError, match="not called"):
        await answer(at("a.example"))


async def test_what_an_agent_s_own_server_counts_is_not_the_platform_s(plan_of):
    providers = Providers(Shelf("openai_compatible", "deepgram", "elevenlabs"), fallbacks=Fallbacks(llm=("none",)))
    meter = CallMeter()
    llm = Llm(provider=LlmProvider.OPENAI_COMPATIBLE, model="m", base_url="https://a.example/v1")
    await answer(providers.of(plan_of(llm=llm), meter).llm)
    await answer(providers.of(plan_of(llm=msgspec.structs.replace(llm, base_url=None)), meter).llm)
    assert [leg.account for leg in meter.usage.legs] == ["own-server", "platform"]


async def test_a_written_session_neither_hears_nor_speaks(plan_of):
    got = Providers(Shelf("openai")).of(plan_of(channel=Channel.WEBCHAT), CallMeter())
    assert (got.stt, got.tts) == (None, None)


def test_a_recogniser_that_wants_another_rate_is_left_out(plan_of):
    shelf = Shelf("openai", "deepgram", "elevenlabs")
    odd = shelf.stt("deepgram", {})
    odd.capabilities = msgspec.structs.replace(odd.capabilities, sample_rate=8000)
    got = Providers(shelf).of(plan_of(), CallMeter())
    assert names_in(got.stt) == [("local", "")]


def test_settings_name_fallbacks_and_limits_and_complain_of_what_they_cannot_read():
    needed = dict.fromkeys(
        ("REDIS_URL", "NATS_URL", "BLOBS_URL", "JWKS_URL", "MODELS_DIR", "SPOOL_DIR", "PUBLIC_URL"), "x"
    )
    limits = '{"openai": {"concurrent": 3, "perMinute": 60}}'
    settings = load(RuntimeSettings, {**needed, "FALLBACK_LLM": "openai:gpt-mini, local", "PROVIDER_LIMITS": limits})
    assert settings.fallback_llm == ("openai:gpt-mini", "local")
    assert settings.account_limits == {"openai": AccountLimits(concurrent=3, per_minute=60)}
    with pytest.raises(SettingsError, match="PROVIDER_LIMITS"):
        assert load(RuntimeSettings, {**needed, "PROVIDER_LIMITS": '{"openai": {"concurent": 3}}'}).account_limits
    with pytest.raises(SettingsError, match="'opnai'"):
        Providers(Shelf(), fallbacks=Fallbacks(llm=("opnai:x",)))

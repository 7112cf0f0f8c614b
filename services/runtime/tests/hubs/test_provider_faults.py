"""Providers that fail during a call over VoiceHub: the caller is told in the documented codes, and what cannot go on ends."""

import asyncio

import msgspec
import pytest
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import Channel
from voisnap_providers.errors import ProviderError, ProviderTimeout
from voisnap_providers.ports.llm import LlmCapabilities, TextDelta
from voisnap_providers.resilience import Link, Policy, ResilientLlm
from voisnap_providers.resilient_stt import ResilientStt
from voisnap_runtime.pipeline.call import Call
from voisnap_testkit.fakes_speech import FakeStt, FakeTts

pytestmark = pytest.mark.hub


class Deafness(FakeStt):
    """A recogniser whose streams break as soon as somebody reads them."""

    def open(self, settings, *, keyterms=()):
        stream = super().open(settings, keyterms=keyterms)

        async def broken():
            await asyncio.sleep(0)
            raise ProviderTimeout("no answer", provider="fake", kind="stt")
            yield

        stream._iterate = broken
        return stream


class Silence:
    """A language model that fails until told otherwise."""

    provider = "silence"
    capabilities = LlmCapabilities()

    def __init__(self) -> None:
        self.works = False

    async def answer(self, request):
        if not self.works:
            raise ProviderError("broken", provider="silence", kind="llm", retryable=True)
        yield TextDelta(text="Here I am.")

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class NoVoices:
    """A voice detector that is never asked."""

    def add(self, ear, *, on_fault) -> None: ...
    def remove(self, ear) -> None: ...


@pytest.fixture
def provide(house):
    """`provide(stt=…, llm=…)`: calls with these providers."""

    def use(**providers):
        parts = house.sessions._parts

        def make_call(plan, recorder, notify, resume=None):
            assert plan.channel is Channel.PHONE
            return Call(
                plan, tts=FakeTts(), vad=NoVoices(), recorder=recorder, notify=notify, resume=resume, **providers
            )

        house.sessions._parts = msgspec.structs.replace(parts, make_call=make_call)

    return use


def chained(stt=None, llm=None):
    """Chains of which nobody works."""
    made = {}
    if stt is not None:
        made["stt"] = ResilientStt((Link(stt), Link(Deafness())), random=lambda: 0.5)
    if llm is not None:
        made["llm"] = ResilientLlm((Link(llm), Link(Silence())), policy=Policy(backoff=0), random=lambda: 0.5)
    return made


@pytest.mark.parametrize("made", [dict, chained], ids=["alone", "in a chain"])
async def test_a_recogniser_that_cannot_be_reopened_ends_the_call(house, voice, provide, monkeypatch, made):
    monkeypatch.setattr("voisnap_runtime.pipeline.hearing.BACKOFF_SECONDS", (0.0, 0.0))
    provide(**made(stt=Deafness(), llm=Silence()))
    async with voice() as client:
        await client.until("SessionStarted")
        live = house.sessions.get(SessionId("call_1"))
        error = await client.until("Error", where=lambda error: not error["recoverable"])
        assert error["code"] == "STT_PROVIDER_TIMEOUT"
        assert (await client.until("SessionEnded"))["reason"] == "error"
        with pytest.raises(AssertionError, match="closed"):
            await client.until("SessionStarted")
    await live.over()
    assert house.store.tenants["ten_1"] == {}


@pytest.mark.parametrize("made", [dict, chained], ids=["alone", "in a chain"])
async def test_a_language_model_that_fails_is_told_and_the_call_goes_on(house, voice, provide, made):
    provide(stt=FakeStt(), **made(llm=Silence()))
    async with voice() as client:
        await client.until("SessionStarted")
        await house.sessions.get(SessionId("call_1")).begun()
        for key in "4#":
            await client.ask("SendDtmfAsync", key)
            assert await client.until("DtmfReceived") == {"digit": key}
        error = await client.until("Error")
        assert (error["code"], error["recoverable"]) == ("LLM_PROVIDER_ERROR", True)
        assert house.sessions.get(SessionId("call_1")) is not None
        await client.ask("EndSessionAsync")
        assert (await client.until("SessionEnded"))["reason"] == "user_ended"

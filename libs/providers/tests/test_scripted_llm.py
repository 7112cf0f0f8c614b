"""The scripted model: rules, pace, and scripts that must be refused."""

import asyncio

import pytest
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import EndCall, LlmRequest, LlmUsed, Message, Role, TextDelta
from voisnap_providers.vendors.scripted.llm import ScriptedLlm, script

pytestmark = pytest.mark.unit

PROMPT = """You are Aria.
when: opening hours|open -> We are open from nine to five.
when: my name is (\\w+) -> Nice to meet you, \\1.
when: \\bbye\\b -> Goodbye! [end]
"""


def request(heard: str, *, prompt: str = PROMPT, model: str = "any") -> LlmRequest:
    return LlmRequest(
        messages=(Message(role=Role.SYSTEM, content=prompt), Message(role=Role.USER, content=heard)),
        settings=Llm(provider=LlmProvider.SCRIPTED, model=model),
    )


async def said(llm: ScriptedLlm, asked: LlmRequest) -> str:
    return "".join([delta.text async for delta in llm.answer(asked) if isinstance(delta, TextDelta)])


@pytest.mark.parametrize(
    ("heard", "reply"),
    [
        ("When do you OPEN?", "We are open from nine to five."),
        ("Hello, my name is Bob.", "Nice to meet you, Bob."),
        ("What about parking?", ""),
    ],
)
async def test_the_first_rule_that_fits_gives_the_reply(heard: str, reply: str):
    assert await said(ScriptedLlm(), request(heard)) == reply


async def test_otherwise_answers_everything_else():
    assert await said(ScriptedLlm(), request("Parking?", prompt=PROMPT + "otherwise -> Pardon?")) == "Pardon?"


async def test_the_script_named_by_the_model_wins():
    llm = ScriptedLlm({"demo": "otherwise -> I am the demo."})
    assert await said(llm, request("open?", model="demo")) == "I am the demo."
    assert llm.requests[0].settings.model == "demo"


async def test_end_closes_the_call_after_the_words_and_usage_comes_last():
    deltas = [delta async for delta in ScriptedLlm().answer(request("ok bye"))]
    assert deltas[:2] == [TextDelta(text="Goodbye!"), EndCall()]
    assert isinstance(deltas[-1], LlmUsed)
    assert deltas[-1].output_tokens == 1


@pytest.mark.virtual_time
async def test_pace_delays_tokens_in_loop_time():
    loop = asyncio.get_running_loop()
    llm = ScriptedLlm({"slow": "otherwise -> one two three\npace: first 120ms, token 30ms"})
    began = loop.time()
    times = [
        loop.time() - began async for delta in llm.answer(request("x", model="slow")) if isinstance(delta, TextDelta)
    ]
    assert times == pytest.approx([0.12, 0.15, 0.18])


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*c", "(", "x" * 300, "a*b*c*d*e"])
def test_patterns_that_are_broken_or_could_hang_are_refused(pattern: str):
    with pytest.raises(ValueError, match="pattern"):
        script(f"when: {pattern} -> hi")


async def test_a_bad_script_in_a_prompt_is_the_provider_s_error():
    with pytest.raises(ProviderError) as caught:
        await said(ScriptedLlm(), request("a", prompt="when: (a+)+ -> hi"))
    assert not caught.value.retryable

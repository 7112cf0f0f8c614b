"""The local brain on businesses it was not made for: each file is a prompt, passages and what callers ask.

A few answers may be wrong (the share is what counts), but an order to the agent must never be read out, and a question that the owner's
text does not answer must get an honest "I don't have that".
"""

import re
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.ports.llm import EndCall, LlmRequest, LlmUsed, Message, Role, TextDelta
from voisnap_providers.registry import Registry
from voisnap_providers.vendors.local.dialogue import LocalAgent, Reply

pytestmark = pytest.mark.media

LEAST_SHARE = 0.85
BUSINESSES = sorted((Path(__file__).parent / "businesses").glob("*.toml"))
SETTINGS = Llm(provider=LlmProvider.LOCAL, model="local")
ORDERS = re.compile(
    r"\b(?:always be|never|keep (?:it|your|every)|be cheerful|speak (?:in|naturally)|you are \w+, |use the knowledge)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def agent(registry: Registry) -> LocalAgent:
    return LocalAgent(registry.part("minilm"))


def request(prompt: str, heard: str, *, after: list[list[str]] = [], passages: tuple[str, ...] = ()) -> LlmRequest:  # noqa: B006
    history = [
        message
        for asked, answered in after
        for message in (Message(role=Role.USER, content=asked), Message(role=Role.ASSISTANT, content=answered))
    ]
    return LlmRequest(
        messages=(
            Message(role=Role.SYSTEM, content=prompt),
            *history,
            Message(role=Role.USER, content=heard),
        ),
        settings=SETTINGS,
        passages=passages,
    )


def is_right(turn: dict[str, Any], reply: Reply) -> bool:
    return (
        re.search(turn.get("expect", ""), reply.text, re.IGNORECASE) is not None
        and not (turn.get("reject") and re.search(turn["reject"], reply.text, re.IGNORECASE))
        and reply.ends_call == turn.get("ends", False)
    )


@pytest.mark.parametrize("business", BUSINESSES, ids=lambda path: path.stem)
def test_callers_get_the_right_answer(business: Path, agent: LocalAgent):
    given = tomllib.loads(business.read_text())
    wrong = []
    for turn in given["turns"]:
        reply = agent.reply(
            request(
                given["prompt"], turn["ask"], after=turn.get("after", []), passages=tuple(given.get("passages", ()))
            )
        )
        assert not ORDERS.search(reply.text), reply.text
        if not is_right(turn, reply):
            wrong.append(f"{turn['ask']} → {reply.text}")
    assert 1 - len(wrong) / len(given["turns"]) >= LEAST_SHARE, wrong


def test_answers_come_within_a_tenth_of_a_second(agent: LocalAgent):
    given = tomllib.loads(BUSINESSES[0].read_text())
    times = []
    for turn in given["turns"]:
        asked = request(given["prompt"], turn["ask"] + " please", passages=tuple(given.get("passages", ())))
        began = time.perf_counter()
        agent.reply(asked)
        times.append(time.perf_counter() - began)
    assert np.median(times) < 0.1, times


@pytest.mark.parametrize("said", ["Bye bye!", "Thank you, good-bye.", "Good bye"])
async def test_through_the_port_a_goodbye_ends_the_call_and_usage_comes_last(registry: Registry, said: str):
    deltas = [delta async for delta in registry.llm("local").answer(request("You are Aria.", said))]
    assert deltas[-2] == EndCall()
    assert isinstance(deltas[-1], LlmUsed)
    assert deltas[-1].output_tokens > 0
    assert "Goodbye" in "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


PROMPT = "You are Aria from Acme Shop. Always upsell. We are open from 9 am to 5 pm. Call us at 555-0100 for orders."


@pytest.mark.parametrize(
    ("asked", "after", "expected"),
    [
        (
            "Say that again?",
            [["When are you open?", "We are open from 9 am to 5 pm."]],
            "We are open from 9 am to 5 pm",
        ),
        ("Can I speak to a human?", [], "call you back"),
        (
            "Yes please.",
            [
                [
                    "Human!",
                    "I understand, you'd like to talk to a person. Would you like me to take your number so that someone can call you back?",
                ]
            ],
            "number to reach you",
        ),
        (
            "It's five five five one two three four five six seven.",
            [["Yes", "Great. What's the best number to reach you?"]],
            "555-123-4567",
        ),
        (
            "John Smith.",
            [["555 123 4567", "Thank you, I have 555-123-4567. And what name should I put down?"]],
            "Thanks, John Smith",
        ),
        ("No, thank you.", [["Thanks", "You're welcome! Is there anything else I can help you with?"]], "Goodbye"),
        ("My order number is four seven two nine one.", [], "47291"),
        ("My email is jane dot doe at example dot com.", [], "jane.doe@example.com"),
        ("", [], "didn't catch"),
        ("Are you a robot?", [], "AI assistant"),
        ("Who is this?", [], "Aria"),
        ("Hi there!", [], "How can I help"),
        ("Who won the world cup in 1998?", [], "don't have that"),
    ],
)
def test_the_small_change_of_a_call(agent: LocalAgent, asked: str, after: list[list[str]], expected: str):
    assert expected in agent.reply(request(PROMPT, asked, after=after)).text


def test_a_huge_prompt_is_taken_and_bounded(agent: LocalAgent):
    prompt = "You are Aria. " + " ".join(f"Item {number} costs {number} dollars." for number in range(300))
    assert "217 dollars" in agent.reply(request(prompt, "How much is item 217?")).text


@pytest.mark.parametrize(
    "prompt", ["", "You are Aria.", "|||", "Q:", "# ", "- ", "<a>", "Q: What?\nA:", "::", "| a |\n|---|"]
)
def test_any_prompt_gives_some_answer(agent: LocalAgent, prompt: str):
    assert agent.reply(request(prompt, "What time do you open?")).text


@pytest.mark.parametrize("business", BUSINESSES, ids=lambda path: path.stem)
def test_whole_questions_are_answered_alike_whatever_was_asked_before(business: Path, agent: LocalAgent):
    given = tomllib.loads(business.read_text())
    prompt, passages = given["prompt"], tuple(given.get("passages", ()))
    alone = [turn for turn in given["turns"] if not turn.get("after") and len(turn["ask"].split()) >= 4]
    replies = [agent.reply(request(prompt, turn["ask"], passages=passages)) for turn in alone]
    right = [
        (turn, reply)
        for turn, reply in zip(alone, replies, strict=True)
        if reply.source == "fact" and is_right(turn, reply)
    ]
    swayed = []
    for (before, said), (turn, _) in zip(right, [*right[1:], *right[:1]], strict=True):
        reply = agent.reply(request(prompt, turn["ask"], after=[[before["ask"], said.text]], passages=passages))
        if not is_right(turn, reply):
            swayed.append(f"after {before['ask']!r}: {turn['ask']!r} -> {reply.text!r}")

    assert len(swayed) <= len(right) * (1 - LEAST_SHARE), "\n".join(swayed)

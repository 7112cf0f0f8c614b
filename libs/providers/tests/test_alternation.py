"""The order that strict vendors insist on, out of dialogues as calls make them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_providers.ports.llm import Message, Role, ToolCall
from voisnap_providers.vendors.alternation import ONWARD, OPENING, UNANSWERED, Exchange, alternation_of

pytestmark = pytest.mark.unit

CALL = ToolCall(call_id="c1", name="find", arguments="{}")
OTHER = ToolCall(call_id="c2", name="book", arguments="{}")


def system(text: str) -> Message:
    return Message(role=Role.SYSTEM, content=text)


def user(text: str) -> Message:
    return Message(role=Role.USER, content=text)


def assistant(text: str, *calls: ToolCall) -> Message:
    return Message(role=Role.ASSISTANT, content=text, tool_calls=calls)


def tool(call_id: str, text: str) -> Message:
    return Message(role=Role.TOOL, content=text, tool_call_id=call_id)


def sides(exchanges: tuple[Exchange, ...]) -> str:
    return "".join("u" if exchange.is_users else "a" for exchange in exchanges)


def test_the_prompt_is_told_from_what_may_change():
    ordered = alternation_of((system("Prompt."), user("Hi."), system("Be brief.")), ("We open at nine.",))
    assert ordered.prompt == "Prompt."
    assert ordered.more == ("Be brief.", "What you know that may help:\n\nWe open at nine.")
    assert alternation_of((user("Hi."), system("Be brief."))).prompt == "", "a text in the middle is no prompt"


def test_the_user_begins_and_ends():
    opened = alternation_of((assistant("Hello."),)).exchanges
    assert [exchange.texts for exchange in opened] == [(OPENING,), ("Hello.",), (ONWARD,)]
    assert alternation_of(()).exchanges[0].texts == (OPENING,)


def test_one_side_speaking_twice_is_one_exchange():
    ordered = alternation_of((user("Hi."), user("Hello?"), assistant(" "), user("Anybody?"))).exchanges
    assert [exchange.texts for exchange in ordered] == [("Hi.", "Hello?", "Anybody?")]


def test_results_stand_behind_their_calls_whenever_they_came():
    ordered = alternation_of(
        (user("Hi."), assistant("Wait.", CALL, OTHER), user("Well?"), tool("c2", "booked"), tool("lost", "?"))
    ).exchanges
    assert sides(ordered) == "uau"
    assert [result.content for result in ordered[2].results] == [UNANSWERED, "booked"]
    assert ordered[2].texts == ("Well?",)


def test_what_follows_the_users_last_words_is_current():
    steps = (assistant("", CALL), tool("c1", "1"), assistant("", OTHER), tool("c2", "2"))
    ordered = alternation_of((user("Hi."), *steps)).exchanges
    assert [exchange.is_current for exchange in ordered] == [False, True, True, True, True]
    later = alternation_of((user("Hi."), *steps, assistant("Done."), user("Thanks."))).exchanges
    assert not any(exchange.is_current for exchange in later)


messages = st.lists(
    st.one_of(
        st.builds(user, st.sampled_from(["", " ", "Hi."])),
        st.builds(system, st.sampled_from(["", "Prompt."])),
        st.builds(tool, st.sampled_from(["c1", "c2", "c3"]), st.just("result")),
        st.builds(
            lambda text, calls: assistant(text, *calls),
            st.sampled_from(["", "Well."]),
            st.sampled_from([(), (CALL,), (CALL, OTHER)]),
        ),
    ),
    max_size=12,
)


@given(messages)
def test_whatever_was_said_the_order_holds(said: list[Message]):
    exchanges = alternation_of(said).exchanges
    assert sides(exchanges).startswith("u")
    assert sides(exchanges).endswith("u")
    assert "uu" not in sides(exchanges)
    assert "aa" not in sides(exchanges)
    calls: tuple[ToolCall, ...] = ()
    for exchange in exchanges:
        assert tuple(result.call for result in exchange.results) == calls
        assert exchange.texts or exchange.calls or exchange.results
        calls = exchange.calls
    assert not calls

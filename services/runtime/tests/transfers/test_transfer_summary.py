"""What whoever takes a call over is told where no model sums it up."""

import pytest
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.transfers import MAX_SUMMARY
from voisnap_runtime.transfers.summary import cut, in_callers_words

pytestmark = pytest.mark.unit

ORDER, WISH = "I want to order twenty loaves for Monday", "Can I talk to sales please?"


def turns(*said: str) -> list[Turn]:
    return [
        Turn(sequence=place, speaker=Speaker.USER, text=text, start_time=0.0, end_time=0.0, confidence=1.0)
        for place, text in enumerate(said, 1)
    ]


@pytest.mark.parametrize(
    ("said", "reason", "summary"),
    [
        ((ORDER, "yes", WISH), WISH, f"{ORDER}."),
        ((WISH,), WISH, WISH),
        ((ORDER, WISH), "Wants a quote", f"Wants a quote. {ORDER}. {WISH}"),
        (("hello",), "", ""),
        ((), "Wants a quote.", "Wants a quote."),
    ],
)
def test_it_is_in_the_callers_words(said: tuple[str, ...], reason: str, summary: str) -> None:
    assert in_callers_words(turns(*said), reason) == summary


def test_it_is_short_and_no_template() -> None:
    assert cut("{{name}}\n{x}") == "((name)) (x)"
    assert len(cut("word " * 400)) <= MAX_SUMMARY + 2
    assert cut("word " * 400).endswith("word …")

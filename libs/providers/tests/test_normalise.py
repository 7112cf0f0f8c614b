"""Written text as it is spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_providers.vendors.local.normalise import is_speakable, sentences, spoken_form

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Order #47291 is ready.", "Order number four seven two, nine one is ready."),
        ("Your order number is 8841.", "Your order number is eight eight four one."),
        ("Call (555) 123-4567.", "Call five five five, one two three, four five six seven."),
        ("Call +1 555 123 4567 now", "Call plus one, five five five, one two three, four five six seven now"),
        ("Call 555-0142.", "Call five five five, zero one four two."),
        ("Ring 1-800-ACME today", "Ring one, eight hundred, Acme today"),
        ("Write to info@smile-dental.com.", "Write to info at smile dash dental dot com."),
        ("See https://www.example.com/book.", "See example dot com slash book."),
        ("Visit example.io", "Visit example dot I O"),
        ("**Bold** and _soft_ `code`", "Bold and soft code"),
        ("[our site](https://x.com/y) has it", "our site has it"),
        ("- First item", "First item"),
        ("Great! 😀🎉", "Great!"),
        ("Wait... really?", "Wait, really?"),
        ("Open Mon-Fri 9am-5pm", "Open Monday to Friday 9am to 5pm"),
        ("from 9:00-17:30", "from 9:00 to 17:30"),
        ("It's $45.50/mo", "It's $45.50 per month"),
        ("available 24/7", "available twenty-four seven"),
        ("Flight AB1234 leaves", "Flight A B one two three four leaves"),
        ("It costs $1,250 in 2026.", "It costs $1,250 in 2026."),
        ("At 7:30 pm on March 3rd", "At 7:30 pm on March 3rd"),
        ("fish & chips", "fish and chips"),
        ("In room 204", "In room 204"),
        ("PIN: 0427", "PIN zero four two seven"),
        ("zip code 90210", "zip code nine zero two, one zero"),
    ],
)
def test_writing_becomes_words(written: str, spoken: str):
    assert spoken_form(written) == spoken


@pytest.mark.parametrize("nothing", ["", "...", "😀", "**", "- ", "—", "###", "?!"])
def test_what_cannot_be_said_is_nothing(nothing: str):
    assert spoken_form(nothing) == ""
    assert sentences(nothing) == ()
    assert not is_speakable(nothing)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello. How are you? Fine!", ("Hello.", "How are you?", "Fine!")),
        ("Dr. Park is in. See you at 9 a.m. on Monday.", ("Dr. Park is in.", "See you at 9 a.m. on Monday.")),
        ("It costs $4.50. Mail a.b@c.com.", ("It costs $4.50.", "Mail a.b@c.com.")),
        ("One\nTwo", ("One", "Two")),
        ("J. K. Rowling wrote it.", ("J. K. Rowling wrote it.",)),
        ("Good! ... Bye.", ("Good!", "Bye.")),
    ],
)
def test_text_is_cut_into_sentences(text: str, parts: tuple[str, ...]):
    assert sentences(text) == parts


@given(st.text(max_size=200))
def test_any_text_gives_something_sayable_or_nothing(text: str):
    spoken = spoken_form(text)
    assert spoken == "" or is_speakable(spoken)
    assert all(is_speakable(part) for part in sentences(text))

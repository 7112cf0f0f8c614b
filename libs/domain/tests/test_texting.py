import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_domain.texting import (
    LengthUnit,
    MessageState,
    TextLimit,
    is_later,
    length,
    pieces,
    plain,
    sms_length,
)

pytestmark = pytest.mark.unit

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("text", "segments", "is_gsm"),
    [
        ("", 1, True),
        ("a" * 160, 1, True),
        ("a" * 161, 2, True),
        ("a" * 306, 2, True),
        ("a" * 307, 3, True),
        ("€" * 80, 1, True),
        ("€" * 81, 2, True),
        # A euro is two septets, and those stay together: 76 in a part of 153.
        ("€" * 152, 2, True),
        ("€" * 153, 3, True),
        ("Ж" * 70, 1, False),
        ("Ж" * 71, 2, False),
        ("Ж" * 134, 2, False),
        ("Ж" * 135, 3, False),
        ("🙂" * 35, 1, False),
        # 33 pairs in a part of 67: no pair is cut in two.
        ("🙂" * 66, 2, False),
        ("🙂" * 67, 3, False),
        ("Grüße, Ça va? @£$ ΔΦ", 1, True),
        ("ç", 1, False),
    ],
)
def test_segments_are_those_that_networks_bill(text, segments, is_gsm):
    found = sms_length(text)
    assert (found.segments, found.is_gsm) == (segments, is_gsm)


def test_typography_is_spelled_plainly_only_where_that_saves_the_7_bit_alphabet():
    assert plain("It’s “fine” — really…") == 'It\'s "fine" - really...'
    assert plain("Das ist „gut“ – 🙂") == "Das ist „gut“ – 🙂"
    assert plain("as it was") == "as it was"


def test_texts_are_cut_after_sentences_then_between_words():
    limit = TextLimit(most=40)
    text = "The first one is short. The second one is here. And a third sentence that is longer than the limit allows."
    assert pieces(text, limit) == (
        "The first one is short.",
        "The second one is here.",
        "And a third sentence that is longer than",
        "the limit allows.",
    )
    assert pieces("今日は晴れです。" * 9, TextLimit(most=40)) == ("今日は晴れです。" * 5, "今日は晴れです。" * 4)


def test_a_link_is_cut_only_when_it_is_longer_than_a_message():
    link = "https://example.com/track/parcel?id=1234567890&from=here."
    text = f"You can follow your parcel on this page: {link} Goodbye then."
    assert any(link in piece for piece in pieces(text, TextLimit(most=60)))
    glued = f"以下のリンクをご覧くださいここに長い説明が続きます{link} OK"
    assert any(link in piece for piece in pieces(glued, TextLimit(most=60)))
    followed = f"詳細は{link.rstrip('.')}。" + "次の文です。" * 9
    assert pieces(followed, TextLimit(most=len(link) + 8))[0] == f"詳細は{link.rstrip('.')}。"
    assert pieces("OK " + "今日は晴れ" * 9, TextLimit(most=30))[0] == "OK " + "今日は晴れ" * 5 + "今日"
    assert "".join(pieces(link * 3, TextLimit(most=60))) == link * 3


def test_what_readers_see_as_one_character_is_not_cut():
    for unit in LengthUnit:
        most = 1 if unit is LengthUnit.SEGMENTS else 30
        cut = pieces(FAMILY * 40, TextLimit(most=most, unit=unit))
        assert len(cut) > 1
        assert {len(piece) % len(FAMILY) for piece in cut} == {0}
    assert pieces("e\u0301" * 10, TextLimit(most=3)) == ("e\u0301",) * 10


def test_nothing_to_read_is_no_message():
    assert pieces(" \n\t ", TextLimit(most=10)) == ()
    assert pieces("x", TextLimit(most=10)) == ("x",)


@settings(max_examples=120, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("ab .!?\n€Ж🙂é\u0301\u200d/:。"), max_size=200),
    most=st.integers(min_value=1, max_value=30),
    unit=st.sampled_from(LengthUnit),
)
def test_every_piece_fits_and_together_they_are_the_text(text, most, unit):
    limit = TextLimit(most=max(most, 2), unit=unit)
    cut = pieces(text, limit)
    assert "".join("".join(cut).split()) == "".join(text.split())
    for piece in cut:
        assert piece == piece.strip()
        assert 0 < length(piece, unit) <= limit.most


def test_states_go_one_way_and_a_delivery_outweighs_a_failure():
    order = (MessageState.QUEUED, MessageState.SENT, MessageState.FAILED, MessageState.DELIVERED, MessageState.READ)
    for at, state in enumerate(order):
        assert [is_later(state, than) for than in order] == [at > place for place in range(len(order))]
    assert not is_later(MessageState.UNDELIVERABLE, MessageState.FAILED)
    assert not is_later(MessageState.FAILED, MessageState.UNDELIVERABLE)

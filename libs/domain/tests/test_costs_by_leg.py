"""Usage in legs, the price that counts for each, markups, and sums without a remainder."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voisnap_domain.costs import (
    CENT_FRACTION,
    LegKind,
    LlmUsage,
    Markup,
    Price,
    PriceKind,
    PriceUnit,
    TelephonyUsage,
    Usage,
    UsageLeg,
    price_of,
    priced,
)
from voisnap_domain.spending import is_used_up, month_of

pytestmark = pytest.mark.unit


def price(kind: str, provider: str, model: str, usd: str, unit: PriceUnit | None = None) -> Price:
    return Price(kind=kind, provider=provider, model=model, usd=Decimal(usd), unit=unit)


PRICES = (
    price("llm_input", "openai", "gpt-4o", "2.5"),
    price("llm_output", "openai", "gpt-4o", "10"),
    price("llm_cached", "openai", "gpt-4o", "1.25"),
    price("llm_input", "openai", "*", "3"),
    price("llm_output", "openai", "*", "12"),
    price("llm_cached", "openai", "*", "3"),
    price("llm_input", "cohere", "command", "1"),
    price("llm_output", "cohere", "command", "2"),
    price("tts", "google", "*", "0.03"),
    price("tts", "google", "*-Standard-*", "0.004"),
    price("tts", "google", "*-Neural2-*", "0.016"),
    price("stt", "deepgram", "nova-3", "0.0048", PriceUnit.SESSION_MINUTE),
    price("stt", "deepgram", "nova-2*", "0.0058", PriceUnit.SESSION_MINUTE),
    price("stt", "google", "*", "0.016"),
    price("telephony", "twilio", "*", "0.0085"),
)


def leg(kind: LegKind, provider: str, **amounts: object) -> UsageLeg:
    return msgspec.convert({"kind": kind, "provider": provider, **amounts}, UsageLeg)


def usd(*legs: UsageLeg, markups: tuple[Markup, ...] = ()) -> Decimal:
    return priced(Usage.of(legs), PRICES, markups).total


def test_a_call_that_fell_back_pays_each_provider_for_its_own_share() -> None:
    costs = priced(
        Usage.of(
            (
                leg(LegKind.LLM, "openai", model="gpt-4o", input_tokens=1_000_000),
                leg(LegKind.LLM, "cohere", model="command", output_tokens=1_000_000),
            )
        ),
        PRICES,
    )
    assert [cost.usd for cost in costs.legs] == [Decimal("2.5"), Decimal(2)]
    assert (costs.llm, costs.total, costs.tts) == (Decimal("4.5"), Decimal("4.5"), 0)


def test_cached_input_has_its_own_price_and_is_part_of_the_input() -> None:
    cached = leg(LegKind.LLM, "openai", model="gpt-4o", input_tokens=1_000_000, cached_tokens=400_000)
    assert usd(cached) == Decimal("2.0")
    unlisted = leg(LegKind.LLM, "cohere", model="command", input_tokens=1_000_000, cached_tokens=400_000)
    assert usd(unlisted) == 1, "as much as other input where nothing else is listed"


@pytest.mark.parametrize(
    ("kind", "provider", "model", "voice", "found", "exact"),
    [
        (PriceKind.LLM_INPUT, "openai", "gpt-4o", None, "gpt-4o", True),
        (PriceKind.LLM_INPUT, "openai", "gpt-4o-2024-08-06", None, "gpt-4o", True),
        (PriceKind.LLM_INPUT, "openai", "gpt-99", None, "*", False),
        (PriceKind.TTS, "google", None, "en-US-Neural2-A", "*-Neural2-*", True),
        (PriceKind.TTS, "google", None, "en-US-Chirp3-HD-Aoede", "*", False),
        (PriceKind.STT, "deepgram", "nova-2-phonecall", None, "nova-2*", True),
        (PriceKind.STT, "google", "chirp_3", None, "*", True),
        (PriceKind.STT, "google", None, None, "*", True),
    ],
)
def test_the_price_nearest_to_the_model_or_voice_counts(kind, provider, model, voice, found, exact) -> None:
    quote = price_of(PRICES, kind, provider, model, voice)
    assert quote is not None
    assert (quote.price.model, quote.exact) == (found, exact)


def test_what_has_no_price_costs_nothing_and_says_so() -> None:
    costs = priced(Usage.of((leg(LegKind.LLM, "openai_compatible", model="llama", input_tokens=5000),)), PRICES)
    assert (costs.total, costs.legs[0].priced) == (0, False)
    assert price_of(PRICES, PriceKind.STT, "deepgram", "nova-9") is None


def test_estimates_are_marked_whether_of_the_amount_or_of_the_price() -> None:
    def estimated(model: str, *, guessed: bool) -> bool:
        used = leg(LegKind.LLM, "openai", model=model, input_tokens=10, estimated=guessed)
        return priced(Usage.of((used,)), PRICES).legs[0].estimated

    assert (estimated("gpt-4o", guessed=False), estimated("gpt-4o", guessed=True)) == (False, True)
    assert estimated("gpt-99", guessed=False)


def test_who_bills_the_connection_is_paid_for_silence_too() -> None:
    both = {"audio_seconds": 30.0, "session_seconds": 120.0}
    assert usd(leg(LegKind.STT, "deepgram", model="nova-3", **both)) == Decimal("0.0096")
    assert usd(leg(LegKind.STT, "google", model="chirp_3", **both)) == Decimal("0.008")
    told_before_sessions_were_counted = leg(LegKind.STT, "deepgram", model="nova-3", audio_seconds=60.0)
    assert usd(told_before_sessions_were_counted) == Decimal("0.0048")


def test_minutes_round_up_on_every_line() -> None:
    lines = (
        leg(LegKind.TELEPHONY, "twilio", line="CA1", session_seconds=61.0),
        leg(LegKind.TELEPHONY, "twilio", line="CA2", session_seconds=61.0),
    )
    usage = Usage.of(lines)
    assert (usage.telephony_minutes, priced(usage, PRICES).total) == (4, Decimal("0.034"))


def test_a_markup_is_for_its_kind_and_for_the_platforms_accounts() -> None:
    markups = (Markup(kind=LegKind.LLM, percent=Decimal("12.5")),)
    used = {"model": "gpt-4o", "input_tokens": 1_000_000}
    ours, theirs = leg(LegKind.LLM, "openai", **used), leg(LegKind.LLM, "openai", account="pcr_1.1", **used)
    costs = priced(Usage.of((ours, theirs)), PRICES, markups)
    assert [(cost.usd, cost.list_usd) for cost in costs.legs] == [
        (Decimal("2.8125"), Decimal("2.5")),
        (Decimal("2.5"), Decimal("2.5")),
    ]


def test_what_goes_on_elsewhere_adds_to_the_same_legs() -> None:
    before = Usage.of((leg(LegKind.LLM, "openai", model="gpt-4o", input_tokens=5, estimated=True),))
    old = Usage(llm=LlmUsage(provider="openai", model="gpt-4o", input_tokens=7), telephony=TelephonyUsage(provider="t"))
    after = before.and_then(old)
    assert [(one.kind, one.input_tokens, one.estimated) for one in after.legs] == [
        ("llm", 12, True),
        ("telephony", 0, False),
    ]
    assert after.llm == LlmUsage(provider="openai", model="gpt-4o", input_tokens=12)


def test_usage_that_was_told_without_legs_is_still_read_and_costs_the_same() -> None:
    told = (
        b'{"llm":{"provider":"openai","model":"gpt-4o","input_tokens":1000000,"output_tokens":0},"tts":null,"stt":null}'
    )
    usage = msgspec.json.decode(told, type=Usage)
    assert (usage.legs, priced(usage, PRICES).total) == ((), Decimal("2.5"))
    again = Usage.of(usage.itemised())
    assert msgspec.json.decode(msgspec.json.encode(again), type=Usage) == again


LEGS = st.builds(
    UsageLeg,
    kind=st.sampled_from(LegKind),
    provider=st.sampled_from(("openai", "cohere", "google", "deepgram", "twilio", "nobody")),
    model=st.sampled_from((None, "gpt-4o", "command", "nova-3", "gpt-99")),
    account=st.sampled_from(("platform", "pcr_1.1")),
    input_tokens=st.integers(0, 10**7),
    cached_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    characters=st.integers(0, 10**6),
    audio_seconds=st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000),
    session_seconds=st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000),
)


@settings(max_examples=150, deadline=None)
@given(legs=st.lists(LEGS, max_size=8), percents=st.lists(st.decimals(-100, 1000, places=3), min_size=4, max_size=4))
def test_legs_sum_to_parts_and_parts_to_the_total_to_the_last_digit(legs, percents) -> None:
    markups = tuple(Markup(kind=kind, percent=percent) for kind, percent in zip(LegKind, percents, strict=True))
    usage = Usage.of(legs)
    costs = priced(usage, PRICES, markups)
    assert sum(cost.usd for cost in costs.legs) == costs.total
    assert costs.llm + costs.tts + costs.stt + costs.telephony == costs.total
    assert all(cost.usd == cost.usd.quantize(CENT_FRACTION) >= 0 for cost in costs.legs)
    split = Usage().and_then(Usage.of(legs[:3])).and_then(Usage.of(legs[3:]))
    assert priced(split, PRICES, markups).total == costs.total, "however often the call changed its process"


def test_faults_of_a_price_are_told_all_at_once() -> None:
    wrong = Price(
        kind="stt", provider=" ", model="m", usd=Decimal("-1"), unit=PriceUnit.MILLION_TOKENS, source="price page"
    )
    assert [fault.pointer for fault in wrong.faults()] == ["/unit", "/provider", "/usd"]
    assert price("fax", "p", "m", "0.0000001").faults()[0].pointer == "/kind"
    right = Price(kind="tts", provider="p", model="*", usd=Decimal("0.08"), source="price page")
    assert right.faults() == ()


@pytest.mark.parametrize(
    ("limit", "spent", "used_up"),
    [(None, "9999", False), ("10", "9.999999", False), ("10", "10", True), ("0", "0", False), ("0", "0.000001", True)],
)
def test_a_limit_is_used_up_when_it_is_reached(limit, spent, used_up) -> None:
    assert is_used_up(None if limit is None else Decimal(limit), Decimal(spent)) is used_up


def test_a_month_is_that_of_utc() -> None:
    assert month_of(datetime.fromisoformat("2026-12-01T00:30:00+02:00")).isoformat() == "2026-11-01"
    assert month_of(datetime(2026, 11, 30, 23, 59, tzinfo=UTC)).isoformat() == "2026-11-01"

from decimal import Decimal

import pytest
from voisnap_domain.conversations import ConversationStatus, status_of_ended
from voisnap_domain.costs import LlmUsage, Price, SttUsage, TelephonyUsage, TtsUsage, Usage, priced
from voisnap_domain.sessions import EndReason

pytestmark = pytest.mark.unit

PRICES = (
    Price(kind="llm_input", provider="openai", model="gpt-4o", usd=Decimal("2.5")),
    Price(kind="llm_output", provider="openai", model="gpt-4o", usd=Decimal("10")),
    Price(kind="tts", provider="elevenlabs", model="*", usd=Decimal("0.1")),
    Price(kind="stt", provider="deepgram", model="*", usd=Decimal("0.0059")),
    Price(kind="telephony", provider="twilio", model="*", usd=Decimal("0.0085")),
)


def test_parts_are_priced_by_their_units_and_sum_to_the_total() -> None:
    usage = Usage(
        llm=LlmUsage(provider="openai", model="gpt-4o", input_tokens=1840, output_tokens=620),
        tts=TtsUsage(provider="elevenlabs", characters=2340),
        stt=SttUsage(provider="deepgram", model="nova-2", audio_seconds=108),
        telephony=TelephonyUsage(provider="twilio", seconds=227),
    )

    costs = priced(usage, PRICES)

    assert (Decimal("0.010800"), Decimal("0.234000"), Decimal("0.010620"), Decimal("0.034000")) == (
        costs.llm,
        costs.tts,
        costs.stt,
        costs.telephony,
    )
    assert Decimal("0.289420") == costs.total


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 0), (0.2, 1), (60, 1), (60.1, 2), (227, 4)])
def test_telephony_minutes_round_up(seconds: float, minutes: int) -> None:
    assert minutes == TelephonyUsage(provider="twilio", seconds=seconds).minutes


def test_unlisted_provider_costs_nothing() -> None:
    assert Decimal(0) == priced(Usage(tts=TtsUsage(provider="local", characters=5000)), PRICES).total


@pytest.mark.parametrize(
    ("reason", "heard", "status"),
    [
        (EndReason.USER_ENDED, True, ConversationStatus.COMPLETED),
        (EndReason.USER_ENDED, False, ConversationStatus.ABANDONED),
        (EndReason.DISCONNECTED, False, ConversationStatus.ABANDONED),
        (EndReason.IDLE_TIMEOUT, False, ConversationStatus.COMPLETED),
        (EndReason.ERROR, True, ConversationStatus.FAILED),
        (EndReason.NODE_LOST, False, ConversationStatus.FAILED),
    ],
)
def test_status_follows_the_end_reason(reason: EndReason, heard: bool, status: ConversationStatus) -> None:
    assert status == status_of_ended(reason, user_was_heard=heard)

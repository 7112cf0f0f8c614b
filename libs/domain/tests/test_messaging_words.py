"""What a message asks of us beside an answer, in the languages people write, and how long a conversation waits."""

from datetime import UTC, datetime, timedelta

import pytest
from voisnap_domain.messaging import begins_chat, consent_of, goes_on, words_of
from voisnap_domain.sessions import Channel
from voisnap_domain.texting import Consent

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "consent"),
    [
        ("STOP", Consent.STOP),
        (" stop. ", Consent.STOP),
        ("Stop All", Consent.STOP),
        ("Arrêt", Consent.STOP),
        ("ABMELDEN!", Consent.STOP),
        ("'Unsubscribe'", Consent.STOP),
        ("start", Consent.START),
        ("HELP", Consent.HELP),
        ("ayuda", Consent.HELP),
        ("Please stop by tomorrow", None),
        ("Can you help me?", None),
        ("stop it", None),
        ("", None),
        ("🛑", None),
    ],
)
def test_only_a_whole_message_is_a_keyword(text, consent):
    assert consent_of(text, Channel.SMS) is consent
    assert consent_of(text, Channel.WHATSAPP) is consent


def test_telegram_has_commands_and_no_bare_words():
    assert consent_of("stop", Channel.TELEGRAM) is None
    assert consent_of("/stop", Channel.TELEGRAM) is Consent.STOP
    assert consent_of("/help@acme_bot", Channel.TELEGRAM) is Consent.HELP
    assert consent_of("/start promo42", Channel.TELEGRAM) is Consent.START
    assert begins_chat("/start")
    assert not begins_chat("/started it")


def test_every_language_has_all_sentences_and_names_the_business():
    for language in ("en-US", "de", "es-MX", "fr", "it", "nl", "pt-BR", "xx"):
        words = words_of(language)
        for text in (words.stopped, words.started, words.help):
            assert text.format(name="Acme").startswith("Acme")
        assert "STOP" in words.help
        assert "START" in words.stopped


def test_a_conversation_waits_for_its_next_message_and_no_longer():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert goes_on(at, timedelta(minutes=60), now=at + timedelta(minutes=59))
    assert not goes_on(at, timedelta(minutes=60), now=at + timedelta(minutes=60))
    assert not goes_on(None, timedelta(minutes=60), now=at)

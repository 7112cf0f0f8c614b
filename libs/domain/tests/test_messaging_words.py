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


@pytest.mark.parametrize(
    ("text", "language", "consent"),
    [
        ("Стоп!", "en", Consent.STOP),
        ("отписаться", "ru-RU", Consent.STOP),
        ("停止", "ja", Consent.STOP),
        ("ストップ。", "ja-JP", Consent.STOP),
        ("수신거부", "ko", Consent.STOP),
        ("توقّف", "ar", Consent.STOP),
        ("İPTAL", "tr", None),
        ("ÁLTO", "es-MX", Consent.STOP),
        ("alto", "it-IT", None),
        ("¡Baja!", "es", Consent.STOP),
        ("Baja", "en-US", None),
        ("Désinscription", "fr", Consent.STOP),
        ("*STOP*", "de", Consent.STOP),
        ("S\u200btop", "de", Consent.STOP),
        ("ＳＴＯＰ", "ja", Consent.STOP),
        ("«Стоп»", "uk", Consent.STOP),
        ("помощь", "ru", Consent.HELP),
        ("Hjälp", "sv", Consent.HELP),
        ("Anmelden", "de", Consent.START),
        ("STOP 🛑", "en", Consent.STOP),
        ("Stop! Stop the music", "en", None),
        ("non-stop", "en", None),
        ("stop " * 20, "en", None),
    ],
)
def test_keywords_are_known_in_the_agents_language_however_they_are_written(text, language, consent):
    assert consent_of(text, Channel.SMS, language) is consent
    assert consent_of(text, Channel.WHATSAPP, language) is consent


def test_words_that_carriers_alone_take_for_stop_are_answers_elsewhere():
    for word in ("Cancel", "END", "quit", "cancelar"):
        assert consent_of(word, Channel.SMS, "en-US") is Consent.STOP
        assert consent_of(word, Channel.WHATSAPP, "en-US") is None
    assert consent_of("info", Channel.SMS, "en") is Consent.HELP


def test_telegram_has_commands_and_no_bare_words():
    assert consent_of("stop", Channel.TELEGRAM) is None
    assert consent_of("/stop", Channel.TELEGRAM) is Consent.STOP
    assert consent_of("/help@acme_bot", Channel.TELEGRAM) is Consent.HELP
    assert consent_of("/start promo42", Channel.TELEGRAM) is Consent.START
    assert begins_chat("/start")
    assert not begins_chat("/started it")


def test_every_language_has_all_sentences_and_names_the_business():
    for language in (
        "en-US",
        "de",
        "es-MX",
        "fr",
        "it",
        "nl",
        "pt-BR",
        "pl",
        "sv",
        "da",
        "tr",
        "ru",
        "uk",
        "ja",
        "zh-CN",
        "ko",
        "ar",
        "xx",
    ):
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

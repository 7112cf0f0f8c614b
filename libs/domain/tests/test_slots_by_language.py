"""Requests for numbers, dates, addresses and spellings, and the answers to them, in languages other than English."""

import pytest
from voisnap_domain.turntaking import Expected, Slot, expected_answer, is_unfinished
from voisnap_domain.turntaking.slot_words import SLOT_WORDS, folded, spoken_digits
from voisnap_domain.turntaking.words import words_of

pytestmark = pytest.mark.unit

EMAIL, SPELLING, DAY, BIRTH, NUMBER = "email", "spelling", "day", "birth", ()


def slot(kind, language):
    match kind:
        case "email" | "spelling":
            return Expected(slot=Slot(kind), language=language)
        case "day" | "birth":
            return Expected(slot=Slot.DATE, year=kind == "birth", language=language)
        case None:
            return None
        case counts:
            return Expected(slot=Slot.DIGITS, counts=counts, language=language)


@pytest.mark.parametrize(
    ("tag", "said", "kind"),
    [
        ("es-MX", "¿Cuál es su número de teléfono?", NUMBER),
        ("es", "Dígame los cuatro últimos dígitos, por favor.", (4,)),
        ("es", "¿Me puede decir su correo electrónico?", EMAIL),
        ("es", "¿Podría deletrear su apellido?", SPELLING),
        ("es", "¿Cuál es su fecha de nacimiento?", BIRTH),
        ("es", "¿Para qué fecha desea la reserva?", DAY),
        ("es", "Necesito su código postal.", (5,)),
        ("es", "Le enviaremos un correo. ¿Puedo ayudarle en algo más?", None),
        ("es", "¿En qué puedo ayudarle?", None),
        ("es", "Su número de teléfono está en la factura.", None),
        ("fr-FR", "Quel est votre numéro de téléphone ?", (10,)),
        ("fr", "Donnez-moi les quatre derniers chiffres de votre carte.", (4,)),
        ("fr", "Quelle est votre adresse e-mail ?", EMAIL),
        ("fr", "Pouvez-vous épeler votre nom ?", SPELLING),
        ("fr", "Quelle est votre date de naissance ?", BIRTH),
        ("fr", "Comment puis-je vous aider ?", None),
        ("fr", "Combien de personnes serez-vous ?", None),
        ("de-DE", "Wie lautet Ihre Telefonnummer?", NUMBER),
        ("de", "Nennen Sie mir bitte die letzten vier Ziffern Ihrer Karte.", (4,)),
        ("de", "Bitte geben Sie Ihren sechsstelligen Code ein.", (6,)),
        ("de", "Wie ist Ihre E-Mail-Adresse?", EMAIL),
        ("de", "Können Sie Ihren Nachnamen buchstabieren?", SPELLING),
        ("de", "Wann sind Sie geboren?", BIRTH),
        ("de", "Wie lautet Ihre Postleitzahl?", (5,)),
        ("de", "Wie kann ich Ihnen helfen?", None),
        ("de", "Für wie viele Personen?", None),
        ("it", "Qual è il suo numero di telefono?", NUMBER),
        ("it", "Mi dica la sua e-mail.", EMAIL),
        ("it", "Può dirmi la sua data di nascita?", BIRTH),
        ("it", "Mi può fare lo spelling del cognome?", SPELLING),
        ("it", "Come posso aiutarla?", None),
        ("pt-BR", "Qual é o seu número de telefone?", NUMBER),
        ("pt-BR", "Me informe o seu CPF, por favor.", (11,)),
        ("pt", "Pode soletrar o seu nome?", SPELLING),
        ("pt", "Qual é o seu e-mail?", EMAIL),
        ("pt", "Qual é a sua data de nascimento?", BIRTH),
        ("pt", "Em que posso ajudar?", None),
        ("nl", "Wat is uw telefoonnummer?", (10,)),
        ("nl", "Wat is uw e-mailadres?", EMAIL),
        ("nl", "Kunt u uw achternaam spellen?", SPELLING),
        ("nl", "Wat is uw geboortedatum?", BIRTH),
        ("nl", "Waarmee kan ik u helpen?", None),
    ],
)
def test_what_the_agent_has_asked_for(tag, said, kind):
    assert expected_answer(said, tag) == slot(kind, tag[:2])


@pytest.mark.parametrize(
    ("language", "said", "digits"),
    [
        ("es", "seiscientos doce treinta y cuatro cincuenta y seis setenta y ocho", 9),
        ("es", "seis uno dos veintitrés", 5),
        ("es", "doble cinco cero", 3),
        ("es", "mil novecientos ochenta y cinco", 4),
        ("fr", "zéro six douze trente-quatre cinquante-six soixante-dix-huit", 10),
        ("fr", "quatre-vingt-douze", 2),
        ("fr", "vingt et un", 2),
        ("fr", "06 12 34", 6),
        ("de", "null eins fünf eins", 4),
        ("de", "dreiunddreißig einundzwanzig", 4),
        ("de", "neunzehnhundertfünfundachtzig", 4),
        ("de", "zwo drei", 2),
        ("it", "tre due otto trentaquattro ventuno ventotto", 9),
        ("pt", "nove um trinta e quatro meia", 5),
        ("nl", "nul zes vierendertig twaalf", 6),
        ("nl", "negentienhonderdvijfentachtig", 4),
        ("de", "das weiß ich nicht", 0),
    ],
)
def test_digits_are_counted_however_they_are_said(language, said, digits):
    assert spoken_digits(words_of(folded(said)), language) == digits


@pytest.mark.parametrize(
    ("language", "kind", "said", "unfinished"),
    [
        ("fr", (10,), "euh c'est le", True),
        ("fr", (10,), "zéro six douze", True),
        ("fr", (10,), "06 12 34 56 78", False),
        ("fr", (10,), "pourquoi avez-vous besoin de ça", False),
        ("fr", (10,), "plus trente-trois six", True),
        ("de", NUMBER, "null eins sieben eins", True),
        ("de", NUMBER, "0171 und ich möchte gerne einen Termin", False),
        ("de", (5,), "eins null eins", True),
        ("de", (5,), "10115", False),
        ("es", EMAIL, "juan arroba", True),
        ("es", EMAIL, "juan punto perez", True),
        ("es", EMAIL, "juan arroba ejemplo punto", True),
        ("es", EMAIL, "juan arroba ejemplo punto es", False),
        ("es", EMAIL, "juan@ejemplo.es", False),
        ("es", EMAIL, "no tengo correo", False),
        ("it", EMAIL, "mario punto rossi chiocciola esempio punto it", False),
        ("it", EMAIL, "mario punto rossi chiocciola", True),
        ("it", SPELLING, "R O", True),
        ("it", SPELLING, "Rossi come il colore", False),
        ("pt", BIRTH, "cinco de março", True),
        ("pt", BIRTH, "cinco de março de mil novecentos e oitenta", False),
        ("pt", DAY, "amanhã", False),
        ("nl", DAY, "maart", True),
        ("nl", DAY, "drie maart", False),
        ("nl", DAY, "de derde", False),
        ("nl", (10,), "nul zes een twee", True),
    ],
)
def test_whether_the_caller_is_still_giving_it(language, kind, said, unfinished):
    assert is_unfinished(slot(kind, language), said) is unfinished


@pytest.mark.parametrize("language", sorted(SLOT_WORDS))
def test_numbers_below_a_hundred_have_the_digits_they_have(language):
    table = SLOT_WORDS[language]
    assert [spoken_digits((word,), language) for word in table.units] == [1] * 10
    for word in (*table.teens, *table.tens):
        assert spoken_digits(words_of(word), language) == 2, word
    for set_of_words in (table.months, table.relative, table.leading, table.declining, table.doubles):
        assert set_of_words == {folded(word) for word in set_of_words}


def test_a_language_without_a_table_waits_as_it_is_configured_in_english_terms():
    assert expected_answer("電話番号を教えてください。", "ja") is None
    assert expected_answer("What is your phone number?", "ja") == expected_answer("What is your phone number?", "en")

"""Who asks for no more calls, and who only sounds like it."""

import pytest
from voisnap_domain.declining import declines_calls

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text",
    [
        "Stop calling me.",
        "Will you please stop calling me every day?",
        "Please stop calling this number, okay?",
        "Take me off your list.",
        "Could you take my number off of your calling list, please?",
        "I want you to remove me from all of your lists.",
        "Put me on your do not call list.",
        "Don't ever call me again!",
        "Don't call here anymore.",
        "I don't want any more calls from you people.",
        "I don't want you to call me again.",
        "How do I get off your list?",
        "Lose my number.",
        "Just forget my phone number, will you?",
        "I'd appreciate it if you would stop calling me.",
        "Why don't you take me off your list?",
        "It would be nice if you could take me off your list.",
        "Stop calling this number, I have a new number.",
        "No more calls, please.",
        "Rufen Sie mich bitte nicht mehr an.",
        "Rufen Sie hier nie wieder an!",
        "Streichen Sie mich von Ihrer Liste.",
        "Löschen Sie bitte meine Telefonnummer aus Ihrer Datenbank.",
        "Ich möchte nicht mehr angerufen werden.",
        "No me llamen más.",
        "Quíteme de su lista, por favor.",
        "Ne m'appelez plus.",
        "Retirez-moi de votre liste.",
        "Arrêtez de m'appeler !",
        "Non mi chiamate più.",
        "Mi tolga dalla vostra lista.",
        "Não me liguem mais.",
        "Tirem o meu número da sua lista.",
        "Bel mij niet meer.",
        "Haal mij van de lijst.",
    ],
)
def test_whoever_wants_no_more_calls_is_understood(text: str):
    assert declines_calls(text)


@pytest.mark.parametrize(
    "text",
    [
        "Stop calling me Bob.",
        "Please don't call me before nine.",
        "Don't call me Mister Miller.",
        "I told him to stop calling me.",
        "My ex won't stop calling me and I want to block her.",
        "Can you take the salad off my order?",
        "Take me to the list of dentists.",
        "Can you put me on the waiting list?",
        "I don't want any more coffee.",
        "I don't want any more calls dropped.",
        "Please take me off the waiting list.",
        "Could you remove me from the wait list for Tuesday?",
        "I'd like to come off the guest list.",
        "Sorry, I always forget my account number.",
        "Will I lose my number if I switch to you?",
        "Can you delete my number from the system and add the new one?",
        "If you don't call me again by Friday, I'll come by.",
        "Why did you stop calling me?",
        "I don't want to be called again tomorrow, today is fine.",
        "Bitte streichen Sie mich von der Warteliste.",
        "Quite mi número de la lista de espera.",
        "Retirez-moi de la liste d'attente.",
        "Toglietemi dalla lista d'attesa.",
        "Haal mij van de wachtlijst.",
        "Don't call me, I'll call you.",
        "Call me again tomorrow.",
        "I missed your call.",
        "Rufen Sie mich bitte morgen noch einmal an.",
        "Rufen Sie mich nicht vor neun an.",
        "No me llame Juan.",
        "Ne m'appelez pas avant midi.",
        "",
    ],
)
def test_whoever_wants_something_else_is_not(text: str):
    assert not declines_calls(text)

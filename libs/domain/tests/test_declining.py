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

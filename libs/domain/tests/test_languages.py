"""Language tags and what people write instead of them."""

import pytest
from voisnap_domain.languages import language_tag

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("en-US", "en-US"),
        ("es-mx", "es-MX"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("pt_BR", "pt-BR"),
        ("DE", "de"),
        ("English", "en"),
        (" spanish ", "es"),
        ("", None),
        ("en US", None),
        ("klingonese", None),
        ("en-US-x-private", None),
        ("../etc", None),
    ],
)
def test_tags_get_their_usual_spelling_and_names_their_tag(text, tag):
    assert language_tag(text) == tag

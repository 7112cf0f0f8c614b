"""What numbering plans say of numbers, and of texts that are none."""

import pytest
from voisnap_providers.numbering import begins_with_area, calling_code, country_of, is_country, is_nanp, is_toll_free

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14155550142", "US"),
        ("+14165550142", "CA"),
        ("+4930901820", "DE"),
        ("+442079460000", "GB"),
        ("+87013000000", None),  # a satellite's
        ("+999123456789", None),
        ("4155550142", None),
        ("", None),
        ("+", None),
    ],
)
def test_the_country_of_a_number(number, country):
    assert country_of(number) == country


def test_area_codes_with_and_without_the_trunk_prefix():
    assert begins_with_area("+4930901820", "DE", "030")
    assert begins_with_area("+4930901820", "DE", "30")
    assert not begins_with_area("+4989901820", "DE", "030")
    assert begins_with_area("+390612345678", "IT", "06"), "Italy dials the zero from abroad, too"
    assert begins_with_area("+14155550142", "US", "415")


def test_countries_and_what_calls_cost():
    assert (calling_code("de"), calling_code("XX"), is_country("XX"), is_country("BR")) == (49, 0, False, True)
    assert (is_nanp("CA"), is_nanp("MX")) == (True, False)
    assert (is_toll_free("+18005550142"), is_toll_free("+14155550142"), is_toll_free("no")) == (True, False, False)

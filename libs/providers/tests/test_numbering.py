"""What numbering plans say of numbers, and of texts that are none."""

import pytest
from voisnap_providers.numbering import (
    begins_with_area,
    calling_code,
    country_of,
    country_of_charge,
    is_costly,
    is_country,
    is_nanp,
    is_toll_free,
)

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


def test_numbers_that_cost_more_than_a_persons():
    costly = ("+19005550123", "+448448790000", "+447000000000", "+447640123456", "+882161234567", "+979123456789")
    assert all(map(is_costly, costly))
    usual = ("+14155550142", "+4915112345678", "+441632960123", "+18005550142", "+80012345678", "sip:a@b.example", "")
    assert not any(map(is_costly, usual))


def test_where_a_call_is_charged():
    numbers = ("+18765550123", "+441632960123", "+882161234567", "no")
    assert [country_of_charge(number) for number in numbers] == ["JM", "GB", None, None]

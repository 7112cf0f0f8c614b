"""Which numbers may be called and written to. Whoever steals a key earns with calls to numbers that cost: of those it gets none, and other
countries than the tenant's own only where the tenant has named them. The sandbox reaches nobody, and may all."""

from collections.abc import Collection

from voisnap_domain.tenants import Environment
from voisnap_providers.numbering import country_of_charge, is_costly, is_toll_free

NOT_ALLOWED = "number-not-allowed"
NOT_ALLOWED_DETAIL = (
    "is a premium-rate, shared-cost, personal, universal-access, pager or satellite number: those are not called"
)
ANSWERED_HERE_DETAIL = "is answered by an agent of this installation: agents don't call each other"
COUNTRY_NOT_ALLOWED = "country-not-allowed"
ANY_COUNTRY = "*"


def is_refused(environment: Environment, number: str) -> bool:
    """Whether a number is of a kind that is neither called nor written to."""
    return environment is Environment.LIVE and is_costly(number)


def is_within(environment: Environment, number: str, countries: Collection[str]) -> bool:
    """Whether a number is in one of the countries (ISO 3166-1 alpha-2, or `ANY_COUNTRY`), or free of charge."""
    if environment is not Environment.LIVE or ANY_COUNTRY in countries:
        return True
    return country_of_charge(number) in countries or is_toll_free(number)


def country_detail(number: str) -> str:
    """What to tell whoever may not call there."""
    place = country_of_charge(number) or "no country"
    return (
        f"is in {place}, and calls go to the countries of the tenant's own numbers: add it to `allowedCountries` of "
        "PUT /api/v1/outbound-calls/settings"
    )

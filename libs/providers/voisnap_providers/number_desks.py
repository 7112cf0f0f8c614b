"""The numbers of an account with a carrier."""

from importlib import import_module

from .accounts import Account
from .carriers import CARRIERS
from .errors import ProviderUnconfigured
from .ports.numbers import NumberDesk


def number_desk(account: Account) -> NumberDesk:
    """Who rents numbers for an account; close it. Raises ProviderUnconfigured for what is no carrier and for an account that is not whole."""
    if account.provider not in CARRIERS:
        raise ProviderUnconfigured(f"{account.provider} rents out no numbers.")
    try:
        return import_module(f".vendors.{account.provider}.numbers", __package__).desk(account)
    except ValueError as error:
        raise ProviderUnconfigured(f"The account with {account.provider} can't be used: {error}.") from None

"""The numbers and the SIP trunks of an account with a carrier."""

from importlib import import_module
from typing import Any

from .accounts import Account
from .carriers import CARRIERS
from .errors import ProviderUnconfigured
from .ports.numbers import NumberDesk
from .ports.trunks import TrunkDesk


def number_desk(account: Account) -> NumberDesk:
    """Who rents numbers for an account; close it. Raises ProviderUnconfigured for what is no carrier and for an account that is not whole."""
    return _desk(account, "numbers")


def trunk_desk(account: Account) -> TrunkDesk:
    """Who makes SIP trunks for an account; close it. Raises as `number_desk`."""
    return _desk(account, "trunks")


def _desk(account: Account, part: str) -> Any:
    if account.provider not in CARRIERS:
        raise ProviderUnconfigured(f"{account.provider} is no carrier.")
    try:
        return import_module(f".vendors.{account.provider}.{part}", __package__).desk(account)
    except ValueError as error:
        raise ProviderUnconfigured(f"The account with {account.provider} can't be used: {error}.") from None

"""Telnyx as a carrier, by account."""

from voisnap_providers.accounts import Account

from .calls import BASE_URL, TelnyxCalls
from .media import TelnyxMedia
from .webhooks import TelnyxWebhooks

media = TelnyxMedia


def webhooks(account: Account) -> TelnyxWebhooks:
    """Who checks what is posted of this account."""
    return TelnyxWebhooks(account.option("public_key"))


def control(account: Account) -> TelnyxCalls:
    """Who commands the account's calls."""
    return TelnyxCalls(
        api_key=account.secret(),
        connection_id=account.option("connection_id"),
        base_url=account.option("base_url", BASE_URL),
    )

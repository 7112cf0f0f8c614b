"""Telnyx as a carrier, by account."""

from voisnap_providers.accounts import Account
from voisnap_providers.ports.carrier import MediaWire

from .calls import BASE_URL, TelnyxCalls
from .webhooks import TelnyxWebhooks


def media() -> MediaWire:
    """A fresh translator of one call's media socket, loaded by who handles sound only."""
    from .media import TelnyxMedia  # noqa: PLC0415

    return TelnyxMedia()


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

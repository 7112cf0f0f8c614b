"""Vonage as a carrier, by account."""

from voisnap_providers.accounts import Account
from voisnap_providers.ports.carrier import MediaWire

from .calls import BASE_URL, VonageCalls
from .webhooks import VonageWebhooks


def media() -> MediaWire:
    """A fresh translator of one call's media socket, loaded by who handles sound only."""
    from .media import VonageMedia  # noqa: PLC0415

    return VonageMedia()


def webhooks(account: Account) -> VonageWebhooks:
    """Who checks what is posted of this account."""
    return VonageWebhooks(
        signature_secrets=(account.secret("signature_secret"),),
        api_key=account.option("api_key") or None,
        application_id=account.option("application_id") or None,
    )


def control(account: Account) -> VonageCalls:
    """Who commands the account's calls."""
    return VonageCalls(
        application_id=account.option("application_id"),
        private_key=account.secret("private_key"),
        base_url=account.option("base_url", BASE_URL),
    )

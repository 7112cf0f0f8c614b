"""Twilio as a carrier, by account."""

from voisnap_providers.accounts import Account
from voisnap_providers.ports.carrier import MediaWire

from .calls import BASE_URL, TwilioCalls
from .webhooks import TwilioWebhooks


def media() -> MediaWire:
    """A fresh translator of one call's media socket, loaded by who handles sound only."""
    from .media import TwilioMedia  # noqa: PLC0415

    return TwilioMedia()


def webhooks(account: Account) -> TwilioWebhooks:
    """Who checks what is posted of this account."""
    return TwilioWebhooks(auth_tokens=(account.secret("auth_token"),))


def control(account: Account) -> TwilioCalls:
    """Who commands the account's calls: by its API key, where it has one."""
    user = account.option("api_key_sid")
    secret = account.secret("api_key_secret" if user else "auth_token")
    url = account.option("base_url", BASE_URL)
    return TwilioCalls(account_sid=account.option("account_sid"), user=user, secret=secret, base_url=url)

"""Twilio as a carrier, by account."""

from voisnap_providers.accounts import Account

from .calls import BASE_URL, TwilioCalls
from .media import TwilioMedia
from .webhooks import TwilioWebhooks

media = TwilioMedia


def webhooks(account: Account) -> TwilioWebhooks:
    """Who checks what is posted of this account."""
    return TwilioWebhooks(auth_tokens=(account.secret("auth_token"),))


def control(account: Account) -> TwilioCalls:
    """Who commands the account's calls: by its API key, where it has one."""
    user = account.option("api_key_sid")
    secret = account.secret("api_key_secret" if user else "auth_token")
    url = account.option("base_url", BASE_URL)
    return TwilioCalls(account_sid=account.option("account_sid"), user=user, secret=secret, base_url=url)

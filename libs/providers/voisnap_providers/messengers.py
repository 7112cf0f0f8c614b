"""Messaging networks by account: who checks their webhooks, who sends, and who tells them where we are.

As with carriers, an account of the sandbox is the simulator's, and it has an address of its own: no message of the sandbox reaches anybody.
"""

from collections import OrderedDict
from hashlib import sha256
from importlib import import_module
from typing import Any

import msgspec
from voisnap_domain.sessions import Channel
from voisnap_domain.tenants import Environment

from .accounts import Account
from .carriers import MOST_OPEN, SIMULATOR, check_environment
from .errors import ProviderUnconfigured
from .ports.messaging import MessageSender, MessagingWebhooks, OwnAddress, WebhookRegistrar, WebhookRequest

NETWORKS = {
    "twilio": Channel.SMS,
    "vonage": Channel.SMS,
    "telnyx": Channel.SMS,
    "whatsapp": Channel.WHATSAPP,
    "telegram": Channel.TELEGRAM,
}
"""The providers of messages, and the channel that each is."""


class Messenger(msgspec.Struct, frozen=True, kw_only=True):
    """One account with one network. `registrar` is None where numbers carry the address of the webhook."""

    provider: str
    channel: Channel
    account: Account
    webhooks: MessagingWebhooks
    sender: MessageSender
    registrar: WebhookRegistrar | None = None


class Messengers:
    """The networks that this process talks to. Make it inside the running event loop and close it with `aclose`."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, str], Messenger] = OrderedDict()
        self._put_away: list[MessageSender] = []

    def of(self, account: Account, environment: Environment) -> Messenger:
        """The network of an account. Raises ProviderUnconfigured where the account is not whole, or not one of this environment."""
        check_environment(account, environment)
        key = (account.provider, account.id)
        messenger = self._open.get(key)
        if messenger is None:
            messenger = self._open[key] = _messenger(account)
        self._open.move_to_end(key)
        if len(self._open) > MOST_OPEN:
            _, oldest = self._open.popitem(last=False)
            self._put_away.append(oldest.sender)
        return messenger

    async def aclose(self) -> None:
        """Close every connection."""
        senders = [messenger.sender for messenger in self._open.values()] + self._put_away
        self._open.clear()
        self._put_away.clear()
        for sender in senders:
            await sender.aclose()


def is_signed(provider: str, request: WebhookRequest) -> bool:
    """Whether a request has anything that this network proves itself by, right or wrong. Nobody needs to know the account to refuse one
    without."""
    return provider in NETWORKS and _vendor(provider).is_signed(request)


def sandbox_address(own: OwnAddress, tenant_id: str) -> OwnAddress:
    """A tenant's own address with a simulated network, so that nobody has to share the one of the simulator's account."""
    number = str(int(sha256(f"{own.address} {tenant_id}".encode()).hexdigest()[:12], 16) % 10**12 + 10**12)
    return OwnAddress(address=number, name=own.name, handle=own.handle)


def _messenger(account: Account) -> Messenger:
    if account.provider not in NETWORKS:
        raise ProviderUnconfigured(f"{account.provider} carries no messages.")
    if account.id == SIMULATOR and not account.option("base_url"):
        raise ProviderUnconfigured(f"The simulator has no {account.provider}.")
    vendor = _vendor(account.provider)
    try:
        return Messenger(
            provider=account.provider,
            channel=NETWORKS[account.provider],
            account=account,
            webhooks=vendor.webhooks(account),
            sender=(sender := vendor.sender(account)),
            registrar=sender if hasattr(sender, "register") else None,
        )
    except ValueError as error:
        raise ProviderUnconfigured(f"The account with {account.provider} can't be used: {error}.") from None


def _vendor(provider: str) -> Any:
    return import_module(f".vendors.{provider}.messaging", __package__)

"""What a messaging network is asked when an account is connected: who it is, and where it posts."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec
from voisnap_domain.errors import Conflict
from voisnap_kit import log
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.messengers import Messenger
from voisnap_providers.ports.messaging import OwnAddress, WebhookRegistrar, WebhookRegistration

from .records import ConnectionStatus, Webhook

ASK_SECONDS = 10.0

R = TypeVar("R")

_log = log.get(__name__)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the network posts here."""

    status: ConnectionStatus
    detail: str | None = None
    webhook: Webhook | None = None


class Connector:
    """Asks networks, and tells them where this installation is."""

    def __init__(self, urls: CarrierUrls) -> None:
        self._urls = urls

    async def own_address(self, messenger: Messenger) -> OwnAddress:
        """Who the account is. Raises Conflict `credential-refused`, ProviderError."""
        try:
            return await _asked(messenger, _registrar(messenger).own_address())
        except ProviderAuthError:
            raise Conflict(
                f"The network refuses this account's key for {messenger.provider}.", code="credential-refused"
            ) from None

    async def connect(self, messenger: Messenger, account: str, address: str) -> Verdict:
        """Have messages posted here; says how that went."""
        url = self._urls.messages(messenger.provider, account)
        try:
            kept = await _asked(messenger, _registrar(messenger).register(url, address=address))
        except ProviderError as error:
            return _unreached(messenger, error)
        return _verdict(kept, url)

    async def verify(self, messenger: Messenger, account: str, address: str) -> Verdict:
        """Whether messages are posted here; where they are not, they are from now on, if the network lets us."""
        url = self._urls.messages(messenger.provider, account)
        try:
            kept = await _asked(messenger, _registrar(messenger).registered(address=address))
        except ProviderError as error:
            return _unreached(messenger, error)
        return _verdict(kept, url) if kept.url == url else await self.connect(messenger, account, address)

    async def disconnect(self, messenger: Messenger, account: str, address: str) -> None:
        """Have nothing posted here any more; a network that can't be asked goes on, and is answered that nobody is meant."""
        try:
            kept = await _asked(messenger, _registrar(messenger).registered(address=address))
            if kept.url == self._urls.messages(messenger.provider, account):  # somebody else's is not ours to take away
                await _asked(messenger, _registrar(messenger).unregister(address=address))
        except ProviderError as error:
            _log.warning("channel.not_disconnected", provider=messenger.provider, account=account, error=repr(error))


def _registrar(messenger: Messenger) -> WebhookRegistrar:
    if messenger.registrar is None:
        raise Conflict(f"Accounts with {messenger.provider} are not connected one by one.", code="not-connectable")
    return messenger.registrar


async def _asked(messenger: Messenger, question: Awaitable[R]) -> R:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await question
    except TimeoutError:
        raise ProviderTimeout(
            f"no answer within {ASK_SECONDS:g} s", provider=messenger.provider, kind="messaging"
        ) from None


def _unreached(messenger: Messenger, error: ProviderError) -> Verdict:
    _log.warning("channel.not_verified", provider=messenger.provider, error=repr(error))
    return Verdict(status=ConnectionStatus.UNVERIFIED, detail=f"The network says: {error.detail}"[:300])


def _verdict(kept: WebhookRegistration, url: str) -> Verdict:
    webhook = Webhook(url=kept.url, pending=kept.pending, last_error=kept.last_error[:300])
    if kept.url != url:
        detail = "The network posts somewhere else." if kept.url else "The network posts nowhere."
        return Verdict(status=ConnectionStatus.UNVERIFIED, detail=detail, webhook=webhook)
    return Verdict(status=ConnectionStatus.ACTIVE, webhook=webhook)

"""Telephony carriers by account: who checks their webhooks, who commands them, and where they reach us.

An account of the sandbox is the simulator's, and nothing else is: `Carriers.of` makes no carrier for any other, so that a sandbox key can
never reach somebody's telephone.
"""

from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from voisnap_domain.tenants import Environment

from .accounts import PROVIDERS, Account
from .errors import ProviderUnconfigured
from .ports.carrier import CallControl, CarrierWebhooks, MediaWire, WebhookRequest

CARRIERS = ("twilio", "vonage", "telnyx")
"""The carriers, as numbers and webhooks name them."""

TELL_NO_RINGING = frozenset({"telnyx"})
"""Carriers that say when they begin to call somebody, and nothing more until he answers or does not: from their first word on his telephone
rings, as far as anybody can know."""

SIMULATOR = "simulator"
"""The id of the accounts whose carriers are simulated."""

MOST_OPEN = 256
"""Accounts whose connections a process keeps open."""


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """One account with one carrier."""

    provider: str
    account: Account
    webhooks: CarrierWebhooks
    control: CallControl


class Carriers:
    """The carriers that this process talks to. Make it inside the running event loop and close it with `aclose`."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, str], Carrier] = OrderedDict()
        self._put_away: list[CallControl] = []

    def of(self, account: Account, environment: Environment) -> Carrier:
        """The carrier of an account. Raises ProviderUnconfigured where the account is not whole, or not one of this environment."""
        check_environment(account, environment)
        key = (account.provider, account.id)
        carrier = self._open.get(key)
        if carrier is None:
            carrier = self._open[key] = _carrier(account)
        self._open.move_to_end(key)
        if len(self._open) > MOST_OPEN:
            _, oldest = self._open.popitem(last=False)
            self._put_away.append(oldest.control)
        return carrier

    async def aclose(self) -> None:
        """Close every connection."""
        controls = [carrier.control for carrier in self._open.values()] + self._put_away
        self._open.clear()
        self._put_away.clear()
        for control in controls:
            await control.aclose()


def check_environment(account: Account, environment: Environment) -> None:
    """Raises ProviderUnconfigured unless the sandbox talks to the simulator and nobody else does."""
    if (environment is Environment.SANDBOX) != (account.id == SIMULATOR):
        raise ProviderUnconfigured(f"The account {account.id} is not one of the {environment.value} environment.")


def load(provider: str) -> None:
    """Import what a carrier needs before anybody waits for it. Raises ProviderUnconfigured for what is no carrier."""
    _vendor(provider)


def media_wire(provider: str) -> MediaWire:
    """A fresh translator of one call's media socket. Raises ProviderUnconfigured for what is no carrier."""
    return _vendor(provider).media()


def is_signed(provider: str, request: WebhookRequest) -> bool:
    """Whether a request has any signature of this carrier's scheme, right or wrong. Nobody needs to know the account to refuse one without."""
    return provider in CARRIERS and _webhooks_of(provider).is_signed(request)


def may_be_the_carriers(provider: str, request: WebhookRequest) -> bool:
    """Whether a carrier makes such requests and fails to sign them: it asks again when it is answered 5xx. Nothing that they say may be
    believed."""
    may_be_unsigned = getattr(_webhooks_of(provider), "may_be_unsigned", None) if provider in CARRIERS else None
    return may_be_unsigned is not None and may_be_unsigned(request)


def simulator_accounts(path: Path | None) -> dict[str, Account]:
    """The simulator's accounts by vendor, as its launcher wrote them: `{"twilio": {"secrets": {…}, "options": {…}}, …}`. None without it."""
    if path is None or not path.is_file():
        return {}
    kept = msgspec.json.decode(path.read_bytes(), type=dict[str, _Kept])
    return {
        provider: Account(id=SIMULATOR, provider=provider, secrets=one.secrets, options=one.options)
        for provider, one in kept.items()
        if provider in PROVIDERS
    }


class CarrierUrls(msgspec.Struct, frozen=True):
    """Where carriers reach this installation, below its public address."""

    public_url: str

    def voice(self, provider: str, account: str) -> str:
        """Asked when one of our numbers is rung."""
        return f"{self._webhooks(provider, account)}/voice"

    def events(self, provider: str, account: str, *, session_id: str, attempt_id: str | None = None) -> str:
        """Told what becomes of a call."""
        return f"{self._webhooks(provider, account)}/events?{_whose(session_id, attempt_id)}"

    def resume(self, provider: str, account: str, *, session_id: str, attempt_id: str | None = None) -> str:
        """Asked what comes next: when the media of a call that goes on are lost, or, of an attempt to hand it over, when that is over."""
        return f"{self._webhooks(provider, account)}/resume?{_whose(session_id, attempt_id)}"

    def recording(self, provider: str, account: str, *, session_id: str, attempt_id: str | None = None) -> str:
        """Told of recordings that the carrier made of a call."""
        return f"{self._webhooks(provider, account)}/recording?{_whose(session_id, attempt_id)}"

    def messages(self, provider: str, account: str) -> str:
        """Told of messages to us, and by the carriers that know no other address for it what became of ours."""
        return f"{self._webhooks(provider, account)}/messages"

    def message_status(self, provider: str, account: str, *, message_id: str) -> str:
        """Told what became of one message of ours."""
        return f"{self._webhooks(provider, account)}/message-status?{urlencode({'message': message_id})}"

    def media(self, provider: str) -> str:
        """The media socket of the runtime."""
        scheme, _, rest = self.public_url.rstrip("/").partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}/carriers/{provider}/media"

    def _webhooks(self, provider: str, account: str) -> str:
        return f"{self.public_url.rstrip('/')}/api/v1/carriers/{provider}/{account}"


def _whose(session_id: str, attempt_id: str | None) -> str:
    return urlencode({"session": session_id, **({} if attempt_id is None else {"attempt": attempt_id})})


class _Kept(msgspec.Struct, frozen=True):
    secrets: Mapping[str, str] = msgspec.field(default_factory=dict)
    options: Mapping[str, str] = msgspec.field(default_factory=dict)


def _carrier(account: Account) -> Carrier:
    vendor = _vendor(account.provider)
    try:
        return Carrier(
            provider=account.provider,
            account=account,
            webhooks=vendor.webhooks(account),
            control=vendor.control(account),
        )
    except ValueError as error:
        raise ProviderUnconfigured(f"The account with {account.provider} can't be used: {error}.") from None


def _vendor(provider: str) -> Any:
    if provider not in CARRIERS:
        raise ProviderUnconfigured(f"{provider} is no carrier.")
    return import_module(f".vendors.{provider}.carrier", __package__)


def _webhooks_of(provider: str) -> Any:
    return import_module(f".vendors.{provider}.webhooks", __package__)

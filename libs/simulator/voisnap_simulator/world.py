"""What the simulated carriers share: the accounts, who owns which number, and where its webhooks go."""

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from voisnap_providers.accounts import Account
from voisnap_providers.carriers import SIMULATOR, CarrierUrls

from .accounts import Launch

MAX_NUMBERS = 10_000
"""Numbers that an installation's simulated carriers hand out."""


class OwnedNumber(msgspec.Struct, kw_only=True):
    """A number that an account has rented. `number` is E.164 with `+`; `id` is the carrier's own (Twilio's `PN…`, Telnyx's number id).
    Addresses are empty where nothing is configured; `application` is Vonage's application or Telnyx's connection, which then has them.
    `more` is whatever else the carrier's API keeps of it."""

    provider: str
    number: str
    id: str = ""
    country: str = "US"
    kind: str = "local"
    features: tuple[str, ...] = ("voice", "sms")
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    status_url: str = ""
    messages_url: str = ""
    messages_method: str = "POST"
    application: str = ""
    messaging_profile: str = ""
    more: dict[str, Any] = msgspec.field(default_factory=dict)


class Application(msgspec.Struct, kw_only=True):
    """What a carrier calls an application: one set of addresses for many numbers. Vonage's applications, Telnyx's Call Control
    applications and messaging profiles (`kind`)."""

    provider: str
    id: str
    kind: str = "voice"
    name: str = ""
    answer_url: str = ""
    answer_method: str = "POST"
    fallback_url: str = ""
    event_url: str = ""
    event_method: str = "POST"
    messages_url: str = ""
    status_url: str = ""
    more: dict[str, Any] = msgspec.field(default_factory=dict)


class _Kept(msgspec.Struct):
    numbers: list[OwnedNumber] = []
    applications: list[Application] = []


@dataclass(kw_only=True)
class World:
    """One installation's carriers. Not for several threads.

    `accounts` are the simulator's by provider, `bearer` opens the control routes, `telnyx_key` is the seed of the key that signs Telnyx's
    events, `url` is where the simulator itself is reached. `state_file`, where given, keeps numbers from run to run.
    """

    accounts: Mapping[str, Account]
    public_url: str
    bearer: str = ""
    telnyx_key: bytes = b""
    url: str = ""
    state_file: Path | None = None
    models: Path | None = None
    providers: Mapping[str, Account] = field(default_factory=dict)
    """The platform's own accounts with providers of language models, which may play people."""
    clock: Callable[[], float] = time.time
    numbers: dict[tuple[str, str], OwnedNumber] = field(default_factory=dict)
    applications: dict[tuple[str, str], Application] = field(default_factory=dict)
    parts: dict[type, Any] = field(default_factory=dict)
    """What the handlers of one part keep for each other, by type (`part`)."""

    @classmethod
    def of(
        cls,
        launch: Launch,
        public_url: str,
        *,
        state_file: Path | None = None,
        models: Path | None = None,
        providers: Mapping[str, Account] | None = None,
    ) -> "World":
        """The world of an accounts file, with the numbers of earlier runs."""
        world = cls(
            accounts=launch.accounts,
            public_url=public_url,
            bearer=launch.bearer,
            telnyx_key=launch.telnyx_key,
            url=launch.url,
            state_file=state_file,
            models=models,
            providers=providers or {},
        )
        world._remember()
        return world

    def __post_init__(self) -> None:
        urls = self.urls
        vonage = self.accounts.get("vonage")
        if vonage is not None:
            voice = urls.voice("vonage", SIMULATOR)
            self.add(
                Application(
                    provider="vonage",
                    id=vonage.option("application_id"),
                    name="Voisnap",
                    answer_url=voice,
                    event_url=f"{voice.removesuffix('/voice')}/events",
                    messages_url=urls.messages("vonage", SIMULATOR),
                    status_url=f"{voice.removesuffix('/voice')}/message-status",
                )
            )
        telnyx = self.accounts.get("telnyx")
        if telnyx is not None:
            self.add(
                Application(
                    provider="telnyx",
                    id=telnyx.option("connection_id"),
                    name="Voisnap",
                    event_url=urls.voice("telnyx", SIMULATOR),
                )
            )
            if profile := telnyx.option("messaging_profile_id"):
                self.add(
                    Application(
                        provider="telnyx",
                        id=profile,
                        kind="messages",
                        name="Voisnap",
                        messages_url=urls.messages("telnyx", SIMULATOR),
                    )
                )

    @property
    def urls(self) -> CarrierUrls:
        """Where the platform takes webhooks."""
        return CarrierUrls(self.public_url)

    def account(self, provider: str) -> Account:
        """The simulator's account with a provider. Raises KeyError for a provider without one."""
        return self.accounts[provider]

    def add(self, application: Application) -> Application:
        """Make an application, or replace the one of its id."""
        self.applications[application.provider, application.id] = application
        return application

    def own(self, number: OwnedNumber) -> OwnedNumber:
        """Rent a number. Raises ValueError when there are too many."""
        if len(self.numbers) >= MAX_NUMBERS:
            raise ValueError(f"the simulated carriers have {MAX_NUMBERS} numbers")
        self.numbers[number.provider, number.number] = number
        self.changed()
        return number

    def release(self, provider: str, number: str) -> OwnedNumber | None:
        """Give a number back; None when nobody has it."""
        gone = self.numbers.pop((provider, number), None)
        self.changed()
        return gone

    def number(self, provider: str, number: str) -> OwnedNumber | None:
        """A rented number, E.164 with `+`."""
        return self.numbers.get((provider, number))

    def part(self, kind: type[Any], make: Callable[[], Any]) -> Any:
        """The one part of its kind, made when it is first asked for."""
        found = self.parts.get(kind)
        if found is None:
            found = self.parts[kind] = make()
        return found

    def new_hex(self, digits: int = 32) -> str:
        """A random id as carriers make them."""
        return secrets.token_hex((digits + 1) // 2)[:digits]

    def changed(self) -> None:
        """Write numbers and applications down for the next run. Call it after changing one in place."""
        if self.state_file is None:
            return
        kept = _Kept(numbers=list(self.numbers.values()), applications=list(self.applications.values()))
        fresh = self.state_file.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
        fresh.replace(self.state_file)

    def _remember(self) -> None:
        if self.state_file is None or not self.state_file.is_file():
            return
        try:
            kept = msgspec.json.decode(self.state_file.read_bytes(), type=_Kept)
        except msgspec.MsgspecError:
            return  # of another version: numbers are provisioned anew
        for number in kept.numbers:
            self.numbers[number.provider, number.number] = number
        for application in kept.applications:
            if (application.provider, application.id) not in self.applications:
                self.add(application)

"""The simulated messaging networks on a port of their own, for tests, and a desk where they post: what a platform would see of them."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
from voisnap_domain.sessions import Channel
from voisnap_providers.accounts import Account
from voisnap_providers.carriers import SIMULATOR
from voisnap_providers.messengers import Messenger
from voisnap_providers.ports.messaging import BadSignature, BadWebhook, MessagingEvent, WebhookRequest
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build
from voisnap_simulator.messaging.network import Knobs, Network, Person, network_of
from voisnap_simulator.persona.voice import LocalVoice, Tones
from voisnap_simulator.world import OwnedNumber, World

from voisnap_testkit.local_server import answer, read_request, served

OUR_NUMBER = "+14155550100"
THEIR_NUMBER = "+14155550199"
THEIR_CHAT = "5550199"


class Desk:
    """Where the networks post. Every request is kept, checked by its provider's messenger once there is one, read and answered."""

    world: World

    def __init__(self) -> None:
        self.url = ""
        self.messengers: dict[str, Messenger] = {}
        self.requests: list[WebhookRequest] = []
        self.events: list[MessagingEvent] = []
        self.faults: list[Exception] = []
        self.statuses: list[int] = []
        """What the next requests are answered with, in place of 200."""
        self._told = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked = await read_request(scope, receive)
        query = f"?{asked.raw_query}" if asked.raw_query else ""
        request = WebhookRequest(
            method=asked.method, url=f"{self.url}{asked.path}{query}", headers=asked.headers, body=asked.body
        )
        self.requests.append(request)
        messenger = self.messengers.get(asked.path.split("/")[4])
        status, body, kind = 200, b"", "text/plain"
        if messenger is not None:
            document = messenger.webhooks.handshake(request)
            if document is None:
                document = messenger.webhooks.answer()
                self._take(messenger, request)
            status, body, kind = document.status, document.body, document.content_type
        if self.statuses:
            status = self.statuses.pop(0)
        await answer(scope, send, status, body, {"content-type": kind})
        self._told.set()
        self._told = asyncio.Event()

    def of(self, kind: type[Any]) -> list[Any]:
        """What has been told, of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def expect(self, kind: type[Any], count: int = 1) -> list[Any]:
        """The first `count` events of a kind, once they are there."""
        async with asyncio.timeout(5):
            while len(self.of(kind)) < count:
                await self._told.wait()
        return self.of(kind)

    def _take(self, messenger: Messenger, request: WebhookRequest) -> None:
        try:
            messenger.webhooks.verify(request, now=self.now())
            self.events.extend(messenger.webhooks.read(request))
        except (BadSignature, BadWebhook) as error:
            self.faults.append(error)

    def now(self) -> float:
        """The time of the world."""
        return self.world.clock()


class Simulation:
    """A running world of messaging networks and its desk."""

    def __init__(self, world: World, desk: Desk) -> None:
        self.world = world
        self.desk = desk
        self.network: Network = network_of(world)
        self.addresses: dict[str, str] = {}
        self._client = httpx.AsyncClient(
            base_url=world.url, headers={"authorization": f"Bearer {world.bearer}"}, trust_env=False
        )

    async def begin_anew(self) -> None:
        """Forget everybody and everything that was written, as between two tests."""
        network, desk = self.network, self.desk
        await network.settled()
        for kept in (network.people, network.texts, network.media, network.repeated):
            kept.clear()
        network.telegram.pending.clear()
        network.telegram.errors.clear()
        for provider, name in list(self.world.applications):
            if provider in ("whatsapp", "telegram"):
                del self.world.applications[provider, name]
        for told in (desk.messengers, desk.requests, desk.events, desk.faults, desk.statuses):
            told.clear()

    def account(self, provider: str) -> Account:
        """The simulator's account, as the platform has it."""
        return self.world.account(provider)

    def ours(self, provider: str) -> str:
        """Our address at a network: that of the account, unless `addresses` names another one."""
        if provider in self.addresses:
            return self.addresses[provider]
        account = self.account(provider)
        if provider == "whatsapp":
            return account.option("phone_number_id")
        return account.secret("bot_token").partition(":")[0] if provider == "telegram" else OUR_NUMBER

    def theirs(self, provider: str) -> str:
        """The address of the person at the other end."""
        return THEIR_CHAT if provider == "telegram" else THEIR_NUMBER

    def person(self, provider: str) -> Person:
        """The person at the other end."""
        channel = {"whatsapp": Channel.WHATSAPP, "telegram": Channel.TELEGRAM}.get(provider, Channel.SMS)
        return self.network.person(channel, self.theirs(provider))

    def set(self, provider: str, **knobs: Any) -> None:
        """Let something go wrong with the person."""
        self.person(provider).knobs = Knobs(**{"delay": 0.0, **knobs})

    async def write(self, provider: str, text: str = "", **more: Any) -> dict[str, Any]:
        """Let the person write; the answer of the control route."""
        body = {"provider": provider, "from": self.theirs(provider), "to": self.ours(provider), "text": text, **more}
        response = await self._client.post("/simulator/messages", json=body)
        assert response.status_code == 201, response.text
        return response.json()

    async def change(self, provider: str, **more: Any) -> None:
        """Let the person do something without a word."""
        response = await self._client.put(
            f"/simulator/people/{provider}/{self.theirs(provider)}", json={"ours": self.ours(provider), **more}
        )
        assert response.status_code == 200, response.text

    def inbox(self, provider: str) -> list[str]:
        """What the person was sent by us, the carrier's own answers left out."""
        return [
            text.text
            for text in self.network.texts
            if text.provider == provider and text.direction == "out" and not text.automatic
        ]

    async def aclose(self) -> None:
        """End what is on its way."""
        await self._client.aclose()
        for part in list(self.world.parts.values()):
            if (close := getattr(part, "aclose", None)) is not None:
                await close()


@asynccontextmanager
async def simulation(desk: Desk | None = None) -> AsyncGenerator[Simulation]:
    """Networks on loopback with a number of ours at each carrier, and a desk as their public address. People have no words but tones."""
    launched = _launched()
    desk = desk or Desk()
    async with served(desk) as desk_port:
        desk.url = f"http://127.0.0.1:{desk_port}"
        world = World(
            accounts=dict(launched.accounts),
            public_url=desk.url,
            bearer=launched.bearer,
            telnyx_key=launched.telnyx_key,
        )
        desk.world = world
        world.parts[LocalVoice] = Tones()
        for provider in ("twilio", "vonage", "telnyx"):
            world.own(
                OwnedNumber(
                    provider=provider,
                    number=OUR_NUMBER,
                    features=("voice", "sms", "mms"),
                    messages_url=world.urls.messages(provider, SIMULATOR) if provider == "twilio" else "",
                    messaging_profile=launched.accounts["telnyx"].option("messaging_profile_id")
                    if provider == "telnyx"
                    else "",
                )
            )
        async with served(build(world)) as port:
            _move(world, f"http://127.0.0.1:{port}")
            running = Simulation(world, desk)
            try:
                yield running
            finally:
                await running.aclose()


@cache
def _launched() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.json"
        make_accounts_file(path, "http://127.0.0.1:1")
        return launch(path)


def _move(world: World, url: str) -> None:
    """Let the accounts name the port where the world is."""
    assert isinstance(world.accounts, dict)
    world.url = url
    for provider, account in list(world.accounts.items()):
        options: Mapping[str, str] = {
            name: value.replace("http://127.0.0.1:1", url, 1) if name.endswith("url") else value
            for name, value in account.options.items()
        }
        world.accounts[provider] = msgspec.structs.replace(account, options=options)

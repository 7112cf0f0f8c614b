"""The whole way on every network: written to a simulated one, signed, taken down, answered by a runtime, sent, and told of."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from voisnap_api.carrier_accounts import CarrierAccounts
from voisnap_api.messaging import desk, inbound, subscribers
from voisnap_api.messaging.networks import Networks
from voisnap_api.messaging.postman import Postman
from voisnap_domain.tenants import Environment
from voisnap_kit.sealing import Keyring, opener
from voisnap_proto.requests import EXCHANGE_TEXT, ExchangeText, TextExchanged
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_testkit.simulated_networks import OUR_NUMBER, Desk, Simulation, simulation

pytestmark = pytest.mark.slice

PROVIDERS = ("twilio", "vonage", "telnyx", "whatsapp", "telegram")
CARRIERS = ("twilio", "vonage", "telnyx")


class Platform:
    """An API that networks post to, a worker, and a runtime."""

    def __init__(self, api: Any, networks: Simulation, headers: dict[str, str]) -> None:
        self.api = api
        self.networks = networks
        self.headers = headers
        self.asked: list[ExchangeText] = []
        self.answers: list[int] = []
        self.moved = asyncio.Event()

    async def exchange(self, request: ExchangeText) -> TextExchanged:
        self.asked.append(request)
        return TextExchanged(replies=(f"You wrote: {request.text.splitlines()[-1]}",))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; it is looked at whenever anything has happened."""
        async with asyncio.timeout(10):
            while not is_so():
                self.moved.clear()
                await self.moved.wait()

    async def messages(self, **wanted: str) -> list[dict[str, Any]]:
        found = await self.api.client.get("/api/v1/messages", params=wanted, headers=self.headers)
        assert found.status_code == 200, found.text
        return found.json()["data"]


@pytest.fixture
async def platform(start_api, tmp_path, monkeypatch):
    monkeypatch.setattr(inbound, "GATHERING", timedelta(milliseconds=20))  # people here write once
    async with simulation() as networks:
        accounts = tmp_path / "accounts.json"
        kept = {one: networks.account(one) for one in PROVIDERS}
        accounts.write_bytes(
            msgspec.json.encode({one: {"secrets": a.secrets, "options": a.options} for one, a in kept.items()})
        )
        async with start_api(public_url=networks.desk.url, simulator_accounts_file=accounts) as api:
            headers = api.token("ten_a", environment=Environment.SANDBOX)
            made = Platform(api, networks, headers)

            async def post(_desk: Desk, scope: Any, receive: Any, send: Any) -> None:
                async def note(message: Any) -> None:
                    if message["type"] == "http.response.start":
                        made.answers.append(message["status"])
                    await send(message)

                await api.app(scope, receive, note)
                made.moved.set()

            monkeypatch.setattr(Desk, "__call__", post)
            await api.bus.respond(EXCHANGE_TEXT, "runtime", ExchangeText, made.exchange)
            agent = await api.add_agent(headers)
            await _numbers(api, agent["id"])
            for channel in ("whatsapp", "telegram"):
                body = {"channel": channel, "agentId": agent["id"]}
                connected = await api.client.post("/api/v1/channels", json=body, headers=headers)
                assert (connected.status_code, connected.json()["status"]) == (201, "active"), connected.text
                networks.addresses[channel] = connected.json()["address"]
            reached = Networks(
                CarrierAccounts(TenantAccounts(opener(Keyring.parse("a:" + "cw" * 21 + "c=")), {}), {}, accounts)
            )
            postman = Postman.of(api.database, api.bus, api.blobs, reached, None, CarrierUrls(networks.desk.url))  # type: ignore[arg-type]
            sent = postman._outbox._sent

            async def tell(*of: Any) -> None:
                await sent(*of)
                made.moved.set()

            monkeypatch.setattr(postman._outbox, "_sent", tell)
            await subscribers.wake(api.bus, postman.wake)
            working = asyncio.create_task(postman.run())
            yield made
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await reached.aclose()


async def _numbers(api: Any, agent_id: str) -> None:
    async with api.database.transaction_as_system() as tx:
        for provider in CARRIERS:
            await tx.exec(
                """
                INSERT INTO phone_numbers (id, tenant_id, environment, phone_number, provider, account, country, capabilities, agent_id, source,
                                           status, created_at, updated_at)
                VALUES (%(id)s, 'ten_a', 'sandbox', %(ours)s, %(provider)s, 'simulator', 'US', '{voice,sms}', %(agent)s, 'purchase', 'active',
                        now(), now())
                """,
                id=f"num_{provider}",
                ours=OUR_NUMBER,
                provider=provider,
                agent=agent_id,
            )


async def test_on_every_network_a_message_is_answered_and_its_course_is_told(platform):
    networks = platform.networks
    for provider in PROVIDERS:
        await networks.write(provider, f"Hello {provider}")
    await platform.until(lambda: all(networks.inbox(one) for one in PROVIDERS))

    assert {one: networks.inbox(one) for one in PROVIDERS} == {one: [f"You wrote: Hello {one}"] for one in PROVIDERS}
    assert {request.plan.channel.value for request in platform.asked} == {"sms", "whatsapp", "telegram"}
    assert {request.plan.environment for request in platform.asked} == {Environment.SANDBOX}
    contacts = (await platform.api.client.get("/api/v1/contacts", headers=platform.headers)).json()["data"]
    assert len(contacts) == 2, "one with a number, and one that Telegram tells no number of"

    found: list[str] = []
    async with asyncio.timeout(10):
        while sorted(found) != ["delivered"] * 3 + ["delivered", "sent"]:
            platform.moved.clear()
            outbound = await platform.messages(direction="outbound")
            found = ["delivered" if one["status"] == "read" else one["status"] for one in outbound]
            if sorted(found) != ["delivered"] * 4 + ["sent"]:
                await platform.moved.wait()
    assert set(platform.answers) <= {200, 204}


async def test_what_is_not_signed_changes_nothing_and_costs_no_look_into_the_database(platform, monkeypatch):
    begin = desk.begin_as_system
    looks: list[Any] = []
    monkeypatch.setattr(desk, "begin_as_system", lambda *of, **named: looks.append(of) or begin(*of, **named))
    url = "/api/v1/carriers/{}/simulator/messages"
    bodies = {
        "twilio": {"data": {"MessageSid": "SM1", "From": "+14155550199", "To": OUR_NUMBER, "Body": "Hi"}},
        "vonage": {"json": {"message_uuid": "1", "from": "14155550199", "to": "14155550100", "text": "Hi"}},
        "telnyx": {"json": {"data": {"event_type": "message.received", "id": "1", "payload": {}}}},
        "whatsapp": {"json": {"object": "whatsapp_business_account", "entry": []}},
        "telegram": {"json": {"update_id": 1, "message": {"message_id": 1, "chat": {"id": 5}, "text": "Hi"}}},
    }
    for provider, body in bodies.items():
        answer = await platform.api.client.post(url.format(provider), **body)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (403, "bad-signature"), answer.text
    for provider, account in (("telegram", "pcred_none"), ("telegram", "platform"), ("nobody", "simulator")):
        answer = await platform.api.client.post(f"/api/v1/carriers/{provider}/{account}/messages", json={})
        assert answer.status_code == 403, "and nobody learns which accounts there are"
    assert looks == []
    for provider, account in (("telegram", "pcred_none"), ("telegram", "platform")):
        signed = {"x-telegram-bot-api-secret-token": "guessed"}
        url = f"/api/v1/carriers/{provider}/{account}/messages"
        assert (await platform.api.client.post(url, json={}, headers=signed)).status_code == 403
    assert len(looks) == 2
    assert await platform.messages() == []


async def test_whatsapp_may_ask_whether_the_address_is_ours(platform):
    token = platform.networks.account("whatsapp").secret("verify_token")
    ask = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
    path = "/api/v1/carriers/whatsapp/simulator/messages"
    answer = await platform.api.client.get(path, params=ask)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    refused = await platform.api.client.get(path, params=ask | {"hub.verify_token": "guessed"})
    assert refused.status_code == 403


async def test_signed_nonsense_is_refused_and_an_unknown_address_is_taken_for_nothing(platform):
    secret = platform.networks.account("whatsapp").secret("app_secret")
    path = "/api/v1/carriers/whatsapp/simulator/messages"
    for body, status in ((b"{]", 400), (b'{"object":"whatsapp_business_account","entry":[]}', 200)):
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        answer = await platform.api.client.post(path, content=body, headers={"X-Hub-Signature-256": signature})
        assert answer.status_code == status, answer.text


async def test_an_agent_writes_first_and_the_answer_comes_back_to_it(platform):
    agent_id = (await platform.api.client.get("/api/v1/agents", headers=platform.headers)).json()["data"][0]["id"]
    body = {"channel": "sms", "agentId": agent_id, "to": "+1 (415) 555-0199", "text": "Your order is ready."}
    sent = await platform.api.client.post("/api/v1/messages", json=body, headers=platform.headers)
    assert (sent.status_code, sent.json()["messages"][0]["status"]) == (202, "queued"), sent.text
    assert sent.json()["messages"][0]["theirAddress"] == "+14155550199"
    provider = sent.json()["messages"][0]["provider"]
    await platform.until(lambda: platform.networks.inbox(provider) == ["Your order is ready."])
    await platform.networks.write(provider, "Thanks!")
    await platform.until(lambda: len(platform.networks.inbox(provider)) == 2)
    assert platform.asked[0].text.splitlines() == ["[You wrote to this person before: Your order is ready.]", "Thanks!"]
    thread = sent.json()["messages"][0]["threadId"]
    texts = [message["text"] for message in await platform.messages(threadId=thread)]
    assert texts == ["Your order is ready.", "Thanks!", "You wrote: Thanks!"]


async def test_connections_are_listed_changed_verified_and_taken_away(platform):
    client, headers = platform.api.client, platform.headers
    (telegram,) = (await client.get("/api/v1/channels", params={"channel": "telegram"}, headers=headers)).json()["data"]
    assert telegram["webhook"]["url"] == f"{platform.networks.desk.url}/api/v1/carriers/telegram/simulator/messages"
    place = f"/api/v1/channels/{telegram['id']}"
    again = await client.post(
        "/api/v1/channels", json={"channel": "telegram", "agentId": telegram["agentId"]}, headers=headers
    )
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "channel-taken"), again.text
    template = {"settings": {"reopenTemplate": {"name": "news", "language": "en"}}}
    assert (await client.patch(place, json=template, headers=headers)).status_code == 422, "Telegram has none"
    other = await platform.api.add_agent(headers, name="Night shift")
    changed = await client.patch(place, json={"agentId": other["id"]}, headers=headers)
    assert changed.json()["agentId"] == other["id"]
    platform.networks.network.hook("telegram", telegram["address"]).messages_url = "https://elsewhere.test/"
    verified = await client.post(f"{place}/verify", headers=headers)
    assert (verified.json()["status"], verified.json()["webhook"]["url"]) == ("active", telegram["webhook"]["url"])
    assert (await client.delete(f"/api/v1/agents/{other['id']}", headers=headers)).status_code == 204
    assert (await client.get(place, headers=headers)).status_code == 404, "nobody answers there any more"


async def test_the_platforms_own_account_is_given_out_by_its_operator(platform):
    agent = await platform.api.add_agent(platform.api.token("ten_a"))
    for channel in ("telegram", "whatsapp"):
        body = {"channel": channel, "agentId": agent["id"]}
        refused = await platform.api.client.post("/api/v1/channels", json=body, headers=platform.api.token("ten_a"))
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "platform-channel")


async def test_a_contact_is_named_left_alone_and_forgotten(platform):
    client, headers = platform.api.client, platform.headers
    await platform.networks.write("twilio", "Hi")
    await platform.until(lambda: bool(platform.networks.inbox("twilio")))
    (contact,) = (await client.get("/api/v1/contacts", params={"search": "+1415"}, headers=headers)).json()["data"]
    place = f"/api/v1/contacts/{contact['id']}"
    assert (contact["phoneNumber"], contact["country"], contact["optedOut"]) == ("+14155550199", "US", [])
    body = {"name": "Ada", "language": "en-GB", "optedOut": {"sms": True}}
    changed = (await client.patch(place, json=body, headers=headers)).json()
    assert (changed["name"], changed["language"]) == ("Ada", "en-GB")
    assert [(out["channel"], out["source"]) for out in changed["optedOut"]] == [("sms", "tenant")]
    assert (await client.patch(place, json={"language": "gibberish!"}, headers=headers)).status_code == 422
    agent_id = platform.asked[0].plan.agent.agent_id
    offer = {"channel": "sms", "agentId": agent_id, "contactId": contact["id"], "text": "Offer!"}
    assert (await client.post("/api/v1/messages", json=offer, headers=headers)).status_code == 409
    assert (await client.delete(place, headers=headers)).status_code == 204
    assert await platform.messages() == []
    offer = {"channel": "sms", "agentId": agent_id, "to": "+14155550199", "text": "Offer!"}
    still = await client.post("/api/v1/messages", json=offer, headers=headers)
    assert (still.status_code, still.json()["type"].rpartition("/")[2]) == (409, "opted-out")

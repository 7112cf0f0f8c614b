"""What every carrier's numbers promise alike, on the simulated carriers; and the carriers' own libraries as clients of these."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import telnyx
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client as TwilioClient
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.number_desks import number_desk
from voisnap_providers.ports.numbers import (
    Difference,
    DocumentsMissing,
    FundsMissing,
    NumberDesk,
    NumberFeature,
    NumberQuery,
    NumberRefused,
    NumberTargets,
    NumberUnavailable,
    PurchaseUncertain,
)
from voisnap_providers.vendors.telnyx import numbers as telnyx_numbers
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build
from voisnap_simulator.numbers.telnyx import Orders
from voisnap_simulator.world import World
from voisnap_testkit.local_server import answer, read_request, served

pytestmark = pytest.mark.conformance

VOICE, SMS, MMS = NumberFeature.VOICE, NumberFeature.SMS, NumberFeature.MMS
TARGETS = NumberTargets(
    voice_url="https://voice.example/api/v1/carriers/x/simulator/voice",
    events_url="https://voice.example/api/v1/carriers/x/simulator/events",
    messages_url="https://voice.example/api/v1/carriers/x/simulator/messages",
)
MOVED = msgspec.structs.replace(
    TARGETS, voice_url="https://other.example/voice", messages_url="https://other.example/messages"
)
PROVIDERS = ("twilio", "vonage", "telnyx")


class Carriers:
    """The simulated carriers behind a door that can break: `refuses` answers in their place, `loses` answers after they have acted."""

    def __init__(self, world: World, application: Any) -> None:
        self.world = world
        self.application = application
        self.asked: list[tuple[str, str]] = []
        self.refuses: tuple[int, bytes] | None = None
        self.loses: Callable[[str, str], bool] = lambda _method, _path: False

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        method, path = scope.get("method", ""), scope["path"]
        self.asked.append((method, path))
        if self.refuses is not None:
            await read_request(scope, receive)
            status, body = self.refuses
            await answer(scope, send, status, body, {"content-type": "application/json"})
        elif self.loses(method, path):

            async def swallow(_message: object) -> None:
                return None

            await self.application(scope, receive, swallow)
            await answer(scope, send, 504, b"", {})
        else:
            await self.application(scope, receive, send)


@pytest.fixture(scope="module")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulator") / "accounts.json"
    make_accounts_file(path, "http://127.0.0.1:1")
    return path


@pytest.fixture(scope="module")
def simulated(accounts_file: Path) -> tuple[World, Any]:
    """The world and its application, which is long in the making."""
    world = World.of(launch(accounts_file), "https://voice.example")
    return world, build(world)


@pytest.fixture
async def carriers(accounts_file: Path, simulated: tuple[World, Any]) -> AsyncIterator[Carriers]:
    world, application = simulated
    world.numbers.clear()
    world.part(Orders, Orders).placed.clear()
    async with served(made := Carriers(world, application)) as port:
        make_accounts_file(accounts_file, f"http://127.0.0.1:{port}")
        world.accounts = launch(accounts_file).accounts
        yield made


@pytest.fixture(params=PROVIDERS)
def account(request: pytest.FixtureRequest, carriers: Carriers, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(telnyx_numbers, "ORDER_SECONDS", (0.01, 0.01))
    return carriers.world.account(request.param)


@pytest.fixture
async def desk(account: Account) -> AsyncIterator[NumberDesk]:
    made = number_desk(account)
    yield made
    await made.aclose()


async def bought(desk: NumberDesk, **query: object):
    offer = (await desk.search(NumberQuery(**({"country": "US", "features": (VOICE,)} | query))))[0]
    purchase = await desk.buy(offer.phone_number, country=offer.country, reference="num_1", targets=TARGETS)
    assert purchase.held is not None
    return purchase.held


async def test_a_search_finds_what_was_asked_for(desk: NumberDesk) -> None:
    for query in (
        NumberQuery(country="US", area_code="415", limit=3),
        NumberQuery(country="US", contains="777", features=(VOICE, SMS, MMS), limit=5),
        NumberQuery(country="US", toll_free=True, limit=2),
        NumberQuery(country="GB", features=(SMS,), limit=4),
        NumberQuery(country="DE", area_code="030", limit=4),
        NumberQuery(country="DE", area_code="30", contains="77", limit=2),
    ):
        offers = await desk.search(query)
        assert len(offers) == query.limit
        assert len({offer.phone_number for offer in offers}) == query.limit
        for offer in offers:
            assert (offer.country, offer.toll_free) == (query.country, query.toll_free)
            assert set(query.features) <= set(offer.features)
            code = {"US": "+1", "GB": "+44", "DE": "+49"}[query.country]
            assert offer.phone_number.startswith(code + (query.area_code or "").lstrip("0"))
            assert (query.contains or "") in offer.phone_number
            assert offer.monthly_cost_usd is not None
            assert 0.5 < offer.monthly_cost_usd < 10


async def test_a_search_in_vain_finds_nothing(desk: NumberDesk) -> None:
    assert await desk.search(NumberQuery(country="US", area_code="999")) == ()
    assert await desk.search(NumberQuery(country="DE", features=(MMS,))) == ()
    assert await desk.search(NumberQuery(country="AQ")) == ()


async def test_a_number_is_rented_told_of_to_us_and_given_back(desk: NumberDesk) -> None:
    held = await bought(desk, features=(VOICE, SMS))
    assert (held.country, set(held.features) >= {VOICE, SMS}) == ("US", True)
    await desk.configure(held, TARGETS)
    found = await desk.find(held.phone_number)
    assert found is not None
    assert found.id == held.id
    assert await desk.differences(found, TARGETS) == ()
    assert held.phone_number not in {offer.phone_number for offer in await desk.search(NumberQuery(country="US"))}
    await desk.release(found)
    assert await desk.find(held.phone_number) is None
    await desk.release(found)


async def test_a_number_that_points_elsewhere_is_told_by_setting_and_put_right(desk: NumberDesk) -> None:
    held = await bought(desk, features=(VOICE, SMS))
    await desk.configure(held, MOVED)
    found = await desk.find(held.phone_number)
    differences = await desk.differences(found, TARGETS)
    assert {difference.expected.removeprefix("POST ") for difference in differences} == {
        TARGETS.voice_url,
        TARGETS.messages_url,
    }
    assert {difference.found.removeprefix("POST ") for difference in differences} == {
        MOVED.voice_url,
        MOVED.messages_url,
    }
    await desk.configure(found, TARGETS)
    assert await desk.differences(await desk.find(held.phone_number), TARGETS) == ()


async def test_a_number_linked_elsewhere_is_a_difference(
    account: Account, desk: NumberDesk, carriers: Carriers
) -> None:
    held = await bought(desk)
    await desk.configure(held, TARGETS)
    owned = carriers.world.number(account.provider, held.phone_number)
    owned.application, owned.more["voice_application_sid"] = "elsewhere", "AP1"
    found = await desk.find(held.phone_number)
    [difference] = await desk.differences(found, TARGETS)
    assert isinstance(difference, Difference)
    assert difference.found in ("elsewhere", "AP1")


async def test_a_number_that_somebody_else_took_is_unavailable(desk: NumberDesk) -> None:
    held = await bought(desk)
    with pytest.raises(NumberUnavailable):
        await desk.buy(held.phone_number, country="US", reference="num_2", targets=TARGETS)
    with pytest.raises(NumberUnavailable):
        await desk.buy("+15005550000", country="US", reference="num_3", targets=TARGETS)


async def test_a_purchase_whose_answer_is_lost_is_uncertain_and_found_again(
    desk: NumberDesk, carriers: Carriers
) -> None:
    offer = (await desk.search(NumberQuery(country="US")))[0]
    carriers.loses = lambda method, _path: method == "POST"
    with pytest.raises(PurchaseUncertain):
        await desk.buy(offer.phone_number, country="US", reference="num_1", targets=TARGETS)
    carriers.loses = lambda _method, _path: False
    posts = [path for method, path in carriers.asked if method == "POST"]
    assert len(posts) == 1, "asked for it twice"
    if "number_orders" in posts[0]:  # the same order, by its reference
        again = await desk.buy(offer.phone_number, country="US", reference="num_1", targets=TARGETS)
        assert again.held is not None
        assert [path for method, path in carriers.asked if method == "POST"] == posts
    assert await desk.find(offer.phone_number) is not None


REFUSALS = [
    (402, "Payment Required", FundsMissing),
    (400, "Your account balance is too low", FundsMissing),
    (400, "This number requires an Address", DocumentsMissing),
    (422, "Regulatory requirements are not met", DocumentsMissing),
    (400, "The number is not available any more", NumberUnavailable),
    (400, "Odd", NumberRefused),
]


async def test_refusals_are_told_apart_and_never_repeated(desk: NumberDesk, carriers: Carriers) -> None:
    for status, words, kind in REFUSALS:
        text = f'"{words} +14155550100 SECRET"'
        body = f'{{"code":1,"message":{text},"error-code":"1","error-code-label":{text},"errors":[{{"code":"1","detail":{text}}}],"data":[]}}'
        original, carriers.application = carriers.application, _refusing(status, body.encode(), carriers.application)
        with pytest.raises(kind) as raised:
            await desk.buy("+14155550100", country="US", reference="num_1", targets=TARGETS)
        carriers.application = original
        assert type(raised.value) is kind
        assert "SECRET" not in raised.value.detail
        assert "4155550100" not in raised.value.detail


def _refusing(status: int, body: bytes, otherwise: Callable) -> Callable:
    async def application(scope: dict, receive: Callable, send: Callable) -> None:
        if scope["method"] != "POST":
            return await otherwise(scope, receive, send)
        await read_request(scope, receive)
        return await answer(scope, send, status, body, {"content-type": "application/json"})

    return application


async def test_an_account_that_is_not_let_in_says_so(account: Account, carriers: Carriers) -> None:
    wrong = msgspec.structs.replace(account, secrets=dict.fromkeys(account.secrets, "wrong"))
    desk = number_desk(wrong)
    right = number_desk(account)
    await right.check()
    with pytest.raises(ProviderAuthError):
        await desk.check()
    with pytest.raises(ProviderAuthError):
        await desk.search(NumberQuery(country="US"))
    with pytest.raises(ProviderAuthError):
        await desk.buy("+14155550100", country="US", reference="num_1", targets=TARGETS)
    await desk.aclose()
    await right.aclose()


async def test_faults_of_the_carrier_may_be_repeated(desk: NumberDesk, carriers: Carriers) -> None:
    carriers.refuses = (503, b"")
    for asked in (desk.search(NumberQuery(country="US")), desk.find("+14155550100"), desk.check()):
        with pytest.raises(ProviderError) as raised:
            await asked
        assert raised.value.retryable


async def test_only_ids_of_numbers_get_into_a_path(account: Account, desk: NumberDesk, carriers: Carriers) -> None:
    held = await bought(desk)
    before = len(carriers.asked)
    if account.provider != "vonage":  # its ids travel in forms
        for odd in ("", "..", "x/../y", "PN1?x=1", "a b"):
            with pytest.raises(ProviderError):
                await desk.release(msgspec.structs.replace(held, id=odd))
    assert len(carriers.asked) == before


def test_twilios_own_library_reads_and_sets_numbers(carriers_in_thread: tuple[World, str]) -> None:
    world, url = carriers_in_thread
    account = world.account("twilio")
    http = _Rewritten(f"{url}/twilio")
    client = TwilioClient(account.option("account_sid"), account.secret("auth_token"), http_client=http)
    [offer, *_] = client.available_phone_numbers("US").local.list(area_code=212, sms_enabled=True, limit=3)
    assert (offer.iso_country, offer.region, offer.capabilities["SMS"]) == ("US", "NY", True)
    number = client.incoming_phone_numbers.create(
        phone_number=offer.phone_number, voice_url="https://h.example/voice", sms_url="https://h.example/sms"
    )
    assert (number.voice_url, number.sms_method, number.capabilities["voice"]) == (
        "https://h.example/voice",
        "POST",
        True,
    )
    assert client.incoming_phone_numbers(number.sid).update(voice_url="https://h.example/2").voice_url.endswith("/2")
    assert [one.sid for one in client.incoming_phone_numbers.list(phone_number=offer.phone_number)] == [number.sid]
    country = client.pricing.v1.phone_numbers.countries("US").fetch()
    assert country.price_unit == "USD"
    assert {price["number_type"] for price in country.phone_number_prices} == {"local", "toll free"}
    assert client.incoming_phone_numbers(number.sid).delete()
    with pytest.raises(TwilioRestException) as raised:
        client.incoming_phone_numbers.create(phone_number="+15005550000")
    assert (raised.value.status, raised.value.code) == (400, 21422)
    http.session.close()


def test_telnyxs_own_library_reads_and_sets_numbers(carriers_in_thread: tuple[World, str]) -> None:
    world, url = carriers_in_thread
    account = world.account("telnyx")
    client = telnyx.Telnyx(api_key=account.secret(), base_url=f"{url}/telnyx/v2", max_retries=0)
    found = client.available_phone_numbers.list(
        filter={"country_code": "US", "national_destination_code": "312", "features": ["sms", "voice"], "limit": 2}
    )
    number = found.data[0].phone_number
    assert (len(found.data), number[:5]) == (2, "+1312")
    assert {feature.name for feature in found.data[0].features} >= {"sms", "voice"}
    connection = account.option("connection_id")
    order = client.number_orders.create(
        phone_numbers=[{"phone_number": number}], connection_id=connection, customer_reference="num_9"
    ).data
    assert order.status == "pending"
    assert client.number_orders.retrieve(order.id).data.status == "success"
    assert [one.id for one in client.number_orders.list(filter={"customer_reference": "num_9"}).data] == [order.id]
    [owned] = client.phone_numbers.list(filter={"phone_number": number}).data
    assert (owned.phone_number, owned.connection_id) == (number, connection)
    profile = account.option("messaging_profile_id")
    messaging = client.phone_numbers.messaging.update(owned.id, messaging_profile_id=profile).data
    assert (messaging.messaging_profile_id, messaging.features.sms is not None) == (profile, True)
    application = client.call_control_applications.update(
        connection, application_name="Ours", webhook_event_url="https://h.example/voice"
    ).data
    assert application.webhook_event_url == "https://h.example/voice"
    assert client.phone_numbers.delete(owned.id).data.status == "deleted"
    with pytest.raises(telnyx.UnprocessableEntityError) as raised:
        client.number_orders.create(phone_numbers=[{"phone_number": "+15005550000"}])
    assert raised.value.status_code == 422
    client.close()


class _Rewritten(TwilioHttpClient):
    """Sends what Twilio's hosts are asked to one of ours."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=5)
        self._url = url

    def request(self, method: str, url: str, *arguments: object, **more: object):
        path = url.partition("://")[2].partition("/")[2]
        return super().request(method, f"{self._url}/{path}", *arguments, **more)


@pytest.fixture(scope="module")
def carriers_in_thread(simulated: tuple[World, Any]):
    """The simulated carriers on an event loop of their own, for libraries that block."""
    world, application = simulated
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def run() -> None:
        async with served(application) as port:
            ports.append(port)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(5)
    yield world, f"http://127.0.0.1:{ports[0]}"
    loop.call_soon_threadsafe(stop.set)
    thread.join(5)
    loop.close()

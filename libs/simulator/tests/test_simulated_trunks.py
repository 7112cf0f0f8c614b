"""What every carrier's SIP trunks promise alike, on the simulated carriers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError
from voisnap_providers.number_desks import number_desk, trunk_desk
from voisnap_providers.ports.numbers import HeldNumber, NumberQuery, NumberTargets
from voisnap_providers.ports.trunks import Origination, Parts, TrunkDesk, TrunkPlan, Unfit
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build
from voisnap_simulator.numbers.telnyx import Orders
from voisnap_simulator.numbers.telnyx_trunks import Connections
from voisnap_simulator.numbers.twilio_trunks import Trunking
from voisnap_simulator.world import World
from voisnap_testkit.local_server import answer, served

pytestmark = pytest.mark.conformance

PASSWORD = "Correct-horse-7-battery"
HOST = (Origination(sip_uri="sip:pbx.acme.example:5070"),)
ADDRESS = (Origination(sip_uri="sip:198.51.100.7", priority=1), Origination(sip_uri="sip:198.51.100.8:5080"))
TARGETS = NumberTargets(
    voice_url="https://voice.example/voice",
    events_url="https://voice.example/events",
    messages_url="https://voice.example/messages",
)


def plan(**changes: Any) -> TrunkPlan:
    return TrunkPlan(reference="trunk_01HXABC", name="Head office", **changes)


WITH_USER = {"username": "acme1234", "password": PASSWORD}
PLANS = [
    ("twilio", plan(origination=(*HOST, *ADDRESS), allowed_ips=("198.51.100.0/24",), **WITH_USER)),
    ("twilio", plan(origination=HOST)),
    ("vonage", plan(origination=HOST)),
    ("telnyx", plan(**WITH_USER)),
    ("telnyx", plan(origination=ADDRESS, allowed_ips=("198.51.100.7", "198.51.100.9"))),
    ("telnyx", plan(origination=HOST)),
]


class Door:
    """The simulated carriers; `loses` so many answers to POSTs after they have acted."""

    def __init__(self, world: World, application: Any) -> None:
        self.world = world
        self.application = application
        self.asked: list[tuple[str, str]] = []
        self.loses = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["method"], scope["path"]))
        if scope["method"] == "POST" and self.loses:
            self.loses -= 1

            async def swallow(_message: object) -> None:
                return None

            await self.application(scope, receive, swallow)
            await answer(scope, send, 504, b"", {})
        else:
            await self.application(scope, receive, send)

    @property
    def made(self) -> list[int]:
        """How many objects of each sort there are."""
        twilio: Trunking = self.world.part(Trunking, Trunking)
        telnyx: Connections = self.world.part(Connections, Connections)
        entries = sum(len(one) for one in twilio.entries.values()) + sum(len(one) for one in twilio.urls.values())
        return [len(twilio.trunks), len(twilio.lists), entries, *(len(one) for one in telnyx.kept.values())]


@pytest.fixture(scope="module")
def carriers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World, Any]:
    """The accounts' file, the world and its application, which is long in the making."""
    path = tmp_path_factory.mktemp("simulator") / "accounts.json"
    make_accounts_file(path, "http://127.0.0.1:1")
    world = World.of(launch(path), "https://voice.example")
    return path, world, build(world)


@pytest.fixture
async def door(carriers: tuple[Path, World, Any]) -> AsyncIterator[Door]:
    path, world, application = carriers
    world.numbers.clear()
    for part in (world.part(Trunking, Trunking), world.part(Connections, Connections), world.part(Orders, Orders)):
        for held in vars(part).values():
            for one in held.values() if isinstance(part, Connections) else (held,):
                one.clear()
    async with served(made := Door(world, application)) as port:
        make_accounts_file(path, f"http://127.0.0.1:{port}")
        world.accounts = launch(path).accounts
        yield made


class Trunk:
    """One trunk in work: what is known of it, and what was written down on the way."""

    def __init__(self, desk: TrunkDesk) -> None:
        self.desk = desk
        self.parts: Parts = {}

    async def apply(self, wanted: TrunkPlan) -> None:
        self.desk.check(wanted, self.parts)

        async def keep(parts: Parts) -> None:
            assert PASSWORD not in str(parts)
            self.parts = dict(parts)

        self.parts = await self.desk.apply(wanted, self.parts, keep)


@pytest.fixture(params=PLANS, ids=lambda case: f"{case[0]}-{'user' if case[1].username else 'address'}")
def case(request: pytest.FixtureRequest) -> tuple[str, TrunkPlan]:
    return request.param


@pytest.fixture
async def trunk(case: tuple[str, TrunkPlan], door: Door) -> AsyncIterator[Trunk]:
    desk = trunk_desk(door.world.account(case[0]))
    yield Trunk(desk)
    await desk.aclose()


async def rented(account: Account) -> HeldNumber:
    desk = number_desk(account)
    try:
        [offer] = await desk.search(NumberQuery(country="US", limit=1))
        await desk.buy(offer.phone_number, country="US", reference="num_1", targets=TARGETS)
        if account.provider == "telnyx":
            [order] = (await desk._http.asked("GET", "/number_orders"))["data"]
            await desk.ordered(order["id"])
        held = await desk.find(offer.phone_number)
        assert held is not None
        await desk.configure(held, TARGETS)
        return held
    finally:
        await desk.aclose()


async def reports(trunk: Trunk, wanted: TrunkPlan, *numbers: HeldNumber) -> dict[str, bool]:
    found = await trunk.desk.report(wanted, trunk.parts, numbers)
    assert all(one.detail for one in found)
    return {one.part: one.is_well for one in found}


async def test_a_trunk_is_made_once_however_often_it_is_applied(case, trunk: Trunk, door: Door) -> None:
    _, wanted = case
    await trunk.apply(wanted)
    before, asked = door.made, len(door.asked)
    await trunk.apply(msgspec.structs.replace(wanted, password=None))
    assert door.made == before
    assert [one for one in door.asked[asked:] if one[0] == "DELETE"] == []
    assert all((await reports(trunk, wanted)).values())
    assert "." in trunk.desk.domain(trunk.parts)
    await trunk.desk.remove(trunk.parts)
    assert sum(door.made) == 0
    await trunk.desk.remove(trunk.parts)


async def test_a_trunk_whose_answers_are_lost_is_made_once(case, trunk: Trunk, door: Door) -> None:
    """Whatever answer is lost, applying again finds what was made."""
    _, wanted = case
    await trunk.apply(wanted)
    whole = door.made
    posts = sum(method == "POST" for method, _ in door.asked)
    await trunk.desk.remove(trunk.parts)
    for lost in range(posts):
        trunk.parts = {}
        door.loses, failures = 0, 0
        for turn in range(posts + 2):
            door.loses = 1 if turn <= lost else 0
            try:
                await trunk.apply(wanted)
                break
            except ProviderError:
                failures += 1
        else:
            pytest.fail("it never got done")
        assert door.made == whole, f"after {failures} lost answers"
        await trunk.desk.remove(trunk.parts)
        assert sum(door.made) == 0


async def test_a_number_goes_over_a_trunk_and_back(case, trunk: Trunk, door: Door) -> None:
    provider, wanted = case
    account = door.world.account(provider)
    held = await rented(account)
    await trunk.apply(wanted)
    async with AsyncExitStack() as stack:
        numbers = number_desk(account)
        stack.push_async_callback(numbers.aclose)
        assert (await reports(trunk, wanted, held))["numbers"] is False
        await trunk.desk.attach(trunk.parts, held, wanted)
        await trunk.desk.attach(trunk.parts, held, wanted)
        over = await numbers.find(held.phone_number)
        assert (await reports(trunk, wanted, over))["numbers"] is True
        assert await numbers.differences(over, TARGETS) != ()
        await trunk.desk.detach(trunk.parts, held)
        await numbers.configure(over, TARGETS)
        assert await numbers.differences(await numbers.find(held.phone_number), TARGETS) == ()
    await trunk.desk.remove(trunk.parts)
    assert sum(door.made) == 0


async def test_what_is_changed_at_the_carrier_is_reported(case, trunk: Trunk, door: Door) -> None:
    provider, wanted = case
    await trunk.apply(wanted)
    if provider == "vonage":
        return  # it has nothing but its numbers
    twilio: Trunking = door.world.part(Trunking, Trunking)
    telnyx: Connections = door.world.part(Connections, Connections)
    twilio.urls.clear()
    twilio.entries.clear()
    for name in ("ips", "fqdns"):
        telnyx.kept[name].clear()
    for one in telnyx.kept["credential_connections"].values():
        one["user_name"] = "somebody"
    found = await reports(trunk, wanted)
    assert not all(found.values())
    await trunk.apply(wanted)
    assert all((await reports(trunk, wanted)).values())
    twilio.trunks.clear()
    for name in ("ip_connections", "credential_connections", "fqdn_connections"):
        telnyx.kept[name].clear()
    assert await reports(trunk, wanted) == {"trunk": False}


async def test_a_trunk_at_twilio_takes_other_values(door: Door) -> None:
    desk = trunk_desk(door.world.account("twilio"))
    trunk = Trunk(desk)
    await trunk.apply(plan(origination=(*HOST, *ADDRESS), allowed_ips=("198.51.100.0/24",), **WITH_USER))
    await trunk.apply(plan(origination=ADDRESS[:1], allowed_ips=("198.51.100.9",)))
    assert all((await reports(trunk, plan(origination=ADDRESS[:1], allowed_ips=("198.51.100.9",)))).values())
    await trunk.apply(plan(origination=ADDRESS[1:]))
    twilio: Trunking = door.world.part(Trunking, Trunking)
    assert (len(twilio.lists), [len(one) for one in twilio.urls.values()]) == (0, [1])
    await trunk.apply(plan(origination=ADDRESS[1:], username="other123", password=PASSWORD))
    assert all((await reports(trunk, plan(origination=ADDRESS[1:], username="other123"))).values())
    await desk.aclose()


UNFIT = [
    ("twilio", plan(origination=HOST * 11), "origination"),
    ("vonage", plan(), "origination"),
    ("vonage", plan(origination=ADDRESS), "origination"),
    ("vonage", plan(origination=HOST, **WITH_USER), "credentials"),
    ("vonage", plan(origination=HOST, allowed_ips=("198.51.100.9",)), "allowed_ips"),
    ("telnyx", plan(), "origination"),
    ("telnyx", plan(origination=HOST, **WITH_USER), "origination"),
    ("telnyx", plan(allowed_ips=("198.51.100.9",), **WITH_USER), "allowed_ips"),
    ("telnyx", plan(origination=(*HOST, *ADDRESS)), "origination"),
    ("telnyx", plan(origination=HOST, allowed_ips=("198.51.100.9",)), "origination"),
    ("telnyx", plan(origination=ADDRESS, allowed_ips=("198.51.100.0/24",)), "allowed_ips"),
]


@pytest.mark.parametrize(("provider", "wanted", "field"), UNFIT)
async def test_what_a_carrier_can_not_do_is_refused_before_it_is_asked(provider, wanted, field, door: Door) -> None:
    desk = trunk_desk(door.world.account(provider))
    with pytest.raises(Unfit) as raised:
        desk.check(wanted, {})
    assert raised.value.field == field
    assert door.asked == []
    await desk.aclose()


async def test_a_trunk_at_telnyx_stays_of_its_kind(door: Door) -> None:
    desk = trunk_desk(door.world.account("telnyx"))
    trunk = Trunk(desk)
    await trunk.apply(plan(origination=HOST))
    for other in (plan(**WITH_USER), plan(origination=ADDRESS)):
        with pytest.raises(Unfit):
            await trunk.apply(other)
    await desk.aclose()

"""Numbers of tenants, rented from the simulated carriers: what is found, bought once, assigned, checked and given back."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from voisnap_api.phone_numbers import usecases
from voisnap_api.phone_numbers.clients import Desks
from voisnap_api.phone_numbers.provisioning import Provisioner
from voisnap_api.phone_numbers.reconcilers import unsettled_numbers
from voisnap_api.tenants.records import KnownTenant
from voisnap_api.tenants.usecases import introduce_tenant
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.costs import LegCost, LegKind, UsageLeg
from voisnap_domain.errors import Conflict, Invalid
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.sessions import Channel, Direction
from voisnap_domain.tenants import Environment, TenantStatus, UsageLimits
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.numbers import (
    Difference,
    FundsMissing,
    HeldNumber,
    NumberDesk,
    NumberFeature,
    NumberOffer,
    NumberQuery,
    NumberTargets,
    NumberUnavailable,
    Purchase,
    PurchaseUncertain,
)
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build as build_simulator
from voisnap_simulator.world import World
from voisnap_testkit.finished_calls import Call
from voisnap_testkit.local_server import served

pytestmark = pytest.mark.slice

URL = "/api/v1/telephony/numbers"
NUMBER = "+14155550142"
VOICE, SMS = NumberFeature.VOICE, NumberFeature.SMS
SANDBOX, LIVE = Environment.SANDBOX, Environment.LIVE


@pytest.fixture
def simulator_file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.json"
    make_accounts_file(path, "http://127.0.0.1:1")
    return path


async def test_a_number_of_each_simulated_carrier_is_found_bought_checked_and_given_back(start_api, simulator_file):
    world = World.of(launch(simulator_file), "http://127.0.0.1:8080")
    async with served(build_simulator(world)) as port, start_api(simulator_accounts_file=simulator_file) as api:
        make_accounts_file(simulator_file, f"http://127.0.0.1:{port}")
        world.accounts = launch(simulator_file).accounts
        owner = api.token("ten_a", environment=SANDBOX)
        agent = await api.add_agent(owner)
        params = {"country": "us", "areaCode": "415", "capabilities": "voice,sms", "limit": 9}
        found = (await api.client.get(f"{URL}/search", params=params, headers=owner)).json()
        assert (found["warnings"], len(found["numbers"])) == ([], 9)
        assert [one["provider"] for one in found["numbers"][:3]] == ["twilio", "vonage", "telnyx"]
        first = found["numbers"][0]
        assert first | {"phoneNumber": "", "monthlyCostUsd": 0} == {
            "phoneNumber": "",
            "country": "US",
            "region": "CA",
            "locality": "San Francisco",
            "provider": "twilio",
            "capabilities": ["voice", "sms", "mms"],
            "tollFree": False,
            "monthlyCostUsd": 0,
        }
        for offer in found["numbers"][:3]:
            body = {"phoneNumber": offer["phoneNumber"], "provider": offer["provider"], "agentId": agent["id"]}
            answer = await api.client.post(URL, json=body, headers=owner)
            number = answer.json()
            assert (answer.status_code, number["status"], number["account"]) == (201, "active", "simulator"), number
            assert (number["agentId"], number["country"], number["monthlyCostUsd"]) == (
                agent["id"],
                "US",
                offer["monthlyCostUsd"],
            )
            assert {"voice", "sms"} <= set(number["capabilities"])
            assert number["configuredAt"] is not None
            url = f"{URL}/{number['id']}"
            assert answer.headers["location"] == url
            assert (await api.client.get(url, headers=owner)).json() == number
            verified = (await api.client.post(f"{url}/verify", headers=owner)).json()
            assert (verified["verified"], verified["differences"]) == (True, [])
            owned = world.number(offer["provider"], offer["phoneNumber"])
            owned.voice_url, owned.application = "https://elsewhere.example/voice", "elsewhere"
            verified = (await api.client.post(f"{url}/verify", headers=owner)).json()
            assert (verified["verified"], len(verified["differences"])) == (False, 1)
            assert "elsewhere" in verified["differences"][0]["found"]
            assert (await api.client.post(f"{url}/configure", headers=owner)).json()["statusDetail"] is None
            assert (await api.client.post(f"{url}/verify", headers=owner)).json()["verified"]
            again = await api.client.post(URL, json=body, headers=owner)
            assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "number-exists")
            system = Caller.system(TenantId(""), LIVE)
            async with begin_as_system(api.database, system) as work:
                line = await usecases.line_of(work, offer["provider"], "simulator", offer["phoneNumber"])
            assert (line.tenant_id, line.agent_id, usecases.answers(line)) == ("ten_a", agent["id"], True)
            assert (await api.client.delete(url, headers=owner)).status_code == 204
            assert (await api.client.get(url, headers=owner)).json()["status"] == "released"
            assert world.number(offer["provider"], offer["phoneNumber"]) is None
        assert (await api.client.get(URL, headers=owner)).json()["total"] == 0
        assert (await api.client.get(URL, params={"status": "released"}, headers=owner)).json()["total"] == 3
        live = api.token("ten_a")
        answer = await api.client.get(f"{URL}/search", headers=live)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "carrier-not-configured")
        assert "provider-credentials" in answer.json()["detail"]


SEARCHES = [
    ("country=USA", ["?country"]),
    ("country=XX", ["?country"]),
    ("areaCode=4a&contains=-&capabilities=voice,fax", ["?areaCode", "?contains", "?capabilities"]),
    ("limit=51", ["?limit"]),
    ("provider=acme", ["?provider"]),
    ("tollFree=perhaps", ["?tollFree"]),
]


async def test_a_search_for_nothing_there_is_names_every_fault(api):
    for query, pointers in SEARCHES:
        answer = await api.client.get(f"{URL}/search?{query}", headers=api.token("ten_a"))
        assert answer.status_code == 422, answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers


# What may go wrong at a carrier -------------------------------------------------------------------------------------


class ScriptedDesk(NumberDesk):
    """A carrier that does what a test says. What it rents out is `rented`."""

    def __init__(self) -> None:
        self.rented: dict[str, HeldNumber] = {}
        self.orders: dict[str, Purchase | Exception] = {}
        self.asked: list[str] = []
        self.faults: dict[str, Exception] = {}
        self.loses_answer = False
        self.takes_order = False

    async def search(self, query: NumberQuery) -> tuple[NumberOffer, ...]:
        self._asked("search")
        offer = NumberOffer(
            phone_number=NUMBER, country="US", features=(VOICE, SMS), toll_free=False, monthly_cost_usd=1.5
        )
        return (offer,) if (query.contains or "") in NUMBER else ()

    async def buy(self, phone_number: str, *, country: str, reference: str, targets: NumberTargets) -> Purchase:
        self._asked("buy")
        if self.takes_order:
            self.orders["order-1"] = Purchase(order_id="order-1")
            return Purchase(order_id="order-1")
        self.rent(phone_number)
        if self.loses_answer:
            raise PurchaseUncertain("Nobody knows.", provider="twilio")
        return Purchase(held=self.rented[phone_number])

    async def ordered(self, order_id: str) -> Purchase:
        self._asked("ordered")
        found = self.orders[order_id]
        if isinstance(found, Exception):
            raise found
        return found

    async def find(self, phone_number: str) -> HeldNumber | None:
        self._asked("find")
        return self.rented.get(phone_number)

    async def configure(self, number: HeldNumber, targets: NumberTargets) -> None:
        self._asked("configure")

    async def differences(self, number: HeldNumber, targets: NumberTargets) -> tuple[Difference, ...]:
        return ()

    async def release(self, number: HeldNumber) -> None:
        self._asked("release")
        del self.rented[number.phone_number]

    async def check(self) -> None: ...

    async def aclose(self) -> None: ...

    def rent(self, phone_number: str) -> None:
        self.rented[phone_number] = HeldNumber(
            id=f"PN{phone_number[1:]}", phone_number=phone_number, country="US", features=(VOICE, SMS)
        )

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        if what in self.faults:
            raise self.faults[what]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def desk() -> ScriptedDesk:
    return ScriptedDesk()


@pytest.fixture
async def carrier(start_api, desk, monkeypatch):
    """An API whose platform has accounts with Twilio and Telnyx, both of which do what `desk` says."""
    monkeypatch.setattr("voisnap_api.phone_numbers.clients.number_desk", lambda _account: desk)
    environ = {
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "secret",
        "TELNYX_API_KEY": "KEY1",
        "TELNYX_PUBLIC_KEY": "cHVibGlj",
        "TELNYX_CONNECTION_ID": "1",
    }
    async with start_api(environ=environ) as api:
        yield api


@asynccontextmanager
async def reconciled(api, clock: Clock):
    """`await look()` is a worker that looks after what is due."""

    class Accounts:
        async def account(self, _work, provider, account, _environment):
            return Account(id=account, provider=provider)

    desks = Desks(Accounts(), public_url="https://voice.example")
    reconciler = unsettled_numbers(api.database, Provisioner(api.database, desks, clock=clock))

    async def look(**later: float) -> None:
        clock.now += timedelta(**later)
        async with api.database.transaction_as_system() as tx:
            # As if so much time had gone: the rows' times are the database's tests' own.
            await tx.exec("UPDATE phone_numbers SET next_check_at = next_check_at - %(by)s", by=timedelta(**later))
        await reconciler.run_once()

    yield look


async def bought(api, headers, **changes):
    body = {"phoneNumber": NUMBER, "provider": "twilio"} | changes
    return await api.client.post(URL, json=body, headers=headers)


async def read(api, number, headers):
    return (await api.client.get(f"{URL}/{number['id']}", headers=headers)).json()


async def test_a_purchase_whose_answer_was_lost_is_seen_among_the_accounts_numbers_and_not_repeated(carrier, desk):
    owner = carrier.token("ten_a")
    desk.loses_answer = True
    answer = await bought(carrier, owner)
    number = answer.json()
    assert (answer.status_code, number["status"], number["monthlyCostUsd"]) == (201, "provisioning", 1.5)
    assert (await bought(carrier, owner)).status_code == 409
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with reconciled(carrier, clock) as look:
        await look(seconds=60)
    settled = await read(carrier, number, owner)
    assert (settled["status"], settled["capabilities"], settled["statusDetail"]) == ("active", ["voice", "sms"], None)
    assert settled["configuredAt"] is not None
    assert desk.asked.count("buy") == 1


async def test_a_purchase_that_never_happened_ends_as_failed(carrier, desk):
    owner = carrier.token("ten_a")
    desk.loses_answer = True
    number = (await bought(carrier, owner)).json()
    desk.rented.clear()
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with reconciled(carrier, clock) as look:
        await look(seconds=60)
        assert (await read(carrier, number, owner))["status"] == "provisioning"
        await look(minutes=20)
    failed = await read(carrier, number, owner)
    assert (failed["status"], failed["statusDetail"]) == ("failed", "twilio did not sell the number.")
    assert desk.asked.count("buy") == 1
    assert (await bought(carrier, owner)).status_code == 201


async def test_a_process_that_dies_while_it_buys_leaves_a_number_that_is_settled(carrier, desk):
    """The row is there before the carrier is asked: what is known of it afterwards is what the carrier lists."""
    owner = carrier.token("ten_a")
    desk.faults["buy"] = asyncio.CancelledError()
    with pytest.raises(BaseException):  # noqa: B017, PT011 - however the server lets go of its request
        answer = await bought(carrier, owner)
        assert answer.status_code == 500
        raise RuntimeError
    [number] = (await carrier.client.get(URL, headers=owner)).json()["data"]
    assert number["status"] == "provisioning"
    desk.rent(NUMBER)
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with reconciled(carrier, clock) as look:
        await look(minutes=3)
    assert (await read(carrier, number, owner))["status"] == "active"


async def test_an_order_is_followed_until_the_carrier_has_done_it_or_refused_it(carrier, desk):
    owner = carrier.token("ten_a")
    desk.takes_order = True
    number = (await bought(carrier, owner, provider="telnyx")).json()
    assert (number["status"], number["statusDetail"]) == ("provisioning", "telnyx works on the order.")
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with reconciled(carrier, clock) as look:
        await look(hours=2)
        assert (await read(carrier, number, owner))["status"] == "provisioning"
        desk.orders["order-1"] = NumberUnavailable("telnyx has this number no more.")
        await look(hours=2)
    failed = await read(carrier, number, owner)
    assert (failed["status"], failed["statusDetail"]) == ("failed", "telnyx has this number no more.")


REFUSALS = [
    (NumberUnavailable("Gone."), 409, "number-unavailable"),
    (FundsMissing("No money."), 409, "carrier-funds-insufficient"),
    (ProviderAuthError("No.", provider="twilio", kind="carrier"), 409, "carrier-credentials-refused"),
    (
        ProviderError("Away.", provider="twilio", kind="carrier", retryable=True),
        503,
        "temporarily-unavailable",
    ),
    (ProviderError("Broken.", provider="twilio", kind="carrier", retryable=False), 502, "provider-failed"),
]


async def test_what_a_carrier_refuses_is_told_and_leaves_the_number_free(carrier, desk):
    owner = carrier.token("ten_a")
    for fault, status, code in REFUSALS:
        desk.faults["buy"] = fault
        answer = await bought(carrier, owner)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, code)
    desk.faults.clear()
    assert (await bought(carrier, owner)).json()["status"] == "active"
    failed = (await carrier.client.get(URL, params={"status": "failed"}, headers=owner)).json()
    assert failed["total"] == len(REFUSALS)


async def test_a_number_that_could_not_be_set_up_is_ours_and_set_up_later(carrier, desk):
    owner = carrier.token("ten_a")
    desk.faults["configure"] = ProviderError("Away.", provider="twilio", kind="carrier", retryable=True)
    number = (await bought(carrier, owner)).json()
    assert (number["status"], number["statusDetail"], number["configuredAt"]) == ("active", "Away.", None)
    desk.faults.clear()
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with reconciled(carrier, clock) as look:
        await look(seconds=60)
        asked = len(desk.asked)
        await look(hours=5)
    later = await read(carrier, number, owner)
    assert (later["statusDetail"], later["configuredAt"] is not None) == (None, True)
    assert len(desk.asked) == asked, "a number that is set up is left alone"


async def test_only_the_operator_goes_on_renting_a_number_of_the_platforms_account(carrier, desk):
    owner = carrier.token("ten_a")
    number = (await bought(carrier, owner)).json()
    kept = f"{URL}/{number['id']}?keep=true"
    refused = await carrier.client.delete(kept, headers=owner)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "platform-number")
    assert (await read(carrier, number, owner))["status"] == "active"
    operator = msgspec.structs.replace(Caller.system(TenantId("ten_a"), Environment.LIVE), platform_admin=True)
    async with begin(carrier.database, operator) as work:
        assert not (await usecases.begin_release(work, number["id"], keep=True))[1]
    assert (await read(carrier, number, owner))["status"] == "released"


async def test_a_number_is_given_back_when_the_carrier_answers_again(carrier, desk):
    owner = carrier.token("ten_a")
    agent = await carrier.add_agent(owner)
    number = (await bought(carrier, owner, agentId=agent["id"])).json()
    desk.faults["release"] = ProviderError("Away.", provider="twilio", kind="carrier", retryable=True)
    assert (await carrier.client.delete(f"{URL}/{number['id']}", headers=owner)).status_code == 204
    releasing = await read(carrier, number, owner)
    assert (releasing["status"], releasing["statusDetail"], releasing["agentId"]) == ("releasing", "Away.", None)
    assert (await carrier.client.patch(f"{URL}/{number['id']}", json={}, headers=owner)).status_code == 409
    desk.faults.clear()
    clock = Clock()
    clock.now = datetime.now(UTC)
    async with reconciled(carrier, clock) as look:
        await look(seconds=60)
    assert (await read(carrier, number, owner))["status"] == "released"
    assert desk.rented == {}
    assert (await carrier.client.delete(f"{URL}/{number['id']}", headers=owner)).status_code == 204


async def test_numbers_of_an_account_are_taken_over_and_left_with_it(carrier, desk):
    owner = carrier.token("ten_a")
    own = {
        "provider": "twilio",
        "name": "Ours",
        "secrets": {"authToken": "0123456789abcdef0123456789abcdef"},
        "options": {"accountSid": "AC0123456789abcdef0123456789abcdef"},
    }
    answer = await bought(carrier, owner, source="existing")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (403, "platform-number")
    credential = await carrier.client.post("/api/v1/provider-credentials", json=own, headers=owner)
    assert credential.status_code == 201, credential.text
    answer = await bought(carrier, owner, source="existing")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (404, "number-not-in-account")
    desk.rent(NUMBER)
    number = (await bought(carrier, owner, source="existing", friendlyName="Front desk")).json()
    assert (number["status"], number["source"], number["account"], number["friendlyName"]) == (
        "active",
        "existing",
        credential.json()["id"],
        "Front desk",
    )
    refused = await carrier.client.delete(f"/api/v1/provider-credentials/{credential.json()['id']}", headers=owner)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "credential-in-use")
    assert NUMBER in refused.json()["detail"]
    assert (await carrier.client.delete(f"{URL}/{number['id']}", headers=owner)).status_code == 204
    assert list(desk.rented) == [NUMBER]
    assert "buy" not in desk.asked


async def test_a_purchase_never_takes_what_the_platform_rented_before(carrier, desk):
    desk.rent(NUMBER)
    desk.faults["buy"] = PurchaseUncertain("Nobody knows.", provider="twilio")
    answer = await bought(carrier, carrier.token("ten_a"))
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "number-unavailable")
    assert "buy" not in desk.asked
    assert (await carrier.client.get(URL, headers=carrier.token("ten_a"))).json()["data"] == []


async def test_numbers_are_assigned_named_listed_and_found_by_the_agents_that_use_them(carrier, desk):
    owner = carrier.token("ten_a")
    one, other = await carrier.add_agent(owner), await carrier.add_agent(owner, name="Other")
    number = (await bought(carrier, owner)).json()
    url = f"{URL}/{number['id']}"
    caller = Caller.system(TenantId("ten_a"), LIVE)
    async with begin(carrier.database, caller) as work:
        with pytest.raises(Conflict, match="has no number") as raised:
            await usecases.line_for_calls(work, AgentId(one["id"]), None)
        assert raised.value.code == "no-phone-number"
        assert await usecases.line_for_texts(work, AgentId(one["id"])) is None
    change = {"agentId": one["id"], "smsAgentId": other["id"], "friendlyName": "Front desk"}
    changed = (await carrier.client.patch(url, json=change, headers=owner)).json()
    assert {name: changed[name] for name in change} == change
    async with begin(carrier.database, caller) as work:
        assert (await usecases.line_for_calls(work, AgentId(one["id"]), None)).phone_number == NUMBER
        assert (await usecases.line_for_calls(work, AgentId(one["id"]), NUMBER)).id == number["id"]
        assert await usecases.line_for_texts(work, AgentId(one["id"])) is None
        assert (await usecases.line_for_texts(work, AgentId(other["id"]))).id == number["id"]
        for agent_id, wanted in ((one["id"], "+14155550199"), (other["id"], NUMBER)):
            with pytest.raises(Invalid):
                await usecases.line_for_calls(work, AgentId(agent_id), wanted)
    for query, total in (
        ({"agentId": one["id"]}, 1),
        ({"agentId": other["id"]}, 1),
        ({"agentId": "agt_none"}, 0),
        ({"capability": "sms"}, 1),
        ({"capability": "mms"}, 0),
        ({"provider": "vonage"}, 0),
        ({"phoneNumber": NUMBER}, 1),
        ({"page": 2, "pageSize": 1}, 1),
    ):
        listed = (await carrier.client.get(URL, params=query, headers=owner)).json()
        assert listed["total"] == total, query
    assert listed["data"] == []
    wrong = await carrier.client.patch(url, json={"agentId": "agt_none", "friendlyName": "\u0007"}, headers=owner)
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/agentId", "/friendlyName"]
    assert (await carrier.client.delete(f"/api/v1/agents/{other['id']}", headers=owner)).status_code == 204
    after = await read(carrier, number, owner)
    assert (after["agentId"], after["smsAgentId"], after["status"]) == (one["id"], None, "active")
    cleared = (await carrier.client.patch(url, json={"agentId": None}, headers=owner)).json()
    assert cleared["agentId"] is None
    actions = (await carrier.client.get("/api/v1/audit-log", headers=owner)).json()["data"]
    assert [one["action"] for one in actions if one["action"].startswith("phone_number.")] == [
        "phone_number.changed",
        "phone_number.changed",
        "phone_number.provisioned",
    ]


async def test_a_plan_says_how_many_numbers_there_may_be_also_to_those_who_ask_at_once(carrier, desk):
    owner = carrier.token("ten_a")
    tenant = KnownTenant(
        tenant_id=TenantId("ten_a"),
        name="A",
        slug="a",
        status=TenantStatus.ACTIVE,
        plan="starter",
        usage_limits=UsageLimits(max_phone_numbers=1),
        updated_at=datetime.now(UTC),
    )
    async with begin_as_system(carrier.database, Caller.system(TenantId("ten_a"), LIVE)) as work:
        await introduce_tenant(work, tenant)
    answers = await asyncio.gather(*(bought(carrier, owner, phoneNumber=f"+1415555014{digit}") for digit in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 429, 429, 429]
    codes = {answer.json()["type"].rpartition("/")[2] for answer in answers if answer.status_code == 429}
    assert codes == {"number-limit-reached"}
    assert len(desk.rented) == 1


async def test_carriers_that_fail_are_named_and_the_others_answer(carrier, desk, monkeypatch):
    owner = carrier.token("ten_a")
    broken = ScriptedDesk()
    broken.faults["search"] = ProviderError("telnyx answered 500.", provider="telnyx", kind="carrier", retryable=True)
    desks = {"twilio": desk, "telnyx": broken}
    monkeypatch.setattr("voisnap_api.phone_numbers.clients.number_desk", lambda account: desks[account.provider])
    found = (await carrier.client.get(f"{URL}/search", headers=owner)).json()
    assert [one["phoneNumber"] for one in found["numbers"]] == [NUMBER]
    assert found["warnings"] == [{"provider": "telnyx", "detail": "telnyx answered 500."}]
    only = await carrier.client.get(f"{URL}/search", params={"provider": "telnyx"}, headers=owner)
    assert only.status_code == 503
    none = await carrier.client.get(f"{URL}/search", params={"provider": "vonage"}, headers=owner)
    assert (none.status_code, none.json()["type"].rpartition("/")[2]) == (409, "carrier-not-configured")


async def test_a_number_is_one_tenants_and_one_environments_alone(carrier, desk):
    await bought(carrier, carrier.token("ten_a"))
    answer = await bought(carrier, carrier.token("ten_b"))
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "number-exists")
    assert (await carrier.client.get(URL, headers=carrier.token("ten_b"))).json()["total"] == 0
    assert (await carrier.client.get(URL, headers=carrier.token("ten_a", environment=SANDBOX))).json()["total"] == 0


async def test_usage_sums_what_went_over_each_number(api):
    await api.follow()
    owner = api.token("ten_a")
    leg = CarrierLeg(provider="twilio", account="platform", number=NUMBER)
    for direction, seconds, price in (("inbound", 61, "0.02"), ("inbound", 30, "0.01"), ("outbound", 125, "0.042")):
        call = Call(channel=Channel.PHONE)
        call.plan = msgspec.structs.replace(call.plan, leg=leg, direction=Direction(direction))
        await api.tell(call.started)
        used = UsageLeg(kind=LegKind.TELEPHONY, provider="twilio", line="CA1", session_seconds=seconds)
        cost = LegCost(leg=used, usd=Decimal(price), list_usd=Decimal(price))
        async with api.database.transaction_as_system() as tx:
            await tx.exec(
                "UPDATE conversations SET leg_costs = %(costs)s::jsonb WHERE id = %(id)s",
                costs=msgspec.json.encode([cost]).decode(),
                id=call.id,
            )
    day = call.started_at.date().isoformat()
    params = {"dateFrom": day, "dateTo": day}
    usage = (await api.client.get("/api/v1/telephony/usage", params=params, headers=owner)).json()
    assert (usage["calls"], usage["inboundMinutes"], usage["outboundMinutes"], usage["costUsd"]) == (3, 3, 3, 0.072)
    assert [
        (one["phoneNumber"], one["provider"], one["direction"], one["conversations"], one["minutes"], one["costUsd"])
        for one in usage["lines"]
    ] == [(NUMBER, "twilio", "outbound", 1, 3, 0.042), (NUMBER, "twilio", "inbound", 2, 3, 0.03)]
    for other, query in ((api.token("ten_b"), params), (owner, {"dateFrom": "2031-01-01"})):
        empty = (await api.client.get("/api/v1/telephony/usage", params=query, headers=other)).json()
        assert (empty["calls"], empty["costUsd"], empty["lines"]) == (0, 0, [])


WISHES = [
    ({"phoneNumber": "4155550142"}, ["/phoneNumber"]),
    ({"phoneNumber": "+999123456789"}, ["/phoneNumber"]),
    ({"provider": "acme", "friendlyName": "x" * 101}, ["/friendlyName", "/provider"]),
    ({"agentId": "agt_none", "smsAgentId": "nobody"}, ["/agentId", "/smsAgentId"]),
    ({"source": "stolen", "price": 1}, ["/price", "/source"]),
]


async def test_a_wish_that_nobody_can_fulfil_names_every_fault(carrier, desk):
    for change, pointers in WISHES:
        answer = await bought(carrier, carrier.token("ten_a"), **change)
        assert answer.status_code == 422, answer.text
        assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers
    assert "buy" not in desk.asked

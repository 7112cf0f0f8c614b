"""SIP trunks of tenants at the simulated carriers: what is made, shown once, changed, tested and taken away."""

from pathlib import Path
from typing import Any

import pytest
from voisnap_domain.tenants import Environment
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build as build_simulator
from voisnap_simulator.numbers.twilio_trunks import Trunking
from voisnap_simulator.world import World
from voisnap_testkit.local_server import served

pytestmark = pytest.mark.slice

URL = "/api/v1/telephony/trunks"
NUMBERS = "/api/v1/telephony/numbers"
PASSWORD = "Correct-horse-7-battery"
PBX = [{"sipUri": "sip:pbx.acme.example:5061;transport=tls", "priority": 1, "weight": 20}]
TWILIO = {
    "name": "Head office",
    "provider": "twilio",
    "origination": PBX,
    "credentials": {"username": "acme1234", "password": PASSWORD},
    "allowedIps": ["198.51.100.0/28"],
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World, Any]:
    """The accounts' file, the world of the simulated carriers and their application, which is long in the making."""
    path = tmp_path_factory.mktemp("simulator") / "accounts.json"
    make_accounts_file(path, "http://127.0.0.1:1")
    world = World.of(launch(path), "http://127.0.0.1:8080")
    return path, world, build_simulator(world)


@pytest.fixture
async def carriers(start_api, simulated):
    """An API in whose sandbox the simulated carriers are, and their world."""
    path, world, application = simulated
    async with served(application) as port, start_api(simulator_accounts_file=path) as api:
        make_accounts_file(path, f"http://127.0.0.1:{port}")
        world.accounts = launch(path).accounts
        yield api, world


async def rented(api, headers, provider="twilio", **more):
    params = {"provider": provider, "limit": 1}
    [offer] = (await api.client.get(f"{NUMBERS}/search", params=params, headers=headers)).json()["numbers"]
    body = {"phoneNumber": offer["phoneNumber"], "provider": provider} | more
    answer = await api.client.post(NUMBERS, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def rows(api, sql):
    async with api.database.transaction_as_system() as tx:
        return await tx.all(str, sql)


async def test_a_trunk_is_made_shown_changed_tested_and_taken_away(carriers):
    api, world = carriers
    owner = api.token("ten_a", environment=Environment.SANDBOX)
    agent = await api.add_agent(owner)
    number = await rented(api, owner)
    answered = await rented(api, owner, agentId=agent["id"])
    trunking: Trunking = world.part(Trunking, Trunking)

    headers = owner | {"Idempotency-Key": "once"}
    busy = await api.client.post(URL, json=TWILIO | {"numbers": [answered["id"]]}, headers=owner)
    assert (busy.status_code, busy.json()["type"].rpartition("/")[2]) == (409, "number-assigned")
    answer = await api.client.post(URL, json=TWILIO | {"numbers": [number["id"]]}, headers=headers)
    trunk = answer.json()
    assert (answer.status_code, trunk["status"], trunk["statusDetail"]) == (201, "active", None), answer.text
    assert trunk["credentials"] == {"username": "acme1234", "password": PASSWORD}
    assert (trunk["numbers"], trunk["origination"], trunk["allowedIps"]) == (
        [number["id"]],
        PBX,
        ["198.51.100.0/28"],
    )
    assert trunk["sipDomain"].endswith(".pstn.twilio.com")
    url = f"{URL}/{trunk['id']}"
    read = (await api.client.get(url, headers=owner)).json()
    assert read == trunk | {"credentials": {"username": "acme1234", "password": None}, "updatedAt": read["updatedAt"]}
    assert (await api.client.get(URL, params={"provider": "twilio"}, headers=owner)).json()["data"] == [read]
    assert (await api.client.get(URL, params={"provider": "telnyx"}, headers=owner)).json()["total"] == 0
    tables = ("sip_trunks", "audit_entries", "outbox", "idempotency_keys", "phone_numbers")
    stored = [row for table in tables for row in await rows(api, f"SELECT t::text FROM {table} t")]  # noqa: S608
    assert PASSWORD not in "".join(stored)
    assert PASSWORD.encode().hex() not in "".join(stored)

    test = (await api.client.post(f"{url}/test", headers=owner)).json()["lastTest"]
    assert (test["ok"], [part["part"] for part in test["parts"]]) == (
        True,
        ["trunk", "origination", "credentials", "allowedIps", "numbers"],
    )
    for held in trunking.urls.values():
        held.clear()
    test = (await api.client.post(f"{url}/test", headers=owner)).json()["lastTest"]
    assert [part["part"] for part in test["parts"] if not part["ok"]] == ["origination"]
    assert "pbx.acme.example" in test["parts"][1]["detail"]

    assigned = await api.client.patch(f"{NUMBERS}/{number['id']}", json={"agentId": agent["id"]}, headers=owner)
    assert (assigned.status_code, assigned.json()["type"].rpartition("/")[2]) == (409, "number-on-trunk")
    verified = await api.client.post(f"{NUMBERS}/{number['id']}/verify", headers=owner)
    assert (verified.status_code, verified.json()["type"].rpartition("/")[2]) == (409, "number-on-trunk")

    change = {"name": "Branch", "credentials": {"username": "other123"}, "allowedIps": [], "numbers": []}
    changed = (await api.client.patch(url, json=change, headers=owner)).json()
    assert (changed["status"], changed["name"], changed["numbers"]) == ("active", "Branch", [])
    made = changed["credentials"]["password"]
    assert (len(made), changed["credentials"]["username"]) == (24, "other123")
    back = (await api.client.get(f"{NUMBERS}/{number['id']}", headers=owner)).json()
    assert back["trunkId"] is None
    assert (await api.client.post(f"{NUMBERS}/{number['id']}/verify", headers=owner)).json()["verified"]
    assert (await api.client.post(f"{url}/test", headers=owner)).json()["lastTest"]["ok"]

    assert (await api.client.patch(url, json={"numbers": [number["id"]]}, headers=owner)).json()["status"] == "active"
    assert (await api.client.delete(url, headers=owner)).status_code == 204
    assert (await api.client.get(url, headers=owner)).status_code == 404
    assert (len(trunking.trunks), len(trunking.lists)) == (0, 0)
    assert (await api.client.post(f"{NUMBERS}/{number['id']}/verify", headers=owner)).json()["verified"]


async def test_a_trunk_that_the_carrier_did_not_finish_is_finished_by_the_next_change(carriers, monkeypatch):
    api, world = carriers
    owner = api.token("ten_a", environment=Environment.SANDBOX)
    account = world.accounts["telnyx"]
    world.accounts = dict(world.accounts) | {"telnyx": world.accounts["twilio"]}  # Telnyx lets nobody in
    body = {"name": "Office", "provider": "telnyx", "credentials": {"username": "acme1234"}}
    monkeypatch.setattr(type(account), "secret", lambda self, name="api_key": self.secrets.get(name, "other"))
    trunk = (await api.client.post(URL, json=body, headers=owner)).json()
    assert (trunk["status"], "credentials" in trunk["statusDetail"]) == ("failed", True), trunk
    world.accounts = dict(world.accounts) | {"telnyx": account}
    url = f"{URL}/{trunk['id']}"
    again = (await api.client.patch(url, json={}, headers=owner)).json()
    assert (again["status"], again["statusDetail"], again["sipDomain"]) == ("active", None, "sip.telnyx.com")
    assert len(again["credentials"]["password"]) == 24, "the first one never got to the carrier"
    number = await rented(api, owner, "telnyx")
    changed = (await api.client.patch(url, json={"numbers": [number["id"]]}, headers=owner)).json()
    assert (changed["status"], changed["credentials"]["password"]) == ("active", None)
    assert (await api.client.post(f"{url}/test", headers=owner)).json()["lastTest"]["ok"]
    assert (await api.client.delete(url, headers=owner)).status_code == 204


async def test_a_number_at_vonage_goes_to_one_sip_address(carriers):
    api, world = carriers
    owner = api.token("ten_a", environment=Environment.SANDBOX)
    number = await rented(api, owner, "vonage")
    body = {"name": "Office", "provider": "vonage", "origination": PBX, "numbers": [number["id"]]}
    trunk = (await api.client.post(URL, json=body, headers=owner)).json()
    assert (trunk["status"], trunk["sipDomain"]) == ("active", "sip.nexmo.com"), trunk
    owned = world.number("vonage", number["phoneNumber"])
    assert owned.more == {"voiceCallbackType": "sip", "voiceCallbackValue": PBX[0]["sipUri"]}
    assert (await api.client.post(f"{URL}/{trunk['id']}/test", headers=owner)).json()["lastTest"]["ok"]
    assert (await api.client.delete(f"{URL}/{trunk['id']}", headers=owner)).status_code == 204
    assert owned.more == {}


WRONG = [
    ({"name": " "}, ["/name"]),
    ({"origination": [], "credentials": None, "allowedIps": []}, ["/origination"]),
    ({"origination": [{"sipUri": "http://pbx.acme.example"}]}, ["/origination/0/sipUri"]),
    ({"origination": [{"sipUri": "sip:10.0.0.5"}, {"sipUri": "sip:localhost"}]}, ["/origination/0/sipUri", "/origination/1/sipUri"]),
    ({"origination": [{"sipUri": "sip:pbx.acme.example:99999"}]}, ["/origination/0/sipUri"]),
    ({"origination": PBX * 2}, ["/origination"]),
    ({"credentials": {"username": "a b"}}, ["/credentials/username"]),
    ({"credentials": {"username": "acme1234", "password": "short"}}, ["/credentials/password"]),
    ({"allowedIps": ["198.51.100.0/8", "::1", "127.0.0.1", "nowhere"]}, [f"/allowedIps/{index}" for index in range(4)]),
    ({"provider": "vonage"}, ["/credentials"]),
    ({"provider": "telnyx"}, ["/origination"]),
    ({"numbers": ["num_none"]}, ["/numbers"]),
    ({"provider": "acme", "weight": 1}, ["/provider", "/weight"]),
]  # fmt: skip


async def test_a_trunk_that_nobody_can_make_names_every_fault(carriers):
    api, world = carriers
    owner = api.token("ten_a", environment=Environment.SANDBOX)
    for change, pointers in WRONG:
        answer = await api.client.post(URL, json=TWILIO | change, headers=owner)
        assert answer.status_code == 422, (change, answer.text)
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers
        assert "Correct" not in answer.text
    assert (await api.client.get(URL, headers=owner)).json()["total"] == 0
    trunking: Trunking = world.part(Trunking, Trunking)
    assert trunking.trunks == {}

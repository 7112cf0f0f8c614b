"""Whose access to a carrier is used: the platform's, a tenant's own, the simulator's in the sandbox; and nobody else's."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from voisnap_api.carrier_accounts import CarrierAccounts
from voisnap_api.phone_numbers import store as numbers
from voisnap_api.phone_numbers.records import LineSource, LineStatus, PhoneLine
from voisnap_domain.errors import NotFound
from voisnap_domain.ids import AgentId, PhoneNumberId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit import sealing
from voisnap_kit.ids import new_id
from voisnap_kit.sealing import Keyring
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_testkit import telnyx_carrier, twilio_carrier, vonage_carrier
from voisnap_testkit.twilio_carrier import TwilioDesk

pytestmark = pytest.mark.slice

PUBLIC = "https://voice.example.com"
NUMBER, CALLER = "+4930901820", "+14155550100"
CREDENTIALS = "/api/v1/provider-credentials"
HELD = "test:" + base64.b64encode(b"s" * 32).decode()
"""The keys of the installation under test."""

PLATFORM = {"TWILIO_ACCOUNT_SID": twilio_carrier.ACCOUNT, "TWILIO_AUTH_TOKEN": "the platform's own"}


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def simulator(tmp_path: Path) -> Path:
    return tmp_path / "simulator.json"


@pytest.fixture
async def api(start_api: Any, simulator: Path) -> Any:
    async with start_api(environ=PLATFORM, public_url=PUBLIC, simulator_accounts_file=simulator) as started:
        yield started


def simulate(path: Path, token: str) -> None:
    account = {"secrets": {"auth_token": token}, "options": {"account_sid": twilio_carrier.ACCOUNT}}
    path.write_bytes(msgspec.json.encode({"twilio": account}))


async def own_account(api: Any, tenant_id: str = "ten_a") -> str:
    body = {
        "provider": "twilio",
        "name": "Ours",
        "secrets": {"authToken": twilio_carrier.AUTH_TOKEN},
        "options": {"accountSid": twilio_carrier.ACCOUNT},
    }
    answer = await api.client.post(CREDENTIALS, json=body, headers=api.token(tenant_id))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def add_line(
    api: Any, account: str, tenant_id: str = "ten_a", environment: Environment = Environment.LIVE, number: str = NUMBER
) -> None:
    agent = await api.add_agent(api.token(tenant_id, environment=environment))
    line = PhoneLine(
        id=PhoneNumberId(new_id("num")),
        tenant_id=TenantId(tenant_id),
        environment=environment,
        phone_number=number,
        provider="twilio",
        account=account,
        country="DE",
        capabilities=(),
        agent_id=AgentId(agent["id"]),
        source=LineSource.PURCHASE,
        status=LineStatus.ACTIVE,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
    async with api.database.transaction_as_system() as tx:
        await numbers.insert(tx, line)


async def rings(api: Any, account: str, number: str = NUMBER, call_id: str = "CA1") -> Any:
    address = f"/api/v1/carriers/twilio/{account}/voice"
    desk = TwilioDesk(url=PUBLIC + address)
    request = desk.inbound(call_id=call_id, caller=CALLER, callee=number, at=0.0)
    return await api.client.post(address, content=request.body, headers=request.headers)


async def test_a_tenants_own_account_answers_his_numbers_and_travels_with_the_session(api):
    account = await own_account(api)
    await add_line(api, account)
    await api.start_runtime()
    assert "<Stream" in (await rings(api, account)).text
    plan = api.opened[0].plan
    assert (plan.tenant_id, plan.leg.account) == ("ten_a", account)
    assert [(one.id, one.provider) for one in plan.credentials] == [(account, "twilio")]
    assert b"12345" not in plan.credentials[0].sealed


async def test_a_tenants_own_account_reaches_nothing_of_anybody_else(api):
    account = await own_account(api)
    theirs = await own_account(api, "ten_b")
    await add_line(api, "platform", "ten_b")
    await add_line(api, account, "ten_b", number="+4930901821")
    await api.start_runtime()
    for number in (NUMBER, "+4930901821"):
        answer = await rings(api, account, number, call_id=f"CA{number[1:]}")
        assert "not in service" in answer.text
    assert (await rings(api, "platform")).status_code == 403, "the platform's token is another one"
    async with begin(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        accounts = made(api)
        assert (await accounts.account(work, "twilio", account, Environment.LIVE)).id == f"{account}.1"
        with pytest.raises(NotFound):
            await accounts.account(work, "twilio", theirs, Environment.LIVE)
        with pytest.raises(NotFound):
            await accounts.account(work, "vonage", account, Environment.LIVE)
    assert api.opened == []


def made(api: Any, simulator: Path | None = None) -> CarrierAccounts:
    keys = Keyring.parse(HELD)
    return CarrierAccounts(TenantAccounts(sealing.opener(keys), {}), PLATFORM, simulator)


async def test_the_sandbox_has_the_simulators_accounts_and_nobody_else_has(api, simulator):
    accounts = made(api, simulator)
    own = await own_account(api)
    async with begin_as_system(api.database, Caller.system(TenantId("ten_a"), Environment.LIVE)) as work:
        for account in ("platform", own):
            with pytest.raises((ProviderUnconfigured, NotFound)):
                await accounts.account(work, "twilio", account, Environment.SANDBOX)
        with pytest.raises(ProviderUnconfigured, match="simulator is not running"):
            await accounts.account(work, "twilio", "simulator", Environment.SANDBOX)
        simulate(simulator, "first")
        found = await accounts.account(work, "twilio", "simulator", Environment.SANDBOX)
        assert found.secret("auth_token") == "first"
        simulator.write_bytes(b'{"twilio": {"secrets"')
        found = await accounts.account(work, "twilio", "simulator", Environment.SANDBOX)
        assert found.secret("auth_token") == "first"
        simulate(simulator, "begun anew")
        found = await accounts.account(work, "twilio", "simulator", Environment.SANDBOX)
        assert found.secret("auth_token") == "begun anew"
        with pytest.raises(ProviderUnconfigured):
            await accounts.account(work, "twilio", "simulator", Environment.LIVE)
        with pytest.raises(ProviderUnconfigured, match="VONAGE_API_KEY"):
            await accounts.account(work, "vonage", "platform", Environment.LIVE)
        for provider, account in (("nobody", "platform"), ("twilio", "someone")):
            with pytest.raises(NotFound):
                await accounts.account(work, provider, account, Environment.LIVE)
    await accounts.aclose()


async def test_calls_of_the_sandbox_come_from_the_simulator_alone(api, simulator):
    simulate(simulator, twilio_carrier.AUTH_TOKEN)
    await add_line(api, "simulator", environment=Environment.SANDBOX)
    await api.start_runtime()
    assert "<Stream" in (await rings(api, "simulator")).text
    assert api.opened[0].plan.environment is Environment.SANDBOX
    simulator.unlink()
    assert (await rings(api, "simulator", call_id="CA2")).status_code == 403


async def test_accounts_with_carriers_are_checked_as_they_come_in(api, private_key):
    headers = api.token("ten_a")
    whole = {
        "twilio": ({"authToken": "t"}, {"accountSid": twilio_carrier.ACCOUNT}),
        "telnyx": ({"apiKey": "KEY1"}, {"publicKey": telnyx_carrier.PUBLIC_KEY, "connectionId": "7267"}),
        "vonage": (
            {"apiSecret": "s", "privateKey": private_key, "signatureSecret": vonage_carrier.SIGNATURE_SECRET},
            {"apiKey": vonage_carrier.API_KEY, "applicationId": vonage_carrier.APPLICATION},
        ),
    }
    for provider, (secrets, options) in whole.items():
        body = {"provider": provider, "name": provider, "secrets": secrets, "options": options}
        created = await api.client.post(CREDENTIALS, json=body, headers=headers)
        assert created.status_code == 201, created.text
        bare = await api.client.post(CREDENTIALS, json=body | {"options": {}}, headers=headers)
        assert {one["pointer"] for one in bare.json()["errors"]} == {f"/options/{name}" for name in options}
    wrong = await api.client.post(
        CREDENTIALS,
        json={
            "provider": "vonage",
            "name": "n",
            "secrets": whole["vonage"][0] | {"privateKey": "-----BEGIN nothing"},
            "options": whole["vonage"][1],
        },
        headers=headers,
    )
    assert [one["pointer"] for one in wrong.json()["errors"]] == ["/secrets/privateKey"]
    assert "BEGIN" not in wrong.text

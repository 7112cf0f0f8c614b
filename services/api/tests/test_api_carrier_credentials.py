"""Tenants' own accounts with carriers and messaging networks: what they are made of, and what a test of them asks."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from voisnap_api.provider_credentials.fields import checked_values, hints_of
from voisnap_domain.agent_rules import camel
from voisnap_domain.tenants import Environment
from voisnap_simulator.accounts import launch, make_accounts_file
from voisnap_simulator.app import build as build_simulator
from voisnap_simulator.world import World
from voisnap_testkit.local_server import served

pytestmark = pytest.mark.slice

URL = "/api/v1/provider-credentials"
SID = "AC0123456789abcdef0123456789abcdef"
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
BASE64_KEY = "MCowBQYDK2VwAyEAuN/+abcdefghijklmnopqrstuvw="


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def faults(provider, secrets, options):
    return [fault.pointer for fault in checked_values(provider, secrets, options)[1]]


def test_what_accounts_are_made_of(private_key):
    vonage = {"apiSecret": "s", "privateKey": private_key, "signatureSecret": "t"}
    ids = {"apiKey": "abcd1234", "applicationId": UUID}
    telnyx = {"publicKey": BASE64_KEY, "connectionId": "1684641123236054244"}
    for provider, secrets, options, pointers in (
        ("twilio", {"authToken": "t"}, {"accountSid": SID}, []),
        ("twilio", {"authToken": "t"}, {"accountSid": "AC1"}, ["/options/accountSid"]),
        ("twilio", {"authToken": "t"}, {"accountSid": SID, "apiKeySid": "SK" + SID[2:]}, ["/secrets/apiKeySecret"]),
        ("twilio", {"authToken": "t", "apiKeySecret": "u"}, {"accountSid": SID}, ["/options/apiKeySid"]),
        ("vonage", vonage, ids, []),
        ("vonage", vonage, ids | {"applicationId": "../../applications"}, ["/options/applicationId"]),
        ("vonage", vonage | {"privateKey": private_key.replace("MII", "MIJ", 1)}, ids, ["/secrets/privateKey"]),
        ("telnyx", {"apiKey": "KEY1"}, telnyx, []),
        ("telnyx", {"apiKey": "KEY1"}, telnyx | {"connectionId": "1/2", "publicKey": "x"}, ["/options/publicKey", "/options/connectionId"]),
        ("whatsapp", {"accessToken": "EAA1", "appSecret": "a", "verifyToken": "v"}, {"phoneNumberId": "me"}, ["/options/phoneNumberId"]),
        ("telegram", {"botToken": "123456:" + "a" * 30, "secretToken": "my_secret"}, {}, []),
        ("telegram", {"botToken": "bot", "secretToken": "a b"}, {}, ["/secrets/botToken", "/secrets/secretToken"]),
    ):  # fmt: skip
        assert sorted(faults(provider, secrets, options)) == sorted(pointers), (provider, options)


def test_a_key_of_many_lines_is_taken_also_from_one_line_and_never_hinted_at(private_key):
    options = {"apiKey": "abcd1234", "applicationId": UUID}
    for written in (private_key, private_key.strip(), private_key.replace("\n", "\\n"), f"  {private_key}\n\n"):
        secrets = {"apiSecret": "secret", "privateKey": written, "signatureSecret": "another"}
        values, found = checked_values("vonage", secrets, options)
        assert found == ()
        assert values.secrets["private_key"] == private_key
        assert hints_of(values.secrets)["private_key"] == "…"


async def test_a_test_of_an_account_asks_for_the_account_itself(start_api, tmp_path: Path):
    path = tmp_path / "accounts.json"
    make_accounts_file(path, "http://127.0.0.1:1")
    world = World.of(launch(path), "http://127.0.0.1:8080")
    asked: list[str] = []
    simulator = build_simulator(world)

    async def overheard(scope, receive, send) -> None:
        asked.append(f"{scope['method']} {scope['path']}")
        await simulator(scope, receive, send)

    async with served(overheard) as port:
        url = f"http://127.0.0.1:{port}"
        environ = {
            "TWILIO_BASE_URL": f"{url}/twilio",
            "VONAGE_BASE_URL": f"{url}/vonage",
            "VONAGE_REST_URL": f"{url}/vonage",
            "TELNYX_BASE_URL": f"{url}/telnyx/v2",
            "WHATSAPP_BASE_URL": f"{url}/whatsapp",
            "TELEGRAM_BASE_URL": f"{url}/telegram",
        }
        async with start_api(environ=environ) as api:
            for provider, account in world.accounts.items():
                kind = "carrier" if provider in ("twilio", "vonage", "telnyx") else "messaging"
                secrets = {camel(name): value for name, value in account.secrets.items()}
                options = {camel(name): value for name, value in account.options.items() if not name.endswith("_url")}
                body = {"provider": provider, "name": provider, "secrets": secrets, "options": options}
                wrong = {
                    name: value if name == "privateKey" else f"{value[:-4]}AAAA" for name, value in secrets.items()
                }
                for environment, values, outcome in (
                    (Environment.LIVE, secrets, "works"),
                    (Environment.LIVE, wrong, "refused"),
                    (Environment.SANDBOX, secrets, "not_tested"),
                ):
                    asked.clear()
                    owner = api.token("ten_a", environment=environment)
                    made = await api.client.post(URL, json=body | {"secrets": values}, headers=owner)
                    assert made.status_code == 201, made.text
                    tested = await api.client.post(f"{URL}/{made.json()['id']}/test", headers=owner)
                    [probe] = tested.json()["lastTest"]["probes"]
                    assert (probe["kind"], probe["outcome"]) == (kind, outcome), (provider, probe)
                    assert (asked == []) == (environment is Environment.SANDBOX), "the sandbox reached somebody"
                    assert all(one.startswith("GET ") or one.endswith(("/getMe", "/getme")) for one in asked), asked

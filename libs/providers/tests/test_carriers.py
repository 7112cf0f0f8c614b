import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from voisnap_domain.tenants import Environment
from voisnap_providers.accounts import PLATFORM, PROVIDERS, Account
from voisnap_providers.carriers import (
    CARRIERS,
    SIMULATOR,
    Carriers,
    CarrierUrls,
    media_wire,
    simulator_accounts,
)
from voisnap_providers.errors import ProviderUnconfigured

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def private_key() -> str:
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def account(provider: str, id: str, private_key: str) -> Account:
    values = {"public_key": "A" * 43 + "=", "private_key": private_key}
    named = {setting.name: values.get(setting.name, "given") for setting in PROVIDERS[provider] if setting.required}
    secrets = {setting.name for setting in PROVIDERS[provider] if setting.is_secret}
    return Account(
        id=id,
        provider=provider,
        secrets={name: value for name, value in named.items() if name in secrets},
        options={name: value for name, value in named.items() if name not in secrets},
    )


@pytest.mark.parametrize("provider", CARRIERS)
@pytest.mark.parametrize(
    ("environment", "id"),
    [(Environment.SANDBOX, PLATFORM), (Environment.SANDBOX, "pcred_1.1"), (Environment.LIVE, SIMULATOR)],
)
async def test_the_sandbox_has_the_simulators_carriers_and_nobody_else_has(provider, environment, id, private_key):
    carriers = Carriers()
    with pytest.raises(ProviderUnconfigured):
        carriers.of(account(provider, id, private_key), environment)
    other = Environment.LIVE if environment is Environment.SANDBOX else Environment.SANDBOX
    made = carriers.of(account(provider, id, private_key), other)
    assert (made.provider, made.account.id) == (provider, id)
    assert carriers.of(account(provider, id, private_key), other) is made
    with pytest.raises(ProviderUnconfigured):
        carriers.of(account(provider, id, private_key), environment)
    await carriers.aclose()


async def test_an_account_that_is_not_whole_is_none_and_its_secrets_are_not_told(private_key):
    carriers = Carriers()
    for provider in CARRIERS:
        with pytest.raises(ProviderUnconfigured):
            carriers.of(Account(id=PLATFORM, provider=provider), Environment.LIVE)
    broken = Account(
        id=PLATFORM,
        provider="vonage",
        secrets={"signature_secret": "s", "private_key": "no key but a secret"},
        options={"application_id": "a"},
    )
    with pytest.raises(ProviderUnconfigured) as refusal:
        carriers.of(broken, Environment.LIVE)
    assert "no key but a secret" not in str(refusal.value)
    with pytest.raises(ProviderUnconfigured, match="deepgram is no carrier"):
        carriers.of(Account(id=PLATFORM, provider="deepgram", secrets={"api_key": "k"}), Environment.LIVE)


def test_a_carrier_has_a_fresh_media_socket_for_every_call():
    for provider in CARRIERS:
        assert media_wire(provider) is not media_wire(provider)
    with pytest.raises(ProviderUnconfigured):
        media_wire("../secrets")


def test_the_simulators_accounts_are_read_from_the_file_of_its_launcher(tmp_path):
    path = tmp_path / "simulator.json"
    assert simulator_accounts(None) == simulator_accounts(path) == {}
    path.write_bytes(
        msgspec.json.encode(
            {
                "twilio": {"secrets": {"auth_token": "t"}, "options": {"base_url": "http://127.0.0.1:1/twilio"}},
                "somebody": {"secrets": {}},
            }
        )
    )
    found = simulator_accounts(path)
    assert list(found) == ["twilio"]
    assert (found["twilio"].id, found["twilio"].secret("auth_token")) == (SIMULATOR, "t")
    assert found["twilio"].option("base_url") == "http://127.0.0.1:1/twilio"


def test_carriers_are_told_addresses_below_the_public_one():
    urls = CarrierUrls("https://voice.example.com/")
    assert urls.voice("twilio", "platform") == "https://voice.example.com/api/v1/carriers/twilio/platform/voice"
    assert urls.events("telnyx", "pcred_1", session_id="call_1", attempt_id="att_1").endswith(
        "/telnyx/pcred_1/events?session=call_1&attempt=att_1"
    )
    assert urls.resume("vonage", "platform", session_id="call_1").endswith("/vonage/platform/resume?session=call_1")
    assert urls.media("twilio") == "wss://voice.example.com/carriers/twilio/media"
    assert CarrierUrls("http://127.0.0.1:8080").media("vonage") == "ws://127.0.0.1:8080/carriers/vonage/media"

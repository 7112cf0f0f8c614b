"""The platform's accounts come from its environment; nothing shows a key."""

import asyncio

import pytest
from voisnap_providers.accounts import PLATFORM, PROVIDERS, Account, platform_accounts
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.registry import ProviderSettings, Registry

pytestmark = pytest.mark.unit


def test_an_environment_gives_the_accounts_that_are_whole():
    found = platform_accounts(
        {
            "DEEPGRAM_API_KEY": " dg-key ",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AZURE_SPEECH_REGION": "westeurope",
            "OPENAI_COMPATIBLE_BASE_URL": "http://127.0.0.1:8000/v1",
            "HOME": "/home/somebody",
        }
    )
    assert set(found) == {"deepgram", "openai_compatible"}, "AWS lacks its region, Azure its key"
    assert found["deepgram"] == Account(id=PLATFORM, provider="deepgram", secrets={"api_key": "dg-key"})
    assert found["openai_compatible"].options == {"base_url": "http://127.0.0.1:8000/v1"}


def test_no_two_settings_of_a_provider_share_a_name_and_no_variable_is_used_twice():
    names = [(provider, one.name) for provider, settings in PROVIDERS.items() for one in settings]
    variables = [one.variable for settings in PROVIDERS.values() for one in settings]
    assert len(set(names)) == len(names)
    assert len(set(variables)) == len(variables)


def test_an_account_shows_no_secret_and_names_what_is_missing():
    account = Account(id=PLATFORM, provider="anthropic", secrets={"api_key": "sk-very-secret"})
    assert "secret" not in f"{account} {account!r}"
    with pytest.raises(ProviderUnconfigured, match="ANTHROPIC_API_KEY"):
        Account(id=PLATFORM, provider="anthropic").secret()


async def test_a_tenants_own_account_goes_before_the_platforms(tmp_path):
    ours = Account(id=PLATFORM, provider="openai", secrets={"api_key": "ours"})
    theirs = Account(id="pcr_1.1", provider="openai", secrets={"api_key": "theirs"})
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1, accounts={"openai": ours}))
    assert registry.account("openai", {"openai": theirs}) is theirs
    assert registry.account("openai") is ours
    assert registry.llm("openai") is registry.llm("openai")
    assert registry.llm("openai", {"openai": theirs}) is not registry.llm("openai")
    await registry.aclose()


async def test_a_provider_without_an_account_names_its_variables(tmp_path):
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1))
    with pytest.raises(ProviderUnconfigured, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and AWS_REGION"):
        registry.tts("aws")
    await registry.aclose()


@pytest.mark.parametrize(("secret", "own_kinds"), [("api_key", {"llm"}), ("service_account", {"stt", "tts"})])
async def test_googles_other_door_is_opened_as_the_platform(tmp_path, secret, own_kinds):
    ours = Account(id=PLATFORM, provider="google", secrets={"api_key": "ours", "service_account": "ours"})
    theirs = Account(id="pcr_1.1", provider="google", secrets={secret: "theirs"}, options={"project": "theirs"})
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1, accounts={"google": ours}))
    chosen = {kind: registry.account("google", {"google": theirs}, kind) for kind in ("llm", "stt", "tts")}
    assert {kind for kind, account in chosen.items() if account is theirs} == own_kinds
    assert {kind for kind, account in chosen.items() if account is ours} == set(chosen) - own_kinds
    await registry.aclose()


async def test_instances_of_tenants_are_closed_when_there_are_too_many_unless_a_call_holds_them(tmp_path, monkeypatch):
    monkeypatch.setattr("voisnap_providers.registry.MOST_OF_TENANTS", 3)
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1))
    closed: list[str] = []

    class Port:
        def __init__(self, account: Account) -> None:
            self.account = account

        async def aclose(self) -> None:
            closed.append(self.account.id)

    monkeypatch.setattr("voisnap_providers.vendors.factories.vendor", lambda kind, name, account: Port(account))

    def asked(number: int) -> object:
        return registry.llm("openai", {"openai": Account(id=f"pcr_{number}.1", provider="openai")})

    held = asked(0)
    for number in (1, 2, 1, 3, 4):
        asked(number)
    assert asked(0) is held
    await asyncio.sleep(0)
    assert closed == ["pcr_2.1", "pcr_1.1"]
    await registry.aclose()
    assert sorted(closed) == [f"pcr_{number}.1" for number in range(5)]

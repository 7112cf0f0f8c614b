"""The platform's accounts come from its environment; nothing shows a key."""

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

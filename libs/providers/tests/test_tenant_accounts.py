"""Accounts of tenants: opened where they are used, with addresses of the platform only."""

import msgspec
import pytest
from voisnap_domain.errors import Conflict
from voisnap_domain.ids import TenantId
from voisnap_domain.provider_credentials import SealedCredential, sealing_context
from voisnap_domain.tenants import Environment
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.tenant_accounts import TenantAccounts

pytestmark = pytest.mark.unit

PLATFORM = {
    "OPENAI_API_KEY": "sk-platform",
    "OPENAI_BASE_URL": "http://127.0.0.1:4010",
    "GOOGLE_API_KEY": "platform-gemini",
    "GOOGLE_SERVICE_ACCOUNT_JSON": "{platform}",
    "GOOGLE_CLOUD_PROJECT": "platform-project",
}


def sealed(provider, *, tenant="ten_a", environment=Environment.LIVE, options=None, **secrets):
    """A credential that only its own context opens."""
    context = sealing_context(TenantId(tenant), environment, provider, "pcred_1")
    content = msgspec.json.encode((context, secrets))
    return SealedCredential(id="pcred_1", provider=provider, revision=3, options=options or {}, sealed=content)


def unseal(content, context):
    bound, secrets = msgspec.json.decode(content, type=tuple[tuple[str, ...], dict[str, str]])
    if bound != context:
        raise Conflict("not here")
    return msgspec.json.encode(secrets)


def opened(*credentials, tenant="ten_a", environment=Environment.LIVE, opener=unseal):
    accounts = TenantAccounts(opener, PLATFORM)
    return accounts.opened(credentials, tenant_id=TenantId(tenant), environment=environment)


def test_an_account_has_the_tenants_secrets_and_options_and_the_platforms_addresses():
    [(provider, account)] = opened(sealed("openai", options={"organization": "org-1"}, api_key="sk-own")).items()
    assert (provider, account.id, account.provider) == ("openai", "pcred_1.3", "openai")
    assert dict(account.secrets) == {"api_key": "sk-own"}
    assert dict(account.options) == {"base_url": "http://127.0.0.1:4010", "organization": "org-1"}
    assert "sk-own" not in repr(account)


def test_a_compatible_server_is_the_one_the_tenant_named():
    account = opened(sealed("openai_compatible", options={"base_url": "https://x.test/v1"}, api_key="k"))
    assert account["openai_compatible"].option("base_url") == "https://x.test/v1"


def test_no_secret_of_the_platforms_becomes_part_of_a_tenants_account():
    account = opened(sealed("google", options={"project": "victim"}, api_key="own-gemini"))["google"]
    assert dict(account.secrets) == {"api_key": "own-gemini"}
    other = opened(sealed("google", service_account="{own}"))["google"]
    assert dict(other.secrets) == {"service_account": "{own}"}


@pytest.mark.parametrize("change", [{"tenant": "ten_b"}, {"environment": Environment.SANDBOX}])
def test_a_credential_opens_for_its_own_tenant_and_environment_only(change):
    with pytest.raises(Conflict, match="not here"):
        opened(sealed("openai", api_key="sk-own"), **change)


def test_a_process_without_keys_says_so_and_uses_no_other_account():
    with pytest.raises(ProviderUnconfigured, match="VOISNAP_SEALING_KEYS"):
        opened(sealed("openai", api_key="sk-own"), opener=None)
    assert opened(opener=None) == {}

"""The simulator's accounts: made once, readable by their owner alone, and the only ones that the sandbox reaches."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_domain.tenants import Environment
from voisnap_providers.accounts import PROVIDERS, Account, platform_accounts
from voisnap_providers.carriers import CARRIERS, SIMULATOR, Carriers, check_environment, simulator_accounts
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_simulator.accounts import OWN, launch, make_accounts_file
from voisnap_simulator.world import OwnedNumber, World

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:20123"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home") / "simulator.json"
    make_accounts_file(path, URL)
    return path


def test_every_carrier_and_network_has_an_account_that_is_whole(made: Path):
    accounts = simulator_accounts(made)
    assert set(accounts) == {"twilio", "vonage", "telnyx", "whatsapp", "telegram"}
    for provider, account in accounts.items():
        values = {**account.secrets, **account.options}
        assert all(values.get(setting.name) for setting in PROVIDERS[provider] if setting.required)
        assert values["base_url"].startswith(f"{URL}/{provider}")
    carriers = Carriers()
    for provider in CARRIERS:
        assert carriers.of(accounts[provider], Environment.SANDBOX).provider == provider


def test_the_file_is_private_and_keeps_its_secrets_when_the_address_changes(made: Path, tmp_path: Path):
    path = tmp_path / "simulator.json"
    path.write_bytes(made.read_bytes())
    path.chmod(0o644)
    make_accounts_file(path, URL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == made.read_bytes()
    make_accounts_file(path, "http://127.0.0.1:20999/")
    before, after = json.loads(made.read_text()), json.loads(path.read_text())
    assert [before[one]["secrets"] for one in before] == [after[one]["secrets"] for one in before]
    assert after[OWN]["options"]["url"] == "http://127.0.0.1:20999"
    assert after["telnyx"]["options"]["public_key"] == before["telnyx"]["options"]["public_key"]


def test_two_installations_share_no_secret(made: Path, tmp_path: Path):
    make_accounts_file(tmp_path / "other.json", URL)
    one, other = json.loads(made.read_text()), json.loads((tmp_path / "other.json").read_text())
    secrets = [{value for vendor in file.values() for value in vendor["secrets"].values()} for file in (one, other)]
    assert not secrets[0] & secrets[1]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"simulator": {}}', '{"simulator": {"secrets": {"bearer": "secret-1"}}}']
)
def test_what_is_no_accounts_file_is_told_without_its_content(tmp_path: Path, content: str):
    path = tmp_path / "simulator.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="no file of the simulator's accounts") as told:
        launch(path)
    assert "secret-1" not in str(told.value)


@given(
    st.sampled_from(sorted(PROVIDERS)),
    st.sampled_from(["platform", "pcred_01", "pcred_01:3", "", "Simulator", "simulator "]),
)
def test_the_sandbox_reaches_no_account_but_the_simulators(provider: str, account: str):
    known = Account(id=account, provider=provider)
    with pytest.raises(ProviderUnconfigured):
        check_environment(known, Environment.SANDBOX)
    with pytest.raises(ProviderUnconfigured):
        Carriers().of(known, Environment.SANDBOX)


@pytest.mark.parametrize("environment", [one for one in Environment if one is not Environment.SANDBOX])
def test_nobody_else_reaches_the_simulators(made: Path, environment: Environment):
    for account in simulator_accounts(made).values():
        with pytest.raises(ProviderUnconfigured):
            check_environment(account, environment)


def test_no_environment_variable_makes_an_account_the_simulators():
    everything = {setting.variable: SIMULATOR for settings in PROVIDERS.values() for setting in settings}
    accounts = platform_accounts(everything)
    assert len(accounts) == len(PROVIDERS)
    for account in accounts.values():
        with pytest.raises(ProviderUnconfigured):
            check_environment(account, Environment.SANDBOX)


def test_numbers_are_known_after_a_restart(made: Path, tmp_path: Path):
    state = tmp_path / "numbers.json"
    world = World.of(launch(made), "https://voice.example", state_file=state)
    world.own(OwnedNumber(provider="twilio", number="+14155550123", id="PN1", voice_url="https://voice.example/x"))
    world.own(OwnedNumber(provider="telnyx", number="+14155550124", id="1"))
    world.release("telnyx", "+14155550124")
    again = World.of(launch(made), "https://voice.example", state_file=state)
    known = again.number("twilio", "+14155550123")
    assert known is not None
    assert (known.id, known.voice_url) == ("PN1", "https://voice.example/x")
    assert again.number("telnyx", "+14155550124") is None
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    state.write_text("not ours")
    assert World.of(launch(made), "https://voice.example", state_file=state).numbers == {}

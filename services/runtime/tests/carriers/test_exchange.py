"""With whose account a call is hung up on, and how often that is tried."""

import asyncio
import json

import pytest
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.tenants import Environment
from voisnap_providers import carriers
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError, ProviderUnconfigured
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_runtime.carriers.exchange import ATTEMPTS, Exchange

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

PLATFORMS = Account(
    id="platform",
    provider="twilio",
    secrets={"auth_token": "t"},
    options={"account_sid": "AC1", "base_url": "http://p"},
)


class Control:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.failures = 0
        self.asked: list[str] = []

    async def hang_up(self, call_id: str) -> None:
        self.asked.append(call_id)
        if self.failures:
            self.failures -= 1
            raise self.error or TimeoutError

    async def aclose(self) -> None: ...


@pytest.fixture
def control():
    return Control()


@pytest.fixture
async def exchange(control, monkeypatch, tmp_path):
    """With the accounts that its carriers were made of in `made_of`."""
    made = Exchange(
        platform={"twilio": PLATFORMS}, tenants=TenantAccounts(None, {}), simulator_file=tmp_path / "s.json"
    )
    made.made_of = []

    def of(account, environment):
        carriers.check_environment(account, environment)
        made.made_of.append(account)
        return carriers.Carrier(provider=account.provider, account=account, webhooks=None, control=control)

    monkeypatch.setattr(made._carriers, "of", of)
    yield made
    await made.aclose()


@pytest.fixture
def plan(make_plan):
    def build(account: str = "platform", environment: Environment = Environment.LIVE):
        leg = CarrierLeg(provider="twilio", account=account, number="+14155550100")
        return make_plan(leg=leg, environment=environment)

    return build


async def test_a_call_over_the_platforms_account_is_hung_up_on_with_it(exchange, control, plan):
    await exchange.hang_up(plan(), "CA1")
    assert control.asked == ["CA1"]
    assert exchange.made_of == [PLATFORMS]


async def test_the_simulators_account_is_read_when_it_is_there(exchange, control, plan, tmp_path):
    sandboxed = plan("simulator", Environment.SANDBOX)
    with pytest.raises(ProviderUnconfigured):
        exchange.control_of(sandboxed)
    (tmp_path / "s.json").write_text(json.dumps({"twilio": {"secrets": {"auth_token": "s"}, "options": {}}}))
    assert exchange.control_of(sandboxed) is control


async def test_the_sandbox_reaches_no_real_carrier_and_nobody_else_the_simulator(exchange, plan, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"twilio": {"secrets": {"auth_token": "s"}}}))
    for account, environment in (("platform", Environment.SANDBOX), ("simulator", Environment.LIVE)):
        with pytest.raises(ProviderUnconfigured):
            exchange.control_of(plan(account, environment))


async def test_a_tenants_account_that_the_plan_does_not_bring_is_no_reason_to_take_another(exchange, control, plan):
    await exchange.hang_up(plan("pcred_1"), "CA1")
    assert control.asked == []
    with pytest.raises(ProviderUnconfigured, match="pcred_1"):
        exchange.control_of(plan("pcred_1"))


async def test_a_carrier_that_fails_is_asked_again_and_not_for_ever(exchange, control, plan):
    control.error, control.failures = ProviderError("away", provider="twilio", kind="carrier", retryable=True), 2
    await exchange.hang_up(plan(), "CA1")
    assert len(control.asked) == 3
    control.failures = 99
    await exchange.hang_up(plan(), "CA2")
    assert control.asked.count("CA2") == ATTEMPTS


async def test_what_can_not_work_is_asked_once(exchange, control, plan):
    control.error, control.failures = ProviderError("no", provider="twilio", kind="carrier", retryable=False), 9
    await exchange.hang_up(plan(), "CA1")
    assert control.asked == ["CA1"]


async def test_a_call_without_a_known_id_is_nobodys(exchange, control, plan):
    await exchange.hang_up(plan(), "")
    assert control.asked == []


async def test_whoever_gives_up_waiting_does_not_end_the_trying(exchange, control, plan):
    control.error, control.failures = ProviderError("away", provider="twilio", kind="carrier", retryable=True), 2
    waiting = asyncio.create_task(exchange.hang_up(plan(), "CA1"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(30)
    assert len(control.asked) == 3


async def test_somebody_who_does_not_wait_is_served_too(exchange, control, plan):
    exchange.hang_up_soon(plan(), "CA1")
    await asyncio.sleep(1)
    assert control.asked == ["CA1"]

"""What every carrier's commands promise alike: how often somebody is dialled, what a fault means, and what it never repeats.

A carrier joins with one line in CASES. What its own commands look like is held beside it, in `test_<carrier>_calls.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from voisnap_providers.errors import DialUncertain, ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.ports.carrier import CallControl, Dial, StreamTarget
from voisnap_providers.vendors import carrier_http
from voisnap_providers.vendors.telnyx.calls import TelnyxCalls
from voisnap_providers.vendors.twilio.calls import TwilioCalls
from voisnap_providers.vendors.vonage.calls import VonageCalls
from voisnap_testkit import twilio_carrier, vonage_carrier
from voisnap_testkit.local_server import HttpRequest, answer, read_request, served

pytestmark = pytest.mark.conformance

SECRET = "KEY0123456789"
TARGET = StreamTarget(url="wss://h.example/media", token="t0k3n", call_id=vonage_carrier.CALL)
CALLEE, CALLER = "+4930901820", "+14155550100"
ORDER = Dial(
    attempt_id="att_1", callee=CALLEE, caller=CALLER, target=TARGET, events_url="https://h.example/events?attempt=att_1"
)


@cache
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    made: Callable[[str], CallControl]
    """Its commands at another address."""
    call_id: str


CASES = (
    Case(
        name="twilio",
        made=lambda url: TwilioCalls(account_sid=twilio_carrier.ACCOUNT, secret=SECRET, base_url=url),
        call_id=twilio_carrier.CALL,
    ),
    Case(
        name="vonage",
        made=lambda url: VonageCalls(application_id=SECRET, private_key=private_key(), base_url=url),
        call_id=vonage_carrier.CALL,
    ),
    Case(
        name="telnyx",
        made=lambda url: TelnyxCalls(api_key=SECRET, connection_id="1684641123236054244", base_url=f"{url}/v2"),
        call_id="v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg",
    ),
)


class Api:
    """A server that answers every request in one way; status 0 never does."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[HttpRequest] = []
        self.status, self.body = 200, b"{}"
        self.headers: dict[str, str] = {}

    def answers(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        self.asked.append(await read_request(scope, receive))
        if not self.status:
            await asyncio.Event().wait()
        await answer(scope, send, self.status, self.body, {"content-type": "application/json", **self.headers})


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    running = Api()
    async with served(running) as port:
        running.url = f"http://127.0.0.1:{port}"
        yield running


@pytest.fixture
async def control(case: Case, api: Api) -> AsyncIterator[CallControl]:
    made = case.made(api.url)
    yield made
    await made.aclose()


def commands(control: CallControl, call_id: str) -> tuple[Callable[[], Awaitable[None]], ...]:
    """All that may be said of a call there is."""
    return (
        lambda: control.connect(call_id, TARGET),
        lambda: control.hang_up(call_id),
        lambda: control.transfer(call_id, callee=CALLEE, caller=CALLER),
        lambda: control.bridge(call_id, call_id, name="xfer_1"),
    )


async def failed(command: Awaitable[object]) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await command
    error = raised.value
    assert error.kind == "carrier"
    for told in (SECRET, CALLEE[1:], CALLER[1:], "t0k3n", "PRIVATE"):
        assert told not in f"{error} {error.detail}"
    return error


async def test_a_dial_after_a_fault_of_the_server_is_uncertain_and_is_not_repeated(
    api: Api, control: CallControl
) -> None:
    for status in (408, 500, 502, 503, 504):
        api.answers(status)
        assert type(await failed(control.dial(ORDER))) is DialUncertain
    assert len(api.asked) == 5


async def test_a_dial_that_was_taken_without_a_name_is_uncertain(api: Api, control: CallControl) -> None:
    for body in (b"", b"<html>", b"null", b"[]", b"{}", b'{"data":[]}', b'{"sid":5,"uuid":5}', b"[1," * 9000):
        api.answers(201, body)
        assert type(await failed(control.dial(ORDER))) is DialUncertain


async def test_what_is_not_answered_in_time_is_uncertain_for_a_dial_and_may_be_repeated_otherwise(
    case: Case, api: Api, control: CallControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier_http, "_WHOLE_SECONDS", 0.05)
    api.answers(0)
    assert type(await failed(control.dial(ORDER))) is DialUncertain
    for command in commands(control, case.call_id):
        error = await failed(command())
        assert isinstance(error, ProviderTimeout)
        assert error.retryable


async def test_a_dial_that_never_left_may_be_repeated(case: Case) -> None:
    control = case.made("http://127.0.0.1:9")
    error = await failed(control.dial(ORDER))
    assert (type(error), error.retryable) == (ProviderError, True)
    await control.aclose()


async def test_commands_that_come_too_fast_wait_as_long_as_they_are_told(
    case: Case, api: Api, control: CallControl
) -> None:
    api.answers(429, **{"retry-after": "7"})
    for command in (lambda: control.dial(ORDER), *commands(control, case.call_id)):
        error = await failed(command())
        assert (type(error), error.retryable, error.retry_after) == (ProviderError, True, 7.0)


async def test_credentials_that_are_refused_are_nobodys_elses_fault(case: Case, api: Api, control: CallControl) -> None:
    api.answers(401)
    for command in (lambda: control.dial(ORDER), *commands(control, case.call_id)):
        assert isinstance(await failed(command()), ProviderAuthError)


async def test_what_the_carrier_refuses_is_final_and_its_text_is_not_repeated(
    case: Case, api: Api, control: CallControl
) -> None:
    text = f'"{CALLEE} may not be dialled from {CALLER} with {SECRET}"'
    api.answers(
        400, f'{{"code":21217,"message":{text},"title":{text},"errors":[{{"code":"10001","detail":{text}}}]}}'.encode()
    )
    for command in (lambda: control.dial(ORDER), *commands(control, case.call_id)):
        error = await failed(command())
        assert (type(error), error.retryable) == (ProviderError, False)


async def test_faults_of_the_server_in_other_commands_may_be_repeated(
    case: Case, api: Api, control: CallControl
) -> None:
    api.answers(502, b"<html>")
    for command in commands(control, case.call_id):
        error = await failed(command())
        assert (type(error), error.retryable) == (ProviderError, True)


async def test_only_ids_of_calls_get_into_a_path(api: Api, control: CallControl) -> None:
    for odd in ("", "..", "x/../y", "CA1?x=1", "a b", "ä", "x\n", "%2e%2e"):
        for command in commands(control, odd):
            assert not (await failed(command())).retryable
    assert api.asked == []


async def test_a_redirect_is_not_followed_with_the_credentials(case: Case, api: Api, control: CallControl) -> None:
    api.answers(307, location=f"{api.url}/elsewhere")
    assert type(await failed(control.dial(ORDER))) is DialUncertain
    await failed(control.hang_up(case.call_id))
    assert [request.path for request in api.asked if request.path == "/elsewhere"] == []

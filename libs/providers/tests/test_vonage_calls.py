"""Vonage's REST API for calls, against a server that takes what its documentation and its own library's models know, and nothing else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import TypeAdapter, ValidationError
from voisnap_providers.errors import DialUncertain, DigitsUnsent, ProviderAuthError, ProviderError, ProviderTimeout
from voisnap_providers.ports.carrier import AnswerDocument, Dial, MachineDetection, StreamTarget
from voisnap_providers.vendors import carrier_http
from voisnap_providers.vendors.vonage.calls import VonageCalls
from voisnap_testkit.local_server import HttpRequest, answer, read_request, served
from voisnap_testkit.vonage_carrier import APPLICATION, CALL, CONVERSATION, VonageDesk
from vonage_utils.types import Dtmf
from vonage_voice.models import Connect, Conversation, CreateCallRequest

pytestmark = pytest.mark.conformance

OTHER = "bbbbbbbb-0000-4000-8000-0123456789ab"
TARGET = StreamTarget(
    url="wss://h.example/media",
    token="t0k3n",
    parameters={"agent": "a<1>"},
    resume_url="https://h.example/resume?call=1",
    call_id=CALL,
)
ORDER = Dial(
    attempt_id="att_1",
    callee="+4930901820",
    caller="+14155550100",
    target=TARGET,
    events_url="https://h.example/events?attempt=att_1",
)
DIALLED = frozenset(
    ["to", "from", "ncco", "event_url", "event_method", "ringing_timer", "length_timer", "advanced_machine_detection"]
)


@cache
def key_pair() -> tuple[str, bytes]:
    """An application's private key and the public one that Vonage keeps, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Rest:
    """The Voice API for one application: one call, which may be over; remembers what it took, and fails as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.status = "answered"
        self.taken: list[tuple[str, str, Any]] = []
        self.tokens: list[dict[str, Any]] = []
        self.faults: list[tuple[int, Any]] = []
        self.hangs = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status, body = self._answer(await read_request(scope, receive))
        if status == 0:
            self.hangs.set()
            await asyncio.Event().wait()
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | ({"retry-after": "7"} if status == 429 else {})
        await answer(scope, send, status, b"" if status == 204 else content, headers)

    def _answer(self, request: HttpRequest) -> tuple[int, Any]:
        try:
            scheme, _, token = request.headers["authorization"].partition(" ")
            claims = jwt.decode(token, key_pair()[1], algorithms=["RS256"], options={"require": ["iat", "jti", "exp"]})
            assert (scheme, claims["application_id"]) == ("Bearer", APPLICATION)
        except (KeyError, AssertionError, jwt.PyJWTError):
            return 401, {"type": "UNAUTHORIZED", "error_title": "Unauthorized"}
        self.tokens.append(claims)
        body = json.loads(request.body) if request.body else None
        self.taken.append((request.method, request.path, body))
        if self.faults:
            return self.faults.pop(0)
        try:
            return self._done(request.method, request.path.removeprefix("/v1/calls"), body)
        except (ValidationError, AssertionError, KeyError, TypeError) as error:
            return 400, {"type": "BAD_REQUEST", "error_title": str(error)}

    def _done(self, method: str, rest: str, body: Any) -> tuple[int, Any]:
        if (method, rest) == ("POST", ""):
            assert set(body) <= DIALLED
            CreateCallRequest.model_validate(
                {**body, "from_": body["from"], "ncco": [{**action, "from_": "14155550100"} for action in body["ncco"]]}
            )
            return 201, {"uuid": CALL, "status": "started", "direction": "outbound", "conversation_uuid": CONVERSATION}
        if not rest.startswith((f"/{CALL}", f"/{OTHER}")):
            return 404, {"type": "NOT_FOUND", "error_title": "Not Found"}
        if method == "GET":
            return 200, {"uuid": CALL, "status": self.status, "direction": "outbound"}
        assert method == "PUT"
        if self.status != "answered":
            return 400, {"type": "BAD_REQUEST", "error_title": "Bad Request"}
        if rest == f"/{CALL}/dtmf":
            assert set(body) == {"digits"}
            TypeAdapter(Dtmf).validate_python(body["digits"])
            return 200, {"message": "DTMF sent", "uuid": CALL}
        assert rest in (f"/{CALL}", f"/{OTHER}")
        match body:
            case {"action": "hangup"}:
                self.status = "completed"
            case {"action": "transfer", "destination": {"type": "ncco", "ncco": [action]}}:
                if action["action"] == "conversation":
                    assert set(action) <= set(Conversation.model_fields)
                    Conversation.model_validate(action)
                else:
                    Connect.model_validate({**action, "from_": action.get("from", "14155550100")})
            case _:
                raise AssertionError
        return 204, None

    @property
    def body(self) -> Any:
        """The last one."""
        return self.taken[-1][2]


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    server = Rest()
    async with served(server) as port:
        server.url = f"http://127.0.0.1:{port}"
        yield server


@pytest.fixture
async def calls(rest: Rest) -> AsyncIterator[VonageCalls]:
    async with AsyncExitStack() as stack:
        made = VonageCalls(application_id=APPLICATION, private_key=key_pair()[0], base_url=rest.url)
        stack.push_async_callback(made.aclose)
        yield made


def stream_of(action: object) -> StreamTarget:
    """Where an action sends a call, as Vonage reads it."""
    return VonageDesk(url="").stream_of(
        AnswerDocument(body=json.dumps([action]).encode(), content_type="application/json")
    )


async def test_a_call_is_dialled_and_connected_to_its_stream(rest: Rest, calls: VonageCalls):
    assert await calls.dial(ORDER) == CALL
    (action,) = rest.body.pop("ncco")
    assert stream_of(action) == TARGET
    assert rest.body == {
        "to": [{"type": "phone", "number": "4930901820"}],
        "from": {"type": "phone", "number": "14155550100"},
        "event_url": ["https://h.example/events?attempt=att_1"],
        "event_method": "POST",
        "ringing_timer": 30,
        "length_timer": 3600,
    }


async def test_machines_are_listened_for_while_the_call_runs_and_keys_are_pressed(rest: Rest, calls: VonageCalls):
    order = Dial(
        attempt_id="att_2",
        callee="+4930901820",
        caller="+14155550100",
        target=TARGET,
        events_url="https://h.example/events",
        ring_seconds=5000,
        longest_seconds=10**6,
        detection=MachineDetection.GREETING,
        digits="1w2#*",
    )
    await calls.dial(order)
    assert rest.body["advanced_machine_detection"] == {"behavior": "continue", "mode": "default"}
    assert rest.body["to"] == [{"type": "phone", "number": "4930901820", "dtmfAnswer": "1p2#*"}]
    assert (rest.body["ringing_timer"], rest.body["length_timer"]) == (120, 86400)


async def test_a_sip_address_is_dialled_as_one(rest: Rest, calls: VonageCalls):
    await calls.dial(
        Dial(
            attempt_id="a",
            callee="sip:desk@pbx.example",
            caller="+14155550100",
            target=TARGET,
            events_url="https://h.example",
        )
    )
    assert rest.body["to"] == [{"type": "sip", "uri": "sip:desk@pbx.example"}]


@pytest.mark.parametrize(
    ("callee", "caller", "digits", "error"),
    [
        ("anonymous", "+14155550100", "", ProviderError),
        ("+4930901820", "nobody", "", ProviderError),
        ("+4930901820", "+14155550100", "1A", DigitsUnsent),
        ("sip:desk@pbx.example", "+14155550100", "1", DigitsUnsent),
    ],
)
async def test_what_vonage_cannot_dial_is_not_asked(
    rest: Rest, calls: VonageCalls, callee: str, caller: str, digits: str, error: type[ProviderError]
):
    order = Dial(
        attempt_id="a", callee=callee, caller=caller, target=TARGET, events_url="https://h.example", digits=digits
    )
    with pytest.raises(error) as raised:
        await calls.dial(order)
    assert (raised.value.kind, raised.value.retryable) == ("carrier", False)
    assert not isinstance(raised.value, DialUncertain)
    assert rest.taken == []


@pytest.mark.parametrize(
    "fault", [(500, {}), (503, b"down"), (408, {}), (201, b"not json"), (201, {}), (201, {"uuid": "../x"}), (201, [1])]
)
async def test_a_dial_that_may_have_happened_is_uncertain(rest: Rest, calls: VonageCalls, fault: tuple[int, Any]):
    rest.faults = [fault]
    with pytest.raises(DialUncertain):
        await calls.dial(ORDER)


async def test_a_dial_that_is_turned_away_is_certain_and_says_no_number(rest: Rest, calls: VonageCalls):
    rest.faults = [(400, {"error_title": "4930901820 is invalid"}), (429, {}), (403, {})]
    seen: list[tuple[bool, float | None]] = []
    for _ in range(3):
        with pytest.raises(ProviderError) as raised:
            await calls.dial(ORDER)
        assert not isinstance(raised.value, DialUncertain)
        assert "4930901820" not in str(raised.value)
        seen.append((raised.value.retryable, raised.value.retry_after))
    assert seen == [(False, None), (True, 7.0), (False, None)]


async def test_a_server_that_never_answers_is_left(rest: Rest, calls: VonageCalls, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(carrier_http, "_WHOLE_SECONDS", 0.05)
    rest.faults = [(0, None), (0, None)]
    with pytest.raises(DialUncertain):
        await calls.dial(ORDER)
    with pytest.raises(ProviderTimeout):
        await calls.connect(CALL, TARGET)
    assert rest.hangs.is_set()


async def test_a_call_is_connected_anew(rest: Rest, calls: VonageCalls):
    await calls.connect(CALL, TARGET)
    assert stream_of(rest.body["destination"]["ncco"][0]) == TARGET


async def test_hanging_up_ends_a_call_and_one_that_is_over_is_fine(rest: Rest, calls: VonageCalls):
    await calls.hang_up(CALL)
    assert rest.taken == [("PUT", f"/v1/calls/{CALL}", {"action": "hangup"})]
    assert rest.status == "completed"
    await calls.hang_up(CALL)
    await calls.hang_up("unknown-to-vonage")


async def test_a_call_that_would_not_end_is_an_error(rest: Rest, calls: VonageCalls):
    rest.faults = [(400, {})]
    with pytest.raises(ProviderError) as raised:
        await calls.hang_up(CALL)
    assert not raised.value.retryable
    rest.faults = [(500, {})]
    with pytest.raises(ProviderError) as raised:
        await calls.hang_up(CALL)
    assert raised.value.retryable


async def test_keys_are_pressed_as_vonage_writes_them(rest: Rest, calls: VonageCalls):
    await calls.send_digits(CALL, "0w*#")
    assert rest.taken == [("PUT", f"/v1/calls/{CALL}/dtmf", {"digits": "0p*#"})]
    await calls.send_digits(CALL, "")
    with pytest.raises(DigitsUnsent):
        await calls.send_digits(CALL, "A")
    assert len(rest.taken) == 1


async def test_a_call_is_handed_over(rest: Rest, calls: VonageCalls):
    await calls.transfer(CALL, callee="+442079460000", caller="+14155550100", ring_seconds=20)
    assert rest.body["destination"]["ncco"] == [
        {
            "action": "connect",
            "from": "14155550100",
            "timeout": 20,
            "endpoint": [{"type": "phone", "number": "442079460000"}],
        }
    ]
    await calls.transfer(CALL, callee="sips:desk@pbx.example", caller="+14155550100")
    assert rest.body["destination"]["ncco"][0]["endpoint"] == [{"type": "sip", "uri": "sips:desk@pbx.example"}]
    with pytest.raises(ProviderError, match="Not transferred"):
        await calls.transfer(CALL, callee="desk", caller="+14155550100")


async def test_two_calls_are_joined_in_a_conversation_that_ends_with_either_the_other_one_first(
    rest: Rest, calls: VonageCalls
):
    await calls.bridge(CALL, OTHER, name="xfer_1")
    assert [path for _, path, _ in rest.taken] == [f"/v1/calls/{OTHER}", f"/v1/calls/{CALL}"]
    for _, _, body in rest.taken:
        assert body["destination"]["ncco"] == [
            {"action": "conversation", "name": "xfer_1", "startOnEnter": True, "endOnExit": True}
        ]


async def test_a_call_whose_partner_is_gone_keeps_its_media_socket(rest: Rest, calls: VonageCalls):
    with pytest.raises(ProviderError, match="over"):
        await calls.bridge(CALL, "gone", name="xfer_1")
    assert [path for _, path, _ in rest.taken] == ["/v1/calls/gone"]


async def test_a_call_that_is_over_takes_no_commands(rest: Rest, calls: VonageCalls):
    for command in (calls.connect("gone", TARGET), calls.send_digits("gone", "1")):
        with pytest.raises(ProviderError, match="over") as raised:
            await command
        assert not raised.value.retryable
    with pytest.raises(ProviderError, match="no id"):
        await calls.hang_up("../applications")


async def test_requests_are_signed_by_the_application_for_fifteen_minutes(rest: Rest):
    now = time.time()
    moments = iter((now - 841, now - 2, now))
    calls = VonageCalls(
        application_id=APPLICATION, private_key=key_pair()[0], base_url=rest.url, clock=lambda: next(moments)
    )
    for _ in range(3):
        await calls.send_digits(CALL, "1")
    await calls.aclose()
    first, second, third = rest.tokens
    assert first == second
    assert (first["iat"], first["exp"] - first["iat"]) == (int(now - 841), 900)
    assert third["iat"] == int(now)
    assert third["jti"] != first["jti"]


async def test_another_applications_key_is_refused_by_name(rest: Rest):
    calls = VonageCalls(application_id="another", private_key=key_pair()[0], base_url=rest.url)
    with pytest.raises(ProviderAuthError):
        await calls.dial(ORDER)
    await calls.aclose()


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----",
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
    ],
    ids=["nothing", "nonsense", "no RSA"],
)
def test_what_is_no_key_is_refused_and_not_repeated(pem: str):
    with pytest.raises(ValueError, match="no RSA key") as refused:
        VonageCalls(application_id=APPLICATION, private_key=pem)
    assert "BEGIN" not in str(refused.value)

"""Calls of the simulated carriers, with our adapters as the platform: in, out, keys, breaks, machines."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import pytest
from voisnap_domain.calls import AnsweredBy, CallPhase
from voisnap_providers.ports.carrier import (
    CallProgress,
    Dial,
    InboundCall,
    MachineDetected,
    MachineDetection,
    MediaLost,
)
from voisnap_simulator.voice import hooks, telnyx, twilio, vonage

pytestmark = [pytest.mark.slice, pytest.mark.asyncio(loop_scope="module")]

CARRIERS = ("twilio", "vonage", "telnyx")
CALLER = "+12125550123"


def phases(network: Any, call_id: str) -> list[CallPhase]:
    return [
        event.phase
        for _, event in network.platform.events
        if isinstance(event, CallProgress) and event.call_id == call_id
    ]


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_person_calls_speaks_presses_keys_and_hangs_up(network: Any, provider: str) -> None:
    script = "Hello, I would like a table.\n[press 1#]\nThank you, goodbye.\n"
    call_id = await network.ring(provider, caller=CALLER, behaviour={"script": script, "patience": 5})
    call = await network.over(call_id)
    platform = network.platform

    inbound = next(event for _, event in platform.events if isinstance(event, InboundCall))
    assert (inbound.call_id, inbound.caller, inbound.callee) == (call_id, CALLER, "+14155550199")
    assert platform.started[0].call_id == call_id
    assert platform.started[0].parameters["token"] == "token-1"
    assert platform.keys == ["1", "#"]
    assert platform.marks[:2] == ["greeting", "answer-1"]
    said = [event["detail"]["text"] for event in call["events"] if event["kind"] == "said"]
    assert said == ["Hello, I would like a table.", "Thank you, goodbye."]
    kinds = [event["kind"] for event in call["events"]]
    assert kinds.index("agent_quiet") < kinds.index("said")
    assert call["cause"] == "hung_up"
    assert platform.loud_frames > 60
    if provider != "twilio":  # whose number has no status address here
        await platform.until(lambda: CallPhase.COMPLETED in phases(network, call_id))


@pytest.mark.parametrize("provider", CARRIERS)
async def test_whoever_answers_is_connected_and_everything_is_told(network: Any, provider: str) -> None:
    platform = network.platform
    await _describe(network, CALLER, {"answer": "human", "ringSeconds": 0.05, "greeting": "Hello?", "script": "Yes."})
    call_id = await platform.carrier(provider).control.dial(_order(network, provider))
    call = await network.over(call_id)
    await platform.until(lambda: CallPhase.COMPLETED in phases(network, call_id))
    told = phases(network, call_id)
    assert told[0] is CallPhase.INITIATED
    assert told[-2:] == [CallPhase.ANSWERED, CallPhase.COMPLETED]
    # Vonage's socket does not say whose call it carries, and before it is dialled nobody knows.
    assert platform.started[0].call_id == ("" if provider == "vonage" else call_id)
    assert [event["detail"]["text"] for event in call["events"] if event["kind"] == "said"] == ["Hello?", "Yes."]


@pytest.mark.parametrize("provider", CARRIERS)
@pytest.mark.parametrize(
    ("answer", "phase"),
    [("busy", CallPhase.BUSY), ("failed", CallPhase.FAILED), ("no-answer", CallPhase.NO_ANSWER)],
)
async def test_who_is_not_reached_is_told_as_the_carrier_tells_it(
    network: Any, provider: str, answer: str, phase: CallPhase
) -> None:
    await _describe(network, CALLER, {"answer": answer, "ringSeconds": 0.02})
    order = _order(network, provider)
    call_id = await network.platform.carrier(provider).control.dial(order)
    if answer == "no-answer":  # which takes five seconds at least
        network.exchange.calls[call_id].end({"vonage": "timeout"}.get(provider, "no-answer"))
    await network.over(call_id)
    await network.platform.until(lambda: phase in phases(network, call_id))
    assert not network.platform.started


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_machine_is_told_and_its_beep_too(network: Any, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for carrier in (twilio, vonage, telnyx):
        monkeypatch.setattr(carrier, "DETECTION", dict.fromkeys(carrier.DETECTION, 0.05))
    await _describe(network, CALLER, {"answer": "voicemail", "ringSeconds": 0.02, "greeting": "Leave a message."})
    order = _order(network, provider, detection=MachineDetection.GREETING)
    call_id = await network.platform.carrier(provider).control.dial(order)

    def detected() -> list[AnsweredBy]:
        return [event.answered_by for _, event in network.platform.events if isinstance(event, MachineDetected)]

    await network.platform.until(lambda: AnsweredBy.MACHINE_BEEP in detected())
    assert detected() == (
        [AnsweredBy.MACHINE_BEEP] if provider == "twilio" else [AnsweredBy.MACHINE, AnsweredBy.MACHINE_BEEP]
    )
    await network.platform.carrier(provider).control.hang_up(call_id)
    call = await network.over(call_id)
    assert "beep" in [event["kind"] for event in call["events"]]


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_media_socket_that_breaks_is_opened_anew_on_the_carriers_own_way(network: Any, provider: str) -> None:
    network.platform.break_first = True
    script = "Hello, hello, can you hear me now?\nAnd now?\n"
    call_id = await network.ring(provider, caller=CALLER, behaviour={"script": script, "patience": 2})
    call = await network.over(call_id)
    assert network.platform.sockets == 2
    assert [one.call_id for one in network.platform.started] == [call_id, call_id]
    ends = [event["detail"]["how"] for event in call["events"] if event["kind"] == "stream.ended"]
    assert ends[0] == "lost"
    lost = [event for what, event in network.platform.events if isinstance(event, MediaLost) or what == "resume"]
    assert lost


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_line_that_drops_is_resumed_once(network: Any, provider: str) -> None:
    call_id = await network.ring(
        provider,
        caller=CALLER,
        behaviour={"script": "[silence 4]\nHello?\n", "patience": 2},
        faults={"dropAt": 0.1, "loss": 0.1, "jitterMs": 2},
    )
    call = await network.over(call_id)
    assert next(event["detail"]["how"] for event in call["events"] if event["kind"] == "stream.ended") == "lost"
    assert network.platform.sockets == 2


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_webhook_that_is_not_taken_comes_again(
    network: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "WAITS", (0.01, 0.01, 0.01))
    await _describe(network, CALLER, {"answer": "busy", "ringSeconds": 0.02})
    network.platform.fails = 1
    call_id = await network.platform.carrier(provider).control.dial(_order(network, provider))
    await network.platform.until(lambda: CallPhase.BUSY in phases(network, call_id))
    assert phases(network, call_id)[0] is CallPhase.INITIATED


@pytest.mark.parametrize("provider", CARRIERS)
async def test_two_calls_are_bridged_and_end_together(network: Any, provider: str) -> None:
    platform = network.platform
    await _describe(network, CALLER, {"ringSeconds": 0.02, "script": "[silence 60]"})
    first = await network.ring(provider, caller="+13125550111", behaviour={"script": "[silence 60]"})
    await platform.until(lambda: len(platform.started) == 1)
    control = platform.carrier(provider).control
    second = await control.dial(_order(network, provider))
    await platform.until(lambda: len(platform.started) == 2)
    await control.bridge(first, second, name="together")
    calls = network.exchange.calls
    async with asyncio.timeout(5):
        while not all(any(one.kind == "joined" for one in calls[id].events) for id in (first, second)):
            await calls[first].changed.wait()
    await network.http.post(f"/simulator/calls/{second}/hang-up")
    call = await network.over(first)
    assert call["cause"] == "completed"


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_call_is_handed_over_to_somebody_else(network: Any, provider: str) -> None:
    platform = network.platform
    await _describe(network, CALLER, {"ringSeconds": 0.02, "script": "Bye.", "patience": 1})
    first = await network.ring(provider, caller="+13125550111", behaviour={"script": "[silence 60]"})
    await platform.until(lambda: platform.marks)
    await platform.carrier(provider).control.transfer(first, callee=CALLER, caller="+14155550199")
    call = await network.over(first)
    kinds = [event["kind"] for event in call["events"]]
    assert "joined" in kinds
    assert "agent_speaks" in kinds
    assert call["cause"] == "completed"


async def test_twilio_tells_of_a_stream_that_broke_and_of_one_that_was_never_opened(network: Any) -> None:
    account = network.world.account("twilio")
    await _describe(network, CALLER, {"ringSeconds": 0.02, "stays": True})
    told = f"{network.platform.url}/api/v1/carriers/twilio/simulator/events"
    nowhere = f'<Connect action="{told}"><Stream url="ws://127.0.0.1:9/x" statusCallback="{told}"/></Connect>'
    media = network.platform.target("twilio").url
    broken = f'<Connect action="{told}"><Stream url="{media}" statusCallback="{told}"/></Connect>'
    auth = (account.option("account_sid"), account.secret("auth_token"))
    path = f"{account.option('base_url')}/2010-04-01/Accounts/{auth[0]}/Calls.json"
    for stream, faults in ((nowhere, {}), (broken, {"dropAt": 0.05})):
        network.platform.raw.clear()
        await _describe(network, CALLER, {"ringSeconds": 0.02, "stays": True}, faults=faults)
        form = {"To": CALLER, "From": "+14155550199", "Twiml": f"<Response>{stream}</Response>"}
        made = await network.http.post(path, data=form, auth=auth)
        assert made.status_code == 201
        await network.over(made.json()["sid"])
        await network.platform.until(lambda: len(network.platform.raw) >= 3)
        asked = [dict(parse_qsl(one.body.decode())) for one in network.platform.raw]
        assert [one["StreamEvent"] for one in asked if "StreamEvent" in one] == ["stream-started", "stream-error"]
        (action,) = [one for one in asked if "StreamEvent" not in one]
        assert action["ErrorCode"] == ("31920" if stream is nowhere else "31924")


async def test_telnyx_passes_on_what_the_telephone_network_negotiated(network: Any) -> None:
    call_id = await network.ring("telnyx", behaviour={"script": "Hello, hello."}, faults={"codec": "pcma"})
    await network.over(call_id)
    (started,) = network.platform.started
    assert (started.heard.codec, started.spoken.codec) == ("pcma", "pcmu")
    assert network.platform.loud_frames > 20


async def test_a_socket_that_is_stuck_both_ways_stays_open_until_the_call_ends(network: Any) -> None:
    call_id = await network.ring("twilio", behaviour={"stays": True}, faults={"halfOpenAt": 0.1})
    await network.platform.until(lambda: network.platform.heard_frames > 10)
    call = network.exchange.calls[call_id]
    async with asyncio.timeout(5):
        while not any(event.kind == "media.half_open" for event in call.events):
            await call.changed.wait()
    heard = network.platform.heard_frames
    assert not call.ended.is_set()
    await network.http.post(f"/simulator/calls/{call_id}/hang-up")
    await network.over(call_id)
    assert network.platform.heard_frames <= heard + 20


async def test_a_person_who_stays_goes_on_when_told(network: Any) -> None:
    call_id = await network.ring("vonage", behaviour={"stays": True, "patience": 1})
    await network.platform.until(lambda: network.platform.marks)
    for script in ("Hello, are you there?", "[press 5]", "[hang up]"):
        answer = await network.http.post(f"/simulator/calls/{call_id}/steps", json={"script": script})
        assert answer.status_code == 202
    call = await network.over(call_id)
    assert network.platform.keys == ["5"]
    assert call["cause"] == "hung_up"
    late = await network.http.post(f"/simulator/calls/{call_id}/steps", json={"script": "Hello?"})
    assert late.status_code == 409
    assert (await network.http.post(f"/simulator/calls/{call_id}/steps", json={"script": "[x]"})).status_code == 400


@pytest.mark.parametrize("provider", CARRIERS)
async def test_ten_copies_of_every_webhook_are_all_signed(network: Any, provider: str) -> None:
    await _describe(network, CALLER, {"answer": "busy", "ringSeconds": 0.02}, faults={"webhookCopies": 10})
    call_id = await network.platform.carrier(provider).control.dial(_order(network, provider))
    await network.platform.until(lambda: phases(network, call_id).count(CallPhase.BUSY) == 10)


async def _describe(network: Any, number: str, behaviour: dict[str, Any], **more: Any) -> None:
    body = {"behaviour": behaviour, **more}
    (await network.http.put(f"/simulator/telephones/{number}", json=body)).raise_for_status()


def _order(network: Any, provider: str, **more: Any) -> Dial:
    platform = network.platform
    return Dial(
        attempt_id=f"att-{provider}",
        callee=CALLER,
        caller="+14155550199",
        target=platform.target(provider),
        events_url=f"{platform.url}/api/v1/carriers/{provider}/simulator/events?session=s1",
        **more,
    )

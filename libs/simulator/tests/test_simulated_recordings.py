"""What the simulated carriers record, hand over, ask and play; with our adapters and the carriers' own libraries as clients."""

import asyncio
import io
import json
import wave
from typing import Any

import httpx
import jwt
import numpy as np
import pytest
import telnyx as telnyx_library
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client as TwilioClient
from voisnap_domain.calls import CallPhase
from voisnap_providers.carriers import SIMULATOR, CarrierUrls
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import (
    CallProgress,
    HandOverCourse,
    RecordingFormat,
    RecordingOrder,
    RecordingSaved,
)
from voisnap_simulator.voice.sound import RATE, tone

pytestmark = [pytest.mark.slice, pytest.mark.asyncio(loop_scope="module")]

CARRIERS = ("twilio", "vonage", "telnyx")
OURS, SOMEBODY, CALLER = "+14155550199", "+12125550123", "+13125550111"


async def describe(network: Any, **behaviour: Any) -> None:
    answer = await network.http.put(f"/simulator/telephones/{SOMEBODY}", json={"behaviour": behaviour})
    answer.raise_for_status()


async def handed_over(network: Any, provider: str, *, is_recorded: bool = False, ring_seconds: int = 30) -> str:
    """A caller of ours who is put through to somebody."""
    platform = network.platform
    call_id = await network.ring(provider, caller=CALLER, behaviour={"script": "[silence 60]"})
    await platform.until(lambda: platform.marks)
    urls, whose = CarrierUrls(platform.url), {"session_id": "s1", "attempt_id": "x1"}
    recording = urls.recording(provider, SIMULATOR, **whose)
    await platform.carrier(provider).control.transfer(
        call_id,
        callee=SOMEBODY,
        caller=OURS,
        ring_seconds=ring_seconds,
        course=HandOverCourse(
            attempt_id="x1",
            events_url=urls.events(provider, SIMULATOR, **whose),
            after_url=urls.resume(provider, SIMULATOR, **whose),
        ),
        recording=RecordingOrder(events_url=recording) if is_recorded else None,
    )
    return call_id


def of_the_leg(network: Any, call_id: str) -> list[CallProgress]:
    """What was told of the call to somebody else."""
    told = [event for _, event in network.platform.events if isinstance(event, CallProgress)]
    return [event for event in told if event.call_id != call_id]


def saved(network: Any) -> list[RecordingSaved]:
    return [event for _, event in network.platform.events if isinstance(event, RecordingSaved)]


@pytest.mark.parametrize("provider", CARRIERS)
async def test_what_is_said_after_a_transfer_is_recorded_fetched_and_deleted(network: Any, provider: str) -> None:
    await describe(network, ringSeconds=0.02, greeting="Hello, sales.", script="Bye.", patience=1)
    call_id = await handed_over(network, provider, is_recorded=True)
    await ended(network, call_id)
    platform = network.platform
    await platform.until(
        lambda: saved(network) and any(one.phase is CallPhase.COMPLETED for one in of_the_leg(network, call_id))
    )
    phases = [one.phase for one in of_the_leg(network, call_id)]
    assert phases[0] is CallPhase.INITIATED
    assert CallPhase.ANSWERED in phases
    if provider == "telnyx":
        references = {
            (one.hand_over.call_id, one.hand_over.attempt_id) for one in of_the_leg(network, call_id) if one.hand_over
        }
        assert references == {(call_id, "x1")}
    else:
        assert any(one.seconds is not None for one in of_the_leg(network, call_id))
    (recording,) = saved(network)
    control = platform.carrier(provider).control
    sound = b"".join(
        [one async for one in control.fetch_recording(recording.recording_id, RecordingFormat.MP3, most=10**7)]
    )
    assert sound[:3] == b"ID3" or sound[0] == 0xFF, sound[:8]
    await control.delete_recording(recording.recording_id)
    if provider != "vonage":  # which has no command for it
        with pytest.raises(ProviderError):
            _ = [one async for one in control.fetch_recording(recording.recording_id, RecordingFormat.MP3, most=10**7)]
        await control.delete_recording(recording.recording_id)


@pytest.mark.parametrize("provider", CARRIERS)
async def test_a_caller_whom_nobody_takes_over_is_told_so_and_hung_up_on(network: Any, provider: str) -> None:
    await describe(network, answer="busy", ringSeconds=0.02)
    call_id = await handed_over(network, provider, is_recorded=True, ring_seconds=5)
    said = [event.detail["text"] for event in await ended(network, call_id) if event.kind == "carrier_says"]
    assert said == ["Nobody is there."]
    await network.platform.until(lambda: CallPhase.BUSY in [one.phase for one in of_the_leg(network, call_id)])
    if provider != "vonage":  # which records from the document on, the ringing too
        assert saved(network) == []


async def ended(network: Any, call_id: str) -> list[Any]:
    """The events of a call that is over."""
    async with asyncio.timeout(10):
        await network.exchange.calls[call_id].ended.wait()
    return network.exchange.calls[call_id].events


async def _until(is_so: Any) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


class _Rewritten(TwilioHttpClient):
    def __init__(self, url: str) -> None:
        super().__init__(timeout=5)
        self._url = url

    def request(self, method: str, url: str, *arguments: object, **more: object):
        return super().request(method, f"{self._url}/{url.partition('://')[2].partition('/')[2]}", *arguments, **more)


def twilio(network: Any) -> TwilioClient:
    account = network.world.account("twilio")
    http = _Rewritten(account.option("base_url"))
    return TwilioClient(account.option("account_sid"), account.secret("auth_token"), http_client=http)


async def dialled(network: Any, twiml: str, **more: Any) -> Any:
    client = twilio(network)
    return await asyncio.to_thread(lambda: client.calls.create(to=SOMEBODY, from_=OURS, twiml=twiml, **more))


def document(network: Any) -> str:
    return f"{network.platform.url}/document"


async def test_twilios_library_records_pauses_lists_fetches_and_deletes(network: Any) -> None:
    client = twilio(network)
    await describe(network, ringSeconds=0.02, greeting="Hello?", stays=True)
    told = document(network)
    call = await dialled(
        network, "<Response><Pause length='60'/></Response>", record=True, recording_status_callback=told
    )
    live = network.exchange.calls[call.sid]
    await _until(lambda: live.tapes)
    second = await asyncio.to_thread(lambda: client.calls(call.sid).recordings.create(recording_channels="dual"))
    assert (second.status, second.channels) == ("in-progress", 2)
    current = client.calls(call.sid).recordings("Twilio.CURRENT")
    assert (await asyncio.to_thread(lambda: current.update(status="paused", pause_behavior="skip"))).status == "paused"
    assert (await asyncio.to_thread(lambda: current.update(status="in-progress"))).status == "in-progress"
    await asyncio.to_thread(lambda: client.calls(call.sid).update(status="completed"))
    await network.platform.until(lambda: network.platform.asked)
    (ended,) = network.platform.asked
    assert (ended["RecordingStatus"], ended["CallSid"], ended["RecordingSource"]) == (
        "completed",
        call.sid,
        "OutboundAPI",
    )
    listed = await asyncio.to_thread(lambda: client.calls(call.sid).recordings.list())
    assert {one.sid for one in listed} == {ended["RecordingSid"], second.sid}
    assert (await asyncio.to_thread(lambda: client.recordings(second.sid).fetch())).status == "completed"
    assert await asyncio.to_thread(lambda: client.recordings(second.sid).delete())
    assert len(await asyncio.to_thread(lambda: client.recordings.list())) == 1


async def test_twiml_gathers_keys_and_speech_records_plays_and_redirects(network: Any) -> None:
    platform, url = network.platform, document(network)
    await describe(
        network,
        ringSeconds=0.02,
        greeting="Hello?",
        script="[press 12#]\n[silence 1]\nOne two three.\n[silence 20]",
        patience=1,
    )
    platform.sound = _wav(tone((500.0,), 0.3))
    platform.documents = [
        f'<Response><Gather input="speech" action="{url}" timeout="20"/></Response>'.encode(),
        f"<Response><Redirect>{url}</Redirect></Response>".encode(),
        f'<Response><Record action="{url}" timeout="1" maxLength="3"/><Hangup/></Response>'.encode(),
    ]
    prompt = f'<Gather input="dtmf speech" action="{url}" timeout="20"><Say>Press.</Say><Play>{platform.url}/sound</Play></Gather>'
    call = await dialled(network, f"<Response>{prompt}<Hangup/></Response>")
    events = await ended(network, call.sid)
    first, second, *_ = platform.asked
    assert first["Digits"] == "12"
    assert (second["SpeechResult"], "Confidence" in second) == ("One two three.", True)
    assert not [one for one in events if one.kind == "fault"]
    assert "records" in [one.kind for one in events]


async def test_a_verb_that_is_none_is_told_as_twilio_tells_it_and_the_document_goes_on(network: Any) -> None:
    await describe(network, ringSeconds=0.02, stays=True)
    call = await dialled(network, "<Response><Sing/><Play>http://127.0.0.1:9/x.mp3</Play><Hangup/></Response>")
    faults = [event.detail["error"][:5] for event in await ended(network, call.sid) if event.kind == "fault"]
    assert faults == ["12200", "11200"]


async def test_twilios_library_calls_somebody_into_a_conference_mutes_him_and_lets_him_go(network: Any) -> None:
    client = twilio(network)
    await describe(network, ringSeconds=0.02, stays=True)
    made = await asyncio.to_thread(
        lambda: client.conferences("team").participants.create(from_=OURS, to=SOMEBODY, label="a")
    )
    await _until(lambda: "twilio:team" in network.exchange.rooms)
    (room,) = await asyncio.to_thread(lambda: client.conferences.list(friendly_name="team"))
    one = client.conferences(room.sid).participants(made.call_sid)
    assert (await asyncio.to_thread(lambda: one.update(muted=True))).muted
    assert (await asyncio.to_thread(one.fetch)).label == "a"
    assert await asyncio.to_thread(one.delete)
    await ended(network, made.call_sid)
    assert network.exchange.calls[made.call_sid].cause == "completed"


async def test_an_ncco_asks_records_and_plays_and_nonsense_is_told(network: Any) -> None:
    platform, url = network.platform, [document(network)]
    await describe(
        network,
        ringSeconds=0.02,
        greeting="Hello?",
        script="[press 42]\n[silence 1]\nTo the sales.\n[silence 30]",
        patience=1,
    )
    platform.sound = _wav(tone((500.0,), 0.2))
    speech = [
        {"action": "input", "type": ["speech"], "speech": {"startTimeout": 20, "endOnSilence": 1}, "eventUrl": url}
    ]
    record = [
        {"action": "stream", "streamUrl": [f"{platform.url}/sound"]},
        {"action": "record", "timeOut": 3, "format": "wav", "eventUrl": url},
        {"action": "sing", "eventUrl": url},
    ]
    platform.documents = [json.dumps(one).encode() for one in (speech, record)]
    account = network.world.account("vonage")
    ask = {"action": "input", "type": ["dtmf"], "dtmf": {"timeOut": 10, "maxDigits": 2}, "eventUrl": url}
    order = {
        "to": [{"type": "phone", "number": SOMEBODY[1:]}],
        "from": {"type": "phone", "number": OURS[1:]},
        "ncco": [ask],
        "event_url": [f"{platform.url}/document/events"],
    }
    claims = {"application_id": account.option("application_id"), "iat": int(network.world.clock()), "jti": "1"}
    token = jwt.encode(claims, account.secret("private_key"), algorithm="RS256")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=account.option("base_url"), headers=headers, timeout=5) as client:
        made = (await client.post("/v1/calls", json=order)).raise_for_status().json()
        call = network.exchange.calls[made["uuid"]]
        await ended(network, made["uuid"])
        gathered = [one for one in platform.asked if "dtmf" in one]
        assert gathered[0]["dtmf"] == {"digits": "42", "timed_out": False}
        assert [one["text"] for one in gathered[1]["speech"]["results"]] == ["To the sales."]
        (recorded,) = [one for one in platform.asked if "recording_url" in one]
        file = await client.get(recorded["recording_url"])
        assert (file.status_code, file.content[:4], len(file.content)) == (200, b"RIFF", recorded["size"])
        assert (await client.get(recorded["recording_url"], headers={"Authorization": ""})).status_code == 401
    faults = [one.detail["error"] for one in call.events if one.kind == "fault"]
    assert faults == ["sing is no action that is known"]


async def test_telnyxs_library_gathers_plays_and_records(network: Any) -> None:
    platform = network.platform
    await describe(network, ringSeconds=0.02, greeting="Hello?", script="[press 7#]\n[silence 60]", patience=1)
    platform.sound = _wav(tone((500.0,), 0.1))
    account = network.world.account("telnyx")
    client = telnyx_library.AsyncTelnyx(
        api_key=account.secret("api_key"),
        base_url=account.option("base_url"),
        public_key=account.option("public_key"),
        max_retries=0,
    )
    call = (
        await client.calls.dial(
            connection_id=account.option("connection_id"),
            from_=OURS,
            to=SOMEBODY,
            webhook_url=f"{platform.url}/document",
        )
    ).data
    assert call is not None

    def told(kind: str) -> list[dict[str, Any]]:
        return [one["data"]["payload"] for one in platform.asked if one.get("data", {}).get("event_type") == kind]

    actions, id = client.calls.actions, call.call_control_id
    await platform.until(lambda: told("call.answered"))
    await actions.start_recording(id, channels="dual", format="wav")
    await actions.gather_using_speak(id, payload="Press a key.", voice="female", language="en-US")
    await platform.until(lambda: told("call.gather.ended"))
    assert [(one["digits"], one["status"]) for one in told("call.gather.ended")] == [("7", "valid")]
    assert [one["digit"] for one in told("call.dtmf.received")] == ["7", "#"]
    await actions.start_playback(id, audio_url=f"{platform.url}/sound")
    await platform.until(lambda: told("call.playback.ended"))
    assert told("call.playback.ended")[0]["status"] == "completed"
    await actions.stop_recording(id)
    await platform.until(lambda: told("call.recording.saved"))
    (event,) = told("call.recording.saved")
    kept = (await client.recordings.retrieve(event["recording_id"])).data
    assert kept is not None
    assert (kept.channels, kept.call_leg_id) == ("dual", call.call_leg_id)
    assert kept.download_urls is not None
    assert kept.download_urls.wav == event["recording_urls"]["wav"]
    async with httpx.AsyncClient() as stranger:
        sound = await stranger.get(event["recording_urls"]["wav"])
        assert (sound.status_code, sound.content[:4]) == (200, b"RIFF")
        assert (await stranger.get(event["recording_urls"]["wav"][:-1])).status_code == 403
    await client.recordings.delete(event["recording_id"])
    with pytest.raises(telnyx_library.NotFoundError):
        await client.recordings.retrieve(event["recording_id"])
    await actions.hangup(id)
    await client.close()


def _wav(sound: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes(sound.astype("<i2").tobytes())
    return file.getvalue()

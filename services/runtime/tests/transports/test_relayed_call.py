import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from voisnap_proto.requests import IceServer
from voisnap_runtime.transports.webrtc import WebRtcTransport
from voisnap_stack.turn import TurnServer

pytestmark = pytest.mark.media

SECRET = "secret of the relay"


def credentials() -> tuple[str, str]:
    username = f"{int(time.time()) + 600}:wrtc_1"
    digest = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


@pytest.fixture
async def relay() -> AsyncIterator[TurnServer]:
    server = await TurnServer.start(SECRET)
    yield server
    await server.stop()


async def test_a_caller_who_only_reaches_a_relay_is_heard_and_hears(relay: TurnServer, line):
    username, credential = credentials()
    servers = [RTCIceServer(urls=[relay.url], username=username, credential=credential)]
    caller = line.caller
    caller.pc = RTCPeerConnection(RTCConfiguration(iceServers=servers, iceTransportPolicy=RTCIceTransportPolicy.RELAY))
    caller.pc.addTrack(caller.beeps)
    caller.pc.on("track", caller._on_track)
    await line.connect()
    await line.ear.until(lambda ear: len(ear.loud_at) >= 2)
    await caller.until(lambda one: len(one.heard) >= 30)
    assert relay.allocations == 1


async def test_our_own_relayed_candidate_is_told_when_it_is_found(relay: TurnServer, line):
    username, credential = credentials()
    servers = [IceServer(urls=(relay.url,), username=username, credential=credential)]
    line.transport = WebRtcTransport(
        servers,
        sink=line.ear,
        on_state=line.states,
        on_local_candidate=lambda found: line.candidates.append(dict(found)),
    )
    await line.connect()
    await line.ear.until(lambda _: any(" typ relay " in found["candidate"] for found in line.candidates))
    await line.ear.until(lambda ear: len(ear.loud_at) >= 1)
    await line.transport.close()


async def test_a_relay_that_refuses_does_not_hinder_the_call(relay: TurnServer, line):
    servers = [IceServer(urls=(relay.url,), username="nobody", credential="wrong")]
    line.transport = WebRtcTransport(servers, sink=line.ear, on_state=line.states)
    await line.connect()
    await line.ear.until(lambda ear: len(ear.loud_at) >= 1)
    assert relay.allocations == 0

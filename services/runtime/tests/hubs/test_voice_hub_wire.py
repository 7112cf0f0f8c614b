"""VoiceHub as clients of all kinds meet it: MessagePack, one stream for all audio, clients that come back by themselves, slow ones."""

import asyncio
import base64
import itertools
import json

import httpx
import msgspec
import numpy as np
import pytest
from voisnap_domain.ids import SessionId
from voisnap_media.pcm import Pcm
from websockets.asyncio.client import connect

pytestmark = pytest.mark.hub


async def talking(house, client):
    await client.until("SessionStarted", keep=True)
    call = house.calls[SessionId("call_1")]
    await call.running.wait()
    return call


class MsgpackClient:
    """Calls of a hub over binary frames: length (LEB128), then an array whose first element is the type."""

    def __init__(self, socket, first: bytes) -> None:
        self._socket = socket
        self._buffer = bytearray(first)
        self._messages: list[list] = []

    async def ask(self, target: str, *arguments) -> str | None:
        """Call a method; the error it answers with."""
        message = msgspec.msgpack.encode([1, {}, "1", target, arguments, []])
        assert len(message) < 1 << 14
        length = bytes([len(message) & 127 | 128, len(message) >> 7])
        await self._socket.send(length + message)
        completion = await self._until(lambda message: message[0] == 3)
        return completion[4] if completion[3] == 1 else None

    async def told(self, target: str):
        """The first argument of the next call of that target."""
        return (await self._until(lambda message: message[0] == 1 and message[3] == target))[4][0]

    async def _until(self, wanted) -> list:
        async with asyncio.timeout(5):
            while True:
                for message in self._messages:
                    if wanted(message):
                        self._messages.remove(message)
                        return message
                if not self._read():
                    self._buffer += await self._socket.recv()

    def _read(self) -> bool:
        length = shift = used = 0
        for byte in self._buffer[:5]:
            length |= (byte & 127) << shift
            shift, used = shift + 7, used + 1
            if byte < 128:
                break
        if not self._buffer or used + length > len(self._buffer):
            return False
        self._messages.append(msgspec.msgpack.decode(self._buffer[used : used + length]))
        del self._buffer[: used + length]
        return True


async def test_with_messagepack_audio_is_bytes_both_ways_and_base64_is_understood(house, port, keys):
    url = f"ws://127.0.0.1:{port}/hubs/voice?agentId=agt_1&access_token={keys.token()}"
    ramp = np.arange(320, dtype="<i2").tobytes()
    async with connect(url) as socket:
        await socket.send('{"protocol":"messagepack","version":1}\x1e')
        reply = await socket.recv()
        assert reply[:3] == b"{}\x1e"
        client = MsgpackClient(socket, reply[3:])
        assert (await client.told("SessionStarted"))["sessionId"] == "call_1"
        call = house.calls[SessionId("call_1")]
        await call.running.wait()
        for audio in (ramp, base64.b64encode(ramp).decode()):
            assert await client.ask("SendAudioAsync", audio) is None
        for wrong in (b"abc", "?", 7, None):
            assert "The audio can't be used" in await client.ask("SendAudioAsync", wrong)
        house.pacer.pairs[id(call)][1].send(Pcm(np.arange(480, dtype=np.int16), 24000))
        heard = await client.told("AudioReceived")

    assert [audio.to_bytes() for audio in call.fed] == [ramp, ramp]
    assert heard == np.arange(480, dtype="<i2").tobytes()


class Uploader:
    """A client's stream of audio, in JSON."""

    def __init__(self, client, stream: str) -> None:
        self._client = client
        self._stream = stream

    async def begin(self) -> None:
        await self._send(
            {"type": 1, "invocationId": "up", "target": "UploadAudio", "arguments": [], "streamIds": [self._stream]}
        )

    async def give(self, item: object) -> None:
        await self._send({"type": 2, "invocationId": self._stream, "item": item})

    async def end(self) -> None:
        await self._send({"type": 3, "invocationId": self._stream})

    async def _send(self, message: dict) -> None:
        await self._client._socket.send(json.dumps(message) + "\x1e")


async def test_a_stream_carries_the_audio_of_a_whole_call_beside_other_calls(house, voice):
    frame = base64.b64encode(np.arange(320, dtype="<i2").tobytes()).decode()
    async with voice() as client:
        call = await talking(house, client)
        upload = Uploader(client, "s1")
        await upload.begin()
        for _ in range(20):
            await upload.give(frame)
        await client.ask("SendDtmfAsync", "7")
        await upload.end()
        await client.answered("up")
    assert len(call.fed) == 20
    assert call.digits == ["7"]


async def test_a_stream_that_is_too_fast_goes_on_and_one_without_audio_ends(house, voice):
    second = base64.b64encode(bytes(32_000)).decode()
    async with voice() as client:
        call = await talking(house, client)
        upload = Uploader(client, "s1")
        await upload.begin()
        for _ in range(6):
            await upload.give(second)
        await upload.give("abc")
        with pytest.raises(AssertionError, match="The audio can't be used"):
            await client.answered("up")
        assert [value["code"] for name, value in client.seen if name == "Error"] == ["AUDIO_TOO_FAST", "INVALID_AUDIO"]
        await client.ask("SendDtmfAsync", "1")
    assert sum(audio.seconds for audio in call.fed) == 2


async def test_a_client_that_vanishes_in_its_stream_can_come_back(house, voice, left_alone):
    async with voice() as client:
        await talking(house, client)
        await Uploader(client, "s1").begin()
    await left_alone(house.sessions.get(SessionId("call_1")))
    async with voice(sessionId="call_1") as again:
        assert (await again.until("SessionStarted"))["resumed"] is True


@pytest.mark.parametrize(("user", "foreign"), [("usr_1", "usr_2"), ("key_1", "key_2")])
async def test_a_client_that_negotiates_with_its_old_connection_gets_its_session_back(
    user, foreign, house, port, keys, connect_hub, left_alone, monkeypatch
):
    renewals = itertools.count(1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def negotiated(**query: str) -> dict[str, str]:
            """As signalrcore does: no cookies, the old id left in the address."""
            http.cookies.clear()
            token = keys.token(user=user, jti=f"jti_{next(renewals)}")
            query = {"agentId": "agt_1", "access_token": token} | query
            answer = await http.post("/hubs/voice/negotiate", params={**query, "negotiateVersion": "1"})
            return query | {"id": answer.json()["connectionToken"]}

        first = await negotiated()
        async with connect_hub(port, first, hub="voice") as client:
            await talking(house, client)
        await left_alone(house.sessions.get(SessionId("call_1")))

        stranger = await negotiated(id=first["id"], access_token=keys.token(user=foreign))
        async with connect_hub(port, stranger, hub="voice") as other:
            started = await other.until("SessionStarted")
            assert (started["sessionId"], started["resumed"]) == ("call_2", False)

        second = await negotiated(id=first["id"])
        async with connect_hub(port, second, hub="voice") as client:
            started = await client.until("SessionStarted")
            assert (started["sessionId"], started["resumed"]) == ("call_1", True)

            # It sends its audio no more, and nobody noticed that it is gone.
            monkeypatch.setattr("voisnap_runtime.sessions.attendance.HALF_OPEN_SECONDS", 0.0)
            await client.ask("SendAudioAsync", "AAA=")
            third = await negotiated(id=second["id"])
            async with connect_hub(port, third, hub="voice") as fresh:
                started = await fresh.until("SessionStarted")
                assert (started["sessionId"], started["resumed"]) == ("call_1", True)
                assert (await client.until("Error"))["code"] == "SESSION_TAKEN_OVER"


async def test_a_client_that_does_not_read_is_dropped_and_its_session_waits_for_it(house, voice, left_alone):
    async with voice() as client:
        call = await talking(house, client)
        live = house.sessions.get(SessionId("call_1"))
        transport = house.pacer.pairs[id(call)][1]
        frame = Pcm(np.zeros(480, np.int16), 24000)
        sent = 0
        while live.is_watched and sent < 20_000:
            transport.send(frame)
            sent += 1
            if sent % 100 == 0:
                await asyncio.sleep(0)
        await left_alone(live)
        assert sent < 20_000
        client._socket.transport.abort()  # it would wait for a server that waits for it
    async with voice(sessionId="call_1") as again:
        assert (await again.until("SessionStarted"))["resumed"] is True
        await again.ask("SendAudioAsync", "AAA=")
    assert len(call.fed) == 1

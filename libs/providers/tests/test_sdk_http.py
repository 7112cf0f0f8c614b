"""The HTTP client that vendors' libraries are lent."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from voisnap_providers.vendors import sdk_http
from voisnap_providers.vendors.sdk_http import TooLong, bounded_client, noting_responses

pytestmark = pytest.mark.conformance


class Server:
    """Answers every request alike, with bytes as they are."""

    def __init__(self) -> None:
        self.reply = b""
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.reply)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    answering = Server()
    listening = await asyncio.start_server(answering.serve, "127.0.0.1", 0)
    answering.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield answering


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with bounded_client() as made:
        yield made


async def test_a_key_goes_where_it_was_sent_and_no_further(server, client):
    server.reply = b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    response = await client.get(server.url, headers={"Authorization": "Bearer secret"})
    assert response.status_code == 307
    assert len(server.requests) == 1
    assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_no_call_is_without_limits_of_time(server, client):
    server.reply = b"HTTP/1.1 204 Done\r\n\r\n"
    response = await client.get(server.url, timeout=None)
    assert response.request.extensions["timeout"] == {"connect": 5.0, "read": 60.0, "write": 60.0, "pool": 5.0}


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n"])
async def test_a_stream_is_bounded_by_event_and_as_a_whole(server, client, monkeypatch, blank):
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    monkeypatch.setattr(sdk_http, "MAX_EVENT_BYTES", 200_000)
    monkeypatch.setattr(sdk_http, "MAX_REPLY_BYTES", 1_000_000)
    server.reply = head + (b"x" * 1000 + blank) * 900
    assert len((await client.get(server.url)).content) > 900_000
    for too_long in ((b"x" * 1000 + blank) * 1100, b"x" * 300_000 + blank):
        server.reply = head + too_long
        with pytest.raises(TooLong):
            await client.get(server.url)


async def test_responses_are_noted_where_somebody_asks(server, client):
    server.reply = b"HTTP/1.1 204 Done\r\n\r\n"
    noted: list[httpx2.Response] = []
    with noting_responses(noted):
        inside = await client.get(server.url)
    await client.get(server.url)
    assert noted == [inside]

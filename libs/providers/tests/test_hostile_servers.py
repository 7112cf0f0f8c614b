"""Servers of tenants that mean harm: whatever they send, other calls of the process go on."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.accounts import Account
from voisnap_providers.endpoint import foreign_endpoint
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.llm import LlmRequest, LlmUsed, Message, Role, TextDelta
from voisnap_providers.vendors import sse
from voisnap_providers.vendors.chat_http import MAX_PIECES, PIECES_AT_ONCE
from voisnap_providers.vendors.gemini.llm import GeminiLlm
from voisnap_providers.vendors.openai.llm import OpenAiLlm
from voisnap_providers.vendors.openai.wire import MAX_TOKENS

pytestmark = pytest.mark.conformance

REQUEST = LlmRequest(
    messages=(Message(role=Role.USER, content="Hello"),),
    settings=Llm(provider=LlmProvider.OPENAI_COMPATIBLE, model="any"),
)


@contextlib.asynccontextmanager
async def server_saying(status: int, content_type: str, body: bytes) -> AsyncIterator[str]:
    """A server whose every answer is this body, in chunks as it stands."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize(
    ("status", "content_type"), [(200, "text/event-stream"), (200, "application/json"), (500, "application/json")]
)
async def test_a_body_in_single_bytes_is_given_up_and_holds_up_nobody(status, content_type):
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with server_saying(status, content_type, b"1\r\na\r\n" * (MAX_PIECES + 1)) as url:
        model = OpenAiLlm(Account(id="pcred_1.1", provider="openai_compatible", options={"base_url": url}))
        busy = asyncio.create_task(others())
        with pytest.raises(ProviderError, match="too many pieces"):
            await anext(aiter(model.answer(REQUEST)))
        busy.cancel()
        await model.aclose()
    assert turns >= MAX_PIECES // PIECES_AT_ONCE


async def test_a_long_line_in_small_pieces_costs_no_more_than_in_one():
    async def pieces() -> AsyncIterator[bytes]:
        yield b"data: " + b"a" * 900_000
        for _ in range(30_000):
            yield b"b"
        yield b"\n\n"

    began = time.process_time()
    [data] = [data async for data in sse.data_of(pieces())]
    assert time.process_time() - began < 1.0
    assert data == b"a" * 900_000 + b"b" * 30_000


@pytest.mark.parametrize(("told", "counted"), [(-7, 0), (10**30, MAX_TOKENS), (12, 12)])
async def test_no_count_breaks_the_sum_and_no_sign_the_transcript(told, counted):
    chunks = [
        {"choices": [{"delta": {"content": "Good\0bye."}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": told, "completion_tokens": told}},
    ]
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(events), events)
    async with server_saying(200, "text/event-stream", body) as url:
        model = OpenAiLlm(Account(id="pcred_1.1", provider="openai_compatible", options={"base_url": url}))
        deltas = [delta async for delta in model.answer(REQUEST)]
        await model.aclose()
    assert deltas == [TextDelta(text="Goodbye."), LlmUsed(input_tokens=counted, output_tokens=counted)]


async def test_names_that_are_slow_to_look_up_hold_up_no_other_names(monkeypatch):
    answer = threading.Event()
    real = socket.getaddrinfo

    def slow(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith(".test"):
            answer.wait(10)
            raise OSError
        return real(host, *rest, **more)

    monkeypatch.setattr("socket.getaddrinfo", slow)
    monkeypatch.setattr("voisnap_providers.endpoint.LOOKUP_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    asked = (foreign_endpoint(f"https://{number}.test/v1", "openai_compatible") for number in range(4))
    refused = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(error) for error in refused] == ["The host of the baseUrl is not known."] * 4
    async with asyncio.timeout(2):
        assert await loop.getaddrinfo("127.0.0.1", 80)
    answer.set()


async def test_a_model_that_the_account_may_not_use_is_no_refused_key():
    body = json.dumps({"error": {"message": "no access", "type": "invalid_request_error", "code": "model_not_found"}})
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body.encode())
    async with server_saying(403, "application/json", chunks) as url:
        model = OpenAiLlm(Account(id="pcred_1.1", provider="openai_compatible", options={"base_url": url}))
        with pytest.raises(ProviderError, match="no such model") as caught:
            await anext(aiter(model.answer(REQUEST)))
        await model.aclose()
    assert not caught.value.retryable
    assert not isinstance(caught.value, ProviderAuthError), "which would close the account for everybody"


@pytest.mark.parametrize("name", ["x?key=1", "../files", "models/a/../../b", "x#", "a b", "", "%2e%2e/x", "a&b"])
async def test_a_name_that_would_lead_elsewhere_is_no_model_of_google_s(name):
    model = GeminiLlm("key", "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match="no model of such a name") as caught:
        await anext(
            aiter(model.answer(msgspec.structs.replace(REQUEST, settings=Llm(provider=LlmProvider.GOOGLE, model=name))))
        )
    assert not caught.value.retryable
    await model.aclose()

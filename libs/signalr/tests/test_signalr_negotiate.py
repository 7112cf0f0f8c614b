"""Negotiation answers and the tokens behind them."""

import pytest
from voisnap_signalr.messages import TransferFormat
from voisnap_signalr.negotiate import (
    AvailableTransport,
    ConnectionInUseError,
    MemoryConnectionTokens,
    NegotiatedConnection,
    NegotiateError,
    Transport,
    answer,
    new_connection,
    version_asked,
)

pytestmark = pytest.mark.unit

TRANSPORTS = (AvailableTransport(transport=Transport.WEB_SOCKETS, transfer_formats=(TransferFormat.TEXT,)),)


def counting_bytes():
    calls = iter(range(256))
    return lambda size: bytes([next(calls)]) * size


@pytest.mark.parametrize(
    ("query", "version"), [({}, 0), ({"negotiateVersion": "0"}, 0), ({"negotiateVersion": "7"}, 1)]
)
def test_version_is_clamped(query, version) -> None:
    assert version_asked(query) == version


@pytest.mark.parametrize("asked", ["", "one", "-1", "1.5", "\u0661"])
def test_version_must_be_a_number(asked) -> None:
    with pytest.raises(NegotiateError):
        version_asked({"negotiateVersion": asked})


def test_version_1_keeps_the_token_apart_from_the_public_id() -> None:
    connection = new_connection("/hubs/a", version=1, random_bytes=counting_bytes())
    body = answer(connection, version=1, transports=TRANSPORTS)
    assert body["negotiateVersion"] == 1
    assert body["connectionId"] != body["connectionToken"] == connection.connection_token
    assert [len(body["connectionId"]), len(body["connectionToken"])] == [22, 22]
    assert body["availableTransports"] == TRANSPORTS


def test_version_0_opens_with_the_id() -> None:
    connection = new_connection("/hubs/a", version=0, random_bytes=counting_bytes())
    body = answer(connection, version=0, transports=TRANSPORTS)
    assert "connectionToken" not in body
    assert body["connectionId"] == connection.connection_token


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def promised(token: str) -> NegotiatedConnection:
    return NegotiatedConnection(connection_id=token, connection_token=token, hub="/hubs/a")


async def test_token_opens_once_and_is_free_after_release() -> None:
    tokens = MemoryConnectionTokens(clock=Clock())
    assert await tokens.issue(promised("t"), ttl_s=15)
    assert await tokens.claim("t") == promised("t")
    with pytest.raises(ConnectionInUseError):
        await tokens.claim("t")
    await tokens.release("t")
    assert await tokens.claim("t") is None


async def test_token_expires() -> None:
    clock = Clock()
    tokens = MemoryConnectionTokens(clock=clock)
    await tokens.issue(promised("t"), ttl_s=15)
    clock.now = 15.0
    assert await tokens.claim("t") is None


async def test_tokens_are_bounded_and_expired_ones_make_room() -> None:
    clock = Clock()
    tokens = MemoryConnectionTokens(clock=clock, capacity=2)
    assert await tokens.issue(promised("a"), ttl_s=15)
    assert await tokens.issue(promised("b"), ttl_s=15)
    assert not await tokens.issue(promised("c"), ttl_s=15)
    clock.now = 20.0
    assert await tokens.issue(promised("c"), ttl_s=15)

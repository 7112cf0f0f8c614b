"""The sans-I/O connection: handshake, framing across chunks, timers, ends."""

import msgspec
import pytest
from voisnap_signalr.connection import (
    Connection,
    ConnectionSettings,
    ConnectionState,
    Due,
    Failed,
    HandshakeDone,
    PeerClosed,
)
from voisnap_signalr.json_codec import JsonCodec
from voisnap_signalr.messages import Close, Invocation, Ping

pytestmark = pytest.mark.unit

HANDSHAKE = b'{"protocol":"json","version":1}\x1e'
PING = b'{"type":6}\x1e'
CALL = b'{"type":1,"target":"A","arguments":[]}\x1e'


def new_connection(**settings) -> Connection:
    return Connection([JsonCodec()], now=0.0, settings=ConnectionSettings(**settings))


def open_connection(**settings) -> Connection:
    connection = new_connection(**settings)
    assert connection.feed(HANDSHAKE, now=0.0) == [HandshakeDone(b"{}\x1e")]
    return connection


@pytest.mark.parametrize("version", [0, 1, 2])
def test_handshake_accepts_the_versions_that_clients_send(version) -> None:
    connection = new_connection()
    events = connection.feed(b'{"protocol":"json","version":%d}\x1e' % version, now=0.0)
    assert events == [HandshakeDone(b"{}\x1e")]
    assert connection.state is ConnectionState.OPEN


@pytest.mark.parametrize(
    ("request_record", "error"),
    [
        (b'{"protocol":"messagepack","version":1}', "The protocol 'messagepack' is not supported."),
        (b'{"protocol":"json","version":3}', "The server does not support version 3 of the 'json' protocol."),
        (b'{"protocol":"json"}', "The handshake request is not valid."),
        (b"nonsense", "The handshake request is not valid."),
        (b"", "The handshake request is not valid."),
    ],
)
def test_refused_handshake_is_answered_with_its_reason(request_record, error) -> None:
    connection = new_connection()
    (event,) = connection.feed(request_record + b"\x1e", now=0.0)
    assert event == Failed(error=error, farewell=msgspec.json.encode({"error": error}) + b"\x1e")
    assert connection.state is ConnectionState.CLOSED


def test_messages_behind_the_handshake_in_one_frame_are_read() -> None:
    events = new_connection().feed(HANDSHAKE + CALL + PING + CALL, now=0.0)
    assert events == [HandshakeDone(b"{}\x1e"), Invocation(target="A"), Invocation(target="A")]


def test_messages_may_span_chunks_and_come_as_text_or_bytes() -> None:
    connection = new_connection()
    events = []
    for character in (HANDSHAKE + CALL).decode():
        events += connection.feed(character, now=0.0)
    assert events == [HandshakeDone(b"{}\x1e"), Invocation(target="A")]


def test_malformed_message_ends_the_connection_after_the_good_ones() -> None:
    connection = open_connection()
    first, failed = connection.feed(CALL + b"{oops\x1e" + CALL, now=0.0)
    assert first == Invocation(target="A")
    assert isinstance(failed, Failed)
    assert msgspec.json.decode(failed.farewell[:-1])["type"] == 7
    assert connection.state is ConnectionState.CLOSED
    assert connection.feed(CALL, now=0.0) == []


def test_unfinished_message_over_the_limit_ends_the_connection_and_frees_its_buffer() -> None:
    connection = open_connection(max_message_bytes=100)
    assert connection.feed(b"x" * 100, now=0.0) == []
    (failed,) = connection.feed(b"x", now=0.0)
    assert "maximum message size of 100B" in failed.error
    assert connection.buffered_bytes == 0


def test_limit_counts_before_the_handshake_too() -> None:
    connection = new_connection(max_message_bytes=100)
    (failed,) = connection.feed(b"x" * 101, now=0.0)
    assert b'"error"' in failed.farewell


def test_peer_close_ends_the_connection() -> None:
    connection = open_connection()
    assert connection.feed(b'{"type":7,"error":"bye"}\x1e' + CALL, now=0.0) == [PeerClosed(error="bye")]
    assert connection.state is ConnectionState.CLOSED


def test_stateful_reconnect_bookkeeping_and_unknown_types_keep_the_connection_open() -> None:
    connection = open_connection()
    connection.feed(b'{"type":8,"sequenceId":1}\x1e{"type":42}\x1e', now=0.0)
    assert connection.state is ConnectionState.OPEN


def test_encoding_close_ends_this_side() -> None:
    connection = open_connection()
    assert connection.encode(Close(allow_reconnect=True), now=0.0) == b'{"type":7,"allowReconnect":true}\x1e'
    with pytest.raises(RuntimeError):
        connection.encode(Ping(), now=0.0)


def test_encoding_before_the_handshake_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        new_connection().encode(Ping(), now=0.0)


def test_handshake_must_come_in_time() -> None:
    connection = new_connection()
    assert connection.due(now=14.9) is Due.NOTHING
    assert connection.due(now=15.0) is Due.HANDSHAKE_TIMEOUT


def test_ping_is_due_after_silence_of_this_side() -> None:
    connection = open_connection()
    assert connection.due(now=14.9) is Due.NOTHING
    assert connection.due(now=15.0) is Due.PING
    connection.encode(Ping(), now=15.0)
    assert connection.due(now=29.9) is Due.NOTHING


def test_client_silence_counts_only_after_its_first_ping() -> None:
    connection = open_connection()
    connection.encode(Ping(), now=1000.0)
    assert connection.due(now=1001.0) is Due.NOTHING
    connection.feed(PING, now=1001.0)
    connection.encode(Ping(), now=1030.0)
    assert connection.due(now=1030.9) is Due.NOTHING
    assert connection.due(now=1031.0) is Due.CLIENT_TIMEOUT


def test_any_message_is_a_sign_of_life() -> None:
    connection = open_connection()
    connection.feed(PING, now=0.0)
    connection.feed(CALL, now=20.0)
    connection.encode(Ping(), now=40.0)
    assert connection.due(now=40.0) is Due.NOTHING


def test_silence_while_the_hub_is_busy_is_not_the_clients_fault() -> None:
    connection = open_connection()
    connection.feed(PING, now=0.0)
    connection.encode(Ping(), now=29.0)
    assert connection.due(now=40.0, is_busy=True) is Due.NOTHING
    assert connection.due(now=41.0) is Due.NOTHING


def test_closed_connection_asks_for_nothing() -> None:
    connection = open_connection()
    connection.close()
    assert connection.due(now=1e9) is Due.NOTHING

"""The handshake: the first record each way, always JSON, whatever protocol it agrees on."""

import msgspec

from .messages import HubCodec, ProtocolError

# 2 is what the official client asks for with stateful reconnect, 1 the usual one; signalrcore copies its negotiate
# version and so sends 0. The JSON they speak afterwards is the same.
HIGHEST_VERSION = 2
STATEFUL_VERSION = 2


class HandshakeRequest(msgspec.Struct, frozen=True, kw_only=True):
    protocol: str
    version: int


class _Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    error: str | None = None


def parse_request(record: bytes) -> HandshakeRequest:
    """Read the client's first record (without its separator). Raises `ProtocolError`."""
    try:
        return msgspec.json.decode(record, type=HandshakeRequest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise ProtocolError("The handshake request is not valid.") from None


def choose(request: HandshakeRequest, codecs: dict[str, HubCodec]) -> HubCodec:
    """The codec that the client asked for. Raises `ProtocolError` with the text for the reply."""
    codec = codecs.get(request.protocol)
    if codec is None:
        raise ProtocolError(f"The protocol '{request.protocol[:100]}' is not supported.")
    if not 0 <= request.version <= HIGHEST_VERSION:
        raise ProtocolError(f"The server does not support version {request.version} of the '{codec.name}' protocol.")
    return codec


def encode_reply(error: str | None = None) -> bytes:
    """The server's first record: `{}` for yes, or the reason for no."""
    return msgspec.json.encode(_Reply(error)) + b"\x1e"

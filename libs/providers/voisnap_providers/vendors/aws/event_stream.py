"""Messages of AWS's event stream; botocore reads them, and this writes the only one a client of Transcribe sends.

https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream
"""

import struct
from binascii import crc32

STRING = 7
"""The type of a header's value."""


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + struct.pack(">BH", STRING, len(value)) + value.encode()


_HEADERS = (
    _header(":message-type", "event")
    + _header(":event-type", "AudioEvent")
    + _header(":content-type", "application/octet-stream")
)


def audio_event(audio: bytes) -> bytes:
    """Audio as a message; without any it ends the stream. Lengths and the checksum of them, headers, payload, the checksum of all."""
    prelude = struct.pack(">II", 16 + len(_HEADERS) + len(audio), len(_HEADERS))
    message = prelude + struct.pack(">I", crc32(prelude)) + _HEADERS + audio
    return message + struct.pack(">I", crc32(message))

"""Server-sent events out of the bytes of a response (WHATWG HTML §9.2.6), bounded.

httpx's own lines end at U+2028 and U+0085 too, which stand unescaped in the JSON of some vendors.
"""

from collections.abc import AsyncGenerator, AsyncIterable

MAX_EVENT_BYTES = 1_000_000
MAX_STREAM_BYTES = 16_000_000


class TooLongError(ValueError):
    """A server sends more than any reply needs, in an event or in all."""


async def data_of(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The data of each event; an event without data is none. What the stream ends with counts even without its blank line.

    Raises TooLongError.
    """
    parts: list[bytes] = []
    data: list[bytes] = []
    size = total = waiting = 0
    async for chunk in chunks:
        total += len(chunk)
        waiting += len(chunk)
        is_line = b"\n" in chunk or b"\r" in chunk or (parts and parts[-1].endswith(b"\r"))
        parts.append(chunk)
        if total > MAX_STREAM_BYTES or (not is_line and size + waiting > MAX_EVENT_BYTES):
            raise TooLongError
        if not is_line:  # put together once it is whole: a line in a million pieces would be copied a million times
            continue
        pending = b"".join(parts)
        if pending.endswith(b"\r"):  # its line feed may come with the next chunk
            lines, pending = pending[:-1].splitlines(keepends=True), b"\r"
        else:
            lines, pending = pending.splitlines(keepends=True), b""
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            pending = lines.pop() + pending
        parts, waiting = [pending] if pending else [], len(pending)
        for line in lines:
            stripped = line.rstrip(b"\r\n")
            if not stripped:
                if data:
                    yield b"\n".join(data)
                data, size = [], 0
            elif stripped.startswith(b"data:"):
                data.append(stripped[6:] if stripped.startswith(b"data: ") else stripped[5:])
                size += len(stripped)
        if size + waiting > MAX_EVENT_BYTES:
            raise TooLongError
    last = b"".join(parts).rstrip(b"\r\n")
    if last.startswith(b"data:"):
        data.append(last[5:].lstrip())
    if data:
        yield b"\n".join(data)

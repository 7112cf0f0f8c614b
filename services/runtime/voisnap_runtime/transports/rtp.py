"""RTP and RTCP as plain functions and small state machines: no sockets, no clock, no codec."""

import struct
from collections.abc import Iterator

import msgspec

_HEADER = struct.Struct("!BBHII")
_REPORT = struct.Struct("!IIIIII")
_SENDER_INFO = struct.Struct("!IIIII")
_NTP_EPOCH = 2208988800
"""Seconds from 1900, where NTP begins, to 1970."""

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_RESTART_GAP = 500
"""A jump of sequence numbers by more than ten seconds of audio is a new stream, not a loss."""

DTMF_DIGITS = "0123456789*#ABCD"
"""Keys by their event number (RFC 4733 §3.2)."""


class RtpPacket(msgspec.Struct, frozen=True):
    """One packet, header extensions and padding already taken off."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> RtpPacket:
    """Read a packet (RFC 3550 §5.1). Raises `ValueError` for anything that is not one."""
    if len(data) < _HEADER.size:
        raise ValueError("an RTP packet has at least 12 bytes")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise ValueError("not RTP version 2")
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + 4:
            raise ValueError("the RTP header extension is cut off")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data)
    if first & 0x20:
        end -= data[-1]
    if end < start:
        raise ValueError("the RTP packet is shorter than its header says")
    return RtpPacket(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end])


def serialize(packet: RtpPacket) -> bytes:
    """The bytes of a packet without extensions."""
    second = packet.payload_type | (0x80 if packet.marker else 0)
    return _HEADER.pack(0x80, second, packet.sequence, packet.timestamp, packet.ssrc) + packet.payload


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP (RFC 5761 §4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


class Lost(msgspec.Struct, frozen=True):
    """So many packets are missing at this place."""

    count: int


class Reordering:
    """Hands packets on in order. A packet in order is never delayed; behind a gap it waits up to `hold` seconds.

    `hold` grows while late packets show that waiting pays, and shrinks again when it does not: 10 to 40 ms.
    """

    MIN_HOLD, MAX_HOLD, MAX_HELD = 0.010, 0.040, 4

    def __init__(self) -> None:
        self.hold = 0.020
        self.late = 0
        """Packets that came after they had been given up."""
        self._expected: int | None = None
        self._held: dict[int, tuple[RtpPacket, float]] = {}

    def put(self, packet: RtpPacket, now: float) -> list[RtpPacket | Lost]:
        """Take a packet; what can be played now, in order."""
        if self._expected is None:
            self._expected = packet.sequence
        ahead = _distance(packet.sequence, self._expected)
        if abs(ahead) > _RESTART_GAP:
            self._held.clear()
            self._expected, ahead = packet.sequence, 0
        if ahead < 0:
            self.late += 1
            self.hold = min(self.MAX_HOLD, self.hold + 0.010)
            return []
        if ahead == 0 and not self._held:
            self._expected = (packet.sequence + 1) & 0xFFFF
            return [packet]
        self._held.setdefault(packet.sequence, (packet, now))
        return self._in_order(now)

    def overdue(self, now: float) -> list[RtpPacket | Lost]:
        """What has waited long enough behind a gap; to be asked when no packet comes to ask by itself."""
        return self._in_order(now) if self._held else []

    def _in_order(self, now: float) -> list[RtpPacket | Lost]:
        out: list[RtpPacket | Lost] = []
        while self._held and self._expected is not None:
            entry = self._held.pop(self._expected, None)
            if entry is not None:
                out.append(entry[0])
                self._expected = (self._expected + 1) & 0xFFFF
                continue
            waiting = now - min(arrived for _, arrived in self._held.values())
            if len(self._held) <= self.MAX_HELD and waiting < self.hold:
                break
            expected = self._expected
            following = min(self._held, key=lambda sequence: _distance(sequence, expected))
            out.append(Lost(_distance(following, expected)))
            self._expected = following
            self.hold = max(self.MIN_HOLD, self.hold - 0.001)
        return out


def _distance(sequence: int, other: int) -> int:
    """How far `sequence` is ahead of `other`, across the wrap at 65536."""
    return ((sequence - other + 0x8000) & 0xFFFF) - 0x8000


class Reception:
    """Counts what arrives for the receiver reports (RFC 3550 §6.4, appendix A.3 and A.8)."""

    def __init__(self, clock_rate: int) -> None:
        self.received = 0
        self.jitter = 0.0
        """In units of the RTP clock."""
        self._clock_rate = clock_rate
        self._base = 0
        self._highest = 0
        self._transit: float | None = None
        self._reported_expected = 0
        self._reported_received = 0

    def add(self, packet: RtpPacket, now: float) -> None:
        """Count one packet."""
        if not self.received:
            self._base = self._highest = packet.sequence
        self.received += 1
        ahead = _distance(packet.sequence, self._highest & 0xFFFF)
        if ahead > 0:
            self._highest += ahead
        transit = now * self._clock_rate - packet.timestamp
        if self._transit is not None:
            change = abs(transit - self._transit)
            # A jump of more than a second is a new timeline (or the wrap of the timestamp), not jitter.
            if change < self._clock_rate:
                self.jitter += (change - self.jitter) / 16
        self._transit = transit

    @property
    def lost(self) -> int:
        """Packets expected but not received, since the start."""
        return max(0, self._expected - self.received)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return self.jitter * 1000 / self._clock_rate

    @property
    def _expected(self) -> int:
        return self._highest - self._base + 1 if self.received else 0

    def report(self, ssrc: int, last_sender_report: int, delay_since: float) -> bytes:
        """The report block about the stream `ssrc`; the share lost counts from the report before."""
        expected = self._expected - self._reported_expected
        lost = expected - (self.received - self._reported_received)
        self._reported_expected, self._reported_received = self._expected, self.received
        fraction = min(255, (lost << 8) // expected) if expected > 0 and lost > 0 else 0
        return _REPORT.pack(
            ssrc,
            (fraction << 24) | min(self.lost, 0x7FFFFF),
            self._highest & 0xFFFFFFFF,
            int(self.jitter) & 0xFFFFFFFF,
            last_sender_report,
            min(int(delay_since * 65536), 0xFFFFFFFF) if last_sender_report else 0,
        )


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender report says of our own stream."""

    ssrc: int
    wall_time: float
    """Seconds since 1970."""
    timestamp: int
    packets: int
    octets: int


def ntp(wall_time: float) -> int:
    """64-bit NTP time."""
    return int((wall_time + _NTP_EPOCH) * 4294967296)


def middle_ntp(wall_time: float) -> int:
    """The 32 bits in the middle, by which reports refer to each other."""
    return (ntp(wall_time) >> 16) & 0xFFFFFFFF


def sender_report(sent: Sent, reports: list[bytes], cname: str) -> bytes:
    """A compound packet: sender report (receiver report before anything was sent) and our name."""
    body = struct.pack("!I", sent.ssrc)
    if sent.packets:
        time = ntp(sent.wall_time)
        body += _SENDER_INFO.pack(
            time >> 32, time & 0xFFFFFFFF, sent.timestamp, sent.packets & 0xFFFFFFFF, sent.octets & 0xFFFFFFFF
        )
    compound = _rtcp(_SR if sent.packets else _RR, len(reports), body + b"".join(reports))
    name = cname.encode()[:255]
    item = struct.pack("!IBB", sent.ssrc, 1, len(name)) + name
    return compound + _rtcp(_SDES, 1, item + b"\0" * (4 - len(item) % 4))


def goodbye(ssrc: int) -> bytes:
    """The stream `ssrc` is over; preceded by an empty receiver report, since a compound packet must start with one."""
    return _rtcp(_RR, 0, struct.pack("!I", ssrc)) + _rtcp(_BYE, 1, struct.pack("!I", ssrc))


def _rtcp(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


class SenderReport(msgspec.Struct, frozen=True, kw_only=True):
    """The other side's own count."""

    ssrc: int
    middle_ntp: int


class ReportBlock(msgspec.Struct, frozen=True, kw_only=True):
    """What the other side received of our stream."""

    ssrc: int
    fraction_lost: float
    """Share of packets lost since the report before, 0 to 1."""
    packets_lost: int
    last_sender_report: int
    delay_since: float


class Goodbye(msgspec.Struct, frozen=True, kw_only=True):
    """The other side's stream is over."""

    ssrc: int


def parse_rtcp(data: bytes) -> Iterator[SenderReport | ReportBlock | Goodbye]:
    """What a compound packet says that we use; the rest is passed over. Raises `ValueError` for a broken one."""
    position = 0
    while position < len(data):
        if len(data) - position < 4 or data[position] >> 6 != 2:
            raise ValueError("broken RTCP packet")
        count, kind = data[position] & 0x1F, data[position + 1]
        end = position + 4 + 4 * int.from_bytes(data[position + 2 : position + 4], "big")
        if end > len(data):
            raise ValueError("the RTCP packet is cut off")
        body = data[position + 4 : end]
        position = end
        if kind in (_SR, _RR):
            yield from _reports(kind, count, body)
        elif kind == _BYE and len(body) >= 4 * count:
            yield from (Goodbye(ssrc=ssrc) for (ssrc,) in struct.iter_unpack("!I", body[: 4 * count]))


def _reports(kind: int, count: int, body: bytes) -> Iterator[SenderReport | ReportBlock]:
    blocks = 24 if kind == _SR else 4
    if len(body) < blocks + count * _REPORT.size:
        raise ValueError("the RTCP report is cut off")
    if kind == _SR:
        ssrc, seconds, fraction = struct.unpack_from("!III", body)
        yield SenderReport(ssrc=ssrc, middle_ntp=((seconds << 16) | (fraction >> 16)) & 0xFFFFFFFF)
    for index in range(count):
        ssrc, lost, _, _, last, delay = _REPORT.unpack_from(body, blocks + index * _REPORT.size)
        # The count is signed in 24 bits: duplicates make it negative.
        total = (lost & 0xFFFFFF) - ((lost & 0x800000) << 1)
        yield ReportBlock(
            ssrc=ssrc,
            fraction_lost=(lost >> 24) / 256,
            packets_lost=max(0, total),
            last_sender_report=last,
            delay_since=delay / 65536,
        )


class DtmfEvents:
    """Tells each pressed key once, however often its packets are repeated (RFC 4733 §2.5)."""

    def __init__(self) -> None:
        self._last: int | None = None

    def digit(self, packet: RtpPacket) -> str | None:
        """The key that this packet is the first to tell of, if any."""
        if len(packet.payload) < 4 or packet.timestamp == self._last or packet.payload[0] >= len(DTMF_DIGITS):
            return None
        self._last = packet.timestamp
        return DTMF_DIGITS[packet.payload[0]]

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_runtime.transports import rtp
from voisnap_runtime.transports.rtp import DtmfEvents, Goodbye, Lost, Reception, Reordering, ReportBlock, RtpPacket

pytestmark = pytest.mark.unit


def packet(sequence: int, *, timestamp: int | None = None, payload: bytes = b"x") -> RtpPacket:
    sequence &= 0xFFFF
    return RtpPacket(96, False, sequence, sequence * 960 if timestamp is None else timestamp, 7, payload)


@given(
    st.builds(
        RtpPacket,
        st.integers(0, 127),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=100),
    )
)
def test_a_packet_comes_back_as_it_went(one: RtpPacket):
    assert rtp.parse(rtp.serialize(one)) == one


def test_extensions_sources_and_padding_are_taken_off():
    header = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 1, 0x80 | 96, 5, 6, 7)
    extension = struct.pack("!HH", 0xBEDE, 1) + b"\x10\x30\x00\x00"
    read = rtp.parse(header + b"\0\0\0\1" + extension + b"sound" + b"\0\0\3")
    assert read == RtpPacket(96, True, 5, 6, 7, b"sound")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes):
    with contextlib.suppress(ValueError):
        rtp.parse(data)
    with contextlib.suppress(ValueError):
        list(rtp.parse_rtcp(data))


def test_packets_in_order_are_never_delayed():
    order = Reordering()
    assert [order.put(packet(n), n * 0.02) for n in range(3)] == [[packet(0)], [packet(1)], [packet(2)]]


def test_swapped_packets_are_put_right():
    order = Reordering()
    order.put(packet(0), 0.0)
    assert order.put(packet(2), 0.020) == []
    assert order.put(packet(1), 0.025) == [packet(1), packet(2)]


def test_a_lost_packet_is_given_up_after_a_moment():
    order = Reordering()
    order.put(packet(0), 0.0)
    assert order.put(packet(2), 0.040) == []
    assert order.overdue(0.050) == []
    assert order.overdue(0.061) == [Lost(1), packet(2)]
    assert order.put(packet(1), 0.070) == []
    assert order.late == 1


def test_waiting_grows_with_late_packets_and_is_bounded():
    order = Reordering()
    order.put(packet(10), 0.0)
    for _ in range(10):
        order.put(packet(5), 0.0)
    assert order.hold == Reordering.MAX_HOLD


def test_no_more_than_a_few_packets_are_held():
    order = Reordering()
    order.put(packet(0), 0.0)
    held = [order.put(packet(n), 0.0) for n in range(2, 7)]
    assert held[:-1] == [[], [], [], []]
    assert held[-1] == [Lost(1), *(packet(n) for n in range(2, 7))]


def test_numbers_wrap_and_a_big_jump_is_a_new_stream():
    order = Reordering()
    assert [order.put(packet(n), 0.0)[0].sequence for n in (65534, 65535, 65536, 65537)] == [65534, 65535, 0, 1]
    assert order.put(packet(30000), 0.0) == [packet(30000)]


@given(st.lists(st.integers(0, 40), max_size=60))
def test_whatever_the_network_does_packets_leave_in_order_and_once(numbers: list[int]):
    order, seen = Reordering(), []
    for step, number in enumerate(numbers):
        out = order.put(packet(number), step * 0.02) + order.overdue(step * 0.02 + 0.01)
        seen += [item.sequence for item in out if isinstance(item, RtpPacket)]
    assert seen == sorted(set(seen))
    assert len(order.overdue(1e9)) <= 2 * (Reordering.MAX_HELD + 1)


def test_the_receiver_report_tells_loss_and_jitter():
    reception = Reception(48000)
    for number in range(100):
        if number % 10 != 3:
            reception.add(packet(number), number * 0.02)
    assert reception.lost == 10
    assert reception.jitter_ms == pytest.approx(0, abs=0.01)
    block = reception.report(7, 0x1234, 0.5)
    ssrc, lost, highest, _, last, delay = struct.unpack("!IIIIII", block)
    assert (ssrc, lost >> 24, lost & 0xFFFFFF, highest, last, delay) == (7, 25, 10, 99, 0x1234, 32768)
    assert struct.unpack("!IIIIII", reception.report(7, 0, 0))[1] >> 24 == 0


def test_jitter_of_a_shaky_network_is_seen():
    reception = Reception(48000)
    for number in range(400):
        reception.add(packet(number), number * 0.02 + (0.010 if number % 2 else 0.0))
    assert 8 < reception.jitter_ms < 11


def test_a_sender_report_is_read_back():
    sent = rtp.Sent(ssrc=9, wall_time=1_700_000_000.5, timestamp=4800, packets=3, octets=60)
    block = Reception(48000).report(7, 0, 0)
    report, about = list(rtp.parse_rtcp(rtp.sender_report(sent, [block], "name")))
    assert report == rtp.SenderReport(ssrc=9, middle_ntp=rtp.middle_ntp(1_700_000_000.5))
    assert isinstance(about, ReportBlock)
    assert about.ssrc == 7
    assert list(rtp.parse_rtcp(rtp.goodbye(9))) == [Goodbye(ssrc=9)]


def test_media_and_reports_on_one_port_are_told_apart():
    assert rtp.is_rtcp(rtp.goodbye(1))
    assert not rtp.is_rtcp(rtp.serialize(packet(1)))


def test_each_key_is_told_once():
    events = DtmfEvents()
    pressed = [
        packet(n, timestamp=800 if n < 4 else 9600, payload=bytes([5 if n < 4 else 10, 10, 0, 160])) for n in range(8)
    ]
    assert "".join(events.digit(one) or "" for one in pressed) == "5*"
    assert events.digit(packet(9, timestamp=1, payload=b"\x01")) is None
    assert events.digit(packet(9, timestamp=2, payload=bytes([16, 0, 0, 0]))) is None

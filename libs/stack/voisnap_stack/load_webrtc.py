"""Callers over WebRTC: ICE, DTLS-SRTP and Opus packets that were encoded once for all of them.

A whole peer connection a caller would cost more than the platform that is measured. Like the runtime's own transport this one uses aiortc
for DTLS and its SRTP keys alone (pinned, 1.16.0): `RTCDtlsTransport` needs of its ICE transport only `_recv`, `_send` and `role`, and
`_rx_srtp` and `_tx_srtp` are libsrtp sessions once it is connected.
"""

import asyncio
import re
import secrets
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import aioice
import pylibsrtp
from aioice.ice import get_host_addresses
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from voisnap_media.opus import OpusDecoder, OpusEncoder, OpusError
from voisnap_media.pcm import Pcm
from voisnap_media.vad import RATE

from .load_audio import SILENT_ROOM, Room, Speaking, Utterance, Voice
from .load_callers import Caller, clock
from .load_socket import CallRefused

CONNECT_SECONDS = 15.0
AUDIBLE = 300
"""Samples of the agent beyond this are sound."""
LOOPBACK = "127.0.0.1"
_PAYLOAD_TYPE = 111
_STEP = 960
"""20 ms of Opus in its RTP clock of 48 kHz (RFC 7587 §4.1)."""
_HEADER = struct.Struct("!BBHII")
_MAX_QUEUE = 64

Exchange = Callable[[str], Awaitable[str]]
"""Hands our offer over and gives the answer back, both as SDP. Raises `CallRefused`."""


class OpusSpeech:
    """The utterances and the noise of rooms as packets: made once, sent by every caller."""

    def __init__(self, utterances: Sequence[Utterance], rooms: Sequence[Room] = (SILENT_ROOM,)) -> None:
        encoder = OpusEncoder(RATE, bitrate=24000)
        self.voices = tuple(
            Voice.of(utterances, room, lambda heard: encoder.encode(Pcm(heard, RATE))) for room in rooms
        )
        self.certificate = RTCCertificate.generateCertificate()


class _Path:
    """What `RTCDtlsTransport` talks through: the datagrams of the handshake."""

    role = "controlling"

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self._send_now = send
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_QUEUE)

    def put(self, data: bytes | None) -> None:
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(data)

    async def _recv(self) -> bytes:
        data = await self._queue.get()
        if data is None:
            raise ConnectionError("the path is closed")
        return data

    async def _send(self, data: bytes) -> None:
        if not self._send_now(data):
            raise ConnectionError("there is no path")


class _Leg(aioice.Connection):
    """An ICE connection that hands datagrams straight on."""

    def __init__(self, datagram: Callable[[bytes], None]) -> None:
        super().__init__(ice_controlling=True)
        self._datagram = datagram

    def data_received(self, data: bytes, component: int) -> None:
        del component
        self._datagram(data)

    async def gather(self, addresses: Sequence[str]) -> list[str]:
        """Bind sockets; the lines of the candidates."""
        self._local_candidates_start = True
        self._local_candidates = await self.get_component_candidates(1, list(addresses))
        self._local_candidates_end = True
        return [candidate.to_sdp() for candidate in self._local_candidates]

    def send_now(self, data: bytes) -> bool:
        pair = self._nominated.get(1)
        if pair is None:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True


class PeerLine:
    """One caller's connection; see `open_peer`."""

    def __init__(self, speech: OpusSpeech, number: int) -> None:
        self._speaking = Speaking(speech.voices, number)
        self._certificate = speech.certificate
        self.caller: Caller | None = None
        self._decoder = OpusDecoder(RATE)
        self._leg = _Leg(self._datagram)
        self._path = _Path(self._leg.send_now)
        self._dtls = RTCDtlsTransport(self._path, [self._certificate])  # type: ignore[arg-type]  # see the module's docstring
        self._rx: pylibsrtp.Session | None = None
        self._tx: pylibsrtp.Session | None = None
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbelow(0x8000)
        self._timestamp = secrets.randbits(32)
        self._closing = False

    async def connect(self, exchange: Exchange, *, loopback: bool) -> None:
        """Offer, answer, ICE, DTLS."""
        addresses = [LOOPBACK] if loopback else get_host_addresses(use_ipv4=True, use_ipv6=False)
        candidates = await self._leg.gather(addresses)
        answer = await exchange(self._offer(candidates))
        await self._accept(answer)
        await self._leg.connect()
        prints = [RTCDtlsFingerprint(*found) for found in re.findall(r"a=fingerprint:(\S+) (\S+)", answer)]
        self._dtls._set_role("server" if "a=setup:active" in answer else "client")
        await self._dtls.start(RTCDtlsParameters(fingerprints=prints))
        if self._dtls.state != "connected":
            raise CallRefused(f"the DTLS handshake ended as {self._dtls.state}")
        self._rx, self._tx = self._dtls._rx_srtp, self._dtls._tx_srtp
        self._dtls.on("statechange", self._dtls_changed)

    def is_loud(self, payload: bytes) -> bool:
        """Whether a packet can be heard; every packet has to be asked about, in order."""
        try:
            samples = self._decoder.decode(payload).samples
        except OpusError:
            return False
        return bool(len(samples)) and int(samples.max()) > AUDIBLE

    def send(self, number: int | None) -> None:
        """A packet of speech by its number, or of the room's noise."""
        if self._tx is None or self._closing:
            return
        payload = self._speaking.frame(number)
        header = _HEADER.pack(0x80, _PAYLOAD_TYPE, self._sequence, self._timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + _STEP) & 0xFFFFFFFF
        self._leg.send_now(self._tx.protect(header + payload))

    async def close(self) -> None:
        """Say goodbye and close every socket. May be called twice."""
        if self._closing:
            return
        self._closing = True
        pump = self._dtls._task
        await self._dtls.stop()
        self._path.put(None)
        if pump is not None:
            await asyncio.wait({pump})
        await self._leg.close()

    def _dtls_changed(self) -> None:
        if self._dtls.state == "closed" and not self._closing and self.caller is not None:
            self.caller.was_lost()

    def _datagram(self, data: bytes) -> None:
        if not data:
            return
        if not 127 < data[0] < 192:
            self._path.put(data)
            return
        if self._rx is None or self.caller is None or 192 <= data[1] <= 223:
            return
        try:
            packet = self._rx.unprotect(data)
        except pylibsrtp.Error:
            return
        start = _HEADER.size + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
        self.caller.heard(packet[start:], clock())

    async def _accept(self, answer: str) -> None:
        found = dict(re.findall(r"a=(ice-ufrag|ice-pwd):(\S+)", answer))
        try:
            self._leg.remote_username, self._leg.remote_password = found["ice-ufrag"], found["ice-pwd"]
        except KeyError:
            raise CallRefused("the answer has no ICE credentials") from None
        for line in re.findall(r"a=candidate:(.+)", answer):
            candidate = aioice.Candidate.from_sdp(line.strip())
            if candidate.transport.lower() == "udp" and candidate.component == 1:
                await self._leg.add_remote_candidate(candidate)
        await self._leg.add_remote_candidate(None)

    def _offer(self, candidates: Sequence[str]) -> str:
        fingerprint = next(one for one in self._certificate.getFingerprints() if one.algorithm == "sha-256")
        lines = (
            "v=0",
            f"o=- {secrets.randbits(60)} 1 IN IP4 {LOOPBACK}",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            "a=msid-semantic:WMS *",
            f"m=audio 9 UDP/TLS/RTP/SAVPF {_PAYLOAD_TYPE}",
            f"c=IN IP4 {LOOPBACK}",
            "a=rtcp:9 IN IP4 0.0.0.0",
            "a=sendrecv",
            "a=mid:0",
            "a=msid:- caller",
            "a=rtcp-mux",
            f"a=ssrc:{self._ssrc} cname:caller",
            f"a=rtpmap:{_PAYLOAD_TYPE} opus/48000/2",
            f"a=fmtp:{_PAYLOAD_TYPE} minptime=10;useinbandfec=1",
            f"a=ice-ufrag:{self._leg.local_username}",
            f"a=ice-pwd:{self._leg.local_password}",
            f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
            "a=setup:actpass",
            *(f"a=candidate:{candidate}" for candidate in candidates),
            "a=end-of-candidates",
        )
        return "\r\n".join(lines) + "\r\n"


async def open_peer(speech: OpusSpeech, exchange: Exchange, *, number: int = 0, loopback: bool = True) -> PeerLine:
    """Call over WebRTC as caller `number` and wait until audio may flow. Raises `CallRefused`."""
    line = PeerLine(speech, number)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await line.connect(exchange, loopback=loopback)
    except TimeoutError:
        await line.close()
        raise CallRefused(f"no audio connection within {CONNECT_SECONDS:g} s") from None
    except ConnectionError as error:
        await line.close()
        raise CallRefused(f"no way was found for the audio: {error}") from error
    except BaseException:
        await line.close()
        raise
    return line

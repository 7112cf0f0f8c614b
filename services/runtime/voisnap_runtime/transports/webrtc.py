"""A caller in a browser: WebRTC audio both ways.

aiortc is used for one thing, DTLS with its SRTP keys, and is pinned (1.16.0) for that. Its own audio path is replaced,
because it costs every turn 80 ms (`JitterBuffer(prefetch=4)`), a thread hop per packet and direction, and a Python loop
over every sample; its `RTCPeerConnection` knows neither ICE restart nor trickling. What is relied on below its public
surface: `RTCDtlsTransport` needs of its ICE transport only `_recv`, `_send` and `role`; `_rx_srtp` and `_tx_srtp` are
libsrtp sessions once `state` is connected; `_set_role` decides who opens the handshake.

The way of a packet, without a task, queue or thread: socket → `IceLeg` → `_datagram` → SRTP → `Reordering` → decoder →
`sink.feed`; and `send` → encoder → SRTP → socket.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pylibsrtp
from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
)
from voisnap_kit import log
from voisnap_media.pcm import Pcm
from voisnap_proto.requests import IceServer

from voisnap_runtime.transports import rtp, sdp
from voisnap_runtime.transports.codecs import FRAME_MS, SpeechDecoder, SpeechEncoder, decoder_for, encoder_for
from voisnap_runtime.transports.ice import IceLeg, MediaNetwork, server_addresses, username_of
from voisnap_runtime.transports.port import SOURCE_RATE, AudioSink, LinkQuality, TransportState
from voisnap_runtime.transports.rtp import Lost, RtpPacket

CONNECT_SECONDS = 30.0
"""How long ICE may look for a way, and how long a caller has to send his candidates."""
HANDSHAKE_SECONDS = 10.0
SILENT_SECONDS = 6.0
"""Without any datagram for so long the caller is disconnected: browsers check the path every 2.5 s."""

MAX_EARLY_CANDIDATES = 32
"""Candidates kept that arrive before the first offer."""
_MAX_HANDSHAKE_QUEUE = 64

_HANGOVER_FRAMES = 5
"""Frames of silence sent after speech, so that a lost packet is not filled with the last syllable."""
_KEEPALIVE_FRAMES = 20
"""In silence one packet every 400 ms, as Opus does in discontinuous transmission."""
_REPORT_FRAMES = (100, 250)
"""Reports are sent every 2 to 5 seconds, at random (RFC 3550 §6.2)."""

_LOSS_FADING = 0.7

_SILENCE = Pcm.silence(SOURCE_RATE, FRAME_MS)
_FINAL = (TransportState.FAILED, TransportState.CLOSED)

_log = log.get(__name__)

OnState = Callable[[TransportState], None]
OnLocalCandidate = Callable[[Mapping[str, Any]], None]


class _DtlsPath:
    """What `RTCDtlsTransport` needs to talk through: handshake datagrams in a bounded queue."""

    role = "controlled"

    def __init__(self) -> None:
        self.leg: IceLeg | None = None
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_HANDSHAKE_QUEUE)

    def put(self, datagram: bytes | None) -> None:
        """Hand a datagram to the handshake; None ends it. Over the bound it is lost, as on any network."""
        if self._queue.full() and datagram is None:
            self._queue.get_nowait()
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(datagram)

    async def _recv(self) -> bytes:
        datagram = await self._queue.get()
        if datagram is None:
            raise ConnectionError("the path is closed")
        return datagram

    async def _send(self, data: bytes) -> None:
        if self.leg is None or not self.leg.send_now(data):
            raise ConnectionError("there is no path yet")


class _Incoming:
    """The caller's stream: order, losses, decoding, keys."""

    def __init__(self, codecs: Sequence[sdp.Codec], sink: AudioSink) -> None:
        self._sink = sink
        self.codecs = tuple(codecs)
        self._codecs = {codec.payload_type: codec for codec in codecs if codec.name != "telephone-event"}
        self._keys = {codec.payload_type for codec in codecs if codec.name == "telephone-event"}
        self._decoder: SpeechDecoder | None = None
        self._payload_type: int | None = None
        self._order = rtp.Reordering()
        self._dtmf = rtp.DtmfEvents()
        self._lost = 0
        self.ssrc: int | None = None
        self.reception = rtp.Reception(48000)
        self.broken = 0
        """Packets that could not be decoded."""

    def packet(self, packet: RtpPacket, now: float) -> None:
        """Take a packet from the network."""
        codec = self._codecs.get(packet.payload_type)
        if codec is None and packet.payload_type not in self._keys:
            return
        if packet.ssrc != self.ssrc:
            self._begin(packet.ssrc, codec)
        self.reception.add(packet, now)
        self._play(self._order.put(packet, now), now)

    def overdue(self, now: float) -> None:
        """Play what waited long enough for a missing packet."""
        self._play(self._order.overdue(now), now)

    def _begin(self, ssrc: int, codec: sdp.Codec | None) -> None:
        self.ssrc = ssrc
        self._order = rtp.Reordering()
        self.reception = rtp.Reception(codec.clock_rate if codec else 48000)
        self._decoder, self._payload_type = None, None

    def _play(self, items: Sequence[RtpPacket | Lost], now: float) -> None:
        for item in items:
            if isinstance(item, Lost):
                self._lost = item.count
                continue
            if item.payload_type in self._keys:
                digit = self._dtmf.digit(item)
                if digit is not None:
                    self._sink.dtmf(digit)
            else:
                self._decode(item, now)
            self._lost = 0

    def _decode(self, packet: RtpPacket, now: float) -> None:
        if self._decoder is None or packet.payload_type != self._payload_type:
            self._decoder = decoder_for(self._codecs[packet.payload_type])
            self._payload_type = packet.payload_type
        try:
            if self._lost:
                self._sink.feed(self._decoder.conceal(self._lost, packet.payload), now)
            audio = self._decoder.decode(packet.payload)
        except ValueError:
            self.broken += 1
            return
        self._sink.feed(audio, now)


class _Outgoing:
    """The agent's stream: frames to RTP packets, on a timeline that also moves while nothing is sent."""

    def __init__(self, codec: sdp.Codec, ssrc: int) -> None:
        self._encoder: SpeechEncoder = encoder_for(codec)
        self.codec = codec
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        # The lower half: a receiver must not meet the wrap before it has the keys in step (RFC 3711 §3.3.1).
        self._sequence = secrets.randbelow(0x8000)
        self._timestamp = secrets.randbits(32)
        self._step = codec.clock_rate * FRAME_MS // 1000
        self._silent = 0
        self._spurt = True

    @property
    def timestamp(self) -> int:
        """RTP time of the next frame."""
        return self._timestamp

    def skip(self) -> None:
        """20 ms pass without a packet."""
        self._timestamp = (self._timestamp + self._step) & 0xFFFFFFFF

    def expect_loss(self, share: float) -> None:
        """Spend error correction only on a network that loses packets."""
        self._encoder.expect_loss(min(30, round(share * 100)))

    def frame(self, audio: Pcm | None) -> bytes | None:
        """The packet for the next 20 ms, or None when silence needs none."""
        if audio is None:
            self._silent += 1
            if self._silent > _HANGOVER_FRAMES:
                if (self._silent - _HANGOVER_FRAMES) % _KEEPALIVE_FRAMES:
                    self.skip()
                    return None
                self._spurt = True
            audio = _SILENCE
        else:
            self._spurt = self._spurt or self._silent > _HANGOVER_FRAMES
            self._silent = 0
        if self._spurt:
            self._encoder.restart()
        payload = self._encoder.encode(audio)
        marker, self._spurt = self._spurt, False
        packet = RtpPacket(self.codec.payload_type, marker, self._sequence, self._timestamp, self.ssrc, payload)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        self.skip()
        return rtp.serialize(packet)


class _Reports:
    """When reports are due, and what the other side's reports say."""

    def __init__(self) -> None:
        self.remote_lost = 0
        self.remote_loss = 0.0
        """Share of our packets lost on the way, the worst of late; fades over several reports."""
        self.round_trip: float | None = None
        self._due_in = _REPORT_FRAMES[0] // 4
        self._last_received = 0
        self._received_at = 0.0
        self._sent_at: dict[int, float] = {}

    def tick(self) -> bool:
        """20 ms passed; whether a report is due."""
        self._due_in -= 1
        if self._due_in > 0:
            return False
        self._due_in = random.randint(*_REPORT_FRAMES)  # noqa: S311 - spreads packets, keeps no secret
        return True

    def make(self, outgoing: _Outgoing, incoming: _Incoming, cname: str, now: float, wall_time: float) -> bytes:
        """Our report now."""
        blocks = []
        if incoming.ssrc is not None and incoming.reception.received:
            blocks.append(incoming.reception.report(incoming.ssrc, self._last_received, now - self._received_at))
        self._sent_at = {rtp.middle_ntp(wall_time): now}
        sent = rtp.Sent(
            ssrc=outgoing.ssrc,
            wall_time=wall_time,
            timestamp=outgoing.timestamp,
            packets=outgoing.packets,
            octets=outgoing.octets,
        )
        return rtp.sender_report(sent, blocks, cname)

    def read(self, data: bytes, ssrc: int, now: float) -> None:
        """Take the other side's reports. Raises `ValueError` for a broken packet."""
        for item in rtp.parse_rtcp(data):
            match item:
                case rtp.SenderReport():
                    self._last_received, self._received_at = item.middle_ntp, now
                case rtp.ReportBlock() if item.ssrc == ssrc:
                    self.remote_lost = item.packets_lost
                    self.remote_loss = max(item.fraction_lost, self.remote_loss * _LOSS_FADING)
                    sent_at = self._sent_at.get(item.last_sender_report)
                    if sent_at is not None:
                        self.round_trip = max(0.0, now - sent_at - item.delay_since)
                case _:
                    pass


class _Media(msgspec.Struct, frozen=True, eq=False):
    """Both streams of one negotiation."""

    incoming: _Incoming
    outgoing: _Outgoing
    sends: bool
    """Whether the caller wants to hear us."""


class WebRtcTransport:
    """One caller's WebRTC connection: implements `port.Transport`. Lives on one event loop."""

    def __init__(
        self,
        ice_servers: Sequence[IceServer] = (),
        *,
        sink: AudioSink,
        on_state: OnState | None = None,
        on_local_candidate: OnLocalCandidate | None = None,
        network: MediaNetwork | None = None,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """`sink` hears the caller; `on_state` is told of every change; `on_local_candidate` gets our candidates as
        `{candidate, sdpMid, sdpMLineIndex}`, those of the answer too, after `answer` has returned.

        Raises `ValueError` for an address of a server that is none.
        """
        self._servers = server_addresses(ice_servers)
        self._sink = sink
        self._on_state = on_state
        self._on_local_candidate = on_local_candidate
        self._network = network or MediaNetwork()
        self._connect_seconds = connect_seconds
        self._loop = asyncio.get_running_loop()
        self._state = TransportState.NEW
        self._certificate = RTCCertificate.generateCertificate()
        self._cname = secrets.token_hex(8)
        self._ssrc = secrets.randbits(32)
        self._session_id = secrets.randbits(62)
        self._version = 0
        self._offer: sdp.Offer | None = None
        self._media: _Media | None = None
        self._reports = _Reports()
        self._leg: IceLeg | None = None
        self._next_leg: IceLeg | None = None
        self._hosts: tuple[str, ...] = ()
        self._path = _DtlsPath()
        self._dtls: RTCDtlsTransport | None = None
        self._early: list[tuple[str, str | None, int | None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._negotiating = asyncio.Lock()
        self._heard_at = self._loop.time()

    @property
    def state(self) -> TransportState:
        """Where the connection stands."""
        return self._state

    def quality(self) -> LinkQuality:
        """How well packets travel."""
        if self._media is None:
            return LinkQuality()
        reception = self._media.incoming.reception
        return LinkQuality(
            packets_received=reception.received,
            packets_lost=reception.lost,
            jitter_ms=reception.jitter_ms,
            packets_sent=self._media.outgoing.packets,
            remote_packets_lost=self._reports.remote_lost,
            round_trip_ms=None if self._reports.round_trip is None else self._reports.round_trip * 1000,
        )

    # Signalling

    async def answer(self, offer: str, kind: str = "offer") -> tuple[str, str]:
        """The answer to an SDP offer, as `(sdp, "answer")`, with host candidates in it.

        A further offer renegotiates: with the same ICE credentials only directions and codecs change; with new ones
        ICE restarts and the call goes on while the new way is looked for; with a new certificate (a page loaded anew)
        everything starts over. Raises `sdp.BadOffer`, a `ValueError`, for an offer that cannot be answered.
        """
        if kind != "offer":
            raise sdp.BadOffer(f"Only offers are answered here, got {kind!r}.")
        parsed = sdp.parse_offer(offer)
        async with self._negotiating:
            if self._state in _FINAL:
                raise sdp.BadOffer("The connection is closed.")
            return await self._answered(parsed), "answer"

    async def _answered(self, offer: sdp.Offer) -> str:
        before, audio = self._offer, offer.audio
        if before is None or not _same_peer(before.audio, audio):
            await self._drop_link()
            self._media = None
            self._dtls = self._new_dtls(audio)
            await self._start_leg(audio)
        elif before.audio.ice_username != audio.ice_username:
            await self._start_leg(audio)
        self._offer = offer
        self._media = self._negotiated(offer)
        leg = self._next_leg or self._leg
        if leg is None:
            raise sdp.BadOffer("The connection was lost while the offer was read.")
        for line in audio.candidates:
            # A browser's own offer is not refused for one line in it.
            with suppress(ValueError):
                await leg.add(line)
        early, self._early = self._early, []
        for candidate, mid, index in early:
            with suppress(ValueError):
                await self.add_candidate(candidate, mid, index)
        self._version += 1
        return sdp.write_answer(offer, self._answering(leg))

    def _new_dtls(self, audio: sdp.AudioOffer) -> RTCDtlsTransport:
        self._path = _DtlsPath()
        dtls = RTCDtlsTransport(self._path, [self._certificate])  # type: ignore[arg-type]  # see the module's docstring
        dtls._set_role("server" if audio.setup == "active" else "client")
        dtls.on("statechange", self._dtls_changed)
        return dtls

    def _answering(self, leg: IceLeg) -> sdp.Answering:
        prints = [item for item in self._certificate.getFingerprints() if item.algorithm == "sha-256"]
        role = None if self._dtls is None else self._dtls._role
        return sdp.Answering(
            session_id=self._session_id,
            version=self._version,
            ice_username=leg.local_username,
            ice_password=leg.local_password,
            fingerprints=tuple(sdp.Fingerprint(algorithm=item.algorithm, value=item.value) for item in prints),
            setup="passive" if role == "server" else "active",
            candidates=self._hosts,
            ssrc=self._ssrc,
            cname=self._cname,
        )

    def _negotiated(self, offer: sdp.Offer) -> _Media:
        codecs = sdp.chosen_codecs(offer.audio)
        sends = sdp.answer_direction(offer.audio.direction) in ("sendrecv", "sendonly")
        media = self._media
        if media is None:
            return _Media(_Incoming(codecs, self._sink), _Outgoing(codecs[0], self._ssrc), sends)
        outgoing = media.outgoing if media.outgoing.codec == codecs[0] else _Outgoing(codecs[0], self._ssrc)
        incoming = media.incoming if media.incoming.codecs == codecs else _Incoming(codecs, self._sink)
        return _Media(incoming, outgoing, sends)

    async def add_candidate(
        self, candidate: str | None, sdp_mid: str | None = None, sdp_mline_index: int | None = None
    ) -> None:
        """Try a candidate of the caller; empty stands for the end of candidates. Before the first offer it is kept.

        Raises `ValueError` for one that cannot be read.
        """
        if not candidate or self._state in _FINAL:
            # The end is not told to ICE: a caller whose addresses are hidden can still be found by his own checks.
            return
        if self._offer is None:
            if len(self._early) >= MAX_EARLY_CANDIDATES:
                raise ValueError("Too many candidates before the offer.")
            self._early.append((candidate, sdp_mid, sdp_mline_index))
            return
        audio = self._offer.audio
        if sdp_mid not in (None, audio.mid) or (sdp_mid is None and sdp_mline_index not in (None, audio.index)):
            return
        username = username_of(candidate)
        if username is not None and username != audio.ice_username:
            return
        leg = self._next_leg or self._leg
        if leg is not None:
            await leg.add(candidate)

    # The link

    async def _start_leg(self, audio: sdp.AudioOffer) -> None:
        if self._next_leg is not None:
            stale, self._next_leg = self._next_leg, None
            await stale.close()
        leg = IceLeg(self._datagram, self._heard, self._network)
        leg.remote_username, leg.remote_password = audio.ice_username, audio.ice_password
        leg.remote_is_lite = audio.ice_lite
        leg.ice_controlling = audio.ice_lite
        try:
            self._hosts = await leg.gather_hosts()
        except OSError:
            await leg.close()
            raise
        self._next_leg = leg
        mid, index = audio.mid, audio.index

        def tell(text: str) -> None:
            self._tell_candidate(text, mid, index)

        for text in self._hosts:
            self._loop.call_soon(tell, text)
        leg.gather_served(self._servers, tell)
        if self._leg is None:
            self._set_state(TransportState.CONNECTING)
        self._spawn(self._connect(leg, audio))

    def _tell_candidate(self, text: str, mid: str, index: int) -> None:
        if self._on_local_candidate is not None and self._state not in _FINAL:
            self._on_local_candidate({"candidate": f"candidate:{text}", "sdpMid": mid, "sdpMLineIndex": index})

    async def _connect(self, leg: IceLeg, audio: sdp.AudioOffer) -> None:
        try:
            async with asyncio.timeout(self._connect_seconds):
                await leg.connect()
        except (ConnectionError, TimeoutError):
            await self._gave_up(leg)
            return
        if leg is not self._next_leg:
            return
        before, self._leg, self._next_leg = self._leg, leg, None
        self._path.leg = leg
        leg.on_lost = self._leg_lost
        self._heard()
        if before is not None:
            before.on_lost = None
            await before.close()
        await self._shake_hands(audio)

    async def _gave_up(self, leg: IceLeg) -> None:
        if leg is not self._next_leg:
            return
        self._next_leg = None
        await leg.close()
        # A failed restart leaves the old way as it is; without one there is no connection.
        if self._leg is None:
            self._set_state(TransportState.FAILED)

    async def _shake_hands(self, audio: sdp.AudioOffer) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        if dtls.state == "new":
            prints = [RTCDtlsFingerprint(algorithm=item.algorithm, value=item.value) for item in audio.fingerprints]
            try:
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await dtls.start(RTCDtlsParameters(fingerprints=prints))
            except (TimeoutError, ConnectionError):
                pass
        if dtls is not self._dtls:
            return
        if dtls.state != "connected":
            _log.warning("webrtc.handshake_failed", state=dtls.state)
            self._set_state(TransportState.FAILED)
        elif self._state not in _FINAL:
            self._set_state(TransportState.CONNECTED)

    def _dtls_changed(self) -> None:
        # "closed" is the caller's goodbye; the other changes are seen where the handshake is awaited.
        if self._dtls is not None and self._dtls.state == "closed" and self._state not in _FINAL:
            self._set_state(TransportState.CLOSED)

    def _leg_lost(self, leg: IceLeg) -> None:
        if leg is self._leg:
            self._leg = None
            if self._next_leg is None and self._state not in _FINAL:
                self._set_state(TransportState.FAILED)

    # Audio

    def send(self, audio: Pcm | None) -> None:
        """The next 20 ms for the caller; see `port.Transport`."""
        media = self._media
        if media is None:
            return
        now = self._loop.time()
        media.incoming.overdue(now)
        self._check_silence(now)
        # Read every 20 ms: aiortc's `state` is a computed property, and its session is None before the handshake is over.
        srtp = None if self._dtls is None else self._dtls._tx_srtp
        if srtp is None or self._leg is None or self._state in _FINAL:
            media.outgoing.skip()
            return
        if media.sends:
            packet = media.outgoing.frame(audio)
            if packet is not None:
                self._leg.send_now(srtp.protect(packet))
        else:
            media.outgoing.skip()
        if self._reports.tick():
            report = self._reports.make(media.outgoing, media.incoming, self._cname, now, time.time())
            self._leg.send_now(srtp.protect_rtcp(report))

    def _datagram(self, leg: IceLeg, data: bytes) -> None:
        self._heard()
        if not data:
            return
        first = data[0]
        if 127 < first < 192:
            self._protected(data)
        elif 19 < first < 64 and leg in (self._leg, self._next_leg):
            self._path.put(data)

    def _protected(self, data: bytes) -> None:
        srtp = None if self._dtls is None else self._dtls._rx_srtp
        media = self._media
        if srtp is None or media is None:
            return
        now = self._loop.time()
        if rtp.is_rtcp(data):
            with suppress(pylibsrtp.Error, ValueError):
                self._reports.read(srtp.unprotect_rtcp(data), self._ssrc, now)
                media.outgoing.expect_loss(self._reports.remote_loss)
            return
        try:
            packet = rtp.parse(srtp.unprotect(data))
        except (pylibsrtp.Error, ValueError):
            return
        media.incoming.packet(packet, now)

    def _heard(self) -> None:
        self._heard_at = self._loop.time()
        if self._state is TransportState.DISCONNECTED and self._leg is not None:
            self._set_state(TransportState.CONNECTED)

    def _check_silence(self, now: float) -> None:
        if self._state is TransportState.CONNECTED and now - self._heard_at > SILENT_SECONDS:
            self._set_state(TransportState.DISCONNECTED)

    # The end

    async def close(self) -> None:
        """Say goodbye, close every socket, wait for every task. May be called twice."""
        self._set_state(TransportState.CLOSED)
        srtp = None if self._dtls is None or self._dtls.state != "connected" else self._dtls._tx_srtp
        if srtp is not None and self._leg is not None:
            self._leg.send_now(srtp.protect_rtcp(rtp.goodbye(self._ssrc)))
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._drop_link()

    async def _drop_link(self) -> None:
        dtls, self._dtls = self._dtls, None
        if dtls is not None:
            dtls.remove_all_listeners()
            pump = dtls._task
            await dtls.stop()
            self._path.put(None)
            if pump is not None:
                await asyncio.wait({pump})
        legs, self._leg, self._next_leg = (self._leg, self._next_leg), None, None
        for leg in legs:
            if leg is not None:
                leg.on_lost = None
                await leg.close()

    def _set_state(self, state: TransportState) -> None:
        if state is self._state or self._state is TransportState.CLOSED:
            return
        self._state = state
        if self._on_state is not None:
            self._on_state(state)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("webrtc.task_failed", error=repr(task.exception()))
            self._set_state(TransportState.FAILED)


def _same_peer(before: sdp.AudioOffer, now: sdp.AudioOffer) -> bool:
    return set(before.fingerprints) == set(now.fingerprints)

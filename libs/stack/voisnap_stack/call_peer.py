"""The audio connection of `voisnap call`: one WebRTC peer, replaced by another when the way to the agent is lost."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from .call_media import Hearing, Voice, mono


class Peer:
    """One connection: offers, takes the answer, sends `voice`, hands what comes to `hearing`. `changed` is told of every state."""

    def __init__(
        self, servers: Sequence[dict[str, Any]], voice: Voice, hearing: Hearing, changed: Callable[["Peer"], None]
    ) -> None:
        self._hearing = hearing
        self._changed = changed
        self._listening: asyncio.Task[None] | None = None
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=_ice_servers(servers)))
        self._connection.addTrack(_Outlet(voice))
        self._connection.on("track", self._begin)
        self._connection.on("connectionstatechange", lambda: changed(self))

    @property
    def state(self) -> str:
        """`new`, `connecting`, `connected`, `failed` or `closed`."""
        return self._connection.connectionState

    async def offer(self) -> dict[str, str]:
        """The offer to send, with all candidates in it."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        offer = self._connection.localDescription
        return {"sdp": offer.sdp, "type": offer.type}

    async def accept(self, answer: dict[str, Any]) -> None:
        """Take the agent's answer; one that was meant for the peer before is passed over."""
        if self._connection.signalingState == "have-local-offer":
            await self._connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))

    async def add_candidate(self, value: dict[str, Any]) -> None:
        """Try a candidate of the agent."""
        candidate = candidate_from_sdp(value["candidate"].removeprefix("candidate:"))
        candidate.sdpMid, candidate.sdpMLineIndex = value.get("sdpMid"), value.get("sdpMLineIndex")
        if self._connection.remoteDescription is not None:
            await self._connection.addIceCandidate(candidate)

    async def close(self) -> None:
        """End it; the voice stays for the next one."""
        # Shielded: aiortc trips over a second close that is called off while its own is under way.
        await asyncio.shield(asyncio.ensure_future(self._connection.close()))
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    def _begin(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        # aiortc's receiver would hold everything back by 80 ms; what is measured here is the agent, not the caller.
        for receiver in self._connection.getReceivers():
            setattr(receiver, "_RTCRtpReceiver__jitter_buffer", JitterBuffer(capacity=16, prefetch=0))  # noqa: B010 - private
        loop = asyncio.get_running_loop()
        first: int | None = None
        base = 0
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, AudioFrame) and frame.pts is not None:
                    if first is None:
                        first, base = frame.pts, self._hearing.place_of(loop.time())
                    self._hearing.frame(mono(frame), base + max(0, frame.pts - first), loop.time())


class _Outlet(MediaStreamTrack):
    """The caller's voice for one peer: a peer that closes stops its track, and the voice must go on."""

    kind = "audio"

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice

    async def recv(self) -> AudioFrame:
        """The next 20 ms (called by aiortc)."""
        return await self._voice.recv()


def _ice_servers(servers: Sequence[dict[str, Any]]) -> list[RTCIceServer]:
    return [
        RTCIceServer(urls=list(one["urls"]), username=one.get("username"), credential=one.get("credential"))
        for one in servers
    ]

"""One ICE connection as we need it: host candidates at once, the others trickled, datagrams handed on synchronously.

aioice is used below its public surface, and it is pinned (0.13.0) for that: its own `recv` puts a queue and a task
switch between the socket and the audio, and its gathering answers only after the slowest server. What is relied on:
`data_received` and `request_received` are called by the socket's protocol; `get_component_candidates` binds host
sockets; `_local_candidates`, `_protocols`, `_pair_remote_candidate` and `_nominated` are what `connect` works on.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

import aioice
import msgspec
from aioice.candidate import Candidate
from aioice.ice import StunProtocol, get_host_addresses, relayed_candidate, server_reflexive_candidate
from aioice.mdns import is_mdns_hostname
from voisnap_kit import log
from voisnap_proto.requests import IceServer

LOOPBACK = "127.0.0.1"
MAX_REMOTE_CANDIDATES = 64
SERVER_SECONDS = 5.0
"""How long a STUN or TURN server may take to answer."""
MDNS_SECONDS = 2.0
CLOSE_SECONDS = 2.0
_LAST_STUN_BYTE = 3

_log = log.get(__name__)

OnDatagram = Callable[["IceLeg", bytes], None]
OnCandidate = Callable[[Candidate], None]


class MediaNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """Where media sockets are bound and under which address they are announced."""

    bind: tuple[str, ...] = (LOOPBACK,)
    """Addresses to bind; `*` stands for every address of the machine."""
    advertise_ip: str | None = None
    """The public address of a machine behind a one-to-one NAT; replaces the bound one in host candidates."""

    def addresses(self) -> list[str]:
        """The addresses to bind."""
        if "*" not in self.bind:
            return list(self.bind)
        return [*get_host_addresses(use_ipv4=True, use_ipv6=True), LOOPBACK]

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach the media."""
        return all(address != "*" and ipaddress.ip_address(address).is_loopback for address in self.bind)


class ServerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One STUN or TURN server, read from its URL (RFC 7064, RFC 7065)."""

    scheme: str
    host: str
    port: int
    transport: str
    username: str | None = None
    credential: str | None = None


def server_addresses(servers: Sequence[IceServer]) -> list[ServerAddress]:
    """Every URL of the configuration. Raises `ValueError` for one that is none."""
    found: list[ServerAddress] = []
    for server in servers:
        for url in server.urls:
            scheme, _, rest = url.partition(":")
            if scheme not in ("stun", "stuns", "turn", "turns") or not rest:
                raise ValueError(f"{url!r} is not a STUN or TURN URL")
            place, _, query = rest.partition("?")
            host, _, port = place.rpartition(":") if place.rfind(":") > place.rfind("]") else (place, "", "")
            secure = scheme.endswith("s")
            default = "tcp" if secure else "udp"
            found.append(
                ServerAddress(
                    scheme=scheme,
                    host=host.strip("[]"),
                    port=int(port) if port else (5349 if secure else 3478),
                    transport=query.removeprefix("transport=") if query else default,
                    username=server.username,
                    credential=server.credential,
                )
            )
    return found


class _Socket(StunProtocol):
    """A socket that tells media from STUN by the first byte (RFC 7983 §7), instead of trying to read every packet as STUN."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if data and data[0] > _LAST_STUN_BYTE:  # type: ignore[operator]  # datagrams are bytes
            self.receiver.data_received(data, 1)  # type: ignore[arg-type]
        else:
            super().datagram_received(data, addr)


class IceLeg(aioice.Connection):
    """One set of ICE credentials with its sockets; an ICE restart makes a new one."""

    def __init__(self, on_datagram: OnDatagram, on_heard: Callable[[], None], network: MediaNetwork) -> None:
        super().__init__(ice_controlling=False)
        self._on_datagram = on_datagram
        self._on_heard = on_heard
        self._network = network
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_lost: Callable[[IceLeg], None] | None = None
        """Called once when the connection ends by itself (consent expired) or by `close`."""

    # What aioice calls

    def data_received(self, data: bytes, component: int) -> None:
        """Anything that is not STUN: straight on, no queue."""
        del component
        self._on_datagram(self, data)

    def request_received(self, message: Any, addr: tuple[str, int], protocol: StunProtocol) -> None:
        """A check or consent request of the other side: a sign of life."""
        self._on_heard()
        super().request_received(message, addr, protocol)

    # Gathering

    async def gather_hosts(self) -> tuple[str, ...]:
        """Bind sockets; the host candidates as they go into the answer. Raises `OSError` when none could be bound."""
        self._local_candidates_start = True
        self._local_candidates = await self.get_component_candidates(1, self._network.addresses())
        self._local_candidates_end = True
        for protocol in self._protocols:
            protocol.__class__ = _Socket  # aioice makes its own class, and nobody else knows which sockets these are
        if not self._local_candidates:
            raise OSError(f"no media socket could be bound on {', '.join(self._network.bind)}")
        return tuple(self._announced(candidate) for candidate in self._local_candidates)

    def gather_served(self, servers: Sequence[ServerAddress], on_candidate: Callable[[str], None]) -> None:
        """Ask STUN and TURN servers in the background; each candidate is told as it is found."""
        for server in servers:
            if server.scheme == "stun" and not self._network.is_loopback:
                for protocol in tuple(self._protocols):
                    if ipaddress.ip_address(protocol.local_candidate.host).version == 4:
                        self._spawn(self._reflexive(protocol, server, on_candidate))
            elif server.scheme in ("turn", "turns"):
                self._spawn(self._relayed(server, on_candidate))

    async def _reflexive(self, protocol: StunProtocol, server: ServerAddress, tell: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(SERVER_SECONDS):
                candidate, _ = await server_reflexive_candidate(protocol, (server.host, server.port))
        except Exception as error:  # aioice raises its own unrelated classes; one server less is no reason to fail
            _log.warning("ice.server_failed", server=f"{server.scheme}:{server.host}:{server.port}", error=repr(error))
            return
        self._local_candidates.append(candidate)
        tell(self._announced(candidate))

    async def _relayed(self, server: ServerAddress, tell: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(SERVER_SECONDS):
                candidate, protocol = await relayed_candidate(
                    component=1,
                    hide_related_address=False,
                    protocol_factory=lambda: _Socket(self),
                    turn_server=(server.host, server.port),
                    turn_username=server.username,
                    turn_password=server.credential,
                    turn_ssl=server.scheme == "turns",
                    turn_transport=server.transport,
                )
        except Exception as error:  # see above
            _log.warning("ice.server_failed", server=f"{server.scheme}:{server.host}:{server.port}", error=repr(error))
            return
        if self._closing:
            await protocol.close()
            return
        self._protocols.append(protocol)
        self._local_candidates.append(candidate)
        for remote in self._remote_candidates:
            self._pair_remote_candidate(remote)
        self.sort_check_list()
        tell(self._announced(candidate))

    def _announced(self, candidate: Candidate) -> str:
        text = candidate.to_sdp()
        if candidate.type != "host" or self._network.advertise_ip is None:
            return text
        words = text.split()
        words[4] = self._network.advertise_ip
        return " ".join(words)

    # Remote candidates

    async def add(self, line: str) -> None:
        """Try a candidate of the other side (`candidate:…` or what follows it). Raises `ValueError` for a bad line.

        What cannot be used is passed over: TCP, RTCP's own component, names that do not resolve. A browser that hides
        its addresses behind mDNS names is found anyway, since its checks reach our candidates.
        """
        candidate = _candidate(line)
        if candidate.transport.lower() != "udp" or candidate.component != 1:
            return
        if len(self._remote_candidates) + len(self._tasks) >= MAX_REMOTE_CANDIDATES:
            return
        if is_mdns_hostname(candidate.host):
            if not self._network.is_loopback:
                self._spawn(self._resolved(candidate))
            return
        await self.add_remote_candidate(candidate)

    async def _resolved(self, candidate: Candidate) -> None:
        try:
            async with asyncio.timeout(MDNS_SECONDS):
                await self.add_remote_candidate(candidate)
        except (OSError, TimeoutError) as error:
            _log.info("ice.name_unresolved", error=repr(error))

    # The path

    def send_now(self, data: bytes) -> bool:
        """Send a datagram on the nominated pair without waiting; False when there is none."""
        pair = self._nominated.get(1)
        if pair is None or self._closing:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True

    async def close(self) -> None:
        """Close every socket and task. May be called twice."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await super().close()
        except TimeoutError:
            # A relay that is gone is told goodbye for half a minute; nobody waits for that.
            _log.warning("ice.close_timed_out")
        lost, self.on_lost = self.on_lost, None
        if lost is not None:
            lost(self)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _candidate(line: str) -> Candidate:
    text = line.strip().removeprefix("a=").removeprefix("candidate:")
    try:
        candidate = Candidate.from_sdp(text)
        if not is_mdns_hostname(candidate.host):
            ipaddress.ip_address(candidate.host)
    except (ValueError, AssertionError, IndexError) as error:
        raise ValueError("The ICE candidate cannot be read.") from error
    if not 0 < candidate.port < 65536:
        raise ValueError("The ICE candidate has no valid port.")
    return candidate


def username_of(line: str) -> str | None:
    """The `ufrag` a candidate names, by which one of before an ICE restart is told."""
    words = line.split()
    return words[words.index("ufrag") + 1] if "ufrag" in words[:-1] else None

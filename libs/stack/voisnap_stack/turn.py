"""A small TURN server for one machine: UDP relay on loopback with expiring credentials (RFC 8656 on RFC 8489).

For the embedded default and for tests. Production uses coturn with the same kind of credentials (draft-uberti-behave-turn-rest-00 §2.2):
username `<unix time of expiry>:<name>`, password base64(HMAC-SHA1(secret, username)). No TCP, no TLS, IPv4 only, and it relays to loopback
addresses alone, so that it is no open relay. The STUN codec is aioice's, pinned.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Self, cast

from aioice import stun
from aioice.turn import is_channel_data, make_integrity_key

REALM = "voisnap"
DEFAULT_LIFETIME = 600
MAX_LIFETIME = 3600
PERMISSION_LIFETIME = 300
"""RFC 8656 §9."""
CHANNEL_LIFETIME = 600
"""RFC 8656 §12."""
NONCE_LIFETIME = 3600
MAX_ALLOCATIONS = 200
MAX_ALLOCATIONS_PER_USER = 20
SWEEP_SECONDS = 5.0
UDP = 17

Address = tuple[str, int]


def credentials(secret: str, name: str, *, expires_at: float) -> tuple[str, str]:
    """Username and password that are valid until `expires_at` (unix seconds)."""
    username = f"{int(expires_at)}:{name}"
    return username, _password(secret, username)


def _password(secret: str, username: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()


class TurnServer:
    """A running server; `url` is what goes into iceServers."""

    def __init__(self, transport: asyncio.DatagramTransport, protocol: "_Listener") -> None:
        self._transport = transport
        self._listener = protocol
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    @classmethod
    async def start(
        cls, secret: str, *, host: str = "127.0.0.1", port: int = 0, clock: Callable[[], float] = time.time
    ) -> Self:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Listener(secret, host=host, clock=clock), local_addr=(host, port)
        )
        return cls(transport, protocol)

    @property
    def port(self) -> int:
        return self._transport.get_extra_info("sockname")[1]

    @property
    def url(self) -> str:
        host, port = self._transport.get_extra_info("sockname")[:2]
        return f"turn:{host}:{port}?transport=udp"

    @property
    def allocations(self) -> int:
        """Relays in use."""
        return len(self._listener.allocations)

    def sweep(self) -> None:
        """Free what has expired; runs by itself every few seconds."""
        self._listener.sweep()

    async def stop(self) -> None:
        """Free everything."""
        self._sweeper.cancel()
        for allocation in tuple(self._listener.allocations.values()):
            allocation.close()
        self._listener.allocations.clear()
        self._transport.close()

    def _sweep(self) -> None:
        self._listener.sweep()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


class _Allocation(asyncio.DatagramProtocol):
    """One client's relayed address (RFC 8656 §3.2)."""

    def __init__(self, listener: "_Listener", client: Address, username: str, expires_at: float) -> None:
        self._listener = listener
        self.client = client
        self.username = username
        self.expires_at = expires_at
        self.permissions: dict[str, float] = {}
        self.channels: dict[int, tuple[Address, float]] = {}
        self._channel_of: dict[Address, int] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The selector loop's transport is no subclass of DatagramTransport on Python 3.11.
        self._transport = cast(asyncio.DatagramTransport, transport)

    @property
    def relayed(self) -> Address:
        assert self._transport is not None
        return self._transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Data of a peer goes to the client, if the client permits the peer."""
        peer: Address = addr[:2]
        now = self._listener.clock()
        if self.permissions.get(peer[0], 0) < now:
            return
        channel = self._channel_of.get(peer)
        if channel is not None and self.channels[channel][1] >= now:
            self._listener.send(struct.pack("!HH", channel, len(data)) + data, self.client)
            return
        indication = stun.Message(stun.Method.DATA, stun.Class.INDICATION)
        indication.attributes["XOR-PEER-ADDRESS"] = peer
        indication.attributes["DATA"] = data
        self._listener.send(bytes(indication), self.client)

    def send_to(self, peer: Address, data: bytes) -> None:
        """Data of the client goes to a permitted peer."""
        if self._transport is not None and self.permissions.get(peer[0], 0) >= self._listener.clock():
            self._transport.sendto(data, peer)

    def permit(self, peer: Address) -> None:
        self.permissions[peer[0]] = self._listener.clock() + PERMISSION_LIFETIME

    def bind(self, channel: int, peer: Address) -> bool:
        """Bind a channel; False when it or the peer is bound otherwise (RFC 8656 §12.2)."""
        if self.channels.get(channel, (peer, 0))[0] != peer or self._channel_of.get(peer, channel) != channel:
            return False
        self.channels[channel] = (peer, self._listener.clock() + CHANNEL_LIFETIME)
        self._channel_of[peer] = channel
        self.permit(peer)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Listener(asyncio.DatagramProtocol):
    """The server's socket: authenticates requests and keeps the allocations by client address."""

    def __init__(self, secret: str, *, host: str, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._host = host
        self._nonce_key = secrets.token_bytes(16)
        self._transport: asyncio.DatagramTransport | None = None
        self._allocating: set[asyncio.Task[None]] = set()
        self.clock = clock
        self.allocations: dict[Address, _Allocation] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The selector loop's transport is no subclass of DatagramTransport on Python 3.11.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        client: Address = addr[:2]
        if len(data) >= 4 and is_channel_data(data):
            self._channel_data(data, client)
            return
        try:
            message = stun.parse_message(data)
        except ValueError:
            return
        if message.message_class is stun.Class.INDICATION and message.message_method is stun.Method.SEND:
            self._send_indication(message, client)
        elif message.message_class is stun.Class.REQUEST:
            self._request(message, client)

    def send(self, data: bytes, client: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, client)

    def sweep(self) -> None:
        now = self.clock()
        for client, allocation in tuple(self.allocations.items()):
            if allocation.expires_at < now:
                allocation.close()
                del self.allocations[client]

    def _request(self, message: stun.Message, client: Address) -> None:
        if message.message_method is stun.Method.BINDING:
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=message.transaction_id)
            response.attributes["XOR-MAPPED-ADDRESS"] = client
            response.add_fingerprint()
            self.send(bytes(response), client)
            return
        key = self._authenticated(message, client)
        if key is None:
            return
        allocation = self.allocations.get(client)
        match message.message_method:
            case stun.Method.ALLOCATE:
                self._allocate(message, client, key)
            case _ if allocation is None:
                self._refuse(message, client, 437, "Allocation Mismatch", key)
            case _ if allocation.username != message.attributes["USERNAME"]:
                self._refuse(message, client, 441, "Wrong Credentials", key)
            case stun.Method.REFRESH:
                self._refresh(message, client, allocation, key)
            case stun.Method.CREATE_PERMISSION | stun.Method.CHANNEL_BIND:
                self._admit(message, client, allocation, key)
            case _:
                self._refuse(message, client, 400, "Bad Request", key)

    def _authenticated(self, message: stun.Message, client: Address) -> bytes | None:
        """The key of a request that proves its credential; else it is answered with 401 or 438 (RFC 8489 §9.2.4)."""
        username = message.attributes.get("USERNAME")
        if username is None or "MESSAGE-INTEGRITY" not in message.attributes:
            self._refuse(message, client, 401, "Unauthorized")
            return None
        if not self._is_fresh(message.attributes.get("NONCE", b"")):
            self._refuse(message, client, 438, "Stale Nonce")
            return None
        expires_at = username.split(":", 1)[0]
        key = make_integrity_key(username, REALM, _password(self._secret, username))
        if not expires_at.isdigit() or int(expires_at) < self.clock() or not message.check_message_integrity(key):
            self._refuse(message, client, 401, "Unauthorized")
            return None
        return key

    def _allocate(self, message: stun.Message, client: Address, key: bytes) -> None:
        username = message.attributes["USERNAME"]
        if client in self.allocations:
            self._refuse(message, client, 437, "Allocation Mismatch", key)
        elif message.attributes.get("REQUESTED-TRANSPORT", 0) >> 24 != UDP:
            self._refuse(message, client, 442, "Unsupported Transport Protocol", key)
        elif (
            sum(allocation.username == username for allocation in self.allocations.values()) >= MAX_ALLOCATIONS_PER_USER
        ):
            self._refuse(message, client, 486, "Allocation Quota Reached", key)
        elif len(self.allocations) + len(self._allocating) >= MAX_ALLOCATIONS:
            self._refuse(message, client, 508, "Insufficient Capacity", key)
        else:
            lifetime = self._lifetime(message)
            allocation = _Allocation(self, client, username, self.clock() + lifetime)
            # Reserved at once, so that a retransmission meets 437 and not a second relay.
            self.allocations[client] = allocation
            task = asyncio.get_running_loop().create_task(self._open_relay(message, allocation, lifetime, key))
            self._allocating.add(task)
            task.add_done_callback(self._allocating.discard)

    async def _open_relay(self, message: stun.Message, allocation: _Allocation, lifetime: int, key: bytes) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_datagram_endpoint(lambda: allocation, local_addr=(self._host, 0))
        except OSError:
            self.allocations.pop(allocation.client, None)
            self._refuse(message, allocation.client, 508, "Insufficient Capacity", key)
            return
        attributes = {
            "XOR-RELAYED-ADDRESS": allocation.relayed,
            "XOR-MAPPED-ADDRESS": allocation.client,
            "LIFETIME": lifetime,
        }
        self._accept(message, allocation.client, attributes, key)

    def _refresh(self, message: stun.Message, client: Address, allocation: _Allocation, key: bytes) -> None:
        lifetime = self._lifetime(message)
        if lifetime == 0:
            allocation.close()
            del self.allocations[client]
        else:
            allocation.expires_at = self.clock() + lifetime
        self._accept(message, client, {"LIFETIME": lifetime}, key)

    def _admit(self, message: stun.Message, client: Address, allocation: _Allocation, key: bytes) -> None:
        peer = message.attributes.get("XOR-PEER-ADDRESS")
        if peer is None:
            self._refuse(message, client, 400, "Bad Request", key)
        elif not self._may_relay_to(peer):
            self._refuse(message, client, 403, "Forbidden", key)
        elif message.message_method is stun.Method.CREATE_PERMISSION:
            allocation.permit(peer)
            self._accept(message, client, {}, key)
        else:
            channel = message.attributes.get("CHANNEL-NUMBER", 0)
            if 0x4000 <= channel <= 0x4FFF and allocation.bind(channel, peer):
                self._accept(message, client, {}, key)
            else:
                self._refuse(message, client, 400, "Bad Request", key)

    def _channel_data(self, data: bytes, client: Address) -> None:
        channel, length = struct.unpack("!HH", data[:4])
        allocation = self.allocations.get(client)
        if allocation is None or channel not in allocation.channels:
            return
        peer, expires_at = allocation.channels[channel]
        if expires_at >= self.clock() and len(data) >= 4 + length:
            allocation.send_to(peer, data[4 : 4 + length])

    def _send_indication(self, message: stun.Message, client: Address) -> None:
        allocation = self.allocations.get(client)
        peer, data = message.attributes.get("XOR-PEER-ADDRESS"), message.attributes.get("DATA")
        if allocation is not None and peer is not None and data is not None and self._may_relay_to(peer):
            allocation.send_to(peer, data)

    def _may_relay_to(self, peer: Address) -> bool:
        """Only where it listens itself: a server on loopback must be no way around a firewall."""
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(peer[0])
            return address.version == 4 and (address.is_loopback or peer[0] == self._host)
        return False

    def _lifetime(self, message: stun.Message) -> int:
        asked = message.attributes.get("LIFETIME", DEFAULT_LIFETIME)
        if asked == 0 and message.message_method is stun.Method.REFRESH:
            return 0
        return min(max(asked, DEFAULT_LIFETIME), MAX_LIFETIME)

    def _accept(self, message: stun.Message, client: Address, attributes: dict[str, Any], key: bytes) -> None:
        response = stun.Message(message.message_method, stun.Class.RESPONSE, transaction_id=message.transaction_id)
        response.attributes.update(attributes)
        response.add_message_integrity(key)
        self.send(bytes(response), client)

    def _refuse(self, message: stun.Message, client: Address, code: int, reason: str, key: bytes | None = None) -> None:
        response = stun.Message(message.message_method, stun.Class.ERROR, transaction_id=message.transaction_id)
        response.attributes["ERROR-CODE"] = (code, reason)
        if key is None:
            response.attributes["REALM"] = REALM
            response.attributes["NONCE"] = self._nonce()
            response.add_fingerprint()
        else:
            response.add_message_integrity(key)
        self.send(bytes(response), client)

    def _nonce(self) -> bytes:
        """Its own time with a seal, so that nothing has to be remembered."""
        made = f"{int(self.clock()):x}"
        return f"{made}-{self._seal(made)}".encode()

    def _is_fresh(self, nonce: bytes) -> bool:
        made, _, seal = nonce.decode("ascii", "replace").partition("-")
        try:
            age = self.clock() - int(made, 16)
        except ValueError:
            return False
        return hmac.compare_digest(seal.encode(), self._seal(made).encode()) and -1 <= age <= NONCE_LIFETIME

    def _seal(self, made: str) -> str:
        return hmac.new(self._nonce_key, made.encode(), hashlib.sha256).hexdigest()[:24]


async def _serve(secret: str, host: str, port: int) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    server = await TurnServer.start(secret, host=host, port=port)
    print(f"turn.listening {server.url}", flush=True)
    await asked.wait()
    await server.stop()


def main() -> int:
    """Serve until SIGTERM with `TURN_SECRET` on `TURN_HOST`, `TURN_PORT`; this is how `voisnap up` runs it."""
    host, port = os.environ.get("TURN_HOST", "127.0.0.1"), int(os.environ["TURN_PORT"])
    try:
        asyncio.run(_serve(os.environ["TURN_SECRET"], host, port))
    except OSError as error:
        print(f"cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

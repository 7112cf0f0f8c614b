import asyncio
import shutil
import time

import pytest
from aioice import Candidate, Connection, stun, turn
from voisnap_stack.turn import TurnServer, credentials

pytestmark = pytest.mark.media

SECRET = "between-the-services"


@pytest.fixture
async def server():
    running = await TurnServer.start(SECRET)
    yield running
    await running.stop()


async def relay(server: TurnServer, username: str, password: str):
    """A client's allocation on the server."""
    return await turn.create_turn_endpoint(
        asyncio.DatagramProtocol, server_addr=("127.0.0.1", server.port), username=username, password=password
    )


def relay_only(server: TurnServer, *, controlling: bool) -> Connection:
    username, password = credentials(SECRET, "session", expires_at=time.time() + 60)
    return Connection(
        ice_controlling=controlling,
        turn_server=("127.0.0.1", server.port),
        turn_username=username,
        turn_password=password,
        turn_transport="udp",
    )


async def test_two_peers_that_know_only_relays_talk(server: TurnServer) -> None:
    caller, agent = relay_only(server, controlling=True), relay_only(server, controlling=False)
    await caller.gather_candidates()
    await agent.gather_candidates()
    for one, other in ((caller, agent), (agent, caller)):
        relays: list[Candidate] = [c for c in one.local_candidates if c.type == "relay"]
        assert len(relays) == 1
        await other.add_remote_candidate(relays[0])
        await other.add_remote_candidate(None)
        other.remote_username, other.remote_password = one.local_username, one.local_password
    async with asyncio.timeout(10):
        await asyncio.gather(caller.connect(), agent.connect())
        await caller.send(b"hello")
        assert await agent.recv() == b"hello"
        await agent.send(b"hello yourself")
        assert await caller.recv() == b"hello yourself"
    await asyncio.gather(caller.close(), agent.close())
    assert server.allocations == 0


async def test_wrong_password_is_refused(server: TurnServer) -> None:
    username, _ = credentials(SECRET, "session", expires_at=time.time() + 60)

    with pytest.raises(stun.TransactionFailed, match="401"):
        await relay(server, username, "guess")
    assert server.allocations == 0


async def test_expired_credential_is_refused(server: TurnServer) -> None:
    username, password = credentials(SECRET, "session", expires_at=time.time() - 1)

    with pytest.raises(stun.TransactionFailed, match="401"):
        await relay(server, username, password)


async def test_credential_of_another_secret_is_refused(server: TurnServer) -> None:
    username, password = credentials("another", "session", expires_at=time.time() + 60)

    with pytest.raises(stun.TransactionFailed, match="401"):
        await relay(server, username, password)


async def test_addresses_beyond_loopback_are_not_relayed_to(server: TurnServer) -> None:
    username, password = credentials(SECRET, "session", expires_at=time.time() + 60)
    transport, _ = await relay(server, username, password)
    inner = transport._TurnTransport__inner_protocol

    with pytest.raises(stun.TransactionFailed, match="403"):
        await inner.channel_bind(0x4001, ("192.0.2.1", 9))
    transport.close()


async def test_forgotten_allocations_are_swept() -> None:
    now = time.time()
    server = await TurnServer.start(SECRET, clock=lambda: now)
    username, password = credentials(SECRET, "session", expires_at=now + 60)
    transport, _ = await relay(server, username, password)
    assert server.allocations == 1

    now += 3700
    server.sweep()

    assert server.allocations == 0
    transport.close()
    await server.stop()


async def test_one_user_can_not_take_every_relay(server: TurnServer) -> None:
    username, password = credentials(SECRET, "session", expires_at=time.time() + 60)
    transports = [(await relay(server, username, password))[0] for _ in range(20)]

    with pytest.raises(stun.TransactionFailed, match="486"):
        await relay(server, username, password)
    for transport in transports:
        transport.close()


async def test_noise_is_ignored(server: TurnServer) -> None:
    loop = asyncio.get_running_loop()
    noise, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", server.port))
    for junk in (b"", b"\x00", b"\x40\x00\xff\xff", b"GET / HTTP/1.1\r\n\r\n", bytes(20), b"\x00\x03" + bytes(18)):
        noise.sendto(junk)
    username, password = credentials(SECRET, "session", expires_at=time.time() + 60)
    transport, _ = await relay(server, username, password)

    assert server.allocations == 1
    transport.close()
    noise.close()


@pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is an optional peer of this test")
async def test_coturn_takes_the_same_credentials(tmp_path) -> None:
    process = await asyncio.create_subprocess_exec(
        *f"turnserver -n --no-cli --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --listening-port=34781 --min-port=40000 "
        f"--max-port=40200 --use-auth-secret --static-auth-secret={SECRET} --realm=voisnap --no-tls --no-dtls "
        f"--allow-loopback-peers --log-file=stdout".split(),
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        username, password = credentials(SECRET, "session", expires_at=time.time() + 60)
        transport, _ = await turn.create_turn_endpoint(
            asyncio.DatagramProtocol, server_addr=("127.0.0.1", 34781), username=username, password=password
        )
        transport.close()
    finally:
        process.terminate()
        await process.communicate()

"""The relay between processes, in virtual time: what is passed on, how much of it waits, and who is missed when."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from voisnap_domain.ids import NodeId
from voisnap_kit.bus import NoResponders
from voisnap_runtime.hubs import relay as relays
from voisnap_runtime.hubs.relay import MAX_EXCHANGES, PART_BYTES, WINDOW, BusRelay
from voisnap_signalr import RelayedRequest, RelayedResponse, RelayError
from voisnap_testkit.memory_bus import MemoryBus

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

Serve = Callable[[RelayedRequest], object]


def request(method: str = "GET", body: bytes = b"") -> RelayedRequest:
    headers = (("accept", "text/event-stream"), ("x-odd", "\u00e9"))
    return RelayedRequest(
        method=method,
        path="/hubs/voice",
        query="id=b.c",
        headers=headers,
        client="192.0.2.7",
        scheme="https",
        body=body,
    )


class Owner:
    """The process that holds the connection: what it was asked, and an answer made of `parts`."""

    def __init__(self) -> None:
        self.asked: list[RelayedRequest] = []
        self.parts: list[bytes] = []
        self.given = 0
        self.closed = asyncio.Event()
        self.begins = asyncio.Event()
        self.begins.set()
        self.goes_on = asyncio.Event()

    async def __call__(self, asked: RelayedRequest) -> RelayedResponse:
        self.asked.append(asked)
        await self.begins.wait()
        return RelayedResponse(status=200, headers=(("content-type", "text/event-stream"),), body=self._body())

    async def _body(self) -> AsyncGenerator[bytes]:
        try:
            for part in self.parts:
                self.given += 1
                yield part
            await self.goes_on.wait()
        finally:
            self.closed.set()


class Cluster:
    """Two processes, `a` that is asked by the client and `b` that owns the connection."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.owner = Owner()
        self.here = BusRelay(self.bus, NodeId("a"))
        self.there = BusRelay(self.bus, NodeId("b"))

    async def __aenter__(self) -> "Cluster":
        await self.here.listen(Owner())  # type: ignore[arg-type]
        await self.there.listen(self.owner)  # type: ignore[arg-type]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.here.close()
        await self.there.close()
        assert (len(self.here), len(self.there)) == (0, 0)


async def collected(response: RelayedResponse) -> list[bytes]:
    return [part async for part in response.body]


async def test_post_is_one_question_and_one_answer() -> None:
    async with Cluster() as cluster:
        cluster.owner.parts, body = [b"o", b"k"], b"\x00\xff\x1e" * 1000
        cluster.owner.goes_on.set()
        answer = await cluster.here.forward("b", request("POST", body))
        assert (answer.status, answer.headers) == (200, (("content-type", "text/event-stream"),))
        assert await collected(answer) == [b"ok"]
        assert cluster.owner.asked == [request("POST", body)]
        assert cluster.owner.closed.is_set()


async def test_stream_comes_in_parts_in_order_and_whole() -> None:
    async with Cluster() as cluster:
        large = bytes(range(256)) * (PART_BYTES // 128)
        cluster.owner.parts = [b":\r\n", *(b"%d" % number for number in range(3 * WINDOW)), large]
        cluster.owner.goes_on.set()
        answer = await cluster.here.forward("b", request())
        parts = await collected(answer)
        assert parts[: 3 * WINDOW + 1] == cluster.owner.parts[:-1]
        assert b"".join(parts[3 * WINDOW + 1 :]) == large
        assert max(map(len, parts)) <= PART_BYTES
        await cluster.owner.closed.wait()


async def test_no_more_is_on_the_way_than_the_client_takes() -> None:
    async with Cluster() as cluster:
        cluster.owner.parts = [b"x"] * 1000
        answer = await cluster.here.forward("b", request())
        await asyncio.sleep(5)
        assert cluster.owner.given <= WINDOW + 1
        for _ in range(WINDOW):
            await anext(answer.body)
        await asyncio.sleep(1)
        assert WINDOW < cluster.owner.given <= 2 * WINDOW + 1
        await answer.body.aclose()
        await cluster.owner.closed.wait()


async def test_client_that_takes_nothing_loses_its_stream() -> None:
    async with Cluster() as cluster:
        cluster.owner.parts = [b"x"] * 1000
        answer = await cluster.here.forward("b", request())
        await asyncio.sleep(relays.STALLED_SECONDS + 1)
        assert cluster.owner.closed.is_set()
        with pytest.raises(RelayError):
            await collected(answer)


async def test_client_that_leaves_ends_the_request_over_there() -> None:
    async with Cluster() as cluster:
        cluster.owner.begins.clear()
        poll = asyncio.create_task(cluster.here.forward("b", request()))
        await asyncio.sleep(60)
        assert len(cluster.there) == 1
        poll.cancel()
        await asyncio.wait({poll})
        await asyncio.sleep(0.1)
        assert (len(cluster.here), len(cluster.there)) == (0, 0)


async def test_poll_may_wait_for_a_minute_and_a_half() -> None:
    async with Cluster() as cluster:
        cluster.owner.begins.clear()
        cluster.owner.goes_on.set()
        poll = asyncio.create_task(cluster.here.forward("b", request()))
        await asyncio.sleep(90)
        assert not poll.done()
        cluster.owner.begins.set()
        assert (await poll).status == 200
        await (await poll).body.aclose()


async def test_process_that_is_not_there_is_known_at_once() -> None:
    async with Cluster() as cluster:
        began = asyncio.get_running_loop().time()
        for method in ("GET", "POST", "DELETE"):
            with pytest.raises(RelayError):
                await cluster.here.forward("gone_01HX", request(method))
        assert asyncio.get_running_loop().time() - began < 0.1


async def test_death_of_the_owner_ends_polls_and_streams_within_seconds() -> None:
    async with Cluster() as cluster:
        cluster.owner.parts = [b":\r\n"]
        stream = await cluster.here.forward("b", request())
        assert await anext(stream.body) == b":\r\n"
        cluster.owner.begins.clear()
        poll = asyncio.create_task(cluster.here.forward("b", request()))
        await asyncio.sleep(10)
        assert not poll.done()
        for subject in tuple(cluster.bus._responders):
            if subject.startswith("node.b."):
                del cluster.bus._responders[subject]
        async with asyncio.timeout(2 * relays.ALIVE_EVERY):
            with pytest.raises(RelayError):
                await anext(stream.body)
            with pytest.raises(RelayError):
                await poll
        await stream.body.aclose()


async def test_death_of_the_asker_calls_off_what_it_wanted() -> None:
    async with Cluster() as cluster:
        await cluster.here.forward("b", request())
        for subject in tuple(cluster.bus._responders):
            if subject.startswith("node.a."):
                del cluster.bus._responders[subject]
        async with asyncio.timeout(2 * relays.ALIVE_EVERY):
            await cluster.owner.closed.wait()
        cluster.here._asked.clear()


async def test_process_that_does_not_answer_for_a_while_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Cluster() as cluster:
        stream = await cluster.here.forward("b", request())
        cluster.bus.away = True  # as with a stopped process, nothing comes back
        async with asyncio.timeout(3 * (relays.ALIVE_EVERY + relays.ALIVE_TIMEOUT)):
            with pytest.raises(RelayError):
                await anext(stream.body)
        cluster.bus.away = False
        await cluster.owner.closed.wait()


async def test_failure_over_there_is_a_lost_connection() -> None:
    async def fails(_: RelayedRequest) -> RelayedResponse:
        raise RuntimeError("secret detail")

    async with Cluster() as cluster:
        cluster.there._serve = fails
        for method in ("GET", "POST"):
            with pytest.raises(RelayError) as raised:
                await cluster.here.forward("b", request(method))
            assert "secret" not in str(raised.value)


async def test_open_requests_are_bounded_for_who_asks_and_for_who_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "MAX_EXCHANGES", 3)
    async with Cluster() as cluster:
        third = BusRelay(cluster.bus, NodeId("c"))
        await third.listen(Owner())  # type: ignore[arg-type]
        streams = [await cluster.here.forward("b", request()) for _ in range(2)]
        streams.append(await cluster.here.forward("c", request()))
        with pytest.raises(RelayError, match="too many requests are with other processes"):
            await cluster.here.forward("b", request())
        streams.append(await third.forward("b", request()))
        with pytest.raises(RelayError, match="answers too many requests"):
            await third.forward("b", request())
        await streams.pop().body.aclose()
        await asyncio.sleep(0.1)
        streams.append(await third.forward("b", request()))
        for stream in streams:
            await stream.body.aclose()
        await third.close()
    assert MAX_EXCHANGES == 2000


async def test_what_a_stranger_tells_changes_nothing() -> None:
    async with Cluster() as cluster:
        cluster.owner.parts = [b"real"]
        stream = await cluster.here.forward("b", request())
        stranger = BusRelay(cluster.bus, NodeId("c"))
        assert await anext(stream.body) == b"real"
        await stranger._say("a", relays.Part, 1, data=b"forged")
        await stranger._say("b", relays.Left, 1)
        await cluster.bus.tell("node.a.relay_told.v1", b"\xc1garbage")
        await asyncio.sleep(0.1)
        assert not cluster.owner.closed.is_set()
        cluster.owner.goes_on.set()
        assert await collected(stream) == []


async def test_count_beyond_what_was_sent_opens_no_flood() -> None:
    async with Cluster() as cluster:
        cluster.owner.parts = [b"x"] * 1000
        answer = await cluster.here.forward("b", request())
        await asyncio.sleep(1)
        await cluster.here._say("b", relays.Taken, 1, parts=10**9)
        await asyncio.sleep(1)
        assert cluster.owner.given <= 2 * WINDOW + 1
        await answer.body.aclose()


async def test_closed_relay_answers_nobody() -> None:
    async with Cluster() as cluster:
        await cluster.there.close()
        with pytest.raises(RelayError) as raised:
            await cluster.here.forward("b", request())
        assert isinstance(raised.value.__cause__, NoResponders)

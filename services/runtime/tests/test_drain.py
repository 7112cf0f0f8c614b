"""A process that is asked to stop: calls go on elsewhere if there is an elsewhere, and end properly if not."""

import asyncio

import pytest
from voisnap_domain.errors import LimitReached
from voisnap_domain.sessions import EndReason
from voisnap_kit.health import DrainGate
from voisnap_runtime.sessions.drain import Drain

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]


class Register:
    """The nodes of a platform: who drains, who has room."""

    def __init__(self) -> None:
        self.staying: set[str] = set()


class NodesSeen:
    def __init__(self, register: Register, node_id: str, gate: DrainGate) -> None:
        self._register, self._node_id, self._gate = register, node_id, gate
        register.staying.add(node_id)

    async def register(self) -> None:
        if self._gate.draining:
            self._register.staying.discard(self._node_id)

    async def followers(self) -> tuple[str, ...]:
        return tuple(sorted(self._register.staying - {self._node_id}))

    async def leave(self) -> None:
        self._register.staying.discard(self._node_id)


class Front:
    """Hubs and desk, as far as they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def refuse(self) -> None:
        self.told.append("refuse")

    async def drain(self, *, timeout_s: float = 3.0) -> None:
        self.told.append("drain hubs")

    async def close_door(self) -> None:
        self.told.append("close door")

    async def close(self) -> None:
        self.told.append("close desk")


@pytest.fixture
def register():
    return Register()


@pytest.fixture
def drain_of(register):
    def build(house, *, seconds: float = 20.0) -> Drain:
        gate = DrainGate()
        return Drain(
            gate=gate,
            hubs=Front(),
            desk=Front(),
            sessions=house.sessions,
            neighbours=house.neighbours,
            nodes=NodesSeen(register, house.node_id, gate),
            relay=house.relay,
            seconds=seconds,
        )

    return build


@pytest.fixture
async def call(house, make_audience):
    """A call with its audience: (live, call, audience)."""
    house.clock.follow(asyncio.get_running_loop())
    session = await house.open()
    live = await house.sessions.claim(session.plan.session_id)
    audience = make_audience()
    live.attach(audience, resumed=False)
    await live.answer("v=0", "offer")
    house.transports[-1].become("connected")
    talk = house.calls[session.plan.session_id]
    await talk.running.wait()
    return live, talk, audience


async def test_calls_go_on_in_another_process(house, build_house, drain_of, call):
    live, talk, audience = call
    other = await build_house("node_b")
    drain_of(other)
    drain = drain_of(house)
    talk.is_quiet = False
    stopping = asyncio.create_task(drain())
    await asyncio.sleep(5)

    assert drain.gate.draining
    assert drain.hubs.told == ["refuse"]
    assert drain.desk.told == ["close door"]
    assert not live.is_ending, "it waits for a silent moment"
    with pytest.raises(LimitReached):
        await house.sessions.claim("wrtc_2")
    talk.is_quiet = True
    await stopping

    assert audience.names[-1] == "come back"
    assert (await house.store.get(live.plan.session_id)).seamless
    assert house.store.leases[live.plan.session_id] > house.clock()
    assert [type(event).__name__ for event in house.events] == ["SessionStarted"]


async def test_without_another_process_calls_end_properly_and_soon(house, drain_of, call):
    _, talk, audience = call
    talk.is_quiet = False
    before = asyncio.get_running_loop().time()

    await drain_of(house)()

    assert asyncio.get_running_loop().time() - before < 3.5
    assert audience.seen[-1] == ("ended", EndReason.NODE_LOST)
    assert house.events[-1].reason is EndReason.NODE_LOST


async def test_processes_that_stop_together_do_not_wait_for_each_other(house, build_house, drain_of, call):
    other = await build_house("node_b")
    drains = [drain_of(house), drain_of(other)]
    before = asyncio.get_running_loop().time()

    await asyncio.gather(*(drain() for drain in drains))

    assert asyncio.get_running_loop().time() - before < 3.5
    assert house.events[-1].reason is EndReason.NODE_LOST


async def test_a_process_that_only_seems_to_live_gets_nothing(house, register, drain_of, call):
    register.staying.add("node_killed")

    await drain_of(house)()

    assert house.events[-1].reason is EndReason.NODE_LOST


async def test_calls_end_properly_when_the_other_process_goes_meanwhile(house, build_house, drain_of, call):
    _, talk, _ = call
    other = await build_house("node_b")
    drain_of(other)
    talk.is_quiet = False
    stopping = asyncio.create_task(drain_of(house)())
    await asyncio.sleep(5)
    before = asyncio.get_running_loop().time()
    await other.kill()
    await stopping

    assert asyncio.get_running_loop().time() - before < 4
    assert not talk.held
    assert house.events[-1].reason is EndReason.NODE_LOST


async def test_a_process_without_calls_is_gone_at_once(house, build_house, drain_of):
    drain_of(await build_house("node_b"))
    before = asyncio.get_running_loop().time()

    await drain_of(house)()

    assert asyncio.get_running_loop().time() - before < 0.1

"""A caller who comes, goes and comes back anywhere, processes that do not hear each other, a store that takes its time: in any order of these
the conversation is one, its turns are told in order and once, and it ends once. In virtual time.
"""

import asyncio
import contextlib
import inspect
import random
from typing import Any

import pytest
from voisnap_domain.errors import DomainError
from voisnap_domain.ids import NodeId, SessionId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_runtime.sessions.neighbours import Neighbours
from voisnap_runtime.sessions.reaper import Reaper
from voisnap_runtime.transports.port import LinkQuality

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SESSION = SessionId("wrtc_1")
STEPS = 25


class SlowStore:
    """A store whose answers take their time, before and after they count."""

    def __init__(self, store: Any, dice: random.Random) -> None:
        self._store = store
        self._dice = dice

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def later(*args: Any, **named: Any) -> Any:
            await self._wait()
            result = await found(*args, **named)
            await self._wait()
            return result

        return later

    async def _wait(self) -> None:
        await asyncio.sleep(self._dice.choice((0, 0, 0, 0.002, 0.05, 0.2)))


class HubMedia:
    """Audio over a hub connection."""

    def __init__(self) -> None:
        self.state = "connected"

    def quality(self) -> LinkQuality:
        return LinkQuality()

    def send(self, audio: Any) -> None: ...

    async def close(self) -> None:
        self.state = "closed"


class Caller:
    """One hub connection of the caller."""

    def __init__(self, house: Any, audience: Any) -> None:
        self.house = house
        self.audience = audience
        self.media = HubMedia()
        self.live: Any = None

    async def come(self, *, takes_over: bool) -> None:
        with contextlib.suppress(DomainError):
            live = await self.house.sessions.claim(SESSION, takes_over=takes_over)
            live.attach(self.audience, resumed=live.is_connected, takes_over=takes_over)
            self.live = live
            await live.connect(self.media)

    def go(self) -> None:
        if self.live is not None:
            self.live.detach(self.audience)
            self.media.state = "closed"
            self.live.media_changed(self.media, "closed")


async def step(dice: random.Random, houses: list[Any], callers: list[Caller], make_audience: Any) -> None:
    """Something that happens; what it sets off may go on behind it."""
    house = dice.choice(houses)
    match dice.randint(0, 13):
        case 0 | 1 | 2 | 3:
            caller = Caller(house, make_audience())
            callers.append(caller)
            house.background.append(asyncio.create_task(caller.come(takes_over=dice.random() < 0.6)))
        case 4 | 5 if callers:
            dice.choice(callers).go()
        case 6 | 7:
            call = house.calls.get(SESSION)
            if call is not None and call.running.is_set() and not call.done.done():
                call.spoken = getattr(call, "spoken", len(call.resumption.turns) if call.resumption else 0) + 1
                call.say(call.spoken, f"turn {call.spoken} of {house.node_id}")
        case 8:
            house.bus.away = not house.bus.away
        case 9:
            house.background.append(asyncio.create_task(house.sessions.keep()))
        case 10 | 11:  # it hears nobody, or hears them again
            if house.is_deaf:
                await house.neighbours.listen(house.sessions.yield_session)
            else:
                await house.neighbours.close()
            house.is_deaf = not house.is_deaf
        case 12 if dice.random() < 0.2:
            live = house.sessions.get(SESSION)
            if live is not None:
                live.end(EndReason.USER_ENDED)
        case _:
            pass
    await asyncio.sleep(dice.choice((0, 0.001, 0.1, 0.4, 3)))


@pytest.mark.parametrize("seed", range(24))
async def test_whatever_happens_the_conversation_is_one_and_ends_once(
    house, build_house, make_plan, make_audience, seed: int
):
    dice = random.Random(seed)  # noqa: S311 - to be repeated
    house.clock.follow(asyncio.get_running_loop())
    houses = [house, await build_house("node_b"), await build_house("node_c")]
    plain = house.store
    for each in houses:
        each.use(SlowStore(plain, dice), max_sessions=5)
        each.is_deaf = False
        each.background = [
            asyncio.create_task(each.sessions.run()),
            asyncio.create_task(each.sessions.keep_snapshots()),
        ]
    reaper = Reaper(
        house.store,
        NodeId("reaper"),
        house.recordings,
        publish=house.relay.wake,
        now=house.clock,
        new_event_id=house.new_event_id,
        neighbours=Neighbours(house.bus, NodeId("reaper")),
    )
    await house.open(make_plan())
    callers = [Caller(house, make_audience())]
    await callers[0].come(takes_over=False)

    for _ in range(STEPS):
        await step(dice, houses, callers, make_audience)

    house.bus.away = False
    for _ in range(50):  # a claim that is on its way may still succeed
        for caller in callers:
            caller.go()
        await asyncio.sleep(2)
        await reaper.reap()
    for each in houses:
        for task in each.background:
            task.cancel()
        await asyncio.gather(*each.background, return_exceptions=True)
        await each.relay.drained(timeout=30)

    kept = await plain.get(SESSION)
    assert kept.state is SessionState.ENDED
    kinds = [type(event) for event in house.events]
    if kept.connected_at is not None:
        assert (kinds.count(SessionStarted), kinds.count(SessionEnded)) == (1, 1)
        assert (kinds[0], kinds[-1]) == (SessionStarted, SessionEnded)
        told = [event.turn.sequence for event in house.events if isinstance(event, TurnFinished)]
        assert told == list(range(1, len(told) + 1))
        assert house.events[-1].turns == len(told)
    assert [len(each.sessions) for each in houses] == [0, 0, 0]
    assert plain.leases == {}
    assert plain.tenants.get("ten_1", {}) == {}
    assert plain.finished == plain.snapshots == {}

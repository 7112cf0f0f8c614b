"""Listening in, in virtual time: what a tap cuts, how long it stays, and what happens when the conversation changes its process."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.sessions import EndReason
from voisnap_domain.tenants import Environment
from voisnap_media.pcm import Pcm
from voisnap_runtime.hubs.listening import LOST_SECONDS, Listener
from voisnap_runtime.sessions.listening import LEASE_SECONDS, Gallery, Over, Sides, Sound, Tap
from voisnap_testkit.memory_bus import MemoryBus

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]


class Talk:
    """A conversation that can be overheard."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.taps: list[Tap] = []

    def advise(self, advice: str) -> bool:
        return True

    def overhear(self, tap: Tap) -> None:
        self.taps.append(tap)

    def leave_alone(self, tap: Tap) -> None:
        if tap in self.taps:
            self.taps.remove(tap)


class Ears:
    """A listener's hub connection."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def send(self, target: str, *arguments: Any) -> None:
        self.heard.append((target, arguments[0] if arguments else None))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.heard]


@pytest.fixture
async def world(make_plan, clock):
    """A bus, a conversation that is on a process or not, and a listener."""
    bus = MemoryBus()
    talk = Talk(make_plan())
    ears = Ears()
    listener = Listener(
        ears,
        bus,
        id="l1",
        tenant_id=TenantId("ten_1"),
        environment=Environment.LIVE,
        conversation_id=ConversationId("conv_1"),
        sides=Sides.MIXED,
        now=clock,
    )
    galleries: list[Gallery] = []

    async def process(*, holds: list[Talk]) -> Gallery:
        def find(conversation_id: ConversationId) -> Talk | None:
            return next((each for each in holds if each.plan.conversation_id == conversation_id), None)

        made = Gallery(bus, find, to_event=lambda event: None)
        await made.listen()
        galleries.append(made)
        return made

    return SimpleNamespace(bus=bus, talk=talk, ears=ears, listener=listener, process=process)


def speak(talk: Talk) -> None:
    for tap in tuple(talk.taps):
        for _ in range(5):
            tap.agent(Pcm(np.full(480, 100, np.int16), 24000))


def test_a_block_holds_100_ms_of_both_sides_and_clips():
    tap = Tap(Sides.MIXED, lambda event: None)
    for _ in range(12):
        tap.caller(Pcm(np.full(320, 30000, np.int16), 16000))
    for _ in range(5):
        tap.agent(Pcm(np.full(480, 30000, np.int16), 24000))
    (block,) = asyncio.run(tap.news())
    samples = np.frombuffer(block.mixed, "<i2")
    assert (len(samples), samples.max()) == (2400, 32767)


def test_a_listener_who_does_not_read_holds_only_the_latest():
    tap = Tap(Sides.AGENT, lambda event: None)
    for number in range(40):
        for _ in range(5):
            tap.agent(Pcm(np.full(480, number, np.int16), 24000))
    blocks = asyncio.run(tap.news())
    assert [int(np.frombuffer(block.agent, "<i2")[0]) for block in blocks] == list(range(20, 40))


def test_a_caller_far_ahead_does_not_pile_up():
    tap = Tap(Sides.USER, lambda event: None)
    for _ in range(500):
        tap.caller(Pcm(np.zeros(320, np.int16), 16000))
    assert len(tap._caller) <= 3600


async def test_a_listener_is_heard_of_as_long_as_he_asks(world):
    gallery = await world.process(holds=[world.talk])
    await world.listener.join()
    await asyncio.sleep(60)
    speak(world.talk)
    await asyncio.sleep(0.1)
    assert world.ears.names == ["AudioReceived"]
    world.listener._asking.cancel()  # as of a process that was killed
    await asyncio.sleep(LEASE_SECONDS + 1)
    assert (world.talk.taps, len(gallery)) == ([], 0)


async def test_a_conversation_that_moves_is_heard_from_its_new_process(world):
    here, there = [world.talk], []
    old = await world.process(holds=here)
    new = await world.process(holds=there)
    await world.listener.join()
    (tap,) = world.talk.taps
    there.append(here.pop())
    tap.ended(None)
    await asyncio.sleep(2)
    assert (len(old), len(new)) == (0, 1)
    speak(world.talk)
    await asyncio.sleep(0.1)
    assert world.ears.names == ["AudioReceived"]


async def test_the_end_of_the_conversation_is_told_once(world):
    gallery = await world.process(holds=[world.talk])
    await world.listener.join()
    world.talk.taps[0].ended(EndReason.USER_ENDED)
    await asyncio.sleep(30)
    assert [(name, value.reason) for name, value in world.ears.heard] == [("ListeningEnded", "user_ended")]
    assert len(gallery) == 0


async def test_a_conversation_whose_process_died_is_over_after_a_while(world):
    holds = [world.talk]
    gallery = await world.process(holds=holds)
    await world.listener.join()
    await gallery.close()
    await asyncio.sleep(LOST_SECONDS + 2)
    assert [(name, value.reason) for name, value in world.ears.heard] == [("ListeningEnded", "disconnected")]


async def test_a_bus_that_is_away_ends_the_telling_and_no_more(world):
    gallery = await world.process(holds=[world.talk])
    await world.listener.join()
    world.bus.away = True
    speak(world.talk)
    await asyncio.sleep(1)
    assert (world.talk.taps, len(gallery)) == ([], 0)
    world.bus.away = False
    await asyncio.sleep(2)
    speak(world.talk)
    await asyncio.sleep(0.1)
    assert world.ears.names[-1] == "AudioReceived"


async def test_nonsense_on_the_bus_is_dropped(world):
    gallery = await world.process(holds=[world.talk])
    await world.bus.tell("live.listen", b"\xff\x00")
    await world.listener.join()
    await world.bus.tell("live.heard.l1", b"nonsense")
    await world.bus.tell("live.heard.l1", msgspec.msgpack.encode(Sound(mixed=b"ab")))
    await world.bus.tell("live.heard.l1", msgspec.msgpack.encode(Over(reason=EndReason.TIMEOUT)))
    await asyncio.sleep(1)
    assert world.ears.names == ["AudioReceived", "ListeningEnded"]
    await world.listener.leave()
    await world.listener.leave()
    await asyncio.sleep(1)
    assert len(gallery) == 0

"""A process that gets late takes no more calls before its callers hear it, and takes them again when it is punctual."""

import asyncio
from typing import Any

import pytest
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import NodeId
from voisnap_media.pcm import Pcm
from voisnap_runtime.app import _room_check
from voisnap_runtime.sessions.desk import Desk, DeskSettings
from voisnap_runtime.transports.pacing import Pacer

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]


class Silent:
    def pull(self) -> Pcm | None:
        return None


class Nowhere:
    state = "connected"

    def send(self, audio: Pcm | None) -> None: ...
    async def close(self) -> None: ...


class House:
    """A pacer whose beats take `work` seconds, and the desk that goes by it."""

    def __init__(self) -> None:
        self.work = 0.0
        self.pacer = Pacer()
        self.pacer.on_tick(self._toil)
        self.live: list[Any] = []
        unused: Any = None
        self.desk = Desk(
            DeskSettings(node_id=NodeId("node_a"), max_sessions=1000),
            unused,
            unused,
            _Room(),
            check_providers=lambda plan: None,
            now=unused,
            random_bytes=unused,
            lateness=self.pacer.lateness,
        )

    def _toil(self, now: float) -> None:
        asyncio.get_running_loop().jump(self.work)  # type: ignore[attr-defined]  # the virtual loop's

    def call(self) -> None:
        self.pacer.add(Silent(), Nowhere())

    @property
    def takes_calls(self) -> bool:
        try:
            self.desk.check_room()
        except LimitReached as refusal:
            return refusal.code != "node-full"
        return True


class _Room:
    @property
    def load(self) -> int:
        return 0

    def end(self, session_id: Any, reason: Any) -> bool:
        return False


@pytest.fixture
async def house():
    made = House()
    made.pacer.start()
    yield made
    made.pacer.stop()


async def test_a_punctual_process_takes_calls(house: House):
    house.call()
    house.work = 0.008
    await asyncio.sleep(5)
    assert house.pacer.lateness() < 0.01
    assert house.takes_calls


async def test_a_late_one_refuses_within_two_seconds_and_is_not_ready_and_recovers_as_fast(house: House):
    house.call()
    await asyncio.sleep(5)
    house.work = 0.04
    await asyncio.sleep(2)
    assert not house.takes_calls
    with pytest.raises(RuntimeError, match="too busy"):
        await _room_check(house.desk)()
    house.work = 0.0
    await asyncio.sleep(2.1)
    assert house.takes_calls
    await _room_check(house.desk)()


async def test_a_single_long_stall_is_no_reason(house: House):
    house.call()
    await asyncio.sleep(3)
    asyncio.get_running_loop().jump(0.4)  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    assert house.pacer.stats().late_max_ms > 300
    assert house.takes_calls


async def test_a_process_without_calls_takes_the_first_one_however_late_it_is(house: House):
    house.work = 0.04
    await asyncio.sleep(5)
    assert house.takes_calls
    house.call()
    assert not house.takes_calls

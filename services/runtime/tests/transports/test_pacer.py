import asyncio
import time

import pytest
from voisnap_media.pcm import Pcm
from voisnap_runtime.transports.pacing import Pacer

pytestmark = pytest.mark.media

FRAME = Pcm.silence(24000, 20)


class Talker:
    def __init__(self) -> None:
        self.pulled = 0

    def pull(self) -> Pcm | None:
        self.pulled += 1
        return FRAME


class Wire:
    state = "connected"

    def __init__(self, fail_at: int | None = None) -> None:
        self.sent: list[float] = []
        self.reached = asyncio.Event()
        self.wanted = 0
        self._fail_at = fail_at

    def send(self, audio: Pcm | None) -> None:
        self.sent.append(asyncio.get_running_loop().time())
        if len(self.sent) == self._fail_at:
            raise RuntimeError("broken wire")
        if len(self.sent) >= self.wanted:
            self.reached.set()

    async def until(self, count: int) -> None:
        self.wanted = count
        self.reached.clear()
        await asyncio.wait_for(self.reached.wait(), 10)

    async def close(self) -> None:
        return


@pytest.fixture
async def pacer():
    one = Pacer()
    one.start()
    yield one
    one.stop()


async def test_a_frame_goes_out_every_twenty_ms(pacer: Pacer):
    talker, wire = Talker(), Wire()
    pacer.add(talker, wire)
    await wire.until(51)
    assert wire.sent[50] - wire.sent[0] == pytest.approx(1.0, abs=0.1)
    assert talker.pulled == len(wire.sent)


async def test_calls_are_served_on_alternate_beats(pacer: Pacer):
    wires = [Wire() for _ in range(4)]
    for wire in wires:
        pacer.add(Talker(), wire)
    assert pacer.stats().calls == 4
    await wires[3].until(20)
    apart = [abs(second - first) for first, second in zip(wires[0].sent[5:15], wires[1].sent[5:15], strict=True)]
    assert 0.004 < sorted(apart)[5] < 0.016


async def test_a_stall_is_caught_up_but_not_in_a_burst(pacer: Pacer):
    wire = Wire()
    pacer.add(Talker(), wire)
    await wire.until(5)
    before = len(wire.sent)
    time.sleep(0.3)  # noqa: ASYNC251 - the stall itself
    await wire.until(before + 1)
    assert len(wire.sent) - before <= 5
    assert pacer.stats().skipped_frames >= 9
    assert pacer.stats().late_max_ms > 200


async def test_a_broken_call_does_not_silence_the_others(pacer: Pacer):
    broken, sound, faults = Wire(fail_at=3), Wire(), []
    pacer.add(Talker(), broken, on_fault=faults.append)
    pacer.add(Talker(), sound)
    await sound.until(20)
    assert len(broken.sent) == 3
    assert [str(fault) for fault in faults] == ["broken wire"]
    assert pacer.stats().calls == 1


async def test_a_removed_call_is_left_alone(pacer: Pacer):
    talker, gone, other = Talker(), Wire(), Wire()
    pacer.add(talker, gone)
    pacer.add(Talker(), other)
    await gone.until(3)
    pacer.remove(talker)
    pacer.remove(talker)
    count = len(gone.sent)
    await other.until(len(other.sent) + 10)
    assert len(gone.sent) == count


async def test_hooks_run_on_every_beat_and_a_failing_one_does_no_harm(pacer: Pacer):
    ticks: list[float] = []
    wire = Wire()
    pacer.on_tick(lambda now: 1 / 0)
    remove = pacer.on_tick(ticks.append)
    pacer.add(Talker(), wire)
    await wire.until(26)
    assert 30 <= len(ticks) <= 58
    remove()
    count = len(ticks)
    await wire.until(len(wire.sent) + 5)
    assert len(ticks) == count


async def test_what_all_calls_do_together_comes_right_after_their_frames(pacer: Pacer):
    order: list[str] = []

    class Noting(Wire):
        def send(self, audio: Pcm | None) -> None:
            order.append("frame")
            super().send(audio)

    wire = Noting()
    pacer.after_frames(lambda: order.append("after"))
    pacer.on_tick(lambda now: order.append("hook"))
    pacer.add(Talker(), wire)
    await wire.until(5)
    assert order.count("frame") == 5
    assert {order[place + 1] for place, what in enumerate(order[:-1]) if what == "frame"} == {"after"}


async def test_a_stopped_clock_is_still():
    pacer, wire = Pacer(), Wire()
    pacer.add(Talker(), wire)
    pacer.start()
    await wire.until(3)
    pacer.stop()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


class Waker(Talker):
    """Silent until it wakes; then it speaks so many frames."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self.ready = lambda: None

    def when_ready(self, ready) -> None:
        self.ready = ready

    def wake(self, frames: int) -> None:
        self.frames = frames
        self.ready()

    def pull(self) -> Pcm | None:
        if not self.frames:
            return None
        self.frames -= 1
        return super().pull()


class Tape:
    """Notes what is sent and when, silence too."""

    state = "connected"

    def __init__(self) -> None:
        self.sent: list[tuple[float, bool]] = []

    def send(self, audio: Pcm | None) -> None:
        self.sent.append((asyncio.get_running_loop().time(), audio is not None))

    async def close(self) -> None:
        return


@pytest.mark.virtual_time
async def test_the_first_frame_after_silence_goes_out_at_once_and_the_timeline_stays():
    pacer, waker, tape = Pacer(), Waker(), Tape()
    pacer.add(waker, tape)
    pacer.start()
    began = asyncio.get_running_loop().time()
    for _ in range(50):
        await asyncio.sleep(0.1 + 0.0071)
        woken_at = asyncio.get_running_loop().time()
        spoken = len(tape.sent)
        waker.wake(3)
        await asyncio.sleep(0.002)
        assert [loud for _, loud in tape.sent[spoken:]][:1] == [True]
        assert tape.sent[spoken][0] - woken_at < 0.001
        await asyncio.sleep(0.1)
    pacer.stop()
    elapsed = asyncio.get_running_loop().time() - began
    assert waker.pulled == 150
    assert len(tape.sent) == pytest.approx(elapsed / 0.02, abs=2)


@pytest.mark.virtual_time
async def test_a_source_that_was_removed_or_has_nothing_after_all_sends_nothing_early():
    pacer, waker, tape = Pacer(), Waker(), Tape()
    pacer.add(waker, tape)
    pacer.start()
    await asyncio.sleep(0.1031)
    before = len(tape.sent)
    waker.wake(0)
    await asyncio.sleep(0.001)
    assert len(tape.sent) == before
    waker.wake(1)
    pacer.remove(waker)
    await asyncio.sleep(0.1)
    pacer.stop()
    assert len(tape.sent) == before

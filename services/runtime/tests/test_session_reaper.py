"""Sessions of a lost node are ended once, from what the store holds."""

from datetime import timedelta

import msgspec
import pytest
from voisnap_domain.conversations import RecordingInfo
from voisnap_domain.costs import SttUsage, Usage
from voisnap_domain.ids import NodeId
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_proto.events import SessionEnded, TurnFinished
from voisnap_runtime.recording import LateRecording
from voisnap_runtime.sessions.journal import entry_of
from voisnap_runtime.sessions.neighbours import Neighbours, SessionYielded, Yielding
from voisnap_runtime.sessions.reaper import Reaper
from voisnap_runtime.sessions.store import Progress

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

LOST = NodeId("node_lost")


class Composer:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.composed: list[tuple[str, float]] = []
        self.later: list[str] = []

    async def compose(self, plan, *, elapsed=0.0):
        if self.error:
            raise self.error
        self.composed.append((plan.conversation_id, elapsed))
        return RecordingInfo(key="recordings/x.wav", format="wav", duration_seconds=elapsed, size_bytes=9)

    def finish_later(self, plan):
        self.later.append(plan.conversation_id)


@pytest.fixture
def composer():
    return Composer()


@pytest.fixture
def make_reaper(house, composer):
    def build(node: str = "node_a") -> Reaper:
        return Reaper(
            house.store,
            NodeId(node),
            composer,
            publish=house.relay.wake,
            now=house.clock,
            new_event_id=house.new_event_id,
            neighbours=Neighbours(house.bus, NodeId(node)),
        )

    return build


@pytest.fixture
async def orphan(house, make_turn):
    """A session that was talking on a node that is gone: 40 s connected, two turns, one of them not published yet."""
    clock = house.clock
    session = await house.open()
    session_id = session.plan.session_id
    started = clock()
    await house.store.reserve(session.plan.tenant_id, session_id, limit=1, now=clock(), until=session.deadline)
    await house.store.change(session_id, lambda s: s.moved(SessionState.CONNECTING).claimed(LOST, lease_until=clock()))
    await house.store.change(session_id, lambda s: s.moved(SessionState.ACTIVE, at=started))
    clock.advance(seconds=40)
    turn = TurnFinished(
        tenant_id=session.plan.tenant_id,
        environment=session.plan.environment,
        session_id=session_id,
        conversation_id=session.plan.conversation_id,
        turn=make_turn(2, "last words"),
    )
    progress = Progress(turns=2, elapsed=38.0, usage=Usage(stt=SttUsage(provider="local", audio_seconds=3.5)))
    await house.store.append(session_id, LOST, (entry_of(turn, "evt_turn"),), progress)
    await house.store.renew({session_id: clock() + timedelta(seconds=15)})
    return session


async def test_a_session_is_left_alone_while_its_lease_lasts(house, orphan, make_reaper):
    house.clock.advance(seconds=14)

    assert (await make_reaper().reap()).ended == 0

    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.ACTIVE


async def test_a_caller_has_the_whole_window_to_come_back_even_if_the_lease_is_over(house, orphan, make_reaper):
    house.clock.advance(seconds=34)

    assert (await make_reaper().reap()).ended == 0

    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.ACTIVE
    house.clock.advance(seconds=1)
    assert (await make_reaper("node_b").reap()).ended == 1


async def test_an_owner_that_comes_back_at_the_last_moment_keeps_its_session(house, orphan, make_reaper, monkeypatch):
    real = house.store.lock

    async def lock(session_id, node_id, *, seconds):
        await house.store.renew({session_id: house.clock() + timedelta(seconds=15)})
        return await real(session_id, node_id, seconds=seconds)

    monkeypatch.setattr(house.store, "lock", lock)
    house.clock.advance(seconds=36)

    assert (await make_reaper().reap()).ended == 0

    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.ACTIVE


async def test_a_lost_session_ends_with_everything_it_had(house, orphan, make_reaper, composer):
    house.clock.advance(seconds=36)

    assert (await make_reaper().reap()).ended == 1
    await house.relay.drained(timeout=5)

    turn, end = house.events
    assert turn.turn.text == "last words"
    assert isinstance(end, SessionEnded)
    assert (end.reason, end.turns, end.usage.stt.audio_seconds) == (EndReason.NODE_LOST, 2, 3.5)
    assert end.duration_seconds == 40
    assert end.ended_at - end.started_at == timedelta(seconds=40), "when its owner was last seen"
    assert end.recording.duration_seconds == 40
    assert composer.composed == [("conv_1", 40)]
    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.ENDED
    assert house.store.leases == {}
    assert house.store.tenants["ten_1"] == {}


async def test_of_many_reapers_one_ends_a_session(house, orphan, make_reaper):
    house.clock.advance(seconds=36)
    first, second = make_reaper("node_a"), make_reaper("node_b")

    ended = [(await first.reap()).ended, (await second.reap()).ended, (await first.reap()).ended]

    await house.relay.drained(timeout=5)
    assert ended == [1, 0, 0]
    assert len([event for event in house.events if isinstance(event, SessionEnded)]) == 1


async def test_a_session_whose_owner_moves_it_meanwhile_is_not_ended(house, orphan, make_reaper, composer, monkeypatch):
    house.clock.advance(seconds=36)
    real = composer.compose

    async def compose(plan, *, elapsed=0.0):
        await house.store.change(plan.session_id, lambda s: s.moved(SessionState.RECONNECTING))
        return await real(plan, elapsed=elapsed)

    monkeypatch.setattr(composer, "compose", compose)

    assert (await make_reaper().reap()).ended == 0

    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.RECONNECTING
    assert orphan.plan.session_id in house.store.leases


async def test_a_recording_that_cannot_be_composed_does_not_hold_up_the_end(house, orphan, make_reaper, composer):
    composer.error = ConnectionError("object storage is away")
    house.clock.advance(seconds=36)

    assert (await make_reaper().reap()).ended == 1
    await house.relay.drained(timeout=5)

    assert house.events[-1].recording is None


async def test_a_late_recording_is_linked_where_it_will_lie_and_composed_later(house, orphan, make_reaper, composer):
    composer.error = LateRecording("conv_1")
    house.clock.advance(seconds=36)

    assert (await make_reaper().reap()).ended == 1
    await house.relay.drained(timeout=5)

    assert house.events[-1].recording == RecordingInfo(
        key="recordings/ten_1/conv_1.wav", format="wav", duration_seconds=40, size_bytes=0
    )
    assert house.events[-1].warnings == ("recording-late",)
    assert composer.later == ["conv_1"]


async def test_a_session_past_its_deadline_ends_by_that(house, orphan, make_reaper):
    house.clock.advance(seconds=1000)

    await make_reaper().reap()
    await house.relay.drained(timeout=5)

    assert (house.events[-1].reason, house.events[-1].ended_at) == (EndReason.MAX_DURATION, orphan.deadline)


async def test_a_session_to_which_nobody_came_ends_without_a_word(house, make_reaper):
    session = await house.open()
    await house.store.reserve(
        session.plan.tenant_id, session.plan.session_id, limit=1, now=house.clock(), until=session.deadline
    )
    house.clock.advance(minutes=6)

    assert (await make_reaper().reap()).ended == 1
    await house.relay.drained(timeout=5)

    assert house.events == []
    kept = await house.store.get(session.plan.session_id)
    assert (kept.state, kept.end_reason) == (SessionState.ENDED, EndReason.TIMEOUT)
    assert house.store.tenants["ten_1"] == {}


async def test_what_a_dead_node_left_unpublished_is_published(house, orphan, make_reaper):
    await house.store.change(
        orphan.plan.session_id, lambda s: s.moved(SessionState.ENDED, reason=EndReason.USER_ENDED, at=house.clock())
    )
    await house.store.leave(orphan.plan.session_id)
    reaper = make_reaper()

    assert [(await reaper.reap()).adopted, (await reaper.reap()).adopted] == [0, 1]
    await house.relay.drained(timeout=5)

    assert [event.turn.text for event in house.events] == ["last words"]
    assert house.store.journal == {}


async def test_the_journal_of_a_living_session_is_left_to_its_owner(house, orphan, make_reaper):
    reaper = make_reaper()
    await reaper.reap()

    assert (await reaper.reap()).adopted == 0
    assert house.events == []


async def test_an_owner_that_could_not_renew_its_leases_keeps_its_sessions(house, orphan, make_reaper):
    """The store was away for longer than the window, and the reaper is faster than the owner when it is back."""

    async def answer(request) -> SessionYielded:
        return SessionYielded(outcome=Yielding.WATCHED if request.session_id == "wrtc_1" else Yielding.ABSENT)

    owner = Neighbours(house.bus, LOST)
    await owner.listen(answer)
    house.clock.advance(seconds=60)

    assert (await make_reaper().reap()).ended == 0

    await owner.close()
    assert (await make_reaper().reap()).ended == 1


async def test_an_owner_that_knows_nothing_of_one_session_keeps_its_others(house, orphan, make_reaper, make_plan):
    """A claim that broke off leaves a session with an owner that does not hold it."""
    abandoned = await house.open(make_plan(0))
    await house.store.change(
        abandoned.plan.session_id,
        lambda s: s.moved(SessionState.CONNECTING).claimed(LOST, lease_until=house.clock()),
    )
    await house.store.renew({abandoned.plan.session_id: house.clock()})
    asked = []

    async def answer(request) -> SessionYielded:
        asked.append(request.session_id)
        return SessionYielded(outcome=Yielding.WATCHED if request.session_id == "wrtc_1" else Yielding.ABSENT)

    owner = Neighbours(house.bus, LOST)
    await owner.listen(answer)
    house.clock.advance(seconds=60)

    assert (await make_reaper().reap()).ended == 1

    assert asked[0] == "wrtc_0", "the one that it does not hold comes first"
    assert (await house.store.get(abandoned.plan.session_id)).state is SessionState.ENDED
    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.ACTIVE
    await owner.close()


async def test_sessions_that_are_not_due_hide_none_that_is(house, orphan, make_reaper, make_plan):
    past = await house.store.get(orphan.plan.session_id)
    house.store.sessions[past.plan.session_id] = msgspec.structs.replace(past, deadline=house.clock())
    for number in range(2, 200):
        waiting = msgspec.structs.replace(past, plan=make_plan(number))
        house.store.sessions[waiting.plan.session_id] = waiting
        house.store.leases[waiting.plan.session_id] = house.clock()
    house.clock.advance(seconds=60)
    house.bus.away = True  # nobody can say whether their owner lives

    assert (await make_reaper().reap()).ended == 1

    assert (await house.store.get(past.plan.session_id)).state is SessionState.ENDED


async def test_an_owner_that_comes_back_while_its_recording_is_put_together_keeps_its_session(
    house, orphan, make_reaper, composer, monkeypatch
):
    real = composer.compose

    async def compose(plan, *, elapsed=0.0):
        await house.store.renew({plan.session_id: house.clock() + timedelta(seconds=15)})
        return await real(plan, elapsed=elapsed)

    monkeypatch.setattr(composer, "compose", compose)
    house.clock.advance(seconds=36)

    assert (await make_reaper().reap()).ended == 0

    assert (await house.store.get(orphan.plan.session_id)).state is SessionState.ACTIVE


async def test_nobody_is_taken_for_dead_while_nobody_can_be_asked(house, orphan, make_reaper):
    house.clock.advance(seconds=60)
    house.bus.away = True
    reaper = make_reaper()

    assert (await reaper.reap()).ended == 0
    house.bus.away = False
    assert (await reaper.reap()).ended == 1


async def test_past_its_deadline_a_session_ends_whatever_its_owner_says(house, orphan, make_reaper):
    async def answer(request) -> SessionYielded:
        return SessionYielded(outcome=Yielding.WATCHED)

    owner = Neighbours(house.bus, LOST)
    await owner.listen(answer)
    house.clock.advance(seconds=1000)

    assert (await make_reaper().reap()).ended == 1
    await house.relay.drained(timeout=5)
    assert house.events[-1].reason is EndReason.MAX_DURATION

"""Real servers that go away during a call: the call goes on, and nothing of it is lost or told twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from voisnap_domain.ids import EventId, NodeId
from voisnap_domain.resumption import CallSnapshot
from voisnap_domain.sessions import EndReason, SessionState
from voisnap_kit.bus import Bus
from voisnap_kit.ids import new_id
from voisnap_kit.redis import Redis, RedisError
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_runtime.sessions.journal import Journal, Relay
from voisnap_runtime.sessions.store import RedisStore

pytestmark = pytest.mark.slice

NODE = NodeId("node_a")


async def stopped(task: asyncio.Task[None]) -> None:
    """Cancel until it has ended: `asyncio.wait_for` of Python 3.11 can swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)


class Cable:
    """Leads to a server until it is pulled out."""

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        far = self._far
        password = f":{far.password}" if far.password else ""
        login = f"{far.username or ''}{password}@" if far.username or password else ""
        return f"{far.scheme}://{login}127.0.0.1:{self._port}{far.path}"

    async def plug(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        if self._server is not None:
            self._server.close()
        for pipe in tuple(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            pipe = asyncio.create_task(self._pipe(source, target))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    @staticmethod
    async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()


@pytest.fixture
async def cables(redis_url, nats_url):
    made = {"redis": Cable(redis_url), "nats": Cable(nats_url)}
    for cable in made.values():
        await cable.plug()
    yield made
    for cable in made.values():
        await cable.pull()


@pytest.fixture
async def store(cables):
    async with await Redis.open(cables["redis"].url, timeout=0.5) as redis:
        yield RedisStore(redis)


@pytest.fixture
async def relay(cables, store):
    async with await Bus.connect(cables["nats"].url, "runtime") as bus:
        made = Relay(store, bus)
        task = asyncio.create_task(made.run())
        yield made
        await stopped(task)


@pytest.fixture
async def journal(store, relay, tmp_path):
    made = Journal(store, NODE, spool=tmp_path, new_event_id=lambda: EventId(new_id("evt")), written=relay.wake)
    task = asyncio.create_task(made.run())
    yield made
    await stopped(task)


@pytest.fixture
async def heard(nats_url, relay):
    """What a consumer gets, in the order of the stream."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def take(event: Any, _meta: Any) -> None:
        queue.put_nowait(event)

    async with await Bus.connect(nats_url, "consumer") as bus:
        await bus.subscribe("test-outages", ["evt.session.>"], take, max_in_flight=1)
        yield queue


@pytest.fixture
async def session(store, make_session, clock):
    clock.advance(seconds=(datetime.now(UTC) - clock()).total_seconds())
    session = make_session(deadline=clock() + timedelta(minutes=10))
    await store.create(session, token="wrtc_tok_1", token_until=clock() + timedelta(minutes=5))
    return await store.change(
        session.plan.session_id,
        lambda s: s.moved(SessionState.CONNECTING).claimed(NODE, lease_until=clock() + timedelta(seconds=15)),
    )


@pytest.fixture
def say(journal, session, make_turn):
    plan = session.plan

    def write(number: int) -> None:
        journal.write(
            plan.session_id,
            TurnFinished(
                tenant_id=plan.tenant_id,
                environment=plan.environment,
                session_id=plan.session_id,
                conversation_id=plan.conversation_id,
                turn=make_turn(number, f"turn {number}"),
            ),
        )

    return write


@pytest.mark.parametrize("away", ["nats", "redis"])
async def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    cables, journal, relay, heard, session, say, clock, away
):
    plan = session.plan
    journal.write(
        plan.session_id,
        SessionStarted(
            tenant_id=plan.tenant_id,
            session_id=plan.session_id,
            conversation_id=plan.conversation_id,
            node_id=NODE,
            plan=plan,
            started_at=clock(),
        ),
    )
    say(1)
    assert isinstance(await asyncio.wait_for(heard.get(), 5), SessionStarted)
    assert (await asyncio.wait_for(heard.get(), 5)).turn.sequence == 1

    await cables[away].pull()
    for number in range(2, 30):
        say(number)
    assert not (await journal.flushed(plan.session_id, timeout=0.3) and await relay.drained(timeout=0.3))
    assert heard.empty()
    await cables[away].plug()

    turns = [(await asyncio.wait_for(heard.get(), 15)).turn.sequence for _ in range(2, 30)]
    assert turns == list(range(2, 30))
    assert await relay.drained(timeout=5)
    assert heard.empty()


@pytest.mark.parametrize("data", ["kept", "lost"])
async def test_a_call_outlives_the_restart_of_its_store_and_can_be_taken_over_afterwards(
    cables, store, house, build_house, make_plan, make_audience, make_turn, redis_url, data
):
    other = await build_house("node_b")
    plan = make_plan(created_at=datetime.now(UTC))
    house.clock.advance(seconds=(datetime.now(UTC) - house.clock()).total_seconds())
    house.clock.follow(asyncio.get_running_loop())
    for made in (house, other):
        made.use(store, max_sessions=2)
    await house.open(plan)
    live = await house.sessions.claim(plan.session_id)
    live.attach(make_audience(), resumed=False)
    await live.answer("v=0", "offer")
    house.transports[-1].become("connected")
    call = house.calls[plan.session_id]
    await call.running.wait()
    call.say(1, "Hello!")
    assert await house.journal.flushed(plan.session_id, timeout=5)

    await cables["redis"].pull()
    call.say(2, "Is anybody there?")
    call.stands_at = CallSnapshot(elapsed=1.0, next_sequence=3, agent=make_turn(3, "We close"), rest="at six.")
    with pytest.raises(RedisError):
        await house.sessions.keep()
    if data == "lost":
        async with await Redis.open(redis_url) as direct:
            await direct.client.flushdb()
    await cables["redis"].plug()
    assert await house.journal.flushed(plan.session_id, timeout=15)
    await house.sessions.keep()
    await house.sessions.keep()  # the first one found that everything was forgotten
    await house.kill()
    await other.sessions.claim(plan.session_id, takes_over=True)

    resumption = other.calls[plan.session_id].resumption
    assert [turn.sequence for turn in resumption.turns] == [1, 2]
    assert (resumption.snapshot.agent.text, resumption.snapshot.rest) == ("We close", "at six.")
    other.sessions.end(plan.session_id, EndReason.USER_ENDED)
    await other.sessions.get(plan.session_id).over()
    assert await other.relay.drained(timeout=5)
    assert await store.lease_of(plan.session_id) is None
    assert isinstance(other.events[-1], SessionEnded)

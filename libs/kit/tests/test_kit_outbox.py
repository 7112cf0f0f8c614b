"""Events leave with their transaction, in order, once; whatever is away is waited for."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from opentelemetry import trace as otel
from voisnap_domain.errors import Forbidden
from voisnap_domain.ids import TenantId, UserId
from voisnap_domain.tenants import Environment
from voisnap_kit import inbox, trace
from voisnap_kit.bus import BusError, PublishRefused
from voisnap_kit.http import background
from voisnap_kit.outbox import Relay
from voisnap_kit.postgres import Database, Tx
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_testkit.memory_bus import MemoryBus

pytestmark = pytest.mark.slice

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


class LampLit(msgspec.Struct, frozen=True, kw_only=True, tag="lamp.lit.v1"):
    tenant_id: str
    lamp: int


EVENTS: dict[str, type] = {"lamp.lit.v1": LampLit}
CALLER = Caller(tenant_id=TenantId("ten_a"), environment=Environment.LIVE, user_id=UserId("usr_1"), role="TenantOwner")


def ids() -> Callable[[str], str]:
    numbers: dict[str, int] = {}

    def new_id(prefix: str) -> str:
        numbers[prefix] = numbers.get(prefix, 0) + 1
        return f"{prefix}_{numbers[prefix]}"

    return new_id


class RecordingBus:
    """Takes what it is told to take; remembers the order and the headers."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, str]]] = []
        self.failures: dict[str, Exception] = {}
        self.changed = asyncio.Event()

    async def publish_raw(self, subject: str, payload: bytes, *, event_id: str, headers: dict[str, str]) -> None:
        self.changed.set()
        if event_id in self.failures:
            raise self.failures[event_id]
        self.taken.append((event_id, headers))


async def light(database: Database, *lamps: int, new_id: Callable[[str], str]) -> None:
    async with begin(database, CALLER, clock=lambda: NOW, new_id=new_id) as work:
        for lamp in lamps:
            work.emit(LampLit(tenant_id="ten_a", lamp=lamp))


async def waiting(database: Database) -> list[str]:
    async with database.transaction_as_system() as tx:
        return await tx.all(str, "SELECT event_id FROM outbox ORDER BY seq")


async def test_an_event_is_stored_with_the_work_and_leaves_after_it(database: Database) -> None:
    bus = MemoryBus(events=EVENTS)
    async with begin(database, CALLER, clock=lambda: NOW, new_id=ids()) as work:
        await work.tx.exec(
            "INSERT INTO things (id, tenant_id, environment, name) VALUES ('t1', 'ten_a', 'live', 'bolt')"
        )
        work.emit(LampLit(tenant_id="ten_a", lamp=1))
        assert work.now == NOW
        assert await Relay(database, bus).relay_batch() == 0
    assert await Relay(database, bus).relay_batch() == 1
    assert bus.published == [LampLit(tenant_id="ten_a", lamp=1)]
    assert (bus.stream[0].event_id, bus.stream[0].tenant_id) == ("evt_1", "ten_a")
    assert await waiting(database) == []


async def test_work_that_fails_tells_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with begin(database, CALLER) as work:
            work.emit(LampLit(tenant_id="ten_a", lamp=1))
            raise RuntimeError
    assert await waiting(database) == []


async def test_events_leave_in_the_order_they_were_written_and_stop_at_the_first_failure(database: Database) -> None:
    bus = RecordingBus()
    new_id = ids()
    await light(database, 1, 2, 3, new_id=new_id)
    await light(database, 4, new_id=new_id)
    bus.failures["evt_3"] = BusError("away")
    with pytest.raises(BusError):
        await Relay(database, bus).relay_batch()
    assert await waiting(database) == ["evt_3", "evt_4"]
    bus.failures.clear()
    assert await Relay(database, bus).relay_batch() == 2
    assert [event_id for event_id, _ in bus.taken] == ["evt_1", "evt_2", "evt_3", "evt_4"]


async def test_an_event_the_bus_will_never_take_is_set_aside_and_the_others_go_on(database: Database) -> None:
    bus = RecordingBus()
    await light(database, 1, 2, 3, new_id=ids())
    bus.failures["evt_2"] = PublishRefused("too large")
    await Relay(database, bus).relay_batch()
    async with database.transaction_as_system() as tx:
        refused = await tx.all(str, "SELECT event_id || ': ' || refused FROM outbox")
    assert refused == ["evt_2: too large"]
    assert [event_id for event_id, _ in bus.taken] == ["evt_1", "evt_3"]
    assert await Relay(database, bus).relay_batch() == 0


async def test_two_relays_do_not_publish_beside_each_other(database: Database) -> None:
    await light(database, 1, 2, new_id=ids())
    inside, go_on = asyncio.Event(), asyncio.Event()

    class SlowBus(RecordingBus):
        async def publish_raw(self, subject: str, payload: bytes, *, event_id: str, headers: dict[str, str]) -> None:
            inside.set()
            await go_on.wait()
            await super().publish_raw(subject, payload, event_id=event_id, headers=headers)

    slow, other = SlowBus(), RecordingBus()
    first = asyncio.create_task(Relay(database, slow).relay_batch())
    await inside.wait()
    assert await Relay(database, other).relay_batch() is None
    go_on.set()
    assert await first == 2
    assert other.taken == []


async def test_a_running_relay_is_woken_by_a_commit_of_its_process(database: Database) -> None:
    bus, new_id = RecordingBus(), ids()
    async with background(Relay(database, bus, poll=60).run()):
        for lamp in (1, 2, 3):
            await light(database, lamp, new_id=new_id)
            async with asyncio.timeout(2):
                while len(bus.taken) < lamp:
                    bus.changed.clear()
                    await bus.changed.wait()
    assert [event_id for event_id, _ in bus.taken] == ["evt_1", "evt_2", "evt_3"]


async def test_a_running_relay_outlives_an_absent_bus(database: Database) -> None:
    bus = RecordingBus()
    bus.failures["evt_1"] = BusError("away")
    async with background(Relay(database, bus, poll=60).run()):
        await light(database, 1, new_id=ids())
        async with asyncio.timeout(5):
            await bus.changed.wait()
            bus.failures.clear()
            while not bus.taken:
                bus.changed.clear()
                await bus.changed.wait()
    assert bus.taken[0][0] == "evt_1"


async def test_the_trace_of_the_work_travels_with_the_event(database: Database) -> None:
    trace.configure("test")
    bus = RecordingBus()
    with trace.span("request") as span:
        await light(database, 1, new_id=ids())
    assert not otel.get_current_span().get_span_context().is_valid
    await Relay(database, bus).relay_batch()
    (_, headers), *_ = bus.taken
    assert f"{span.get_span_context().trace_id:032x}" in headers["traceparent"]
    assert headers["Voisnap-Tenant"] == "ten_a"


async def test_an_event_is_handled_once_per_consumer(database: Database) -> None:
    async def handle(tx: Tx, consumer: str) -> bool:
        return await inbox.handled(tx, consumer, "evt_1")

    async with database.transaction_as_system() as tx:
        assert not await handle(tx, "store")
        assert not await handle(tx, "bill")
    async with database.transaction_as_system() as tx:
        assert await handle(tx, "store")


async def test_a_handler_that_fails_has_not_handled(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction_as_system() as tx:
            await inbox.handled(tx, "store", "evt_1")
            raise RuntimeError
    async with database.transaction_as_system() as tx:
        assert not await inbox.handled(tx, "store", "evt_1")


async def test_two_deliveries_at_once_are_handled_once(database: Database) -> None:
    effects: list[str] = []
    noted, go_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def delivery() -> Any:
        async with database.transaction_as_system() as tx:
            if not await inbox.handled(tx, "store", "evt_1"):
                yield True
            else:
                yield False

    async def first() -> None:
        async with delivery() as mine:
            noted.set()
            await go_on.wait()
            if mine:
                effects.append("first")

    async def second() -> None:
        await noted.wait()
        asyncio.get_running_loop().call_soon(go_on.set)
        async with delivery() as mine:
            if mine:
                effects.append("second")

    await asyncio.gather(first(), second())
    assert effects == ["first"]


async def test_old_notes_are_forgotten(database: Database) -> None:
    async with database.transaction_as_system() as tx:
        await inbox.handled(tx, "store", "evt_1")
        assert await inbox.forget(tx, before=datetime(2000, 1, 1, tzinfo=UTC)) == 0
        assert await inbox.forget(tx, before=datetime(2999, 1, 1, tzinfo=UTC)) == 1


async def test_work_as_the_system_crosses_tenants_and_tells(database: Database) -> None:
    async with begin_as_system(database, Caller.system(TenantId("ten_a"), Environment.LIVE), new_id=ids()) as work:
        for tenant in ("ten_a", "ten_b"):
            await work.tx.exec(
                "INSERT INTO things (id, tenant_id, environment, name) VALUES (%(id)s, %(id)s, 'live', 'bolt')",
                id=tenant,
            )
        work.emit(LampLit(tenant_id="ten_b", lamp=1))
    assert await waiting(database) == ["evt_1"]


@pytest.mark.parametrize(
    ("held", "asked", "allowed"),
    [
        ({"agents:read"}, "agents:read", True),
        ({"agents:read"}, "agents:write", False),
        ({"agents:*"}, "agents:write", True),
        ({"admin"}, "admin:write", True),
        ({"agents:*"}, "agent:write", False),
        (set(), "agents:read", False),
    ],
)
def test_scopes_open_what_they_name(held: set[str], asked: str, allowed: bool) -> None:
    caller = Caller(tenant_id=TenantId("t"), environment=Environment.LIVE, role="x", scopes=frozenset(held))
    if allowed:
        caller.require(asked)
    else:
        with pytest.raises(Forbidden):
            caller.require(asked)

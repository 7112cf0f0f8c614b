"""A process whose calls can be handed over, with a carrier and a store that do as they are told."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import Transfer, TransferTarget
from voisnap_domain.calls import CarrierLeg, TransferMode
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import Channel, SessionPlan
from voisnap_kit.redis import RedisError
from voisnap_proto.events import CallTransferChanged
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.carrier import CallControl, Dial, HandOverCourse, RecordingOrder, StreamTarget
from voisnap_runtime.sessions.live import LiveSession
from voisnap_runtime.transfers.desk import Transfers
from voisnap_runtime.transfers.store import KeptTransfer, Offer
from voisnap_runtime.transfers.transfer import Means
from voisnap_runtime.transports.port import LinkQuality

SALES, DESK = "+14155550123", "sip:desk@pbx.example"
TARGETS = (
    TransferTarget(name="Sales", description="new orders", phone_number=SALES),
    TransferTarget(name="Front desk", sip_uri=DESK, mode=TransferMode.WARM),
)
LEG = CarrierLeg(provider="twilio", account="platform", number="+14155550100", call_id="caller")


class Carrier(CallControl):
    """A carrier that notes what it is asked, and refuses as often as it is told."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.dialled: list[Dial] = []
        self.faults: list[Exception] = []
        self.courses: list[HandOverCourse | None] = []
        self.recordings: list[RecordingOrder | None] = []
        self.busy = asyncio.Event()
        self.busy.set()

    async def _do(self, *what: Any) -> None:
        await self.busy.wait()
        if self.faults:
            raise self.faults.pop(0)
        self.done.append(what)

    async def dial(self, order: Dial) -> str:
        self.dialled.append(order)
        await self._do("dial", order.callee)
        return "other"

    async def connect(self, call_id: str, target: StreamTarget) -> None:
        await self._do("connect", call_id)

    async def hang_up(self, call_id: str) -> None:
        self.done.append(("hang_up", call_id))

    async def send_digits(self, call_id: str, digits: str) -> None:
        await self._do("digits", call_id, digits)

    async def transfer(
        self,
        call_id: str,
        *,
        callee: str,
        caller: str,
        ring_seconds: int = 30,
        course: HandOverCourse | None = None,
        recording: RecordingOrder | None = None,
    ) -> None:
        self.courses.append(course)
        self.recordings.append(recording)
        await self._do("transfer", call_id, callee, caller)

    async def bridge(
        self, call_id: str, other_call_id: str, *, name: str, recording: RecordingOrder | None = None
    ) -> None:
        self.recordings.append(recording)
        await self._do("bridge", call_id, other_call_id)

    async def aclose(self) -> None: ...


def refusal(*, retryable: bool = False) -> ProviderError:
    return ProviderError("no", provider="twilio", kind="carrier", retryable=retryable)


class MemoryTransfers:
    """The transfers of all processes, here."""

    def __init__(self) -> None:
        self.kept: dict[SessionId, KeptTransfer] = {}
        self.until: dict[SessionId, datetime] = {}
        self.offers: dict[str, Offer] = {}
        self.is_away = False

    def _reach(self) -> None:
        if self.is_away:
            raise RedisError("away")

    async def keep(self, kept: KeptTransfer, *, until: datetime) -> None:
        self._reach()
        self.kept[kept.session_id], self.until[kept.session_id] = kept, until

    async def renew(self, session_id: SessionId, *, until: datetime) -> None:
        self._reach()
        if session_id in self.until:
            self.until[session_id] = until

    async def get(self, session_id: SessionId) -> KeptTransfer | None:
        self._reach()
        return self.kept.get(session_id)

    async def forget(self, session_id: SessionId) -> None:
        self._reach()
        self.kept.pop(session_id, None)
        self.until.pop(session_id, None)

    async def left(self, now: datetime, *, limit: int) -> tuple[SessionId, ...]:
        self._reach()
        return tuple(one for one, until in self.until.items() if until <= now)[:limit]

    async def take(self, session_id: SessionId) -> KeptTransfer | None:
        self._reach()
        return self.kept.pop(session_id, None) if self.until.pop(session_id, None) else None

    async def offer(self, token: str, offer: Offer, *, seconds: int) -> None:
        self._reach()
        self.offers[token] = offer

    async def take_offer(self, token: str) -> Offer | None:
        self._reach()
        return self.offers.pop(token, None)


class Telephone:
    """The caller's line."""

    state = "connected"

    def __init__(self, call_id: str = "caller") -> None:
        self.call_id = call_id
        self.is_parted = False
        self.hung_up = False

    def quality(self) -> LinkQuality:
        return LinkQuality()

    def send(self, audio: Any) -> None: ...

    async def close(self) -> None: ...

    async def hang_up(self, *, within: float) -> None:
        self.hung_up = True


class Talk:
    """What the caller's conversation is told; `heard` says that the last of it was heard."""

    def __init__(self, call: Any) -> None:
        self.said: list[str] = []
        self.waits: Callable[[], str] | None = None
        self.asked: list[str] = []
        self.writes: str | None = "Maria wants to order bread."
        self._over: Callable[[], None] = lambda: None
        call.tell, call.keep_company, call.wait_over, call.ask = self._tell, self._keep, self._wait_over, self._ask

    def heard(self) -> None:
        self._over()

    def _tell(self, text: str, over: Callable[[], None]) -> None:
        self.said.append(text)
        self._over = over

    def _keep(self, comfort: Callable[[], str]) -> None:
        self.waits = comfort

    def _wait_over(self) -> None:
        self.waits = None

    async def _ask(self, order: str, *, seconds: float) -> str | None:
        self.asked.append(order)
        return self.writes


class Office:
    """One house's transfers."""

    def __init__(self, house: Any, kept: MemoryTransfers, carrier: Carrier) -> None:
        self.house = house
        self.kept = kept
        self.carrier = carrier
        ids, tokens = itertools.count(1), itertools.count(1)

        async def hang_up(plan: SessionPlan, call_id: str) -> None:
            await carrier.hang_up(call_id)

        self.transfers = Transfers(
            lambda one: Means(
                node_id=house.node_id,
                store=kept,
                urls=CarrierUrls("https://voice.example"),
                control_of=lambda plan: carrier,
                hang_up=hang_up,
                publish=one.publish,
                now=house.clock,
                new_token=lambda: f"token-{next(tokens)}",
            ),
            sessions=house.sessions,
            store=house.store,
            bus=house.bus,
            new_id=lambda prefix: f"{prefix}_{house.node_id}_{next(ids)}",
        )

    async def call(self, plan: SessionPlan) -> tuple[LiveSession, Talk, Telephone]:
        """A caller who talks to an agent."""
        session = await self.house.open(plan)
        live = await self.house.sessions.claim(session.plan.session_id)
        telephone = Telephone()
        await live.connect(telephone, over_hub=False)
        await self.house.calls[session.plan.session_id].running.wait()
        return live, Talk(live.conversation), telephone

    async def told(self) -> list[tuple[str, str]]:
        """Stages of transfers, as others learn them, and their causes."""
        await asyncio.sleep(0.1)
        await self.house.relay.drained(timeout=30)
        events = [event for event in self.house.events if isinstance(event, CallTransferChanged)]
        return [(event.stage.value, event.cause) for event in events]


async def until(condition: Callable[[], bool], *, within: float = 60.0) -> None:
    """Let time pass until something is so."""
    limit = asyncio.get_running_loop().time() + within
    while not condition():
        assert asyncio.get_running_loop().time() < limit, f"not so within {within} s"
        await asyncio.sleep(0.01)


@pytest.fixture
def phone_plan(make_plan: Callable[..., SessionPlan]) -> Callable[..., SessionPlan]:
    """`phone_plan(mode=…)`: a telephone call to an agent that can put callers through, with these settings."""

    def made(number: int = 1, **changes: Any) -> SessionPlan:
        plan = make_plan(number)
        config = msgspec.structs.replace(plan.agent.config, transfer=Transfer(targets=TARGETS, **changes))
        agent = msgspec.structs.replace(plan.agent, config=config)
        return msgspec.structs.replace(plan, channel=Channel.PHONE, leg=LEG, agent=agent)

    return made


@pytest.fixture
async def make_office() -> Any:
    """`await make_office(house)`: a process whose calls can be handed over; a neighbour shares what is kept, and the carrier."""
    made: list[Office] = []

    async def make(house: Any) -> Office:
        house.clock.follow(asyncio.get_running_loop())
        kept, carrier = (made[0].kept, made[0].carrier) if made else (MemoryTransfers(), Carrier())
        made.append(Office(house, kept, carrier))
        await made[-1].transfers.listen()
        return made[-1]

    yield make
    for office in made:
        await office.transfers.close()


@pytest.fixture
async def office(house: Any, make_office: Any) -> Office:
    return await make_office(house)


@pytest.fixture(name="until")
def waiting() -> Callable[..., Any]:
    """`await until(lambda: …)`: let time pass until something is so."""
    return until


@pytest.fixture(name="refusal")
def refusals() -> Callable[..., ProviderError]:
    """`refusal(retryable=…)`: what a carrier answers that does not do it."""
    return refusal

"""Events that were given up: seen, replayed and thrown away by operators, each deed on record."""

from collections.abc import Callable
from typing import Any

import pytest
from voisnap_domain.ids import ConversationId, TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.bus import Hopeless, Meta
from voisnap_proto.events import AnalysisRequested

pytestmark = pytest.mark.slice


class Consumer:
    """Gives up every event until it is mended."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, bool]] = []
        self.broken = True

    async def __call__(self, event: AnalysisRequested, meta: Meta) -> None:
        if self.broken:
            raise Hopeless(f"no way with {event.conversation_id}")
        self.handled.append((meta.event_id, meta.replayed))


async def give_up(operator: Any, count: int = 1) -> Consumer:
    consumer = Consumer()
    await operator.bus.subscribe("api-analysis", (AnalysisRequested,), consumer)
    for number in range(count):
        event = AnalysisRequested(
            tenant_id=TenantId("ten_a"),
            environment=Environment.LIVE,
            conversation_id=ConversationId(f"conv_{number}"),
        )
        await operator.bus.publish(event, event_id=f"evt_{number}", tenant_id="ten_a")
    await operator.bus.settle()
    return consumer


async def test_letters_are_listed_oldest_first_and_paged(operator):
    await give_up(operator, 3)
    first = (await operator.get("/dead-letters?pageSize=2")).json()
    assert (first["total"], [letter["eventId"] for letter in first["data"]]) == (3, ["evt_0", "evt_1"])
    letter = first["data"][0]
    assert letter["consumer"] == "api-analysis"
    assert letter["subject"] == "evt.analysis.requested.v1"
    assert (letter["tenantId"], letter["about"]) == ("ten_a", {"conversationId": "conv_0"})
    assert "no way" in letter["reason"]
    rest = (await operator.get(f"/dead-letters?pageSize=2&cursor={first['nextCursor']}")).json()
    assert ([one["eventId"] for one in rest["data"]], rest["nextCursor"]) == (["evt_2"], None)
    assert (await operator.get("/dead-letters?consumer=api-tenants")).json()["total"] == 0
    assert (await operator.get(f"/dead-letters/{letter['sequence']}")).json() == letter


async def test_a_letter_is_replayed_and_the_deed_is_on_record(operator):
    consumer = await give_up(operator)
    letter = (await operator.get("/dead-letters")).json()["data"][0]
    again = await operator.post(f"/dead-letters/{letter['sequence']}/replay")
    assert again.status_code == 202
    await operator.bus.settle()
    back = (await operator.get("/dead-letters")).json()["data"]
    assert [one["eventId"] for one in back] == ["evt_0"], "given up again"
    assert back[0]["sequence"] != letter["sequence"]
    consumer.broken = False
    assert (await operator.post(f"/dead-letters/{back[0]['sequence']}/replay")).status_code == 202
    await operator.bus.settle()
    assert consumer.handled == [("evt_0", True)]
    assert (await operator.get("/dead-letters")).json() == {"data": [], "total": 0, "nextCursor": None}
    log = (await operator.get("/audit-log?action=dead_letter.replayed")).json()
    assert log["total"] == 2
    assert log["data"][0]["tenantId"] == "ten_a"


async def test_a_letter_is_thrown_away(operator):
    await give_up(operator)
    letter = (await operator.get("/dead-letters")).json()["data"][0]
    assert (await operator.delete(f"/dead-letters/{letter['sequence']}")).status_code == 204
    for answer in (
        await operator.get(f"/dead-letters/{letter['sequence']}"),
        await operator.post(f"/dead-letters/{letter['sequence']}/replay"),
        await operator.delete(f"/dead-letters/{letter['sequence']}"),
    ):
        assert answer.status_code == 404
    assert (await operator.get("/audit-log?action=dead_letter.deleted")).json()["total"] == 1


@pytest.mark.parametrize("query", ["pageSize=0", "pageSize=101", "cursor=-1", "cursor=x", "consumer=a.b", "consumer=*"])
async def test_wrong_parameters_are_refused(operator, query):
    assert (await operator.get(f"/dead-letters?{query}")).status_code == 422


async def test_only_operators_see_letters(operator, client_with: Callable[..., Any], sign: Callable[..., str]):
    await give_up(operator)
    async with client_with(sign(platform_admin=False)) as tenant:
        assert (await tenant.get("/dead-letters")).status_code == 403
        assert (await tenant.post("/dead-letters/1/replay")).status_code == 403
        assert (await tenant.delete("/dead-letters/1")).status_code == 403
    async with client_with(sign(scopes=frozenset({"admin:read"}))) as reader:
        assert (await reader.get("/dead-letters")).status_code == 200
        assert (await reader.post("/dead-letters/1/replay")).status_code == 403


async def test_a_bus_that_is_away_is_temporary(operator):
    await give_up(operator)
    operator.bus.away = True
    answer = await operator.post("/dead-letters/1/replay")
    assert answer.status_code == 503
    operator.bus.away = False
    assert (await operator.get("/audit-log?action=dead_letter.replayed")).json()["total"] == 0
